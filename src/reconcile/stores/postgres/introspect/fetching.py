"""The rows of all catalog queries, in one snapshot: sent together, and while resources are made of the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import TupleRow, tuple_row

from reconcile.errors import ReconcileError
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Row, Rows

Connection: TypeAlias = psycopg.Connection[Any]
Another: TypeAlias = Callable[[], Connection]
"""Makes a second connection of the same kind."""

LARGE = ("references", "columns", "indexes", "constraints")
"""Queries with a row a column or so, in the order in which they are read."""
_BESIDE = ("indexes", "constraints")
"""Those a second connection takes over: the server spends as long on them as on all others."""
_AT_ONCE = 10_000
"""Rows that are fetched in one go."""
_MANY = 1 << 20
"""Bytes of pg_class, some five thousand relations, from which on a second connection is worth its making."""


def settle(connection: Connection, path: Sequence[str], last: Sequence[str] = ()) -> None:
    """Fix, for this transaction, all settings that the server's spelling depends on.

    `search_path` becomes the first of `path`, then the schemas that hold extensions, then `last`.
    """
    _cursor(connection).execute(queries.SETTINGS, {"path": list(path[:1]), "last": list(last)}, prepare=False)


@contextmanager
def fetched(
    connection: Connection, schemas: Sequence[str], texts: Mapping[str, str], another: Another | None = None
) -> Iterator[Rows]:
    """The rows of the queries `texts` over `schemas`: most sent together, those of `LARGE` by threads of their own.

    The driver holds all results of what is sent together at once, outside Python, beside the rows they become; of
    the large ones it holds a part. The server works on the next while resources are made of the last; where there is
    much, two of its processes do, in one snapshot.

    Args:
        connection: in a transaction, settled (`settle`).
        another: asked for a second connection where there is much to read.
    """
    version = connection.info.server_version
    wanted = {"schemas": list(schemas)}
    ready = {name: queries.for_version(sql, version).encode() for name, sql in texts.items()}
    with ExitStack() as open_, ThreadPoolExecutor(1) as own, ThreadPoolExecutor(1) as other:
        coming: dict[str, Future[list[Row]]] = {}
        if another is not None and _much(connection):
            beside = _Beside(connection, another, schemas, open_)
            coming = {name: other.submit(beside.rows, ready[name], wanted) for name in _BESIDE}
        with connection.pipeline():
            cursors = {
                name: _cursor(connection).execute(sql, wanted, prepare=False)
                for name, sql in ready.items()
                if name not in LARGE
            }
        left = [name for name in LARGE if name not in coming]
        coming |= {name: own.submit(_rows, connection, ready[name], wanted) for name in left}
        try:
            yield _Rows({name: cursor.fetchall() for name, cursor in cursors.items()}, coming)
        finally:
            for fetch in coming.values():  # what a reader that failed did not come to
                fetch.cancel()


class _Rows(dict[str, list[Row]]):
    """Rows by name of their query; those of large queries are waited for when they are asked for."""

    def __init__(self, rows: Mapping[str, list[Row]], coming: dict[str, Future[list[Row]]]) -> None:
        super().__init__(rows)
        self._coming = coming

    def __missing__(self, name: str) -> list[Row]:
        self[name] = self._coming.pop(name).result()
        return self[name]


def _much(connection: Connection) -> bool:
    """Whether a second connection pays; a standby is spared it."""
    row = connection.execute(
        "select pg_relation_size('pg_class') >= %s and not pg_is_in_recovery()", [_MANY]
    ).fetchone()
    return bool(row and row[0])


class _Beside:
    """A second connection that sees what the first sees; where none can be had, the first. Of one thread."""

    def __init__(self, first: Connection, another: Another, schemas: Sequence[str], open_: ExitStack) -> None:
        row = first.execute("select pg_export_snapshot()").fetchone()
        self._snapshot = str(row and row[0])
        self._first, self._another, self._schemas, self._open = first, another, schemas, open_
        self._made: Connection | None = None

    def rows(self, sql: bytes, wanted: Mapping[str, object]) -> list[Row]:
        """Of one query."""
        if self._made is None:
            try:
                self._made = self._make()
            except (psycopg.Error, ReconcileError):  # all connections are taken: slower, and as right
                self._made = self._first
        return _rows(self._made, sql, wanted)

    def _make(self) -> Connection:
        made = self._open.enter_context(self._another())
        made.autocommit = False
        made.execute("set transaction isolation level repeatable read, read only")
        made.execute(psycopg.sql.SQL("set transaction snapshot {}").format(self._snapshot))
        made.execute("set local lock_timeout = '10s'")
        settle(made, self._schemas)
        return made


def _rows(connection: Connection, sql: bytes, wanted: Mapping[str, object]) -> list[Row]:
    with connection.cursor("reconcile_rows", row_factory=tuple_row) as cursor:
        cursor.execute(sql, wanted)
        return [row for part in iter(lambda: cursor.fetchmany(_AT_ONCE), []) for row in part]


def _cursor(connection: Connection) -> psycopg.Cursor[TupleRow]:
    return connection.cursor(row_factory=tuple_row)
