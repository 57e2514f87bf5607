"""`owner:` and `grants:` of anything, and `default_privileges:`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reconcile.model import Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.parse.objects import items
from reconcile.stores.postgres.parse.scope import Scope, as_map
from reconcile.stores.postgres.resources.access import ALL, NOTHING, OF_COLUMNS, Privilege, gathered
from reconcile.suggest import meant
from reconcile.yamlio import Map

_NEWEST = (99,)
_OWNED = frozenset({"table", "view", "materialized_view", "sequence", "schema", *r.ROUTINES, *r.TYPES})
SECTIONS = (
    "schemas", "enums", "domains", "composites", "ranges", "sequences", "tables", "views", "materialized_views",
    "functions", "procedures", "aggregates",
)  # fmt: skip
"""Those whose objects have an owner and grants."""


def access(documents: Sequence[Map], found: Sequence[Resource], scope: Scope) -> list[Resource]:
    """What `owner:` and `grants:` of all sections declare; `found` is what has been read of them."""
    objects = {x.source: x for x in found if x.address.kind in _OWNED}
    result: list[Resource] = []
    for value, source in _places(documents):
        if (x := objects.get(source)) is not None and ("owner" in value or "grants" in value):
            result.append(_grant(x, value, scope))
    for column, name, value in scope.identities:
        sequence = r.Sequence(address=scope.address("sequence", column.parts[0], name))
        result.append(_grant(sequence, value, scope).replace(container=column, refers=(column,)))
    return result


def _places(documents: Sequence[Map]) -> Iterator[tuple[Map, Source]]:
    """The settings of every object, partitions of tables included."""
    for document in documents:
        for section in SECTIONS:
            for _, value, source in items(document, section):
                yield from _nested(value, source)


def _nested(value: Any, source: Source) -> Iterator[tuple[Map, Source]]:
    if isinstance(value, Map):
        yield value, source
        partitions = as_map(value.get("partitions"))
        for name, inner in partitions.items():
            yield from _nested(inner, partitions.at(name))


def _grant(x: Resource, value: Map, scope: Scope) -> r.Grant:
    grants = value.get("grants")
    where = value.at("grants" if "grants" in value else "owner")
    owner = value.get("owner")
    if owner is not None and isinstance(x, r.Sequence) and x.owned_by is not None:
        table = ".".join(x.owned_by[:2])
        scope.problem(
            value.at("owner"), f"sequence {x.name!r} belongs to a column: its owner is that of {table}", "take it out"
        )
    return r.Grant(
        address=r.grant_address(x.address),
        source=where,
        container=x.address,
        refers=(x.address,),
        owner=owner,
        grants=None if grants is None else privileges(x.address.kind, grants, scope, columns=True),
    )


def privileges(kind: str, grants: Map, scope: Scope, *, columns: bool) -> tuple[Privilege, ...]:
    """`{reader: [select], writer: [insert, {update: [net]}, {with_grant_option: [select]}]}`, sorted."""
    found: dict[tuple[str, str, str | None], bool] = {}
    for role in grants:
        scope.short(role, grants.at(role))
        mine = list(_items(kind, role, grants[role], grants.at(role), scope, columns, False))
        if not mine:
            found[role, NOTHING, None] = False
        for privilege, column, grantable in mine:
            if grantable and role == "public":
                scope.problem(grants.at(role), "public cannot be given the right to grant", "name a role")
            found[role, privilege, column] = found.get((role, privilege, column), False) or grantable
    return gathered((*key, grantable) for key, grantable in found.items())


def _items(
    kind: str, role: str, value: Sequence[Any], where: Source, scope: Scope, columns: bool, grantable: bool
) -> Iterator[tuple[str, str | None, bool]]:
    known = (*r.privileges_of(kind, _NEWEST), ALL)
    for item in value:
        if not isinstance(item, Map):
            if item not in known:
                noun = kind.replace("_", " ")
                scope.problem(where, f"there is no privilege {item!r} on a {noun}", meant(item, known))
            else:
                yield item, None, grantable
            continue
        for word, inner in item.items():
            if word == "with_grant_option":
                yield from _items(kind, role, inner, item.at(word), scope, columns, True)
            elif not columns or kind not in ("table", "view", "materialized_view") or word not in OF_COLUMNS:
                can = meant(word, [*OF_COLUMNS]) or f"{', '.join(sorted(OF_COLUMNS))} on a table or view can"
                scope.problem(item.at(word), f"{word} cannot be granted on columns here", can)
            else:
                for column in inner:
                    yield word, column, grantable


def default_privileges(document: Map, scope: Scope) -> list[Resource]:
    """`default_privileges: [{role: app_owner, schema: public, on: tables, grants: {reader: [select]}}]`."""
    found: list[Resource] = []
    for entry in document.get("default_privileges") or ():
        where, schema = entry.at("role"), entry.get("schema") or ""
        if schema and schema not in scope.schemas:
            scope.problem(
                entry.at("schema"),
                f"schema {schema!r} is not in the scope of store {scope.store!r}",
                meant(schema, scope.schemas) or f"add it to `schemas:` of store {scope.store!r}",
            )
        if schema and entry["on"] == "schemas":
            scope.problem(entry.at("on"), "schemas are in no schema", "take `schema:` out")
        granted = privileges(entry["on"], entry["grants"], scope, columns=False)
        address = scope.address("default_privileges", entry["role"], schema, entry["on"])
        found.append(
            r.DefaultPrivileges(
                address=address,
                source=where,
                container=r.default_container(address),
                grants=tuple(p for p in granted if p.privilege != NOTHING),
                refers=(scope.address("schema", schema),) if schema else (),
            )
        )
    return found
