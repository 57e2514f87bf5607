"""Reference rows: planned as the difference, inserted and updated by key, empty when equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.projects import Folder

from reconcile.errors import BlockedError, ProjectError

OWNERS = """
tables:
  owners:
    columns: {id: {type: integer, not_null: true}, name: text}
    primary_key: [id]
    rows: {key: [id], values: [{id: 1, name: it's}]}
  services:
    columns:
      name: {type: text, not_null: true}
      timeout: {type: interval, not_null: true, default: "'1s'"}
      tags: "text[]"
      settings: jsonb
      price: numeric(10,2)
      owner: integer
      note: text
    primary_key: [name]
    foreign_keys: {services_owner_fkey: {columns: [owner], references: owners}}
    rows:
      key: [name]
      extra: EXTRA
      values:
        - {name: search, timeout: 500ms, tags: [a, "b,c"], settings: {k: [1, x]}, price: 1.5, owner: 1}
        - {name: chat, price: 2}
"""
ALL = "SELECT name, timeout::text, tags, settings, price::text, owner, note FROM services ORDER BY name"


@pytest.fixture
def folder(tmp_path: Path, make_postgres_database: Any) -> Folder:
    return Folder(tmp_path, {"app": {"kind": "postgres", "url": make_postgres_database()}})


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def declared(extra: str = "keep") -> str:
    return OWNERS.replace("EXTRA", extra)


def test_rows_are_made_updated_and_then_equal(folder: Folder) -> None:
    folder.declare(app=declared()).apply()
    assert sql(folder, ALL) == [
        ("chat", "00:00:01", None, None, "2.00", None, None),
        ("search", "00:00:00.5", ["a", "b,c"], {"k": [1, "x"]}, "1.50", 1, None),
    ]
    assert folder.plan().steps == ()
    sql(
        folder,
        "UPDATE services SET price = 9, note = 'theirs' WHERE name = 'chat'; DELETE FROM services WHERE owner = 1",
    )
    sql(folder, "INSERT INTO services (name) VALUES ('mine')")
    plan = folder.plan()
    assert [c.describe for c in plan.resource_changes] == ["insert search; update chat (price 9.0 → 2)"]
    folder.apply()
    assert [row[0] for row in sql(folder, ALL)] == ["chat", "mine", "search"]
    assert sql(folder, "SELECT price, note FROM services WHERE name = 'chat'")[0][1] == "theirs"
    assert folder.plan().steps == ()


def test_extra_rows_are_deleted_only_where_that_is_declared_and_allowed(folder: Folder) -> None:
    folder.declare(app=declared()).apply()
    sql(folder, "INSERT INTO services (name) VALUES ('mine')")
    folder.declare(app=declared("delete"))
    assert folder.plan().resource_changes[0].describe == "delete mine"
    with pytest.raises(BlockedError, match="deletes-data"):
        folder.apply()
    folder.apply("deletes-data")
    assert [row[0] for row in sql(folder, ALL)] == ["chat", "search"]
    assert folder.plan().steps == ()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("{key: [name], values: [{id: 1, name: a}]}", "key: name is not unique in this table"),
        ("{key: [id], values: [{id: 1, nam: a}]}", 'there is no column "nam" in this table'),
        ("{key: [id], values: [{id: 1}, {id: 1}]}", "two rows have the key 1"),
        ("{key: [id], values: [{name: a}]}", "the row has no id, which is its key"),
    ],
)
def test_wrong_rows_are_told_at_their_lines(folder: Folder, rows: str, told: str) -> None:
    folder.declare(app=declared().replace("{key: [id], values: [{id: 1, name: it's}]}", rows))
    with pytest.raises(ProjectError) as error:
        folder.load().desired()
    assert told in str(error.value) and "schema/app.yaml:7:" in str(error.value)
