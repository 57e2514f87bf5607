"""One run under the lock: begun, carried out, proved, recorded, reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconcile import kept, planfile
from reconcile.apply import Event, OnEvent, Own, execute
from reconcile.backfills import keeping
from reconcile.backfills.change import OP
from reconcile.change import Phase
from reconcile.errors import HookError, PartialError, PlanError, ReconcileError
from reconcile.findings import Result
from reconcile.freshness import remaining
from reconcile.migrations import change as migrations
from reconcile.model import Json
from reconcile.plan import Plan
from reconcile.stores.refreshing import Refreshes
from reconcile.survey import Reading, Survey, reread, world_of
from reconcile.workflow import asserting, pausing, undoing, wayback
from reconcile.workflow.before import fresh
from reconcile.workflow.filling import Filler
from reconcile.workflow.migrating import Migrator
from reconcile.workflow.moments import Moments
from reconcile.workflow.proving import proved, recorded
from reconcile.workflow.reporting import OnReport, Recorder

if TYPE_CHECKING:
    from reconcile.ledger_rows import Run


@dataclass(frozen=True)
class Outcome:
    """What an apply did."""

    run: str | None
    """None where nothing had to be done or recorded."""
    steps_done: int
    recorded: int
    seconds: float
    paused: str | None = None
    """The phase after which the run has paused."""
    results: tuple[Result, ...] = ()
    """Of the declared checks, queries and probes, before and after."""


OnBegin = Callable[[str, Json, Json, str], str]
"""Given the run, its plan, its way back (None: there is none, and why); what it has done with them, in words."""


@dataclass(frozen=True)
class How:
    """How a plan is carried out."""

    on_event: OnEvent
    end_idle: bool
    until: Phase
    """The last phase to carry out."""
    stop: Callable[[], str | None]
    on_report: OnReport | None
    """Given the report at the end, however it ends."""
    on_begin: OnBegin | None = None
    """Given the plan and its way back before the first step."""


@dataclass
class Carrying:
    """A run that holds the lock."""

    found: Reading
    made: Plan
    run: str
    unfinished: Run | None
    """As it was, where it is resumed."""
    how: How
    recorder: Recorder
    results: list[Result]
    """Of the checks before it."""
    began: float = field(default_factory=time.monotonic)

    def go(self) -> Outcome:
        """From the first step that is left to the report.

        Raises:
            PartialError, ReconcileError: see `workflow.apply`.
        """
        pending, moments = self._begin()
        steps = tuple(s for s in self.made.steps if s.phase.rank <= self.how.until.rank)
        try:
            carried = self._carried(replace(self.made, steps=steps), pending, moments)
            if pending - {s.id for s in steps}:
                return self._paused(carried, moments)
            after = proved(self.made, self.found, self.run)
            self.recorder(Event("verified"))
            self._refreshed()
            self.results += self._asserted(moments)
        except BaseException as error:
            self._failed(error, moments)
            raise
        unmet = asserting.unmet(self.run, self.results)
        new = recorded(self.found.project, self.made, self.run, after, unmet)
        self.recorder(Event("recorded", total=new))
        if self.made.steps:
            self._ended(moments, unmet, after)
        return self._outcome(carried, new)

    def _begin(self) -> tuple[set[str], Moments]:
        """Tell the ledger; the steps that are left, and the run's moments."""
        found, ledger, run = self.found, self.found.ledger, self.run
        journal = ledger.journal(run) if self.unfinished is not None else {}
        document = planfile.to_json(self.made)
        pauses = pausing.begun(found.known, run, self.how.until)
        if self.unfinished is not None:
            pending = remaining(self.made, journal, found.lives)
            pause = pausing.read(found.known, run)
            if self.unfinished.outcome == "paused" and pause is not None:
                pausing.refuse_moved(run, pause, self.made, found.lives)
                ledger.go_on(run)
            ledger.record((), (), pauses)
            if document["digest"] != self.unfinished.digest:
                ledger.replan(run, document["digest"], document)
        else:
            fresh(self.made, found)
            pending = {s.id for s in self.made.steps}
            self._both_ways(document)
            self.made = undoing.remembered(self.made, found)
            pauses |= kept.entries(self.made, run, time.time())
            ledger.record((), (), pauses)  # before it begins: killed at once, it must not be resumed beyond that
            undoing.give_up(self.made, ledger)
            document["observed"] = self.made.observed
            ledger.begin(run, document["digest"], document)
        return pending, Moments(found.project, self.made, document["digest"], run, ledger, self.recorder, journal)

    def _both_ways(self, document: Json) -> None:
        """What is about to be done, and how to undo it, for those who may have to do it without us.

        Raises:
            ReconcileError: it could not be put down; nothing was changed.
        """
        if self.how.on_begin is None or not self.made.steps:
            return
        try:
            made, why = wayback.before_it(self.found, self.made)
        except PlanError as error:
            made, why = None, str(error)
        back = None if made is None else planfile.to_json(made)
        if detail := self.how.on_begin(self.run, document, back, why):
            self.recorder(Event("scripts", detail=detail))

    def _carried(self, now: Plan, pending: set[str], moments: Moments) -> int:
        """Carry out the steps of a plan that are left; how many there were."""
        project, ledger, stop = self.found.project, self.found.ledger, self.how.stop
        for store in self.found.stores.values():
            store.session.mark({"project": project.name, "environment": project.environment})
        ledger.stamp(world_of(self.found))
        ledger.assert_(self.run, self.results)
        if self.made.steps:
            self.recorder.begin(moments, self.found)
            moments.begin()
        sessions = {name: store.session for name, store in self.found.stores.items()}
        own: Own = {
            OP: Filler(project, self.run, sessions, ledger, self.recorder, stop),
            keeping.OP: lambda _, call: keeping.forget(ledger, call),
            migrations.OP: Migrator(project, self.run, ledger, self.recorder),
        }
        journal = moments.journal
        return execute(now, self.run, sessions, ledger, self.recorder, journal, pending, stop, moments.reach, own)

    def _paused(self, carried: int, moments: Moments) -> Outcome:
        ledger, until = self.found.ledger, self.how.until
        ledger.record((), (), pausing.paused(self.run, until, self.made, reread(self.found).lives))
        ledger.finish(self.run, "paused")
        self._reported(moments, self.found, "paused", "")
        return self._outcome(carried, 0, until.value)

    def _refreshed(self) -> None:
        """What the stores plan queries by, brought up to date; what could not be is told."""
        for name, store in self.found.stores.items():
            if isinstance(store.session, Refreshes):
                for line in store.session.refresh([s for s in self.made.steps if s.address.store == name]):
                    self.recorder(Event("warning", detail=f"store {name}: {line}"))

    def _asserted(self, moments: Moments) -> list[Result]:
        """Ask what is to hold when all steps are done, and keep what it came to with the run."""
        asked = moments.ledger.asserted(self.run)
        results = asserting.after(self.found, asked) if self.made.steps else []
        asserting.tell(results, self.recorder)
        moments.ledger.assert_(self.run, results)
        return results

    def _failed(self, error: BaseException, moments: Moments) -> None:
        resumed = self.unfinished is not None
        stopped = isinstance(error, PartialError) or not isinstance(error, ReconcileError) or resumed
        outcome = "stopped" if stopped else "undone"
        self.found.ledger.finish(self.run, outcome, str(error))
        if self.made.steps:
            moments.failed(outcome, str(error) or "interrupted")
            self._reported(moments, self.found, outcome, str(error) or "interrupted")

    def _ended(self, moments: Moments, unmet: PartialError | None, after: Survey) -> None:
        """
        Raises:
            PartialError: a hook failed, or a check; everything else is done.
        """
        if unmet is not None:
            moments.failed("done", str(unmet))
            self._reported(moments, after.reading, "done", str(unmet))
            raise unmet
        try:
            moments.end()
            self._reported(moments, after.reading, "done", "")
        except HookError as error:
            self._reported(moments, after.reading, "done", error.what)
            raise PartialError(
                f"run {self.run} is done and recorded, but {error.what}",
                hint="no later apply calls that hook again: see to it by hand",
            ) from error

    def _reported(self, moments: Moments, found: Reading, outcome: str, message: str) -> None:
        """Make the report; where that fails the run has ended as it has all the same."""
        paused = self.how.until.value if outcome == "paused" else None
        try:
            document = self.recorder.end(moments, found, outcome, message, paused)
        except ReconcileError as error:
            self.how.on_event(Event("warning", detail=f"there is no report of this run: {error}"))
            return
        if self.how.on_report is not None:
            self.how.on_report(document)

    def _outcome(self, carried: int, new: int, paused: str | None = None) -> Outcome:
        return Outcome(self.run, carried, new, time.monotonic() - self.began, paused, tuple(self.results))
