"""Columns: added without a rewrite where the server can, altered attribute by attribute, dropped with a warning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from reconcile.change import Action, Change, Irreversible, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    PostgresChange,
    Removal,
    comments,
    dependents_settled,
    differing,
    expression_made_again,
    in_new_table,
    mentions,
    only_comment_differs,
    requires,
    retypes,
    sequences_owned,
    small,
    views_over,
)
from reconcile.stores.postgres.changes.types import TypeChange, is_vector, stored_vectors_fit, type_change
from reconcile.stores.postgres.changes.view import RecreateView
from reconcile.stores.postgres.resources import Check, Column, ForeignKey, Index, Key, PostgresResource
from reconcile.stores.postgres.sqltext import (
    as_written,
    column_clause,
    comment_statement,
    dotted,
    helper_name,
    ident,
    identity_clause,
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


@dataclass(frozen=True)
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
        if in_new_table(world, self.after):
            return []
        column, hazards = self.after, []
        filled = column.default is not None or column.identity or column.generated is not None
        if not small(world, column.table):
            if column.not_null and not filled:
                raise PlanError(
                    f"{self.address} is not null and has no default, but {column.table} has rows",
                    where=column.source,
                    hint="give it a default; or add it without not_null, fill it, and set not_null after that",
                )
            if column.identity or column.generated is not None or volatile(column.default):
                hazards = [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]
        return [
            self.step(
                world,
                1,
                "add",
                [_add(column), *comments(column)],
                needs={no(self.address)} | requires(world, [column.table, *_used(column)]),
                gives=[has(self.address), ok(self.address)],
                hazards=hazards,
                long=bool(hazards),
            )
        ]


def _used(column: Column) -> Iterable[Address]:
    return (a for a in column.refers if a not in (column.table, column.address))


def _add(column: Column) -> str:
    return f"ALTER TABLE {relation(column.address)} ADD COLUMN {column_clause(column)}"


def describe_column(column: Column) -> str:
    """`text not null default 'en'`, in the words of the YAML."""
    parts = [str(as_written(column, "type"))]
    parts += [f'collate "{column.collation}"'] if column.collation else []
    parts += [f"generated always as {identity_word(column.identity).lower()} identity"] if column.identity else []
    parts += ["not null"] if column.not_null else []
    parts += [f"default {as_written(column, 'default')}"] if column.default is not None else []
    parts += [f"generated as ({as_written(column, 'generated')})"] if column.generated is not None else []
    return (
        " ".join(parts)
        .replace("generated always as always", "generated always")
        .replace("generated always as by default", "generated by default")
    )


@dataclass(frozen=True)
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
        return [
            self.step(
                world,
                1,
                "drop",
                [_drop(self.before)],
                needs={has(self.address)} | _settled(world, self.before) | _owned_settled(world, self.before),
                gives=_gone(world, self.before),
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS, *([] if world.empty(self.before.table) else [Hazard.DELETES_DATA])],
            )
        ]


def _drop(column: Column) -> str:
    return f"ALTER TABLE {relation(column.address)} DROP COLUMN {ident(column.name)}"


def _gone(world: World, column: Column) -> list[Fact]:
    owned = sequences_owned(world, column.address)
    return [no(column.address), *(no(s.address) for s in owned if world.drops(s.address))]


def _owned_settled(world: World, column: Column) -> frozenset[Fact]:
    """A sequence that stays has to be disowned before its column goes."""
    return frozenset(ok(s.address) for s in sequences_owned(world, column.address) if s.address in world.target)


def _settled(world: World, column: Column) -> frozenset[Fact]:
    """What of its own table, and elsewhere, has to be gone or changed before the column is dropped."""
    waits, staying = set(dependents_settled(world, column.address)), []
    for resource in world.live.children(column.table):
        if resource.address == column.address or not uses(cast(PostgresResource, resource), column):
            continue
        after = world.target.get(resource.address)
        if after is None:
            waits.add(no(resource.address))
        elif after == resource or uses(cast(PostgresResource, after), column):
            staying.append(str(resource.address))
        else:
            waits.add(ok(resource.address))
    if staying:
        raise PlanError(
            f"{column.address} cannot be dropped: {', '.join(sorted(staying))} uses it",
            where=column.source,
            hint="remove or change what uses it in the same plan; the server would drop it along without a word",
        )
    return frozenset(waits)


def uses(resource: PostgresResource, column: Column) -> bool:
    """Whether an object of the same table names the column."""
    name = column.address.parts[-1]
    match resource:
        case Key():
            return name in (*resource.columns, *resource.include)
        case ForeignKey():
            return name in (*resource.columns, *resource.on_delete_columns)
        case Check():
            return column.address in resource.refers or mentions(resource.expression, name)
        case Index():
            texts = [item.expression for item in resource.columns]
            named = [item.column for item in resource.columns]
            return name in (*named, *resource.include) or any(mentions(t, name) for t in (*texts, resource.where))
        case Column():
            return mentions(resource.generated, name)
    return False


@dataclass(frozen=True)
class AlterColumn(Alteration):
    """Default, identity, nullability and comment of a column, in place; SET NOT NULL without a long lock."""

    before: Column
    after: Column

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return _alter_steps(self, world, self.before, self.after, retyped=False)


@dataclass(frozen=True)
class AlterColumnType(Alteration):
    """Another type or collation, with whatever else differs; views over it are made again in the same transaction."""

    before: Column
    after: Column

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        if self.before.type != self.after.type and _judged(self).rewrites:
            return "every row is written anew under an exclusive lock"
        return "in place, no row is written"

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return [RecreateView(view, view) for view in views_over(world, [self.address])]

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: stored vectors would not fit, or a generated column reads it.
        """
        column = self.before
        if is_vector(column.type) and not stored_vectors_fit(column.type, self.after.type):
            _refuse_stored_vectors(self, world)
        readers = [r for r in world.live.children(column.table) if isinstance(r, Column) and r.generated]
        readers = [r for r in readers if r.address != self.address and mentions(r.generated, column.address.parts[-1])]
        staying = [str(r.address) for r in readers if not world.drops(r.address)]
        if staying:
            raise PlanError(
                f"{self.address}: the type of a column that a generated column reads cannot be changed: "
                + ", ".join(staying),
                where=self.after.source,
                hint="drop the generated column in one apply, change the type, and add it again",
            )
        return _alter_steps(self, world, column, self.after, retyped=True)

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        if self.before.type != self.after.type and _judged(self).loses:
            return Irreversible(f"values cut or rounded to {self.after.type} do not come back")
        return AlterColumnType(self.after, self.before)


