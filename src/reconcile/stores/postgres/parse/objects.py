"""Schemas and extensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconcile.model import Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.parse.scope import Scope, comment_of
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
                comes_after=scope.after(value),
                system=name == "public",
            )
        )
    return found


def extensions(document: Map, scope: Scope) -> list[Resource]:
    """`extensions: {vector: {}, pg_trgm: {schema: extensions, version: "1.6", comment: …}}`."""
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
                comment=settings.get("comment"),
                system=name == "plpgsql",
                refers=refers,
            )
        )
    return found
