"""`reconcile check` on a real server: version, rights, role, persistence, memory; and the rights that are enough."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.projects import Folder
from tests.stores.redis.server import Commands

from reconcile.errors import ReconcileError
from reconcile.sandbox.processes import free_port, listening
from reconcile.sandbox.redis import binary

Make = Callable[..., Folder]


def test_what_a_ticket_needs(project: Make, cache: Commands) -> None:
    cache.run("CONFIG SET maxmemory 100mb")
    folder = project(limits={"maxmemory_percent": 1}).declare(cache="config: {timeout: 9}")
    told = folder.command("check")
    for line in (
        "connection   Redis 8.2.3 at 127.0.0.1:",
        "as default, no TLS",
        "modules: search 2.10.5",
        "of maxmemory (100 MB) used; the limit is 1",
        "append-only file off",
        "maxmemory-policy noeviction",
    ):
        assert line in told.stdout, told.stdout
    url = str(folder.stores["cache"]["url"])
    assert url.split("@")[0].rpartition(":")[2] not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "redis://:geheim@127.0.0.1:1/0"}, "cannot reach Redis at 127.0.0.1:1/0: "),
        ({"url": "http://127.0.0.1:6379"}, "is http://127.0.0.1:6379, not an address of a redis server"),
        ({"url": "127.0.0.1:6379"}, "redis://127.0.0.1:6379/0"),
        ({"url": "redis://127.0.0.1/x"}, '"x" is no number of a database'),
        ({"password": "geheim"}, "check `user:` and `password:` of the store"),
        ({"database": 99}, "DB index is out of range"),
    ],
)
def test_what_keeps_it_from_the_server_is_told(
    project: Make, redis_server: str, settings: dict[str, object], message: str
) -> None:
    folder = project(**settings).declare(cache="config: {timeout: 9}")
    with pytest.raises(ReconcileError) as caught:
        folder.plan()
    said = str(caught.value)
    assert message in said and "geheim" not in said and redis_server.split("@")[0].rpartition(":")[2] not in said


def test_without_the_driver_the_extra_is_named(project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ReconcileError, match=r"pip install 'reconcile-schema\[redis\]'"):
        project().declare(cache="config: {timeout: 9}").plan()


def test_a_replica_takes_no_steps(project: Make, cache: Commands) -> None:
    folder = project().declare(cache="config: {timeout: 9}")
    cache.run("REPLICAOF 127.0.0.1 1")
    try:
        with pytest.raises(ReconcileError, match=r"a replica of 127\.0\.0\.1:1, which takes no writes"):
            folder.apply("all")
        assert cache.config("timeout") == "0"
    finally:
        cache.run("REPLICAOF NO ONE")


FULL = """
config_file: rewrite
config: {timeout: 9}
families: {a: {pattern: "a:{x}", renamed_from: "b:{x}", type: string}}
indexes: {i: {prefixes: ["a:"], fields: {t: text}}}
"""


def test_the_rights_that_check_prints_are_enough_and_no_more(project: Make, cache: Commands) -> None:
    cache.run("SET b:1 x")
    folder = project().declare(cache=FULL)
    printed = folder.command("check", "--grants", "rec").stdout
    users = [line.replace("PASSWORD", "secret") for line in printed.splitlines() if line.startswith("ACL SETUSER")]
    assert len(users) == 3, printed
    cache.run("\n".join(users))
    try:
        for words, code in ((["drift"], 0), (["plan", "--detailed-exitcode"], 2)):
            folder.stores["cache"] |= {"user": f"rec_{words[0]}", "password": "secret"}
            ran = folder.declare().command(*words)
            assert ran.returncode == code, ran.stdout + ran.stderr
            with pytest.raises(ReconcileError, match="the user may not"):
                folder.apply("all")
        assert cache.config("timeout") == "0" and cache.client.exists("b:1")
        folder.stores["cache"] |= {"user": "rec_apply"}
        folder.declare().apply("all")
        assert cache.config("timeout") == "9" and cache.client.get("a:1") == "x"
        cache.run("ACL SETUSER rec_drift resetkeys -scan -ft._list")
        folder.stores["cache"] |= {"user": "rec_drift"}
        assert folder.declare(cache="config: {timeout: 9}").command("drift").returncode == 0, "keys are not needed"
        with pytest.raises(
            ReconcileError, match=r'whether there is an index "i" is not known: FT\._LIST is not allowed'
        ):
            folder.declare(cache=FULL.replace("families", "# families")).plan()
    finally:
        cache.run("ACL DELUSER rec_plan rec_drift rec_apply\nCONFIG SET timeout 0\nCONFIG REWRITE")


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[str]:
    """The URL of a node of a cluster, without modules and without a password."""
    port = free_port()
    bus = free_port()  # by default 10,000 more than the port, which may be no port at all
    words = f"--bind 127.0.0.1 --port {port} --cluster-port {bus} --cluster-enabled yes --save".split()
    with subprocess.Popen([str(binary()), *words, "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL) as process:
        try:
            commands = Commands(f"redis://127.0.0.1:{port}")
            while not listening(port):
                assert process.poll() is None
            commands("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while "cluster_state:ok" not in str(commands("CLUSTER", "INFO")):
                assert process.poll() is None
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def test_a_cluster_renames_no_keys(project: Make, bare: str) -> None:
    folder = project(url=bare).declare(cache='families: {a: {pattern: "a:*", renamed_from: "b:*"}}')
    with pytest.raises(ReconcileError, match="keys of a cluster are not renamed"):
        folder.plan()
    told = folder.declare(cache="config: {timeout: 9}").command("check").stdout
    assert "a node of a cluster: parameters are set on it alone" in told and "search" not in told
