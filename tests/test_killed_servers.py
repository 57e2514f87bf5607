"""A server that ends by SIGKILL in the middle of a run or of a restore, and comes back: both come to the same end."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from reconcile import workflow
from reconcile.apply import Event
from reconcile.errors import ReconcileError
from reconcile.exits import Exit
from reconcile.sandbox import PREFIX, Sandbox, processes
from reconcile.sandbox.guard import release, start
from reconcile.sandbox.scratch import Neo4jDatabase, postgres_database
from reconcile.sandbox.scratch import wipe_qdrant as clear_qdrant
from tests.backing import everything, http, project
from tests.everywhere import begun
from tests.projects import Folder, cypher
from tests.test_cut_connections import settled

NAMES = ("postgres", "neo4j", "qdrant")
KILLED = {"postgres": 3, "neo4j": 1, "qdrant": 1}
"""How often each is killed in a run, spread over the steps that it carries out."""
STORES = {"postgres": "app", "neo4j": "graph", "qdrant": "vectors"}


class Servers:
    """Servers of this module's own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def url(self, name: str) -> str:
        return self.sandbox.variables(name)[f"{PREFIX}{name.upper()}_URL"]

    @property
    def graph(self) -> Neo4jDatabase:
        found = self.sandbox.variables("neo4j")
        return Neo4jDatabase(*(found[f"{PREFIX}NEO4J_{what}"] for what in ("URL", "USER", "PASSWORD")))

    def kill(self, name: str) -> None:
        pid = self.sandbox.servers[name].pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def back(self, name: str) -> None:
        """Have it started again, where it was, as what looks after servers does."""
        server = self.sandbox.servers[name]
        login = server.login()
        assert login is not None
        while server.pid() is not None or not processes.free(login.port):
            time.sleep(0.01)
        server.start(login.port)

    @contextlib.contextmanager
    def empty(self) -> Iterator[str]:
        """All three without anything; the URL of the database, which is deleted afterwards."""
        self.graph.wipe()
        clear_qdrant(self.url("qdrant"))
        with postgres_database(self.url("postgres")) as url:
            yield url


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.gettempdir(), f"reconcile-sandbox-{secrets.token_hex(6)}")
    folder.mkdir(mode=0o711)
    guard = start(folder)
    sandbox = Sandbox(folder, {})
    try:
        sandbox.up(NAMES)
        yield Servers(sandbox)
    finally:
        sandbox.down(delete=True)
        release(guard)


def run(folder: Folder, servers: Servers, name: str, at: int) -> bool:
    """Apply; the server is killed as its step of this number begins, or while that is carried out. Whether it was."""
    begins, again = 0, list[threading.Thread]()

    def die(seconds: float) -> None:
        time.sleep(seconds)
        servers.kill(name)
        servers.back(name)

    def on_event(event: Event) -> None:
        nonlocal begins
        if event.kind == "step_started" and event.step is not None and event.step.address.store == STORES[name]:
            begins += 1
            if begins == at:
                again.append(threading.Thread(target=die, args=(0.01 * (at % 2),)))
                again[0].start()

    plan = folder.plan(allow=("all",))
    try:
        workflow.apply(folder.load(), plan, on_event)
    except ReconcileError as error:
        assert "Traceback" not in str(error)
    finally:
        for thread in again:
            thread.join()
    return bool(again)


@pytest.mark.parametrize("name", NAMES)
def test_a_server_killed_in_a_run(
    servers: Servers, name: str, tmp_path: Path, fault_points: Callable[..., None]
) -> None:
    """It is waited for; where that takes too long, the run stops, says so, and goes on with --resume."""
    kills = 0
    with servers.empty() as url:
        (tmp_path / "whole").mkdir()
        folder = begun(tmp_path / "whole", url, servers.graph, servers.url("qdrant"))
        steps = [s for s in folder.plan(allow=("all",)).steps if s.address.store == STORES[name]]
        folder.apply("all")
        end = folder.live()
    for number in range(KILLED[name]):
        with servers.empty() as url:
            (tmp_path / str(number)).mkdir()
            folder = begun(tmp_path / str(number), url, servers.graph, servers.url("qdrant"))
            kills += run(folder, servers, name, 1 + number * len(steps) // KILLED[name])
            settled(folder)
            assert folder.live() == end
            assert folder.plan().steps == ()
            assert workflow.history(folder.load())[0]["outcome"] == "done"
    assert kills == KILLED[name]
    fault_points(kills)


@contextlib.contextmanager
def watched(folder: Folder, name: str) -> Iterator[Callable[[], bool]]:
    """What tells whether the restore of a store is under way."""
    with contextlib.ExitStack() as stack:
        if name == "postgres":
            asked = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'reconcile restore'"
            connection = stack.enter_context(psycopg.connect(folder.stores["app"]["url"], autocommit=True))
            yield lambda: connection.execute(asked).fetchone() is not None
        elif name == "neo4j":
            yield lambda: bool(cypher(folder, "MATCH (n:Passage) RETURN count(n) < 300")[0][0])
        else:
            there = {"passages__v1", "pairs"}
            yield lambda: not there <= {c["name"] for c in http(folder, "GET", "/collections")["collections"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_server_killed_in_a_restore(
    servers: Servers, name: str, tmp_path: Path, fault_points: Callable[..., None]
) -> None:
    """The restore says what may be half done; begun again it comes to the same end."""
    with servers.empty() as url:
        folder = project(tmp_path, url, servers.graph, servers.url("qdrant"), backup={"to": "saved"})
        workflow.back_up(folder.load())
        wanted = everything(folder)
        with watched(folder, name) as restoring:
            process = folder.start("restore", "latest", "--replace", "--yes")
            while process.poll() is None and not restoring():
                pass
            assert process.poll() is None, process.communicate()[0]
            servers.kill(name)
        servers.back(name)
        said = process.communicate(timeout=300)[0]
        assert "Traceback" not in said
        if process.returncode:
            assert process.returncode in (Exit.ERROR, Exit.PARTIAL), said
            lock = workflow.status(folder.load())["lock"]
            if lock is not None:
                workflow.unlock(folder.load(), lock["run"])
            again = folder.command("restore", "latest", "--replace", "--yes")
            assert again.returncode == 0, again.stderr
        assert everything(folder) == wanted
        assert not folder.plan().steps
    fault_points(1)
