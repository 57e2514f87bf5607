"""Live -> resources. Reads only, in one snapshot, with a fixed number of catalog queries.

`introspect` is what a session calls; `read` gives the same of any schemas, under other names if wanted, which
is how the scratch build of `canonical` is read back: by the very same queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

from reconcile.model import Address, State
from reconcile.stores.base import Live, NotModelled
from reconcile.stores.postgres.introspect import (
    access,
    attached,
    beside,
    constraints,
    indexes,
    partitions,
    queries,
    routines,
    sequences,
    statistics,
    tables,
    types,
    views,
)
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.resources import OWN_SCHEMA

READERS = (tables, partitions, sequences, types, routines, constraints, indexes, statistics, views, attached, access)
"""One module a group of kinds: `QUERIES`, `names` to say what is called how, `read` to make resources of it."""

QUERIES: Mapping[str, str] = {
    "schemas": queries.SCHEMAS,
    "comments": queries.COMMENTS,
    "references": queries.REFERENCES,
    "not_modelled": queries.NOT_MODELLED,
    "beside": beside.QUERY,
    **{name: sql for reader in READERS for name, sql in reader.QUERIES.items()},
}


LARGE = ("references", "columns", "indexes", "constraints")
"""Queries with a row a column or so, in the order in which they are read."""
_AT_ONCE = 10_000
"""Rows of them that are fetched in one go."""


def introspect(
    connection: psycopg.Connection[Any], store: str, schemas: Sequence[str], ledger: str | None = None
) -> Live:
    """All modelled objects of `schemas`, the extensions, and the names of what is not modelled.

    Args:
        connection: outside a transaction, or in one that may be read from.
        store: the store's name, for addresses.
        schemas: the scope, the first one being where unqualified names are looked up. Missing ones are empty.
        ledger: the schema of the tool's own tables, if not `reconcile`.

    Raises:
        psycopg.Error: as the server says; the session makes it a StoreError.
    """
    managed = [s for s in schemas if s not in (OWN_SCHEMA, ledger)]
    nested = connection.info.transaction_status != TransactionStatus.IDLE
    with connection.transaction():
        if not nested:
            connection.execute("set transaction isolation level repeatable read, read only")
            # pg_get_expr takes a lock on the table: behind somebody's ALTER TABLE an error is better than silence
            connection.execute("set local lock_timeout = '10s'")
        settle(connection, managed)
        catalog = Catalog(store)
        with fetched(connection, managed) as rows:
            state = resources(catalog, rows)
    others = [NotModelled(Address(store, kind, tuple(parts)), what) for kind, parts, what in rows["not_modelled"]]
    hidden = tuple(
        f"no USAGE on schema {name}: GRANT USAGE ON SCHEMA {name} to the role that connects"
        for _, name, _, usage, _ in rows["schemas"]
        if not usage
    )
    return Live(state, (*catalog.not_modelled, *others), hidden)


def settle(connection: psycopg.Connection[Any], path: Sequence[str], last: Sequence[str] = ()) -> None:
    """Fix, for this transaction, all settings that the server's spelling depends on.

    `search_path` becomes the first of `path`, then the schemas that hold extensions, then `last`.
    """
    _cursor(connection).execute(queries.SETTINGS, {"path": list(path[:1]), "last": list(last)}, prepare=False)


@contextmanager
def fetched(connection: psycopg.Connection[Any], schemas: Sequence[str]) -> Iterator[Rows]:
    """The rows of all catalog queries over `schemas`: most sent together, those of `LARGE` when they are asked for.

    Of what is sent together the driver holds all results at once, outside Python, beside the rows they become; of the
    large ones it holds a part. They are fetched by a thread of their own: the server is asked for the next while
    resources are made of the last.
    """
    version = connection.info.server_version
    wanted = {"schemas": list(schemas)}
    texts = {name: queries.for_version(sql, version).encode() for name, sql in QUERIES.items()}
    with connection.pipeline():
        cursors = {
            name: _cursor(connection).execute(sql, wanted, prepare=False)
            for name, sql in texts.items()
            if name not in LARGE
        }

    def later(name: str) -> list[Row]:
        with connection.cursor(f"reconcile_{name}", row_factory=tuple_row) as cursor:
            cursor.execute(texts[name], wanted)
            rows: list[Row] = []
            while part := cursor.fetchmany(_AT_ONCE):
                rows += part
            return rows

    with ThreadPoolExecutor(max_workers=1) as one:
        coming = {name: one.submit(later, name) for name in LARGE}
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


def resources(catalog: Catalog, rows: Rows) -> State:
    """All that `rows` describe; what is left out is noted in the catalog."""
    catalog.read_shared(rows)
    for reader in READERS:
        reader.names(catalog, rows)
    found = State.of(x for reader in READERS for x in reader.read(catalog, rows))
    found = partitions.without_doubles(catalog, found) if rows["partitions"] else found
    return beside.marked(catalog, rows["beside"], found) if rows["beside"] else found


def read(
    connection: psycopg.Connection[Any], store: str, schemas: Mapping[str, str], spell: Callable[[str], str]
) -> State:
    """What is in the schemas that `schemas` has, under the names it gives them, every text passed through `spell`.

    The caller has called `settle`.
    """
    with fetched(connection, list(schemas)) as rows:
        return resources(Catalog(store, spell, schemas), rows)


def _cursor(connection: psycopg.Connection[Any]) -> psycopg.Cursor[TupleRow]:
    return connection.cursor(row_factory=tuple_row)
