"""Where the columns of a partition are: in the table on top of it, whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from reconcile.change import World
from reconcile.model import Address, State
from reconcile.stores.postgres.resources import PostgresResource, Table
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
    for found in (world.live.get(table), *world.live.inside(table)):
        if not isinstance(found, Table) or found.partition_by is None or found.address not in world.target:
            continue
        for key in found.partition_by.keys:
            if name == key.column or (key.expression and any(t.name == name for t in tokens(key.expression))):
                return found
    return None
