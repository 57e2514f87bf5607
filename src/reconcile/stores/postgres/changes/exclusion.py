"""Exclusion constraints. There is no way to build one beside the table's users: every statement that adds one locks it.

https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-EXCLUDE
"""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes.common import (
    ChangeComment,
    Creation,
    Replacement,
    comments,
    recreated_steps,
    requires,
    small,
)
from reconcile.stores.postgres.changes.constraint import (
    DropConstraint,
    add_statement,
    drop_statement,
    narrowing,
)
from reconcile.stores.postgres.changes.describing import only_comment_differs
from reconcile.stores.postgres.changes.index_options import key_options
from reconcile.stores.postgres.changes.named import columns_used
from reconcile.stores.postgres.changes.part_names import naming_below
from reconcile.stores.postgres.changes.preconditions import conflicts, preceded
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.resources import Column, Exclusion
from reconcile.stores.postgres.sqltables import marks
from reconcile.stores.postgres.sqltext import exclusion_clause

_LOCKED = (Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES, Hazard.BUILDS_INDEX, Hazard.DEPENDS_ON_DATA)


class DropExclusion(DropConstraint):
    """Nothing that worked fails."""

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_exclusion(self.before) if isinstance(self.before, Exclusion) else super().describe()


def exclusion_needs(world: World, exclusion: Exclusion) -> frozenset[Fact]:
    """The table, the columns it names, and what its expressions refer to."""
    columns = columns_used(world, world.target, exclusion.table, exclusion)
    return requires(world, [exclusion.table, *(c.address for c in columns), *exclusion.refers])


class AddExclusion(Creation):
    """ADD CONSTRAINT … EXCLUDE: the index is built while the table is locked against all access."""

    before: None
    after: Exclusion

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_exclusion(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        exclusion = self.after
        if world.drops(exclusion.table):
            return []
        named = [c.address.parts[-1] for c in _columns(world, exclusion)]
        step = self.step(
            world,
            1,
            "add",
            [
                add_statement(exclusion),
                *comments(exclusion),
                *naming_below(world, exclusion),
                *marks(world.target.get(exclusion.table), exclusion.name),
            ],
            needs={no(self.address)} | exclusion_needs(world, exclusion),
            gives=[has(self.address), ok(self.address)],
            phase=Phase.EXPAND if world.creates(exclusion.table) else narrowing(world, exclusion, named),
            hazards=() if small(world, exclusion.table) else _LOCKED,
            long=True,
        )
        return preceded([step], conflicts(world, exclusion))


def _made(world: World, x: Exclusion) -> list[str]:
    return [
        add_statement(x),
        *comments(x),
        *naming_below(world, x),
        *marks(world.target.get(x.table), x.name),
    ]


def _columns(world: World, exclusion: Exclusion) -> list[Column]:
    return columns_used(world, world.target, exclusion.table, exclusion)


def describe_exclusion(exclusion: Exclusion) -> str:
    """`gist (room WITH =, span WITH &&) where (…)`."""
    return exclusion_clause(exclusion).removeprefix("EXCLUDE USING ").replace('"', "")


class ReplaceExclusion(Replacement):
    """Dropped and added in one transaction, under one lock: nobody ever sees the table without it."""

    before: Exclusion
    after: Exclusion

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "dropped and added in one transaction, built under an exclusive lock: there is no concurrent way"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before, self.after
        if comes_again(world, old):
            return recreated_steps(world, old, new)
        step = self.step(
            world,
            1,
            "swap",
            [
                drop_statement(old),
                add_statement(new),
                *comments(new),
                *naming_below(world, new),
                *marks(world.target.get(new.table), new.name),
            ],
            needs={has(self.address)} | exclusion_needs(world, new),
            gives=[has(self.address), ok(self.address)],
            phase=Phase.CONTRACT,
            hazards=() if small(world, new.table) else _LOCKED,
            long=True,
        )
        return preceded([step], conflicts(world, new))


def alter(before: Exclusion, after: Exclusion) -> Change | None:
    """The change of an exclusion constraint that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return key_options(before, after) or ReplaceExclusion(before, after)
