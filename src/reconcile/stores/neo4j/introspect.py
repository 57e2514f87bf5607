"""Live schema as resources, from two SHOW commands. Reads only.

Columns are named in YIELD: without it, 5.x leaves `options` and `failureMessage` out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconcile.model import Address, Json, Resource, State
from reconcile.stores.base import Live, NotModelled
from reconcile.stores.neo4j import options, types
from reconcile.stores.neo4j.resources import (
    EXISTS,
    FAILED,
    FULLTEXT,
    KEY,
    LOOKUP,
    ONE_PROPERTY,
    ONLINE,
    POINT,
    RANGE,
    SEVERAL,
    TEXT,
    TYPE,
    UNIQUE,
    VECTOR,
    Constraint,
    Index,
    constraint_address,
    index_address,
)

SHOW_CONSTRAINTS = "SHOW CONSTRAINTS YIELD name, type, entityType, labelsOrTypes, properties, propertyType, ownedIndex"
SHOW_INDEXES = (
    "SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, state, options, owningConstraint,"
    " failureMessage"
)

MARK_LABEL = "__Reconcile"
MIGRATION_LABEL = "__ReconcileMigration"
OWN_LABELS = (MARK_LABEL, MIGRATION_LABEL)
"""The label of the tool's own node: never shown."""

_CONSTRAINTS = {
    "UNIQUENESS": UNIQUE,
    "NODE_PROPERTY_UNIQUENESS": UNIQUE,  # newer servers' word for the former, as documented
    "RELATIONSHIP_UNIQUENESS": UNIQUE,
    "RELATIONSHIP_PROPERTY_UNIQUENESS": UNIQUE,
    "NODE_KEY": KEY,
    "RELATIONSHIP_KEY": KEY,
    "NODE_PROPERTY_EXISTENCE": EXISTS,
    "RELATIONSHIP_PROPERTY_EXISTENCE": EXISTS,
    "NODE_PROPERTY_TYPE": TYPE,
    "RELATIONSHIP_PROPERTY_TYPE": TYPE,
}
_INDEXES = {k.upper(): k for k in (RANGE, TEXT, POINT, FULLTEXT, VECTOR, LOOKUP)}

Row = Mapping[str, Any]


def live(store: str, constraints: Iterable[Row], indexes: Iterable[Row]) -> Live:
    """The rows of the two SHOW commands as resources; what this version cannot describe goes to `not_modelled`."""
    state: list[Resource] = []
    unknown: list[NotModelled] = []
    for row in constraints:
        if MARK_LABEL in (row["labelsOrTypes"] or ()):
            continue
        found: Resource | str = _constraint(store, row)
        if isinstance(found, str):
            unknown.append(NotModelled(constraint_address(store, row["name"]), found))
        else:
            state.append(found)
    for row in indexes:
        if row["owningConstraint"] is not None or MARK_LABEL in (row["labelsOrTypes"] or ()):
            continue
        found = _index(store, row)
        if isinstance(found, str):
            unknown.append(NotModelled(index_address(store, row["name"]), found))
        else:
            state.append(found)
            unknown += _unknown_options(found)
    return Live(State.of(sorted(state, key=lambda r: r.address)), tuple(sorted(unknown, key=lambda n: n.address)))


def _unknown_options(found: Resource) -> Iterator[NotModelled]:
    """Each option of an index that only a newer version of this tool knows."""
    for key, value in (found.other_options or {}).items() if isinstance(found, Index) else ():
        address = Address(found.address.store, "index_option", (found.name, key))
        yield NotModelled(address, f"{json.dumps(value)}, kept as it is", of=found.address)


def unseen(constraints: Sequence[Row], indexes: Sequence[Row]) -> tuple[str, ...]:
    """What the two answers say of each other that is not there: a user who may see only part of the schema."""
    owners = {row["owningConstraint"] for row in indexes} - {None, *(row["name"] for row in constraints)}
    owned = {row["ownedIndex"] for row in constraints} - {None, *(row["name"] for row in indexes)}
    found = [f"constraint {name} is not shown, but its index is" for name in sorted(owners)]
    return (*found, *(f"index {name} is not shown, but its constraint is" for name in sorted(owned)))


def _place(row: Row) -> dict[str, Json]:
    field = "labels" if row["entityType"] == "NODE" else "relationships"
    return {field: tuple(row["labelsOrTypes"] or ()), "properties": tuple(row["properties"] or ())}


def _constraint(store: str, row: Row) -> Constraint | str:
    kind = _CONSTRAINTS.get(row["type"])
    if kind is None or len(row["labelsOrTypes"] or ()) != 1:
        return f"constraint of type {row['type']}"
    type_ = None
    if kind == TYPE:
        try:
            type_ = types.normal(row["propertyType"])
        except ValueError:
            return f"constraint of property type {row['propertyType']}"
    return Constraint(address=constraint_address(store, row["name"]), kind=kind, type=type_, **_place(row))


def _index(store: str, row: Row) -> Index | str:
    kind = _INDEXES.get(row["type"])
    if kind is None:
        return f"index of type {row['type']}"
    if kind == LOOKUP:
        # Two are in every new database, and dropping them ruins scans: seen, so that their names are known taken.
        entity = "nodes" if row["entityType"] == "NODE" else "relationships"
        return Index(address=index_address(store, row["name"]), kind=LOOKUP, entity=entity, system=True)
    place = _place(row)
    names = place.get("labels") or place.get("relationships") or ()
    several = kind in SEVERAL or len(names) == 1
    if not several or (kind in ONE_PROPERTY and kind != VECTOR and len(place["properties"]) != 1):
        return f"{kind} index over several labels, types or properties"
    config = (row["options"] or {}).get("indexConfig") or {}
    failed = row["state"] == "FAILED"
    return Index(
        address=index_address(store, row["name"]),
        kind=kind,
        state=FAILED if failed else ONLINE,
        failure=first_line(row["failureMessage"]) if failed else None,
        **place,
        **options.from_server(kind, config),
    )


def first_line(message: str | None) -> str:
    """The first line of a failure message, which goes on with a Java stack trace, without the exception's class."""
    line = (message or "").strip().splitlines()[0] if (message or "").strip() else "no reason given"
    head, _, rest = line.partition(": ")
    return rest if rest and "." in head and " " not in head else line
