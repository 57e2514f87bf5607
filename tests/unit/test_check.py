"""What is told of a server, from figures that no server here has: other services, clusters, machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reconcile import machine
from reconcile.change import Http, Op, Server, Step
from reconcile.checkup import Check, Verdict
from reconcile.model import Address
from reconcile.render import check as render
from reconcile.stores.postgres import advice
from reconcile.stores.qdrant import condition
from reconcile.stores.qdrant.checks import Key

GB = 2**30


def lines(checks: Any) -> list[str]:
    return [f"{c.verdict} {c.topic}: {c.what}" for c in checks]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, ["good disk: 3 GB free", "warning memory: 512 MB of 8 GB free; the limit is 1GB"]),
        ({"free_disk": "2GB"}, ["good disk: 3 GB free; the limit is 2GB"]),
        ({"free_disk": "4GB"}, ["stops disk: 3 GB free; the limit is 4GB"]),
        ({"free_memory": "1GB"}, ["stops memory: 512 MB of 8 GB free; the limit is 1GB"]),
        ({"memory_percent": 95}, ["good memory: 94 % used; the limit is 95 %"]),
        (
            {},
            [
                "warning memory: 94 % used; the limit is 90 %",
                "warning load: 2 processors, 3.0 processes want one: 150 %; the limit is 80 %",
            ],
        ),
        ({"cpu_percent": 200}, ["good load: 2 processors, 3.0 processes want one: 150 %; the limit is 200 %"]),
        ({"cpu_percent": 100}, ["stops load: 2 processors, 3.0 processes want one: 150 %; the limit is 100 %"]),
    ],
)
def test_a_declared_limit_stops_and_a_default_one_is_told(limits: dict[str, object], said: list[str]) -> None:
    found = lines(machine.checks(limits, machine.Machine(8 * GB, GB // 2, 3.0, 2), 3 * GB))
    assert [line for line in said if line not in found] == []


def test_a_limit_that_nothing_can_be_held_against_is_said() -> None:
    found = list(machine.checks({"free_disk": "1GB", "cpu_percent": 50}, machine.Machine(), None))
    assert {c.verdict for c in found} == {Verdict.UNKNOWN}
    assert [c.hint for c in found] == [
        "`limits: {free_disk}` of the store was not looked at",
        None,
        "`limits: {cpu_percent}` of the store was not looked at",
    ]


def test_a_machine_without_proc_tells_nothing(tmp_path: Path) -> None:
    assert machine.look(True, tmp_path) == machine.Machine() == machine.look(False)
    (tmp_path / "meminfo").write_text("MemTotal: 1024 kB\nMemAvailable: 512 kB\n")
    (tmp_path / "loadavg").write_text("0.00 0.10 0.20 1/100 4242\n")
    assert machine.look(True, tmp_path) == machine.Machine(1024 * 1024, 512 * 1024, 0.0, os.cpu_count() or 1)
    assert machine.free_disk("/no/such/folder") is None


def postgres(*roles: str, installed: str = "", available: str = "", member_of: tuple[str, ...] = ()) -> Server:
    facts = {
        "roles": list(roles),
        "member_of": list(member_of),
        "extensions": {"vector": installed} if installed else {},
        "available_extensions": {"vector": available} if available else {},
    }
    return Server("app", "postgres", "17.4", facts=facts)


def test_advice_on_pgvector_fits_who_runs_the_server() -> None:
    """What services do is from their documentation."""
    assert "apt install postgresql-17-pgvector" in advice.to_have(postgres(), "vector")
    assert "azure.extensions" in advice.to_have(postgres("azure_pg_admin"), "vector")
    assert advice.to_have(postgres("rds_superuser"), "vector").startswith("Amazon RDS: ")
    assert "a member of rds_superuser run" in advice.to_create(postgres("rds_superuser"), "vector")
    assert "have a superuser run" in advice.to_create(postgres(), "vector")
    assert not advice.stands_in(postgres("rds_superuser")) and advice.stands_in(postgres("supabase_admin"))
    assert advice.stands_in(postgres("neon_superuser", member_of=("me", "neon_superuser")))
    assert advice.to_have(postgres("avnadmin"), "vector").startswith("Aiven: ")
    (old,) = advice.outdated(postgres(installed="0.5.1", available="0.8.1"))
    assert (old.verdict, old.hint) == (
        Verdict.WARNING,
        'ALTER EXTENSION "vector" UPDATE, as its owner; the files of 0.8.1 are there',
    )
    for server, said in (
        (postgres(installed="0.8.1", available="0.8.1"), "pgvector 0.8.1 installed, the latest that is available"),
        (postgres(available="0.8.1"), "pgvector 0.8.1 available, not installed here"),
        (postgres(), "pgvector not available on this server"),
    ):
        assert [c.what for c in advice.outdated(server)] == [said]


def seen(**more: Any) -> condition.Seen:
    known: dict[str, Any] = {"version": "1.16.3", "url": "https://q:6333", "key": None, "manages": True, "infos": {}}
    return condition.Seen(**{**known, "telemetry": None, "cluster": None, **more})


def test_collections_that_are_not_well_and_peers_that_are_not_reached() -> None:
    infos = {
        "a": {"status": "green", "optimizer_status": "ok"},
        "b": {"status": "grey", "optimizer_status": "ok"},
        "c": {"status": "green", "optimizer_status": {"error": "no space left"}},
        "d": {"status": "yellow", "optimizer_status": "ok"},
    }
    cluster = {"status": "enabled", "peers": {"1": {}, "2": {}}, "message_send_failures": {"http://two": {"count": 4}}}
    steps = [Step("s", Address("v", "collection", ("d",)), (Http("PATCH", "/collections/d"),))]
    found = lines(condition.checks(seen(infos=infos, cluster=cluster), {}, steps, []))
    assert "warning health: red: c" in found and "warning health: grey: b" in found
    assert "warning health: cluster of 2 peers, 1 not reached: http://two" in found
    assert "warning blockers: being optimized: d" in found
    elsewhere = [Step("s", Address("v", "collection", ("a",)), (Op("wait_green", {"collection": "a"}),))]
    assert "good blockers: none" in lines(condition.checks(seen(infos=infos), {}, elsewhere, []))


def test_kinds_of_key_are_told() -> None:
    for key, manages, said in (
        (None, True, "no API key"),
        (Key(), True, "an API key that may manage"),
        (Key(), False, "an API key that may only read"),
        (Key({"a": "rw"}), False, "a JWT for some collections"),
    ):
        first = condition.checks(seen(key=key, manages=manages), {}, [], [])[0]
        assert first.what == f"Qdrant 1.16.3, {said}, TLS"


def report(*checks: Check) -> dict[str, Any]:
    said = [{**vars(c), "topic": str(c.topic), "verdict": str(c.verdict)} for c in checks]
    store = {"name": "app", "checks": said}
    return {
        "project": "p",
        "environment": "e",
        "stores": [store],
        "ledger": {"checks": []},
        "plan": {"steps": 2, "checks": []},
        "stops": sum(c.verdict is Verdict.STOPS for c in checks),
    }


def test_long_lines_are_wrapped_but_what_is_to_be_pasted_is_not() -> None:
    from reconcile.checkup import Topic

    grant = 'GRANT SELECT, INSERT, UPDATE ON "reconcile"."journal", "reconcile"."applied" TO "a role"'
    checks = [Check(Topic.PRIVILEGES, Verdict.STOPS, "word " * 30 + "\x1b[2J", grant)]
    checks += [Check(Topic.HEALTH, Verdict.GOOD, f"number {n}") for n in range(8)]
    text = render.render(report(*checks), width=60)
    assert all(len(line) <= 60 or grant in line for line in text.splitlines())
    assert grant in text and "\\x1b[2J" in text
    assert "number 5 and 2 more" in " ".join(text.split())
    assert text.endswith("1 thing would stop an apply. Nothing was changed.\n")
