"""Changes of indexes. The server has no ALTER: everything is made, dropped, or both.

Steps that make an index are journalled: whether the wait for ONLINE was over cannot be seen from what it is. A
resumed create finds the index there and waits again; a resumed replacement begins anew.

Manual: https://neo4j.com/docs/cypher-manual/5/indexes/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Irreversible, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.neo4j import cypher, options
from reconcile.stores.neo4j.changes.common import (
    makes_way,
    own,
    phrase,
    place_differences,
    promoted,
    shown,
    step,
    typed,
    wait,
    wanted_by_another,
)
from reconcile.stores.neo4j.changes.contract import refuse_over_vectors
from reconcile.stores.neo4j.changes.timing import EnforcedName, TimedChange
from reconcile.stores.neo4j.dump import notable
from reconcile.stores.neo4j.resources import (
    BESIDE,
    BY_NAME,
    FAILED,
    LOOKUP,
    ONLINE,
    RANGE,
    Constraint,
    Index,
)


def _said(index: Index) -> str:
    """`vector (:Chunk).embedding dimensions 384 similarity cosine`: options at their default are left out."""
    chosen = [f"{'.'.join(option.path)} {shown(value)}" for option, value in notable(index)]
    return phrase(("" if index.kind == RANGE else index.kind, index.says(), *chosen))


class CreateIndex(TimedChange):
    """A new index, built in the background after the commit."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """Kind, place and options."""
        return _said(typed(self.after))

    def steps(self, world: World) -> Sequence[Step]:
        """One statement, then the wait until it is ONLINE."""
        after = typed(self.after)
        needs, _ = makes_way(after, after.name, world)
        demoted = any(
            isinstance(r, Constraint) and r.has_index and r.schema == after.schema
            for need in needs
            if (r := world.live.get(_subject(need))) is not None
        )
        gap = {Hazard.INDEX_GAP} if demoted and after.kind == RANGE and not world.empty(self.address) else set()
        return [
            step(
                self,
                "1-create",
                calls=(cypher.create(after, after.name, world.server),),
                needs=needs,
                gives=frozenset({ok(self.address)}),
                debris=(self.address,),
                journalled=True,
                after_commit=(wait(after.name),),
                hazards=frozenset({Hazard.BUILDS_INDEX} | gap),
            )
        ]

    def reverse(self) -> Change:
        """Drop it."""
        return DropIndex(self.after, None)


def _subject(need: Fact) -> Address:
    return Address.parse(need.subject.rpartition("/")[0] or need.subject)


class DropIndex(TimedChange):
    """The index goes. Queries name full-text and vector indexes, so these break; others get slower."""

    action: ClassVar[Action] = Action.DELETE

    @property
    def reason(self) -> str | None:
        """Of what a broken run left."""
        return "delete_because_leftover" if typed(self.before).leftover_of is not None else None

    def describe(self) -> str:
        """What it was."""
        return _said(typed(self.before))

    def steps(self, world: World) -> Sequence[Step]:
        """One statement; where a constraint takes its place, each in a transaction of its own.

        Raises:
            PlanError: the server's own lookup index.
        """
        before = typed(self.before)
        _refuse_lookup(before)
        by_name, gap = before.kind in BY_NAME and not before.leftover_of, promoted(before, world)
        return [
            step(
                self,
                "1-drop",
                calls=(cypher.drop(before, before.name, world.server),),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address)}),
                gives=frozenset({no(self.address)}),
                commit_before=gap,  # as late as can be
                hazards=frozenset(
                    {*([Hazard.BREAKS_CLIENTS] if by_name else []), *([Hazard.INDEX_GAP] if gap else [])}
                ),
            )
        ]

    def reverse(self) -> Change:
        """Make it again, with the options it had."""
        return CreateIndex(None, usable(typed(self.before)))


class ReplaceIndex(TimedChange):
    """Another definition or other options under the same name."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def reason(self) -> str:
        """There is no ALTER."""
        return "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """Fields and options that differ."""
        before, after = typed(self.before), typed(self.after)
        paths: list[tuple[str, ...]] = [("kind",)] if before.kind != after.kind else []
        paths += [(name,) for name, _ in place_differences(before, after)]
        return (*paths, *(option.path for option, _, _ in options.differing(before, after)))

    @property
    def strategy(self) -> str:
        """One clause."""
        return "dropped and created in one transaction, then built in the background"

    def describe(self) -> str:
        """`analyzer english → standard`."""
        before, after = typed(self.before), typed(self.after)
        parts = [f"{before.kind} → {after.kind}"] if before.kind != after.kind else []
        parts += [text for _, text in place_differences(before, after)]
        parts += [f"{'.'.join(o.path)} {shown(b)} → {shown(a)}" for o, b, a in options.differing(before, after)]
        parts += ["the live one failed"] if before.state == FAILED else []
        return ", ".join(parts)

    def steps(self, world: World) -> Sequence[Step]:
        """Drop and create in one step, or in two where another object takes the place in between.

        Raises:
            PlanError: stored vectors would no longer fit; prints the next generation's YAML.
        """
        before, after = typed(self.before), typed(self.after)
        _refuse_lookup(before)
        _refuse_beside(before, after)
        refuse_over_vectors(before, after, world)
        needs, _ = makes_way(after, after.name, world)
        gap = set() if before.state == FAILED or world.empty(self.address) else {Hazard.INDEX_GAP}
        return _drop_and_create(self, world, needs, gap, "1-replace", in_two=wanted_by_another(before, world))

    def reverse(self) -> Change | Irreversible:
        """The same the other way."""
        return ReplaceIndex(self.after, usable(typed(self.before)))


class RebuildIndex(TimedChange):
    """A live index that failed while it was built: it answers nothing and blocks its own repair until dropped."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def reason(self) -> str:
        """It is not usable."""
        return "rebuild_because_invalid"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """What forces it."""
        return (("state",),)

    @property
    def strategy(self) -> str:
        """One clause."""
        return "dropped and created in one transaction, then built in the background"

    def describe(self) -> str:
        """What the server says of it."""
        failure = typed(self.before).failure
        return phrase(("failed → online", f"({failure})" if failure else ""))

    def steps(self, world: World) -> Sequence[Step]:
        """Drop and create; no gap is opened that is not there."""
        needs, _ = makes_way(own(self.after), own(self.after).name, world)
        return _drop_and_create(self, world, needs, set(), "1-rebuild", in_two=False)

    def reverse(self) -> Irreversible:
        """There is nothing to go back to."""
        return Irreversible("the old index was not usable")


