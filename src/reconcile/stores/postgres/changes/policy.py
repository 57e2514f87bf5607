"""Row-level security policies.

A policy of a table whose row-level security is off guards nothing: it is made before that is turned on, and dropped
after it is turned off, so that at no moment more is hidden than before and after. Where it is on, policies come
before others go. Permissive ones are joined by OR and restrictive ones by AND, so what is let through meanwhile lies
between the two states: a row that either lets through under all restrictions of both; never one that neither does, and
always one that both do. https://www.postgresql.org/docs/current/ddl-rowsecurity.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

from reconcile.change import Action, Change, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.stores.postgres.changes.common import (
    Alteration,
    ChangeComment,
    Creation,
    Removal,
    Replacement,
    comments,
    goes_first,
    requires,
    settled_before,
)
from reconcile.stores.postgres.changes.describing import describe_difference, differing, only_comment_differs
from reconcile.stores.postgres.changes.remaking import dropped_with_table, remade, uprooted
from reconcile.stores.postgres.resources import Policy, Table
from reconcile.stores.postgres.sqlattached import alter_policy, drop_policy, policy_statement
from reconcile.stores.postgres.sqltext import as_written, comment_statement


def _guards(world: World, table: Address) -> bool:
    """Whether row-level security of the table is on now, so that a policy counts at once."""
    found = world.live.get(table)
    return isinstance(found, Table) and found.secured


def _cost(world: World, policy: Policy) -> tuple[Phase, tuple[Hazard, ...]]:
    if _guards(world, policy.table):
        return Phase.CONTRACT, (Hazard.CHANGES_ACCESS,)
    return Phase.EXPAND, ()


def _made_needs(world: World, policy: Policy) -> frozenset[Fact]:
    return requires(world, [policy.table, *policy.refers])


class CreatePolicy(Creation):
    """CREATE POLICY; of a new table in its transaction."""

    before: None
    after: Policy

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        phase, hazards = _cost(world, self.after)
        return [
            self.step(
                world,
                1,
                "create",
                [policy_statement(self.after), *comments(self.after)],
                needs={no(self.address)} | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
                phase=phase,
                hazards=hazards,
            )
        ]


class DropPolicy(Removal):
    """DROP POLICY, after new ones are there, or after row-level security is turned off."""

    before: Policy
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe(self.before)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        policy = self.before
        if dropped_with_table(world, policy):
            return []
        return [
            self.drop_step(
                world,
                [drop_policy(policy)],
                needs=goes_first(world, [policy.table, *policy.refers]) | _others_first(world, policy),
                hazards=_cost(world, policy)[1] if policy.table in world.target else (),
            )
        ]


def _others_first(world: World, policy: Policy) -> frozenset[Fact]:
    """New policies; not where it stands in the way of what they may be made from, in this very transaction."""
    table = policy.table
    before, after = world.live.get(table), world.target.get(table)
    if not isinstance(before, Table) or not isinstance(after, Table):
        return frozenset()
    if not after.secured:
        return frozenset([ok(table)] if before.secured else [])
    if uprooted(world, policy) or any(world.drops(a) for a in policy.refers):
        return frozenset()
    new = [p.address for p in world.target.children(table) if isinstance(p, Policy) and world.creates(p.address)]
    return frozenset(map(ok, new))


class AlterPolicy(Alteration):
    """ALTER POLICY: its roles and conditions, in place."""

    before: Policy
    after: Policy

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_difference(self.before, self.after, spelled_out=True)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        if remade(world, self.address):
            return RecreatePolicy(self.before, self.after).steps(world)
        call = alter_policy(self.before, self.after)
        calls = [] if call is None else [call]
        calls += [comment_statement(self.after)] if self.before.comment != self.after.comment else []
        phase, hazards = _cost(world, self.before)
        return [
            self.step(
                world,
                1,
                "alter",
                calls,
                needs={has(self.address)} | _made_needs(world, self.after),
                gives=[has(self.address), ok(self.address)],
                phase=phase,
                hazards=hazards,
            )
        ]


class RecreatePolicy(Replacement):
    """DROP POLICY and CREATE POLICY in one transaction: where the server has no other way, or around a change."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    before: Policy
    after: Policy

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_difference(self.before, self.after, spelled_out=True)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        drop, create = drop_policy(self.before), [policy_statement(self.after), *comments(self.after)]
        away = goes_first(world, [self.before.table, *self.before.refers])
        phase, hazards = _cost(world, self.before)
        if not remade(world, self.address):
            return [
                self.step(
                    world,
                    1,
                    "replace",
                    [drop, *create],
                    needs={has(self.address)} | away | _made_needs(world, self.after),
                    gives=[has(self.address), ok(self.address)],
                    phase=phase,
                    hazards=hazards,
                )
            ]
        early, late = settled_before(world, _made_needs(world, self.after), self.before, self.after)
        return [
            self.drop_step(
                world,
                [drop],
                needs=away | early,
                hazards=[] if _only_casts_differ(self.before, self.after) else hazards,
            ),
            self.step(
                world,
                2,
                "create",
                create,
                needs={no(self.address)} | late,
                gives=[has(self.address), ok(self.address)],
                phase=Phase.CONTRACT,
            ),
        ]

    def reverse(self) -> Change:
        """See `Change.reverse`."""
        return RecreatePolicy(self.after, self.before)


def _only_casts_differ(before: Policy, after: Policy) -> bool:
    """Whether all that differs is how the conditions show the column's type: `(owner)::text = x`, `owner = x`."""
    if any(getattr(before, f) != getattr(after, f) for f in ("for_", "permissive", "to")):
        return False
    return all(_without_casts(x) == _without_casts(y) for x, y in _conditions(before, after))


def _conditions(before: Policy, after: Policy) -> Iterable[tuple[str | None, str | None]]:
    return ((before.using, after.using), (before.check, after.check))


_TYPE = r"::[\w.]+(?: varying| precision| with(?:out)? time zone)?(?:\([\d,]+\))?(?:\[\])*"
_CAST = re.compile(rf"\(([\w.]+)\){_TYPE}|{_TYPE}")


def _without_casts(sql: str | None) -> str | None:
    """
    >>> _without_casts("(owner)::text = 'a'::character varying(3)")
    "owner = 'a'"
    """
    return None if sql is None else _CAST.sub(lambda m: m[1] or "", sql)


def describe(policy: Policy) -> str:
    """`restrictive, for insert to app using (…) check (…)`, in the words of the YAML."""
    parts = ["" if policy.permissive else "restrictive", f"for {policy.for_}", f"to {', '.join(policy.to)}"]
    parts += [f"{key} ({_short(as_written(policy, key))})" for key in ("using", "check") if getattr(policy, key)]
    return " ".join(p for p in parts if p)


def _short(sql: Json) -> str:
    text = " ".join(str(sql).split())
    return text if len(text) <= 40 else text[:39] + "…"


def alter(before: Policy, after: Policy) -> Change:
    """The change of a policy that stays. ALTER POLICY changes no command, and takes no condition away."""
    if only_comment_differs(before, after):
        return ChangeComment(before, after)
    fixed = {"for", "permissive"} & set(differing(before, after))
    gone = any(b is not None and a is None for b, a in _conditions(before, after))
    return (RecreatePolicy if fixed or gone else AlterPolicy)(before, after)
