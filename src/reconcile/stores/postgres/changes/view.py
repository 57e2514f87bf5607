"""Views: replaced in place where columns are only appended, else dropped and made again with what reads them.

Materialized ones come here where they are dropped, or made again around something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    comments,
    dependents_settled,
    goes_first,
    in_schema,
    requires,
)
from reconcile.stores.postgres.changes.describing import differing, only_comment_differs
from reconcile.stores.postgres.changes.remaking import readers_of, reads, remade, retyped
from reconcile.stores.postgres.changes.standing import can_replace
from reconcile.stores.postgres.resources import AnyView, Index, MaterializedView, View
from reconcile.stores.postgres.sqlaccess import keep_access, restore_access
from reconcile.stores.postgres.sqltext import index_statement
from reconcile.stores.postgres.sqlviews import (
    comment_statements,
    default_statements,
    drop_statement,
    option_statements,
    view_statement,
)


def made_needs(world: World, view: AnyView, *, beside: bool = False) -> frozenset[Fact]:
    """What making it waits for; `beside`: while the old one is still there."""
    refers = (a for a in view.refers if a != view.address)
    return in_schema(world, view) | requires(world, refers) | _columns_first(world, view, beside)


def _columns_first(world: World, view: AnyView, beside: bool) -> frozenset[Fact]:
    """New columns of the tables it reads, and the end of those that go: `select *` takes what is there."""
    found: set[Fact] = set()
    for table in view.refers:
        if table.kind == "table" and not world.creates(table):
            moving, gone = world.once("columns that move", table, partial(_moving, world, table))
            found |= moving
            if (remade(world, view.address) and not beside) or world.creates(view.address):
                found |= gone
    return frozenset(found)


def _moving(world: World, table: Address) -> tuple[frozenset[Fact], frozenset[Fact]]:
    """Columns that are new or get another type; columns that go."""
    columns = [r.address for s in (world.target, world.live) for r in s.children(table) if r.address.kind == "column"]
    new = {has(c) for c in columns if world.creates(c)}
    new |= {ok(c) for c in columns if c in world.target and retyped(world, c)}
    return frozenset(new), frozenset(no(c) for c in columns if world.drops(c))


def drop_needs(world: World, view: AnyView) -> frozenset[Fact]:
    """What it reads is still there when it goes."""
    schema = Address(view.address.store, "schema", (view.schema,))
    return goes_first(world, [*reads(world, view), schema])


class CreateView(Creation):
    """CREATE VIEW."""

    before: None
    after: View

    def describe(self) -> str:
        """See `Change.describe`."""
        return query_text(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.step(
                world,
                1,
                "create",
                created(world, self.after),
                needs={no(self.address)} | made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
            )
        ]


def query_text(view: AnyView) -> str:
    """The query on one line, cut."""
    text = " ".join(view.query.split())
    return text if len(text) <= 60 else text[:59] + "…"


def created(world: World, view: AnyView, *, filled: bool = True) -> list[str]:
    """The statements that make a view with all that hangs on it but grants; of a materialized one also its indexes."""
    calls = [view_statement(view, filled=filled)]
    if isinstance(view, View):
        calls += default_statements(view)
    calls += [
        sql for i in indexes_of(world.target, view) for sql in (index_statement(i, concurrently=False), *comments(i))
    ]
    return calls + comment_statements(view)


def indexes_of(state: State, view: AnyView) -> list[Index]:
    """Those of a materialized view; a view has none."""
    return [r for r in state.children(view.address) if isinstance(r, Index)]


class DropView(Removal):
    """DROP VIEW; refused while another view that stays reads it."""

    before: AnyView
    after: None

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`: what reads it, where something of another kind takes its name."""
        from reconcile.stores.postgres.changes.again import around_succeeded

        return around_succeeded(world, self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        inside = [self.address, *(i.address for i in indexes_of(world.live, self.before))]
        needs = {has(self.address)} | dependents_settled(world, self.address) | drop_needs(world, self.before)
        return [
            self.step(
                world,
                1,
                "drop",
                [drop_statement(self.before)],
                needs=needs,
                gives=[no(a) for a in inside],
                phase=Phase.CONTRACT,
                hazards=[] if self.before.leftover_of else [Hazard.BREAKS_CLIENTS],
            )
        ]


class ReplaceView(Alteration):
    """CREATE OR REPLACE VIEW: what reads it goes on. Made again where something around it makes that necessary."""

    before: View
    after: View

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_view(self.before, self.after)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        return RecreateView(self.before, self.after).companions(world) if remade(world, self.address) else []

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return RecreateView(self.before, self.after).steps(world)
        changed = set(differing(self.before, self.after))
        if changed & {"query", "check_option"}:
            calls = [view_statement(self.after, replace=True)]
        else:
            calls = option_statements(self.before, self.after)
        calls += default_statements(self.after, self.before)
        calls += comment_statements(self.after, self.before)
        needs = {has(self.address)} | made_needs(world, self.after)
        return [self.step(world, 1, "replace", calls, needs=needs, gives=[has(self.address), ok(self.address)])]


class RecreateView(Alteration):
    """Dropped, then created with its owner and grants; a companion where the view itself stays equal.

    A materialized one comes with its indexes, and is filled if it was.
    """

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: AnyView
    after: AnyView

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_view(self.before, self.after)

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return None if self.before == self.after else "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """See `Change.replace_paths`."""
        return tuple((key,) for key in differing(self.before, self.after) if key not in IN_PLACE)

    def companions(self, world: World) -> Iterable[Change]:
        """See `Change.companions`."""
        from reconcile.stores.postgres.changes.again import above

        return above(world, self)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        old, new = self.before, self.after
        above = {no(x.address) for x in readers_of(world, self.address)}
        breaks = [] if old == new or not old.columns else [Hazard.BREAKS_CLIENTS]
        heavy = isinstance(new, MaterializedView) and isinstance(old, MaterializedView) and filled(old, new)
        made = [self.address, *(i.address for i in indexes_of(world.target, new))]
        rules = list(old.rules) if isinstance(old, View) else []
        return [
            self.step(
                world,
                1,
                "drop",
                [keep_access(old), drop_statement(old)],
                needs={has(self.address)} | above | drop_needs(world, old),
                gives=[no(self.address), *(no(i.address) for i in indexes_of(world.live, old))],
                phase=Phase.CONTRACT,
                hazards=[*breaks, *([Hazard.BLOCKS_READS] if heavy else [])],
            ),
            self.step(
                world,
                2,
                "create",
                [*created(world, new, filled=heavy), *rules, restore_access(new)],
                needs={no(self.address)} | made_needs(world, new),
                gives=[fact(a) for a in made for fact in (has, ok)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.LONG_RUNNING] if heavy else [],
                long=heavy,
            ),
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateView(self.after, self.before)


IN_PLACE = frozenset({"comment", "column_comments", "column_defaults", "with"})
"""Attributes that never make a view be dropped and created."""


def filled(before: MaterializedView, after: MaterializedView) -> bool:
    """Whether the new one is filled: as the old one was, and as it is declared."""
    return before.populated or after.populated


def describe_view(before: AnyView, after: AnyView) -> str:
    """`query, +total, -sum`: what differs, with the columns that come and go."""
    changed = differing(before, after)
    if not changed:
        return "unchanged, made again"
    names = {name for name, _ in before.columns}, {name for name, _ in after.columns}
    parts = [f"+{c}" for c in sorted(names[1] - names[0])] + [f"-{c}" for c in sorted(names[0] - names[1])]
    return ", ".join([", ".join(key.replace("_", " ") for key in changed), *(parts if before.columns else [])])


def alter(before: View, after: View) -> Change | None:
    """The change of a view that stays."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    return (ReplaceView if can_replace(before, after) else RecreateView)(before, after)
