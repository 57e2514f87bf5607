"""Enum types. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Catalog, Rows

QUERIES = {"enums": queries.ENUMS}


def names(catalog: Catalog, rows: Rows) -> None:
    """Types by oid, and their arrays."""
    for oid, schema, name, *_, array in rows["enums"]:
        catalog.types[oid] = catalog.types[array] = catalog.address("enum", schema, name)


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Enums."""
    for oid, _, _, values, _ in rows["enums"]:
        yield r.Enum(
            address=catalog.types[oid],
            values=tuple(v for v in values if v is not None),
            comment=catalog.comment(oid),
        )