class RenameIndex(EnforcedName):
    """Policy `names: enforce`: dropped under the live name, made under the declared one."""

    @property
    def strategy(self) -> str:
        """One clause."""
        return "dropped and created in one transaction: the server has no RENAME"

    def steps(self, world: World) -> Sequence[Step]:
        """One step. Queries that name the index break."""
        before, after = typed(self.before), typed(self.after)
        needs, _ = makes_way(after, after.name, world)
        hazards = set() if world.empty(self.address) else {Hazard.INDEX_GAP}
        hazards |= {Hazard.BREAKS_CLIENTS} if before.kind in BY_NAME else set()
        return _drop_and_create(self, world, needs, hazards, "1-rename", in_two=wanted_by_another(before, world))


def usable(index: Index) -> Index:
    """As it would be had its building not failed."""
    return typed(index.replace(state=ONLINE, failure=None))


def _drop_and_create(
    change: Change, world: World, needs: frozenset[Fact], hazards: set[Hazard], word: str, *, in_two: bool
) -> list[Step]:
    before, after = typed(change.before), typed(change.after)
    drop = cypher.drop(before, before.name, world.server)
    create = cypher.create(after, after.name, world.server)
    made = {
        "gives": frozenset({ok(change.address)}),
        "after_commit": (wait(after.name),),
        "journalled": True,
        "phase": Phase.CONTRACT,
    }
    there = frozenset({has(change.address)})
    if not in_two:
        risks = frozenset(hazards | {Hazard.BUILDS_INDEX})
        return [step(change, word, calls=(drop, create), needs=needs | there, hazards=risks, **made)]
    first = f"{change.address}/1-drop"
    return [
        step(
            change,
            "1-drop",
            calls=(drop,),
            phase=Phase.CONTRACT,
            needs=there,
            gives=frozenset({done(first)}),
            journalled=True,
            hazards=frozenset(hazards),
        ),
        step(
            change,
            "2-create",
            calls=(create,),
            needs=needs | {done(first)},
            hazards=frozenset({Hazard.BUILDS_INDEX}),
            **made,
        ),
    ]


def _refuse_lookup(before: Index) -> None:
    if before.kind == LOOKUP:
        raise PlanError(
            f"{before.address} is the server's own token lookup index: without it every scan by label or type is slow",
            hint="choose another name in the YAML",
        )


def _refuse_beside(before: Index, after: Index) -> None:
    if after.replace_how == BESIDE and before.kind in BY_NAME and before.state != FAILED:
        raise PlanError(
            f"{after.address} cannot be replaced beside: the server has no second {after.kind} index on {after.says()}",
            where=after.source,
            hint="set `replace: in_place`, which opens a gap, or declare a second index over another property",
        )
