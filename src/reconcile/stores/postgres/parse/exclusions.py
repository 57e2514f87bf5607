"""Exclusion constraints of a table: keys as of an index, each `with:` its operator."""

from __future__ import annotations

from typing import Any

from reconcile.model import Address, Source
from reconcile.stores.postgres.parse.indexes import index_key, options
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of
from reconcile.stores.postgres.resources import Exclusion
from reconcile.stores.postgres.sqltokens import unwrap
from reconcile.yamlio import Map

_SIGNS = frozenset("+-*/<>=~!@#%^&|`?")


def exclusions(table: Map, address: Address, scope: Scope) -> list[Exclusion]:
    """`exclusions:` of a table."""
    section = as_map(table.get("exclusions"))
    found = []
    for name, value in section.items():
        source = section.at(name)
        scope.short(name, source)
        where = value.get("where")
        found.append(
            Exclusion(
                address=address.child("exclusion", name),
                source=source,
                container=address,
                method=value.get("method", "gist"),
                columns=tuple(index_key(key, source, scope) for key in value["columns"]),
                operators=tuple(_operator(name, key, source, scope) for key in value["columns"]),
                include=tuple(value.get("include") or ()),
                where=None if where is None else unwrap(scope.sql(where, value.value_at("where"), "where")),
                with_=options(value.get("with")),
                deferrable=value.get("deferrable"),
                comment=comment_of(value),
                index_comment=value.get("index_comment") or None,
                comes_after=scope.after(value),
            )
        )
    return found


def _operator(name: str, key: Any, source: Source, scope: Scope) -> str:
    """`&&`, or `public.&&&`."""
    written = str(key["with"]) if isinstance(key, Map) and "with" in key else ""
    schema, _, sign = written.rpartition(".")
    if not sign or not set(sign) <= _SIGNS:
        scope.problem(
            source,
            f"a key of exclusion constraint {name!r} has no operator" + (f": {written!r} is none" if written else ""),
            'name it: {column: span, with: "&&"}',
        )
    return sign if schema == "pg_catalog" else written
