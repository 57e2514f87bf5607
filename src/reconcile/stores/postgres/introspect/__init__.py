"""Live -> resources. Reads only, in one snapshot, with a fixed number of catalog queries.

`introspect` is what a session calls; `read` gives the same of any schemas, under other names if wanted, which
is how the scratch build of `canonical` is read back: by the very same queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

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
from reconcile.stores.postgres.introspect.catalog import Catalog, Rows
from reconcile.stores.postgres.introspect.fetching import Another, fetched, settle
from reconcile.stores.postgres.resources import OWN_SCHEMA

__all__ = ["QUERIES", "READERS", "fetched", "introspect", "read", "resources", "settle"]

READERS = (tables, partitions, sequences, types, routines, constraints, indexes, statistics, views, attached, access)
"""One module a group of kinds: `QUERIES`, `names` to say what is called how, `read` to make resources of it."""

QUERIES: Mapping[str, str] = {
    "schemas": queries.SCHEMAS,
    "comments": queries.COMMENTS,
    "references": queries.REFERENCES,
    "not_modelled": queries.NOT_MODELLED,
    "not_modelled_beside": queries.BESIDE,
    "beside": beside.QUERY,
    **{name: sql for reader in READERS for name, sql in reader.QUERIES.items()},
}


def introspect(
    connection: psycopg.Connection[Any],
    store: str,
    schemas: Sequence[str],
    ledger: str | None = None,
    another: Another | None = None,
) -> Live:
    """All modelled objects of `schemas`, the extensions, and the names of what is not modelled.

    Args:
        connection: outside a transaction, or in one that may be read from.
        store: the store's name, for addresses.
        schemas: the scope, the first one being where unqualified names are looked up. Missing ones are empty.
        ledger: the schema of the tool's own tables, if not `reconcile`.
        another: makes a second connection, for large databases.

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
        settle(connection, managed, besides=managed[1:])
        catalog = Catalog(store)
        with fetched(connection, managed, QUERIES, None if nested else another) as rows:
            state = resources(catalog, rows)
    others = [NotModelled(Address(store, kind, tuple(parts)), what) for kind, parts, what in rows["not_modelled"]]
    database = Address(store, "database", (connection.info.dbname,))
    others += [NotModelled(Address(store, k, tuple(p)), what, database) for k, p, what in rows["not_modelled_beside"]]
    hidden = tuple(
        f"no USAGE on schema {name}: GRANT USAGE ON SCHEMA {name} to the role that connects"
        for _, name, _, usage, _ in rows["schemas"]
        if not usage
    )
    return Live(state, (*catalog.not_modelled, *others), hidden)


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
    with fetched(connection, list(schemas), QUERIES) as rows:
        return resources(Catalog(store, spell, schemas), rows)
