"""A new type in place of an old one: put aside, made anew, every column written to the new one, the old one dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from reconcile.change import Call, Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource
from reconcile.stores.postgres.changes.again import around
from reconcile.stores.postgres.changes.column import refuse_held
from reconcile.stores.postgres.changes.column_alter import around_retyped
from reconcile.stores.postgres.changes.column_type import users_away
from reconcile.stores.postgres.changes.common import (
    ChangeComment,
    Replacement,
    comments,
    in_schema,
    renamed_first,
    requires,
    small,
)
from reconcile.stores.postgres.changes.custom_type import drop_call, made, type_word
from reconcile.stores.postgres.changes.describing import only_comment_differs
from reconcile.stores.postgres.changes.homes import home, parts
from reconcile.stores.postgres.changes.named import columns_used, mentions
from reconcile.stores.postgres.changes.preconditions import leftovers, misfits, preceded
from reconcile.stores.postgres.changes.remaking import calls_remade, comes_again, standing_on
from reconcile.stores.postgres.changes.standing import STANDING
from reconcile.stores.postgres.changes.type_remaking import (
    Type,
    columns_of,
    is_type,
    old_type,
    range_makers,
    type_remade,
    types_over,
)
from reconcile.stores.postgres.changes.types import type_change
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    Composite,
    Domain,
    Enum,
    Exclusion,
    Index,
    PostgresResource,
    Range,
)
from reconcile.stores.postgres.sqlaccess import keep_access, restore_access
from reconcile.stores.postgres.sqltext import (
    constraint_clause,
    helper_name,
    ident,
    index_statement,
    object_name,
    relation,
)
from reconcile.stores.postgres.typetext import attribute_clause


class ReplaceType(Replacement):
    """A new type beside the old one, every column written to it, the old one dropped, all in one transaction.

    In two steps where other columns leave the old type for another one, or where another type is made from it: these
    need the new one first.
    """

    before: Type
    after: Type

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "a new type, and every column of the old one written anew"

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return around_type(world, self.address)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: something that stays uses the type, and cannot be made again around it.
        """
        return replace_steps(self, world, self.before, self.after)


def around_type(world: World, address: Address) -> list[Change]:
    """Equal things made again around a type: what stands on it or its columns, types made from it."""
    from reconcile.stores.postgres.changes.column_generated import RecreateColumn

    found = around(world, [address])
    for column in columns_of(world, address):
        if column.generated is None:
            found += around_retyped(world, column)
        elif world.target.get(column.address) == column:
            found.append(RecreateColumn(column, column))
    found += [ReplaceType(x, x) for x in types_over(world, address) if world.target.get(x.address) == x]
    return found


def _staying(world: World, address: Address) -> list[Column]:
    """Columns that stay of this type; one that is generated is made again."""
    found = [c for c in columns_of(world, address) if c.generated is None]
    return [c for c in found if (after := world.target.get(c.address)) is not None and address in after.refers]


@dataclass(frozen=True)
class _Users:
    """Who uses a type that is made anew."""

    columns: tuple[Column, ...]
    held: tuple[PostgresResource, ...]
    """Checks, exclusions and indexes bound to it by a constant or a cast: dropped and made again in the step itself."""
    early: frozenset[Fact]
    """What has to be away before."""
    late: frozenset[Fact]
    """What leaves the old type once the new one is there."""


def _users(world: World, x: Type) -> _Users:
    columns = _staying(world, x.address)
    for column in columns:
        refuse_held(column, "get another type")
    early: set[Fact] = {no(s.address) for s in standing_on(world, [x.address, *_at(columns)], dropped=True)}
    early |= {fact for c in columns for fact in users_away(world, c)}
    late, held, staying = set[Fact](), dict[Address, PostgresResource](), list[str]()
    own = {c.address for c in columns}
    for user in (*world.dependents(x.address), *_bound(world, x, columns)):
        after = world.target.get(user.address)
        if type(user) in STANDING or user.address in own:
            continue
        if (
            after is None
            or comes_again(world, user)
            or (isinstance(user, Column) and user.generated is not None and x.address in after.refers)
        ):
            early.add(no(user.address))
        elif is_type(user) and type_remade(world, user.address):
            late.add(no(old_type(world, user.address)))
        elif isinstance(user, Check | Exclusion | Index):
            if x.address in after.refers or _names(cast(PostgresResource, after), x):
                held[user.address] = user
            else:
                early.add(ok(user.address))
        elif x.address not in after.refers:
            late.add(ok(user.address))
        else:
            staying.append(str(user.address))
    if staying:
        raise PlanError(
            f"{x.address} cannot be made anew: {', '.join(sorted(set(staying)))} "
            f"{'needs' if len(set(staying)) == 1 else 'need'} it and cannot be made again around it",
            hint="declare a second type under another name and let what uses this one move over to that",
        )
    return _Users(tuple(columns), tuple(held.values()), frozenset(early), frozenset(late))


