"""Sequences, and the options of those that identity columns have."""

from __future__ import annotations

from typing import Any

from reconcile.model import Address, Resource, Source
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.names import identity_sequence, split
from reconcile.stores.postgres.parse.objects import items
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of
from reconcile.stores.postgres.sqltypes import read
from reconcile.yamlio import Map

INTEGERS = ("smallint", "integer", "bigint")


def sequences(document: Map, scope: Scope) -> list[Resource]:
    """`sequences: {invoice_no: {start: 1000, owned_by: invoices.no}}`."""
    found: list[Resource] = []
    for key, value, source in items(document, "sequences"):
        schema, name = scope.declared(key, source)
        settings = as_map(value)
        type_ = read(str(settings.get("type", "bigint"))).text
        if type_ not in INTEGERS:
            scope.problem(source, f"sequence {key!r} cannot be of type {type_}", "smallint, integer or bigint")
            type_ = "bigint"
        found.append(
            r.Sequence(
                address=scope.address("sequence", schema, name),
                source=source,
                type=type_,
                owned_by=_owner(settings, schema, scope),
                unlogged=settings.get("unlogged", False),
                comment=comment_of(value),
                comes_after=scope.after(value),
                **{"increment": 1, **_options(settings, type_, f"sequence {key!r}", source, scope)},
            )
        )
    return found


def identity(settings: Map, type_: str, address: Address, scope: Scope) -> tuple[str | None, r.Pairs]:
    """`identity: always` or `{generated: by_default, start: 100}`: the kind, and options that are not the default."""
    _, table, column = address.parts
    value = settings.get("identity")
    if not isinstance(value, Map):
        return value, ()
    source = settings.at("identity")
    sound = type_ if type_ in INTEGERS else "bigint"
    options = _options(value, sound, f"identity of column {column!r}", source, scope)
    name = value.get("sequence_name")
    if name is not None and name != identity_sequence(table, column):
        scope.short(name, value.value_at("sequence_name"))
        options["sequence_name"] = name
    if "grants" in value:
        scope.identities.append((address, name or identity_sequence(table, column), value))
    pairs = ((k, str(v).lower() if isinstance(v, bool) else str(v)) for k, v in options.items())
    return value.get("generated"), tuple(sorted(pairs))


def _options(settings: Map, type_: str, what: str, source: Source | None, scope: Scope) -> dict[str, Any]:
    """Those that are not the default for the type and the direction."""
    increment = settings.get("increment", 1)
    if increment == 0:
        scope.problem(source, f"{what} has increment 0")
        increment = 1
    low, high = r.sequence_limits(type_, increment)
    given = {"min": settings.get("min"), "max": settings.get("max")}
    lowest = low if given["min"] is None else given["min"]
    highest = high if given["max"] is None else given["max"]
    begins = lowest if increment > 0 else highest
    start = begins if settings.get("start") is None else settings["start"]
    if lowest >= highest:
        scope.problem(source, f"{what}: min {lowest} must be below max {highest}")
    elif not lowest <= start <= highest:
        scope.problem(source, f"{what}: start {start} is not between {lowest} and {highest}")
    found = {
        "start": None if start == begins else start,
        "increment": None if increment == 1 else increment,
        "min": None if lowest == low else lowest,
        "max": None if highest == high else highest,
        "cache": None if settings.get("cache", 1) == 1 else settings["cache"],
        "cycle": settings.get("cycle") or None,
    }
    return {k: v for k, v in found.items() if v is not None}


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
