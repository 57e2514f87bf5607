"""The ranges of a backfill that workers share: planned once, kept by the ledger, each done from where it was left.

A range belongs to whoever wrote it last: a worker that was given up and comes back finds that another one has gone on,
and stops. So a range that a worker has lost is taken over by the next.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import DONE, Progress, part_key, parts

if TYPE_CHECKING:
    from reconcile.backfills.running import Around
    from reconcile.ledger import Ledger
    from reconcile.stores.filling import Filling

RANGES = 4
"""For each worker, so that none waits long for the last one to end."""


def shared(definition: Definition, filling: Filling, progress: Progress, around: Around) -> Progress:
    """The progress once all ranges are done.

    Raises:
        ReconcileError: a range could not be done; those that are stay so.
    """
    address, ledger = definition.address, around.ledger
    there = parts(ledger.known(), address)
    if not there or there[-1].until is not None or any(p.digest != progress.digest for p in there):
        _forget(there, definition, ledger)  # of one that has changed since, or not all of them
        there = _planned(definition, filling, progress)
        for part in there:
            part.save(address, ledger)
    total = filling.count() if not any(part.read for part in there) else 0
    began = around.now()

    def tell() -> None:
        read = sum(part.read for part in parts(ledger.known(), address))
        rate = read / max(around.now() - began, 1e-6)
        around.tell(f"{read:,} rows{f' of {total:,}' if total else ''}, {rate:,.0f} a second")

    assert around.share is not None
    around.share([p.part for p in there if p.state != DONE and p.part is not None], tell)
    found = _together(progress, parts(ledger.known(), address), around.now() - began)
    found.save(address, ledger)
    _forget(there, definition, ledger)
    return found


def _forget(ranges: list[Progress], definition: Definition, ledger: Ledger) -> None:
    for part in ranges:
        ledger.keep(part_key(definition.address, part.part or 0), None)


def _planned(definition: Definition, filling: Filling, progress: Progress) -> list[Progress]:
    """About as many ranges as workers have to do, each with its last key."""
    count = RANGES * (definition.workers or 4)
    rows = max(-(-filling.count() // count), definition.batch)
    ends = [*filling.split(rows), None]
    starts = [None, *ends[:-1]]
    return [
        Progress(progress.digest, progress.run, passes=1, part=n, after=start, until=end)
        for n, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _together(progress: Progress, done: list[Progress], seconds: float) -> Progress:
    """What the ranges came to."""
    found = deepcopy(progress)
    found.shared, found.seconds = True, progress.seconds + seconds
    for part in done:
        found.read += part.read
        found.changed += part.changed
        found.skipped += part.skipped
        found.set_aside += part.set_aside
        for name, counts in part.values.items():
            own = found.values.setdefault(name, {})
            for value, count in counts.items():
                own[value] = own.get(value, 0) + count
        for day, spent in part.days.items():
            own_day = found.days.setdefault(day, {})
            for what, more in spent.items():
                own_day[what] = own_day.get(what, 0) + more
    return found


def taken(ledger: Ledger, definition: Definition, number: int, worker: str) -> Progress | None:
    """A range, from now on this worker's; None where it is done.

    Raises:
        RefusedError: the lock was taken over.
    """
    part = next(p for p in parts(ledger.known(), definition.address) if p.part == number)
    if part.state == DONE:
        return None
    part.worker = worker
    ledger.keep(part_key(definition.address, number), part.to_json())
    return part
