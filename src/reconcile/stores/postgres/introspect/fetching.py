"""The rows of all catalog queries, in one snapshot: sent together, and while resources are made of the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import TupleRow, tuple_row

from reconcile.errors import ReconcileError
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Row, Rows

Connection: TypeAlias = psycopg.Connection[Any]
Another: TypeAlias = Callable[[], Connection]
"""Makes a second connection of the same kind."""
Fetch: TypeAlias = Callable[[], list[Row]]

LARGE = frozenset({"references", "columns", "indexes", "constraints"})
"""Queries with a row a column or so."""
BESIDE = ("indexes", "constraints")
"""Those a second connection takes over: the server spends as long on them as on all others."""
_AT_ONCE = 1_000
"""Rows that are fetched in one go."""
_MANY = 1 << 20
"""Bytes of pg_class, some five thousand relations, from which on a second connection is worth its making."""


def settle(connection: Connection, path: Sequence[str], last: Sequence[str] = (), besides: Sequence[str] = ()) -> None:
    """Fix, for this transaction, all settings that the server's spelling depends on.

    `search_path` becomes the first of `path`, then the schemas that hold extensions but for `besides`, then `last`.
    Where names are read, the other schemas of the scope are such: what they hold besides extensions is qualified.
    """
    wanted = {"path": list(path[:1]), "last": list(last), "besides": list(besides)}
    _cursor(connection).execute(queries.SETTINGS, wanted, prepare=False)


@contextmanager
def fetched(
    connection: Connection, schemas: Sequence[str], texts: Mapping[str, str], another: Another | None = None
) -> Iterator[Rows]:
    """The rows of the queries `texts` over `schemas`: most sent together, those of `LARGE` when they are asked for.

    The driver holds all results of what is sent together at once, outside Python, beside the rows they become; of
    the large ones it holds a part. Where there is much, a second process of the server works on some of them
    meanwhile, in the same snapshot.

    Args:
        connection: in a transaction, settled (`settle`).
        another: asked for a second connection where there is much to read.
    """
    version = connection.info.server_version
    wanted = {"schemas": list(schemas)}
    ready = {name: queries.for_version(sql, version).encode() for name, sql in texts.items()}
    fetch: dict[str, Fetch] = {n: partial(_rows, connection, ready[n], wanted) for n in LARGE}
    with ExitStack() as open_:
        if another is not None and _much(connection):
            beside = open_.enter_context(_Beside(connection, another, schemas))
            queue = [(name, ready[name]) for name in BESIDE]
            fetch = {**fetch, **beside.fetches(queue, wanted, fetch)}
        with connection.pipeline():
            cursors = {
                name: _cursor(connection).execute(sql, wanted, prepare=False)
                for name, sql in ready.items()
                if name not in LARGE
            }
        yield _Rows({name: cursor.fetchall() for name, cursor in cursors.items()}, fetch)


class _Rows(dict[str, list[Row]]):
    """Rows by name of their query; those of a large query come when they are asked for."""

    def __init__(self, rows: Mapping[str, list[Row]], fetch: Mapping[str, Fetch]) -> None:
        super().__init__(rows)
        self._fetch = fetch

    def __missing__(self, name: str) -> list[Row]:
        self[name] = self._fetch[name]()
        return self[name]


def _much(connection: Connection) -> bool:
    """Whether a second connection pays; a standby is spared it."""
    row = connection.execute(
        "select pg_relation_size('pg_class') >= %s and not pg_is_in_recovery()", [_MANY]
    ).fetchone()
    return bool(row and row[0])


class _Beside:
    """A second connection that sees what the first sees, and a thread that reads from it."""

    def __init__(self, first: Connection, another: Another, schemas: Sequence[str]) -> None:
        row = first.execute("select pg_export_snapshot()").fetchone()
        self._snapshot = str(row and row[0])
        self._another, self._schemas = another, schemas
        self._thread = ThreadPoolExecutor(1)
        self._made: Connection | None = None

    def __enter__(self) -> _Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._made is not None:
            self._made.close()

    def fetches(
        self, queue: Sequence[tuple[str, bytes]], wanted: Mapping[str, object], instead: Mapping[str, Fetch]
    ) -> dict[str, Fetch]:
        """What gives the rows of each query of `queue`: the first is begun, the next when one has been taken.

        Where the connection fails (all may be taken) it is `instead` that gives them: slower, and as right.
        """
        begun: list[Future[list[Row]]] = []

        def begin() -> None:
            if len(begun) < len(queue):
                begun.append(self._thread.submit(self._read, queue[len(begun)][1], wanted))

        def take(number: int, name: str) -> list[Row]:
            while len(begun) <= number:
                begin()
            try:
                return begun[number].result()
            except (psycopg.Error, ReconcileError):
                return instead[name]()
            finally:
                begin()

        begin()
        return {name: partial(take, number, name) for number, (name, _) in enumerate(queue)}

    def _read(self, sql: bytes, wanted: Mapping[str, object]) -> list[Row]:
        if self._made is None:
            self._made = self._another()
            self._made.autocommit = False
            self._made.execute("set transaction isolation level repeatable read, read only")
            self._made.execute(psycopg.sql.SQL("set transaction snapshot {}").format(self._snapshot))
            self._made.execute("set local lock_timeout = '10s'")
            settle(self._made, self._schemas, besides=self._schemas[1:])
        return _rows(self._made, sql, wanted)


def _rows(connection: Connection, sql: bytes, wanted: Mapping[str, object]) -> list[Row]:
    with connection.cursor("reconcile_rows", row_factory=tuple_row) as cursor:
        cursor.execute(sql, wanted)
        return [row for part in iter(lambda: cursor.fetchmany(_AT_ONCE), []) for row in part]


def _cursor(connection: Connection) -> psycopg.Cursor[TupleRow]:
    return connection.cursor(row_factory=tuple_row)
