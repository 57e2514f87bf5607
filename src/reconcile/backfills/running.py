"""The loop over the batches of a backfill: each in its own transaction, resumed after the last key that is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile.backfills import checking, emptying, forms, program, sharing
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import DONE, Progress
from reconcile.errors import ReconcileError
from reconcile.model import Json
from reconcile.stores.filling import Batch, Filling, Value

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.stores.truncating import Truncating

TRIES = 6
"""How often a batch is tried while its error is one that passes."""
PASSES = 4
"""How often the selection is gone through, for rows that came into it behind the key."""
SAMPLE = 3
LOOK = 1.0
"""Seconds between two looks at the store's load."""


@dataclass(frozen=True)
class Around:
    """Who is told, asked and written to while a backfill runs."""

    ledger: Ledger
    directory: Path
    """Of the project: where its files are."""
    transient: Callable[[BaseException], bool] = lambda error: False
    tell: Callable[[str], None] = lambda text: None
    report: Callable[[str], None] = lambda line: None
    stop: Callable[[], str | None] = lambda: None
    share: Callable[[Sequence[int], Callable[[], None]], None] | None = None
    """Has workers do ranges, by their numbers, telling each second; where there are any."""
    truncates: Truncating | None = None
    """The store whose place it empties first."""
    busy: Callable[[], str | None] = lambda: None
    """What of its store is over a declared limit of load: then it waits."""
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Running:
    """A backfill under way."""

    definition: Definition
    filling: Filling
    progress: Progress
    around: Around
    total: int = 0
    resumed: bool = False
    _began: float = 0.0
    _looked: float = 0.0
    _here: dict[str, float] = field(default_factory=lambda: {"rows": 0, "batches": 0, "cost": 0.0})
    """What this run of it has spent."""

    def run(self) -> Progress:
        """All of it, from where it was left.

        Raises:
            ReconcileError: a batch failed, or a limit is reached; what is done stays, and is known to the ledger.
        """
        self._began = self.around.now()
        if not self.progress.passes and self.progress.emptied is None:
            self.progress = self._with(before=checking.metrics(self.definition, self.filling))
        if self.around.truncates is not None and not self.progress.passes:
            self.around.report(emptying.emptied(self, self.around.truncates))
        self.total = self.filling.count()
        if not self.progress.passes:
            checking.expected(self.definition, self.total)
            self.progress = self._with(passes=1, began=self._began)
            self.progress.save(self.definition.address, self.around.ledger)
        self.resumed = self.progress.read > 0 or self.progress.passes > 0
        change = forms.maker(self.definition, self.around.directory)
        shares = self.around.share is not None and not self.progress.shared
        while True:
            changed = self.progress.changed
            if shares:
                self.progress, shares = sharing.shared(self.definition, self.filling, self.progress, self.around), False
            elif self.definition.program is not None:
                self._program()
            else:
                self._pass(change)
            if self.definition.once or self._left() <= 0:
                break
            if self.progress.changed == changed or self.progress.passes >= PASSES:
                raise ReconcileError(
                    f"{self._left()} rows are still selected after each was visited",
                    where=str(self.definition.address),
                    hint="what is done has to take rows out of the selection; where rows stay in it: `once: true`",
                )
            self.progress = self._with(after=None, passes=self.progress.passes + 1)
        return self._ended()

    def run_part(self) -> Progress:
        """One range of it, from where it was left; what holds for all of it is the others' to say.

        Raises:
            ReconcileError: as `run`.
        """
        self._began = self.around.now()
        self.resumed = True
        self._pass(forms.maker(self.definition, self.around.directory))
        self.progress = self._with(state=DONE)
        self.progress.save(self.definition.address, self.around.ledger)
        self.filling.end()
        return self.progress

    def _left(self) -> int:
        return self.filling.count() - self.progress.set_aside - self.progress.skipped

    def _pass(self, change: forms.Maker) -> None:
        """Batch after batch until no row comes after the key."""
        while True:
            self._stop()
            self._tried(self._waited)
            batch = self._tried(self._read)
            if not batch.keys:
                return
            if batch.keys[-1] == self.progress.after:
                raise ReconcileError(
                    f"after the key {batch.keys[-1]} it comes again",
                    where=str(self.definition.address),
                    hint="a key has an order: choose another column",
                )
            self._batch(batch, change)
            self._spend(len(batch.keys), self.definition.cost * len(batch.keys))
            self._tell()
            if self.definition.rate:
                ahead = self._here["rows"] / self.definition.rate - (self.around.now() - self._began)
                if ahead > 0:
                    self.around.sleep(ahead)

    def _stop(self) -> None:
        if (asked := self.around.stop()) is not None:
            raise ReconcileError(f"stopped by {asked}, between batches", where=str(self.definition.address))

    def _waited(self) -> None:
        """Wait while the store has more to do than its declared limits allow; asked at most once in `LOOK` seconds."""
        if self.around.now() - self._looked < LOOK:
            return
        while (over := self.around.busy()) is not None:
            self._stop()
            self.around.tell(f"waits: {over}")
            self.around.sleep(LOOK)
        self._looked = self.around.now()

    def _read(self) -> Batch:
        return self.filling.read(self.progress.after, self._size(), self.progress.until)

    def _program(self) -> None:
        """What a program does by itself, as it reports it."""
        with closing(program.reports(self.definition, self.around.directory, self.total, self.progress)) as reports:
            for report in reports:
                self._stop()
                if program.too_long(self.definition, self.around.now() - self._began):
                    raise ReconcileError("the program took too long", where=str(self.definition.address))
                if report is None or report.text:
                    self.around.tell(report.text if report is not None else "the program is at work")
                    continue
                cost = report.cost if report.cost is not None else self.definition.cost * report.rows
                after = self._counted(report.rows, cost)
                after.after = report.after if report.after is not None else self.progress.after
                after.changed += report.rows
                after.save(self.definition.address, self.around.ledger)
                self.progress = after
                self._spend(report.rows, cost)
                self._tell()
                self._size()

    def _size(self) -> int:
        """Rows of the next batch.

        Raises:
            ReconcileError: a limit is reached.
        """
        size = self.definition.batch
        today = self.progress.days.get(self._today(), {})
        for span, spent in (("run", self._here), ("day", today)):
            for what, limit in self.definition.limits.get(span, {}).items():
                left = limit - spent.get(what, 0)
                if what == "cost" and self.definition.cost:
                    left = int(left / self.definition.cost + 1e-9)
                if left < 1:
                    raise ReconcileError(
                        f"its limit of {limit:g} {what.replace('cost', 'in cost')} a {span} is reached:"
                        f" {self.progress.read} rows are done",
                        where=str(self.definition.address),
                        hint="what is done stays; it goes on from there"
                        + (" tomorrow" if span == "day" else " with the next run"),
                    )
                if what != "batches":
                    size = min(size, int(left))
        return size

    def _today(self) -> str:
        return datetime.fromtimestamp(self.around.now(), UTC).strftime("%Y-%m-%d")

    def _batch(self, batch: Batch, change: forms.Maker) -> None:
        """One batch; where rows are to be set aside, in halves down to the row that fails."""
        try:
            values = change(self._as_they_were(batch))
            self._tried(lambda: self._written(batch, values))
        except ReconcileError as error:
            if self.definition.on_error != "set_aside" or self.around.transient(error):
                raise self._failed(batch, error) from error
            if len(batch.keys) > 1:
                for half in forms.halves(batch):
                    self._batch(half, change)
                return
            self.progress = self._with(
                after=batch.keys[0], read=self.progress.read + 1, set_aside=self.progress.set_aside + 1
            )
            rows = [(batch.keys[0], "set_aside", {"error": str(error)})]
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
            forms.count(after.values, values)
        return after

    def _spend(self, rows: int, cost: float) -> None:
        for what, more in (("rows", rows), ("batches", 1), ("cost", cost)):
            self._here[what] += more

    def _counted(self, rows: int, cost: float) -> Progress:
        """The progress with so many rows more, and what they cost today."""
        after = self._with(read=self.progress.read + rows)
        after.seconds = self.progress.seconds + (self.around.now() - self._began) - self._here.get("told", 0.0)
        self._here["told"] = self.around.now() - self._began
        spent = after.days.setdefault(self._today(), {"rows": 0, "batches": 0, "cost": 0.0})
        for what, more in (("rows", rows), ("batches", 1), ("cost", cost)):
            spent[what] = spent.get(what, 0) + more
        return after

    def _with(self, **changes: Json) -> Progress:
        found = deepcopy(self.progress)
        for name, value in changes.items():
            setattr(found, name, value)
        return found

    def _tried(self, work: Callable[[], forms.T]) -> forms.T:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception(self.around.transient),
            before_sleep=lambda state: self.around.tell(f"tried again: {state.outcome and state.outcome.exception()}"),
            reraise=True,
        )
        return tries(work)

    def _failed(self, batch: Batch, error: ReconcileError) -> ReconcileError:
        """The error with the batch it is about and some rows of it."""
        rows = "".join(f"\n  {forms.shown(row)}" for row in (batch.rows or batch.keys)[:SAMPLE])
        return ReconcileError(
            f"the batch of keys {batch.keys[0]} to {batch.keys[-1]} failed: {error}{rows}",
            where=str(self.definition.address),
            hint=f"{self.progress.read} rows before it are done and stay; mend these, or declare `on_error: set_aside`",
        )

    def _tell(self) -> None:
        seconds = max(self.around.now() - self._began, 1e-6)
        rate = self._here["rows"] / seconds
        left = max(self.total - self._here["rows"], 0) / rate
        self.around.tell(f"{self._here['rows']:,.0f} of {self.total:,} rows, {rate:,.0f} a second, {left:,.0f} s left")

    def _ended(self) -> Progress:
        """Prove that it did what it promised, and record it as done."""
        checking.success(self.definition, self.progress)
        checking.verified(self.definition, self.filling)
        later = checking.metrics(self.definition, self.filling)
        self.progress = self._with(state=DONE, later=later, ended=self.around.now())
        self.progress.save(self.definition.address, self.around.ledger)
        with suppress(ReconcileError):  # what is left in the store then is looked for by the next one
            self.filling.end()
        for line in checking.told(self.progress):
            self.around.report(line)
        return self.progress
