"""The ranges of a backfill that workers share: planned once, kept by the ledger, each done from where it was left.

A range belongs to whoever wrote it last: a worker that was given up and comes back finds that another one has gone on,
and stops. So a range that a worker has lost is taken over by the next.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from reconcile.backfills.budget import Budget, Own, Shared, day
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import DONE, Figures, Progress, part_key, parts, waiting

if TYPE_CHECKING:
    from reconcile.backfills.running import Around
    from reconcile.ledger import Ledger
    from reconcile.stores.filling import Filling

RANGES = 4
"""For each worker, so that none waits long for the last one to end."""


def shared(definition: Definition, filling: Filling, progress: Progress, around: Around, budget: Budget) -> Progress:
    """The progress once all ranges are done.

    Args:
        budget: what may be spent; workers take from it, as the ledger keeps it meanwhile.

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
    before, began = sum(part.read for part in there), around.now()

    def tell() -> None:
        known = ledger.known()
        read = progress.read + sum(part.read for part in parts(known, address))
        rate = (read - progress.read - before) / max(around.now() - began, 1e-6)
        found, waits = Figures(read, max(progress.total, read), rate), waiting(known, address)
        around.tell(f"{found}; {waits}" if waits else str(found), found)

    assert around.share is not None
    account = _opened(ledger, definition, budget, there)
    try:
        around.share([p.part for p in there if p.state != DONE and p.part is not None], tell)
    finally:
        if account is not None:
            budget.account = Own(account.get())
            account.put(None)
    ended = parts(ledger.known(), address)
    assert all(part.state == DONE for part in ended), "whoever has ranges done does all of them, or raises"
    found = _together(progress, ended, around.now() - began)
    found.save(address, ledger)
    _forget(there, definition, ledger)
    return found


def _opened(ledger: Ledger, definition: Definition, budget: Budget, ranges: list[Progress]) -> Shared | None:
    """The account that workers take from, with what ranges have spent before; None where nothing is declared."""
    if budget.unlimited:
        return None
    spent, today = budget.account.get(), day(budget.now())
    for part in ranges:
        spent["done"] += part.read
        for what, more in part.days.get(today, {}).items():
            spent["day"][what] = spent["day"].get(what, 0) + more
    account = Shared.of(ledger, definition)
    account.put(spent)
    return account


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
        found.otherwise += part.otherwise
        found.set_aside += part.set_aside
        for name, counts in part.values.items():
            own = found.values.setdefault(name, {})
            for value, count in counts.items():
                own[value] = own.get(value, 0) + count
        for date, spent in part.days.items():
            own_day = found.days.setdefault(date, {})
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
