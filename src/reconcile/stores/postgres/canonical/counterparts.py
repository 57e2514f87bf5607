"""Which live object a declared one is to be compared with: by address, by `renamed_from`, by equal text."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from operator import itemgetter

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.sqltokens import folded

_PLACE = itemgetter(0, 1)
_RENAMED = frozenset(("table", "column", *r.TYPES))


class Counterparts:
    """Live resources by declared address, following renames that have not been made yet."""

    def __init__(self, desired: State, live: State) -> None:
        self.desired, self.live = desired, live
        self._old: dict[Address, Address] = {}
        for x in desired.values():
            was = vars(x).get("renamed_from")
            if was is not None and x.address.kind in _RENAMED:
                self._old[x.address] = Address(x.address.store, x.address.kind, (*x.address.parts[:-1], was))
        self._by_text: dict[object, Resource] | None = None
        self._found: dict[Address, Resource | None] = {}

    def of(self, x: Resource) -> Resource | None:
        """The live resource to compare `x` with, under its own address."""
        found = self.live.resources.get(x.address)
        if found is not None:
            return found
        if x.address not in self._found:
            self._found[x.address] = self._look(x)
        return self._found[x.address]

    def _look(self, x: Resource) -> Resource | None:
        address = self._before_renames(x)
        if address != x.address and (found := self.live.get(address)) is not None:
            return found
        if isinstance(x, r.Check | r.Index | r.Exclusion):
            return self._similar.get(_key(x))
        return None

    def table(self, table: Address) -> Address:
        """Where the table stands now."""
        old = self._old.get(table)
        return old if old is not None and table not in self.live and old in self.live else table

    def renamed_columns(self, table: Address) -> dict[str, str]:
        """Old to new name of the columns of a declared table whose rename has not been made yet."""
        there = self.table(table)
        return {
            old.parts[-1]: new.parts[-1]
            for new, old in self._old.items()
            if new.kind == "column"
            and new.parts[:-1] == table.parts
            and there.child("column", old.parts[-1]) in self.live
        }

    def _before_renames(self, x: Resource) -> Address:
        if isinstance(x, r.Grant):
            return r.grant_address(self.table(x.object))
        address = self._old.get(x.address, x.address)
        if x.container is not None and address.kind not in ("index",):
            table = self.table(x.container)
            if table != x.container:
                address = Address(address.store, address.kind, (*table.parts, *address.parts[len(table.parts) :]))
        return address

    @property
    def _similar(self) -> dict[object, Resource]:
        """Checks and indexes that no declared address names, by what their text says."""
        if self._by_text is None:
            self._by_text = {}
            for y in self.live.of_kind("check", "index", "exclusion"):
                if y.address not in self.desired:
                    self._by_text.setdefault(_key(y), y)
        return self._by_text


def _key(x: Resource) -> object:
    if isinstance(x, r.Check):
        return x.container, folded(x.expression)
    assert isinstance(x, r.Index | r.Exclusion)
    items = tuple(replace(i, expression=None) for i in x.columns)
    expressions = tuple(folded(i.expression or "") for i in x.columns)
    return x.address.kind, x.container, x.schema, x.method, items, expressions, folded(x.where or "")


def columns_in_order(desired: State, others: Counterparts) -> dict[Address, list[r.Column]]:
    """The columns of each declared table in the order they will have: live ones as they stand, new ones last."""
    found: dict[Address, list[tuple[int, int, r.Column]]] = defaultdict(list)
    for x in desired.of_kind("column"):
        if isinstance(x, r.Column):
            y = others.of(x)
            found[x.table].append((0, y.position, x) if isinstance(y, r.Column) else (1, x.position, x))
    return {table: [x for *_, x in sorted(those, key=_PLACE)] for table, those in found.items()}
