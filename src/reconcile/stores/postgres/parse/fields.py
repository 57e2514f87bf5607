"""Composite types whose fields an expression takes: `(way).zip` of a column needs the type, not only the column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r

_TAKEN = re.compile(r"\)\s*\.")


def composites_of(x: Resource, by_address: Mapping[Address, Resource]) -> list[Address]:
    """The declared composite types of what `x` refers to, and those inside them, where its SQL takes a field."""
    if not any(text is not None and _TAKEN.search(text) for text in _texts(x)):
        return []
    found: dict[Address, None] = {}
    todo = [a for column in x.refers if column in by_address for a in by_address[column].refers]
    while todo:
        address = todo.pop()
        if address in found or address.kind not in r.TYPES or address not in by_address:
            continue
        found[address] = None
        todo += by_address[address].refers
    return [a for a in found if a.kind == "composite"]


def _texts(x: Resource) -> Iterable[str | None]:
    match x:
        case r.Check():
            return [x.expression]
        case r.Index():
            return [x.where, *(i.expression for i in x.columns)]
        case r.Column():
            return [x.generated]
        case r.View() | r.MaterializedView():
            return [x.query]
        case r.Policy():
            return [x.using, x.check]
        case r.Trigger():
            return [x.condition]
    return []
