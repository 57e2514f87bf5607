"""Index builds that outlive their client: the next run waits for them and takes what they made."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.gated import GATED
from tests.projects import Folder

from reconcile import planfile, workflow
from reconcile.apply import Event
from reconcile.errors import ReconcileError
from reconcile.render import text

pytestmark = pytest.mark.pgvector

DECLARED = """
extensions: {vector: {}}
tables:
  documents:
    columns:
      id: {type: bigint, identity: always}
      embedding: {type: "vector(64)"}
    primary_key: [id]
"""
INDEX = """
    indexes:
      documents_hnsw:
        method: hnsw
        columns: [{column: embedding, opclass: vector_l2_ops}]
        with: {m: M, ef_construction: 200}
        BUILD
"""
ROWS = """
INSERT INTO documents (embedding)
SELECT (SELECT array_agg(random())::real[]::vector FROM generate_series(1, 64 + 0 * n)) FROM generate_series(1, 3000) n
"""
BUILDING = """
SELECT p.pid, a.application_name FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid)
WHERE p.datname = current_database() AND p.phase LIKE 'building index%'
"""


class Project:
    """A table with rows, an index declared, and an apply in a process that can be killed."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.folder = Folder(folder, {"s": {"kind": "postgres", "url": url}}, {"ledger": {"file": "ledger.db"}})
        self.declare(None).apply("all")
        self.ask(ROWS)
        self.ask("ANALYZE documents")

    def declare(self, m: int | None, build: str = "build: {workers: 0}") -> Folder:
        index = "" if m is None else INDEX.replace("M", str(m)).replace("BUILD", build)
        return self.folder.declare(s=DECLARED + index)

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def killed_while_building(self) -> tuple[object, ...]:
        """Apply, kill the process as soon as the index is being built; (pid, application name) of the builder."""
        process = self.folder.start("apply", "--auto-approve", "--allow", "all")
        try:
            for _ in range(600):
                if found := self.ask(BUILDING):
                    return found[0]
                assert process.poll() is None, "the apply ended before its build was seen"
                time.sleep(0.02)
            raise AssertionError("no build was seen")
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def resume(self) -> None:
        """Go on at once: the lock of a dead holder would expire by itself."""
        loaded = self.folder.load()
        workflow.unlock(loaded, workflow.status(loaded)["unfinished"]["run"])
        workflow.resume(loaded)

    def index(self) -> tuple[object, ...]:
        ((oid, valid),) = self.ask(
            "SELECT indexrelid::bigint, indisvalid FROM pg_index WHERE indexrelid = 'documents_hnsw'::regclass"
        )
        return oid, valid

    def await_orphan(self) -> None:
        while self.ask(BUILDING.replace("p.phase LIKE 'building index%'", "true")):
            time.sleep(0.05)


@pytest.fixture
def project(tmp_path: Path, postgres_database: str) -> Project:
    return Project(tmp_path, postgres_database)


def test_an_hnsw_build_goes_on_without_its_client_and_is_taken_over(project: Project) -> None:
    """Its notice that the graph outgrows memory would end it, if it were sent."""
    project.declare(16, "build: {workers: 0, maintenance_work_mem: 1MB}")
    project.killed_while_building()
    oid, valid = project.index()
    assert not valid
    assert project.ask(BUILDING), "the server has not noticed"
    project.resume()
    assert project.index() == (oid, True), "not a second index: that of the orphan"
    assert project.folder.plan().steps == ()


def test_the_plan_says_what_it_takes(project: Project) -> None:
    plan = project.declare(16, "build: {maintenance_work_mem: 1MB, workers: 2, max_duration: 90min}").plan(
        allow=("all",)
    )
    (step,) = plan.steps
    assert [c.sql.split(" INDEX")[0] for c in step.calls if hasattr(c, "sql")] == [
        "SET maintenance_work_mem = '1MB'",
        "SET max_parallel_maintenance_workers = '2'",
        "CREATE",
        'ANALYZE "public"."documents"',
        "RESET maintenance_work_mem",
        "RESET max_parallel_maintenance_workers",
    ]
    assert step.timeouts.wall == "90min"
    shown = " ".join(text.render(planfile.to_json(plan), colour=False).split())
    assert "graph 2.8 MB, more than maintenance_work_mem 1 MB" in shown
    assert "of disk" in shown


def test_disk_is_looked_at_before(project: Project) -> None:
    project.declare(16, "build: {min_free_disk: 9000TB}")
    with pytest.raises(ReconcileError, match=r"asks for 9216000\.0 GiB"):
        project.folder.apply("all")
    assert project.ask("SELECT to_regclass('documents_hnsw')") == [(None,)]


