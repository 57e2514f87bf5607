"""The loop over the batches of a backfill: each in its own transaction, resumed after the last key that is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile.backfills import budget, checking, emptying, forms, program, sharing
from reconcile.backfills.budget import Account, Budget, Own
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import DONE, Figures, Progress, parts
from reconcile.errors import ReconcileError, RefusedError
from reconcile.pacing import Load
from reconcile.references import masked
from reconcile.stores.filling import Batch, Filling, Value

if TYPE_CHECKING:
    from tenacity import Retrying

    from reconcile.ledger import Ledger
    from reconcile.stores.truncating import Truncating

TRIES = 6
"""How often a batch is tried while its error is one that passes."""
PASSES = 4
"""How often the selection is gone through, for rows that came into it behind the key."""
SAMPLE = 3
LOOK = 1.0
"""Seconds between two looks at the store's load, and between two lines of progress."""


@dataclass(frozen=True)
class Around:
    """Who is told, asked and written to while a backfill runs."""

    ledger: Ledger
    directory: Path
    """Of the project: where its files are."""
    transient: Callable[[BaseException], bool] = lambda error: False
    tell: Callable[[str, Figures | None], None] = lambda text, figures: None
    report: Callable[[str], None] = lambda line: None
    stop: Callable[[], str | None] = lambda: None
    share: Callable[[Sequence[int], Callable[[], None]], None] | None = None
    """Has workers do ranges, by their numbers, telling each second; where there are any."""
    truncates: Truncating | None = None
    """The store whose place it empties first."""
    load: Callable[[], Load] = Load
    """How near its store is to its declared limits of load."""
    account: Account | None = None
    """What it spends of its limits is kept in; None: here, and nobody else spends of it."""
    secrets: Collection[str] = ()
    """What is masked in what its programs say."""
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Running:
    """A backfill under way."""

    definition: Definition
    filling: Filling
    progress: Progress
    around: Around
    resumed: bool = False
    budget: Budget = field(init=False)
    _began: float = 0.0
    _looked: float = 0.0
    _told: float = 0.0
    _counted_until: float = 0.0
    _load: Load = field(default_factory=Load)
    _read_before: int = 0
    """Rows that were read when it went on."""

    def __post_init__(self) -> None:
        today = self.progress.days.get(budget.day(self.around.now()), {})
        account = self.around.account or Own(budget.opened(self.progress.read, today))
        self.budget = Budget(self.definition, account, self.around.now)

    def run(self) -> Progress:
        """All of it, from where it was left.

        Raises:
            ReconcileError: a batch failed, or a limit is reached; what is done stays, and is known to the ledger.
        """
        self._begin()
        self.resumed = self.progress.passes > 0
        if not self.resumed and self.progress.emptied is None:
            self.progress = self.progress.with_(before=checking.metrics(self.definition, self.filling))
        if self.around.truncates is not None and not self.resumed:
            self.around.report(emptying.emptied(self, self.around.truncates))
        selected = self.filling.count()
        if not self.resumed:
            checking.expected(self.definition, selected)
            self.progress = self.progress.with_(passes=1, began=self._began)
        ranges = parts(self.around.ledger.known(), self.definition.address)
        done = self.progress.read + sum(part.read for part in ranges)
        self.progress = self.progress.with_(total=selected if self.definition.once else selected + done, waits="")
        self.progress.save(self.definition.address, self.around.ledger)
        change = forms.maker(self.definition, self.around.directory, self.around.secrets)
        shares = self.around.share is not None and not self.progress.shared
        while True:
            changed = self.progress.changed
            if shares:
                self.progress, shares = self._shared(), False
            else:
                self._through(change, selected)
            if self.definition.once or self._left() <= 0:
                break
            if self.progress.changed == changed or self.progress.passes >= PASSES:
                raise ReconcileError(
                    f"{self._left()} rows are still selected after each was visited",
                    where=str(self.definition.address),
                    hint="what is done has to take rows out of the selection; where rows stay in it: `once: true`",
                )
            self.progress = self.progress.with_(after=None, passes=self.progress.passes + 1)
        self._tell(last=True)
        return self._ended()

    def _through(self, change: forms.Maker, selected: int) -> None:
        """All of it, by this process or by a program of its own."""
        try:
            if self.definition.program is not None:
                self._program(selected)
            else:
                self._pass(change)
        except ReconcileError:
            self._tell(last=True)
            raise

    def run_part(self) -> Progress:
        """One range of it, from where it was left; what holds for all of it is the others' to say.

        Raises:
            ReconcileError: as `run`.
        """
        self._begin()
        self.resumed = True
        self._pass(forms.maker(self.definition, self.around.directory, self.around.secrets))
        self.progress = self.progress.with_(state=DONE)
        self.progress.save(self.definition.address, self.around.ledger)
        self.filling.end()
        return self.progress

    def _begin(self) -> None:
        self._began = self._counted_until = self.around.now()
        self._read_before = self.progress.read

    def _shared(self) -> Progress:
        """What workers do of it, from one account."""
        return sharing.shared(self.definition, self.filling, self.progress, self.around, self.budget)

    def _left(self) -> int:
        return self.filling.count() - self.progress.set_aside - self.progress.skipped

    def _pass(self, change: forms.Maker) -> None:
        """Batch after batch until no row comes after the key."""
        while True:
            self._stop()
            self._tried(self._looked_at)
            size, begins = self.budget.take(self.definition.batch)
            self._pause(begins - self.around.now())
            began = self.around.now()
            batch = self._tried(lambda size=size: self._read(size))  # type: ignore[misc]
            self.budget.back(size - len(batch.keys), 0 if batch.keys else 1)
            if not batch.keys:
                return
            if batch.keys[-1] == self.progress.after:
                raise ReconcileError(
                    f"after the key {batch.keys[-1]} it comes again",
                    where=str(self.definition.address),
                    hint="a key has an order: choose another column",
                )
            self._batch(batch, change)
            self._tell()
            self._pause(self._load.rest(self.around.now() - began))

    def _stop(self) -> None:
        if (asked := self.around.stop()) is not None:
            raise ReconcileError(f"stopped by {asked}, between batches", where=str(self.definition.address))

    def _pause(self, seconds: float) -> None:
        """Do nothing for so long, but stop when asked to, where it is long."""
        until = self.around.now() + seconds
        while (left := until - self.around.now()) > 0.001:
            if left > LOOK:
                self._stop()
            self.around.sleep(min(left, LOOK))

    def _looked_at(self) -> None:
        """Wait while the store has more to do than its declared limits allow; asked at most once in `LOOK` seconds."""
        if self.around.now() - self._looked < LOOK:
            return
        while (load := self.around.load()).over:
            self._stop()
            if not self.progress.waits:
                self.progress = self.progress.with_(waits=load.over)
                self.progress.save(self.definition.address, self.around.ledger)
            self.around.tell(f"waits: {load.over}", None)
            self.around.sleep(LOOK)
        self._load, self._looked = load, self.around.now()

    def _read(self, size: int) -> Batch:
        return self.filling.read(self.progress.after, size, self.progress.until)

    def _program(self, selected: int) -> None:
        """What a program does by itself, as it reports it."""
        self.budget.room()
        with closing(
            program.reports(self.definition, self.around.directory, selected, self.progress, self.around.secrets)
        ) as reports:
            for report in reports:
                self._stop()
                if program.too_long(self.definition, self.around.now() - self._began):
                    raise ReconcileError("the program took too long", where=str(self.definition.address))
                if report is None or report.text:
                    self.around.tell(report.text if report is not None else "the program is at work", None)
                    continue
                cost = report.cost if report.cost is not None else self.definition.cost * report.rows
                after = self._counted(report.rows, cost)
                after.after = report.after if report.after is not None else self.progress.after
                after.changed += report.rows
                after.save(self.definition.address, self.around.ledger)
                self.progress = after
                self.budget.spend(report.rows, 1, cost)
                self._tell()
                self.budget.room()

    def _batch(self, batch: Batch, change: forms.Maker) -> None:
        """One batch; where rows are to be set aside, in halves down to the row that fails."""
        try:
            values = change(self._as_they_were(batch))
            self._tried(lambda: self._written(batch, values))
        except RefusedError:  # another one goes on with it: nothing is wrong with the rows
            raise
        except ReconcileError as error:
            if self.definition.on_error != "set_aside" or self.around.transient(error):
                raise self._failed(batch, error) from error
            if len(batch.keys) > 1:
                for half in forms.halves(batch):
                    self._batch(half, change)
                return
            after = self._counted(1, self.definition.cost)
            after.after, after.set_aside = batch.keys[0], after.set_aside + 1
            self.progress = after
            rows = [(batch.keys[0], "set_aside", {"error": masked(str(error), self.around.secrets)})]
            self.around.ledger.keep_rows(str(self.definition.address), rows)
            self.progress.save(self.definition.address, self.around.ledger)

    def _as_they_were(self, batch: Batch) -> Batch:
        """The rows of a batch as they were before an earlier try, which may have been killed after it wrote them.

        What they held is kept before they are written, so values made of it are the same again.
        """
        if not self.resumed or not self.definition.once or not batch.rows:
            return batch
        self.resumed = False
        kept = self.around.ledger.old_rows(str(self.definition.address), batch.keys)
        rows = tuple({**row, **kept.get(key, {})} for key, row in zip(batch.keys, batch.rows, strict=True))
        return Batch(batch.keys, rows)

    def _written(self, batch: Batch, values: Sequence[Value] | None) -> None:
        """Change the rows and keep the progress: in one transaction, where that is possible."""
        address, saved = self.definition.address, []
        after = self._after(batch, values)

        def save(transaction: object, changed: int, olds: Sequence[Value]) -> None:
            after.changed = self.progress.changed + changed
            inside = self.around.ledger.inside(transaction)
            if olds:  # kept before what they were is gone; a second try finds them kept
                state = "archived" if self.definition.deletes else "old"
                rows = [(old.key, state, dict(old.fields)) for old in olds]
                (inside or self.around.ledger).keep_rows(str(address), rows)
            if inside is not None:
                after.save(address, inside)
                saved.append(True)
            else:
                self.progress.confirm(address, self.around.ledger)  # refused where another one goes on with it

        self.filling.change(batch, values, save)
        if not saved:
            after.save(address, self.around.ledger)
        self.progress = after

    def _after(self, batch: Batch, values: Sequence[Value] | None) -> Progress:
        """The progress once the batch is done, but for how many rows it changed."""
        count = len(batch.keys)
        after = self._counted(count, self.definition.cost * count)
        after.after = batch.keys[-1]
        if values is not None:
            after.skipped += count - len(values)
            after.otherwise += sum(value.otherwise for value in values)
            forms.count(after.values, values)
        return after

    def _counted(self, rows: int, cost: float) -> Progress:
        """The progress with so many rows more, and what they cost today."""
        now = self.around.now()
        after = self.progress.with_(read=self.progress.read + rows, waits="")
        after.seconds = self.progress.seconds + now - self._counted_until
        self._counted_until = now
        spent = after.days.setdefault(budget.day(now), {"rows": 0, "batches": 0, "cost": 0.0})
        for what, more in (("rows", rows), ("batches", 1), ("cost", cost)):
            spent[what] = spent.get(what, 0) + more
        return after

    def _tried(self, work: Callable[[], forms.T]) -> forms.T:
        return self._tries(work)

    @cached_property
    def _tries(self) -> Retrying:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        return Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception(self.around.transient),
            before_sleep=lambda state: self.around.tell(
                f"tried again: {state.outcome and state.outcome.exception()}", None
            ),
            reraise=True,
        )

    def _failed(self, batch: Batch, error: ReconcileError) -> ReconcileError:
        """The error with the batch it is about and some rows of it."""
        rows = "".join(f"\n  {forms.shown(row)}" for row in (batch.rows or batch.keys)[:SAMPLE])
        return ReconcileError(
            f"the batch of keys {batch.keys[0]} to {batch.keys[-1]} failed: {error}{rows}",
            where=str(self.definition.address),
            hint=f"{self.progress.read} rows before it are done and stay; mend these, or declare `on_error: set_aside`",
        )

    def _tell(self, last: bool = False) -> None:
        """How far it is, at most once in `LOOK` seconds; what slows it down at once."""
        now = self.around.now()
        if now - self._told < LOOK and not last:
            return
        self._told = now
        rate = (self.progress.read - self._read_before) / max(now - self._began, 1e-6)
        found = Figures(self.progress.read, max(self.progress.total, self.progress.read), rate)
        slowed = str(self._load)
        self.around.tell(f"{found}; {slowed}" if slowed else str(found), found)

    def _ended(self) -> Progress:
        """Prove that it did what it promised, and record it as done."""
        checking.success(self.definition, self.progress)
        checking.verified(self.definition, self.filling)
        later = checking.metrics(self.definition, self.filling)
        self.progress = self.progress.with_(state=DONE, later=later, ended=self.around.now())
        self.progress.save(self.definition.address, self.around.ledger)
        with suppress(ReconcileError):  # what is left in the store then is looked for by the next one
            self.filling.end()
        for line in checking.told(self.progress):
            self.around.report(line)
        return self.progress
