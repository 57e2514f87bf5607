"""Changes of constraints. The server has no ALTER: everything is made, dropped, or both.

Kinds other than `unique` need the Enterprise Edition; their steps follow its manual and were not run here.
Manual: https://neo4j.com/docs/cypher-manual/5/constraints/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Irreversible, Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.stores.neo4j import cypher
from reconcile.stores.neo4j.changes.common import (
    makes_way,
    own,
    phrase,
    place_differences,
    shown,
    step,
    wanted_by_another,
)
from reconcile.stores.neo4j.changes.timing import WAITING, EnforcedName, TimedChange
from reconcile.stores.neo4j.parse import slots
from reconcile.stores.neo4j.resources import TYPE, Constraint, SchemaObject


def _said(resource: SchemaObject) -> str:
    assert isinstance(resource, Constraint)
    return phrase((resource.kind, resource.says(), f":: {resource.type}" if resource.kind == TYPE else ""))


def _hazards(resource: SchemaObject, *, locked: bool = False) -> frozenset[Hazard]:
    """Clients wait while the index is built only where its transaction has the label's lock already.

    Alone in its transaction, a statement that makes a constraint gives up the lock while the index is built
    (measured on 5.26: writers wait 0.1 s at most with 400,000 nodes). After a DROP on the label it does not.
    """
    assert isinstance(resource, Constraint)
    found = {Hazard.DEPENDS_ON_DATA} | ({Hazard.BUILDS_INDEX} if resource.has_index else set())
    return frozenset(found | WAITING if locked and resource.has_index else found)


class CreateConstraint(TimedChange):
    """A new constraint. The server checks the data and builds the index before the statement returns."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """`unique (:Person).id`."""
        return _said(own(self.after))

    def steps(self, world: World) -> Sequence[Step]:
        """One statement; `contract` where the label is in use, since its writers can notice.

        The server takes several constraints in one transaction. On labels in use each gets its own all the same:
        the lock of the first label would be held while the next index is built (measured on 5.26 with 300,000 nodes:
        writers and readers by index wait 1.4 to 3.9 s, and 0.2 s at most with one transaction each).
        """
        after = own(self.after)
        needs, apart = makes_way(after, after.name, world)
        empty = world.empty(self.address)
        return [
            step(
                self,
                "1-create",
                calls=(cypher.create(after, after.name, world.server),),
                phase=Phase.EXPAND if empty else Phase.CONTRACT,
                needs=needs,
                gives=frozenset({ok(self.address)}),
                commit_before=apart or not (empty or needs),
                hazards=_hazards(after, locked=bool(needs) and not (empty or apart)),
            )
        ]

    def reverse(self) -> Change:
        """Drop it."""
        return DropConstraint(self.after, None)


class DropConstraint(Change):
    """The constraint and its index go."""

    action: ClassVar[Action] = Action.DELETE

    def describe(self) -> str:
        """What it was."""
        return _said(own(self.before))

    def steps(self, world: World) -> Sequence[Step]:
        """One statement."""
        before = own(self.before)
        return [
            step(
                self,
                "1-drop",
                calls=(cypher.drop(before, before.name, world.server),),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address)}),
                gives=frozenset({no(self.address)}),
            )
        ]

    def reverse(self) -> Change:
        """Make it again, under the name it had."""
        return CreateConstraint(None, self.before)


class ReplaceConstraint(TimedChange):
    """Another definition under the same name."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def reason(self) -> str:
        """There is no ALTER."""
        return "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """The fields that differ."""
        before, after = own(self.before).attributes(), own(self.after).attributes()
        return tuple((key,) for key in dict.fromkeys((*before, *after)) if before.get(key) != after.get(key))

    @property
    def strategy(self) -> str:
        """Together where the server allows it."""
        if self._same_index:
            return "dropped, then created in a second transaction: the server allows no other way"
        return "dropped and created in one transaction, which leaves no gap"

    @property
    def _same_index(self) -> bool:
        return bool(set(slots(own(self.before))) & set(slots(own(self.after))))

    def describe(self) -> str:
        """`unique → key`, `properties [a] → [a, b]`."""
        before, after = own(self.before), own(self.after)
        assert isinstance(before, Constraint)
        assert isinstance(after, Constraint)
        parts = [f"{before.kind} → {after.kind}"] if before.kind != after.kind else []
        parts += [text for _, text in place_differences(before, after)]
        if before.type != after.type:
            parts.append(f"type {shown(before.type)} → {shown(after.type)}")
        return ", ".join(parts)

    def steps(self, world: World) -> Sequence[Step]:
        """Drop and create in one step, or in two where another object takes the place in between."""
        before, after = own(self.before), own(self.after)
        needs, apart = makes_way(after, after.name, world)
        used = not world.empty(self.address)
        drop = cypher.drop(before, before.name, world.server)
        create = cypher.create(after, after.name, world.server)
        if not (apart or self._same_index or wanted_by_another(before, world)):
            return [
                step(
                    self,
                    "1-replace",
                    calls=(drop, create),
                    phase=Phase.CONTRACT,
                    needs=needs | {has(self.address)},
                    gives=frozenset({ok(self.address)}),
                    commit_before=used and not needs,
                    hazards=_hazards(after, locked=used),
                )
            ]
        return in_two(self, world, needs, apart=apart or self._same_index)

    def reverse(self) -> Change | Irreversible:
        """The same the other way."""
        return ReplaceConstraint(self.after, self.before)


class RenameConstraint(EnforcedName):
    """Policy `names: enforce`: dropped under the live name, made under the declared one."""

    @property
    def strategy(self) -> str:
        """How, and what holds in between."""
        return "dropped, then created in a second transaction: in between nothing is enforced"

    def steps(self, world: World) -> Sequence[Step]:
        """Two transactions."""
        needs, _ = makes_way(own(self.after), own(self.after).name, world)
        return in_two(self, world, needs, apart=True)


def in_two(change: Change, world: World, needs: frozenset[Fact], *, apart: bool) -> list[Step]:
    """Drop and create as two steps; `apart`: in two transactions.

    The drop is journalled: the new object makes it invisible whether it was done.
    """
    before, after = own(change.before), own(change.after)
    first = f"{change.address}/1-drop"
    used = not world.empty(change.address)
    gap = {Hazard.INDEX_GAP} if isinstance(before, Constraint) and before.has_index and apart and used else set()
    return [
        step(
            change,
            "1-drop",
            calls=(cypher.drop(before, before.name, world.server),),
            phase=Phase.CONTRACT,
            needs=frozenset({has(change.address)}),
            gives=frozenset({done(first)}),
            journalled=True,
            hazards=frozenset(gap),
        ),
        step(
            change,
            "2-create",
            calls=(cypher.create(after, after.name, world.server),),
            phase=Phase.CONTRACT,
            needs=needs | {done(first)},
            gives=frozenset({ok(change.address)}),
            commit_before=apart,
            hazards=_hazards(after, locked=used and not apart),
        ),
    ]
