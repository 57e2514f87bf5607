"""Views: replaced in place where columns are only appended, else dropped and made again with what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    comments,
    dependents_settled,
    differing,
    goes_first,
    in_schema,
    only_comment_differs,
    requires,
)
from reconcile.stores.postgres.changes.remaking import reads, remade, retyped, standing_on
from reconcile.stores.postgres.changes.standing import can_replace
from reconcile.stores.postgres.resources import View
from reconcile.stores.postgres.sqltext import (
    comment_statement,
    keep_access,
    object_name,
    options,
    restore_access,
    view_statement,
)


def _made_needs(world: World, view: View) -> frozenset[Fact]:
    refers = (a for a in view.refers if a != view.address)
    return in_schema(world, view) | requires(world, refers) | _columns_first(world, view)


def _columns_first(world: World, view: View) -> frozenset[Fact]:
    """New columns of the tables it reads, and the end of those that go: `select *` takes what is there."""
    found: set[Fact] = set()
    for table in view.refers:
        if table.kind == "table" and not world.creates(table):
            columns = [r.address for s in (world.target, world.live) for r in s.children(table)]
            columns = [c for c in columns if c.kind == "column"]
            found |= {has(c) for c in columns if world.creates(c)}
            found |= {ok(c) for c in columns if c in world.target and retyped(world, c)}
            if remade(world, view.address) or world.creates(view.address):
                found |= {no(c) for c in columns if world.drops(c)}
    return frozenset(found)


def _drop_needs(world: World, view: View) -> frozenset[Fact]:
    schema = Address(view.address.store, "schema", (view.schema,))
    return goes_first(world, [*reads(world, view), schema])


@dataclass(frozen=True)
class CreateView(Creation):
    """CREATE VIEW."""

    before: None
    after: View

    def describe(self) -> str:
        """See `Change.describe`."""
        text = " ".join(self.after.query.split())
        return text if len(text) <= 60 else text[:59] + "…"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        return [
            self.step(
                world,
                1,
                "create",
                [view_statement(self.after), *comments(self.after)],
                needs={no(self.address)} | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
            )
        ]


@dataclass(frozen=True)
class DropView(Removal):
    """DROP VIEW; refused while another view that stays reads it."""

    before: View
    after: None

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        needs = {has(self.address)} | dependents_settled(world, self.address) | _drop_needs(world, self.before)
        return [
            self.step(
                world,
                1,
                "drop",
                [f"DROP VIEW {object_name(self.before)}"],
                needs=needs,
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


@dataclass(frozen=True)
class ReplaceView(Alteration):
    """CREATE OR REPLACE VIEW: what reads it goes on. Made again where something around it makes that necessary."""

    before: View
    after: View

    def describe(self) -> str:
        """See `Change.describe`."""
        return _describe(self.before, self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return RecreateView(self.before, self.after).steps(world)
        changed = set(differing(self.before, self.after))
        calls = []
        if "query" in changed or "check_option" in changed:
            calls.append(view_statement(self.after, replace=True))
        elif "with" in changed:
            gone = [name for name, _ in self.before.with_ if name not in dict(self.after.with_)]
            view = object_name(self.before)
            calls += [f"ALTER VIEW {view} SET ({options(self.after.with_)})"] if self.after.with_ else []
            calls += [f"ALTER VIEW {view} RESET ({', '.join(gone)})"] if gone else []
        calls += [comment_statement(self.after)] if "comment" in changed else []
        needs = {has(self.address)} | _made_needs(world, self.after)
        return [self.step(world, 1, "replace", calls, needs=needs, gives=[has(self.address), ok(self.address)])]


@dataclass(frozen=True)
class RecreateView(Alteration):
    """DROP VIEW, then CREATE VIEW with its owner and grants; a companion where the view itself stays equal."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: View
    after: View

    def describe(self) -> str:
        """See `Change.describe`."""
        return _describe(self.before, self.after)

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
        from reconcile.stores.postgres.changes.again import around

        return around(world, [self.address])

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        above = {no(x.address) for x in standing_on(world, [self.address])}
        breaks = [] if self.before == self.after or not self.before.columns else [Hazard.BREAKS_CLIENTS]
        return [
            self.step(
                world,
                1,
                "drop",
                [keep_access(self.before), f"DROP VIEW {object_name(self.before)}"],
                needs={has(self.address)} | above | _drop_needs(world, self.before),
                gives=[no(self.address)],
                phase=Phase.CONTRACT,
                hazards=breaks,
            ),
            self.step(
                world,
                2,
                "create",
                [view_statement(self.after), *comments(self.after), restore_access(self.after)],
                needs={no(self.address)} | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
            ),
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreateView(self.after, self.before)


def _describe(before: View, after: View) -> str:
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
