"""What all documents declare, by name: known before any of them is read, so that their order does not count."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.stores.base import Context
from reconcile.stores.postgres.names import split
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
    first = scope_schemas(context)[0]
    found: dict[tuple[str, str], str] = {}
    for document in documents:
        for section, kind in _TYPES.items():
            for key, _, _ in items(document, section):
                try:
                    parts = split(key)
                except ValueError:
                    continue
                found[(parts[0], parts[1]) if len(parts) > 1 else (first, parts[0])] = kind
    return found


def extension_schemas(documents: Sequence[Map]) -> frozenset[str]:
    """Schemas that declared extensions are put into."""
    values = (value for document in documents for _, value, _ in items(document, "extensions"))
    return frozenset(str(v["schema"]) for v in values if isinstance(v, Map) and v.get("schema"))
