"""What all documents declare, by name: known before any of them is read, so that their order does not count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reconcile.stores.base import Context
from reconcile.stores.postgres.names import generated_multirange, split
from reconcile.stores.postgres.parse.objects import items
from reconcile.stores.postgres.parse.scope import scope_schemas
from reconcile.yamlio import Map

_TYPES = {
    "tables": "table",
    "views": "view",
    "materialized_views": "materialized_view",
    "enums": "enum",
    "domains": "domain",
    "composites": "composite",
    "ranges": "range",
}


def type_names(documents: Sequence[Map], context: Context) -> dict[tuple[str, str], str]:
    """Kind by (schema, name) of types, tables and views; wrong names are reported where they are read."""
    return {parts: kind for section, kind in _TYPES.items() for parts, _ in _names(documents, context, section)}


def multirange_names(documents: Sequence[Map], context: Context) -> dict[tuple[str, str], tuple[str, str]]:
    """The declared range by the (schema, name) of its multirange type."""
    return {
        (schema, (value.get("multirange") if isinstance(value, Map) else None) or generated_multirange(name)): (
            schema,
            name,
        )
        for (schema, name), value in _names(documents, context, "ranges")
    }


def collation_names(documents: Sequence[Map], context: Context) -> frozenset[tuple[str, str]]:
    """(schema, name) of collations."""
    return frozenset(parts for parts, _ in _names(documents, context, "collations"))


def _names(documents: Sequence[Map], context: Context, section: str) -> Iterator[tuple[tuple[str, str], Any]]:
    first = scope_schemas(context)[0]
    for document in documents:
        for key, value, _ in items(document, section):
            try:
                parts = split(key)
            except ValueError:
                continue
            yield (parts[0], parts[1]) if len(parts) > 1 else (first, parts[0]), value


def extension_schemas(documents: Sequence[Map]) -> frozenset[str]:
    """Schemas that declared extensions are put into."""
    values = (value for document in documents for _, value, _ in items(document, "extensions"))
    return frozenset(str(v["schema"]) for v in values if isinstance(v, Map) and v.get("schema"))
