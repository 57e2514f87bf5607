"""Attributes of a table that stays, each group of them by a step of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconcile.change import Change, Phase, Step, World
from reconcile.facts import Fact, has, ok
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes import table_settings as settings
from reconcile.stores.postgres.changes.common import Alteration, ChangeComment, renamed_first
from reconcile.stores.postgres.changes.describing import describe_difference, differing, only_comment_differs
from reconcile.stores.postgres.resources import Policy, Table
from reconcile.stores.postgres.sqlattached import security_statements
from reconcile.stores.postgres.sqltables import cluster_calls, identity_calls
from reconcile.stores.postgres.sqltext import comment_statement


def _nothing(world: World, before: Table, after: Table) -> frozenset[Fact]:
    del world, before, after
    return frozenset()


def _harmless(world: World, before: Table, after: Table) -> tuple[Hazard, ...]:
    del world, before, after
    return ()


@dataclass(frozen=True)
class Aspect:
    """Attributes that change together: one step where any of them differs."""

    word: str
    """Ends the step's id."""
    attributes: frozenset[str]
    """Their names as in `Resource.attributes`."""
    calls: Callable[[Table, Table], Iterable[str]]
    needs: Callable[[World, Table, Table], frozenset[Fact]] = _nothing
    phase: Phase = Phase.EXPAND
    hazards: Callable[[World, Table, Table], Iterable[Hazard]] = _harmless
    long: bool = False


def _policies_first(world: World, before: Table, after: Table) -> frozenset[Fact]:
    """New policies stand before row-level security is turned on: without any, nobody but the owner sees a row."""
    del before
    if not after.secured:
        return frozenset()
    policies = [p for p in world.target.children(after.address) if isinstance(p, Policy)]
    return frozenset(ok(p.address) for p in policies if world.live.get(p.address) != p)


ASPECTS = (
    Aspect("comment", frozenset({"comment"}), lambda _, after: [comment_statement(after)]),
    Aspect("options", frozenset({"with"}), settings.options_differ),
    Aspect("cluster", frozenset({"cluster_on"}), cluster_calls, needs=settings.indexes_there),
    Aspect(
        "identity",
        frozenset({"replica_identity"}),
        identity_calls,
        needs=settings.indexes_there,
        phase=Phase.CONTRACT,
        hazards=settings.narrows,
    ),
    Aspect(
        "security",
        frozenset({"row_level_security"}),
        lambda before, after: security_statements(before.row_level_security, after),
        needs=_policies_first,
        phase=Phase.CONTRACT,
        hazards=lambda _world, _before, _after: (Hazard.CHANGES_ACCESS,),
    ),
    Aspect(
        "persistence",
        frozenset({"unlogged"}),
        settings.persistence,
        needs=settings.others_first,
        phase=Phase.CONTRACT,
        hazards=settings.rewritten,
        long=True,
    ),
)
"""In the order of their steps, those of the expand phase first."""


class AlterTable(Alteration):
    """Everything of a table that is not in it: comment, settings, row-level security, logged or not."""

    before: Table
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_difference(self.before, self.after, spelled_out=True)

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        if self.before.unlogged == self.after.unlogged:
            return None
        lost = "; after a crash it is empty, and standbys do not have it" if self.after.unlogged else ""
        return f"every row is written anew under an exclusive lock{lost}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        changed = set(differing(self.before, self.after))
        aspects = [a for a in ASPECTS if a.attributes & changed]
        return [
            self.step(
                world,
                number,
                aspect.word,
                aspect.calls(self.before, self.after),
                needs={has(self.address)}
                | renamed_first(world, self.address)
                | aspect.needs(world, self.before, self.after),
                gives=[ok(self.address)] if aspect is aspects[-1] else [has(self.address)],
                phase=aspect.phase,
                hazards=aspect.hazards(world, self.before, self.after),
                long=aspect.long,
            )
            for number, aspect in enumerate(aspects, 1)
        ]


def alter(before: Table, after: Table) -> Change:
    """The change of a table that stays."""
    return (ChangeComment if only_comment_differs(before, after) else AlterTable)(before, after)
