"""What a backfill may still do by its `rate` and `limits`: one account, also where several processes do it.

Rows are taken from it before they are read, so that what is declared is never passed. What a killed process had taken
and not done counts as done, until the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from reconcile.backfills.definition import Definition
from reconcile.errors import ReconcileError
from reconcile.model import Json

if TYPE_CHECKING:
    from reconcile.ledger import Ledger

_KEY = "backfill-spent "
"""Before the address, where workers share the account."""
_WHAT = ("rows", "batches", "cost")


class Account(Protocol):
    """Where it is kept what is spent."""

    def get(self) -> Json:
        """It."""

    def swap(self, old: Json, new: Json) -> bool:
        """Replace it; False where it is `old` no more."""


@dataclass
class Own:
    """The account of a single process."""

    spent: Json

    def get(self) -> Json:
        """See `Account.get`."""
        return self.spent

    def swap(self, old: Json, new: Json) -> bool:
        """See `Account.swap`."""
        del old
        self.spent = new
        return True


@dataclass(frozen=True)
class Shared:
    """The account of several, in the ledger."""

    ledger: Ledger
    key: str

    @classmethod
    def of(cls, ledger: Ledger, definition: Definition) -> Shared:
        """That of a backfill."""
        return cls(ledger, f"{_KEY}{definition.address}")

    def get(self) -> Json:
        """See `Account.get`."""
        return self.ledger.value(self.key)

    def swap(self, old: Json, new: Json) -> bool:
        """See `Account.swap`."""
        return self.ledger.swap(self.key, old, new)

    def put(self, spent: Json) -> None:
        """Open it; None: close it."""
        self.ledger.keep(self.key, spent)


def opened(done: int, today: Json) -> Json:
    """An account of which nothing is spent in this run.

    Args:
        done: rows that were done before.
        today: what was spent this day.
    """
    return {"done": done, "run": {}, "date": None, "day": dict(today), "free": 0.0}


@dataclass
class Budget:
    """What may be taken from the account."""

    definition: Definition
    account: Account
    now: Callable[[], float]

    @property
    def unlimited(self) -> bool:
        """Whether nothing is declared."""
        return not self.definition.limits and not self.definition.rate

    def take(self, size: int) -> tuple[int, float]:
        """Rows for the next batch, at most `size`, and the moment from which on it may be done.

        Raises:
            ReconcileError: a limit is reached.
        """
        if self.unlimited:
            return size, 0.0
        rate = self.definition.rate
        size = min(size, max(1, int(rate))) if rate else size
        while True:
            spent = self.account.get()
            new = self._today(spent)
            rows = self._room(new, size)
            begins = max(self.now(), new["free"])
            if rate:
                new["free"] = begins + rows / rate
            if self.account.swap(spent, self._plus(new, rows, 1, self.definition.cost * rows)):
                return rows, begins if rate else 0.0

    def back(self, rows: int, batches: int) -> None:
        """Give back what was taken and not needed; rate that is not used is lost."""
        if rows or batches:
            self.spend(-rows, -batches, -self.definition.cost * rows)

    def spend(self, rows: int, batches: int, cost: float) -> None:
        """Count what was done without asking."""
        if self.unlimited:
            return
        while True:
            spent = self.account.get()
            if self.account.swap(spent, self._plus(self._today(spent), rows, batches, cost)):
                return

    def room(self) -> None:
        """
        Raises:
            ReconcileError: a limit is reached.
        """
        if not self.unlimited:
            self._room(self._today(self.account.get()), 1)

    def _today(self, spent: Json) -> Json:
        """A copy, in which the day is this one."""
        new, today = deepcopy(spent), day(self.now())
        if new["date"] != today:
            new["day"] = new["day"] if new["date"] is None else {}
            new["date"] = today
        return new

    def _plus(self, spent: Json, rows: int, batches: int, cost: float) -> Json:
        spent["done"] += rows
        for span in ("run", "day"):
            for what, more in zip(_WHAT, (rows, batches, cost), strict=True):
                spent[span][what] = spent[span].get(what, 0) + more
        return spent

    def _room(self, spent: Json, size: int) -> int:
        for span in ("run", "day"):
            for what, limit in self.definition.limits.get(span, {}).items():
                left = limit - spent[span].get(what, 0)
                if what == "cost":
                    if not self.definition.cost:  # what a row costs is known afterwards only
                        if left <= 0:
                            raise self._reached(span, what, limit, spent["done"])
                        continue
                    left = int(left / self.definition.cost + 1e-9)
                if left < 1:
                    raise self._reached(span, what, limit, spent["done"])
                if what != "batches":
                    size = min(size, int(left))
        return size

    def _reached(self, span: str, what: str, limit: float, done: int) -> ReconcileError:
        return ReconcileError(
            f"its limit of {limit:g} {what.replace('cost', 'in cost')} a {span} is reached: {done} rows are done",
            where=str(self.definition.address),
            hint="what is done stays; it goes on from there" + (" tomorrow" if span == "day" else " with the next run"),
        )


def day(now: float) -> str:
    """The day that a moment is in (UTC)."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
