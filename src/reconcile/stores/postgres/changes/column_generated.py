"""Generated columns: another expression in place, or dropped and added where the server has no other way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes.again import around as around_these
from reconcile.stores.postgres.changes.again import companions_of
from reconcile.stores.postgres.changes.column import added, drop_statement, settled, used, volatile
from reconcile.stores.postgres.changes.column_alter import (
    AlterColumn,
    AlterColumnType,
    alter_steps,
    around_retyped,
)
from reconcile.stores.postgres.changes.column_identity import alter_statement
from reconcile.stores.postgres.changes.column_online import AlterColumnOnline
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    PostgresChange,
    renamed_first,
    requires,
    small,
)
from reconcile.stores.postgres.changes.describing import only_comment_differs
from reconcile.stores.postgres.changes.giving import column_grants
from reconcile.stores.postgres.changes.named import columns_used
from reconcile.stores.postgres.changes.remaking import made_again, retypes, standing_on, users
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltext import as_written


class AlterColumnExpression(Alteration):
    """What a generated column is, or one that is to be or no longer to be: the values are computed again, or stay."""

    before: Column
    after: Column

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        if made_again(world, self.before, self.after):
            return around(world, self.before)
        return around_retyped(world, self.before) if retypes(self.before, self.after) else []

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: it has to be dropped and added, and something that stays uses it.
        """
        before, after = self.before, self.after
        if made_again(world, before, after):
            return again_steps(self, world, before, after)
        steps = [] if before.generated == after.generated else [self._expression(world)]
        plain = replace(before, generated=after.generated)
        rest = [] if plain == after else alter_steps(self, world, plain, after, retyped=retypes(before, after))
        if not steps or not rest:
            return [*steps, *rest]
        first = replace(steps[0], gives=frozenset({has(self.address)}))
        return [first, *(replace(s, id=f"{self.address}/{n}-{s.id.rpartition('-')[2]}") for n, s in enumerate(rest, 2))]

    def _expression(self, world: World) -> Step:
        before, after = self.before, self.after
        gone = after.generated is None
        heavy = [] if small(world, before.table) or gone or not after.stored else _REWRITE
        call = "DROP EXPRESSION" if gone else f"SET EXPRESSION AS ({as_written(after, 'generated')})"
        return self.step(
            world,
            1,
            "expression",
            [alter_statement(before, call)],
            needs={has(self.address)}
            | renamed_first(world, self.address)
            | requires(world, [before.table, *used(after)])
            | _sources(world, after),
            gives=[has(self.address), ok(self.address)],
            phase=Phase.CONTRACT,
            hazards=heavy,
            long=True,
        )

    @property
    def loses(self) -> str | None:
        """See `Change.loses`."""
        return None if self.before.generated else "the values that were stored before it was generated are gone"

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return AlterColumnExpression(self.after, self.before)


_REWRITE = [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]


class RecreateColumn(Alteration):
    """An equal generated column dropped before what it reads gets another type, and added again after."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Column
    after: Column

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return around(world, self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return again_steps(self, world, self.before, self.after)


def around(world: World, column: Column) -> list[Change]:
    """What is made again with the column: what stands on it, its indexes, keys, checks and foreign keys."""
    return around_these(world, [column.address]) + companions_of(world, users(world, column))


def again_steps(change: PostgresChange, world: World, before: Column, after: Column) -> list[Step]:
    """Dropped, and added when what it reads is as declared.

    Raises:
        PlanError: something that stays uses it.
    """
    full = not small(world, before.table)
    if full and after.generated is None and after.not_null and after.default is None and after.identity is None:
        raise PlanError(
            f"{change.address} can no longer be {'generated' if before.stored else 'virtual'} but by being"
            f" made anew: NOT NULL and without a default, it could not be, since {after.table} has rows",
            where=after.source,
            hint="give it a default; or drop not_null first, fill the new column, and set not_null after that",
        )
    lost = [Hazard.DELETES_DATA] if full and (before.generated is None or after.generated is None) else []
    computed = after.stored if after.generated is not None else after.identity is not None or volatile(after.default)
    drop = change.step(
        world,
        1,
        "drop",
        [drop_statement(before)],
        needs={has(change.address)}
        | renamed_first(world, change.address)
        | settled(world, before)
        | _readers_away(world, before),
        gives=[no(change.address)],
        phase=Phase.CONTRACT,
        hazards=lost,
    )
    add = change.step(
        world,
        2,
        "add",
        [*added(world, after), *column_grants(world, after.address)],
        needs={no(change.address)} | requires(world, [after.table, *used(after)]) | _sources(world, after),
        gives=[has(change.address), ok(change.address)],
        phase=Phase.CONTRACT,
        hazards=_REWRITE if full and computed else (),
        long=True,
    )
    return [drop, add]


def _readers_away(world: World, column: Column) -> frozenset[Fact]:
    return frozenset(no(x.address) for x in standing_on(world, [column.address], dropped=True))


def _sources(world: World, column: Column) -> frozenset[Fact]:
    """The columns its expression reads, as declared."""
    columns = columns_used(world, world.target, column.table, column)
    return requires(world, [c.address for c in columns if c.address != column.address])


def alter(before: Column, after: Column) -> Change | None:
    """The change of a column that stays."""
    if before.generated is not None or after.generated is not None:
        return AlterColumnExpression(before, after)
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    if not retypes(before, after):
        return AlterColumn(before, after)
    return (AlterColumnOnline if after.strategy == "online" else AlterColumnType)(before, after)
