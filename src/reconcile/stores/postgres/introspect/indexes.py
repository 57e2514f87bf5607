"""Indexes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Catalog, Rows, spent
from reconcile.stores.postgres.introspect.indexdef import items, options
from reconcile.stores.postgres.introspect.partitions import attached_to

Targets = Mapping[tuple[int, int], int]
"""Statistics targets by index and number of the key."""

QUERIES = {"indexes": queries.INDEXES, "index_statistics": queries.INDEX_STATISTICS}


def names(catalog: Catalog, rows: Rows) -> None:
    """Nothing refers to an index."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Those that no constraint has, of the modelled tables and materialized views."""
    attached = attached_to(catalog, rows)
    targets = {(oid, number): target for oid, number, target in rows["index_statistics"]}
    for row in spent(rows["indexes"]):
        oid, relation, schema, name, method, unique, valid, not_distinct, count, numbers = row[:10]
        reloptions, definition, predicate, constraint, tablespace, order = row[10:16]
        table = catalog.relations.get(relation)
        if table is None or relation in catalog.left_out or constraint is not None or oid in catalog.inherited:
            continue
        address = catalog.address("index", schema, name)
        if tablespace:
            catalog.leave(address, "index in a tablespace")
            continue
        names = catalog.columns[relation]
        columns = tuple(names.get(n) for n in numbers[:count])
        include = tuple(names[n] for n in numbers[count:])
        if table.kind == "table":
            refers = dict.fromkeys(catalog.column(relation, names[n]) for n in numbers if n)
        else:
            refers = {table: None}
        if predicate is not None or None in columns or (definition is not None and " COLLATE " in definition):
            refers.update(dict.fromkeys(catalog.refers("i", oid, own=relation)))
        yield (
            r.Index(
                address=address,
                container=table,
                method=method,
                unique=unique,
                columns=_with_statistics(items(catalog.text(definition), columns, order), oid, targets),
                include=include,
                where=catalog.condition(predicate),
                with_=options(reloptions),
                nulls_not_distinct=not_distinct,
                valid=valid,
                comment=catalog.comment(oid),
                partitioned=catalog.is_partitioned(relation),
                parts=() if valid else attached(oid),
                refers=tuple(refers),
            )
        )


def _with_statistics(items: tuple[r.IndexItem, ...], oid: int, targets: Targets) -> tuple[r.IndexItem, ...]:
    if not targets:
        return items
    return tuple(replace(item, statistics=targets.get((oid, n))) for n, item in enumerate(items, 1))
