"""A table whose rows a backfill counts up by one: so that each is seen to have been changed once."""

from __future__ import annotations

TABLE = """
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, n: {type: int, not_null: true, default: 0}}
    primary_key: [id]
"""
COUNTED = """
backfills:
  counted:
    select: SELECT id FROM documents
    key: id
    once: true
    batch: 50
    statement: UPDATE documents SET n = n + 1 WHERE id = ANY ($keys)
    verify: [{query: SELECT count(*) FROM documents WHERE n <> 1, expect: 0}]
"""


def counted(more: str) -> str:
    """The backfill with one more key."""
    return COUNTED.replace("batch: 50\n", f"batch: 50\n    {more}\n")
