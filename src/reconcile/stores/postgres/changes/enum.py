"""Enums: new values in place; removed or reordered ones through a new type."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import Change, Step, World
from reconcile.facts import ok
from reconcile.stores.postgres.changes.common import Alteration, ChangeComment
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.type_remaking import only_adds, there
from reconcile.stores.postgres.changes.type_replace import ReplaceType
from reconcile.stores.postgres.resources import Enum
from reconcile.stores.postgres.sqltext import comment_statement, literal, object_name


class AddEnumValues(Alteration):
    """ALTER TYPE … ADD VALUE; what uses the enum in this plan runs in a later transaction."""

    before: Enum
    after: Enum

    def describe(self) -> str:
        """See `Change.describe`."""
        new = [f"+ {v}" for v in self.after.values if v not in self.before.values]
        return ", ".join([*new, *(["comment"] if self.before.comment != self.after.comment else [])])

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        name, known, calls = object_name(self.before), list(self.before.values), []
        for place, value in enumerate(self.after.values):
            if value in known:
                continue
            if place:
                where = f" AFTER {literal(self.after.values[place - 1])}"
            else:
                where = f" BEFORE {literal(known[0])}" if known else ""
            calls.append(f"ALTER TYPE {name} ADD VALUE {literal(value)}{where}")
            known.insert(place, value)
        if self.before.comment != self.after.comment:
            calls.append(comment_statement(self.after, self.before.name))
        return [self.step(world, 1, "add", calls, needs=there(world, self.address), gives=[ok(self.address)])]


def alter(before: Enum, after: Enum) -> Change | None:
    """The change of an enum that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    if "values" in differing(before, after) and not only_adds(before, after):
        return ReplaceType(before, after)
    return AddEnumValues(before, after)
