"""Columns that get another type online: a second column kept in step and filled, everything built on it, then swapped.

A prefix of the steps leaves helpers that the catalog shows for what they are: the next plan goes on with them, or
removes them where the declaration has changed its mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconcile.change import Change, Step, World
from reconcile.stores.postgres.changes.again import around, companions_of
from reconcile.stores.postgres.changes.column_alter import AlterColumnType, around_retyped, lost, refuse_stored_vectors
from reconcile.stores.postgres.changes.column_online_parts import (
    in_place,
    virtual_readers,
)
from reconcile.stores.postgres.changes.column_swap import Swap
from reconcile.stores.postgres.changes.column_type import compared_with
from reconcile.stores.postgres.changes.common import (
    Alteration,
)
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.changes.types import is_vector, stored_vectors_fit, type_change
from reconcile.stores.postgres.resources import (
    Column,
)


class AlterColumnOnline(Alteration):
    """Another type by a second column; at once where the table has no rows, or nothing would be written anew."""

    before: Column
    after: Column

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        online = "a new column kept in step by a trigger, filled in batches, then swapped in"
        same = self.before.type == self.after.type or self.after.using is not None
        free = not (same or type_change(self.before.type, self.after.type).rewrites)
        return f"in place, unless indexes would be built again: then {online}" if free else online

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: what stands on it; keys that cannot be compared with the new type."""
        from reconcile.stores.postgres.changes.column_generated import RecreateColumn

        if in_place(world, self.before, self.after):
            return around_retyped(world, self.before)
        found: list[Change] = around(world, [self.address])
        readers = virtual_readers(world, self.before)
        found += [RecreateColumn(g, g) for g in readers if world.target.get(g.address) == g]
        return found + companions_of(world, (u for u in compared_with(world, self.before) if comes_again(world, u)))

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: something uses the column that cannot be built on another beside it.
        """
        if in_place(world, self.before, self.after):
            return AlterColumnType(self.before, self.after).steps(world)
        if is_vector(self.before.type) and not stored_vectors_fit(self.before.type, self.after.type):
            refuse_stored_vectors(world, self.before, self.after)
        return Swap(self, world).steps()

    @property
    def loses(self) -> str | None:
        """See `Change.loses`."""
        return lost(self.before, self.after)

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return AlterColumnOnline(self.after, self.before)
