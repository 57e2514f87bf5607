"""Foreign keys: always statements of their own (tables may refer to each other), compared by parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource
from reconcile.stores.postgres.builds import BUILD_LIMIT
from reconcile.stores.postgres.changes import index_parts, key_parts
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    Replacement,
    comments,
    goes_first,
    requires,
    small,
)
from reconcile.stores.postgres.changes.constraint import (
    ValidateConstraint,
    add_statement,
    columns_of,
    drop_statement,
    hangs_on,
    narrowing,
    only_validates,
    unchecked,
    validate_statement,
    validated_steps,
)
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.homes import homes, keys_in, taken_over
from reconcile.stores.postgres.changes.index import beside, carried, hanging_on, plainly
from reconcile.stores.postgres.changes.index_parts import slow
from reconcile.stores.postgres.changes.key import helper_built, key_index
from reconcile.stores.postgres.changes.preconditions import broken, preceded
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.changes.table import dropped_apart, persistence_changes
from reconcile.stores.postgres.resources import ForeignKey, Index, Key, compared
from reconcile.stores.postgres.sqltext import comment_statement, deferrable_clause, ident, relation


def target(key: ForeignKey) -> Address:
    """The table it refers to."""
    return Address(key.address.store, "table", key.references)


def referenced_key(world: World, key: ForeignKey) -> Resource | None:
    """The primary key, unique constraint or unique index in the target that it hangs on."""
    wanted = set(key.references_columns)
    for resource in keys_in(world.target, target(key)):
        if isinstance(resource, Key) and (
            set(resource.columns) == wanted or (not wanted and resource.address.kind == "primary_key")
        ):
            return resource
        if isinstance(resource, Index) and resource.unique and {i.column for i in resource.columns} == wanted:
            return resource
    return None


def _needs(world: World, key: ForeignKey) -> frozenset[Fact]:
    table = target(key)
    there = homes(world, table, key.references_columns)
    there = [c for c in there if c in world.live or c in world.target]
    there_is = referenced_key(world, key)
    needs = requires(world, [key.table, table, *columns_of(world, key, key.columns), *there])
    needs |= {no(r.address) if world.drops(r.address) else ok(r.address) for r in _going(world, key)}
    if there_is is not None and world.live.get(there_is.address) != there_is:
        needs |= {ok(there_is.address)}
    return needs | {ok(a) for a in (key.table, table) if persistence_changes(world, a)}


def _going(world: World, key: ForeignKey) -> list[Resource]:
    """Keys and indexes over what it refers to that go or get other columns: added before, it would hang on them."""
    columns = set(key.references_columns)
    there = [r for r in world.live.children(target(key)) if _covers(r) == columns]
    return [r for r in there if _covers(world.target.get(r.address)) != columns]


def _covers(rule: Resource | None) -> set[str | None]:
    return {*rule.columns} if isinstance(rule, Key) else carried(rule)


class AddForeignKey(Creation):
    """ADD CONSTRAINT … FOREIGN KEY … NOT VALID, then VALIDATE; at once where the table is new or empty."""

    before: None
    after: ForeignKey

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_foreign_key(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        key = self.after
        if taken_over(world, key):
            return []
        phase = Phase.EXPAND if world.creates(key.table) else narrowing(world, key, key.columns)
        needs, at_once = _needs(world, key), small(world, key.table) or only_at_once(world, key)
        found = validated_steps(self, world, key, None, needs=needs, phase=phase, at_once=at_once)
        return _at_once(world, key, found)


def only_at_once(world: World, key: ForeignKey) -> bool:
    """Whether its rows have to be looked at under its lock: NOT VALID on partitioned tables came with PostgreSQL 18."""
    return world.server.numbers < (18,) and slow(world, key.table)


def _at_once(world: World, key: ForeignKey, found: Sequence[Step]) -> list[Step]:
    """With what it means to look at rows in the step that adds the key."""
    if not only_at_once(world, key):
        return list(found)
    hazards = {Hazard.BLOCKS_WRITES, Hazard.DEPENDS_ON_DATA}
    long = [replace(s, hazards=s.hazards | hazards, timeouts=replace(s.timeouts, statement=BUILD_LIMIT)) for s in found]
    return preceded(long, broken(world, key))


def describe_foreign_key(key: ForeignKey) -> str:
    """`(owner_id) → public.users (id) on delete cascade`."""
    text = f"({', '.join(key.columns)}) → {'.'.join(key.references)}"
    text += f" ({', '.join(key.references_columns)})" if key.references_columns else ""
    text += f" on delete {key.on_delete.replace('_', ' ')}" if key.on_delete != "no_action" else ""
    return text + (f" on update {key.on_update.replace('_', ' ')}" if key.on_update != "no_action" else "")


class ReplaceForeignKey(Replacement):
    """A new one beside the old one, validated, then put in its place."""

    before: ForeignKey
    after: ForeignKey

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "added beside not valid, validated, then swapped"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        key = self.after
        if _swapped_key(world, self.before) is not None or comes_again(world, self.before):
            return RecreateForeignKey(self.before, key).steps(world)
        needs, at_once = _needs(world, key), small(world, key.table) or only_at_once(world, key)
        found = validated_steps(self, world, key, self.before, needs=needs, phase=Phase.CONTRACT, at_once=at_once)
        return _at_once(world, key, found)


def _swapped_key(world: World, key: ForeignKey) -> Key | Index | None:
    """What replaces what it hangs on, which cannot be swapped while anything hangs on it; None where it stays."""
    for resource in world.live.children(target(key)):
        after = world.target.get(resource.address)
        if isinstance(resource, Key) and isinstance(after, Key) and hangs_on(key, resource):
            if compared(resource.replace(with_=())) != compared(after.replace(with_=())):
                return after
        elif isinstance(resource, Index) and isinstance(after, Index):
            changed = plainly(resource) != plainly(after)
            if changed and key.address in {k.address for k in hanging_on(world, resource)}:
                return after
    return None


class RecreateForeignKey(Replacement):
    """Dropped before the key it hangs on is swapped, and added again after; a companion where it stays equal."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: ForeignKey
    after: ForeignKey

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        key, gives = self.after, [has(self.address), ok(self.address)]
        valid = small(world, key.table) or unchecked(key) or only_at_once(world, key)
        other = _swapped_key(world, self.before)
        built = None
        if other is not None and not small(world, other.table) and not comes_again(world, world.live[other.address]):
            helper = key_index(other) if isinstance(other, Key) else beside(other)
            built = _built(world, other, helper)  # not missing while the new index is being built
        drop = self.drop_step(world, [drop_statement(self.before)], needs=({built} if built else set()))
        calls = [add_statement(key, not_valid=key.not_valid or not valid), *comments(key)]
        needs = {no(self.address)} | _needs(world, key)
        add = self.step(world, 2, "add", calls, needs=needs, gives=gives if valid else gives[:1], phase=Phase.CONTRACT)
        if valid:
            return [drop, *_at_once(world, key, [add])]
        validate = self.step(
            world,
            3,
            "validate",
            [validate_statement(key)],
            needs=[has(self.address)],
            gives=[ok(self.address)],
            phase=Phase.CONTRACT,
            hazards=[Hazard.DEPENDS_ON_DATA],
            commit_before=True,
            long=True,
        )
        return preceded([drop, add, validate], broken(world, key) if self.before != key else ())

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateForeignKey(self.after, self.before)


