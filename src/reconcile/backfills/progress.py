"""What the ledger keeps of a backfill: how far it has come, what it did, whether it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconcile import units
from reconcile.backfills import KEY, KIND
from reconcile.backfills.definition import Backfill
from reconcile.model import Address, Json

if TYPE_CHECKING:
    from reconcile.ledger import Ledger

PART = "backfill-part "
"""Before the address and the number of a range."""
DONE, RUNNING, UNDONE = "done", "running", "undone"


@dataclass
class Progress:
    """How far a backfill is; all of it is JSON."""

    digest: str
    run: str
    state: str = RUNNING
    after: Json = None
    """The key of the last row that is done, in this pass over the selection."""
    passes: int = 0
    read: int = 0
    changed: int = 0
    skipped: int = 0
    """Rows that were left as they are: no rule fits, or the function said nothing of them."""
    otherwise: int = 0
    """Rows that were given what a table of rules says where none fits."""
    set_aside: int = 0
    values: dict[str, dict[str, int]] = field(default_factory=dict)
    """By field, how many rows were given which value."""
    days: dict[str, dict[str, float]] = field(default_factory=dict)
    """By day (UTC) what was spent: rows, batches, cost."""
    before: dict[str, Json] = field(default_factory=dict)
    """The declared metrics before the first batch."""
    later: dict[str, Json] = field(default_factory=dict)
    """And after the last one."""
    began: float = 0.0
    ended: float | None = None
    seconds: float = 0.0
    reason: str = ""
    """Why it is to run again."""
    part: int | None = None
    """Of a range that a worker does: its number."""
    worker: str = ""
    """Who does it: nobody else may write it."""
    until: Json = None
    """And the last key of it; None: whatever comes."""
    emptied: Json = None
    """What was done about the place that it empties: the name of the archive, and how many rows were taken out."""
    shared: bool = False
    """Whether its ranges have been done by workers."""
    total: int = 0
    """Rows that are to be done in all, as counted when it last began or went on."""
    waits: str = ""
    """What it waits for just now."""

    @property
    def stamp(self) -> str:
        """Which run of which definition it is; empty for a look."""
        return f"{self.digest} {self.run}" if self.run else ""

    def to_json(self) -> Json:
        """As the ledger has it; not to be changed."""
        return dict(vars(self))

    def with_(self, **changes: Json) -> Progress:
        """A copy with `changes`, whose counts may be added to: made for each batch, so it copies nothing else."""
        values, days = ({k: dict(v) for k, v in counts.items()} for counts in (self.values, self.days))
        return replace(self, **{"values": values, "days": days, **changes})

    def save(self, address: Address, ledger: Ledger) -> None:
        """Write it, while the lock is ours.

        Raises:
            RefusedError: it was taken over.
        """
        ledger.keep(self._key(address), self.to_json(), self.worker)

    def confirm(self, address: Address, ledger: Ledger) -> None:
        """Look whether it may still be written.

        Raises:
            RefusedError: another one goes on with it.
        """
        ledger.confirm(self._key(address), self.worker)

    def _key(self, address: Address) -> str:
        return f"{KEY}{address}" if self.part is None else part_key(address, self.part)


@dataclass(frozen=True)
class Figures:
    """How far one is, for people and for logs."""

    rows: int
    total: int
    rate: float
    """Rows a second."""

    @property
    def seconds_left(self) -> float | None:
        """None where nothing tells."""
        return max(self.total - self.rows, 0) / self.rate if self.rate > 0 else None

    def to_json(self) -> dict[str, Json]:
        """For lines of JSON."""
        left = self.seconds_left
        found = {"rows": self.rows, "total": self.total, "rate": round(self.rate, 1)}
        return found if left is None else {**found, "seconds_left": round(left, 1)}

    def __str__(self) -> str:
        """
        >>> str(Figures(1500, 6000, 100))
        '1,500 of 6,000 rows (25 %), 100 a second, 45 s left'
        """
        share = f" ({100 * self.rows // self.total} %)" if self.total else ""
        told = f"{self.rows:,} of {self.total:,} rows{share}"
        if self.seconds_left is None:
            return told
        left = self.seconds_left
        return f"{told}, {self.rate:,.0f} a second, {f'{left:.0f} s' if left < 100 else units.duration(left)} left"


def figures(known: Mapping[str, Json], address: Address) -> Figures | None:
    """How far one has come, by all that the ledger knows of it; None where it has not begun."""
    found = read(known).get(address)
    if found is None:
        return None
    ranges = parts(known, address)
    rows = found.read + sum(part.read for part in ranges)
    at_work = sum(bool(part.worker) and part.state != DONE for part in ranges)
    seconds = found.seconds + sum(part.seconds for part in ranges) / max(at_work, 1)
    return Figures(rows, max(found.total, rows), rows / seconds if seconds else 0.0)


def waiting(known: Mapping[str, Json], address: Address) -> str:
    """What it waits for just now, or workers of it do."""
    ranges = [part.waits for part in parts(known, address) if part.waits and part.state != DONE]
    own = read(known).get(address)
    if ranges:
        return f"{len(ranges)} worker{'s' * (len(ranges) != 1)} wait{'s' * (len(ranges) == 1)}: {ranges[0]}"
    return f"waits: {own.waits}" if own is not None and own.waits else ""


def told(known: Mapping[str, Json], address: Address) -> str | None:
    """How far one has come and what it waits for, in words; None where it has not begun."""
    far, waits = figures(known, address), waiting(known, address)
    return None if far is None else f"{far}; {waits}" if waits else str(far)


def part_key(address: Address, part: int) -> str:
    """What the ledger knows a range of a backfill by."""
    return f"{PART}{address} {part}"


def parts(known: Mapping[str, Json], address: Address) -> list[Progress]:
    """The ranges of a backfill, in their order."""
    head = f"{PART}{address} "
    found = [Progress(**entry) for key, entry in known.items() if key.startswith(head) and entry is not None]
    return sorted(found, key=lambda part: part.part or 0)


def read(known: Mapping[str, Json]) -> dict[Address, Progress]:
    """All that the ledger knows of backfills."""
    return {
        Address.parse(key.removeprefix(KEY)): Progress(**entry)
        for key, entry in known.items()
        if key.startswith(KEY) and entry is not None
    }


def done(known: Mapping[str, Json]) -> list[Backfill]:
    """Those that are done, as what is live."""
    found = read(known).items()
    assert all(address.kind == KIND for address, _ in found)
    return [Backfill(address=a, digest=p.digest, system=True) for a, p in found if p.state == DONE]
