"""Removals keep: what held data is put away, ignored, and comes back whole; over real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from tests.projects import Folder

LONG = "a" * 60 + "ü"
OLD = f"""
tables:
  notes:
    columns:
      id: {{type: bigint, not_null: true, identity: always}}
      body: text
      kind: {{type: varchar(20), not_null: true, default: "'a'"}}
      owner: {{type: bigint, not_null: true}}
    primary_key: [id]
    unique: {{notes_body_key: [body]}}
    checks: {{notes_kind_check: kind <> ''}}
    foreign_keys: {{notes_owner_fkey: {{columns: [owner], references: people}}}}
    indexes: {{notes_kind_idx: {{columns: [kind]}}}}
    triggers: {{notes_touch: {{when: before, events: [update], for_each: row, function: touch()}}}}
  tags:
    columns: {{id: {{type: bigint, not_null: true}}, note: bigint, old: {{type: text, not_null: true, default: "'x'"}}}}
    primary_key: [id]
    foreign_keys: {{tags_note_fkey: {{columns: [note], references: notes, on_delete: cascade}}}}
    indexes: {{tags_old_idx: {{columns: [old]}}}}
  people: {{columns: {{id: {{type: bigint, not_null: true}}}}, primary_key: [id]}}
  {LONG[:50]}: {{columns: {{id: bigint}}}}
functions:
  touch(): {{definition: "create function touch() returns trigger language plpgsql as $$ begin return new; end $$"}}
"""
NEW = """
tables:
  tags:
    columns: {id: {type: bigint, not_null: true}, note: bigint}
    primary_key: [id]
  people: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
"""
ROWS = {
    "people": "SELECT id FROM people ORDER BY id",
    "notes": "SELECT id, body, kind, owner FROM notes ORDER BY id",
    "tags": "SELECT id, note, old FROM tags ORDER BY id",
}


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def rows(folder: Folder) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sql(folder, query) for name, query in ROWS.items()}


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}).declare(app=OLD)
    folder.apply()
    sql(folder, "INSERT INTO people SELECT n FROM generate_series(1, 9) n")
    sql(folder, "INSERT INTO notes (body, owner) SELECT 'b' || n, n FROM generate_series(1, 9) n")
    sql(folder, "INSERT INTO tags SELECT n, n, 'o' || n FROM generate_series(1, 9) n")
    return folder


def moved(folder: Folder) -> list[object]:
    found = workflow.drift(folder.load())
    return [*found["drift"], *found["extra"], *found["unmanaged"]]


def test_a_table_and_a_column_are_kept_and_come_back(folder: Folder) -> None:
    """With foreign keys in and out, a trigger, an identity; row by row; and again after that."""
    before, held = folder.live(), rows(folder)
    for _ in range(2):
        plan = folder.declare(app=NEW).plan(allow=("breaks-clients",))
        assert not plan.observed["blocked"]
        run = workflow.apply(folder.load(), plan).run
        assert not folder.plan().steps
        assert not moved(folder)
        sql(folder, "INSERT INTO tags (id, note) VALUES (100, 77)")  # no foreign key, no NOT NULL
        sql(folder, "DELETE FROM tags WHERE id = 100")
        sql(folder, "DELETE FROM people WHERE id = 9; INSERT INTO people VALUES (9)")  # nothing refers to it
        made = workflow.rollback(folder.load(), run, allow=("breaks-clients",))
        assert not any(s.hazards & {"deletes-data", "rewrites-table"} for s in made.steps)
        workflow.apply(folder.load(), made)
        assert (folder.live(), rows(folder)) == (before, held)
        assert not moved(folder)
        assert not folder.plan().steps
        sql(folder, "INSERT INTO notes (body, owner) VALUES ('next', 1); DELETE FROM notes WHERE body = 'next'")
        workflow.let_go(folder.load(), [str(run)])
    assert sql(folder, "SELECT count(*) FROM pg_class WHERE relname LIKE 'kept%'") == [(0,)]
