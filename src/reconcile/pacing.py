"""How fast batches follow each other while the store has much to do: the nearer a declared limit, the longer the rests.

Up to four fifths of a limit a backfill goes on without a rest. From there on it rests after each batch, so that it is
at work for a smaller share of the time: evenly down to a tenth where the limit is reached. Over it, it waits until the
store is below it again. Nothing is remembered: with the load the rests go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from reconcile.checkup import Check, Topic, Verdict

EASY = 0.8
"""The share of a limit from which on it rests."""
LEAST = 0.1
"""The share of the time that it is at work at the limit."""
FULL = 0.95
"""Shares of the time above which nobody is told of it."""
_TOPICS = (Topic.LOAD, Topic.MEMORY, Topic.DISK)


@dataclass(frozen=True)
class Load:
    """How near a store is to the `limits:` of load that it declares."""

    used: float = 0.0
    """The share of the nearest limit that is in use; more than 1 where it is passed."""
    nearest: str = ""
    """That one, in words."""
    over: str = ""
    """All that are passed, in words; empty where none is."""

    @property
    def share(self) -> float:
        """The share of the time that a backfill is at work.

        >>> [round(Load(used).share, 3) for used in (0, 0.8, 0.9, 1, 2)]
        [1.0, 1.0, 0.55, 0.1, 0.1]
        """
        near = min(max((self.used - EASY) / (1 - EASY), 0.0), 1.0)
        return 1 - (1 - LEAST) * near

    def rest(self, took: float) -> float:
        """Seconds to rest after a batch that took so many.

        >>> round(Load(1.0).rest(0.5), 3)
        4.5
        """
        return took * (1 / self.share - 1)

    def __str__(self) -> str:
        return f"slowed down to {self.share:.0%}: {self.nearest}" if self.share < FULL else ""


def load(checks: Iterable[Check]) -> Load:
    """What the checks of a store say of it."""
    found = [check for check in checks if check.topic in _TOPICS]
    over = "; ".join(check.what for check in found if check.verdict is Verdict.STOPS)
    nearest = max(found, key=lambda check: check.used, default=None)
    return Load(over=over) if nearest is None else Load(nearest.used, nearest.what, over)


def nearest(loads: Sequence[Load]) -> Load:
    """Of several stores: how near the nearest is to a limit, and all limits that are passed."""
    return replace(max(loads, key=lambda one: one.used), over="; ".join(one.over for one in loads if one.over))