def _built(world: World, rule: Key | Index, helper: Index) -> Fact | None:
    if not slow(world, rule.table):
        return helper_built(world, rule.address, helper)
    if isinstance(rule, Key):
        return key_parts.built(world, rule.address, rule, helper)
    return index_parts.built(world, rule.address, helper)


class AlterForeignKey(Alteration):
    """ALTER CONSTRAINT: when it is checked, or that it no longer is; no row is looked at."""

    before: ForeignKey
    after: ForeignKey

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        before, after = self.before, self.after
        if _swapped_key(world, before) is not None or comes_again(world, before):
            return RecreateForeignKey(before, after).steps(world)
        alter = f"ALTER TABLE {relation(before.address)} ALTER CONSTRAINT {ident(before.name)}"
        calls = []
        if before.deferrable != after.deferrable:
            calls.append(f"{alter}{deferrable_clause(after.deferrable) or ' NOT DEFERRABLE'}")
        if before.enforced != after.enforced:
            calls.append(f"{alter} NOT ENFORCED")
        if before.comment != after.comment:
            calls.append(comment_statement(after, before.name))
        return [
            self.step(
                world,
                1,
                "alter",
                calls,
                needs={has(self.address)} | requires(world, [before.table]),
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS] if before.deferrable and not after.deferrable else [],
            )
        ]


def _in_place(before: ForeignKey, after: ForeignKey) -> bool:
    """Whether ALTER CONSTRAINT does; to be enforced again, it is made beside, so that rows are read without a lock."""
    if not set(differing(before, after)) <= {"deferrable", "enforced", "comment"}:
        return False
    return before.enforced or not after.enforced


class DropForeignKey(Removal):
    """DROP CONSTRAINT; on its own even where both tables go, since they may refer to each other."""

    before: ForeignKey
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_foreign_key(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        key = self.before
        if taken_over(world, key) or (world.drops(key.table) and not dropped_apart(world, key)):
            return []
        return [
            self.drop_step(world, [drop_statement(key)], needs=goes_first(world, [key.table, target(key), *key.refers]))
        ]


def alter(before: ForeignKey, after: ForeignKey) -> Change | None:
    """The change of a foreign key that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    if _in_place(before, after):
        return AlterForeignKey(before, after)
    return ValidateConstraint(before, after) if only_validates(before, after) else ReplaceForeignKey(before, after)
