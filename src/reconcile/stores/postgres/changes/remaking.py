"""What has to be dropped and made again around a change, since the server changes nothing under it.

Views, policies and triggers over a column that gets another type (`standing` has all kinds); generated columns that
read it, and with them the indexes, keys and checks on those. Pure predicates: which changes do it is decided by
`companions` of the change in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import cast

from reconcile.change import World
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.homes import home, homes
from reconcile.stores.postgres.changes.named import columns_used, mentions, texts_of, users_of_column, uses
from reconcile.stores.postgres.changes.standing import STANDING
from reconcile.stores.postgres.changes.succeeding import displaced, succeeded
from reconcile.stores.postgres.changes.type_remaking import reshaped, type_remade
from reconcile.stores.postgres.changes.types import Type, comparable, joinable
from reconcile.stores.postgres.resources import (
    ROUTINES,
    Check,
    Column,
    Exclusion,
    ForeignKey,
    Index,
    Key,
    PostgresResource,
    Statistics,
)

_ON_COLUMNS = (Index, Key, Check, ForeignKey, Exclusion, Statistics)
"""What a table has on its columns."""
_STANDING_KINDS = frozenset(re.sub("(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in STANDING)
"""As addresses have them."""


def remade(world: World, address: Address) -> bool:
    """Whether the plan drops this view, policy or trigger, and makes it again: for itself or for what it stands on."""
    if address.kind not in _STANDING_KINDS:
        return False
    return world.follows("remade", address, lambda a: _stands_on(world, a), lambda a: _remade(world, a))


def _remade(world: World, address: Address) -> bool:
    before, after = world.live.get(address), world.target.get(address)
    if before is None or type(after) is not type(before) or type(before) not in STANDING:
        return False
    if STANDING[type(before)].replaced(before, after) or uprooted(world, before):
        return True
    if before == after:
        return any(succeeded(world, a) for a in STANDING[type(before)].reads(world, before))
    return displaced(world, before, after)


def _stands_on(world: World, address: Address) -> list[Address]:
    """Others that may be remade too, on which something stands."""
    found = world.live.get(address)
    if found is None or type(found) not in STANDING:
        return []
    return [a for a in STANDING[type(found)].reads(world, found) if a.kind in _STANDING_KINDS and a != address]


def dropped_with_table(world: World, resource: PostgresResource) -> bool:
    """Whether a policy or trigger goes with its table; not if it refers to another thing that goes, which could not.

    Two dropped tables whose policies read each other would wait for each other; a view is dropped after its triggers.
    """
    table = resource.table
    if table.kind != "table" or not world.drops(table):
        return False
    return not any(a.parts[:2] != table.parts and world.drops(a) for a in resource.refers)


def uprooted(world: World, resource: Resource) -> bool:
    """Whether what it stands on gets another type, or is dropped and made again."""
    return any(
        retyped(world, a) or remade(world, a)
        for a in STANDING[type(resource)].reads(world, resource)
        if a != resource.address
    )


def inside_remade(world: World, resource: Resource) -> bool:
    """Whether it is in a materialized view that the plan makes again: that one's steps make it along."""
    container = resource.container
    return container is not None and container.kind == "materialized_view" and remade(world, container)


def reads(world: World, resource: Resource) -> list[Address]:
    """What a view, policy or trigger stands on."""
    return list(STANDING[type(resource)].reads(world, resource))


def retyped(world: World, address: Address) -> bool:
    """Whether the plan gives this column another type or collation, or makes it again; or does so to this type."""
    before, after = world.live.get(address), world.target.get(address)
    if isinstance(before, Column) and isinstance(after, Column):
        return _rewritten(world, before, after) or made_again(world, before, after)
    return type_remade(world, address) or reshaped(world, address)


def _rewritten(world: World, before: Column, after: Column) -> bool:
    return retypes(before, after) or any(type_remade(world, a) for a in before.refers if a in after.refers)


def retypes(before: Column, after: Column) -> bool:
    """Whether the column is written anew or checked against all that uses it."""
    return (before.type, before.collation) != (after.type, after.collation)


def made_again(world: World, before: Column, after: Column) -> bool:
    """Whether a column is dropped and added: it is to be generated, with another type or from a retyped column.

    SET EXPRESSION came with 17, for columns that are generated already; DROP EXPRESSION, for what is stored, with 13.
    """
    if after.generated is None:
        return before.generated is not None and (not before.stored or world.server.numbers < (13,))
    if before.generated is None or retypes(before, after) or before.stored != after.stored:
        return True
    if before.generated != after.generated and not after.stored and _has_checks(world, before):
        return True
    if before.generated != after.generated and world.server.numbers < (17,):
        return True
    if calls_remade(world, before) or any(type_remade(world, a) for a in before.refers if a in after.refers):
        return True
    return any(uses(column, source) for column in (before, after) for source in _retyped_sources(world, before))


def calls_remade(world: World, resource: Resource) -> bool:
    """Whether it calls a routine that the plan drops and makes again, or makes another in place of."""
    return any(a.kind in ROUTINES and (remade(world, a) or succeeded(world, a)) for a in resource.refers)


def _has_checks(world: World, column: Column) -> bool:
    """PostgreSQL 18 gives no virtual column another expression in a table that has a check."""
    return any(isinstance(r, Check) for r in world.live.children(column.table))


