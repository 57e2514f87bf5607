"""Extended statistics: what the planner is told of columns together. https://www.postgresql.org/docs/current/planner-stats.html"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    Replacement,
    comments,
    in_schema,
    recreated_steps,
    requires,
    small,
)
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.homes import homes
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.resources import Statistics
from reconcile.stores.postgres.sqlstatistics import statistics_statement, target_calls
from reconcile.stores.postgres.sqltext import comment_statement, object_name, relation


def made(world: World, x: Statistics) -> list[str]:
    """CREATE STATISTICS with all that is said of it; ANALYZE fills it."""
    calls = [statistics_statement(x), *target_calls(x, None), *comments(x)]
    return [*calls, *([] if small(world, x.table) else [f"ANALYZE {relation(x.table)}"])]


def made_needs(world: World, x: Statistics) -> frozenset[Fact]:
    """The table, its columns, its own schema, what its expressions call."""
    columns = homes(world, x.table, [i.column for i in x.columns if i.column is not None])
    return in_schema(world, x) | requires(world, [x.table, *columns, *x.refers])


def describe_statistics(x: Statistics) -> str:
    """`dependencies, ndistinct on no, (lower(kind))`."""
    items = ", ".join(i.column or f"({i.expression})" for i in x.columns)
    return f"{', '.join(x.kinds)} on {items}" if x.kinds else f"on {items}"


class CreateStatistics(Creation):
    """CREATE STATISTICS, then ANALYZE: reads and writes go on."""

    before: None
    after: Statistics

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_statistics(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        x = self.after
        needs = {no(self.address)} | made_needs(world, x)
        gives = [has(self.address), ok(self.address)]
        return [self.step(world, 1, "create", made(world, x), needs=needs, gives=gives, long=True)]


class DropStatistics(Removal):
    """DROP STATISTICS; with its table it goes by itself."""

    before: Statistics
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_statistics(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if world.drops(self.before.table):
            return []
        return [
            self.drop_step(
                world, [f"DROP STATISTICS {object_name(self.before)}"], needs=requires(world, [self.before.table])
            )
        ]


class AlterStatistics(Alteration):
    """The target and the comment, in place."""

    before: Statistics
    after: Statistics

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        before, after = self.before, self.after
        if comes_again(world, before):
            return recreated_steps(world, before, after)
        calls = target_calls(after, before.target)
        calls += [comment_statement(after)] if before.comment != after.comment else []
        needs = {has(self.address)} | requires(world, [before.table])
        return [self.step(world, 1, "alter", calls, needs=needs, gives=[ok(self.address)])]


class ReplaceStatistics(Replacement):
    """Other columns or kinds: dropped and created in one transaction."""

    before: Statistics
    after: Statistics

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before, self.after
        if comes_again(world, old):
            return recreated_steps(world, old, new)
        drop = [] if world.drops(old.table) else [f"DROP STATISTICS {object_name(old)}"]
        needs = {has(self.address)} | made_needs(world, new)
        gives = [has(self.address), ok(self.address)]
        calls = [*drop, *made(world, new)]
        return [self.step(world, 1, "replace", calls, needs=needs, gives=gives, phase=Phase.CONTRACT, long=True)]


class RecreateStatistics(Replacement):
    """Dropped before what it stands on is made again, and created after."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Statistics
    after: Statistics

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before, self.after
        drop: Iterable[Step] = (
            [] if world.drops(old.table) else [self.drop_step(world, [f"DROP STATISTICS {object_name(old)}"])]
        )
        create = self.step(
            world,
            2,
            "create",
            made(world, new),
            needs={no(self.address)} | made_needs(world, new),
            gives=[has(self.address), ok(self.address)],
            phase=Phase.CONTRACT,
            long=True,
        )
        return [*drop, create]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateStatistics(self.after, self.before)


def alter(before: Statistics, after: Statistics) -> Change | None:
    """The change of an object that stays."""
    if before.container == after.container:
        if only_comment_differs(before, after):
            return ChangeComment(before, after)
        if set(differing(before, after)) <= {"target", "comment"}:
            return AlterStatistics(before, after)
    return ReplaceStatistics(before, after)