def _at(resources: Iterable[Resource]) -> list[Address]:
    return [r.address for r in resources]


def _bound(world: World, x: Type, columns: Sequence[Column]) -> Iterable[PostgresResource]:
    """Checks, exclusions and indexes of the columns' tables whose text names the type, as far as they stay."""
    for table in dict.fromkeys(c.table for c in columns):
        for resource in parts(world.live, table):
            if resource.address in world.target and _names(resource, x):
                yield resource


def _names(resource: PostgresResource, x: Type) -> bool:
    """Whether the text of a check, exclusion or index names the type."""
    texts: list[str | None] = []
    if isinstance(resource, Check):
        texts = [resource.expression]
    elif isinstance(resource, Index | Exclusion):
        texts = [resource.where, *(item.expression for item in resource.columns)]
    return any(mentions(text, x.name) for text in texts)


def replace_steps(change: Replacement, world: World, before: Type, after: Type) -> Sequence[Step]:
    """The steps of `ReplaceType`, for every change that comes to it.

    Raises:
        PlanError: something that stays uses the type, and cannot be made again around it.
    """
    users, old = _users(world, before), old_type(world, change.address)
    calls = [keep_access(before), *(_release(r) for r in users.held)]
    calls += _reshaped(before, after)
    calls += _aside(world, before, old)
    calls += [*made(after), restore_access(after)]
    calls += [sql for c in users.columns for sql in _rewritten(world, before, after, c)]
    calls += [sql for r in users.held for sql in _restore(r)]
    gone = drop_call(before.replace(live_name=old.parts[-1]))
    needs = {has(change.address)} | users.early | set(_renamed(world, change.address, users.columns))
    needs |= requires(world, after.refers) | in_schema(world, after)
    needs |= {fact for r in users.held for fact in _columns_renamed(world, r)}
    full = any(not small(world, c.table) for c in users.columns)
    costs = [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES, Hazard.DEPENDS_ON_DATA]
    leave = bool(users.late)
    steps = [
        change.step(
            world,
            1,
            "replace",
            calls if leave else [*calls, gone],
            needs=needs,
            gives=[has(change.address), ok(change.address), *([has(old)] if leave else [no(old)])],
            phase=Phase.CONTRACT,
            hazards=[Hazard.BREAKS_CLIENTS, *(costs if full else [])],
            long=True,
        )
    ]
    if leave:
        steps.append(
            change.step(
                world,
                2,
                "drop",
                [gone],
                needs={has(old)} | users.late,
                gives=[no(old)],
                phase=Phase.CONTRACT,
                address=old,
            )
        )
    return preceded(steps, _rows(world, before, after, users.columns))


def _rows(world: World, before: Type, after: Type, columns: Sequence[Column]) -> Iterable[Call]:
    """Values that the new type refuses."""
    from reconcile.stores.postgres.changes.domain import broken_values

    if isinstance(before, Enum) and isinstance(after, Enum):
        over = [x for x in types_over(world, before.address) if isinstance(x, Domain)]
        for column in (*columns, *(c for x in over for c in columns_of(world, x.address, inside=True))):
            if not small(world, column.table):
                yield from leftovers(world, column, before, after)
    elif isinstance(before, Domain) and isinstance(after, Domain):
        yield from broken_values(world, before, after)
        for column in columns:
            if before.type != after.type and not small(world, column.table):
                yield from misfits(world, column.replace(type=before.type), column.replace(type=after.type))


