"""Types that an expression needs without naming them.

Composite types whose fields it takes: `(way).zip` of a column needs the type, not only the column. Enums whose values
it compares with: `state = 'done'` needs the value to be there, and from a committed transaction.
https://www.postgresql.org/docs/current/sql-altertype.html#id-1.9.3.42.7
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.sqltokens import tokens

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


def enums_of(x: Resource, by_address: Mapping[Address, Resource]) -> list[Address]:
    """The declared enums of what `x` refers to that have a value which stands in its SQL; of a view read, any.

    Which types the columns of a view have only the server knows; an enum too many is waited for, no more.
    """
    texts = [text for text in _texts(x) if text is not None and "'" in text]
    if not texts:
        return []
    strings = {t.text[1:-1].replace("''", "'") for text in texts for t in tokens(text) if t.kind == "string"}
    if any(a.kind in ("view", "materialized_view") for a in x.refers):
        near: Iterable[Address] = by_address
    else:
        near = (a for there in x.refers if there in by_address for a in by_address[there].refers)
    enums = (by_address.get(a) for a in dict.fromkeys(near) if a.kind == "enum")
    return [e.address for e in enums if isinstance(e, r.Enum) and not strings.isdisjoint(e.values)]


def _texts(x: Resource) -> Iterable[str | None]:
    match x:
        case r.Check():
            return [x.expression]
        case r.Index() | r.Exclusion():
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
