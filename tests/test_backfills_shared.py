"""What workers of a backfill share: limits and rates, who may write a range, signals, ranges of points."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from reconcile import stores, workflow
from reconcile.backfills import sharing
from reconcile.backfills.budget import Budget, Shared, opened
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import DONE, Progress, parts
from reconcile.backfills.running import Around, Running
from reconcile.errors import PartialError, ReconcileError, RefusedError
from reconcile.exits import Exit
from reconcile.ledger_file import open_file
from reconcile.model import Address, Source
from reconcile.sandbox.scratch import Neo4jDatabase
from reconcile.stores.base import StoreSpec
from reconcile.stores.filling import Batch, Filling, Save, Value
from tests.projects import Folder

TABLE = """
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, n: {type: int, not_null: true, default: 0}, pid: int}
    primary_key: [id]
"""
LIMITED = """
backfills:
  counted:
    select: SELECT id FROM documents
    key: id
    once: true
    batch: 20
    workers: 2
    rate: 5000
    cost: 0.5
    limits: {run: {rows: 310}, day: {cost: 250}}
    statement: UPDATE documents SET n = n + 1 WHERE id = ANY ($keys)
"""


def filled(folder: Folder, url: str, rows: int) -> psycopg.Connection[Any]:
    folder.declare(app=TABLE).apply()
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(f"INSERT INTO documents SELECT n FROM generate_series(1, {rows}) n".encode())
    return connection


def test_limits_hold_for_all_workers_together(tmp_path: Path, postgres_database: str) -> None:
    """310 rows a run, and a day's cost of 250, at half a unit a row: 500 rows. None more, none twice."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    with filled(folder, postgres_database, 600) as connection:

        def done() -> Sequence[Any]:
            return connection.execute("SELECT n, count(*) FROM documents GROUP BY n ORDER BY n").fetchall()

        folder.declare(app=TABLE + LIMITED)
        with pytest.raises(PartialError, match=r"limit of 310 rows a run is reached"):
            folder.apply()
        assert done() == [(0, 290), (1, 310)]
        (listed,) = workflow.backfills(folder.load())
        assert listed["progress"].startswith("310 of 600 rows (51 %)")
        with pytest.raises(PartialError, match=r"limit of 250 in cost a day is reached: 500 rows are done"):
            workflow.resume(folder.load())
        assert done() == [(0, 100), (1, 500)]


def test_a_rate_holds_for_all_that_share_an_account(tmp_path: Path) -> None:
    ledger, now = open_file(tmp_path / "l.db"), [1_800_000_000.0]
    ledger.ensure()
    ledger.lock("r")
    definition = Definition.of(Address("app", "backfill", ("x",)), {"select": "", "rate": 10})
    account = Shared.of(ledger, definition)
    account.put(opened(0, {}))
    one, two = (Budget(definition, Shared.of(ledger, definition), lambda: now[0]) for _ in range(2))
    began = [budget.take(500) for budget in (one, two, one)]
    assert [(rows, begins - now[0]) for rows, begins in began] == [(10, 0), (10, 1), (10, 2)]
    now[0] += 60
    assert two.take(4) == (4, now[0])
    assert account.get()["done"] == 34
    ledger.release()
    other = open_file(tmp_path / "l.db")
    other.lock("s")
    other.close()
    with pytest.raises(RefusedError, match="taken over"):
        one.take(1)
    ledger.close()


POINTS = """
collections: {passages: {vector: {dimensions: 2, distance: cosine}, versioned: false}}
"""
MORE = """
backfills:
  counted:
    collection: passages
    select: {must_not: [{is_empty: {key: n}}]}
    once: true
    batch: 20
    workers: 2
    function: more.py:more
    down: restore
"""