def _aside(world: World, x: Type, old: Address) -> list[str]:
    """The old type under another name; of a range also its multirange type and the functions that make values.

    These are called like their type, take its subtype and go with it.
    """
    calls = [f"ALTER {type_word(x)} {object_name(x)} RENAME TO {ident(old.parts[-1])}"]
    if not isinstance(x, Range):
        return calls
    makers = range_makers(world, x)
    taken = [m for m in makers if not m[1] or not any(type_remade(world, a) for a in x.refers)]
    calls += [
        f"ALTER TYPE {ident(x.schema, name)} RENAME TO {ident(helper_name(name, 'old'))}"
        for name, types in makers
        if not types
    ]
    renames = (
        f"ALTER FUNCTION {ident(x.schema, name)}({types}) RENAME TO {ident(helper_name(name, 'old'))}"
        for name, types in taken  # others take another subtype than the new ones
    )
    return [*renames, *calls]


def _reshaped(before: Type, after: Type) -> list[str]:
    """Fields dropped and added in place, so that the text of a value fits the new type."""
    if not (isinstance(before, Composite) and isinstance(after, Composite)):
        return []
    actions = field_actions(before, after)
    return [f"ALTER TYPE {object_name(before)} {', '.join(actions)}"] if actions else []


def field_actions(before: Composite, after: Composite) -> list[str]:
    """DROP and ADD ATTRIBUTE between two forms of a composite type."""
    old, new = {a.name for a in before.fields}, {a.name for a in after.fields}
    found = [f"DROP ATTRIBUTE {ident(a.name)}" for a in before.fields if a.name not in new]
    return found + [f"ADD ATTRIBUTE {attribute_clause(after, a)}" for a in after.fields if a.name not in old]


def _rewritten(world: World, before: Type, after: Type, column: Column) -> list[str]:
    """Default away, the type, default back."""
    alter = f"ALTER TABLE {relation(column.address)} ALTER COLUMN {ident(column.name)}"
    array = "[]" if column.type.endswith("[]") else ""
    using = f" USING {ident(column.name)}::text{array}::{column.type}" if _by_text(world, before, after) else ""
    default = cast(Column, world.target[column.address]).default
    calls = [f"{alter} DROP DEFAULT"] if column.default is not None else []
    calls.append(f"{alter} TYPE {column.type}{using}")
    if column.default is not None and default is not None and not calls_remade(world, column):
        calls.append(f"{alter} SET DEFAULT {default}")
    return calls


def _by_text(world: World, before: Type, after: Type) -> bool:
    """Whether values go over as text; those of domains as values, so that none is cut without an error."""
    if not (isinstance(before, Domain) and isinstance(after, Domain)):
        return True
    for address in after.refers:
        old, new = world.live.get(address), world.target.get(address)
        if address in before.refers and is_type(old) and is_type(new) and type_remade(world, address):
            return _by_text(world, old, new)
    return type_change(before.type, after.type).using


def _renamed(world: World, address: Address, columns: Iterable[Column]) -> Iterable[Fact]:
    """Renames of the type, of these columns and of their tables are done."""
    for place in (address, *(c.table for c in columns)):
        if world.where(place) != place:
            yield no(world.where(place))
    for column in columns:
        old = world.where(column.address).parts[-1]
        if old != column.address.parts[-1]:
            yield no(column.table.child("column", old))


def _release(resource: PostgresResource) -> str:
    if isinstance(resource, Check | Exclusion):
        return f"ALTER TABLE {relation(resource.address)} DROP CONSTRAINT {ident(resource.name)}"
    return f"DROP INDEX {object_name(resource)}"


def _columns_renamed(world: World, held: PostgresResource) -> Iterable[Fact]:
    """Columns that it names go by their new names when it is made again."""
    for column in columns_used(world, world.live, home(world, held.table), held):
        if column.strategy == "online":
            yield ok(column.address)  # there are two of the name until then
        yield from renamed_first(world, column.address)


def _restore(resource: PostgresResource) -> list[str]:
    if isinstance(resource, Index):
        built = index_statement(resource, concurrently=False)
    else:
        invalid = " NOT VALID" if isinstance(resource, Check) and resource.not_valid else ""
        built = f"ALTER TABLE {relation(resource.address)} ADD {constraint_clause(resource)}{invalid}"
    return [built, *comments(resource)]


def alter(before: Range, after: Range) -> Change | None:
    """The change of a range type that stays."""
    return (ChangeComment if only_comment_differs(before, after) else ReplaceType)(before, after)
