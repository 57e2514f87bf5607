"""Event triggers. While there is one, it fires at this tool's own statements too.

So one comes after all else that the expand phase makes, and goes before anything is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.stores.postgres.changes.common import Alteration, Creation, Removal, comments, goes_first, requires
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.remaking import remade, uprooted
from reconcile.stores.postgres.resources import EventTrigger
from reconcile.stores.postgres.sqltext import comment_statement, ident, literal

_ENABLED = {"origin": "ENABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS", "disabled": "DISABLE"}


def _statements(trigger: EventTrigger) -> list[str]:
    schema, function = trigger.function
    tags = f" WHEN TAG IN ({', '.join(map(literal, trigger.tags))})" if trigger.tags else ""
    name = ident(schema, function.removesuffix("()"))
    made = f"CREATE EVENT TRIGGER {ident(trigger.name)} ON {trigger.event}{tags} EXECUTE FUNCTION {name}()"
    return [made, *([_enable(trigger)] if trigger.enabled != "origin" else []), *comments(trigger)]


def _enable(trigger: EventTrigger) -> str:
    return f"ALTER EVENT TRIGGER {ident(trigger.name)} {_ENABLED[trigger.enabled]}"


def _needs(world: World, trigger: EventTrigger) -> frozenset[Fact]:
    return requires(world, trigger.refers)


class CreateEventTrigger(Creation):
    """CREATE EVENT TRIGGER, and its state."""

    before: None
    after: EventTrigger

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe(self.after)

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "fires from then on, also at what this tool runs"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        needs = {no(self.address)} | _needs(world, self.after)
        gives = [has(self.address), ok(self.address)]
        return [self.step(world, 1, "create", _statements(self.after), needs=needs, gives=gives)]


def describe_change(before: EventTrigger, after: EventTrigger) -> str:
    """`ddl_command_end calls audit.ddl() → sql_drop calls audit.ddl(), enabled always`."""
    parts = [f"{describe(before)} → {describe(after)}"] if describe(before) != describe(after) else []
    parts += [f"enabled {before.enabled} → {after.enabled}"] if before.enabled != after.enabled else []
    parts += ["comment"] if before.comment != after.comment else []
    return ", ".join(parts) or "unchanged, made again"


def describe(trigger: EventTrigger) -> str:
    """`ddl_command_end (CREATE TABLE) calls audit.ddl()`."""
    tags = f" ({', '.join(trigger.tags)})" if trigger.tags else ""
    return f"{trigger.event}{tags} calls {'.'.join(trigger.function)}"


class DropEventTrigger(Removal):
    """DROP EVENT TRIGGER."""

    before: EventTrigger
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.step(
                world,
                1,
                "drop",
                [f"DROP EVENT TRIGGER {ident(self.before.name)}"],
                needs={has(self.address)} | goes_first(world, self.before.refers),
                gives=[no(self.address)],
            )
        ]


class AlterEventTrigger(Alteration):
    """ENABLE or DISABLE."""

    before: EventTrigger
    after: EventTrigger

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_change(self.before, self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return ReplaceEventTrigger(self.before, self.after).steps(world)
        calls = [_enable(self.after)] if self.before.enabled != self.after.enabled else []
        calls += [comment_statement(self.after)] if self.before.comment != self.after.comment else []
        needs = {has(self.address)} | _needs(world, self.after)
        return [self.step(world, 1, "alter", calls, needs=needs, gives=[has(self.address), ok(self.address)])]


class ReplaceEventTrigger(Alteration):
    """Event, tags or function: dropped and made again."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: EventTrigger
    after: EventTrigger

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_change(self.before, self.after)

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "replace_because_cannot_update" if self.before != self.after else None

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        return tuple((key,) for key in differing(self.before, self.after) if key not in ("comment", "enabled"))

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        drop, gives = f"DROP EVENT TRIGGER {ident(self.before.name)}", [has(self.address), ok(self.address)]
        there, needs = {has(self.address)}, _needs(world, self.after)
        if not uprooted(world, self.before):
            calls = [drop, *_statements(self.after)]
            return [self.step(world, 1, "replace", calls, needs=there | needs, gives=gives)]
        gone = there | goes_first(world, self.before.refers)
        made = {no(self.address)} | needs
        return [
            self.step(world, 1, "drop", [drop], needs=gone, gives=[no(self.address)], phase=Phase.CONTRACT),
            self.step(world, 2, "create", _statements(self.after), needs=made, gives=gives, phase=Phase.CONTRACT),
        ]


def alter(before: EventTrigger, after: EventTrigger) -> Change | None:
    """The change of an event trigger that stays."""
    changed = set(differing(before, after))
    return (AlterEventTrigger if changed <= {"enabled", "comment"} else ReplaceEventTrigger)(before, after)
