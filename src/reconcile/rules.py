"""The rules of a policy that look at the moment and the size of a plan: facts in, refusals out. Pure.

What decides about hazards, address by address, is in `policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from reconcile import units
from reconcile.machine import bytes_of, seconds_of
from reconcile.model import Json, Source

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from reconcile.policy import Policy

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Window:
    """When an apply may begin its steps: from `begin` to `end` of the days named; an earlier end is the next day's."""

    days: tuple[str, ...] = DAYS
    begin: str = "00:00"
    end: str = "24:00"
    timezone: str = "UTC"

    @cached_property
    def zone(self) -> ZoneInfo:
        """
        Raises:
            KeyError, ValueError: there is no such time zone.
        """
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.timezone)

    def __str__(self) -> str:
        days = "every day" if set(self.days) == set(DAYS) else " ".join(d for d in DAYS if d in self.days)
        return f"{days} {self.begin}–{self.end} {self.timezone}"

    def left(self, now: datetime) -> timedelta | None:
        """How long it is still open; None while it is shut."""
        return next((end - now for begin, end in self._around(now) if begin <= now < end), None)

    def opens(self, now: datetime) -> datetime:
        """When it opens next, in its own time zone."""
        return next(begin for begin, _ in self._around(now) if begin > now)

    def _around(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its openings from yesterday's to next week's."""
        today = now.astimezone(self.zone).date()
        for offset in range(-1, 9):
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] in self.days:
                over = self.end <= self.begin or self.end == "24:00"
                last = day + timedelta(days=1) if over else day
                end = "00:00" if self.end == "24:00" else self.end
                yield (
                    datetime.combine(day, time.fromisoformat(self.begin), self.zone),
                    datetime.combine(last, time.fromisoformat(end), self.zone),
                )


@dataclass(frozen=True)
class Limit:
    """The largest table to rewrite."""

    rows: int | None = None
    bytes: str | None = None

    def over(self, cost: Mapping[str, int]) -> str | None:
        """What of a measured cost is too much: `4,100,000 rows (at most 1,000,000)`."""
        if self.rows is not None and cost.get("rows", 0) > self.rows:
            return f"{cost['rows']:,} rows (at most {self.rows:,})"
        if self.bytes is not None and cost.get("bytes", 0) > bytes_of(self.bytes):
            return f"{units.size(cost['bytes'])} (at most {self.bytes})"
        return None


@dataclass(frozen=True)
class Promotion:
    """Where the desired state has to be applied first."""

    environment: str
    within: str | None = None


@dataclass(frozen=True)
class Elsewhere:
    """What the ledger of another environment says of the desired state."""

    reached: float | None = None
    """When it was last applied there whole, UTC seconds since 1970; None: never."""
    unseen: str | None = None
    """Why that ledger cannot be read."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    environment: str
    now: datetime
    """Aware of its time zone."""
    ci: bool
    backup: str | None = None
    """Evidence of a backup."""
    no_backup: str | None = None
    """Why there is none."""
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    seconds: float = 0.0
    """How long the steps are estimated to take."""
    rewrites: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By address whose step rewrites a table: rows and bytes of that table."""


@dataclass(frozen=True)
class Refusal:
    """A rule that stops an apply."""

    rule: str
    """Its key under `policy:`."""
    what: str
    hint: str | None = None
    where: Source | None = None
    passes: bool = False
    """Whether it goes away by itself: another try later is safe."""

    def to_json(self) -> Json:
        """As the plan has it."""
        where = None if self.where is None else str(self.where)
        return {"rule": self.rule, "where": where, "what": self.what, "hint": self.hint}

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f"\n    {self.hint}" if self.hint else ""
        return f"  {place}policy {self.rule}: {self.what}{hint}"


def refusals(policy: Policy, facts: Facts) -> list[Refusal]:
    """The rules of the policy that an apply with steps would break now."""
    found = (
        _run_from(policy, facts),
        _window(policy, facts),
        _promoted(policy, facts),
        _backup(policy, facts),
        *sizes(policy, facts.rewrites),
    )
    return [refusal for refusal in found if refusal is not None]


def sizes(policy: Policy, rewrites: Mapping[str, Mapping[str, int]]) -> list[Refusal]:
    """The tables that are too large to be rewritten."""
    limit = policy.largest_rewrite
    if limit is None:
        return []
    hint = "change it with `strategy: online`, or in parts; or raise the limit in a change of its own"
    return [
        Refusal("largest_rewrite", f"{address} rewrites a table of {over}", hint, policy.at("largest_rewrite"))
        for address, cost in rewrites.items()
        if (over := limit.over(cost)) is not None
    ]


def _run_from(policy: Policy, facts: Facts) -> Refusal | None:
    here = "ci" if facts.ci else "local"
    if here in policy.run_from:
        return None
    if facts.ci:
        what, hint = "this is run by CI (the variable CI is set)", "run it by hand, where CI is not set"
    else:
        what = "this is not run by CI (the variable CI is not set)"
        hint = "let the pipeline apply it: merge the change, or run the pipeline's job again"
    return Refusal("run_from", f"{what}, and {facts.environment} is applied from {_either(policy.run_from)} only", hint,
                   policy.at("run_from"))  # fmt: skip


def _either(words: Sequence[str]) -> str:
    return " or ".join(words)


def _window(policy: Policy, facts: Facts) -> Refusal | None:
    window = policy.window
    if window is None:
        return None
    left, where = window.left(facts.now), policy.at("window")
    opens = f"it opens next on {window.opens(facts.now):%a %Y-%m-%d %H:%M %Z}"
    if left is None:
        return Refusal("window", f"it is shut now ({window}); {opens}", "try again then", where, passes=True)
    if facts.seconds > left.total_seconds():
        took, rest = units.duration(facts.seconds), units.duration(left.total_seconds())
        what = f"the steps are estimated to take {took}, and the window ({window}) is open for {rest} more; {opens}"
        return Refusal("window", what, "try again then, or apply a part with --only", where, passes=True)
    return None


def _promoted(policy: Policy, facts: Facts) -> Refusal | None:
    rule, elsewhere = policy.promoted_from, facts.elsewhere
    if rule is None:
        return None
    where = policy.at("promoted_from")
    first = f"apply them there first: reconcile apply -e {rule.environment}"
    if elsewhere.unseen is not None:
        what = f"whether {rule.environment} has this state cannot be seen: {elsewhere.unseen}"
        hint = f"set what the stores of {rule.environment} are reached by, so that its ledger can be read"
        return Refusal("promoted_from", what, hint, where)
    if elsewhere.reached is None:
        what = f"the ledger of {rule.environment} has no apply of these schema files and embeddings as they are now"
        return Refusal("promoted_from", what, first, where)
    age = facts.now.timestamp() - elsewhere.reached
    if rule.within is not None and age > seconds_of(rule.within):
        what = f"they were last applied to {rule.environment} {units.duration(age)} ago (at most {rule.within})"
        return Refusal("promoted_from", what, first.replace("first", "again"), where)
    return None


def _backup(policy: Policy, facts: Facts) -> Refusal | None:
    if not policy.require_backup or facts.backup is not None:
        return None
    where = policy.at("require_backup")
    if policy.backup_command:
        hint = "take a backup, or mend the command; or let this apply make one: reconcile apply --backup"
        return Refusal("require_backup", facts.no_backup or "there is no evidence of a backup", hint, where)
    hint = (
        f"make one: reconcile backup -e {facts.environment}; or let this apply make one: reconcile apply --backup;"
        " or say which other there is: reconcile apply --backup-evidence 'WHERE IT IS, AND OF WHEN'"
    )
    return Refusal("require_backup", facts.no_backup or "there is no evidence of a backup", hint, where)


def stated(policy: Policy) -> list[str]:
    """The rules as sentences, for who reads the plan and applies it later."""
    promoted, found = policy.promoted_from, []
    if set(policy.run_from) != {"ci", "local"}:
        found.append(("run_from", f"applied from {_either(policy.run_from)} only"))
    if policy.window is not None:
        found.append(("window", f"applied {policy.window} only"))
    if promoted is not None:
        within = f", within {promoted.within}" if promoted.within else ""
        found.append(("promoted_from", f"applied after {promoted.environment}{within}"))
    if policy.require_backup:
        found.append(("require_backup", "an apply needs evidence of a backup"))
    return [f"policy {rule}: {what} ({policy.at(rule)})" for rule, what in found]