class Gate:
    """A table whose index is built only while nobody holds a lock: killed in the middle, a build waits there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        settings = {"ledger": {"file": "ledger.db"}}
        self.folder = Folder(folder, {"s": {"kind": "postgres", "url": url}}, settings)
        self.folder.declare(s=GATED).apply("all")
        self.gate = psycopg.connect(url, autocommit=True)
        self.timers: list[threading.Timer] = []
        self.ask("INSERT INTO items SELECT n, n FROM generate_series(1, 3) n")

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        cursor = self.gate.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def declare(self, fill: int, rebuild: str = "in_place") -> Folder:
        index = f"columns: [{{expression: gated(n)}}], with: {{fillfactor: {fill}}}, rebuild: {rebuild}"
        return self.folder.declare(s=f"{GATED}    indexes: {{items_gated: {{{index}}}}}\n")

    def kill(self) -> tuple[object, ...]:
        """Kill an apply whose build waits at the gate; (pid, application name) of the builder, which lives on."""
        self.wait()  # a timer of the apply before would open the gate of this one
        self.ask("SELECT pg_advisory_lock(7)")
        process = self.folder.start("apply", "--auto-approve", "--allow", "all")
        try:
            for _ in range(3000):
                if found := self.ask(BUILDING):
                    return found[0]
                assert process.poll() is None, "the apply ended before its build was seen"
                time.sleep(0.02)
            raise AssertionError("no build was seen")
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def open(self) -> None:
        self.ask("SELECT pg_advisory_unlock(7)")

    def wait(self) -> None:
        for timer in self.timers:
            timer.join()

    def await_orphan(self) -> None:
        while self.ask(BUILDING.replace("p.phase LIKE 'building index%'", "true")):
            time.sleep(0.02)

    def indexes(self) -> dict[str, tuple[object, object, object]]:
        """(OID, valid, options) by name."""
        rows = self.ask(
            "SELECT c.relname, c.oid::bigint, i.indisvalid, array_to_string(c.reloptions, ',') FROM pg_index i"
            " JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'items'::regclass AND NOT indisprimary"
        )
        return {str(name): (oid, valid, options) for name, oid, valid, options in rows}

    def resume(self) -> None:
        """Go on at once: the lock of a dead holder would expire by itself."""
        loaded = self.folder.load()
        workflow.unlock(loaded, workflow.status(loaded)["unfinished"]["run"])
        workflow.resume(loaded, self.opening)

    def opening(self, event: Event) -> None:
        """Open the gate when the apply has come to a step of the index."""
        if event.kind == "step_started":
            self.timers.append(threading.Timer(0.3, Gate.open, [self]))
            self.timers[-1].start()


@pytest.fixture
def gate(tmp_path: Path, postgres_database: str) -> Iterator[Gate]:
    made = Gate(tmp_path, postgres_database)
    yield made
    made.wait()
    made.gate.close()


ENDS = {
    "create": ("living", "invalid", "unknown run"),
    "in_place": ("valid", "invalid", "living"),
    "beside": ("living", "invalid", "unknown run"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_build_that_outlives_its_client(how: str, gate: Gate) -> None:
    """Still building, it is waited for; ended well, taken; ended badly, made again: never a second one beside it."""
    if how != "create":
        gate.declare(90).apply("all")
    for fill, end in enumerate(ENDS[how], 70):
        if how == "create":
            gate.ask("DROP INDEX IF EXISTS items_gated")
            (gate.folder.path / "ledger.db").unlink(missing_ok=True)
        gate.declare(fill, "beside" if how == "beside" else "in_place")
        pid, application = gate.kill()
        noted = [json.loads(n) for n in workflow.status(gate.folder.load())["unfinished"]["notes"].values()]
        assert (pid, application) in [(n["pid"], n["application_name"]) for n in noted]
        [building] = [name for name, (_, valid, _) in gate.indexes().items() if not valid]
        orphan = gate.indexes()[building][0]
        if end == "invalid":
            gate.ask(f"SELECT pg_terminate_backend({pid})")
        if end in ("valid", "invalid"):
            gate.open()
            gate.await_orphan()
        if end == "unknown run":
            (gate.folder.path / "ledger.db").unlink()
            workflow.apply(gate.folder.load(), gate.folder.plan(allow=("all",)), gate.opening)
        else:
            gate.resume()
        [(name, (oid, valid, options))] = gate.indexes().items()
        assert (name, valid, options) == ("items_gated", True, f"fillfactor={fill}"), end
        assert (oid == orphan) == (end != "invalid"), end
        assert gate.folder.plan().steps == ()


def test_what_a_living_builder_works_on_is_not_removed(gate: Gate) -> None:
    """A plan that wants the old options back, made while another session still builds with the new ones."""
    gate.declare(90).apply("all")
    gate.declare(70)
    gate.kill()
    (gate.folder.path / "ledger.db").unlink()
    plan = gate.declare(90).plan(allow=("all",))
    assert [str(c.address) for c in plan.resource_changes] == ["s.index.public.items_gated"]
    workflow.apply(gate.folder.load(), plan, gate.opening)
    [(name, (_, valid, options))] = gate.indexes().items()
    assert (name, valid, options) == ("items_gated", True, "fillfactor=90")
    assert gate.folder.plan().steps == ()


def test_a_build_that_takes_longer_than_it_may(gate: Gate) -> None:
    """It is cancelled and its debris removed by the next try; nothing else of the table is touched."""
    gate.ask("SELECT pg_advisory_lock(7)")
    index = "columns: [{expression: gated(n)}], build: {max_duration: 1s}"
    gate.folder.declare(s=f"{GATED}    indexes: {{items_gated: {{{index}}}}}\n")
    with pytest.raises(ReconcileError, match=r"it may take 1s \(`build: {max_duration}`") as caught:
        gate.folder.apply("all")
    assert "items_gated" in str(caught.value) and "--resume" in str(caught.value)
    assert gate.ask(BUILDING) == []
    gate.open()
    workflow.resume(gate.folder.load())
    assert {name: valid for name, (_, valid, _) in gate.indexes().items()} == {"items_gated": True}
    assert gate.folder.plan().steps == ()
