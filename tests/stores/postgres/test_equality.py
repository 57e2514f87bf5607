"""Where nothing may be built in the database: the same spellings, by another way, or told as not provable."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.stores.postgres.reading import Store, different
from tests.stores.postgres.test_postgres_canonical import TABLES, VIEWS

from reconcile.stores.postgres import lent
from reconcile.stores.postgres.canonical import Work
from reconcile.stores.postgres.canonical.texts import as_json
from reconcile.stores.postgres.canonical.ways import build

SCHEMAS = ("public", "audit", "Odd")
TWO = "store: app\ntables: {t: {columns: {a: {type: text, default: \"'x'\"}, b: {type: text, default: \"'y'::text\"}}}}"
MADE = "create table t (a text default 'x', b text default 'y')"


@pytest.fixture
def sandbox_given(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test is the sandbox's too, by URL: none has to be started."""
    url = urlsplit(postgres_database)._replace(path="/postgres").geturl()
    monkeypatch.setenv("RECONCILE_SANDBOX_POSTGRES_URL", url)


@contextmanager
def reader(store: Store, *grants: str) -> Iterator[Store]:
    """The store as a role of its own sees it, that owns nothing and may do what PUBLIC may."""
    role = f"r_{urlsplit(store.url).path[1:]}"
    store.execute(f"create role {role} login", *(g.replace("ROLE", role) for g in grants))
    try:
        yield replace(store, settings={**store.settings, "role": role})
    finally:
        store.execute(f"drop owned by {role}", f"drop role {role}")


def read_only(store: Store) -> None:
    store.execute(f"alter database {urlsplit(store.url).path[1:]} set default_transaction_read_only = on")


def unproved(store: Store, text: str = TWO) -> list[tuple[str, ...]]:
    result, _, _ = store.canonical(text)
    assert result.problems == ()
    return [(str(u.address), u.path, u.declared, u.live, u.how) for u in result.unproved]


def make_two(store: Store) -> None:
    store.execute(MADE)


@pytest.mark.pgvector
@pytest.mark.usefixtures("sandbox_given")
def test_every_spelling_meets_the_servers_in_the_sandbox(postgres_database: str) -> None:
    store = Store(postgres_database, SCHEMAS)
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    read_only(store)
    result, live, built = store.canonical(TABLES + VIEWS)
    assert (different(result, live), result.problems, result.unproved, built) == ({}, (), (), 2)
    assert {r.how for r in result.receipts} == {"text", "sandbox"}
    assert result.notes == (
        "store app: expressions were compared in a server of the sandbox's, since transactions of this role"
        " are read-only: nothing can be built there to compare with",
    )
    again = store.canonical(TABLES + VIEWS, result.learned)
    assert (different(again[0], live), again[2], again[0].notes) == ({}, 0, ())


