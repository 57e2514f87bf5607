"""Enums: new values in place; removed or reordered ones through a new type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.again import around
from reconcile.stores.postgres.changes.column import refuse_held
from reconcile.stores.postgres.changes.column_alter import around_retyped, users_away
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    Replacement,
    comments,
    dependents_settled,
    differing,
    goes_first,
    in_schema,
    only_comment_differs,
    small,
)
from reconcile.stores.postgres.changes.homes import parts
from reconcile.stores.postgres.changes.preconditions import leftovers, preceded
from reconcile.stores.postgres.changes.remaking import calls_remade, comes_again, mentions, only_adds, standing_on
from reconcile.stores.postgres.resources import Check, Column, Enum, Index, PostgresResource
from reconcile.stores.postgres.sqlaccess import keep_access, restore_access
from reconcile.stores.postgres.sqltext import (
    comment_statement,
    constraint_clause,
    enum_statement,
    helper_name,
    ident,
    index_statement,
    literal,
    object_name,
    relation,
)


@dataclass(frozen=True)
class CreateEnum(Creation):
    """CREATE TYPE … AS ENUM."""

    before: None
    after: Enum

    def describe(self) -> str:
        """See `Change.describe`."""
        return ", ".join(self.after.values)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [enum_statement(self.after), *comments(self.after)]
        needs = {no(self.address)} | in_schema(world, self.after)
        return [self.step(world, 1, "create", calls, needs=needs, gives=[has(self.address), ok(self.address)])]


@dataclass(frozen=True)
class DropEnum(Removal):
    """DROP TYPE; refused while a column that stays is of it."""

    before: Enum
    after: None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        schema = Address(self.address.store, "schema", (self.before.schema,))
        return [
            self.step(
                world,
                1,
                "drop",
                [f"DROP TYPE {object_name(self.before)}"],
                needs={has(self.address)} | dependents_settled(world, self.address) | goes_first(world, [schema]),
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


@dataclass(frozen=True)
class AddEnumValues(Alteration):
    """ALTER TYPE … ADD VALUE; what uses the enum in this plan runs in a later transaction."""

    before: Enum
    after: Enum

    def describe(self) -> str:
        """See `Change.describe`."""
        new = [f"+ {v}" for v in self.after.values if v not in self.before.values]
        return ", ".join([*new, *(["comment"] if self.before.comment != self.after.comment else [])])

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        name, there, calls = object_name(self.before), list(self.before.values), []
        for place, value in enumerate(self.after.values):
            if value in there:
                continue
            if place:
                where = f" AFTER {literal(self.after.values[place - 1])}"
            else:
                where = f" BEFORE {literal(there[0])}" if there else ""
            calls.append(f"ALTER TYPE {name} ADD VALUE {literal(value)}{where}")
            there.insert(place, value)
        if self.before.comment != self.after.comment:
            calls.append(comment_statement(self.after, self.before.name))
        return [
            self.step(world, 1, "add", calls, needs=[has(self.address)], gives=[has(self.address), ok(self.address)])
        ]


@dataclass(frozen=True)
class ReplaceEnum(Replacement):
    """A new type beside the old one, every column rewritten to it, the old one dropped, all in one transaction."""

    before: Enum
    after: Enum

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "a new type, and every column of the old one written anew"

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        columns = [change for column in self._columns(world) for change in around_retyped(world, column)]
        return [*around(world, [self.address]), *columns]

    def _addresses(self, world: World) -> list[Address]:
        return [c.address for c in self._columns(world)]

    def _columns(self, world: World) -> list[Column]:
        """Those that stay of this type; one that gets another has it before."""
        found = [r for r in world.dependents(self.address) if isinstance(r, Column) and r.generated is None]
        return [c for c in found if (after := world.target.get(c.address)) and self.address in after.refers]

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        columns = self._columns(world)
        for column in columns:
            refuse_held(column, "get another type")
        helper = helper_name(self.after.name, "new")
        held = [r for c in columns for r in _holding(world, c, self.before)]
        held = list({r.address: r for r in held if not comes_again(world, r) and r.address in world.target}.values())
        calls = [enum_statement(self.after, helper)]
        calls += [_release(r) for r in held]
        for column in columns:
            table, name, array = relation(column.address), ident(column.name), "[]" * column.type.count("[]")
            if column.default is not None:
                calls.append(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT")
            new = f"{ident(self.after.schema, helper)}{array}"
            calls.append(f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {new} USING {name}::text{array}::{new}")
        calls += [
            keep_access(self.before),
            f"DROP TYPE {object_name(self.before)}",
            f"ALTER TYPE {ident(self.after.schema, helper)} RENAME TO {ident(self.after.name)}",
            *comments(self.after),
            restore_access(self.after),
        ]
        for column in columns:
            default = cast(Column, world.target[column.address]).default
            if column.default is not None and default is not None and not calls_remade(world, column):
                calls.append(
                    f"ALTER TABLE {relation(column.address)} ALTER COLUMN {ident(column.name)} SET DEFAULT {default}"
                )
        calls += [sql for r in held for sql in _restore(r)]
        columns_there = [r for r in world.dependents(self.address) if isinstance(r, Column)]
        gone = [no(c.address) for c in columns_there if world.drops(c.address)]
        gone += [ok(c.address) for c in columns_there if not world.drops(c.address) and c not in columns]
        above = [x.address for x in standing_on(world, [self.address, *self._addresses(world)], dropped=True)]
        away = {fact for c in columns for fact in users_away(world, c)}
        full = any(not small(world, c.table) for c in columns)
        costs = [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES, Hazard.DEPENDS_ON_DATA]
        step = self.step(
            world,
            1,
            "replace",
            calls,
            needs={has(self.address), *map(no, above), *gone, *away, *_renamed(world, columns)},
            gives=[has(self.address), ok(self.address)],
            phase=Phase.CONTRACT,
            hazards=[Hazard.BREAKS_CLIENTS, *(costs if full else [])],
            long=True,
        )
        held_values = [leftovers(world, c, self.before, self.after) for c in columns if not small(world, c.table)]
        return preceded([step], (call for calls in held_values for call in calls))


def _renamed(world: World, columns: Iterable[Column]) -> Iterable[Fact]:
    """Renames of these columns and of their tables are done."""
    for column in columns:
        if world.where(column.table) != column.table:
            yield no(world.where(column.table))
        old = world.where(column.address).parts[-1]
        if old != column.address.parts[-1]:
            yield no(column.table.child("column", old))


def _holding(world: World, column: Column, enum: Enum) -> list[PostgresResource]:
    """Checks and indexes of the table whose expression holds constants of the enum: they are bound to its old type."""
    found: list[PostgresResource] = []
    for resource in parts(world.live, column.table):
        if isinstance(resource, Check):
            texts: list[str | None] = [resource.expression]
        elif isinstance(resource, Index):
            texts = [resource.where, *(item.expression for item in resource.columns)]
        else:
            continue
        if any(mentions(text, enum.name) for text in texts):
            found.append(cast(PostgresResource, resource))
    return found


def _release(resource: PostgresResource) -> str:
    if isinstance(resource, Check):
        return f"ALTER TABLE {relation(resource.address)} DROP CONSTRAINT {ident(resource.name)}"
    return f"DROP INDEX {object_name(resource)}"


def _restore(resource: PostgresResource) -> list[str]:
    if isinstance(resource, Index):
        made = index_statement(resource, concurrently=False)
    else:
        invalid = " NOT VALID" if isinstance(resource, Check) and resource.not_valid else ""
        made = f"ALTER TABLE {relation(resource.address)} ADD {constraint_clause(resource)}{invalid}"
    return [made, *comments(resource)]


def alter(before: Enum, after: Enum) -> Change | None:
    """The change of an enum that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    if "values" in differing(before, after) and not only_adds(before, after):
        return ReplaceEnum(before, after)
    return AddEnumValues(before, after)
