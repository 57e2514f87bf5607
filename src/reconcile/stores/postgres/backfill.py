"""Fill a column that stands beside another, batch by batch, while everybody goes on working.

A trigger keeps rows that are written meanwhile in step, so that what there was in the beginning is all there is to do:
the pages the table has then, in order. Rows that somebody has locked are skipped and looked at again at the end: the
tool never waits for a row while it holds others, so nobody ends in a deadlock because of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.change import Op, Step
from reconcile.errors import Problem, StoreError
from reconcile.model import Json

_ROWS_PER_PAGE = 291
"""At most, in a page of 8 kB."""
_TRIES = 20
_PASSES = 4
_PLACE = "rc__place"
_RANGES = 140000
"""TID range scans came with PostgreSQL 14."""

Tell = Callable[[str], None]


def backfill(connection: psycopg.Connection[TupleRow], args: Mapping[str, Json], lock_timeout: str, tell: Tell) -> None:
    """Give every row its value. What was done before is found done: it may be broken off at any time.

    Args:
        args: `table` and `column`, quoted; `as`, the name the table goes by in `value`, SQL of what the column is to
            hold; `left`, the condition of rows that do not hold it; `rows` in a batch.
        lock_timeout: of each batch.

    Raises:
        StoreError: rows are left though each was visited: the value is not the same each time.
        psycopg.Error: as the server says; batches committed before stay.
    """
    work = _Work(connection, args, lock_timeout)
    pages, width = work.size()
    for first in range(0, pages, width):
        work.batch(first, first + width, "FOR NO KEY UPDATE SKIP LOCKED")
        tell(f"{min(first + width, pages) * 100 // pages} %")
    for _ in range(_PASSES):
        if not work.left():
            return
        pages, width = work.size()
        for first in range(0, pages, width):
            work.batch(first, first + width, "FOR NO KEY UPDATE")
    if work.left():
        raise StoreError(
            f"rows of {args['table']} are left whose {args['column']} is not {args['value']}",
            hint="a value that depends on the row alone is needed; check `using`",
        )


class _Work:
    def __init__(self, connection: psycopg.Connection[TupleRow], args: Mapping[str, Json], lock_timeout: str) -> None:
        self.connection, self.args, self.lock_timeout = connection, args, lock_timeout
        self.quiet = _quiet(connection)

    def size(self) -> tuple[int, int]:
        """Pages of the table, and how many of them make a batch."""
        row = self.connection.execute(
            "SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint,"
            " greatest(c.reltuples, 0) / greatest(c.relpages, 1) FROM pg_class c WHERE c.oid = %s::regclass",
            (self.args["table"],),
        ).fetchone()
        assert row is not None, "the table is there"
        rows = float(row[1]) or 50.0
        return int(row[0]), max(1, int(int(self.args["rows"]) / rows))

    def batch(self, first: int, last: int, lock: str) -> None:
        """One transaction over pages `first` to before `last`; tried again where a lock is not to be had."""
        table, name = self.args["table"], self.args["as"]
        sql = (
            f"WITH found AS MATERIALIZED (SELECT {name}.ctid AS {_PLACE} FROM {table} AS {name}"
            f" WHERE {self._pages(name, first, last)} AND {self.args['left']} {lock})"
            f" UPDATE {table} AS {name} SET {self.args['column']} = {self.args['value']}"
            f" FROM found WHERE {name}.ctid = found.{_PLACE}"
        )
        for attempt in range(_TRIES):
            try:
                with self.connection.transaction():
                    self._settle()
                    self.connection.execute(sql.encode())
                return
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                if attempt == _TRIES - 1:
                    raise
                time.sleep(min(0.1 * 2**attempt, 5))

    def _pages(self, name: str, first: int, last: int) -> str:
        if self.connection.info.server_version >= _RANGES:
            return f"{name}.ctid >= '({first},0)' AND {name}.ctid < '({last},0)'"
        return (
            f"{name}.ctid = ANY (ARRAY(SELECT format('(%s,%s)', page, place)::tid"
            f" FROM generate_series({first}, {last - 1}) page, generate_series(1, {_ROWS_PER_PAGE}) place))"
        )

    def left(self) -> bool:
        """Whether any row does not hold its value; reads all of them."""
        with self.connection.transaction():
            self._settle()
            row = self.connection.execute(
                f"SELECT EXISTS (SELECT FROM {self.args['table']} AS {self.args['as']}"
                f" WHERE {self.args['left']})".encode()
            ).fetchone()
        return bool(row and row[0])

    def _settle(self) -> None:
        """Rows hidden by row-level security are an error, not left out; other triggers do not fire."""
        self.connection.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', '0', true),"
            " set_config('row_security', 'off', true)",
            (self.lock_timeout,),
        )
        if self.quiet:
            self.connection.execute("SET LOCAL session_replication_role = replica")


def _quiet(connection: psycopg.Connection[TupleRow]) -> bool:
    """Whether the role may keep the triggers of the table from firing for every row of the backfill."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL session_replication_role = replica")
    except errors.InsufficientPrivilege:
        return False
    return True


_TRIGGERS = """
SELECT t.tgname::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 <> 0
  AND t.tgattr = ''::int2vector AND p.pronamespace IS DISTINCT FROM to_regnamespace('reconcile')
ORDER BY 1
"""
"""Those that an UPDATE of any column fires."""


def obstacles(connection: psycopg.Connection[TupleRow], steps: Sequence[Step], where: str) -> list[Problem]:
    """Triggers of the tables to be filled, where the role cannot keep them from firing for every row."""
    calls = [c for s in steps for c in s.calls if isinstance(c, Op) and c.op == "backfill"]
    if not calls or _quiet(connection):
        return []
    problems = []
    for call in calls:
        names = [row[0] for row in connection.execute(_TRIGGERS, (call.args["table"],)).fetchall()]
        if names:
            problems.append(
                Problem(
                    f"filling {call.args['column']} of {call.args['table']} row by row would fire {', '.join(names)}",
                    where=where,
                    hint="let the role keep triggers from firing, as a superuser (PostgreSQL 15 and later):"
                    " GRANT SET ON PARAMETER session_replication_role TO ROLE; or disable them meanwhile",
                )
            )
    return problems
