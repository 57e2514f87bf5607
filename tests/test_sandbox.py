"""`reconcile sandbox` on real servers, in temporary folders, whatever servers the environment names."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from reconcile.errors import ReconcileError
from reconcile.sandbox import NAMES, PREFIX, Sandbox
from reconcile.sandbox.files import cached, read_sums, verify
from reconcile.sandbox.neo4j import initial_password, jars
from reconcile.sandbox.processes import command_line, free_port, running
from reconcile.sandbox.qdrant import binary
from reconcile.sandbox.scratch import Neo4jDatabase

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)} | {
    key: os.environ[key] for key in (PREFIX + "CACHE",) if key in os.environ
}


def reconcile(folder: Path, *words: str, env: Mapping[str, str] = CLEAN) -> subprocess.CompletedProcess[str]:
    """Run `reconcile sandbox …` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "reconcile", "sandbox", *words, "--dir", str(folder)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a sandbox; its servers are stopped afterwards."""
    place = tmp_path / "servers"
    yield place
    Sandbox(place, given={}).down(delete=True)


def test_the_life_of_a_sandbox(folder: Path) -> None:
    assert reconcile(folder, "status").returncode == 2
    missing = reconcile(folder, "env")
    assert missing.returncode == 1 and "reconcile sandbox up" in missing.stderr

    first = reconcile(folder, "up")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("running") == 4

    # the shell reads it back
    printed = reconcile(folder, "env")
    read = subprocess.run(
        ["sh", "-c", f'{printed.stdout}\nenv | grep ^{PREFIX}'], env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    urls = dict(line.split("=", 1) for line in read.splitlines())
    assert sorted(urls) == [
        PREFIX + name
        for name in ("NEO4J_PASSWORD", "NEO4J_URL", "NEO4J_USER", "POSTGRES_URL", "QDRANT_URL", "REDIS_URL")
    ]
    assert urls[PREFIX + "NEO4J_PASSWORD"].isalnum()
    assert urls[PREFIX + "NEO4J_PASSWORD"] not in first.stdout + reconcile(folder, "status").stdout

    with psycopg.connect(urls[PREFIX + "POSTGRES_URL"], autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE kept ()")
        assert connection.execute("SELECT current_setting('is_superuser')").fetchone() == ("on",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(urls[PREFIX + "POSTGRES_URL"].replace("@", "x@"))
    graph = Neo4jDatabase(urls[PREFIX + "NEO4J_URL"], urls[PREFIX + "NEO4J_USER"], urls[PREFIX + "NEO4J_PASSWORD"])
    graph.wipe()

    # running already: the same servers, at once; our own exports in the environment change nothing
    pids = [server.pid for server in Sandbox(folder, given={}).status()]
    again = reconcile(folder, "up", env={**CLEAN, **urls})
    assert again.returncode == 0 and again.stdout == first.stdout
    assert [server.pid for server in Sandbox(folder, given={}).status()] == pids

    # one of them killed: seen, and brought back with its data
    postgres = pids[0]
    assert postgres
    os.kill(postgres, signal.SIGKILL)
    wait_until_gone(folder / "postgres")
    seen = reconcile(folder, "status")
    assert seen.returncode == 2 and "dead" in seen.stdout
    assert reconcile(folder, "up").returncode == 0
    with psycopg.connect(urls[PREFIX + "POSTGRES_URL"], autocommit=True) as connection:
        connection.execute("TABLE kept")

    assert reconcile(folder, "down").stdout.split() == [word for name in NAMES for word in (name, "stopped")]
    assert "nothing was running" in reconcile(folder, "down").stdout
    assert reconcile(folder, "down", "--delete").returncode == 0
    assert not folder.exists()


def wait_until_gone(folder: Path) -> None:
    until = time.monotonic() + 10
    while running(folder.resolve()):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sandbox = Sandbox(folder, given={})
        with pytest.raises(ReconcileError, match=f"port {port} .*taken") as caught:
            sandbox.up(["postgres", "qdrant"], {"qdrant": port})
    assert "--qdrant-port" in (caught.value.hint or "")
    assert {s.state for s in sandbox.status()} == {"stopped"}, "what was started besides is stopped again"


def test_a_chosen_port_and_a_second_one_while_it_runs(folder: Path) -> None:
    port = free_port()
    sandbox = Sandbox(folder, given={})
    sandbox.up(["qdrant"], {"qdrant": port})
    assert sandbox.variables("qdrant")[PREFIX + "QDRANT_URL"].endswith(f":{port}")
    with pytest.raises(ReconcileError, match="runs already"):
        sandbox.up(["qdrant"], {"qdrant": free_port()})


def test_a_server_that_ends_while_it_starts(folder: Path) -> None:
    sandbox = Sandbox(folder, given={})
    sandbox.up(["qdrant"])
    sandbox.down()
    shutil.rmtree(folder / "qdrant" / "storage")
    (folder / "qdrant" / "storage").write_text("not a folder")
    with pytest.raises(ReconcileError, match=r"ended while it was starting; the end of its log:\n +\S") as caught:
        sandbox.up(["qdrant"])
    assert str(folder / "qdrant" / "log") in (caught.value.hint or "")


def test_a_process_id_that_now_belongs_to_another_process(folder: Path) -> None:
    sandbox = Sandbox(folder, given={})
    (folder / "qdrant").mkdir(parents=True)
    (folder / "qdrant" / "pid").write_text(str(os.getpid()))
    assert sandbox.servers["qdrant"].pid() is None
    assert sandbox.down() == []
    assert command_line(os.getpid())


def test_servers_given_by_url(folder: Path) -> None:
    given = {
        PREFIX + "POSTGRES_URL": "postgresql://ann:secret@db.example:5433/app",
        PREFIX + "NEO4J_URL": "bolt://graph.example:7687",
        PREFIX + "NEO4J_USER": "ann",
        PREFIX + "NEO4J_PASSWORD": "it's",
        PREFIX + "QDRANT_URL": "http://vectors.example:6333",
        PREFIX + "REDIS_URL": "redis://:hidden@cache.example:6379/0",
    }
    env = {**CLEAN, **given}
    up = reconcile(folder, "up", env=env)
    assert up.returncode == 0 and up.stdout.count("given") == len(NAMES)
    assert "db.example:5433" in up.stdout and "secret" not in up.stdout and "hidden" not in up.stdout
    printed = reconcile(folder, "env", env=env).stdout
    assert f"""export {PREFIX}NEO4J_PASSWORD='it'"'"'s'""" in printed
    assert not (folder / "postgres").exists()


def path_without(tmp_path: Path, *names: str) -> dict[str, str]:
    """An environment whose PATH has what the shell needs, but not some programs."""
    few = tmp_path / "bin"
    few.mkdir()
    for name in {"sh", "env", "node"} - set(names):
        if found := shutil.which(name):
            (few / name).symlink_to(found)
    return {**CLEAN, "PATH": str(few), "JAVA_HOME": ""}


@pytest.mark.parametrize(
    ("cache", "said"), [("full", "java is not on PATH"), ("empty", "npm is not on PATH")], ids=["java", "npm"]
)
def test_something_to_install(folder: Path, tmp_path: Path, cache: str, said: str) -> None:
    env = path_without(tmp_path)
    if cache == "empty":
        env[PREFIX + "CACHE"] = str(tmp_path / "cache")
    ran = reconcile(folder, "up", "--fetch-only", env=env)
    assert ran.returncode == 1
    assert said in ran.stderr and "apt-get install" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_java_that_is_too_old(folder: Path, tmp_path: Path) -> None:
    env = path_without(tmp_path)
    old = tmp_path / "bin" / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    ran = reconcile(folder, "up", "--fetch-only", env=env)
    assert ran.returncode == 1 and "needs 17 or 21" in ran.stderr


def test_what_is_downloaded_is_pinned(tmp_path: Path) -> None:
    sums = dict(read_sums(Path(sys.modules["reconcile.sandbox"].__file__ or "").parent / "artifacts/neo4j/SHA256SUMS"))
    verify(jars(), sums, "Neo4j")
    assert binary().stat().st_mode & 0o100

    jar = next(name for name in sums if name.startswith("neo4j-bolt"))
    part = tmp_path / "jars"
    part.mkdir()
    (part / jar).write_bytes(b"another")
    with pytest.raises(ReconcileError, match="has sha256") as caught:
        verify(part, {jar: sums[jar]}, "Neo4j")
    assert "nothing of it was kept" in (caught.value.hint or "")
    with pytest.raises(ReconcileError, match="was not expected"):
        verify(part, {}, "Neo4j")
    with pytest.raises(ReconcileError, match=r"a\.jar is missing"):
        verify(part, {"a.jar": "0" * 64}, "Neo4j")


def test_a_download_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    def wrong(part: Path) -> None:
        (part / "half").write_text("")
        raise ReconcileError("wrong")

    with pytest.raises(ReconcileError):
        cached("thing", wrong, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thing.lock"]
    (tmp_path / "thing.part-killed").mkdir()
    folder = cached("thing", lambda part: (part / "whole").touch(), tmp_path)
    assert [entry.name for entry in folder.iterdir()] == ["whole"]
    assert cached("thing", wrong, tmp_path) == folder
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["thing", "thing.lock"]


def test_two_at_once_download_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from reconcile.sandbox.files import cached\n"
        "def fill(part):\n"
        "    print('filled'); time.sleep(0.5)\n"
        "cached('thing', fill, pathlib.Path(sys.argv[1]))\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both].count("filled\n") == 1
    assert all(process.returncode == 0 for process in both)


def test_the_initial_password_is_as_neo4j_admin_writes_it() -> None:
    # written by neo4j-admin 5.26.12 for this password and salt
    salt = bytes.fromhex("231384ddca7983ff17c8e8d3e8054d3ebfd7c932e48463b33e7ad08cffb7a0b8")
    assert initial_password("abcdefgh12345", salt).split(":")[:2] == [
        "neo4j",
        f"SHA-256,6c6c938ac2be17ac2f6ad3c8d8ebb54a0b94dad980fbed95c132125bf550858b,{salt.hex()},1024",
    ]
