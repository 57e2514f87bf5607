"""What else is in the database: names and places that others have, those that the project ignores included. Pure.

Names of constraints and indexes are one namespace, and the server keeps one object for a kind, labels and properties.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from reconcile.errors import Problem
from reconcile.model import Resource, State
from reconcile.stores.base import Live
from reconcile.stores.neo4j import options
from reconcile.stores.neo4j.parse import slots
from reconcile.stores.neo4j.resources import BY_NAME, FAILED, Index, SchemaObject

_NUMBERED = re.compile(r"(.*)__v\d+", re.S)


class Surroundings:
    """Everything but the object that is looked at and its live counterpart.

    Args:
        desired: all that is declared.
        managed: live objects that the project does not ignore.
        everything: all live objects.
    """

    def __init__(self, desired: State, managed: State, everything: Live) -> None:
        self._desired, self._managed, self._everything = desired, managed, everything

    @cached_property
    def _live(self) -> list[SchemaObject]:
        """As the project sees them, where it does."""
        found = (self._managed.get(r.address, r) for r in self._everything.state.values())
        return [r for r in found if isinstance(r, SchemaObject)]

    @cached_property
    def _hidden(self) -> list[SchemaObject]:
        return [r for r in self._live if r.address not in self._managed]

    @cached_property
    def _names(self) -> dict[str, set[str]]:
        """Names that are live or declared, by the part before a number."""
        found: dict[str, set[str]] = {}
        names = {r.name for r in self._live} | {n.address.parts[-1] for n in self._everything.not_modelled}
        for name in names | {r.address.parts[-1] for r in self._desired.values() if isinstance(r, SchemaObject)}:
            numbered = _NUMBERED.fullmatch(name)
            found.setdefault(numbered[1] if numbered else name, set()).add(name)
        return found

    def obstacles(self, wanted: Resource, live: Resource | None) -> Iterator[Problem]:
        """Ignored objects where a declared one is to be made: nothing would ever move them out of the way."""
        if not self._hidden or not isinstance(wanted, SchemaObject) or wanted.only_verified:
            return
        if live is not None and live.replace(address=wanted.address) == wanted:
            return
        kept = set(slots(live)) if isinstance(live, SchemaObject) else set()
        for other in self._hidden:
            if (set(slots(other)) & set(slots(wanted))) - kept:
                yield Problem(
                    f'{wanted.address.kind} "{wanted.address.parts[-1]}" cannot be made:'
                    f" {other.address}, which the project ignores, is on {other.says()} already",
                    where=wanted.source,
                    hint=f"take {other.name} out of `ignore:`, or drop it by hand",
                )

    def placed(self, wanted: Index, live: Resource) -> Index:
        """`wanted` with what one built beside `live` has to keep clear of, or could go on with."""
        if wanted.kind not in BY_NAME or live.replace(address=wanted.address) == wanted:
            return wanted
        declared = wanted.address.parts[-1]
        others = [r for r in self._live if r.address != live.address and r.name != live.name]
        going = {r.name for r in others if r.leftover_of == declared and not self._same(r, wanted)}
        staying = {r.name: r for r in others if r.name not in going}
        there = min((name for name, r in staying.items() if self._free(r) and self._same(r, wanted)), default=None)
        alike = (r for r in staying.values() if isinstance(r, Index) and r.definition() == wanted.definition())
        taken = self._names.get(declared, set()) - going
        taken -= set() if declared in staying else {declared}
        result = wanted.replace(there=there, rivals=tuple(r.written for r in alike), taken=tuple(sorted(taken)))
        assert isinstance(result, Index)
        return result

    def _free(self, other: SchemaObject) -> bool:
        """Whether it may be taken over: declared by nobody, not ignored, usable unless a run of ours left it."""
        usable = not (isinstance(other, Index) and other.state == FAILED) or other.leftover_of is not None
        return usable and other.address in self._managed and other.address not in self._desired

    @staticmethod
    def _same(other: SchemaObject, wanted: Index) -> bool:
        """Whether it is as declared, but for its name."""
        same = isinstance(other, Index) and other.definition() == wanted.definition()
        return same and isinstance(other, Index) and not options.differing(other, wanted)
