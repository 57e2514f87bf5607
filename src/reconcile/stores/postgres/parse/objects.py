"""Schemas, extensions, enums, sequences: what stands beside tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconcile.model import Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.parse.scope import Scope, comment_of
from reconcile.stores.postgres.sqltypes import read
from reconcile.yamlio import Map


def items(document: Map, section: str) -> Iterator[tuple[str, Any, Source]]:
    """Keys, values and places of a section, if the document has it."""
    found = document.get(section)
    if isinstance(found, Map):
        for key, value in found.items():
            yield key, value, found.at(key)


def schemas(document: Map, scope: Scope) -> list[Resource]:
    """`schemas: {audit: {comment: …}}`."""
    found: list[Resource] = []
    for name, value, source in items(document, "schemas"):
        scope.short(name, source)
        if name not in scope.schemas:
            scope.problem(
                source,
                f"schema {name!r} is not in the scope of store {scope.store!r}",
                f"add it to `schemas:` of store {scope.store!r}",
            )
        found.append(
            r.Schema(
                address=scope.address("schema", name),
                source=source,
                comment=comment_of(value),
                system=name == "public",
            )
        )
    return found


def extensions(document: Map, scope: Scope) -> list[Resource]:
    """`extensions: {vector: {}, pg_trgm: {schema: extensions, version: "1.6"}}`."""
    found: list[Resource] = []
    for name, value, source in items(document, "extensions"):
        settings = value if isinstance(value, Map) else Map()
        version = settings.get("version")
        into = settings.get("schema")
        refers = (scope.address("schema", into),) if into in scope.schemas else ()
        found.append(
            r.Extension(
                address=scope.address("extension", name),
                source=source,
                in_schema=into,
                version=None if version is None else str(version),
                system=name == "plpgsql",
                refers=refers,
            )
        )
    return found


def enums(document: Map, scope: Scope) -> list[Resource]:
    """`enums: {job_state: [queued, running]}` or `{values: […], comment: …}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "enums"):
        schema, name = scope.declared(key, source)
        values = tuple(str(v) for v in (value["values"] if isinstance(value, Map) else value))
        doubled = {v for v in values if values.count(v) > 1}
        if doubled:
            scope.problem(source, f"enum {key!r} has the value {sorted(doubled)[0]!r} twice")
        for each in values:
            scope.short(each, source)
        found.append(
            r.Enum(
                address=scope.address("enum", schema, name),
                source=source,
                values=values,
                comment=comment_of(value),
            )
        )
    return found


def sequences(document: Map, scope: Scope) -> list[Resource]:
    """`sequences: {invoice_no: {start: 1000, owned_by: invoices.no}}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "sequences"):
        schema, name = scope.declared(key, source)
        settings = value if isinstance(value, Map) else Map()
        type_ = read(str(settings.get("type", "bigint"))).text
        if type_ not in ("smallint", "integer", "bigint"):
            scope.problem(source, f"sequence {key!r} cannot be of type {type_}", "smallint, integer or bigint")
            type_ = "bigint"
        increment = settings.get("increment", 1)
        if increment == 0:
            scope.problem(source, f"sequence {key!r} has increment 0")
            increment = 1
        low, high = _limits(type_, increment)
        lowest = settings.get("min") if settings.get("min") != low else None
        highest = settings.get("max") if settings.get("max") != high else None
        start = settings.get("start")
        begins = (low if lowest is None else lowest) if increment > 0 else (high if highest is None else highest)
        found.append(
            r.Sequence(
                address=scope.address("sequence", schema, name),
                source=source,
                type=type_,
                start=None if start == begins else start,
                increment=increment,
                min=lowest,
                max=highest,
                cache=settings.get("cache", 1),
                cycle=settings.get("cycle", False),
                owned_by=_owner(settings, schema, scope),
                comment=comment_of(value),
            )
        )
    return found


def _limits(type_: str, increment: int) -> tuple[int, int]:
    limit: int = 2 ** ({"smallint": 16, "integer": 32, "bigint": 64}[type_] - 1)
    return (1, limit - 1) if increment > 0 else (-limit, -1)


def _owner(settings: Map, schema: str, scope: Scope) -> tuple[str, str, str] | None:
    text = settings.get("owned_by")
    if text is None:
        return None
    where = settings.value_at("owned_by")
    try:
        parts = split(text)
    except ValueError:
        parts = ()
    if len(parts) == 2:
        return schema, parts[0], parts[1]
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    scope.problem(where, f"owned_by {text!r} is no column", "write table.column or schema.table.column")
    return None
