"""Columns: added without a rewrite where the server can, dropped with a warning, renamed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from reconcile.change import Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Source, State
from reconcile.stores.postgres.changes import keeping, sync
from reconcile.stores.postgres.changes.circular import waits_for_table
from reconcile.stores.postgres.changes.common import (
    Creation,
    Removal,
    Renaming,
    comments,
    dependents_settled,
    goes_first,
    in_new_table,
    requires,
    sequences_owned,
    small,
)
from reconcile.stores.postgres.changes.homes import partitioned_by, settings_on_partitions
from reconcile.stores.postgres.changes.named import users_of_column, uses
from reconcile.stores.postgres.changes.remaking import comes_again, is_made_again
from reconcile.stores.postgres.changes.type_remaking import domains_of
from reconcile.stores.postgres.resources import Column, PostgresResource
from reconcile.stores.postgres.sqltables import column_calls
from reconcile.stores.postgres.sqltext import (
    as_written,
    column_clause,
    ident,
    identity_word,
    relation,
)

_CALL = re.compile(r"([A-Za-z_][\w.]*)\s*\(")


_STABLE_NAMES = (
    "now statement_timestamp transaction_timestamp localtimestamp localtime current_timestamp current_time "
    "current_date current_setting array coalesce nullif greatest least lower upper trim btrim ltrim rtrim "
    "concat format md5 to_timestamp to_date to_char date_trunc timezone make_interval make_date "
    "make_timestamptz jsonb_build_object jsonb_build_array json_build_object json_build_array to_jsonb "
    "to_json array_fill repeat numeric varchar char bit time timestamp timestamptz interval vector halfvec "
    "decode encode convert_to left right round floor ceil abs length cast row date_part extract "
)


_STABLE = frozenset(_STABLE_NAMES.split())
"""Functions whose value is the same for all rows of one statement: ADD COLUMN stores it once. Others may not be."""


def volatile(expression: str | None) -> bool:
    """Whether a default may differ from row to row, so that adding the column writes every row anew.

    >>> volatile("now()"), volatile("gen_random_uuid()"), volatile("'a (b)'::text")
    (False, True, False)
    """
    if expression is None:
        return False
    bare = re.sub(r"'(?:[^']|'')*'", "''", expression)
    return any(name.rpartition(".")[2].lower() not in _STABLE for name in _CALL.findall(bare))


class AddColumn(Creation):
    """ADD COLUMN; a constant or stable default is stored once and no row is written."""

    before: None
    after: Column

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_column(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: NOT NULL without a default on a table that has rows.
        """
        apart = self.after.default is None and waits_for_table(world, self.after)
        if in_new_table(world, self.after) and not apart:
            return []
        column, hazards = self.after, []
        conditions = domains_of(world, column)
        default = column.default or next((d.default for d in conditions[:1]), None)
        filled = default is not None or column.identity or column.generated is not None
        later: Sequence[Step] = ()
        strict = column.not_null or any(d.not_null for d in conditions)
        if not small(world, column.table):
            if column.not_null and not filled and not any(d.not_null for d in conditions) and world.fills(column):
                from reconcile.stores.postgres.changes.column_filled import hardened, open_column

                later = hardened(world, column, requires(world, [column.table]))
                column = open_column(column)
            elif strict and not filled:
                raise PlanError(
                    f"{self.address} is not null and has no default, but {column.table} has rows",
                    where=column.source,
                    hint="give it a default; or declare a backfill that fills it, in this plan or one before",
                )
            looked_at = any(d.not_null or d.checks for d in conditions)  # the server writes rows to see that they fit
            stored = column.generated is not None and column.stored
            if column.identity or stored or volatile(default) or looked_at:
                hazards = [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]
        step = self.step(
            world,
            1,
            "add",
            added(world, column),
            needs={no(self.address)} | requires(world, [column.table, *used(column)]),
            gives=[has(self.address), *([] if later else [ok(self.address)])],
            hazards=hazards,
            long=bool(hazards),
        )
        if strict and column.generated is not None and not small(world, column.table):
            from reconcile.stores.postgres.changes.preconditions import computed_nulls, preceded

            return preceded([step], computed_nulls(world, column))
        return [step, *later]


def used(column: Column) -> Iterable[Address]:
    """What a column refers to besides its table: an enum, a sequence, an extension."""
    return (a for a in column.refers if a not in (column.table, column.address))


def add_statement(column: Column) -> str:
    """ALTER TABLE … ADD COLUMN …."""
    return f"ALTER TABLE {relation(column.address)} ADD COLUMN {column_clause(column)}"


def added(world: World, column: Column) -> list[str]:
    """ADD COLUMN with all its settings."""
    settings = [*column_calls(None, column), *settings_on_partitions(world, None, column)]
    return [add_statement(column), *settings, *comments(column)]


def describe_column(column: Column) -> str:
    """`text not null default 'en'`, in the words of the YAML."""
    parts = [str(as_written(column, "type"))]
    parts += [f'collate "{column.collation}"'] if column.collation else []
    parts += [_describe_identity(column)] if column.identity else []
    parts += ["not null"] if column.not_null else []
    parts += [f"default {as_written(column, 'default')}"] if column.default is not None else []
    virtual = "" if column.stored else " virtual"
    parts += [f"generated as ({as_written(column, 'generated')}){virtual}"] if column.generated is not None else []
    return " ".join(parts)


