"""Functions, procedures and aggregates: replaced in place where the server allows it, else dropped and made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
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
from reconcile.stores.postgres.resources import Routine
from reconcile.stores.postgres.sqlroutines import routine_statement
from reconcile.stores.postgres.sqltext import comment_statement, routine_name

UNCHECKED = "SET LOCAL check_function_bodies = off"
"""A body in quotes may name what is made later."""


def _made_needs(world: World, routine: Routine) -> frozenset[Fact]:
    return in_schema(world, routine) | requires(world, (a for a in routine.refers if a != routine.address))


def drop_statement(routine: Routine) -> str:
    """DROP FUNCTION, PROCEDURE or AGGREGATE."""
    return f"DROP {routine.address.kind.upper()} {routine_name(routine.address)}"


@dataclass(frozen=True)
class CreateRoutine(Creation):
    """CREATE FUNCTION, PROCEDURE or AGGREGATE."""

    before: None
    after: Routine

    def describe(self) -> str:
        """See `Change.describe`."""
        return self.address.kind

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [UNCHECKED, routine_statement(self.after, replace=False), *comments(self.after)]
        return [
            self.step(
                world,
                1,
                "create",
                calls,
                needs={no(self.address)} | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
            )
        ]


@dataclass(frozen=True)
class DropRoutine(Removal):
    """DROP FUNCTION, PROCEDURE or AGGREGATE; refused while something that stays needs it."""

    before: Routine
    after: None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        schema = Address(self.address.store, "schema", (self.before.schema,))
        needs = dependents_settled(world, self.address) | goes_first(world, [*self.before.refers, schema])
        return [
            self.step(
                world,
                1,
                "drop",
                [drop_statement(self.before)],
                needs={has(self.address)} | needs,
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


@dataclass(frozen=True)
class ReplaceRoutine(Alteration):
    """CREATE OR REPLACE: what calls it goes on."""

    before: Routine
    after: Routine

    def describe(self) -> str:
        """See `Change.describe`."""
        return ", ".join(differing(self.before, self.after))

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [UNCHECKED, routine_statement(self.after, replace=True)]
        if self.before.comment != self.after.comment:
            calls.append(comment_statement(self.after))
        needs = {has(self.address)} | _made_needs(world, self.after)
        return [self.step(world, 1, "replace", calls, needs=needs, gives=[has(self.address), ok(self.address)])]


def alter(before: Routine, after: Routine) -> Change | None:
    """The change of a routine that stays."""
    return ChangeComment(before, after) if only_comment_differs(before, after) else ReplaceRoutine(before, after)
