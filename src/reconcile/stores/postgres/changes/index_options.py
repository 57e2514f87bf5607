"""Storage parameters of indexes, those of keys included: some hold from then on, others once it is built again.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-STORAGE-PARAMETERS
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Step, World
from reconcile.facts import done, has, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.builds import settings
from reconcile.stores.postgres.changes.common import (
    Alteration,
    PostgresChange,
    comments_differ,
    recreated_steps,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.remaking import comes_again, inside_remade
from reconcile.stores.postgres.resources import Exclusion, Index, Key, Pairs, PostgresResource
from reconcile.stores.postgres.sqltables import column_statistics_calls
from reconcile.stores.postgres.sqltext import ident, options, relation

AT_ONCE = frozenset({"autosummarize", "buffering", "deduplicate_items", "fastupdate", "gin_pending_list_limit"})
"""Parameters of what is done from then on, or of how an index is built, not of what is in it: no rebuild."""
BUILD = (Hazard.BUILDS_INDEX, Hazard.NEEDS_SPACE)

Indexed = Index | Key | Exclusion
"""What has storage parameters of an index."""


def needs_rebuild(before: Pairs, after: Pairs) -> bool:
    """Whether any option that differs shows in what is in the index: fillfactor, HNSW m, pages_per_range."""
    left, right = dict(before), dict(after)
    return any(left.get(k) != right.get(k) and k not in AT_ONCE for k in {**left, **right})


def index_name(resource: PostgresResource) -> str:
    """The quoted name of an index, or of the index of a constraint: in the schema of its table."""
    return ident(resource.schema, resource.name)


def set_calls(before: Indexed, after: Indexed) -> list[str]:
    """Options, statistics targets and comment, where they differ."""
    name = index_name(before)
    left = dict(before.with_)
    gone = [k for k in left if k not in dict(after.with_)]
    differ = any(left.get(k) != v for k, v in after.with_)
    calls = [f"ALTER INDEX {name} SET ({options(after.with_)})"] if differ else []  # all: they are checked together
    calls += [f"ALTER INDEX {name} RESET ({', '.join(gone)})"] if gone else []
    if isinstance(before, Index) and isinstance(after, Index):
        calls += column_statistics_calls(name, before.columns, after.columns)
    return [*calls, *comments_differ(before, after)]


def reindexed(before: Indexed) -> Address:
    """What REINDEX CONCURRENTLY builds beside, until that takes the name."""
    return Address(before.address.store, "index", (before.schema, f"{before.name[:57]}_ccnew"))


def rebuild_steps(change: PostgresChange, world: World, before: Indexed, after: Indexed) -> list[Step]:
    """What can be set, then REINDEX INDEX CONCURRENTLY; journalled: the catalog does not show whether it was done."""
    name, address, first = index_name(before), change.address, set_calls(before, after)
    needs = {has(address)} | requires(world, [before.table])
    done_set, done_build = done(f"{address}/1-set"), done(f"{address}/2-reindex")
    gives = [has(address), ok(address), done_build]
    if world.empty(before.table):
        return [
            change.step(
                world, 2, "reindex", [*first, f"REINDEX INDEX {name}"], needs=needs, gives=gives, journalled=True
            )
        ]
    steps = []
    if first:
        steps.append(change.step(world, 1, "set", first, needs=needs, gives=[done_set], journalled=True))
    steps.append(
        change.concurrent_step(
            2,
            "reindex",
            [f"REINDEX INDEX CONCURRENTLY {name}", f"ANALYZE {relation(before.table)}"],
            needs=needs | ({done_set} if first else set()),
            gives=gives,
            debris=[reindexed(before)],
            hazards=BUILD,
            journalled=True,
            build=settings(world.settings, after if isinstance(after, Index) else None),
        )
    )
    return steps


class AlterIndex(Alteration):
    """Options that hold from then on, statistics targets of expressions, comment: nothing is built."""

    before: Index
    after: Index

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return _set_steps(self, world, self.before, self.after)


class AlterKeyOptions(Alteration):
    """Storage parameters of the index of a key or exclusion constraint that hold from then on."""

    before: Key | Exclusion
    after: Key | Exclusion

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return _set_steps(self, world, self.before, self.after)


class RebuildKey(Alteration):
    """Storage parameters of the index of a key: set, then the index is built again beside its users."""

    action: ClassVar[Action] = Action.REBUILD

    before: Key
    after: Key

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "rebuild_for_options"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        left, right = dict(self.before.with_), dict(self.after.with_)
        return tuple(("with", key) for key in {**left, **right} if left.get(key) != right.get(key))

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "options set, then reindexed concurrently"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        return rebuild_steps(self, world, self.before, self.after)

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RebuildKey(self.after, self.before)


def _set_steps(change: PostgresChange, world: World, before: Indexed, after: Indexed) -> Sequence[Step]:
    if inside_remade(world, before):
        return []
    if comes_again(world, before):
        return recreated_steps(world, before, after)
    needs = {has(change.address)} | requires(world, [before.table])
    return [change.step(world, 1, "set", set_calls(before, after), needs=needs, gives=[ok(change.address)])]


def key_options(before: Key | Exclusion, after: Key | Exclusion) -> Change | None:
    """The change where options and comment are all that differs; else None.

    The index of an exclusion constraint cannot be built again concurrently: other options than those that hold from
    then on come with another constraint.
    """
    changed: Iterable[str] = set(differing(before, after))
    if not set(changed) <= {"with", "comment", "index_comment"}:
        return None
    if not needs_rebuild(before.with_, after.with_):
        return AlterKeyOptions(before, after)
    return RebuildKey(before, after) if isinstance(before, Key) and isinstance(after, Key) else None
