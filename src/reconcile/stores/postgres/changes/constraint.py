"""Primary keys, unique and check constraints. New ones on a table with rows never hold a long lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    PostgresChange,
    Removal,
    Replacement,
    comments,
    dependents_settled,
    differing,
    in_new_table,
    only_comment_differs,
    requires,
    small,
)
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    ForeignKey,
    Index,
    IndexItem,
    Key,
    PostgresResource,
    PrimaryKey,
    Unique,
)
from reconcile.stores.postgres.sqltext import (
    comment_statement,
    constraint_clause,
    deferrable_clause,
    helper_name,
    ident,
    index_statement,
    key_word,
    relation,
)


def columns_of(resource: PostgresResource, names: Iterable[str]) -> list[Address]:
    """Addresses of columns of the resource's table."""
    return [resource.table.child("column", n) for n in names]


def narrowing(world: World, resource: PostgresResource, names: Iterable[str]) -> Phase:
    """A rule over columns that an application already writes may refuse what it writes: contract."""
    columns = columns_of(resource, names)
    return Phase.EXPAND if columns and all(world.creates(c) for c in columns) else Phase.CONTRACT


def add_statement(resource: PostgresResource, *, not_valid: bool = False) -> str:
    """ALTER TABLE … ADD CONSTRAINT … [NOT VALID]."""
    return (
        f"ALTER TABLE {relation(resource.address)} ADD {constraint_clause(resource)}{' NOT VALID' if not_valid else ''}"
    )


def drop_statement(resource: PostgresResource, name: str | None = None) -> str:
    """ALTER TABLE … DROP CONSTRAINT …."""
    return f"ALTER TABLE {relation(resource.address)} DROP CONSTRAINT {ident(name or resource.name)}"


def validate_statement(resource: PostgresResource, name: str | None = None) -> str:
    """ALTER TABLE … VALIDATE CONSTRAINT …."""
    return f"ALTER TABLE {relation(resource.address)} VALIDATE CONSTRAINT {ident(name or resource.name)}"


def rename_statement(resource: PostgresResource, old: str, new: str) -> str:
    """ALTER TABLE … RENAME CONSTRAINT … TO …."""
    return f"ALTER TABLE {relation(resource.address)} RENAME CONSTRAINT {ident(old)} TO {ident(new)}"


# Keys: primary and unique.


def key_index(key: Key) -> Index:
    """The unique index a key is made from, under a helper name."""
    return Index(
        address=Address(key.address.store, "index", (key.schema, helper_name(key.name, "new"))),
        container=key.container,
        refers=(),
        unique=True,
        columns=tuple(IndexItem(column=c) for c in key.columns),
        include=key.include,
        nulls_not_distinct=isinstance(key, Unique) and key.nulls_not_distinct,
    )


def build_helper(change: PostgresChange, world: World, index: Index, needs: Iterable[Fact], phase: Phase) -> list[Step]:
    """Build a helper index concurrently, unless an earlier plan left it ready; a broken or strange one goes first."""
    built = helper_built(world, change.address, index)
    if built is None:
        return []
    steps, absent = [], no(index.address)
    if index.address in world.live and not world.drops(index.address):
        steps.append(
            change.concurrent_step(
                1,
                "clear",
                [f"DROP INDEX CONCURRENTLY {relation(index.address)}"],
                address=index.address,
                needs=[has(index.address)],
                gives=[absent],
                phase=phase,
            )
        )
    steps.append(
        change.concurrent_step(
            len(steps) + 1,
            "build",
            [index_statement(index, concurrently=True)],
            address=index.address,
            needs={absent, *needs},
            gives=[has(index.address), ok(index.address), built],
            debris=[index.address],
            phase=phase,
            hazards=[Hazard.BUILDS_INDEX, Hazard.NEEDS_SPACE, *([Hazard.DEPENDS_ON_DATA] if index.unique else [])],
        )
    )
    return steps


def helper_built(world: World, address: Address, index: Index) -> Fact | None:
    """The fact that the change of `address` has built its helper index; None where the index is there already.

    Something that is dropped only then must not name the index itself: to the planner, a removal that needs an object
    merely has to come before that object goes.
    """
    there, going = world.live.get(index.address), world.drops(index.address)
    if there == index and not going:
        return None
    return done(f"{address}/{2 if there is not None and not going else 1}-build")


