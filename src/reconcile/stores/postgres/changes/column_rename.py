"""Columns renamed online: the new name beside the old one, both written to, until the old one takes the new name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconcile.change import Change, Op, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.column import RenameColumn
from reconcile.stores.postgres.changes.common import PostgresChange, requires, small
from reconcile.stores.postgres.changes.key import broken, key_index, rebuild_step
from reconcile.stores.postgres.changes.preconditions import preceded, rewritable
from reconcile.stores.postgres.changes.renaming import rename_column
from reconcile.stores.postgres.changes.sync import TIDY, Pair, distinct, nothing_hangs_on
from reconcile.stores.postgres.resources import Column, Index, Key, Table
from reconcile.stores.postgres.sqltext import helper_name, ident, index_statement, relation

BACKFILL_ROWS = 1000
"""In one transaction of a backfill, where the store's `backfill_rows` says nothing else."""


class RenameColumnOnline(RenameColumn):
    """A column under the new name, kept in step with the old one in both directions and filled; then the old one,
    which has all indexes, constraints and views, takes the name.

    Until then both names work. Where contract steps are held the new name gets the indexes of the old one meanwhile.
    """

    begun: Column | None = None
    """The column that an earlier run put beside."""

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "both names kept in step by a trigger, filled in batches, then the old one dropped"

    @property
    def pair(self) -> Pair:
        """The two columns; statements name the table as it is called after the table's own rename."""
        old = self.before.address.parts[-1]
        new = self.after.address.parts[-1]
        return Pair(self.after.table, old, new, replace(self.before, declared=None), ident(old), both_ways=True)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: the table is a partition or partitioned, or the column generated.
        """
        pair, table = self.pair, self.after.table
        refuse_partitions(world, table, self)
        if self.before.generated is not None:
            raise PlanError(
                f"{self.address} is generated: it cannot be renamed online",
                where=self.after.source,
                hint="take `strategy` out: it is renamed at once",
            )
        steps = [*beside_step(self, world, pair, self.begun), backfill_step(self, world, pair)]
        held = world.settings.get("contract") == "held"
        if held:
            steps += self._indexes(world, len(steps))
        copies = [i for i in _copies(self, world) if held or i.address in world.live]
        drop = [f"DROP INDEX {ident(i.schema, i.name)}" for i in copies]
        swap = [
            *pair.remove(),
            *drop,
            nothing_hangs_on(table, pair.new),
            f"ALTER TABLE {relation(table)} DROP COLUMN {ident(pair.new)}",
            f"ALTER TABLE {relation(table)} RENAME COLUMN {ident(pair.old)} TO {ident(pair.new)}",
            TIDY,
        ]
        steps.append(
            self.step(
                world,
                len(steps) + 1,
                "rename",
                swap,
                needs=requires(world, [table]),
                gives=[has(self.address), ok(self.address), no(self.before.address), *(no(i.address) for i in copies)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
                commit_before=True,
            )
        )
        return preceded(steps, rewritable(world, table))

    def _indexes(self, world: World, done_: int) -> list[Step]:
        """Copies of the indexes under the new name: held contract steps may wait for days."""
        steps: list[Step] = []
        for index in _copies(self, world):
            steps += build_steps(self, world, index, done_ + len(steps), Phase.MIGRATE)
        return steps

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RenameColumnOnline(self.after, self.before)

    def apply_to(self, state: State) -> State:
        """See `RenameColumn.apply_to`; the column that was beside is gone."""
        begun = self.before.address in state and self.after.address in state
        return super().apply_to(state.without(self.after.address) if begun else state)


def _copies(change: RenameColumnOnline, world: World) -> list[Index]:
    """Indexes over the new name under helpers' names; the columns of live resources have the new name already."""
    found, name = [], change.after.address.parts[-1]
    for x in world.live.children(change.after.table):
        if x.leftover_of is not None:
            continue
        if isinstance(x, Key) and name in x.columns:
            found.append(key_index(x))
        elif isinstance(x, Index) and name in {item.column for item in x.columns}:
            found.append(beside(x))
    return [replace(i, helper_of=name) for i in found]


def beside(index: Index) -> Index:
    """The same under a helper's name."""
    helper = Address(index.address.store, "index", (index.schema, helper_name(index.name, "new")))
    return replace(index, address=helper, live_name=None, comment=None, declared=None)