def is_made_again(world: World, address: Address) -> bool:
    """`made_again`, of a column by its address."""
    before, after = world.live.get(address), world.target.get(address)
    return isinstance(before, Column) and isinstance(after, Column) and made_again(world, before, after)


def _retyped_sources(world: World, column: Column) -> list[Column]:
    """Columns of its table that get another type in this plan; a generated one cannot be read by another."""
    found = []
    for source in world.live.children(column.table):
        after = world.target.get(source.address)
        if isinstance(source, Column) and isinstance(after, Column) and after.generated is None:
            found += [source] if source.generated is None and _rewritten(world, source, after) else []
    return found


def generated_from(world: World, column: Column) -> list[Column]:
    """Live generated columns that read it."""
    found = (r for r in users_of_column(world, column) if isinstance(r, Column) and r.generated is not None)
    return [r for r in found if r.address != column.address]


def held_by(world: World, resource: PostgresResource) -> list[Column]:
    """Columns made again in this plan that an index, key, check or foreign key uses: it goes before and comes after."""
    columns = columns_used(world, world.live, home(world, resource.table), resource)
    return [c for c in columns if is_made_again(world, c.address)]


def users(world: World, column: Column) -> list[PostgresResource]:
    """Live indexes, keys, checks and foreign keys of its table that use the column."""
    return [r for r in users_of_column(world, column) if isinstance(r, _ON_COLUMNS)]


def remade_types(world: World, column: Column) -> list[Address]:
    """Types of the column that the plan makes anew."""
    return [a for a in column.refers if type_remade(world, a)]


def standing_on(world: World, addresses: Iterable[Address], *, dropped: bool = False) -> list[PostgresResource]:
    """Live views, policies, triggers that read any of `addresses`, directly or through others, and stay; or all."""
    found: dict[Address, PostgresResource] = {}
    todo = list(addresses)
    while todo:
        address = todo.pop()
        for reader in _readers(world, address):
            if reader.address not in found and (dropped or reader.address in world.target):
                found[reader.address] = reader
                todo.append(reader.address)
    return list(found.values())


def readers_of(world: World, address: Address) -> list[PostgresResource]:
    """Live views, policies, triggers that read it directly, and stay."""
    return list({r.address: r for r in _readers(world, address) if r.address in world.target}.values())


def _readers(world: World, address: Address) -> Iterable[PostgresResource]:
    """Those that stand on it; of a column also those that may take whole rows of its table."""
    near = [*world.dependents(address), *world.live.children(address)]
    if address.kind == "column":
        near += world.dependents(Address(address.store, "table", address.parts[:2]))
    for reader in near:
        kind = STANDING.get(type(reader))
        if kind is not None and reader.address != address and address in kind.reads(world, reader):
            yield cast(PostgresResource, reader)


def comes_again(world: World, resource: Resource) -> bool:
    """Whether the plan drops this and makes it again around something else: of a kind that stands, or of a table."""
    if type(resource) in STANDING:
        return remade(world, resource.address)
    after = world.target.get(resource.address)
    if not isinstance(resource, _ON_COLUMNS) or not isinstance(after, type(resource)):
        return False
    if held_by(world, resource) or resource.container != after.container or calls_remade(world, resource):
        return True
    own = columns_used(world, world.live, home(world, resource.table), resource, after)
    if any(len([c for c in own if _cast_in(world, c, text)]) > 1 for text in texts_of(resource)):
        return True
    if isinstance(resource, Statistics):
        return resource != after and any(retyped(world, c.address) for c in own)
    if isinstance(resource, Index | Exclusion) and isinstance(after, Index | Exclusion):
        changed = _without_options(resource) != _without_options(after)
        return changed and any(retyped(world, c.address) for c in own)
    if any(world.drops(c.address) for c in own) and any(retyped(world, c.address) for c in own if uses(after, c)):
        return True  # what it stood on goes before what it shall stand on is ready
    if isinstance(resource, Check) and isinstance(after, Check):
        calls = any(a.kind in ROUTINES for a in resource.refers)  # the server looks for a routine of the new type
        refused = (c for c in own if _incomparable(world, c) or (calls and retyped(world, c.address)))
        return resource.expression != after.expression and any(refused)
    if isinstance(resource, ForeignKey):
        if resource != after and displaced(world, resource, after):
            return True
        there = Address(resource.address.store, "table", resource.references)
        far = [world.live.get(c) for c in homes(world, there, resource.references_columns)]
        return any(_incomparable(world, c, joinable) for c in (*own, *far) if isinstance(c, Column))
    return False


def _cast_in(world: World, column: Column, text: str | None) -> bool:
    """Whether the server, that changes types one by one, would leave casts in an expression of several columns."""
    after = world.target.get(column.address)
    if not isinstance(after, Column) or after.strategy == "online" or not mentions(text, column.address.parts[-1]):
        return False
    return Type.of(column.type).base != Type.of(after.type).base


def _without_options(index: Index | Exclusion) -> Resource:
    more = {"valid": True} if isinstance(index, Index) else {"index_comment": None}
    return index.replace(comment=None, with_=(), **more)


def _incomparable(world: World, column: Column, fits: Callable[[str, str], bool] = comparable) -> bool:
    """Whether what was compared with the column before cannot be compared with its new type."""
    after = world.target.get(column.address)
    if not isinstance(after, Column):
        return False
    return any(type_remade(world, a) for a in column.refers) or not fits(column.type, after.type)
