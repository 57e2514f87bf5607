"""What has to come along with a column that gets another type online, and what cannot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from reconcile.change import World
from reconcile.errors import PlanError
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.column import refuse_held
from reconcile.stores.postgres.changes.column_rename import refuse_partitions
from reconcile.stores.postgres.changes.column_type import compared_with
from reconcile.stores.postgres.changes.common import PostgresChange
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.named import keys_to, uses
from reconcile.stores.postgres.changes.remaking import comes_again, generated_from, retyped
from reconcile.stores.postgres.resources import Check, Column, Exclusion, ForeignKey, Index, Key, Statistics
from reconcile.stores.postgres.sqltext import helper_name

Part = Index | Key | Check | ForeignKey | Statistics
_CARRIED = frozenset({"comment", "with", "valid", "not_valid"})
"""Attributes of a part that it gets anew with the column: another change of them in the same plan is in them."""


def parts_of(world: World, column: Column) -> list[Part]:
    """What stays and has to be on the new column; what of it changes too is built as it will be, if it can."""
    found: dict[Address, Part] = {}
    near = [k for k in keys_to(world, column.table) if column.name in k.references_columns]
    for part in (*compared_with(world, column), *near):
        after = world.target.get(part.address)
        if isinstance(part, Exclusion) or part.leftover_of is not None or after is None or comes_again(world, part):
            continue
        carried = type(after) is type(part) and set(differing(part, after)) <= _CARRIED
        name = None if renames(world, part) else part.live_name
        found[part.address] = cast(Part, (after if carried else part).replace(live_name=name))
    return list(found.values())


def is_far(key: ForeignKey, column: Column) -> bool:
    """Whether a foreign key refers to the column."""
    return key.references == column.table.parts and column.name in key.references_columns


def begun(world: World, column: Column) -> Column | None:
    """The column that an earlier run put beside."""
    there = world.live.get(column.table.child("column", helper_name(column.name, "new")))
    return there if isinstance(there, Column) and there.beside == column.name else None


def virtual_readers(world: World, column: Column) -> list[Column]:
    """Generated columns that read it and hold nothing: dropped and added again in no time."""
    return [g for g in generated_from(world, column) if not g.stored]


def refuse(change: PostgresChange, world: World, column: Column, parts: Iterable[Part]) -> None:
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
    for part in parts:
        mine = part.container == column.table and not (isinstance(part, ForeignKey) and is_far(part, column))
        others = sorted(columns_of(part) - {column.name}) if mine else []
        twins = [n for n in others if online(world, column.table.child("column", n))]
        if twins:
            raise PlanError(
                f"{change.address} and {twins[0]} cannot both be changed online in one plan: both are in"
                f" {part.address}, which is built on the second column of one of them at a time",
                where=where,
                hint=f"leave {twins[0]} as it is for now: two applies; or take `strategy` out of both",
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


def online(world: World, column: Address) -> bool:
    """Whether the plan gives this column another type online."""
    after = world.target.get(column)
    return isinstance(after, Column) and after.strategy == "online" and column in world.live and retyped(world, column)
