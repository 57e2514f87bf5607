"""DETACH PARTITION … CONCURRENTLY that was broken off: its first transaction may have ended, and the second not."""

from __future__ import annotations

import re
from typing import Any

import psycopg

_NAME = r'"(?:[^"]|"")+"\."(?:[^"]|"")+"'
_DETACH = re.compile(rf"(ALTER TABLE {_NAME} DETACH PARTITION ({_NAME})) CONCURRENTLY$")

_PENDING = """
SELECT i.inhdetachpending FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.oid = to_regclass(%s)
"""


def finish(connection: psycopg.Connection[Any], sql: str) -> bool:
    """Whether a statement that failed was such a DETACH and is done now: finalized, or done by an earlier try.

    See https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION
    """
    found = _DETACH.match(sql)
    if found is None:
        return False
    row = connection.execute(_PENDING, (found[2],)).fetchone()
    if row is None or row[0] is False:
        return False
    if row[0]:
        connection.execute(f"{found[1]} FINALIZE".encode())
    return True