@pytest.mark.usefixtures("sandbox_given")
def test_what_the_sandbox_cannot_make_is_not_proved(postgres_database: str) -> None:
    """Live types that are not declared, above all; the rest is compared all the same."""
    store = Store(postgres_database)
    store.execute(
        "create domain email as text",
        "create table t (a email default 'x', b text default 'y', c money)",
    )
    read_only(store)
    text = """store: app
tables: {t: {columns: {a: {type: email, default: "'x'"}, b: {type: text, default: "'y'"}, c: money}}}"""
    assert unproved(store, text) == [
        (
            "app.column.public.t.a",
            "default",
            "'x'",
            "'x'::text",
            'the sandbox\'s PostgreSQL says: type "email" does not exist',
        )
    ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers are started, and none is given."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("RECONCILE_SANDBOX_POSTGRES_URL", raising=False)
    return tmp_path


def test_a_server_is_started_where_none_is_given_and_ended(postgres_database: str, place: Path) -> None:
    store = Store(postgres_database)
    store.execute(MADE)
    read_only(store)
    assert unproved(store) == []
    assert list(place.iterdir()) == []


def test_a_server_ends_with_the_process_it_was_lent_to(place: Path) -> None:
    """However that ends: the pipe closes."""
    lender = "[sys.executable, '-m', 'reconcile.sandbox.lend', '18', 'UTF8']"
    code = f"import subprocess, sys; p = subprocess.Popen({lender}, stdin=subprocess.PIPE); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with psycopg.connect(url) as connection:
            assert connection.info.server_version // 10000 == 18
        process.kill()
    until = time.monotonic() + 60
    while list(place.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(place.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_version_that_is_not_here_proves_nothing(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILE_SANDBOX_POSTGRES_URL", postgres_database)
    monkeypatch.setattr(lent, "_major", lambda _: "9")
    store = Store(postgres_database)
    store.execute(MADE)
    read_only(store)
    [(address, _, _, _, how)] = unproved(store)
    assert address == "app.column.public.t.a"
    assert how.startswith("transactions of this role are read-only: nothing can be built there to compare with; ")
    assert "no sandbox: PostgreSQL 9 is not installed: apt-get install postgresql-9, or" in how


def test_only_what_is_live_is_worth_a_server(postgres_database: str) -> None:
    """Nor is one started where texts tell, or for objects that are not there."""
    store = Store(postgres_database)
    read_only(store)
    result, _, built = store.canonical(TWO)
    assert (built, result.notes, result.unproved) == (1, (), ())


@pytest.mark.pgvector
def test_every_spelling_meets_the_servers_in_temporary_objects(postgres_database: str) -> None:
    store = Store(postgres_database, SCHEMAS, {"equality": "temp"})
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    with reader(store) as limited:
        result, live, built = limited.canonical(TABLES + VIEWS)
    reason = "a query names audit.t, of another schema than public"
    left = {"app.view.public.v3": reason, "app.view.Odd.v6": reason}
    assert {str(u.address): u.how for u in result.unproved} == left
    assert (set(different(result, live)), result.problems, built) == (set(left), (), 1)
    assert {r.how for r in result.receipts} == {"text", "temp"}


CASES = Path(__file__).parents[2] / "cases" / "postgres"


@pytest.mark.pgvector
@pytest.mark.since(17)
@pytest.mark.usefixtures("sandbox_given")
@pytest.mark.parametrize("way", ["temp", "sandbox"])
@pytest.mark.parametrize(
    "case",
    [
        "create_everything",
        "domain_checks_accept",
        "exclusions",
        "functions_around_type_change",
        "functions_created",
        "materialized_views",
        "partitions_create_and_drop",
        "row_level_security",
        "statistics",
        "triggers",
        "types_create",
        "types_cross",
        "view_columns",
        "virtual_columns",
    ],
)
def test_each_kind_is_spelled_alike_whichever_way(postgres_database: str, case: str, way: str) -> None:
    """What an acceptance case declares, built in a scratch schema and by another way. All but indexes of
    materialized views can be temporary."""
    store = Store(postgres_database, ("public", "audit", "extra"))
    store.execute("create extension vector")
    desired = store.desired((CASES / case / "new.yaml").read_text().replace("store: s\n", "store: app\n"))
    found = []
    for equality in ("server", way):
        with store.session() as session:
            session.equality = equality
            work = Work(session, desired, session.introspect(), {})
            wanted = [x for x in desired.values() if work.settled(x) is None]
            compared = [x.address for x in wanted]
            found.append(build(session, work.closure, work.live, wanted, compared))
    assert [len(b.found) > 0 for b in found] == [True, True]
    expected = {
        str(a): as_json(x)
        for a, x in found[0].found.items()
        if way == "sandbox" or x.container is None or x.container.kind != "materialized_view"
    }
    assert {str(a): as_json(x) for a, x in found[1].found.items()} == expected
    assert set(map(str, found[1].problems)) <= set(map(str, found[0].problems))
