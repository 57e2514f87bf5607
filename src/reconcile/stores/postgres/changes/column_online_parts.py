"""What has to come along with a column that gets another type online, and what cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from reconcile.change import World
from reconcile.errors import PlanError
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.column import refuse_held
from reconcile.stores.postgres.changes.column_rename import refuse_partitions
from reconcile.stores.postgres.changes.column_type import compared_with, indexes_built
from reconcile.stores.postgres.changes.common import PostgresChange, small
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.named import uses
from reconcile.stores.postgres.changes.remaking import comes_again, generated_from, retypes
from reconcile.stores.postgres.changes.types import type_change
from reconcile.stores.postgres.resources import Check, Column, Exclusion, ForeignKey, Index, Key, Statistics
from reconcile.stores.postgres.sqltext import helper_name

Part = Index | Key | Check | ForeignKey | Statistics
_CARRIED = frozenset({"comment", "index_comment", "with", "valid", "not_valid"})
"""Attributes of a part that it gets anew with the column: another change of them in the same plan is in them."""


def parts_of(world: World, column: Column) -> list[Part]:
    """What stays and has to be on the new column; what of it changes too is built as it will be, if it can."""
    found: dict[Address, Part] = {}
    for part in compared_with(world, column):
        after = world.target.get(part.address)
        if isinstance(part, Exclusion) or part.leftover_of is not None or after is None or comes_again(world, part):
            continue
        carried = type(after) is type(part) and set(differing(part, after)) <= _CARRIED
        name = None if renames(world, part) else part.live_name
        found[part.address] = cast(Part, (after if carried else part).replace(live_name=name))
    return list(found.values())


def begun(world: World, column: Column) -> Column | None:
    """The column that an earlier run put beside."""
    there = world.live.get(column.table.child("column", helper_name(column.name, "new")))
    return there if isinstance(there, Column) and there.beside == column.name else None


def virtual_readers(world: World, column: Column) -> list[Column]:
    """Generated columns that read it and hold nothing: dropped and added again in no time."""
    return [g for g in generated_from(world, column) if not g.stored]


def refuse(change: PostgresChange, world: World, column: Column) -> None:
    """Say what stands in the way.

    Raises:
        PlanError: something uses the column that cannot be built on another beside it.
    """
    where = change.resource.source
    refuse_held(column, "get another type", where)
    refuse_partitions(world, column.table, change)
    beside = column.table.child("column", helper_name(column.name, "new"))
    if begun(world, column) is None and beside in world.live:
        raise PlanError(
            f"{beside} is there, and was not put there by a change under way",
            where=where,
            hint=f"rename or drop it: {change.address} is to be changed online, which needs that name",
        )
    why = [f"{g.address} is generated from it and stored: adding its like rewrites the table under an exclusive lock"
           for g in generated_from(world, column) if g.stored]  # fmt: skip
    why += [
        f"{x.address} excludes by it: an exclusion constraint can only be built under an exclusive lock"
        for x in world.live.children(column.table)
        if isinstance(x, Exclusion) and x.address in world.target and uses(x, column)
    ]
    if why:
        raise PlanError(
            f"{change.address} cannot be changed online: {'; '.join(why)}",
            where=where,
            hint="take `strategy` out: it is changed in place; or drop what uses it before, and add it again after",
        )


def renames(world: World, part: Resource) -> bool:
    """Whether the plan gives it the name it is declared under: a step of its own, which goes first."""
    after = world.target.get(part.address)
    return after is not None and part.live_name is not None and after.live_name is None


def columns_of(part: Part) -> set[str]:
    """The columns of its own table that it names."""
    found = set(part.columns) if isinstance(part, Key | ForeignKey) else set()
    if isinstance(part, Key | Index):
        found |= set(part.include)
    if isinstance(part, Index | Statistics):
        found |= {i.column for i in part.columns if i.column is not None}
    refers = () if isinstance(part, ForeignKey) else part.refers
    near = (a for a in refers if a.kind == "column" and a.parts[:2] == part.table.parts)
    return found | {a.parts[-1] for a in near}


def in_place(world: World, before: Column, after: Column) -> bool:
    """Whether another type, though it is to come online, is had at once: no rows, or nothing to be written anew."""
    if begun(world, before) is not None:
        return False
    if small(world, before.table):
        return True
    if after.using is not None or before.type == after.type:
        return False
    judged = type_change(before.type, after.type)
    return not judged.rewrites and not indexes_built(world, before, judged)


def swapped(world: World, column: Address) -> bool:
    """Whether the plan gives this column another type by a second one."""
    before, after = world.live.get(column), world.target.get(column)
    if not isinstance(before, Column) or not isinstance(after, Column) or after.strategy != "online":
        return False
    return after.generated is None and retypes(before, after) and not in_place(world, before, after)


def together(world: World, column: Address) -> Sequence[Address]:
    """The columns of its table that are swapped with it: those that share an index or constraint, and theirs."""
    table = Address(column.store, "table", column.parts[:2])
    return world.once("swapped together", table, lambda: _components(world, table)).get(column, (column,))


def _components(world: World, table: Address) -> Mapping[Address, Sequence[Address]]:
    columns = [c for c in world.live.children(table) if isinstance(c, Column) and swapped(world, c.address)]
    found: dict[Address, set[Address]] = {c.address: {c.address} for c in columns}
    for column in columns if len(columns) > 1 else ():
        for part in parts_of(world, column):
            if part.container == table:
                for name in columns_of(part):
                    other = table.child("column", name)
                    if other in found and found[other] is not found[column.address]:
                        found[column.address] |= found[other]
                        found |= dict.fromkeys(found[other], found[column.address])
    return {address: sorted(members) for address, members in found.items()}
