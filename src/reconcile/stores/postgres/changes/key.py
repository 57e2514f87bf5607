"""Primary keys and unique constraints: made from a unique index that was built concurrently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.builds import settings
from reconcile.stores.postgres.changes.common import (
    ChangeComment,
    Creation,
    PostgresChange,
    Replacement,
    comments,
    in_new_table,
    recreated_steps,
    requires,
    small,
)
from reconcile.stores.postgres.changes.constraint import (
    DropConstraint,
    add_statement,
    columns_of,
    drop_statement,
    narrowing,
    users_of,
    users_settled,
)
from reconcile.stores.postgres.changes.describing import only_comment_differs
from reconcile.stores.postgres.changes.homes import equal_below
from reconcile.stores.postgres.changes.index_options import key_options, reindexed
from reconcile.stores.postgres.changes.index_parts import EXCLUSIVE, slow
from reconcile.stores.postgres.changes.key_parts import steps as on_parts
from reconcile.stores.postgres.changes.part_names import naming_below
from reconcile.stores.postgres.changes.preconditions import duplicates, preceded
from reconcile.stores.postgres.changes.remaking import comes_again
from reconcile.stores.postgres.resources import (
    Column,
    Index,
    IndexItem,
    Key,
    PrimaryKey,
    Unique,
)
from reconcile.stores.postgres.sqltables import marks
from reconcile.stores.postgres.sqltext import (
    deferrable_clause,
    helper_name,
    ident,
    index_statement,
    key_word,
    relation,
)


def key_index(key: Key) -> Index:
    """The unique index a key is made from, under a helper name."""
    return Index(
        address=Address(key.address.store, "index", (key.schema, helper_name(key.name, "new"))),
        container=key.container,
        refers=(),
        unique=True,
        columns=tuple(IndexItem(column=c) for c in key.columns),
        include=key.include,
        with_=key.with_,
        nulls_not_distinct=isinstance(key, Unique) and key.nulls_not_distinct,
    )


def build_helper(change: PostgresChange, world: World, index: Index, needs: Iterable[Fact], phase: Phase) -> list[Step]:
    """Build a helper index concurrently, unless an earlier plan left it ready; a broken or strange one goes first."""
    built = helper_built(world, change.address, index)
    if built is None:
        return []
    steps, absent = [], no(index.address)
    if broken(world, index):
        return [rebuild_step(change, world, index, 1, phase, needs=needs, gives=[built])]
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
            build=settings(world.settings, index),
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
    cleared = there is not None and not going and not broken(world, index)
    return done(f"{address}/{2 if cleared else 1}-build")


def broken(world: World, index: Index) -> bool:
    """Whether it is there, and not valid: a build that was broken off, or goes on without its client."""
    there = world.live.get(index.address)
    if not isinstance(there, Index) or there.valid or world.drops(index.address):
        return False
    return there.replace(valid=True) == index


def rebuild_step(
    change: PostgresChange,
    world: World,
    index: Index,
    number: int,
    phase: Phase,
    *,
    needs: Iterable[Fact],
    gives: Iterable[Fact] = (),
) -> Step:
    """Build again what is not valid; the session waits for whoever still builds it, and takes what comes of that."""
    return change.concurrent_step(
        number,
        "build",
        [f"REINDEX INDEX CONCURRENTLY {relation(index.address)}"],
        address=index.address,
        needs={has(index.address), *needs},
        gives=[has(index.address), ok(index.address), *gives],
        debris=[reindexed(index)],
        phase=phase,
        hazards=[Hazard.BUILDS_INDEX, Hazard.NEEDS_SPACE, *([Hazard.DEPENDS_ON_DATA] if index.unique else [])],
        build=settings(world.settings, index),
    )


def key_steps(change: PostgresChange, world: World, key: Key, old: Key | None) -> list[Step]:
    """From a concurrently built unique index; with an old key, swapped for it in the same transaction."""
    if old is None and in_new_table(world, key):
        return []
    names = (*key.columns, *key.include)
    needs = requires(world, [key.table, *columns_of(world, key, names)])
    not_null = _not_null_first(world, key) | _other_gone(world, key) if isinstance(key, PrimaryKey) else frozenset()
    phase = Phase.CONTRACT if old else narrowing(world, key, key.columns)
    gives = [has(key.address), ok(key.address)]
    drop = [drop_statement(old)] if old else []
    needs_old: frozenset[Fact] = frozenset({has(old.address)}) if old else frozenset({no(key.address)})
    if old:
        needs_old |= users_settled(world, old)
    hazards = [Hazard.DEPENDS_ON_DATA, *([Hazard.BREAKS_CLIENTS] if old else [])]
    marked = marks(world.target.get(key.table), key.name) if old else []
    if small(world, key.table):
        calls = [*drop, add_statement(key), *comments(key), *naming_below(world, key), *marked]
        needs |= needs_old | not_null | equal_below(world, key)
        return [change.step(world, 1, "add", calls, needs=needs, gives=gives, phase=phase, hazards=hazards)]
    index = key_index(key)
    if slow(world, key.table):
        found = on_parts(
            change,
            world,
            key,
            index,
            first=drop,
            last=[*comments(key), *marked],
            needs=needs,
            final=needs_old | not_null,
            phase=phase,
            hazards=[*EXCLUSIVE, *([Hazard.BREAKS_CLIENTS] if old else [])],
        )
        return preceded(found, duplicates(world, key))
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
            [*drop, using, *comments(key), *marked],
            needs={ok(index.address)} | needs_old | not_null | requires(world, [key.table]),
            gives=[*gives, no(index.address)],
            phase=phase,
            hazards=[Hazard.BREAKS_CLIENTS] if old else [],
        )
    )
    return preceded(steps, duplicates(world, key))


def _not_null_first(world: World, key: Key) -> frozenset[Fact]:
    """A primary key sets its columns NOT NULL with a scan under an exclusive lock, unless they are already."""
    altered = (c for c in columns_of(world, key, key.columns) if c in world.live and c in world.target)
    return frozenset(ok(c) for c in altered if _hardens(world, c))


def _other_gone(world: World, key: Key) -> frozenset[Fact]:
    """A table has one primary key: that of another name goes first."""
    there = (k for k in world.live.children(key.table) if isinstance(k, PrimaryKey))
    return frozenset(no(k.address) for k in there if k.address != key.address)


def _hardens(world: World, column: Address) -> bool:
    before, after = world.live[column], world.target[column]
    return isinstance(before, Column) and isinstance(after, Column) and after.not_null and not before.not_null


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
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        return key_steps(self, world, self.after, self.before)


class ReplacePrimaryKey(ReplaceKey):
    """A primary key over other columns."""


class ReplaceUnique(ReplaceKey):
    """A unique constraint over other columns or with other options."""


class DropPrimaryKey(DropConstraint):
    """Its columns stay NOT NULL."""

    hazards = (Hazard.BREAKS_CLIENTS,)


class DropUnique(DropConstraint):
    """INSERT … ON CONFLICT that names its columns fails afterwards."""

    hazards = (Hazard.BREAKS_CLIENTS,)


def alter_primary_key(before: Key, after: Key) -> Change | None:
    """The change of a primary key that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return key_options(before, after) or ReplacePrimaryKey(before, after)


def alter_unique(before: Key, after: Key) -> Change | None:
    """The change of a unique constraint that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return key_options(before, after) or ReplaceUnique(before, after)
