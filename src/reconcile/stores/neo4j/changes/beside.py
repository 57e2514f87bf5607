"""An index that queries call by its name, replaced by one built beside it: searches never find none.

The server has no RENAME, and one name for one index. So the new one gets another name, the old one goes when the new
one is ONLINE, and queries have to call the new name. `policy names: accept` then finds the declared index under it.

Measured on 5.26: two vector indexes cannot share label and property, whatever their options; two full-text indexes
may have the same labels and properties if these stand in another order, which is no difference to what they find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import ClassVar

from reconcile.change import Action, Call, Change, Irreversible, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.neo4j import cypher
from reconcile.stores.neo4j.changes.common import address_of, makes_way, step, typed, wait
from reconcile.stores.neo4j.changes.index import ReplaceIndex, usable
from reconcile.stores.neo4j.resources import (
    BY_NAME,
    FAILED,
    FULLTEXT,
    IN_PLACE,
    Index,
    index_address,
)


def replacement(before: Index, after: Index) -> Change:
    """The change that replaces `before`: beside it where both can be there, unless the YAML says otherwise."""
    if beside(before, after) is None or after.replace_how == IN_PLACE:
        return ReplaceIndex(before, after.replace(live_name=before.live_name))
    name = other_name(before, after)
    return ReplaceIndexBeside(before, after.replace(live_name=None if name == after.address.parts[-1] else name))


def beside(before: Index, after: Index) -> Index | None:
    """`after` in a form that the server keeps apart from `before`; None where there is none, or no need for one."""
    if before.kind not in BY_NAME or after.kind not in BY_NAME or before.state == FAILED:
        return None
    if after.there is not None:
        return after
    return next((form for form in _forms(after) if form.written not in (before.written, *after.rivals)), None)


def _forms(index: Index) -> Iterator[Index]:
    """The index as declared, and in other orders where these are no difference."""
    yield index
    if index.kind == FULLTEXT:
        for name in ("properties", "labels", "relationships"):
            names = getattr(index, name)
            yield typed(index.replace(**{name: (*names[1:], *names[:1])}))


def other_name(before: Index, after: Index) -> str:
    """That of one which is there as declared; else the declared name, or that with a number, if nobody has it."""
    if after.there is not None:
        return after.there
    declared = after.address.parts[-1]
    numbered = (f"{declared}__v{n}" for n in count(2))
    return next(name for name in chain([declared], numbered) if name != before.name and name not in after.taken)


class ReplaceIndexBeside(ReplaceIndex):
    """Another definition or other options, under another name."""

    action: ClassVar[Action] = Action.CREATE_DELETE

    @property
    def strategy(self) -> str:
        """One clause."""
        before, after = typed(self.before), typed(self.after)
        if after.there is not None:
            return (
                f"{after.name}, which is as declared, takes over; {before.name} is dropped: queries call the new name"
            )
        return f"built beside as {after.name}; {before.name} is dropped when that is online: queries call the new name"

    def takes(self, live: State) -> Iterator[Address]:
        """The one that is there already."""
        del live
        after = typed(self.after)
        if after.there is not None:
            yield index_address(after.address.store, after.there)

    def steps(self, world: World) -> Sequence[Step]:
        """Build and wait; then, in contract, drop.

        Raises:
            PlanError: the new name is taken, or `names: enforce` does not let the index have it.
        """
        before, after = typed(self.before), typed(self.after)
        if world.settings.get("names") == "enforce" and after.live_name:
            raise PlanError(
                f"{after.address}: built beside, it would be called {after.name}, and policy names: enforce"
                f" wants {after.address.parts[-1]}",
                where=after.source,
                hint="set `replace: in_place`, with a gap, or declare it under a new name and remove this one",
            )
        drop = f"{self.address}/1-drop"
        return [
            self._build(before, after, world),
            step(
                self,
                "1-drop",
                calls=(cypher.drop(before, before.name, world.server),),
                phase=Phase.CONTRACT,
                needs=frozenset({ok(self.address)}),
                gives=frozenset({no(address_of(before)), done(drop)}),
                hazards=frozenset({Hazard.BREAKS_CLIENTS}),
            ),
        ]

    def _build(self, before: Index, after: Index, world: World) -> Step:
        """Make the new one, or wait for the one that is there: it may still be building."""
        helper = index_address(after.address.store, after.name)
        found = world.live.get(helper) if after.there is not None else None
        word, needs = "0-build", frozenset({has(helper)})
        debris: tuple[Address, ...] = (helper,)
        calls: tuple[Call, ...] = ()
        if not isinstance(found, Index):
            form = beside(before, after) or after
            calls = (cypher.create(form, after.name, world.server),)
            needs = makes_way(form, after.name, world)[0] - {done(f"{self.address}/1-drop")}
        elif found.state == FAILED:
            make = cypher.create(usable(found), found.name, world.server)
            calls = (cypher.drop(found, found.name, world.server), make)
        else:
            word, debris = "0-wait", ()
        made = step(
            self,
            word,
            calls=calls,
            needs=needs,
            gives=frozenset({ok(self.address)}),
            debris=debris,
            journalled=True,
            after_commit=(wait(after.name),),
            hazards=frozenset({Hazard.BUILDS_INDEX} if calls else ()),
        )
        return replace(made, address=helper)

    def reverse(self) -> Change | Irreversible:
        """The same the other way."""
        return replacement(typed(self.after), usable(typed(self.before)))