def test_ranges_of_points_are_shared(tmp_path: Path, qdrant_server: str) -> None:
    """Ids are numbers and uuids."""
    folder = Folder(tmp_path, {"vectors": {"kind": "qdrant", "url": qdrant_server}}, {"ledger": {"file": "ledger.db"}})
    (tmp_path / "more.py").write_text(MORE_CODE)
    folder.declare(vectors=POINTS).apply()
    ids = [*range(5, 205), *(str(uuid.uuid4()) for _ in range(200)), 2**63 + 1]
    url = f"{qdrant_server}/collections/passages/points"
    points = [{"id": id_, "vector": [1, n], "payload": {"n": n * 10}} for n, id_ in enumerate(ids)]
    httpx.put(f"{url}?wait=true", json={"points": points}).raise_for_status()
    folder.declare(vectors=POINTS + MORE).apply()
    asked = {"limit": 1000, "with_payload": True}
    found = {p["id"]: p["payload"] for p in httpx.post(f"{url}/scroll", json=asked).json()["result"]["points"]}
    assert {id_: payload["n"] for id_, payload in found.items()} == {id_: n * 10 + 1 for n, id_ in enumerate(ids)}
    (listed,) = workflow.backfills(folder.load())
    assert (listed["read"], listed["changed"]) == (len(ids), len(ids))
    assert folder.plan().steps == ()


SLOW = """
backfills:
  pids:
    select: SELECT id, pid FROM documents WHERE pid IS NULL
    key: id
    into: documents
    workers: 2
    rate: 250
    batch: 10
    function: pids.py:pids
"""
PIDS = 'import os\ndef pids(rows):\n    return [{"key": r["key"], "pid": os.getpid()} for r in rows]\n'


@pytest.fixture
def heeding() -> Iterator[None]:
    """SIGINT as in a terminal: tests in the background of a shell, and what they start, inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding")
def test_signals_stop_workers_and_none_is_left(tmp_path: Path, postgres_database: str) -> None:
    """Ctrl-C, which a terminal sends to all of them; SIGKILL of who started them; SIGTERM; then to the end."""
    (tmp_path / "pids.py").write_text(PIDS)
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    with filled(folder, postgres_database, 2500) as connection:
        folder.declare(app=TABLE + SLOW)

        def pids() -> set[int]:
            rows = connection.execute("SELECT DISTINCT pid FROM documents WHERE pid IS NOT NULL").fetchall()
            return {pid for (pid,) in rows}

        resume = False
        for sends in (os.killpg, None, os.kill):
            before = pids()
            process = subprocess.Popen(
                folder.line("apply", *(["--resume"] if resume else ["--auto-approve"])),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            while process.poll() is None and len(pids() - before) < 2:
                time.sleep(0.05)
            if sends is None:
                told = workflow.status(folder.load())["unfinished"]["steps"]["under_way"][0]["progress"]
                assert "of 2,500 rows (" in told
                process.kill()
            else:
                sends(process.pid, signal.SIGINT if sends is os.killpg else signal.SIGTERM)
            out = process.communicate()[0]
            if sends is None:
                assert process.returncode == -signal.SIGKILL, out
                lock = workflow.status(folder.load())["lock"]
                assert lock is not None
                workflow.unlock(folder.load(), lock["run"])
            else:
                assert process.returncode == Exit.PARTIAL, out
                assert f"stopped by {'Ctrl-C' if sends is os.killpg else 'SIGTERM'}, between batches" in out
            for pid in pids():
                while running(pid):
                    time.sleep(0.05)
            resume = True
        assert connection.execute("SELECT count(*) FROM documents WHERE pid IS NULL").fetchone() != (0,)
        folder.declare(app=TABLE + SLOW)
        done = folder.command("apply", "--resume")
        assert done.returncode == 0, done.stdout + done.stderr
        assert connection.execute("SELECT count(*) FROM documents WHERE pid IS NULL").fetchone() == (0,)
    assert folder.plan().steps == ()


def running(pid: int) -> bool:
    """Whether a process is there, and not only waits to be asked how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Overtaken:
    """The work of somebody who stops for a while just before a batch is written, until `meanwhile` is over."""

    filling: Filling
    meanwhile: Callable[[], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.filling, name)

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        self.meanwhile()
        return self.filling.change(batch, values, save)


