"""Functions, procedures and aggregates: replaced in place where the server allows it, else dropped and made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, cast

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.circular import tables_under
from reconcile.stores.postgres.changes.common import (
    Alteration,
    Creation,
    Removal,
    comments,
    goes_first,
    in_schema,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.remaking import comes_again, is_made_again, remade
from reconcile.stores.postgres.changes.routine_rules import can_replace, difference
from reconcile.stores.postgres.changes.succeeding import preceding, resettled, succeeded
from reconcile.stores.postgres.resources import Check, Column, Exclusion, Index, PostgresResource, Routine, Statistics
from reconcile.stores.postgres.sqlaccess import keep_access, restore_access
from reconcile.stores.postgres.sqlroutines import header, routine_statement, split_key
from reconcile.stores.postgres.sqltext import as_written, comment_statement, ident, relation, routine_name

UNCHECKED = "SET LOCAL check_function_bodies = off"
"""A body in quotes may name what is made later."""


def _made(routine: Routine, *, replace: bool) -> list[str]:
    made = routine_statement(routine, replace=replace)
    return [made] if routine.address.kind == "aggregate" else [UNCHECKED, made]


def _made_needs(world: World, routine: Routine) -> frozenset[Fact]:
    return in_schema(world, routine) | requires(world, (a for a in routine.refers if a != routine.address))


def _drop_statement(routine: Routine) -> str:
    kind = routine.address.kind
    if kind != "procedure":
        return f"DROP {kind.upper()} {routine_name(routine.address)}"
    # From 14 on q(integer) means also q(OUT integer), which may be there by then; a mode written out tells them apart.
    name, _, arguments = routine.address.parts[1].partition("(")
    modes = ", ".join(f"IN {type_}" for type_ in split_key(f"{kind}({arguments}")[1])
    return f"DROP PROCEDURE {ident(routine.address.parts[0], name)}({modes})"


class CreateRoutine(Creation):
    """CREATE FUNCTION, PROCEDURE or AGGREGATE."""

    before: None
    after: Routine

    def describe(self) -> str:
        """See `Change.describe`."""
        return described(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [*_made(self.after, replace=False), *comments(self.after)]
        held = {old: _defaults(world, old) for old in preceding(world, self.address)}
        calls += [sql for columns in held.values() for c in columns for sql in _default_again(world, c)]
        return [
            self.step(
                world,
                1,
                "create",
                calls,
                needs={no(self.address)}
                | _made_needs(world, self.after)
                | {no(old) for old, columns in held.items() if columns},
                gives=[has(self.address), ok(self.address)],
            )
        ]


def described(routine: Routine) -> str:
    """`returns trigger`, `returns table (id bigint)`, `procedure`."""
    found = header(routine.definition_)
    if found.returns is None:
        return routine.address.kind
    columns = ", ".join(f"{a.name} {a.type}" for a in found.arguments if a.mode == "table")
    return f"returns {found.returns}" + (f" ({columns})" if columns else "")


class DropRoutine(Removal):
    """DROP FUNCTION, PROCEDURE or AGGREGATE; refused while something that stays needs it."""

    before: Routine
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return described(self.before)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: what stands on it, where another takes its name."""
        return _around(world, self.before) if succeeded(world, self.address) else []

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        circle = _circle(world, self.before)
        needs = _settled(world, self.before, circle) | goes_first(world, _drop_after(self.before))
        return [
            self.drop_step(
                world,
                [*map(_release, [*circle, *self._held(world)]), _drop_statement(self.before)],
                needs=needs | _named_so(world, self.before),
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]

    def _held(self, world: World) -> list[Column]:
        """Columns whose default is to call what takes its name: that sets it again."""
        return _defaults(world, self.address) if succeeded(world, self.address) else []


def _defaults(world: World, routine: Address) -> list[Column]:
    """Columns that stay and go on having a default, of the same words, that calls it."""
    found = (c for c in world.dependents(routine) if isinstance(c, Column) and c.generated is None)
    return [c for c in found if isinstance(a := world.target.get(c.address), Column) and a.default == c.default]


def _named_so(world: World, routine: Routine) -> frozenset[Fact]:
    """What its argument types are called in the store by then: renames of this plan are done."""
    return frozenset(has(a) for a in routine.refers if world.where(a) != a)


def _drop_after(routine: Routine) -> list[Address]:
    schema = Address(routine.address.store, "schema", (routine.schema,))
    return [*(a for a in routine.refers if a != routine.address), schema]


def _circle(world: World, routine: Routine) -> list[PostgresResource]:
    """Parts of tables that go in this plan too, but only after the routine, which is built from their rows."""
    parts = [d for d in world.dependents(routine.address) if d.container is not None and world.drops(d.container)]
    tables = tables_under(world, routine.address) if parts else set()
    held = [cast(PostgresResource, d) for d in parts if d.container in tables]
    return sorted(held, key=lambda d: d.address)


def _release(part: PostgresResource) -> str:
    """Take away what keeps a routine: part of a table that is dropped anyway."""
    table = relation(part.table)
    match part:
        case Column(generated=None):
            return f"ALTER TABLE {table} ALTER COLUMN {ident(part.name)} DROP DEFAULT"
        case Column():
            return f"ALTER TABLE {table} DROP COLUMN {ident(part.name)}"
        case Index():
            return f"DROP INDEX {ident(part.schema, part.name)}"
        case Check():
            return f"ALTER TABLE {table} DROP CONSTRAINT {ident(part.name)}"
    if part.address.kind in ("trigger", "policy"):
        return f"DROP {part.address.kind.upper()} {ident(part.name)} ON {table}"
    return f"ALTER TABLE {table} DROP CONSTRAINT {ident(part.name)}"


def _settled(world: World, routine: Routine, apart: Iterable[PostgresResource] = ()) -> frozenset[Fact]:
    """What dropping it waits for: whatever is built on it goes, goes and comes again, or stops being built on it.

    Raises:
        PlanError: something that stays needs it, and is not made again.
    """
    waits, staying = set[Fact](), list(routine.needed_by)
    inside = {p.address for p in apart}
    for dependent in world.dependents(routine.address):
        address, after = dependent.address, world.target.get(dependent.address)
        if address == routine.address or address in inside or dependent.container == routine.address:
            continue
        if after is None or comes_again(world, dependent) or is_made_again(world, address):
            waits.add(no(address))
        elif routine.address not in after.refers and after != dependent:
            waits.add(ok(address))
        elif not (_is_default(dependent) and (routine.address in world.target or succeeded(world, routine.address))):
            staying.append(str(address))
    if staying:
        raise PlanError(
            f"{routine.address} cannot be dropped: {', '.join(sorted(staying))} "
            f"{'needs' if len(staying) == 1 else 'need'} it and nothing is dropped by CASCADE",
            where=routine.source,
            hint="remove or change what needs it in the same plan, or drop it by hand",
        )
    return frozenset(waits)


def _is_default(resource: object) -> bool:
    return isinstance(resource, Column) and resource.generated is None


class ReplaceRoutine(Alteration):
    """CREATE OR REPLACE: what calls it goes on. Made again where something around it makes that necessary."""

    before: Routine
    after: Routine

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_routine(self.before, self.after)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return _around(world, self.before) if remade(world, self.address) else []

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return RecreateRoutine(self.before, self.after).steps(world)
        calls = []
        if self.before.definition_ != self.after.definition_:
            calls = _made(self.after, replace=True)
        if self.before.comment != self.after.comment:
            calls.append(comment_statement(self.after))
        needs = {has(self.address)} | _made_needs(world, self.after)
        return [self.step(world, 1, "replace", calls, needs=needs, gives=[has(self.address), ok(self.address)])]

    def remarks(self, world: World) -> Iterable[str]:
        """See `Change.remarks`."""
        from reconcile.stores.postgres.changes.stale import stale

        body = "body" in difference(header(self.before.definition_), header(self.after.definition_))
        return stale(world, self.before) if body and not remade(world, self.address) else ()


class RecreateRoutine(Alteration):
    """Dropped, then created with its owner, grants and comment; a companion where it stays equal.

    What is built on it is made again around it: views, policies, triggers, checks, indexes, generated columns; defaults
    of columns are taken away and set again in the same steps.
    """

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Routine
    after: Routine

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_routine(self.before, self.after)

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return None if self.before == self.after else "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        return tuple((key,) for key in differing(self.before, self.after) if key != "comment")

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return _around(world, self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: something that stays needs it, and is not made again.
        """
        old, new = self.before, self.after
        defaults = [c for c in world.dependents(self.address) if isinstance(c, Column) and c.generated is None]
        held = [c for c in defaults if (after := world.target.get(c.address)) and self.address in after.refers]
        drop = self.drop_step(
            world,
            [keep_access(old), *map(_release, held), _drop_statement(old)],
            needs=_settled(world, old) | goes_first(world, _drop_after(old)) | _named_so(world, old),
            hazards=[] if old == new else [Hazard.BREAKS_CLIENTS],
        )
        create = self.step(
            world,
            2,
            "create",
            [
                *_made(new, replace=False),
                *comments(new),
                restore_access(new),
                *(sql for c in held for sql in _default_again(world, c)),
            ],
            needs={no(self.address)} | _made_needs(world, new),
            gives=[has(self.address), ok(self.address)],
            phase=Phase.CONTRACT,
        )
        return [drop, create]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateRoutine(self.after, self.before)


def _around(world: World, routine: Routine) -> list[Change]:
    from reconcile.stores.postgres.changes.again import around, companions_of
    from reconcile.stores.postgres.changes.column_generated import RecreateColumn

    users = [cast(PostgresResource, r) for r in world.dependents(routine.address)]
    columns = [
        c for c in users if isinstance(c, Column) and c.generated is not None and c == world.target.get(c.address)
    ]
    inside = [u for u in users if isinstance(u, Index | Check | Exclusion | Statistics)]
    return [
        *around(world, [routine.address]),
        *(RecreateColumn(c, cast(Column, resettled(world, c))) for c in columns),
        *companions_of(world, inside),
    ]


def _default_again(world: World, column: Column) -> Iterator[str]:
    """The default that was taken away; one that the plan changes is set by that change."""
    after = world.target.get(column.address)
    if isinstance(after, Column) and after.default == column.default:
        name, default = ident(column.name), as_written(after, "default")
        yield f"ALTER TABLE {relation(column.address)} ALTER COLUMN {name} SET DEFAULT {default}"


def describe_routine(before: Routine, after: Routine) -> str:
    """What differs, in the words of the statement."""
    parts = difference(header(before.definition_), header(after.definition_))
    if before.definition_ == after.definition_:
        parts = []
    if before.comment != after.comment:
        parts.append("comment" if after.comment is not None else "comment removed")
    return ", ".join(parts) or ("unchanged, made again" if before == after else "definition")


def alter(before: Routine, after: Routine) -> Change | None:
    """The change of a routine that stays."""
    replaces = can_replace(header(before.definition_), header(after.definition_))
    return (ReplaceRoutine if replaces else RecreateRoutine)(before, after)
