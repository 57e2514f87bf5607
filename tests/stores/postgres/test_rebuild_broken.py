"""An index that has its new options but was not built again: only the ledger knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.projects import Folder

from reconcile import workflow
from reconcile.errors import PartialError

DECLARED = """
extensions: {vector: {}}
tables:
  documents:
    columns:
      id: {type: bigint, identity: always}
      embedding: {type: "vector(3)"}
    primary_key: [id]
    indexes:
      documents_hnsw: {method: hnsw, columns: [{column: embedding, opclass: vector_l2_ops}], with: {m: M}}
"""
ROWS = "INSERT INTO documents (embedding) SELECT ARRAY[n, n, 1]::vector FROM generate_series(1, 50) n"
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'REINDEX%' AND wait_event_type = 'Lock'
"""
SET = "s.index.public.documents_hnsw/1-set"
REINDEX = "s.index.public.documents_hnsw/2-reindex"


@pytest.fixture
def broken(tmp_path: Path, postgres_database: str) -> Iterator[Callable[[str], Folder]]:
    """A project whose apply was cut off while REINDEX waited for a lock."""

    def make(ledger: str) -> Folder:
        settings = {"ledger": {"file": "ledger.db"} if ledger == "file" else {"store": "s"}}
        folder = Folder(tmp_path, {"s": {"kind": "postgres", "url": postgres_database}}, settings)
        folder.declare(s=DECLARED.replace("M}", "8}")).apply("all")
        with psycopg.connect(postgres_database, autocommit=True) as other:
            other.execute(ROWS)
            folder.declare(s=DECLARED.replace("M}", "16}"))
            with other.transaction():
                other.execute("LOCK TABLE documents IN SHARE UPDATE EXCLUSIVE MODE")
                killer = threading.Thread(target=_kill, args=(postgres_database,))
                killer.start()
                with pytest.raises(PartialError):
                    folder.apply("all")
                killer.join()
        return folder

    yield make


def _kill(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(200):
            row = connection.execute(WAITING).fetchone()
            if row is not None:
                connection.execute("SELECT pg_terminate_backend(%s)", row)
                return
            time.sleep(0.05)


def place(url: str) -> object:
    """REINDEX CONCURRENTLY gives the index a new number."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 'documents_hnsw'::regclass::oid").fetchone()


@pytest.mark.pgvector
@pytest.mark.parametrize("ledger", ["file", "store"])
def test_resume_builds_it(broken: Callable[[str], Folder], ledger: str, postgres_database: str) -> None:
    folder, before = broken(ledger), place(postgres_database)
    workflow.resume(folder.load())
    assert place(postgres_database) != before
    assert folder.plan().steps == ()
    run = workflow.history(folder.load())[0]
    assert run["outcome"] == "done"


@pytest.mark.pgvector
def test_abandoning_says_what_no_plan_can_see(broken: Callable[[str], Folder], postgres_database: str) -> None:
    folder, before = broken("file"), place(postgres_database)
    run = workflow.history(folder.load())[0]["id"]
    said = folder.command("apply", "--abandon", str(run))
    assert said.returncode == 0
    assert f"no plan can tell: {REINDEX}; do it by hand:" in said.stderr
    assert "REINDEX INDEX CONCURRENTLY" in said.stderr
    assert folder.plan().steps == ()
    assert place(postgres_database) == before
