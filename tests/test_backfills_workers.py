"""Backfills whose ranges several processes share: each row once, also where a worker is killed."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import PartialError
from reconcile.sandbox.scratch import Neo4jDatabase
from tests.counting import TABLE, counted
from tests.projects import Folder, cypher

ROWS = 4003
WITH_PIDS = TABLE.replace("default: 0}}", "default: 0}, pid: int}")
PIDS_SET = """
  pids:
    depends_on: [counted]
    select: SELECT id, pid FROM documents WHERE pid IS NULL
    key: id
    into: documents
    workers: 2
    batch: 100
    function: pids.py:pids
"""
PIDS = """
import os, pathlib

def pids(rows):
    killed = pathlib.Path(__file__).parent / "killed"
    if any(row["key"] == 1234 for row in rows) and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), 9)
    if any(row["key"] == 3000 for row in rows) and not killed.with_name("failed").exists():
        killed.with_name("failed").touch()
        raise ValueError("no more")
    return [{"key": row["key"], "pid": os.getpid()} for row in rows]
"""


def test_ranges_of_a_table_are_shared_and_taken_over(tmp_path: Path, postgres_database: str) -> None:
    """One worker is killed, and one fails: the first range goes on with another, the second with the next run."""
    (tmp_path / "pids.py").write_text(PIDS)
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=WITH_PIDS).apply()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f"INSERT INTO documents SELECT n FROM generate_series(1, {ROWS}) n".encode())
        folder.declare(app=WITH_PIDS + counted("workers: 2") + PIDS_SET)
        with pytest.raises(PartialError, match="ValueError: no more"):
            folder.apply()
        assert (tmp_path / "killed").exists()
        assert connection.execute("SELECT n, count(*) FROM documents GROUP BY n").fetchall() == [(1, ROWS)]
        workflow.resume(folder.load())
        found = connection.execute("SELECT count(pid), count(DISTINCT pid) FROM documents").fetchone()
    assert found is not None and found[0] == ROWS and found[1] >= 3
    listed = {b["address"]: b for b in workflow.backfills(folder.load())}
    assert (listed["app.backfill.pids"]["read"], listed["app.backfill.pids"]["changed"]) == (ROWS, ROWS)
    assert folder.plan().steps == ()


NODES = """
backfills:
  kinds:
    select: "MATCH (d:Document) WHERE d.kind IS NULL"
    key: d
    fields: {name: d.name}
    workers: 2
    batch: 50
    rules: {set: kind, cases: [{value: even, when: {name: '[02468]$'}}], otherwise: odd}
  counted:
    depends_on: [kinds]
    select: "MATCH (d:Document)"
    key: d
    once: true
    workers: 2
    batch: 50
    statement: SET d.n = coalesce(d.n, 0) + 1
"""


def test_ranges_of_a_graph_are_shared(tmp_path: Path, neo4j_database: Neo4jDatabase) -> None:
    graph = {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user}
    graph |= {"password": neo4j_database.password} if neo4j_database.password else {}
    folder = Folder(tmp_path, {"graph": graph}, {"ledger": {"file": "ledger.db"}})
    cypher(folder, "UNWIND range(1, 1000) AS n CREATE (:Document {name: toString(n)})")
    folder.declare(graph=NODES).apply()
    assert cypher(folder, "MATCH (d:Document) RETURN d.kind, d.n, count(d) ORDER BY d.kind") == [
        ["even", 1, 500],
        ["odd", 1, 500],
    ]
    assert cypher(folder, "MATCH (m:__ReconcileBackfill) RETURN count(m)") == [[0]]
    assert folder.plan().steps == ()


def test_a_cluster_takes_over_from_a_lost_worker(tmp_path: Path, postgres_database: str) -> None:
    from distributed import LocalCluster

    (tmp_path / "pids.py").write_text(PIDS.replace("3000", "-1"))
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=WITH_PIDS).apply()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        psycopg.connect(postgres_database, autocommit=True) as connection,
    ):
        connection.execute(f"INSERT INTO documents SELECT n FROM generate_series(1, {ROWS}) n".encode())
        one = "backfills:" + PIDS_SET
        one = one.replace("    depends_on: [counted]\n", "").replace(
            "workers: 2", f"cluster: {cluster.scheduler_address}"
        )
        folder.declare(app=WITH_PIDS + one).apply()
        found = connection.execute("SELECT count(pid), count(DISTINCT pid) FROM documents").fetchone()
    assert (tmp_path / "killed").exists()
    assert found is not None and found[0] == ROWS and found[1] >= 2
    assert folder.plan().steps == ()