MORE_CODE = 'def more(rows):\n    return [{"key": r["key"], "n": r["n"] + 1} for r in rows]\n'
ADDED: dict[str, dict[str, Any]] = {
    "postgres": {
        "select": "SELECT id FROM documents",
        "key": "id",
        "statement": "UPDATE documents SET n = n + 1 WHERE id = ANY ($keys)",
    },
    "neo4j": {"select": "MATCH (d:Document)", "key": "d", "statement": "SET d.n = d.n + 1"},
    "qdrant": {"collection": "documents", "select": {}, "function": "more.py:more"},
}


@pytest.mark.parametrize("kind", list(ADDED))
def test_a_worker_that_was_given_up_writes_nothing_more(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """It comes back with a batch in its hands when another one has done its range: it is refused."""
    (tmp_path / "more.py").write_text(MORE_CODE)
    settings, held = STORES[kind](request)
    spec = StoreSpec("app", kind, settings, Source("x.yaml", 1), tmp_path)
    entry = {"once": True, "batch": 10, "part": 0, "workers": 2, **ADDED[kind]}
    definition = Definition.of(Address("app", "backfill", ("more",)), entry)
    ledger = open_file(tmp_path / "l.db")
    ledger.ensure()
    ledger.prepare_rows()
    ledger.lock("r")
    sessions = [stores.package(kind).connect(spec, "p", "e") for _ in range(2)]
    fillings = []
    for session in sessions:
        session.server()
        fillings.append(session.filling(definition.wanted))  # type: ignore[attr-defined]
    Progress("sha256:x", "r", passes=1, part=0).save(definition.address, ledger)

    def run(worker: str, filling: Filling) -> Progress:
        part = sharing.taken(ledger, definition, 0, worker)
        assert part is not None
        return Running(definition, filling, part, Around(ledger, tmp_path)).run_part()

    try:
        with pytest.raises(ReconcileError, match="goes on with") as caught:
            run("first", Overtaken(fillings[0], lambda: run("second", fillings[1])))
        assert isinstance(caught.value, RefusedError)
        assert held() == [1] * 30
        (part,) = parts(ledger.known(), definition.address)
        assert (part.state, part.changed, part.worker) == (DONE, 30, "second")
    finally:
        for session in sessions:
            session.close()
        ledger.close()


Held = Callable[[], list[int]]


def of_postgres(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Held]:
    url = request.getfixturevalue("postgres_database")
    connection = psycopg.connect(url, autocommit=True)
    request.addfinalizer(connection.close)
    connection.execute("CREATE TABLE documents (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    connection.execute("INSERT INTO documents SELECT n FROM generate_series(1, 30) n")
    return {"url": url}, lambda: [n for (n,) in connection.execute("SELECT n FROM documents").fetchall()]


def of_neo4j(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Held]:
    import neo4j

    database: Neo4jDatabase = request.getfixturevalue("neo4j_database")
    auth = (database.user, database.password) if database.password else None
    driver = neo4j.GraphDatabase.driver(database.url, auth=auth)
    request.addfinalizer(driver.close)
    driver.execute_query("UNWIND range(1, 30) AS n CREATE (:Document {n: 0})")
    settings = {"url": database.url, "user": database.user}
    return settings | ({"password": database.password} if database.password else {}), lambda: [
        record["n"] for record in driver.execute_query("MATCH (d:Document) RETURN d.n AS n").records
    ]


def of_qdrant(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Held]:
    url = request.getfixturevalue("qdrant_server")
    place = f"{url}/collections/documents"
    httpx.put(place, json={"vectors": {"size": 2, "distance": "Dot"}}).raise_for_status()
    points = [{"id": n, "vector": [1, n], "payload": {"n": 0}} for n in range(1, 31)]
    httpx.put(f"{place}/points?wait=true", json={"points": points}).raise_for_status()

    def held() -> list[int]:
        found = httpx.post(f"{place}/points/scroll", json={"limit": 100, "with_payload": True}).json()
        return [p["payload"]["n"] for p in found["result"]["points"]]

    return {"url": url}, held


STORES: dict[str, Callable[[pytest.FixtureRequest], tuple[dict[str, Any], Held]]] = {
    "postgres": of_postgres,
    "neo4j": of_neo4j,
    "qdrant": of_qdrant,
}