def key_steps(change: PostgresChange, world: World, key: Key, old: Key | None) -> list[Step]:
    """From a concurrently built unique index; with an old key, swapped for it in the same transaction."""
    if old is None and in_new_table(world, key):
        return []
    names = (*key.columns, *key.include)
    needs = requires(world, [key.table, *columns_of(key, names)])
    not_null = _not_null_first(world, key) if isinstance(key, PrimaryKey) else frozenset()
    phase = Phase.CONTRACT if old else narrowing(world, key, key.columns)
    gives = [has(key.address), ok(key.address)]
    drop = [drop_statement(old)] if old else []
    needs_old: frozenset[Fact] = frozenset({has(old.address)}) if old else frozenset({no(key.address)})
    if old:
        needs_old |= _users_settled(world, old)
    hazards = [Hazard.DEPENDS_ON_DATA, *([Hazard.BREAKS_CLIENTS] if old else [])]
    if small(world, key.table):
        calls = [*drop, add_statement(key), *comments(key)]
        needs |= needs_old | not_null
        return [change.step(world, 1, "add", calls, needs=needs, gives=gives, phase=phase, hazards=hazards)]
    index = key_index(key)
    steps = build_helper(change, world, index, needs, phase)
    using = (
        f"ALTER TABLE {relation(key.address)} ADD CONSTRAINT {ident(key.name)} {key_word(key)}"
        f" USING INDEX {ident(index.name)}{deferrable_clause(key.deferrable)}"
    )
    steps.append(
        change.step(
            world,
            len(steps) + 1,
            "add",
            [*drop, using, *comments(key)],
            needs={ok(index.address)} | needs_old | not_null | requires(world, [key.table]),
            gives=[*gives, no(index.address)],
            phase=phase,
            hazards=[Hazard.BREAKS_CLIENTS] if old else [],
        )
    )
    return steps


def _not_null_first(world: World, key: Key) -> frozenset[Fact]:
    """A primary key sets its columns NOT NULL with a scan under an exclusive lock, unless they are already."""
    altered = (c for c in columns_of(key, key.columns) if c in world.live and c in world.target)
    return frozenset(ok(c) for c in altered if _hardens(world, c))


def _hardens(world: World, column: Address) -> bool:
    before, after = world.live[column], world.target[column]
    return isinstance(before, Column) and isinstance(after, Column) and after.not_null and not before.not_null


def users_of(world: World, key: PostgresResource) -> list[ForeignKey]:
    """Live foreign keys that hang on a key: those to its table and columns."""
    if not isinstance(key, Key):
        return []
    found = [r for r in world.live.of_kind("foreign_key") if isinstance(r, ForeignKey)]
    return [f for f in found if f.references == key.table.parts and set(f.references_columns) == set(key.columns)]


def _users_settled(world: World, key: PostgresResource) -> frozenset[Fact]:
    """Foreign keys on a key that goes: dropped or made again, or the plan stops.

    Raises:
        PlanError: a foreign key that stays needs it.
    """
    waits, staying = set(dependents_settled(world, key.address)), []
    replaced = key.address in world.target
    for user in users_of(world, key):
        if world.drops(user.table):
            continue
        if world.drops(user.address) or replaced:
            waits.add(no(user.address))
        else:
            staying.append(str(user.address))
    if staying:
        raise PlanError(
            f"{key.address} cannot be dropped: {', '.join(staying)} hangs on it",
            where=key.source,
            hint="remove the foreign key in the same plan; nothing is dropped by CASCADE",
        )
    return frozenset(waits)


