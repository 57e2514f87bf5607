"""Indexes that stay: rebuilt for other options or because they are not usable, renamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from reconcile.change import Action, Change, Irreversible, Phase, Sql, Step, World
from reconcile.facts import has, ok
from reconcile.model import State
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Renaming,
    comments,
    recreated_steps,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.index import IndexBuild, ReplaceIndex, plainly
from reconcile.stores.postgres.changes.index_options import AlterIndex, needs_rebuild, rebuild_steps
from reconcile.stores.postgres.changes.index_parts import slow
from reconcile.stores.postgres.changes.index_parts import steps as on_parts
from reconcile.stores.postgres.changes.part_names import naming_below
from reconcile.stores.postgres.changes.preconditions import duplicates, preceded
from reconcile.stores.postgres.changes.remaking import comes_again, inside_remade
from reconcile.stores.postgres.resources import Index
from reconcile.stores.postgres.sqltext import comment_statement, ident, index_statement, object_name


class RebuildIndex(IndexBuild, Alteration):
    """Options set, then REINDEX INDEX CONCURRENTLY; also for an index left invalid by a broken build."""

    action: ClassVar[Action] = Action.REBUILD

    before: Index
    after: Index

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "rebuild_for_options" if self.before.with_ != self.after.with_ else "rebuild_because_invalid"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        left, right = dict(self.before.with_), dict(self.after.with_)
        changed = [("with", key) for key in {**left, **right} if left.get(key) != right.get(key)]
        return tuple(changed) or (("valid",),)

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        set_ = "options set, then " if self.before.with_ != self.after.with_ else ""
        return f"{set_}reindexed concurrently"

    def describe(self) -> str:
        """See `Change.describe`."""
        text = super().describe()
        return text if self.before.valid else ", ".join(filter(None, ["not valid, built again", _without_valid(text)]))

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if inside_remade(world, self.before):
            return []
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        return rebuild_steps(self, world, self.before, self.after)

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        if not self.before.valid:
            return Irreversible("the index was not usable before; nobody wants that back")
        return RebuildIndex(self.after, self.before)


class CompleteIndex(IndexBuild, Alteration):
    """An index of a partitioned table that some partitions lack: built there concurrently and attached."""

    action: ClassVar[Action] = Action.REBUILD

    before: Index
    after: Index

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "rebuild_because_invalid"

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "built concurrently on the partitions that lack it, then attached"

    def describe(self) -> str:
        """See `Change.describe`."""
        return "not valid: not on all partitions"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if inside_remade(world, self.before):
            return []
        if comes_again(world, self.before):
            return recreated_steps(world, self.before, self.after)
        needs = requires(world, [self.before.table])
        if not slow(world, self.before.table):
            calls = [f"DROP INDEX {object_name(self.before)}", index_statement(self.after, concurrently=False)]
            gives = [has(self.address), ok(self.address)]
            calls += [*comments(self.after), *naming_below(world, self.after)]
            return [self.step(world, 1, "create", calls, needs={has(self.address)} | needs, gives=gives)]
        index = self.after.replace(live_name=self.before.live_name)
        found = on_parts(self, world, index, needs=needs, phase=Phase.EXPAND, there=self.before)
        if self.before.comment != self.after.comment and found:
            comment = Sql(comment_statement(self.after, self.before.name))
            found[-1] = replace(found[-1], calls=(*found[-1].calls, comment))
        return preceded(found, duplicates(world, self.after) if self.after.unique else ())

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return Irreversible("the index was not usable before; nobody wants that back")


def _without_valid(text: str) -> str:
    return ", ".join(p for p in text.split(", ") if not p.startswith("valid "))


class RenameIndex(Renaming):
    """ALTER INDEX … RENAME TO, to the declared name."""

    cause: ClassVar[str] = "rename_enforced"

    before: Index
    after: Index

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if inside_remade(world, self.before):
            return []
        return [
            self.step(
                world,
                1,
                "rename",
                [f"ALTER INDEX {object_name(self.before)} RENAME TO {ident(self.after.name)}"],
                needs=requires(world, [self.before.table]),
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
            )
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RenameIndex(self.after, self.before)

    def apply_to(self, state: State) -> State:
        """Under the address it has already, without the other name."""
        there = state.get(self.after.address)
        return state.add((there or self.before).replace(address=self.after.address, live_name=None))


def alter(before: Index, after: Index) -> Change | None:
    """The change of an index that stays."""
    if before.container != after.container:
        return ReplaceIndex(before, after)  # of the same name and definition, on another table
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    if before.partitioned and set(differing(before, after)) <= {"valid", "comment"}:
        return CompleteIndex(before, after)
    if before.partitioned:
        return ReplaceIndex(before, after)  # options of a partitioned index cannot be set
    if plainly(before) == plainly(after):
        if not before.valid:
            return RebuildIndex(before, after)
        if not needs_rebuild(before.with_, after.with_):
            return AlterIndex(before, after)
        if after.rebuild == "in_place":
            return RebuildIndex(before, after)
    return ReplaceIndex(before, after)
