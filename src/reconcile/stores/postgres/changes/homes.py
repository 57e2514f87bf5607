"""Where the columns of a partition are: in the table on top of it, whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from reconcile.change import World
from reconcile.facts import Fact, no
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.resources import Check, Column, PostgresResource, Table, compared
from reconcile.stores.postgres.sqltables import column_calls
from reconcile.stores.postgres.sqltokens import tokens


def home(world: World, table: Address) -> Address:
    """The table by which a table's columns are called: itself, or of a partition the topmost, after this plan."""
    seen = set[Address]()
    while table not in seen:
        seen.add(table)
        found = world.target.get(table) or world.live.get(table)
        if not isinstance(found, Table) or found.parent is None:
            break
        table = found.parent
    return table


def homes(world: World, table: Address, names: Iterable[str]) -> list[Address]:
    """The addresses of columns that a part of `table` names."""
    top = home(world, table)
    return [top.child("column", n) for n in names]


def parts(state: State, table: Address) -> list[PostgresResource]:
    """What is in a table and what only its partitions have; the partitions themselves are not among it."""
    return [cast(PostgresResource, r) for r in state.inside(table) if not isinstance(r, Table)]


def partitioned_by(world: World, column: Address) -> Table | None:
    """The live table, of the column's or a partition of it, whose rows are told apart by the column, if it stays."""
    table, name = Address(column.store, "table", column.parts[:2]), column.parts[-1]
    for found in (world.live.get(table), *_partitions(world, world.live, table)):
        if not isinstance(found, Table) or found.partition_by is None or found.address not in world.target:
            continue
        for key in found.partition_by.keys:
            if name == key.column or (key.expression and any(t.name == name for t in tokens(key.expression))):
                return found
    return None


def keys_in(state: State, table: Address) -> list[Resource]:
    """What is in a table; of a partition also what it has from those above it."""
    found = state.children(table)
    above = state.get(table)
    return [*found, *keys_in(state, above.parent)] if isinstance(above, Table) and above.parent else found


def taken_over(world: World, resource: Resource) -> bool:
    """Whether a detached partition has this from its parent already, or a table that is attached will have it."""
    table = resource.container
    before, after = world.live.get(table) if table else None, world.target.get(table) if table else None
    if not (isinstance(before, Table) and isinstance(after, Table)) or (before.parent is None) == (
        after.parent is None
    ):
        return False
    if isinstance(resource, Column):
        return True
    parent = before.parent or after.parent
    state = world.live if before.parent else world.target
    assert parent is not None
    return any(alike(resource, other) for other in keys_in(state, parent))


def alike(one: Resource, other: Resource) -> bool:
    """Whether two parts of different tables say the same; checks are told apart by their names."""
    if one.address.kind != other.address.kind:
        return False
    return compared(one) == compared(other) and (
        not isinstance(one, Check) or one.address.parts[-1] == other.address.parts[-1]
    )


def same_name_gone(world: World, rule: PostgresResource) -> frozenset[Fact]:
    """Rules of the same kind and name, above or below in a tree of partitions, that this plan drops: they go first,
    since the server would take the two for one."""
    around = [*world.live.inside(rule.table), *_above(world, rule.table)]
    name, kind = rule.address.parts[-1], rule.address.kind
    same = (r for r in around if r.address.kind == kind and r.address.parts[-1] == name and r.address != rule.address)
    return frozenset(no(r.address) for r in same if world.drops(r.address))


def equal_below(world: World, rule: PostgresResource) -> frozenset[Fact]:
    """Equal indexes and keys of partitions that this plan drops: they go first, since the server would attach them."""
    found = (r for r in parts(world.live, rule.table) if r.table != rule.table and world.drops(r.address))
    return frozenset(no(r.address) for r in found if alike(r, rule))


def _above(world: World, table: Address) -> list[Resource]:
    found = world.live.get(table)
    return keys_in(world.live, found.parent) if isinstance(found, Table) and found.parent else []


def partitions_below(world: World, table: Address, *, new: bool = False) -> list[Table]:
    """The partitions, at any depth, that a table has and does not lose; on request those that this plan makes."""
    found = _partitions(world, world.target if new else world.live, table)
    return [t for t in found if (world.creates(t.address) if new else not world.drops(t.address))]


def _partitions(world: World, state: State, table: Address) -> list[Table]:
    def looked_up() -> list[Table]:
        return [r for r in state.inside(table) if isinstance(r, Table)]

    return world.once("partitions", (state is world.live, table), looked_up)


def settings_on_partitions(world: World, before: Column | None, after: Column) -> list[str]:
    """What of a column's settings the server does not hand down to partitions: compression and n_distinct."""
    found = partitions_below(world, after.table)
    return [call for part in found for call in settings_on_partition(world, before, after, part)]


def settings_on_partition(world: World, before: Column | None, after: Column, part: Table) -> list[str]:
    """The same, on one of them."""
    there = before or replace(after, compression=None, options=())
    there = replace(there, storage=after.storage, statistics=after.statistics)
    return column_calls(there, _on(after, part), world.server.numbers)


def settings_of_partition(world: World, part: Table) -> list[str]:
    """Settings of columns that a new partition has not got by being made like its table."""
    calls: list[str] = []
    for column in world.target.children(home(world, part.address)):
        if isinstance(column, Column):
            live = world.live.get(column.address)
            compression = live.compression if isinstance(live, Column) else column.compression
            like = replace(column, statistics=None, options=(), compression=compression)
            calls += column_calls(like, _on(column, part), world.server.numbers)
    return calls


def _on(column: Column, part: Table) -> Column:
    name = column.address.parts[-1]
    return replace(column, address=part.address.child("column", name), container=part.address, live_name=None)
