"""Sequences of their own; those of identity columns belong to the column."""

from __future__ import annotations

from collections.abc import Sequence as Steps
from dataclasses import dataclass

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    comments,
    dependents_settled,
    differing,
    goes_first,
    in_schema,
    only_comment_differs,
    requires,
)
from reconcile.stores.postgres.resources import Sequence
from reconcile.stores.postgres.sqltext import comment_statement, ident, object_name, sequence_options


def owner(sequence: Sequence) -> Address | None:
    """The address of the column it is owned by."""
    return Address(sequence.address.store, "column", sequence.owned_by) if sequence.owned_by else None


def _owned_by(sequence: Sequence) -> str:
    column = ident(*sequence.owned_by) if sequence.owned_by else "NONE"
    return f"ALTER SEQUENCE {object_name(sequence)} OWNED BY {column}"


def goes_with_owner(world: World, sequence: Sequence) -> bool:
    """Whether the plan drops the column or table that owns it, which takes the sequence along."""
    column = owner(sequence)
    return column is not None and world.drops(column)


@dataclass(frozen=True)
class CreateSequence(Creation):
    """CREATE SEQUENCE; owned only once the column is there, whose default may need the sequence."""

    before: None
    after: Sequence

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"{self.after.type} sequence"

    def steps(self, world: World) -> Steps[Step]:
        """See `Change.steps`."""
        calls = [f"CREATE SEQUENCE {object_name(self.after)} {sequence_options(self.after)}", *comments(self.after)]
        column = owner(self.after)
        needs = {no(self.address)} | in_schema(world, self.after)
        steps = [self.step(world, 1, "create", calls, needs=needs, gives=[has(self.address), ok(self.address)])]
        if column:  # not "ok": the column itself waits for the sequence
            own, owned = [_owned_by(self.after)], done(f"{self.address}/2-own")
            there = requires(world, [column])
            steps.append(self.step(world, 2, "own", own, needs=there, gives=[owned], journalled=True))
        return steps


@dataclass(frozen=True)
class AlterSequence(Alteration):
    """ALTER SEQUENCE; the current value stays."""

    before: Sequence
    after: Sequence

    def steps(self, world: World) -> Steps[Step]:
        """See `Change.steps`."""
        calls, needs, changed = [], {has(self.address)}, set(differing(self.before, self.after))
        if changed - {"comment", "owned_by"}:
            calls.append(f"ALTER SEQUENCE {object_name(self.before)} {sequence_options(self.after)}")
        if "owned_by" in changed:
            calls.append(_owned_by(self.after))
            column = owner(self.after)
            needs |= requires(world, [column]) if column else set[Fact]()
        if "comment" in changed:
            calls.append(comment_statement(self.after))
        return [self.step(world, 1, "alter", calls, needs=needs, gives=[ok(self.address)])]


@dataclass(frozen=True)
class DropSequence(Removal):
    """DROP SEQUENCE; nothing where its owning column goes, which takes it along."""

    before: Sequence
    after: None

    def steps(self, world: World) -> Steps[Step]:
        """See `Change.steps`."""
        if goes_with_owner(world, self.before):
            return []
        column = owner(self.before)
        waits = dependents_settled(world, self.address)
        schema = Address(self.address.store, "schema", (self.before.schema,))
        return [
            self.step(
                world,
                1,
                "drop",
                [f"DROP SEQUENCE {object_name(self.before)}"],
                needs={has(self.address)} | waits | goes_first(world, [schema, *([column] if column else [])]),
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def alter(before: Sequence, after: Sequence) -> Change | None:
    """The change of a sequence that stays."""
    return ChangeComment(before, after) if only_comment_differs(before, after) else AlterSequence(before, after)
