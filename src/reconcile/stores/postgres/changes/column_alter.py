"""Columns altered attribute by attribute, so that nobody waits longer than the attribute makes necessary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconcile.change import Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.again import around, companions_of
from reconcile.stores.postgres.changes.column import used
from reconcile.stores.postgres.changes.column_identity import (
    alter_statement,
    identity_calls,
    identity_rows,
    with_sequence_gone,
)
from reconcile.stores.postgres.changes.column_not_null import added_steps, altered_calls, is_plain, validate_step
from reconcile.stores.postgres.changes.column_type import compared_with, retype_steps
from reconcile.stores.postgres.changes.common import Alteration, PostgresChange, renamed_first, requires, small
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.homes import (
    partitioned_by,
    partitions_below,
    parts,
    settings_on_partition,
    settings_on_partitions,
)
from reconcile.stores.postgres.changes.preconditions import nulls, preceded
from reconcile.stores.postgres.changes.remaking import comes_again, generated_from
from reconcile.stores.postgres.changes.sequence import taken_name
from reconcile.stores.postgres.changes.types import TypeChange, is_vector, stored_vectors_fit, type_change
from reconcile.stores.postgres.resources import Column, Index, Key
from reconcile.stores.postgres.sqltables import column_calls
from reconcile.stores.postgres.sqltext import (
    as_written,
    comment_statement,
    helper_name,
    ident,
    relation,
)


class AlterColumn(Alteration):
    """Default, identity, nullability and comment of a column, in place; SET NOT NULL without a long lock."""

    before: Column
    after: Column

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return alter_steps(self, world, self.before, self.after, retyped=False)


class AlterColumnType(Alteration):
    """Another type or collation, with whatever else differs; what stands on it goes before and comes again after."""

    before: Column
    after: Column

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        if self.before.type == self.after.type:
            return "in place, no row is written"
        judged = _judged(self)
        if judged.rewrites:
            return "every row is written anew under an exclusive lock"
        return f"in place, no row is written{'' if judged.wider else '; times are taken as UTC'}"

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: what stands on it, columns generated from it, keys it does not compare with."""
        return around_retyped(world, self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: stored vectors would not fit.
        """
        column = self.before
        spread = partitioned_by(world, column.address)
        if spread is not None:
            raise PlanError(
                f"{self.address} cannot get another type: {spread.address} is partitioned by it",
                where=self.after.source,
                hint="make a new table with the type, move the rows and drop this one",
            )
        if is_vector(column.type) and not stored_vectors_fit(column.type, self.after.type):
            refuse_stored_vectors(world, column, self.after)
        return alter_steps(self, world, column, self.after, retyped=True)

    @property
    def loses(self) -> str | None:
        """See `Change.loses`."""
        return lost(self.before, self.after)

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return AlterColumnType(self.after, self.before)


def lost(before: Column, after: Column) -> str | None:
    """What another type takes of the values for good."""
    if before.type == after.type or not type_change(before.type, after.type).loses:
        return None
    return f"values cut or rounded to {after.type} do not come back"


def around_retyped(world: World, column: Column) -> list[Change]:
    """Equal things that are made again around another type of a column, as companions."""
    from reconcile.stores.postgres.changes.column_generated import RecreateColumn

    found: list[Change] = around(world, [column.address])
    same = [g for g in generated_from(world, column) if world.target.get(g.address) == g]
    found += [RecreateColumn(g, g) for g in same]
    return found + companions_of(world, (u for u in compared_with(world, column) if comes_again(world, u)))


def _judged(change: AlterColumnType) -> TypeChange:
    return type_change(change.before.type, change.after.type)


def refuse_stored_vectors(world: World, before: Column, after: Column) -> None:
    """Say how the next generation is declared.

    Raises:
        PlanError: the table has rows.
    """
    if world.empty(before.table):
        return
    name = after.address.parts[-1]
    written = f"{{embedding: {after.embedding}}}" if after.embedding else f'{{type: "{after.type}"}}'
    users = [
        r for r in world.target.children(before.table) if isinstance(r, Index) and name in {i.column for i in r.columns}
    ]
    indexes = [f"      {i.address.parts[-1]}_v2: {_index_yaml(i, name)}" for i in users]
    lines = [
        "tables:",
        f"  {before.address.parts[1]}:",
        "    columns:",
        f'      {name}: {{type: "{before.type}"}}          # the old generation, until nothing reads it',
        f"      {name}_v2: {written}",
        *(["    indexes:", *indexes] if indexes else []),
    ]
    raise PlanError(
        f"{after.address}: {before.table} stores vectors of type {before.type}, which do not fit {after.type}",
        where=after.source,
        hint="declare the next generation beside it, fill it, switch the application over, then drop the old one:\n\n"
        + "\n".join(f"    {line}" for line in lines),
    )


def _index_yaml(index: Index, name: str) -> str:
    parts = [f"method: {index.method}"]
    classes = [i.opclass for i in index.columns]
    if index.embedding or not classes[0]:
        parts.append(f"columns: [{name}_v2]")
        parts += [f"embedding: {index.embedding}"] if index.embedding else []
    else:
        parts.append(f"columns: [{{column: {name}_v2, opclass: {classes[0]}}}]")
    if index.with_:
        parts.append("with: {" + ", ".join(f"{k}: {v}" for k, v in index.with_) + "}")
    return "{" + ", ".join(parts) + "}"


def alter_steps(
    change: PostgresChange, world: World, before: Column, after: Column, *, retyped: bool
) -> Sequence[Step]:
    """Quick attributes first (expand), then NOT NULL: a later step is in no earlier phase. The type comes last.

    What stands on a column that gets another type is away until that step has run: nothing should be validated
    meanwhile.
    """
    changed = set(differing(before, after))
    needs = {has(change.address)} | renamed_first(world, change.address) | requires(world, [before.table])
    hardens = "not_null" in changed and after.not_null
    identity = identity_calls(world, before, after, changed)
    quick = [] if retyped else default_calls(before, after, changed)
    if before.identity is not None and (taken := taken_name(world, before)) is not None:
        needs |= {has(taken.address)}
    if after.identity is None:  # it is a kind of default: the old one goes first
        quick, identity = [*identity, *quick], []
    quick += identity if retyped or not hardens else []
    if "not_null" in changed and before.not_null:
        quick.append(alter_statement(before, "DROP NOT NULL"))
        needs |= _key_settled(world, before)
    quick += altered_calls(before, after)
    validates = before.not_null and after.not_null and after.not_null_valid and not before.not_null_valid
    there = replace(before, storage=None, compression=None) if retyped else before
    quick += column_calls(there, replace(after, live_name=before.live_name), world.server.numbers)
    quick += settings_on_partitions(world, there, after)
    for part in partitions_below(world, after.table, new=True) if retyped else []:
        if calls := settings_on_partition(world, there, after, part):
            quick += calls
            needs |= {has(part.address)}  # or the new type would take them away again
    if "comment" in changed:
        quick.append(comment_statement(after, before.name))
    steps: list[Step] = []
    if quick and not retyped:
        gives = [] if hardens or validates else [ok(change.address)]
        waits = requires(world, used(after)) if "default" in changed else frozenset()
        steps.append(change.step(world, 1, "alter", quick, needs=needs | waits, gives=gives))
    if hardens and not is_plain(after):
        added = added_steps(change, world, after, len(steps), frozenset(needs), [] if retyped else identity)
        steps += preceded(added, nulls(world, [change.address]) if after.not_null_valid else ())
    elif hardens:
        steps += set_not_null(change, world, before, len(steps), [] if retyped else identity)
    if validates:
        waits = frozenset({has(change.address)}) if steps else frozenset(needs)
        last = validate_step(change, world, before, after, len(steps) + 1, waits)
        steps += preceded([last], nulls(world, [change.address]))
    if retyped:
        steps += retype_steps(change, world, before, after, quick, needs, done=len(steps))
    return preceded(with_sequence_gone(world, before, after, steps), identity_rows(world, before, after))


def default_calls(before: Column, after: Column, changed: set[str]) -> list[str]:
    """SET or DROP DEFAULT, where that differs."""
    if "default" not in changed:
        return []
    what = "DROP DEFAULT" if after.default is None else f"SET DEFAULT {as_written(after, 'default')}"
    return [alter_statement(before, what)]


def _key_settled(world: World, column: Column) -> frozenset[Fact]:
    """DROP NOT NULL waits for the primary key that has the column to be gone."""
    keys = [k for k in parts(world.live, column.table) if k.address.kind == "primary_key" and isinstance(k, Key)]
    keys = [k for k in keys if column.address.parts[-1] in k.columns]
    return frozenset(
        no(k.address) if world.drops(k.address) else ok(k.address) for k in keys if world.target.get(k.address) != k
    )


def set_not_null(
    change: PostgresChange, world: World, before: Column, done: int, more: Sequence[str] = ()
) -> list[Step]:
    """Through a check, validated before: SET NOT NULL then scans nothing (PostgreSQL 12 and later)."""
    table, name = relation(before.address), before.name
    needs = {has(change.address)} | renamed_first(world, change.address) | requires(world, [before.table])
    given = [has(change.address), ok(change.address)]
    final = alter_statement(before, "SET NOT NULL")
    if small(world, before.table):
        return [
            change.step(
                world,
                done + 1,
                "not-null",
                [final, *more],
                needs=needs,
                gives=given,
                phase=Phase.CONTRACT,
                hazards=[Hazard.DEPENDS_ON_DATA],
            )
        ]
    helper = Address(change.address.store, "check", (*before.address.parts[:2], helper_name(name, "not_null")))
    check = ident(helper.parts[-1])
    add = [f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({ident(name)} IS NOT NULL) NOT VALID"]
    if world.drops(helper):
        needs |= {no(helper)}
    elif helper in world.live:  # a broken try of an earlier plan
        add.insert(0, f"ALTER TABLE {table} DROP CONSTRAINT {check}")
    steps = [
        change.step(
            world, done + 1, "check", add, address=helper, needs=needs, gives=[has(helper)], phase=Phase.CONTRACT
        ),
        change.step(
            world,
            done + 2,
            "validate",
            [f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}"],
            address=helper,
            needs=[has(helper)],
            gives=[ok(helper)],
            phase=Phase.CONTRACT,
            hazards=[Hazard.DEPENDS_ON_DATA],
            commit_before=True,
            long=True,
        ),
        change.step(
            world,
            done + 3,
            "not-null",
            [final, f"ALTER TABLE {table} DROP CONSTRAINT {check}", *more],
            needs={ok(helper)},
            gives=[*given, no(helper)],
            phase=Phase.CONTRACT,
            commit_before=True,
        ),
    ]
    return preceded(steps, nulls(world, [change.address]))
