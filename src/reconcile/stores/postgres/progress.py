"""How far migrations are that take several transactions: a table beside theirs, gone when nothing is under way."""

from __future__ import annotations

import json
from collections.abc import Mapping

from reconcile.stores.migrating import Part, Progress
from reconcile.stores.postgres.connect import Connection

_MAKE = """
CREATE TABLE IF NOT EXISTS {table} (name text PRIMARY KEY, checksum text NOT NULL, head text NOT NULL,
  done integer NOT NULL, begun boolean NOT NULL, indexes text NOT NULL, at timestamptz NOT NULL DEFAULT now())
"""
_NOTE = """
INSERT INTO {table} (name, checksum, head, done, begun, indexes) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (name)
DO UPDATE SET checksum = excluded.checksum, head = excluded.head, done = excluded.done, begun = excluded.begun,
  indexes = excluded.indexes, at = now()
"""


def exists(connection: Connection, table: str) -> bool:
    """Whether anything is under way."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return bool(row and row[0])


def read(connection: Connection, table: str) -> dict[str, Progress]:
    """By the name of the migration."""
    if not exists(connection, table):
        return {}
    found = connection.execute(f"SELECT name, done, begun, checksum, head FROM {table}".encode()).fetchall()
    return {str(name): Progress(int(d), bool(b), str(checksum), str(head)) for name, d, b, checksum, head in found}


def indexes(connection: Connection, table: str, name: str) -> dict[str, str]:
    """The indexes that were there before the statement under way began, names by OID."""
    row = connection.execute(f"SELECT indexes FROM {table} WHERE name = %s".encode(), (name,)).fetchone()
    return {} if row is None else dict(json.loads(str(row[0])))


def note(
    connection: Connection, table: str, part: Part, *, begun: bool, there: Mapping[str, str] | None = None
) -> None:
    """Keep that a part has begun, or is done.

    Args:
        there: the indexes before it, where it builds one.
    """
    connection.execute(_MAKE.format(table=table).encode())
    done = part.at if begun else part.at + 1
    values = (part.name, part.checksum, part.head, done, begun, json.dumps(dict(there or {})))
    connection.execute(_NOTE.format(table=table).encode(), values)


def forget(connection: Connection, table: str, name: str) -> None:
    """Take out what is kept of a migration, and the table when it is empty."""
    if exists(connection, table):
        connection.execute(f"DELETE FROM {table} WHERE name = %s".encode(), (name,))
        if connection.execute(f"SELECT 1 FROM {table} LIMIT 1".encode()).fetchone() is None:
            connection.execute(f"DROP TABLE {table}".encode())