def _judged(change: AlterColumnType) -> TypeChange:
    return type_change(change.before.type, change.after.type)


def _refuse_stored_vectors(change: AlterColumnType, world: World) -> None:
    before, after = change.before, change.after
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
        f"{change.address}: {before.table} stores vectors of type {before.type}, which do not fit {after.type}",
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


def _alter_steps(
    change: PostgresChange, world: World, before: Column, after: Column, *, retyped: bool
) -> Sequence[Step]:
    """Quick attributes first (expand), then the type, then NOT NULL: a later step is in no earlier phase."""
    changed = set(differing(before, after))
    needs = {has(change.address)} | requires(world, [before.table])
    quick = [] if retyped else _default_calls(before, after, changed)
    quick += _identity_calls(before, after, changed)
    if "not_null" in changed and before.not_null:
        quick.append(_alter(before, "DROP NOT NULL"))
        needs |= _key_settled(world, before)
    if "comment" in changed:
        quick.append(comment_statement(after, before.name))
    steps: list[Step] = []
    hardens = "not_null" in changed and after.not_null
    if quick and not retyped:
        gives = [] if hardens else [ok(change.address)]
        used = requires(world, _used(after)) if "default" in changed else frozenset()
        steps.append(change.step(world, 1, "alter", quick, needs=needs | used, gives=gives))
    if retyped:
        steps.append(_retype(change, world, before, after, quick, needs, last=not hardens))
    if hardens:
        steps += _set_not_null(change, world, before, len(steps))
    return steps


def _alter(column: Column, what: str) -> str:
    return f"ALTER TABLE {relation(column.address)} ALTER COLUMN {ident(column.name)} {what}"


def _default_calls(before: Column, after: Column, changed: set[str]) -> list[str]:
    if "default" not in changed:
        return []
    return [_alter(before, "DROP DEFAULT" if after.default is None else f"SET DEFAULT {as_written(after, 'default')}")]


def _identity_calls(before: Column, after: Column, changed: set[str]) -> list[str]:
    if "identity" not in changed:
        return []
    if after.identity is None:
        return [_alter(before, "DROP IDENTITY")]
    if before.identity is None:
        return [_alter(before, f"ADD {identity_clause(after.identity)}")]
    return [_alter(before, f"SET GENERATED {identity_word(after.identity)}")]


def _key_settled(world: World, column: Column) -> frozenset[Fact]:
    """DROP NOT NULL waits for the primary key that has the column to be gone."""
    keys = [k for k in world.live.children(column.table) if k.address.kind == "primary_key" and isinstance(k, Key)]
    keys = [k for k in keys if column.address.parts[-1] in k.columns]
    return frozenset(
        no(k.address) if world.drops(k.address) else ok(k.address) for k in keys if world.target.get(k.address) != k
    )


