"""Materialized views: another query is built beside and swapped in, so that the old one is read until then.

Nothing here ever refreshes one: its rows are as old as the last REFRESH, which is the application's business.
https://www.postgresql.org/docs/current/sql-creatematerializedview.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import Alteration, ChangeComment, Creation, Replacement, comments
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.remaking import readers_of, reads, remade, uprooted
from reconcile.stores.postgres.changes.view import (
    IN_PLACE,
    DropView,
    RecreateView,
    describe_view,
    drop_needs,
    filled,
    indexes_of,
    made_needs,
    query_text,
)
from reconcile.stores.postgres.resources import Index, MaterializedView
from reconcile.stores.postgres.sqlaccess import keep_access, restore_access
from reconcile.stores.postgres.sqltext import helper_name, ident, index_statement, relation
from reconcile.stores.postgres.sqlviews import comment_statements, drop_statement, option_statements, view_statement


class CreateMaterializedView(Creation):
    """CREATE MATERIALIZED VIEW, filled unless it is declared otherwise. Its indexes follow on their own."""

    before: None
    after: MaterializedView

    def describe(self) -> str:
        """See `Change.describe`."""
        return query_text(self.after) + ("" if self.after.populated else " (with no data)")

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        view = self.after
        return [
            self.step(
                world,
                1,
                "create",
                [view_statement(view, filled=view.populated), *comment_statements(view)],
                needs={no(self.address)} | made_needs(world, view),
                gives=[has(self.address), ok(self.address)],
                hazards=[Hazard.LONG_RUNNING] if view.populated else [],
                long=view.populated,
            )
        ]


class DropMaterializedView(DropView):
    """DROP MATERIALIZED VIEW with its indexes; refused while a view that stays reads it."""

    before: MaterializedView
    after: None


class AlterMaterializedView(Alteration):
    """Storage parameters and comments, in place."""

    before: MaterializedView
    after: MaterializedView

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return RecreateView(self.before, self.after).steps(world)
        calls = [*option_statements(self.before, self.after), *comment_statements(self.after, self.before)]
        return [self.step(world, 1, "alter", calls, needs={has(self.address)}, gives=[ok(self.address)])]


class ReplaceMaterializedView(Replacement):
    """Built beside under a helper name with its indexes; in contract, the old one dropped and the name taken over.

    What reads it is dropped and made again in the transaction of the swap. Where something it reads has to change
    first, nothing can be built beside: then it is dropped before that and made again after.
    """

    before: MaterializedView
    after: MaterializedView

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_view(self.before, self.after)

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        return tuple((key,) for key in differing(self.before, self.after) if key not in IN_PLACE)

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "built beside with its indexes, then swapped, unless what it reads has to change first"

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        from reconcile.stores.postgres.changes.again import around

        return around(world, [self.address])

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before, self.after
        if not _beside(world, old, new):
            return RecreateView(old, new).steps(world)
        helper = Address(self.address.store, "materialized_view", (new.schema, helper_name(new.name, "new")))
        indexes = indexes_of(world.target, new)
        gone = [no(i.address) for i in indexes_of(world.live, old)]
        there = helper in world.live and not world.drops(helper)
        names = [(helper_name(i.name, "new"), i) for i in indexes]
        with_data = filled(old, new)
        build = [
            *([f"DROP MATERIALIZED VIEW {relation(helper)}"] if there else []),
            view_statement(new, name=helper.parts[1], filled=with_data),
            *(_index_beside(i, helper, name) for name, i in names),
        ]
        rename = f"ALTER MATERIALIZED VIEW {relation(helper)} RENAME TO {ident(new.name)}"
        take_over = [f"ALTER INDEX {ident(new.schema, name)} RENAME TO {ident(i.name)}" for name, i in names]
        above = {no(x.address) for x in readers_of(world, self.address)}
        breaks = [] if new.columns[: len(old.columns)] == old.columns else [Hazard.BREAKS_CLIENTS]
        return [
            self.step(
                world,
                1,
                "build",
                build,
                address=helper,
                needs={has(helper) if there else no(helper)} | made_needs(world, new, beside=True),
                gives=[has(helper), ok(helper)],
                hazards=[Hazard.LONG_RUNNING, Hazard.NEEDS_SPACE] if with_data else [],
                long=with_data,
            ),
            self.step(
                world,
                2,
                "drop",
                [keep_access(old), drop_statement(old)],
                needs={has(self.address), ok(helper)} | above | drop_needs(world, old),
                gives=[no(self.address), *gone],
                phase=Phase.CONTRACT,
                hazards=breaks,
            ),
            self.step(
                world,
                3,
                "swap",
                [
                    rename,
                    *take_over,
                    *comment_statements(new),
                    *(c for i in indexes for c in comments(i)),
                    restore_access(new),
                ],
                needs={no(self.address), ok(helper)},
                gives=[fact(a) for a in (self.address, *(i.address for i in indexes)) for fact in (has, ok)]
                + [no(helper)],
                phase=Phase.CONTRACT,
            ),
        ]


def _index_beside(index: Index, helper: Address, name: str) -> str:
    return index_statement(replace(index, container=helper), concurrently=False, name=name)


def _beside(world: World, old: MaterializedView, new: MaterializedView) -> bool:
    """Whether the new one can be built while the old one is there: nothing either reads goes or is made again."""
    if uprooted(world, old) or uprooted(world, new):
        return False
    tables = [a for a in (*old.refers, *new.refers) if a.kind == "table"]
    parts = [r.address for table in tables for r in world.live.children(table) if r.address.kind == "column"]
    return not any(world.drops(a) for a in (*reads(world, old), *parts))


def alter(before: MaterializedView, after: MaterializedView) -> Change | None:
    """The change of a materialized view that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return (AlterMaterializedView if before.query == after.query else ReplaceMaterializedView)(before, after)
