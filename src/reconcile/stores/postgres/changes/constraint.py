"""What keys, checks and foreign keys share: statements, phases, the NOT VALID way, dropping and renaming."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from reconcile.change import Change, Phase, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.common import (
    Alteration,
    PostgresChange,
    Removal,
    Renaming,
    comments,
    dependents_settled,
    in_new_table,
    recreated_steps,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.homes import homes
from reconcile.stores.postgres.changes.named import keys_to
from reconcile.stores.postgres.changes.preconditions import broken, preceded
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.resources import (
    Check,
    ForeignKey,
    Key,
    PostgresResource,
)
from reconcile.stores.postgres.sqltext import (
    comment_statement,
    constraint_clause,
    helper_name,
    ident,
    relation,
)


def columns_of(world: World, resource: PostgresResource, names: Iterable[str]) -> list[Address]:
    """Addresses of columns of the resource's table."""
    return homes(world, resource.table, names)


def narrowing(world: World, resource: PostgresResource, names: Iterable[str]) -> Phase:
    """A rule over columns that an application already writes may refuse what it writes: contract."""
    columns = columns_of(world, resource, names)
    return Phase.EXPAND if columns and all(world.creates(c) for c in columns) else Phase.CONTRACT


def add_statement(resource: PostgresResource, *, not_valid: bool = False) -> str:
    """ALTER TABLE … ADD CONSTRAINT … [NOT VALID]."""
    late = not_valid and not (
        isinstance(resource, Check | ForeignKey) and unchecked(replace(resource, not_valid=False))
    )
    return f"ALTER TABLE {relation(resource.address)} ADD {constraint_clause(resource)}{' NOT VALID' if late else ''}"


def unchecked(rule: Check | ForeignKey) -> bool:
    """Whether nobody looks at the rows that are there: NOT VALID, or NOT ENFORCED at all."""
    return rule.not_valid or not rule.enforced


def drop_statement(resource: PostgresResource, name: str | None = None) -> str:
    """ALTER TABLE … DROP CONSTRAINT …."""
    return f"ALTER TABLE {relation(resource.address)} DROP CONSTRAINT {ident(name or resource.name)}"


def validate_statement(resource: PostgresResource, name: str | None = None) -> str:
    """ALTER TABLE … VALIDATE CONSTRAINT …."""
    return f"ALTER TABLE {relation(resource.address)} VALIDATE CONSTRAINT {ident(name or resource.name)}"


def rename_statement(resource: PostgresResource, old: str, new: str) -> str:
    """ALTER TABLE … RENAME CONSTRAINT … TO …."""
    return f"ALTER TABLE {relation(resource.address)} RENAME CONSTRAINT {ident(old)} TO {ident(new)}"


def users_of(world: World, key: PostgresResource) -> list[ForeignKey]:
    """Live foreign keys that hang on a key: those to its table and columns."""
    return [f for f in keys_to(world, key.table) if hangs_on(f, key)] if isinstance(key, Key) else []


def hangs_on(user: ForeignKey, key: PostgresResource) -> bool:
    """Whether a foreign key refers to the table and columns of a key: a live one to its index, of several alike."""
    if not isinstance(key, Key) or user.references != key.table.parts:
        return False
    return set(user.references_columns) == set(key.columns) and user.index in (None, key.name)


def moves(world: World, user: ForeignKey) -> bool:
    """Whether a foreign key that stays as it is finds something else to hang on once its key is dropped."""
    from reconcile.stores.postgres.changes.foreign_key import referenced_key

    return world.target.get(user.address) == user and referenced_key(world, user) is not None


def users_settled(world: World, key: PostgresResource) -> frozenset[Fact]:
    """Foreign keys on a key that goes: dropped or made again, or the plan stops.

    Raises:
        PlanError: a foreign key that stays needs it.
    """
    waits, staying = set(dependents_settled(world, key.address)), []
    replaced = key.address in world.target
    for user in users_of(world, key):
        after = world.target.get(user.address)
        if after is None or replaced or comes_again(world, user) or moves(world, user):
            waits.add(no(user.address))
        elif after != user and not (isinstance(after, ForeignKey) and hangs_on(after, key)):
            waits.add(ok(user.address))
        else:
            staying.append(str(user.address))
    if staying:
        raise PlanError(
            f"{key.address} cannot be dropped: {', '.join(staying)} hangs on it",
            where=key.source,
            hint="remove the foreign key in the same plan; nothing is dropped by CASCADE",
        )
    return frozenset(waits)


class DropConstraint(Removal):
    """ALTER TABLE … DROP CONSTRAINT; refused while a foreign key needs it."""

    before: PostgresResource
    after: None

    hazards: ClassVar[tuple[Hazard, ...]] = ()

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: foreign keys that go over to another key."""
        from reconcile.stores.postgres.changes.foreign_key import RecreateForeignKey

        return [RecreateForeignKey(u, u) for u in users_of(world, self.before) if moves(world, u)]

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if in_new_table(world, self.before):
            return []
        return [
            self.drop_step(
                world,
                [drop_statement(self.before)],
                needs=users_settled(world, self.before) | requires(world, [self.before.table]),
                hazards=self.hazards,
            )
        ]


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
    rows = broken(world, after)
    name = helper_name(after.name, "new")
    beside = replace(after, live_name=name)
    helper = Address(change.address.store, change.address.kind, (*change.address.parts[:-1], name))
    left = [drop_statement(beside)] if helper in world.live and helper in world.target else []
    if at_once:
        calls = [*left, *([drop_statement(old)] if old else []), add_statement(after, not_valid=after.not_valid)]
        first = has(old.address) if old else no(change.address)
        calls += comments(after)
        return [change.step(world, 1, "add", calls, needs={first} | needs, gives=gives, phase=phase)]
    if old is None:
        calls = [*left, add_statement(after, not_valid=True), *comments(after)]
        made = gives if unchecked(after) else [has(change.address)]
        steps = [change.step(world, 1, "add", calls, needs={no(change.address)} | needs, gives=made, phase=phase)]
        steps = preceded(steps, rows)
        return steps if unchecked(after) else [*steps, _validate(change, world, after, after.name, phase, gives)]
    calls = [*left, add_statement(beside, not_valid=True)]
    needs |= {no(helper)} if world.drops(helper) else set()
    steps = [
        change.step(
            world, 1, "add", calls, address=helper, needs={has(old.address)} | needs, gives=[has(helper)], phase=phase
        )
    ]
    if not unchecked(after):
        steps.append(_validate(change, world, after, name, phase, [ok(helper)], helper))
    swap = [drop_statement(old), rename_statement(after, name, after.name), *comments(after)]
    ready = has(helper) if unchecked(after) else ok(helper)
    steps.append(
        change.step(
            world,
            len(steps) + 1,
            "swap",
            swap,
            needs={ready, has(old.address)},
            gives=[*gives, no(helper)],
            phase=phase,
            commit_before=True,
        )
    )
    return preceded(steps, rows)


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


class ValidateConstraint(Alteration):
    """VALIDATE CONSTRAINT: rows are read, reads and writes go on."""

    before: Check | ForeignKey
    after: Check | ForeignKey

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        calls = [validate_statement(self.before)]
        if self.before.comment != self.after.comment:
            calls.append(comment_statement(self.after, self.before.name))
        step = self.step(
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
        return preceded([step], broken(world, self.after))


class RenameConstraint(Renaming):
    """RENAME CONSTRAINT, to the declared name."""

    cause: ClassVar[str] = "rename_enforced"

    before: PostgresResource
    after: PostgresResource

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
