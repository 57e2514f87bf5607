"""A new NOT NULL column without a default over rows that are there: added, filled by a backfill, then NOT NULL."""

from __future__ import annotations

from dataclasses import replace

from reconcile.change import Op, Step, World
from reconcile.facts import Fact, has
from reconcile.stores.postgres.changes.column_alter import AlterColumn, set_not_null
from reconcile.stores.postgres.changes.column_not_null import added_steps, is_plain
from reconcile.stores.postgres.changes.preconditions import no_rows, preceded, shown
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltext import ident, relation


def open_column(column: Column) -> Column:
    """The column as it is until its rows are filled."""
    found = column.replace(not_null=False, not_null_valid=True, not_null_no_inherit=False)
    found = found.replace(not_null_name=None, not_null_comment=None)
    assert isinstance(found, Column)
    return found


def hardened(world: World, column: Column, needs: frozenset[Fact]) -> list[Step]:
    """The steps after the one that adds it open; rows that the backfill leaves empty are found before they run."""
    change = AlterColumn(open_column(column), column)
    if is_plain(column):
        steps = set_not_null(change, world, change.before, 1)
    else:
        steps = added_steps(change, world, column, 1, needs | {has(column.address)})
    return preceded([_without(step, has(column.address)) for step in steps], _nulls(world, column))


def _without(step: Step, fact: Fact) -> Step:
    return replace(step, gives=step.gives - {fact})


def _nulls(world: World, column: Column) -> list[Op]:
    name, table = ident(column.name), relation(world.where(column.table))
    sql = f"SELECT {shown(world, column.table)} FROM {table} WHERE {name} IS NULL"
    said = ".".join(column.table.parts)
    what = f"{column.name} is still null in {said}"
    return [no_rows(sql, what, f"UPDATE {table} SET {name} = … WHERE {name} IS NULL, or let the backfill fill them")]
