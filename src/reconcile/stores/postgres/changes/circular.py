"""Circles through a new table: a function takes the table's rows, and a default or check of the table calls it.

The table is made without those, then the function, then they are added. Where both go, the function goes first and
takes those away.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconcile.change import World
from reconcile.model import Address
from reconcile.stores.postgres.resources import ROUTINES, Check, Column, Key, PostgresResource


def waits_for_table(world: World, part: PostgresResource) -> bool:
    """Whether a default or check of a table to be made calls what can only be made after the table."""
    table = part.container
    if table is None or not world.creates(table):
        return False
    called = [a for a in part.refers if a.kind in ROUTINES and a not in world.live]
    return bool(called) and any(table in _reached(world, a) for a in called)


def _reached(world: World, start: Address) -> set[Address]:
    """All that must be there before `start` can be made; of tables also what their own making needs."""
    found, todo = {start}, [start]
    while todo:
        for address in _needs(world, todo.pop()):
            if address not in found:
                found.add(address)
                todo.append(address)
    return found


def _needs(world: World, address: Address) -> Iterable[Address]:
    resource = world.target.get(address)
    if resource is None:
        return
    if resource.container is not None:
        yield resource.container
        return  # its own needs are the table's
    yield from resource.refers
    if address.kind == "table" and address not in world.live:
        for part in world.target.children(address):
            if isinstance(part, Column | Key | Check):
                yield from part.refers


def goes_before_table(world: World, routine: Address, table: Address) -> bool:
    """Whether a routine that goes in this plan is built from the rows of a table that goes too."""
    return routine.kind in ROUTINES and world.drops(routine) and table in tables_under(world, routine)


def tables_under(world: World, start: Address) -> set[Address]:
    """The live tables without which `start` cannot be there."""
    found, todo = {start}, [start]
    while todo:
        resource = world.live.get(todo.pop())
        for address in () if resource is None else resource.refers:
            if address not in found:
                found.add(address)
                todo.append(address)
    return {Address(a.store, "table", a.parts[:2]) for a in found if a.kind in ("table", "column")}
