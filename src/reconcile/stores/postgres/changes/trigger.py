"""Triggers and constraint triggers. A changed one is never missing: replaced in place, or made again at once.

CREATE OR REPLACE TRIGGER came with PostgreSQL 14; it knows no constraint triggers.
https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    Replacement,
    comments,
    goes_first,
    requires,
    settled_before,
)
from reconcile.stores.postgres.changes.describing import describe_difference, differing, only_comment_differs
from reconcile.stores.postgres.changes.remaking import dropped_with_table, remade
from reconcile.stores.postgres.resources import Trigger
from reconcile.stores.postgres.sqlattached import drop_trigger, enable_statement, trigger_statement
from reconcile.stores.postgres.sqltext import comment_statement

REPLACE_SINCE = (14,)


def function_address(trigger: Trigger) -> Address:
    """Where its function is, or would be if it were known to the project."""
    return Address(trigger.address.store, "function", trigger.function)


def _made_needs(world: World, trigger: Trigger) -> frozenset[Fact]:
    """
    Raises:
        PlanError: its function is dropped in the same plan.
    """
    function = function_address(trigger)
    if world.drops(function):
        raise PlanError(
            f"{trigger.address} calls {function}, which this plan drops",
            where=trigger.source,
            hint="declare the function, or let the trigger call another",
        )
    known = [function] if function in world.live or function in world.target else []
    return requires(world, dict.fromkeys([trigger.table, *trigger.refers, *known]))


def _made(trigger: Trigger, *, replace: bool = False) -> list[str]:
    """It comes enabled, whatever it was before."""
    enabled = [enable_statement(trigger)] if trigger.enabled != "origin" else []
    return [trigger_statement(trigger, replace=replace), *enabled]


def _away(world: World, trigger: Trigger) -> frozenset[Fact]:
    return goes_first(world, dict.fromkeys([trigger.table, *trigger.refers, function_address(trigger)]))


class CreateTrigger(Creation):
    """CREATE TRIGGER; of a new table in its transaction. Who writes to an old one notices it."""

    before: None
    after: Trigger

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.step(
                world,
                1,
                "create",
                [*_made(self.after), *comments(self.after)],
                needs={no(self.address)} | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
                phase=Phase.EXPAND if world.creates(self.after.table) else Phase.CONTRACT,
            )
        ]


class DropTrigger(Removal):
    """DROP TRIGGER."""

    before: Trigger
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if dropped_with_table(world, self.before):
            return []
        return [self.drop_step(world, [drop_trigger(self.before)], needs=_away(world, self.before))]


class AlterTrigger(Alteration):
    """When it fires, its comment, or anything else, by CREATE OR REPLACE where that differs and the server has it."""

    before: Trigger
    after: Trigger

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_difference(self.before, self.after, spelled_out=True)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return RecreateTrigger(self.before, self.after).steps(world)
        changed = set(differing(self.before, self.after))
        constraint = self.before.constraint or self.after.constraint
        in_place = world.server.numbers >= REPLACE_SINCE and not constraint
        if changed <= {"enabled", "comment"}:
            calls = [enable_statement(self.after)] if "enabled" in changed else []
        elif in_place:
            calls = _made(self.after, replace=True)
        else:
            calls = [drop_trigger(self.before), *_made(self.after), *comments(self.after)]
        if "comment" in changed and (in_place or changed <= {"enabled", "comment"}):
            calls.append(comment_statement(self.after))
        return [
            self.step(
                world,
                1,
                "alter",
                calls,
                needs={has(self.address)} | _away(world, self.before) | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
            )
        ]


class RecreateTrigger(Replacement):
    """DROP TRIGGER before what it stands on changes, CREATE TRIGGER after, in one transaction."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Trigger
    after: Trigger

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_difference(self.before, self.after, spelled_out=True)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        early, late = settled_before(world, _made_needs(world, self.after), self.before, self.after)
        return [
            self.drop_step(world, [drop_trigger(self.before)], needs=_away(world, self.before) | early),
            self.step(
                world,
                2,
                "create",
                [*_made(self.after), *comments(self.after)],
                needs={no(self.address)} | late,
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
            ),
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateTrigger(self.after, self.before)


def describe(trigger: Trigger) -> str:
    """`before insert or update of net for each row: touch_updated_at()`."""
    events = [f"update of {', '.join(trigger.of)}" if e == "update" and trigger.of else e for e in trigger.events]
    parts = ["constraint" if trigger.constraint else "", trigger.when.replace("_", " "), " or ".join(events)]
    parts += [f"for each {trigger.for_each}"]
    off = f", {trigger.enabled}" if trigger.enabled != "origin" else ""
    return f"{' '.join(p for p in parts if p)}: {trigger.function[1]}{off}"


def alter(before: Trigger, after: Trigger) -> Change:
    """The change of a trigger that stays."""
    return (ChangeComment if only_comment_differs(before, after) else AlterTrigger)(before, after)