@dataclass(frozen=True)
class AddKey(Creation):
    """What adding a primary key and a unique constraint share."""

    before: None
    after: Key

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_key(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return key_steps(self, world, self.after, None)


def describe_key(key: Key) -> str:
    """`(id) include (path)`."""
    include = f" include ({', '.join(key.include)})" if key.include else ""
    deferrable = f" deferrable {key.deferrable.replace('_', ' ')}" if key.deferrable else ""
    return f"({', '.join(key.columns)}){include}{deferrable}"


class AddPrimaryKey(AddKey):
    """ADD PRIMARY KEY USING INDEX."""


class AddUnique(AddKey):
    """ADD UNIQUE USING INDEX."""


@dataclass(frozen=True)
class ReplaceKey(Replacement):
    """Another key beside, swapped in one transaction."""

    before: Key
    after: Key

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "a new unique index built concurrently, then swapped"

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: foreign keys on it go before the swap and come back after it."""
        from reconcile.stores.postgres.changes.foreign_key import RecreateForeignKey

        staying = [u for u in users_of(world, self.before) if u.address in world.target]
        return [RecreateForeignKey(u, u) for u in staying]

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return key_steps(self, world, self.after, self.before)


class ReplacePrimaryKey(ReplaceKey):
    """A primary key over other columns."""


class ReplaceUnique(ReplaceKey):
    """A unique constraint over other columns or with other options."""


@dataclass(frozen=True)
class DropConstraint(Removal):
    """ALTER TABLE … DROP CONSTRAINT; refused while a foreign key needs it."""

    before: PostgresResource
    after: None

    hazards: ClassVar[tuple[Hazard, ...]] = ()

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if in_new_table(world, self.before):
            return []
        return [
            self.step(
                world,
                1,
                "drop",
                [drop_statement(self.before)],
                needs={has(self.address)} | _users_settled(world, self.before) | requires(world, [self.before.table]),
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=self.hazards,
            )
        ]


class DropPrimaryKey(DropConstraint):
    """Its columns stay NOT NULL."""

    hazards = (Hazard.BREAKS_CLIENTS,)


class DropUnique(DropConstraint):
    """INSERT … ON CONFLICT that names its columns fails afterwards."""

    hazards = (Hazard.BREAKS_CLIENTS,)


class DropCheck(DropConstraint):
    """Nothing that worked fails."""


# Checks; foreign keys share the way.


def validated_steps(
    change: PostgresChange,
    world: World,
    after: Check | ForeignKey,
    old: Check | ForeignKey | None,
    *,
    needs: frozenset[Fact],
    phase: Phase,
    at_once: bool,
) -> list[Step]:
    """NOT VALID, then VALIDATE in a transaction of its own; with an old constraint, beside it and then swapped.

    Args:
        at_once: there are no rows to check.
    """
    gives = [has(change.address), ok(change.address)]
    if at_once:
        calls = [*([drop_statement(old)] if old else []), add_statement(after, not_valid=after.not_valid)]
        first = has(old.address) if old else no(change.address)
        calls += comments(after)
        return [change.step(world, 1, "add", calls, needs={first} | needs, gives=gives, phase=phase)]
    if old is None:
        calls = [add_statement(after, not_valid=True), *comments(after)]
        made = gives if after.not_valid else [has(change.address)]
        steps = [change.step(world, 1, "add", calls, needs={no(change.address)} | needs, gives=made, phase=phase)]
        return steps if after.not_valid else [*steps, _validate(change, world, after, after.name, phase, gives)]
    name = helper_name(after.name, "new")
    beside = replace(after, live_name=name)
    helper = Address(change.address.store, change.address.kind, (*change.address.parts[:-1], name))
    calls = [drop_statement(beside)] if helper in world.live and helper in world.target else []
    calls += [add_statement(beside, not_valid=True)]
    needs |= {no(helper)} if world.drops(helper) else set()
    steps = [
        change.step(
            world, 1, "add", calls, address=helper, needs={has(old.address)} | needs, gives=[has(helper)], phase=phase
        )
    ]
    if not after.not_valid:
        steps.append(_validate(change, world, after, name, phase, [ok(helper)], helper))
    swap = [drop_statement(old), rename_statement(after, name, after.name), *comments(after)]
    ready = has(helper) if after.not_valid else ok(helper)
    steps.append(
        change.step(
            world,
            len(steps) + 1,
            "swap",
            swap,
            needs={ready, has(old.address)},
            gives=[*gives, no(helper)],
            phase=phase,
        )
    )
    return steps


def _validate(
    change: PostgresChange,
    world: World,
    after: PostgresResource,
    name: str,
    phase: Phase,
    gives: list[Fact],
    address: Address | None = None,
) -> Step:
    return change.step(
        world,
        2,
        "validate",
        [validate_statement(after, name)],
        address=address,
        needs=[has(address or change.address)],
        gives=gives,
        phase=phase,
        hazards=[Hazard.DEPENDS_ON_DATA],
        commit_before=True,
        long=True,
    )


def check_needs(world: World, check: Check) -> frozenset[Fact]:
    """The table, what the expression refers to, and every column of the table that this plan adds or retypes."""
    from reconcile.stores.postgres.changes.common import mentions

    columns = [r for r in world.target.children(check.table) if isinstance(r, Column)]
    named = [c.address for c in columns if mentions(check.expression, c.address.parts[-1])]
    refers = [a for a in check.refers if a != check.address]
    return requires(world, [check.table, *refers, *named])


@dataclass(frozen=True)
class AddCheck(Creation):
    """ADD CONSTRAINT … CHECK … NOT VALID, then VALIDATE."""

    before: None
    after: Check

    def describe(self) -> str:
        """See `Change.describe`."""
        return self.after.expression

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        check = self.after
        new = world.creates(check.table)
        if world.drops(check.table) or (new and not check.not_valid):
            return []
        columns = [c for c in world.target.children(check.table) if c.address.kind == "column"]
        phase = narrowing(world, check, _named(check, [c.address.parts[-1] for c in columns]))
        needs = check_needs(world, check)
        at_once = new or small(world, check.table)
        return validated_steps(self, world, check, None, needs=needs, phase=phase, at_once=at_once)


def _named(check: Check, columns: Iterable[str]) -> list[str]:
    from reconcile.stores.postgres.changes.common import mentions

    return [c for c in columns if mentions(check.expression, c)]


@dataclass(frozen=True)
class ReplaceCheck(Replacement):
    """A new condition beside the old one, validated, then put in its place."""

    before: Check
    after: Check

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "added beside not valid, validated, then swapped"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        at_once = small(world, self.after.table)
        needs = check_needs(world, self.after)
        return validated_steps(self, world, self.after, self.before, needs=needs, phase=Phase.CONTRACT, at_once=at_once)


@dataclass(frozen=True)
class ValidateConstraint(Alteration):
    """VALIDATE CONSTRAINT: rows are read, reads and writes go on."""

    before: Check | ForeignKey
    after: Check | ForeignKey

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        calls = [validate_statement(self.before)]
        if self.before.comment != self.after.comment:
            calls.append(comment_statement(self.after, self.before.name))
        return [
            self.step(
                world,
                1,
                "validate",
                calls,
                needs={has(self.address)} | requires(world, [self.before.table]),
                gives=[has(self.address), ok(self.address)],
                hazards=[Hazard.DEPENDS_ON_DATA],
                commit_before=True,
                long=True,
            )
        ]


@dataclass(frozen=True)
class RenameConstraint(PostgresChange):
    """RENAME CONSTRAINT, to the declared name."""

    action: ClassVar[Action] = Action.RENAME

    before: PostgresResource
    after: PostgresResource

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "rename_enforced"

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"renamed from {self.before.name}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.step(
                world,
                1,
                "rename",
                [rename_statement(self.after, self.before.name, self.after.name)],
                needs=requires(world, [self.before.table]),
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
            )
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RenameConstraint(self.after, self.before)

    def apply_to(self, state: State) -> State:
        """Under the address it has already, without the other name."""
        there = state.get(self.after.address)
        return state.add((there or self.before).replace(address=self.after.address, live_name=None))


def only_validates(before: Check | ForeignKey, after: Check | ForeignKey) -> bool:
    """Whether all that differs is that it is not validated yet (and the comment)."""
    changed = set(differing(before, after))
    return "not_valid" in changed and changed <= {"not_valid", "comment"} and not after.not_valid


def alter_primary_key(before: Key, after: Key) -> Change | None:
    """The change of a primary key that stays."""
    return ChangeComment(before, after) if only_comment_differs(before, after) else ReplacePrimaryKey(before, after)


def alter_unique(before: Key, after: Key) -> Change | None:
    """The change of a unique constraint that stays."""
    return ChangeComment(before, after) if only_comment_differs(before, after) else ReplaceUnique(before, after)


def alter_check(before: Check, after: Check) -> Change | None:
    """The change of a check that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return ValidateConstraint(before, after) if only_validates(before, after) else ReplaceCheck(before, after)
