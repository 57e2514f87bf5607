"""Which types a plan makes anew, since the server cannot alter them: for themselves or for what they are made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

from reconcile.change import World
from reconcile.facts import Fact, has, no
from reconcile.model import Address, Resource
from reconcile.stores.postgres.names import generated_multirange
from reconcile.stores.postgres.resources import (
    TYPES,
    Column,
    Composite,
    Domain,
    Enum,
    MaterializedView,
    Range,
    compared,
)
from reconcile.stores.postgres.sqltext import helper_name
from reconcile.stores.postgres.sqltypes import read

Type = Enum | Domain | Composite | Range


def is_type(x: Resource | None) -> TypeGuard[Type]:
    """Whether it is of one of the four kinds."""
    return isinstance(x, Enum | Domain | Composite | Range)


def type_remade(world: World, address: Address) -> bool:
    """Whether the plan puts a new type in place of this one, every column of the old one written anew."""
    if address.kind not in TYPES:
        return False
    return world.follows("type remade", address, lambda a: _made_from(world, a), lambda a: _type_remade(world, a))


def _type_remade(world: World, address: Address) -> bool:
    before, after = world.live.get(address), world.target.get(address)
    if not is_type(before) or not is_type(after) or type(before) is not type(after):
        return False
    return _by_itself(world, before, after) or any(type_remade(world, a) for a in _made_from(world, address))


def _made_from(world: World, address: Address) -> list[Address]:
    """The types that a type is made from, and stays so."""
    before, after = world.live.get(address), world.target.get(address)
    if not is_type(before) or not is_type(after):
        return []
    return [a for a in before.refers if a.kind in TYPES and a in after.refers]


def _by_itself(world: World, before: Type, after: Type) -> bool:
    match before, after:
        case Enum(), Enum():
            return not only_adds(before, after)
        case Range(), Range():
            return compared(before) != compared(after)
        case Domain(), Domain():
            other = (before.type, before.collation) != (after.type, after.collation)
            return other or (tightens(before, after) and contained(world, before.address))
        case Composite(), Composite():
            return retypes_fields(before, after) and stored(world, before.address)
    return False


def only_adds(before: Enum, after: Enum) -> bool:
    """Whether all old values are still there in their order."""
    left = iter(after.values)
    return all(value in left for value in before.values)


def tightens(before: Domain, after: Domain) -> bool:
    """Whether values that are there already have to be looked at."""
    valid = {c.expression for c in before.checks if not c.not_valid}
    wanted = {c.expression for c in after.checks if not c.not_valid}
    return bool(wanted - valid) or (after.not_null and not before.not_null)


def retypes_fields(before: Composite, after: Composite) -> bool:
    """Whether a field that stays gets another type or collation."""
    there = {a.name: (a.type, a.collation) for a in before.fields}
    return any(there.get(a.name, (a.type, a.collation)) != (a.type, a.collation) for a in after.fields)


def only_drops(before: Composite, after: Composite) -> bool:
    """Whether no field is new or gets another type."""
    return {a.name for a in after.fields} <= {a.name for a in before.fields} and not retypes_fields(before, after)


def stored(world: World, address: Address) -> bool:
    """Whether a table or materialized view holds values of the type, inside other types too."""
    views = any(isinstance(user, MaterializedView) for user in world.dependents(address))
    return views or bool(columns_holding(world, address))


def columns_holding(world: World, address: Address) -> list[Column]:
    """Live columns that hold values of the type, inside other types too."""
    found, todo = [], [address]
    while todo:
        for user in world.dependents(todo.pop(0)):
            if isinstance(user, Column):
                found.append(user)
            elif is_type(user):
                todo.append(user.address)
    return found


def reshaped(world: World, address: Address) -> bool:
    """Whether a composite type loses a field in place, or one gets another type: nothing may stand on that."""
    before, after = world.live.get(address), world.target.get(address)
    if not (isinstance(before, Composite) and isinstance(after, Composite)):
        return False
    return retypes_fields(before, after) or bool({a.name for a in before.fields} - {a.name for a in after.fields})


def contained(world: World, address: Address) -> bool:
    """Whether a table holds the domain inside an array, composite or range: then the server validates nothing of it."""
    return world.follows("contained", address, lambda a: _domains_over(world, a), lambda a: _contained(world, a))


def _domains_over(world: World, address: Address) -> list[Address]:
    return [user.address for user in world.dependents(address) if isinstance(user, Domain)]


def _contained(world: World, address: Address) -> bool:
    for user in world.dependents(address):
        if isinstance(user, Column | MaterializedView):
            if not isinstance(user, Column) or user.type.endswith("[]"):
                return True
        elif isinstance(user, Domain):
            if contained(world, user.address):
                return True
        elif is_type(user) and stored(world, user.address):
            return True
    return False


def columns_of(world: World, address: Address, *, inside: bool = False) -> list[Column]:
    """Live columns of the type, or arrays of it; on request also those of domains over it."""
    found, todo = [], [address]
    while todo:
        for user in world.dependents(todo.pop(0)):
            if isinstance(user, Column):
                found.append(user)
            elif inside and isinstance(user, Domain):
                todo.append(user.address)
    return found


def types_over(world: World, address: Address) -> list[Type]:
    """Live types made from it that stay so."""
    users = [u for u in world.dependents(address) if is_type(u)]
    return [u for u in users if (after := world.target.get(u.address)) is not None and address in after.refers]


def domains_of(world: World, column: Column) -> list[Domain]:
    """The domain that the column will be of, and those it is made from; nothing for an array of one."""
    if column.type.endswith("[]"):
        return []
    found, todo = list[Domain](), list(column.refers)
    while todo:
        domain = world.target.get(todo.pop())
        if isinstance(domain, Domain) and (found or mentions_type(column.type, domain)):
            found.append(domain)
            todo = list(domain.refers)
    return found


def mentions_type(text: str, x: Type) -> bool:
    """Whether a type's text names it; a default may refer to another one."""
    return read(text).name == x.name


def there(world: World, address: Address) -> frozenset[Fact]:
    """The type exists, and has been given the name it shall have."""
    where = world.where(address)
    return frozenset({has(address), *([no(where)] if where != address else [])})


def old_type(world: World, address: Address) -> Address:
    """What a type that is made anew is called until nothing is of it any more."""
    for suffix in ("old", "old2"):
        helper = Address(address.store, address.kind, (address.parts[0], helper_name(address.parts[1], suffix)))
        if helper not in world.live:
            return helper
    return helper


def types_away(world: World, types: Iterable[Address]) -> frozenset[Fact]:
    """The old forms of types that the plan makes anew are gone."""
    return frozenset(no(old_type(world, a)) for a in types if type_remade(world, a))


_MULTIRANGES = (14,)


def range_makers(world: World, x: Range) -> list[tuple[str, str]]:
    """(name, argument types) of the functions that make values of a range and take nothing of its own type."""
    found = [(x.name, f"{x.subtype}, {x.subtype}"), (x.name, f"{x.subtype}, {x.subtype}, text")]
    if world.server.numbers >= _MULTIRANGES:
        found.append((x.multirange or generated_multirange(x.name), ""))
    return found
