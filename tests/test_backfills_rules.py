"""Rules over rows that a backfill of the same plan fills: made, or hardened, after it, and looked at only then."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from reconcile import planfile, workflow
from reconcile.errors import PartialError, ReconcileError
from reconcile.render.text import render
from reconcile.sandbox.scratch import Neo4jDatabase
from tests.projects import Folder, cypher

BEFORE = """
tables:
  owners: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
  documents:
    columns:
      id: {type: bigint, not_null: true}
      path: text
      size: integer
      owner: bigint
    primary_key: [id]
"""
AFTER = r"""
tables:
  owners: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
  documents:
    columns:
      id: {type: bigint, not_null: true}
      path: text
      title: {type: text, not_null: true}
      size: {type: integer, not_null: true}
      owner: bigint
    primary_key: [id]
    checks: {size_positive: size > 0}
    unique: {title_once: [title]}
    foreign_keys: {owner_known: {columns: [owner], references: owners}}
backfills:
  titles:
    depends_on: [app.column.public.documents.title]
    select: SELECT id FROM documents WHERE title IS NULL AND id < 700
    key: id
    statement: UPDATE documents SET title = path || id WHERE id = ANY ($keys)
  sizes:
    select: SELECT id FROM documents WHERE size IS NULL OR size <= 0
    key: id
    into: documents
    function: sizes.py:sizes
  owners:
    select: SELECT id FROM documents WHERE owner IS NULL OR owner = 9
    key: id
    into: documents
    rules: {set: owner, cases: [{value: 1, when: {id: .}}]}
"""
SIZES = 'def sizes(rows):\n    return [{"key": row["key"], "size": 1} for row in rows]\n'


def test_rules_over_what_a_backfill_fills_in_one_plan(tmp_path: Path, postgres_database: str) -> None:
    """A new NOT NULL column, NOT NULL and a check of a filled one, a key: each after the backfill."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    (tmp_path / "sizes.py").write_text(SIZES)
    folder.declare(app=BEFORE).apply()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO owners VALUES (1)")
        connection.execute("INSERT INTO documents SELECT n, 'a/', n % 3 - 1, 9 FROM generate_series(1, 700) n")
        folder.declare(app=AFTER)
        plan = folder.plan()
        assert "its rows are looked at after app.backfill.titles" in render(planfile.to_json(plan))
        places = {step.id: place for place, step in enumerate(plan.steps)}
        assert places["app.column.public.documents.title/1-add"] < places["app.backfill.titles/1-run"]
        assert places["app.unique.public.documents.title_once/1-build"] > places["app.backfill.titles/1-run"]
        assert places["app.check.public.documents.size_positive/1-add"] > places["app.backfill.sizes/1-run"]
        with pytest.raises(PartialError, match=r"title is still null in public\.documents: 1 row \(id = 700\)"):
            workflow.apply(folder.load(), planfile.from_json(planfile.to_json(plan)))
        connection.execute("UPDATE documents SET title = 'by hand' WHERE id = 700")
        workflow.resume(folder.load())
    assert folder.plan().steps == ()


FILL = """-- what is new in documents; 700 is for somebody to decide
UPDATE documents SET title = path || id WHERE title IS NULL AND id < 700;
UPDATE documents SET size = 1 WHERE size IS NULL OR size <= 0;
UPDATE documents SET owner = 1 WHERE owner = 9;
"""


def test_rules_over_what_a_pending_migration_fills_in_one_plan(tmp_path: Path, postgres_database: str) -> None:
    """As after a backfill: whatever the tables are that its statements name."""
    settings = {"migrations": {"old": {"store": "app", "folder": "migrations"}}}
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}, settings)
    (tmp_path / "migrations").mkdir()
    folder.declare(app=BEFORE).apply()
    (tmp_path / "migrations" / "001_fill.sql").write_text(FILL)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO owners VALUES (1)")
        connection.execute("INSERT INTO documents SELECT n, 'a/', n % 3 - 1, 9 FROM generate_series(1, 700) n")
        folder.declare(app=AFTER.partition("backfills:")[0])
        plan = folder.plan()
        assert "its rows are looked at after app.migration.old.001" in render(planfile.to_json(plan))
        places = {step.id: place for place, step in enumerate(plan.steps)}
        assert places["app.column.public.documents.title/1-add"] < places["app.migration.old.001/1-run"]
        for rule in ("unique.public.documents.title_once/1-build", "check.public.documents.size_positive/1-add"):
            assert places[f"app.{rule}"] > places["app.migration.old.001/1-run"]
        with pytest.raises(PartialError, match=r"title is still null in public\.documents: 1 row \(id = 700\)"):
            workflow.apply(folder.load(), planfile.from_json(planfile.to_json(plan)))
        connection.execute("UPDATE documents SET title = 'by hand' WHERE id = 700")
        workflow.resume(folder.load())
    assert folder.plan().steps == ()


PEOPLE = "constraints: {person_name: {label: Person, unique: [name]}}\n"
APART = """
backfills:
  names:
    select: MATCH (p:Person) WHERE p.name = 'same'
    key: p
    statement: SET p.name = p.name + p.number
"""


def test_a_constraint_over_what_a_backfill_sets_apart(tmp_path: Path, neo4j_database: Neo4jDatabase) -> None:
    graph = {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user}
    graph |= {"password": neo4j_database.password} if neo4j_database.password else {}
    folder = Folder(tmp_path, {"graph": graph}, {"ledger": {"file": "ledger.db"}})
    cypher(folder, "UNWIND range(1, 600) AS n CREATE (:Person {name: 'same', number: n})")
    with pytest.raises(ReconcileError, match="occurs more than once"):
        folder.declare(graph=PEOPLE).apply()
    folder.declare(graph=PEOPLE + APART).apply()
    assert cypher(folder, "MATCH (p:Person) RETURN count(DISTINCT p.name)") == [[600]]
    assert folder.plan().steps == ()