def _retype(
    change: PostgresChange,
    world: World,
    before: Column,
    after: Column,
    quick: list[str],
    needs: set[Fact] | frozenset[Fact],
    *,
    last: bool,
) -> Step:
    """One transaction: default away, type, default back. Views over it, and indexes of another opclass, are gone."""
    judged = type_change(before.type, after.type) if before.type != after.type else None
    clause = f"TYPE {as_written(after, 'type')}"
    if after.collation:
        clause += f" COLLATE {dotted(after.collation)}"
    if judged is not None and judged.using:
        clause += f" USING {ident(before.name)}::{as_written(after, 'type')}"
    with_default = before.default is not None or after.default is not None
    calls = [_alter(before, "DROP DEFAULT")] if before.default is not None else []
    calls.append(_alter(before, clause))
    if with_default and after.default is not None:
        calls.append(_alter(before, f"SET DEFAULT {as_written(after, 'default')}"))
    views = frozenset(no(v.address) for v in views_over(world, [before.address]))
    return change.step(
        world,
        1,
        "type",
        [*calls, *quick],
        needs=needs | views | _indexes_away(world, before) | requires(world, _used(after)),
        gives=[has(change.address), *([ok(change.address)] if last else [])],
        phase=Phase.CONTRACT,
        hazards=_type_hazards(world, before, judged),
        long=judged is None or judged.rewrites or not judged.wider,
    )


def _type_hazards(world: World, before: Column, judged: TypeChange | None) -> list[Hazard]:
    if small(world, before.table):
        return [] if judged is not None and judged.wider else [Hazard.BREAKS_CLIENTS]
    if judged is None:  # a collation: indexes on the column are built again under the same lock
        return [Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES, Hazard.BUILDS_INDEX]
    hazards = []
    if judged.rewrites:
        hazards += [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]
    if not judged.wider:
        hazards += [Hazard.BREAKS_CLIENTS, Hazard.DEPENDS_ON_DATA]
    if judged.loses:
        hazards.append(Hazard.DELETES_DATA)
    return hazards


def _indexes_away(world: World, column: Column) -> frozenset[Fact]:
    """Indexes on the column that are dropped or replaced in this plan may not fit the new type: gone before it."""
    return frozenset(no(i.address) for i in indexes_on(world, column) if index_goes(world, i))


def indexes_on(world: World, column: Column) -> list[Index]:
    """Live indexes that use the column."""
    return [r for r in world.live.children(column.table) if isinstance(r, Index) and uses(r, column)]


def index_goes(world: World, index: Index) -> bool:
    """Whether the plan drops the index or gives it another definition."""
    after = world.target.get(index.address)
    return after is None or bool(set(differing(index, after)) - {"comment", "with", "valid"})


def _set_not_null(change: PostgresChange, world: World, before: Column, done: int) -> list[Step]:
    """Through a check, validated before: SET NOT NULL then scans nothing (PostgreSQL 12 and later)."""
    table, name = relation(before.address), before.name
    needs = {has(change.address)} | requires(world, [before.table])
    given = [has(change.address), ok(change.address)]
    final = _alter(before, "SET NOT NULL")
    if small(world, before.table):
        return [
            change.step(
                world,
                done + 1,
                "not-null",
                [final],
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
    return [
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
            [final, f"ALTER TABLE {table} DROP CONSTRAINT {check}"],
            needs={ok(helper)},
            gives=[*given, no(helper)],
            phase=Phase.CONTRACT,
            commit_before=True,
        ),
    ]


@dataclass(frozen=True)
class AlterColumnExpression(Alteration):
    """Another generation expression, or none: the values stay, or are computed again for every row."""

    before: Column
    after: Column

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return (
            [RecreateView(v, v) for v in views_over(world, [self.address])]
            if expression_made_again(world, self.before, self.after)
            else []
        )

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: it has to be dropped and added, and something that stays uses it.
        """
        before, after = self.before, self.after
        again = expression_made_again(world, before, after)
        needs = {has(self.address)} | requires(world, [before.table, *_used(after)])
        hazards = (
            [] if small(world, before.table) else [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]
        )
        if after.generated is None:
            calls, hazards = [_alter(before, "DROP EXPRESSION")], []
            calls += _default_calls(before, after, set(differing(before, after)))
        elif not again:
            calls = [_alter(before, f"SET EXPRESSION AS ({as_written(after, 'generated')})")]
        else:
            needs |= _settled(world, before) | {no(v.address) for v in views_over(world, [self.address])}
            calls = [_drop(before), _add(after), *comments(after)]
            if before.generated is None and not small(world, before.table):
                hazards.append(Hazard.DELETES_DATA)
        if before.comment != after.comment and not again:
            calls.append(comment_statement(after, before.name))
        gives = [has(self.address), ok(self.address)]
        return [
            self.step(
                world,
                1,
                "expression",
                calls,
                needs=needs,
                gives=gives,
                phase=Phase.CONTRACT,
                hazards=hazards,
                long=True,
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        if self.before.generated is None:
            return Irreversible("the values that were stored before it was generated are gone")
        return AlterColumnExpression(self.after, self.before)


@dataclass(frozen=True)
class RenameColumn(PostgresChange):
    """RENAME COLUMN. Views, indexes, constraints and checks follow by themselves."""

    action: ClassVar[Action] = Action.RENAME

    before: Column
    after: Column

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "rename_declared"

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"renamed from {self.before.address.parts[-1]}"

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
                gives=[has(self.address), ok(self.address)],
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


def alter(before: Column, after: Column) -> Change | None:
    """The change of a column that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    if before.generated != after.generated:
        return AlterColumnExpression(before, after)
    return (AlterColumnType if retypes(before, after) else AlterColumn)(before, after)
