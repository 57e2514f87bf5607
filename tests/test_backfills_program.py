"""Backfills that a program does by itself: lines are progress, exit codes say how it ended; rows that are put back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg
import pytest

from reconcile import workflow
from reconcile.apply import Event
from reconcile.errors import PartialError
from tests.projects import Folder

TABLE = """
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, vector: text}
    primary_key: [id]
"""
EMBEDDED = """
backfills:
  embedded:
    select: SELECT id FROM documents WHERE vector IS NULL
    key: id
    program: {run: [PYTHON, embed.py]}
    limits: {run: {cost: 60}}
""".replace("PYTHON", json.dumps(sys.executable))
EMBED = """
import json, os, pathlib, sys
import psycopg

here = pathlib.Path(__file__).parent
told = here / "told"
told.write_text(told.read_text() + os.environ["RECONCILE_AFTER"] + "," if told.exists() else ",")
last = int(os.environ["RECONCILE_AFTER"] or 0)
print("loading the model", flush=True)
with psycopg.connect(URL, autocommit=True) as connection:
    while True:
        rows = connection.execute(
            "UPDATE documents SET vector = 'v' WHERE id > %s AND id <= %s RETURNING id", (last, last + 10)
        ).fetchall()
        if not rows:
            break
        last += 10
        print(json.dumps({"rows": len(rows), "after": last, "cost": 10}), flush=True)
        if last == 30:
            print("the budget of the service is used up", flush=True)
            sys.exit(75)
        if last == 50:
            sys.exit("no such model")
        if last == 110:
            sys.stdin.read()
            import time
            time.sleep(600)
"""


def test_a_program_reports_stops_and_goes_on(tmp_path: Path, postgres_database: str) -> None:
    """It stops at its own limit, fails, is ended at ours; each time it goes on where it was, and at last it is done."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=TABLE).apply()
    (tmp_path / "embed.py").write_text(EMBED.replace("URL", repr(postgres_database)))
    said: list[str] = []

    def watch(event: Event) -> None:
        said.append(f"{event.kind} {event.detail}")

    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO documents SELECT n FROM generate_series(1, 120) n")
        folder.declare(app=TABLE + EMBEDDED)
        with pytest.raises(PartialError, match="a limit of its own: the budget of the service is used up"):
            workflow.apply(folder.load(), folder.plan(), watch)
        assert "progress loading the model" in said and any(line.startswith("progress 30 of 120 rows") for line in said)
        with pytest.raises(PartialError, match="the program failed: exit code 1: no such model"):
            workflow.resume(folder.load())
        with pytest.raises(PartialError, match="its limit of 60 in cost a run is reached: 110 rows are done"):
            workflow.resume(folder.load())
        workflow.resume(folder.load())
        assert connection.execute("SELECT count(*) FROM documents WHERE vector IS NULL").fetchone() == (0,)
    assert (tmp_path / "told").read_text() == ",30,50,110,"
    assert workflow.backfills(folder.load())[0]["changed"] == 120
    assert folder.plan().steps == ()


DELETED = """
tables:
  documents:
    columns:
      id: {type: bigint, not_null: true, identity: always}
      vector: text
      twice: {type: bigint, generated: id * 2}
    primary_key: [id]
backfills:
  emptied:
    select: SELECT id FROM documents WHERE id <= 30
    key: id
    into: documents
    batch: 20
    statement: DELETE FROM documents WHERE id = ANY ($keys)
    deletes: {expect: 30}
    down: restore
"""


def test_rows_that_were_deleted_are_put_back(tmp_path: Path, postgres_database: str) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=DELETED.partition("backfills:")[0]).apply()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO documents (vector) SELECT 'v' || n FROM generate_series(1, 50) n")

        def held() -> object:
            return connection.execute("SELECT id, vector, twice FROM documents ORDER BY id").fetchall()

        before = held()
        folder.declare(app=DELETED).apply("deletes-data=app.backfill.emptied")
        assert connection.execute("SELECT min(id), count(*) FROM documents").fetchall() == [(31, 20)]
        assert workflow.down(folder.load(), "emptied") == 30
        assert held() == before
        kept = connection.execute("SELECT count(*) FROM reconcile.backfill_rows").fetchone()
    assert kept == (0,)
