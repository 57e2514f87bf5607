"""What `reconcile check` tells of a store, and every apply asks before anything is changed. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconcile.errors import Problem, Unchecked


class Topic(StrEnum):
    """What a check is about, in the order in which they are told."""

    CONNECTION = "connection"
    """Whether the store is reached, as whom, which version and edition."""
    SIGHT = "sight"
    """What the role, user or key can see."""
    PRIVILEGES = "privileges"
    """What the steps of the plan need, asked of the server."""
    LEDGER = "ledger"
    """Whether lock, journal and record can be written."""
    EXTENSIONS = "extensions"
    """What is installed, could be, or is outdated."""
    HEALTH = "health"
    """Objects that are not usable or not proved: invalid indexes, unvalidated constraints, red collections."""
    BLOCKERS = "blockers"
    """Who would make the steps wait."""
    LOAD = "load"
    """How much the server has to do."""
    MEMORY = "memory"
    """How much of it is free."""
    DISK = "disk"
    """How much of it is free where the data is."""
    SETTINGS = "settings"
    """Settings of the server that a reader of a ticket asks for."""
    STEPS = "steps"
    """What else would stop the steps: data that breaks a constraint, names that are taken."""


class Verdict(StrEnum):
    """What follows from a check."""

    GOOD = "good"
    """Nothing: it is as it should be."""
    UNKNOWN = "unknown"
    """It could not be looked at; nothing is stopped."""
    WARNING = "warning"
    """Worth knowing; nothing is stopped."""
    STOPS = "stops"
    """An apply does not begin."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    topic: Topic
    verdict: Verdict
    what: str
    """One sentence or less, without the store's name."""
    hint: str | None = None
    """What to do, with the line to paste where there is one."""
    where: str | None = None
    """The object, address or step that it is about."""
    used: float = 0.0
    """The share of a declared limit that is in use: 1 at the limit."""


def of_problem(problem: Problem, topic: Topic = Topic.STEPS) -> Check:
    """What a store found about steps, as a check."""
    verdict = Verdict.UNKNOWN if isinstance(problem, Unchecked) else Verdict.STOPS
    return Check(topic, verdict, problem.what, problem.hint, str(problem.where) if problem.where else None)


def stopping(checks: Iterable[Check]) -> list[Check]:
    """Those that keep an apply from beginning."""
    return [check for check in checks if check.verdict is Verdict.STOPS]


def share(figure: float) -> Callable[[object], float]:
    """What share of a limit, a number or a percentage, a figure is.

    >>> share(9)(12)
    0.75
    """
    return lambda limit: figure / max(float(str(limit)), 1e-9)


def limited(
    topic: Topic,
    what: str,
    reached: bool,
    key: str,
    limits: Mapping[str, object],
    *,
    default: object = None,
    used: Callable[[object], float] = lambda limit: 0.0,
) -> Check:
    """A figure held against `limits:` of its store: over a declared limit stops, over a default one is a warning.

    Args:
        what: the figure in words: "12 active sessions".
        reached: whether it is over the limit.
        key: the limit's name.
        default: the limit where none is declared; None for none.
        used: the share of a declared limit that the figure is.
    """
    declared = limits.get(key)
    unit = " %" if key.endswith("_percent") else ""
    said = f"{what}; the limit is {declared if declared is not None else default}{unit}"
    if not reached:
        return (
            Check(topic, Verdict.GOOD, what)
            if declared is None
            else Check(topic, Verdict.GOOD, said, used=used(declared))
        )
    if declared is None:
        return Check(topic, Verdict.WARNING, said, f"to make it stop an apply: `limits: {{{key}: …}}` of the store")
    hint = f"wait, or raise `limits: {{{key}: …}}` of the store"
    return Check(topic, Verdict.STOPS, said, hint, used=max(used(declared), 1.0))