def renamed(live: State, old: Address, new: Address) -> tuple[Change, State]:
    """The rename, and `live` as it will look afterwards; `strategy` marks the column as being renamed so."""
    before, begun = live[old], live.get(new)
    state = rename_column(live.without(new) if begun is not None else live, old, new)
    after = state[new].replace(strategy="online")
    return RenameColumnOnline(before, after, begun), state.add(after)  # type: ignore[arg-type]


# What another type has too.


def refuse_partitions(world: World, address: Address, change: PostgresChange) -> None:
    """Columns of a parent and its partitions come and go together, and their indexes are built one by one.

    Raises:
        PlanError: it is one of them.
    """
    table = world.live.get(address)
    if isinstance(table, Table) and (table.partition_by is not None or table.partition_of is not None):
        raise PlanError(
            f"{change.address} cannot be changed online: {address} is partitioned or a partition",
            where=change.resource.source,
            hint="take `strategy` out: it is changed in place",
        )


def beside_step(
    change: PostgresChange,
    world: World,
    pair: Pair,
    begun: Column | None,
    phase: Phase = Phase.EXPAND,
    also: Sequence[str] = (),
) -> list[Step]:
    """The column and its trigger, unless an earlier run made them just so; what it made otherwise goes first."""
    if begun is not None and begun.synced == pair.digest:
        return []
    new = pair.table.child("column", pair.new)
    gone = (
        []
        if begun is None
        else [
            *also,
            *pair.remove(),
            f"ALTER TABLE {relation(pair.table)} DROP COLUMN {ident(pair.new)}",
        ]
    )
    return [
        change.step(
            world,
            1,
            "beside",
            [*gone, *pair.make()],
            address=new,
            needs=requires(world, [pair.table]),
            gives=[has(new)],
            phase=phase,
        )
    ]


def backfill_step(change: PostgresChange, world: World, pair: Pair, phase: Phase = Phase.MIGRATE) -> Step:
    """All rows that were there before the trigger, in transactions of their own; then the statistics of the column."""
    name, new = ident(pair.table.parts[1]), ident(pair.new)
    number = 2
    args = {
        "table": relation(pair.table),
        "as": name,
        "column": new,
        "value": pair.value,
        "left": distinct(pair.column, f"{name}.{new}", pair.value),
        "rows": int(world.settings.get("backfill_rows") or BACKFILL_ROWS),
    }
    step = change.concurrent_step(
        number,
        "backfill",
        [f"ANALYZE {relation(pair.table)} ({new})"],
        address=pair.table.child("column", pair.new),
        needs=[has(pair.table.child("column", pair.new))],
        gives=[done(f"{change.address}/{number}-backfill")],
        phase=phase,
        hazards=[Hazard.NEEDS_SPACE, Hazard.LONG_RUNNING],
        journalled=True,
    )
    lock = str(world.settings.get("lock_timeout") or "2s")
    timeouts = replace(step.timeouts, lock=lock, wall=None, statement=None)
    return replace(step, calls=(Op("backfill", args), *step.calls), timeouts=timeouts, retry=True)


def build_steps(
    change: PostgresChange, world: World, index: Index, done_: int, phase: Phase, *, anew: bool = False
) -> list[Step]:
    """Build a helper index, concurrently where there are rows, unless an earlier run left it ready.

    Args:
        anew: what the earlier run built is gone by then.
    """
    there = None if anew else world.live.get(index.address)
    if there == index and not world.drops(index.address):
        return []
    if there is not None and broken(world, index):
        return [rebuild_step(change, world, index, done_ + 1, phase, needs=[])]
    steps = []
    if there is not None and not world.drops(index.address):
        steps.append(
            change.concurrent_step(
                done_ + 1,
                "clear",
                [f"DROP INDEX CONCURRENTLY {ident(index.schema, index.name)}"],
                address=index.address,
                needs=[has(index.address)],
                gives=[no(index.address)],
                phase=phase,
            )
        )
    gives, number = [has(index.address), ok(index.address)], done_ + len(steps) + 1
    hazards = [Hazard.BUILDS_INDEX, Hazard.NEEDS_SPACE, *([Hazard.DEPENDS_ON_DATA] if index.unique else [])]
    if small(world, index.table):
        plain = [index_statement(index, concurrently=False)]
        needs = [no(index.address)]
        steps.append(
            change.step(world, number, "build", plain, address=index.address, needs=needs, gives=gives, phase=phase)
        )
    else:
        steps.append(
            change.concurrent_step(
                number,
                "build",
                [index_statement(index, concurrently=True)],
                address=index.address,
                needs=[no(index.address)],
                gives=gives,
                debris=[index.address],
                phase=phase,
                hazards=hazards,
            )
        )
    return steps
