"""Check constraints: added not valid, validated after."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact
from reconcile.stores.postgres.changes.circular import waits_for_table
from reconcile.stores.postgres.changes.common import (
    ChangeComment,
    Creation,
    Replacement,
    recreated_steps,
    requires,
    small,
)
from reconcile.stores.postgres.changes.constraint import (
    DropConstraint,
    ValidateConstraint,
    narrowing,
    only_validates,
    validated_steps,
)
from reconcile.stores.postgres.changes.describing import only_comment_differs
from reconcile.stores.postgres.changes.homes import home, same_name_gone, taken_over
from reconcile.stores.postgres.changes.named import columns_used
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.resources import (
    Check,
)


class DropCheck(DropConstraint):
    """Nothing that worked fails."""


def check_needs(world: World, check: Check) -> frozenset[Fact]:
    """The table, what the expression refers to, and every column of the table that this plan adds or retypes."""
    named = [c.address for c in columns_used(world, world.target, home(world, check.table), check)]
    refers = [a for a in check.refers if a != check.address]
    return requires(world, [check.table, *refers, *named])


class AddCheck(Creation):
    """ADD CONSTRAINT … CHECK … NOT VALID, then VALIDATE."""

    before: None
    after: Check

    def describe(self) -> str:
        """See `Change.describe`."""
        return self.after.expression

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        check = self.after
        new = world.creates(check.table)
        if (
            taken_over(world, check)
            or world.drops(check.table)
            or (new and not check.not_valid and not waits_for_table(world, check))
        ):
            return []
        columns = columns_used(world, world.target, home(world, check.table), check)
        phase = narrowing(world, check, [c.address.parts[-1] for c in columns])
        needs = check_needs(world, check) | same_name_gone(world, check)
        at_once = new or small(world, check.table)
        return validated_steps(self, world, check, None, needs=needs, phase=phase, at_once=at_once)


class ReplaceCheck(Replacement):
    """A new condition beside the old one, validated, then put in its place."""

    before: Check
    after: Check

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "added beside not valid, validated, then swapped"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        at_once = small(world, self.after.table)
        needs = check_needs(world, self.after)
        return validated_steps(self, world, self.after, self.before, needs=needs, phase=Phase.CONTRACT, at_once=at_once)


def alter(before: Check, after: Check) -> Change | None:
    """The change of a check that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return ValidateConstraint(before, after) if only_validates(before, after) else ReplaceCheck(before, after)
