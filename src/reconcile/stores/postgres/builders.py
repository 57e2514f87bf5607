"""Who builds an index right now, and how a build whose client has died came out. Reads, and waits."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import TupleRow

from reconcile.errors import StoreError
from reconcile.model import Address

Connection = psycopg.Connection[TupleRow]
WAIT_SECONDS = 6 * 3600.0
"""How long a build that another session has under way is waited for."""
_LOOK = 1.0
CONCURRENT = re.compile(r"^\s*(CREATE (?:UNIQUE )?INDEX|DROP INDEX|REINDEX INDEX) CONCURRENTLY ", re.I)
"""Statements that cannot stand in a transaction and outlive their client."""
_NAME = r'"((?:[^"]|"")+)"'
_BUILT = (
    re.compile(rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<index>{_NAME}) ON (?P<schema>{_NAME})\."),
    re.compile(rf"REINDEX INDEX CONCURRENTLY (?P<schema>{_NAME})\.(?P<index>{_NAME})"),
)

_STATE = """
SELECT c.oid::bigint, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""
# REINDEX CONCURRENTLY builds NAME_ccnew; the first phases of CREATE show no index yet, or one without a name.
_FROM = """
FROM pg_stat_progress_create_index p JOIN pg_stat_activity a ON a.pid = p.pid
JOIN pg_class t ON t.oid = p.relid LEFT JOIN pg_class c ON c.oid = p.index_relid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.datname = current_database() AND p.pid <> pg_backend_pid()
  AND ((n.nspname = %(schema)s AND (c.relname = %(name)s
                                    OR regexp_replace(c.relname, '_ccnew[0-9]*$', '') = left(%(name)s, 57)))
       OR (p.index_relid = 0 AND EXISTS (
             SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
             JOIN pg_namespace xn ON xn.oid = x.relnamespace
             WHERE i.indrelid = p.relid AND x.relname = %(name)s AND xn.nspname = %(schema)s)))
"""
_BUILDER = f"SELECT p.pid, a.application_name {_FROM}"
_PROGRESS = f"""
SELECT p.phase, p.lockers_total - p.lockers_done, p.current_locker_pid, p.blocks_done, p.blocks_total,
       p.tuples_done, p.tuples_total {_FROM}
"""
"""https://www.postgresql.org/docs/current/progress-reporting.html#CREATE-INDEX-PROGRESS-REPORTING"""


@dataclass(frozen=True)
class Built:
    """An index as it stands."""

    oid: int
    valid: bool


def index_of(sql: str) -> Address | None:
    """The index that a statement of ours builds."""
    for pattern in _BUILT:
        if match := pattern.match(sql):
            parts = (match["schema"], match["index"])
            return Address("", "index", tuple(p[1:-1].replace('""', '"') for p in parts))
    return None


def state(connection: Connection, index: Address) -> Built | None:
    """The index, None where there is none."""
    row = connection.execute(_STATE, index.parts[:2]).fetchone()
    return None if row is None else Built(int(row[0]), bool(row[1]))


def builder(connection: Connection, index: Address) -> tuple[int, str] | None:
    """(pid, application_name) of another session that builds or rebuilds the index."""
    row = connection.execute(_BUILDER.encode(), {"schema": index.parts[0], "name": index.parts[1]}).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def progress(connection: Connection, index: Address) -> str | None:
    """How far the build of an index has come: `building index: scanning table, 63 % of its 900 blocks`; or None."""
    values = {"schema": index.parts[0], "name": index.parts[1]}
    row = connection.execute(_PROGRESS.encode(), values).fetchone()
    if row is None:
        return None
    phase, waited_for, locker, blocks, all_blocks, rows, all_rows = row
    if waited_for:
        return f"{phase}: {waited_for} sessions, now process {locker}"
    for done, total, unit in ((rows, all_rows, "rows"), (blocks, all_blocks, "blocks")):
        if total:
            return f"{phase}, {100 * done // total} % of its {total:,} {unit}"
    return str(phase)


def wait(connection: Connection, index: Address, store: str, on_wait: Callable[[int], None] = lambda pid: None) -> bool:
    """Wait until no other session builds the index; whether there was one.

    Raises:
        StoreError: it did not end in six hours.
    """
    until, found = time.monotonic() + WAIT_SECONDS, False
    while (other := builder(connection, index)) is not None:
        if not found:
            on_wait(other[0])
        found = True
        if time.monotonic() > until:
            raise StoreError(
                f"{index} is still being built by process {other[0]} ({other[1]})",
                where=f"store {store}",
                hint=f"wait for it, or end it: SELECT pg_terminate_backend({other[0]})",
            )
        time.sleep(_LOOK)
    return found


def note(connection: Connection, indexes: Sequence[Address]) -> str:
    """What to journal before a build: this backend, and which indexes there are."""
    before = {str(a): found.oid for a in indexes if (found := state(connection, a)) is not None}
    pid, application = connection.info.backend_pid, connection.info.parameter_status("application_name") or ""
    return json.dumps({"pid": pid, "application_name": application, "oids": before}, sort_keys=True)


def rebuilt(connection: Connection, index: Address, noted: str) -> bool:
    """Whether an index is valid and another one than was noted: REINDEX CONCURRENTLY gives it a new OID."""
    before = json.loads(noted or "{}").get("oids", {}).get(str(index))
    now = state(connection, index)
    return before is not None and now is not None and now.valid and now.oid != before
