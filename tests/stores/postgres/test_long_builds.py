"""Index builds that outlive their client: the next run waits for them and takes what they made."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psycopg
import pytest
from tests.projects import Folder

from reconcile import planfile, workflow
from reconcile.model import Address
from reconcile.render import text
from reconcile.stores.postgres.builds import bytes_of, estimate, wrapped
from reconcile.stores.postgres.resources import Index

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
SELECT (SELECT array_agg(random())::real[]::vector FROM generate_series(1, 64 + 0 * n)) FROM generate_series(1, 6000) n
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


def test_a_build_goes_on_without_its_client_and_is_taken_over(project: Project) -> None:
    project.declare(16)
    pid, application = project.killed_while_building()
    oid, valid = project.index()
    assert not valid
    assert project.ask(BUILDING), "the server has not noticed"
    noted = workflow.status(project.folder.load())["unfinished"]["notes"]
    assert [json.loads(n)["pid"] for n in noted.values()] == [pid]
    assert [json.loads(n)["application_name"] for n in noted.values()] == [application]
    project.resume()
    assert project.index() == (oid, True), "not a second index: that of the orphan"
    assert project.folder.plan().steps == ()


def test_a_plan_that_knows_nothing_of_the_run_waits_for_the_build_too(project: Project) -> None:
    project.declare(16)
    project.killed_while_building()
    oid, _ = project.index()
    (project.folder.path / "ledger.db").unlink()
    project.folder.apply("all")
    assert project.index() == (oid, True)
    assert project.folder.plan().steps == ()


def test_a_rebuild_that_has_ended_meanwhile_is_not_made_again(project: Project) -> None:
    project.declare(8).apply("all")
    before = project.index()
    project.declare(16)
    project.killed_while_building()
    project.await_orphan()
    rebuilt = project.index()
    assert rebuilt != before, "the orphan has ended its rebuild: without messages to send it ends well"
    project.resume()
    assert project.index() == rebuilt
    assert project.folder.plan().steps == ()


def test_a_rebuild_that_was_ended_is_made(project: Project) -> None:
    project.declare(8).apply("all")
    before = project.index()
    project.declare(16)
    pid, _ = project.killed_while_building()
    project.ask(f"SELECT pg_terminate_backend({pid})")
    project.await_orphan()
    assert project.index() == before
    project.resume()
    assert project.index() != before
    assert project.ask("SELECT count(*) FROM pg_class WHERE relname LIKE '%ccnew%'") == [(0,)]
    assert project.folder.plan().steps == ()


def test_beside_keeps_the_old_one_until_the_new_one_is_ready(project: Project) -> None:
    project.declare(8).apply("all")
    plan = project.declare(16, "rebuild: beside").plan(allow=("all",))
    assert [s.id.rpartition("/")[2] for s in plan.steps] == ["1-build", "2-swap"]
    project.folder.apply("all")
    assert project.ask("SELECT reloptions FROM pg_class WHERE relname = 'documents_hnsw'") == [
        (["m=16", "ef_construction=200"],)
    ] or project.ask("SELECT reloptions FROM pg_class WHERE relname = 'documents_hnsw'") == [
        (["ef_construction=200", "m=16"],)
    ]
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
    assert "graph 5.6 MB, more than maintenance_work_mem 1 MB" in shown
    assert "of disk" in shown


def test_disk_is_looked_at_before(project: Project) -> None:
    from reconcile.errors import ReconcileError

    project.declare(16, "build: {min_free_disk: 9000TB}")
    with pytest.raises(ReconcileError, match=r"asks for 9216000\.0 GiB"):
        project.folder.apply("all")
    assert project.ask("SELECT to_regclass('documents_hnsw')") == [(None,)]


@pytest.mark.parametrize(
    ("m", "dimensions", "fitted"), [(16, 128, 3417), (32, 128, 2419), (16, 768, 1106), (4, 768, 1228)]
)
def test_the_memory_of_a_graph_is_what_pgvector_says(m: int, dimensions: int, fitted: int) -> None:
    """`hnsw graph no longer fits into maintenance_work_mem after N tuples`, at 4 MB; pgvector 0.8.5."""
    address = Address("s", "index", ("public", "i"))
    index = Index(address=address, method="hnsw", with_=(("m", str(m)),), vector=("vector", dimensions))
    found = estimate(index, fitted, {}, "4MB")
    assert abs(found["graph_bytes"] / bytes_of("4MB") - 1) < 0.03


def test_only_what_is_declared_is_set() -> None:
    assert wrapped(["x"], {}) == ["x"]
    assert wrapped(["x"], {"workers": "4"})[0] == "SET max_parallel_maintenance_workers = '4'"