def _describe_identity(column: Column) -> str:
    options = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in column.identity_options)
    return f"generated {identity_word(column.identity or '').lower()} identity{f' ({options})' if options else ''}"


class DropColumn(Removal):
    """DROP COLUMN. The server would silently take indexes and constraints along: they have to be in the plan."""

    before: Column
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_column(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: an index, constraint, view or generated column that stays uses it.
        """
        if in_new_table(world, self.before):
            return []
        calls, hazards, kept = [drop_statement(self.before)], [Hazard.BREAKS_CLIENTS], None
        if self.before.beside is not None:  # the other one has all its values
            calls = [*sync.Pair.begun(self.before).remove(), *calls, sync.TIDY]
            hazards = [] if self.before.leftover_of == self.before.beside else hazards
        elif (kept := keeping.column_name(world, self.before)) is not None:
            calls = keeping.keep_column(world, self.before, kept)
        elif self.before.generated is not None:
            pass  # it holds no values of its own
        elif not keeping.valueless(world, self.before):
            hazards.append(Hazard.DELETES_DATA)
        elif not world.empty(self.before.table):
            calls = [*keeping.look_again(self.before), *calls]
        step = self.step(
            world,
            1,
            "keep" if kept else "drop",
            calls,
            needs={has(self.address)}
            | settled(world, self.before)
            | _owned_settled(world, self.before)
            | goes_first(world, used(self.before)),
            gives=_gone(world, self.before),
            phase=Phase.CONTRACT,
            hazards=hazards,
        )
        return [replace(step, keeps=kept)]

    def remarks(self, world: World) -> Iterable[str]:
        """See `Change.remarks`."""
        column = self.before
        if in_new_table(world, column) or column.beside is not None or column.leftover_of is not None:
            return ()
        if keeping.valueless(world, column) or world.keeping.deletes(self.address) or column.generated is not None:
            return ()
        return keeping.unkept(self.address, keeping.column_not_kept(world, column))


def drop_statement(column: Column) -> str:
    """ALTER TABLE … DROP COLUMN …."""
    return f"ALTER TABLE {relation(column.address)} DROP COLUMN {ident(column.name)}"


def _gone(world: World, column: Column) -> list[Fact]:
    owned = sequences_owned(world, column.address)
    return [no(column.address), *(no(s.address) for s in owned if world.drops(s.address))]


def _owned_settled(world: World, column: Column) -> frozenset[Fact]:
    """A sequence that stays has to be disowned before its column goes."""
    return frozenset(ok(s.address) for s in sequences_owned(world, column.address) if s.address in world.target)


def refuse_held(column: Column, what: str, where: Source | None = None, *, republished: bool = False) -> None:
    """
    Args:
        where: the line that asks for it.
        republished: publications leave the table meanwhile.

    Raises:
        PlanError: something that is not modelled uses the column; the server would refuse, or take it along.
    """
    published = [] if republished else [f"publication {p.publication}" for p in column.published]
    if column.held_by or published:
        raise PlanError(
            f"{column.address} cannot {what}: it is used by {', '.join([*column.held_by, *published])}, "
            "which this version does not model or the store's `schemas:` leave out",
            where=where or column.source,
            hint="take the column out of it by hand before, and put it back after",
        )


def settled(world: World, column: Column) -> frozenset[Fact]:
    """What of its own table, and elsewhere, has to be gone or changed before the column is dropped."""
    waits, staying = set(dependents_settled(world, column.address)), []
    refuse_held(column, "be dropped")
    for resource in users_of_column(world, column):
        if resource.address == column.address:
            continue
        after = world.target.get(resource.address)
        if after is not None and column.beside is not None and resource.helper_of is not None:
            continue  # built on this second column and another: it goes along, whose change builds it anew
        if after is None or comes_again(world, resource) or is_made_again(world, resource.address):
            waits.add(no(resource.address))
        elif after == resource or uses(cast(PostgresResource, after), column):
            staying.append(str(resource.address))
        else:
            waits.add(ok(resource.address))
    spread = partitioned_by(world, column.address)
    if spread is not None:
        raise PlanError(
            f"{column.address} cannot be dropped: {spread.address} is partitioned by it",
            where=column.source,
            hint="make a new table, move the rows and drop this one",
        )
    if staying:
        raise PlanError(
            f"{column.address} cannot be dropped: {', '.join(sorted(staying))} uses it",
            where=column.source,
            hint="remove or change what uses it in the same plan; the server would drop it along without a word",
        )
    return frozenset(waits)


class RenameColumn(Renaming):
    """RENAME COLUMN. Views, indexes, constraints and checks follow by themselves."""

    before: Column
    after: Column

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before.address.parts[-1], self.after.address.parts[-1]
        return [
            self.step(
                world,
                1,
                "rename",
                [f"ALTER TABLE {relation(self.after.address)} RENAME COLUMN {ident(old)} TO {ident(new)}"],
                needs=requires(world, [self.after.table]),
                gives=[has(self.address), ok(self.address), no(self.before.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RenameColumn(self.after, self.before)

    def apply_to(self, state: State) -> State:
        """The column and all that names it under the new name; a state that has it stays as it is."""
        from reconcile.stores.postgres.changes.renaming import rename_column

        return rename_column(state, self.before.address, self.after.address)
