"""What a run leaves without statistics has them at its end."""

from __future__ import annotations

from pathlib import Path

import psycopg
from tests.projects import Folder

OLD = """
tables:
  grown: {columns: {id: integer, size: integer}}
  other: {columns: {id: integer}}
"""
NEW = """
tables:
  grown: {columns: {id: integer, size: text, lang: {type: text, not_null: true, default: "'en'"}}}
  other: {columns: {id: integer}}
  empty: {columns: {id: integer}}
materialized_views: {sizes: {query: "select size, count(*) as n from grown group by size"}}
"""


def test_changed_columns_and_new_views_are_analyzed(tmp_path: Path, postgres_database: str) -> None:
    """And nothing else: not what no step touched, nor what is empty."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=OLD).apply()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO grown SELECT n, n FROM generate_series(1, 100) n; INSERT INTO other VALUES (1)")
        connection.execute("ANALYZE grown; ALTER TABLE grown SET (autovacuum_enabled = off)")
        folder.declare(app=NEW).apply("all")
        asked = "SELECT tablename, attname FROM pg_stats WHERE schemaname = 'public' ORDER BY 1, 2"
        assert connection.execute(asked).fetchall() == [
            ("grown", "id"),
            ("grown", "lang"),
            ("grown", "size"),
            ("sizes", "n"),
            ("sizes", "size"),
        ]
        assert not folder.plan().steps
