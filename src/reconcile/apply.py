"""Execute a plan: data in, statements out. Knows no changes and no YAML, so that a saved plan is complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from types import MappingProxyType

from reconcile.change import Op, Step
from reconcile.errors import ReconcileError, RefusedError, Unchecked
from reconcile.ledger import LOCK_SECONDS, Ledger
from reconcile.model import Json
from reconcile.moments import Moment, around
from reconcile.plan import Plan
from reconcile.stopped import UNKNOWN, between, within
from reconcile.stores.base import Reporting, Session, Telling

TRIES = 5
"""How often a step is tried while its error is one that passes (lock timeout, deadlock, 429)."""


@dataclass(frozen=True)
class Event:
    """Something to show while an apply runs.

    `kind`: waiting, ended, unchecked, warning, lock, scripts, hook, backup, step_started, progress, reported,
    step_done, retry, verified, recorded.
    Times in seconds.
    """

    kind: str
    step: Step | None = None
    index: int = 0
    total: int = 0
    seconds: float = 0.0
    detail: str = ""
    figures: Mapping[str, Json] = field(default_factory=dict)
    """Of progress: rows, total, rate, seconds_left, where they are known."""


OnEvent = Callable[[Event], None]
Own = Mapping[str, Callable[[Step, Op], None]]
"""By name the operations that are no single store's, which the caller carries out."""


@contextmanager
def heartbeat(ledger: Ledger) -> Iterator[Callable[[], bool]]:
    """Renew the lock in the background; the yielded function says whether it is still ours."""
    stop, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not stop.wait(LOCK_SECONDS / 3):
            try:
                if not ledger.renew():
                    lost.set()
            except ReconcileError:  # the next write says so, with its own error
                lost.set()

    thread = threading.Thread(target=beat, name="lock", daemon=True)
    thread.start()
    try:
        yield lambda: not lost.is_set()
    finally:
        stop.set()
        thread.join()


def execute(
    plan: Plan,
    run: str,
    sessions: Mapping[str, Session],
    ledger: Ledger,
    on_event: OnEvent,
    journal: Mapping[str, str],
    pending: set[str],
    stop: Callable[[], str | None] = lambda: None,
    reach: Callable[[Moment], None] = lambda moment: None,
    own: Own = MappingProxyType({}),
) -> int:
    """Run the pending steps, group by group, each journalled before and after.

    Args:
        journal: what an earlier try of this run wrote; steps begun there are cleaned up first.
        pending: ids of the steps to run.
        stop: asked before each group: what wants the run to stop there, if anything does.
        own: see `Own`.
        reach: told of the begin and the end of each phase; of the end again, where an earlier try may have missed it.

    Returns:
        How many steps were carried out.

    Raises:
        PartialError: it stopped after stores were changed; says what is done, half done and not begun.
        ReconcileError: a step failed and nothing was changed.
    """
    numbers = {step.id: i for i, step in enumerate(plan.steps, 1)}
    finished = [s.id for s in plan.steps if s.id not in pending]
    already = len(finished)
    with heartbeat(ledger) as held, _interrupted(plan, run, finished):
        for phase, groups in groupby(plan.groups, key=lambda steps: steps[0].phase):
            before, after = around(phase)
            entered = False
            for steps in groups:
                todo = [s for s in steps if s.id in pending]
                group = _Group(todo or steps, run, sessions[steps[0].address.store], ledger, on_event, own)
                if not todo:
                    if any(journal.get(s.id) == "begun" for s in steps):  # killed between commit and journal
                        group.settle()
                    continue
                if (asked := stop()) is not None:
                    raise between(plan, run, f"stopped by {asked}, before {todo[0].id}", finished)
                if not entered:
                    _reach(reach, before, plan, run, finished)
                    entered = True
                group.tell_of(numbers)
                try:
                    if not held():
                        raise RefusedError(f"the lock of run {run} was lost", where=ledger.placement)
                    group.carry_out(again=any(s.id in journal for s in todo))
                except (ReconcileError, KeyboardInterrupt) as error:
                    raise group.stopped(plan, finished, error) from error
                finished += [s.id for s in todo]
                for step in todo:
                    on_event(Event("step_done", step, numbers[step.id], len(numbers), group.seconds))
            if entered or journal:
                _reach(reach, after, plan, run, finished)
    return len(finished) - already


@contextmanager
def _interrupted(plan: Plan, run: str, finished: Sequence[str]) -> Iterator[None]:
    """A second Ctrl-C may come between two groups as well."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise between(plan, run, "interrupted", finished) from error


def _reach(reach: Callable[[Moment], None], moment: Moment, plan: Plan, run: str, finished: Sequence[str]) -> None:
    try:
        reach(moment)
    except (ReconcileError, KeyboardInterrupt) as error:
        what = error.what if isinstance(error, ReconcileError) else ""
        raise between(plan, run, what or f"interrupted at {moment}", finished) from error


def _tell(on_event: OnEvent, step: Step, detail: str) -> None:
    on_event(Event("progress", step, detail=detail))


def _report(on_event: OnEvent, step: Step, line: str) -> None:
    on_event(Event("reported", step, detail=line))


class _Group:
    """One group of steps being carried out: transactional ones together, another one alone."""

    def __init__(
        self, steps: Sequence[Step], run: str, session: Session, ledger: Ledger, on_event: OnEvent, own: Own
    ) -> None:
        self.steps, self.run, self.session, self.ledger, self.on_event = steps, run, session, ledger, on_event
        self.own = own
        self.ids = [step.id for step in steps]
        self.transactional = steps[0].transactional
        self.committed = False
        """Whether the calls went through; what is left then is waiting."""
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def tell_of(self, numbers: Mapping[str, int]) -> None:
        """Tell that these steps begin, and have the session tell how far they are and what they did.

        Args:
            numbers: by id the place of each step of the plan.
        """
        for step in self.steps:
            self.on_event(Event("step_started", step, numbers[step.id], len(numbers)))
        if isinstance(self.session, Telling):
            self.session.tell = partial(_tell, self.on_event, self.steps[-1])
        if isinstance(self.session, Reporting):
            self.session.report = partial(_report, self.on_event, self.steps[-1])

    def carry_out(self, again: bool) -> None:
        """Journal, run, wait, journal. `again`: an earlier try may have left something, or still be at it."""
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        if again:
            noted = {} if self.transactional else self.ledger.notes(self.run)
            if noted and all(self.session.ended(s, noted.get(s.id, "")) for s in self.steps):
                self.committed = True
                self.settle()
                return
            self.session.clean([a for s in self.steps for a in s.debris])
        self._ask()
        detail = "" if self.transactional else self.session.note(self.steps)
        self.ledger.write(self.run, self.ids, "begun", detail=detail)

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.on_event(Event("retry", self.steps[0], detail=str(error)))
            if not self.transactional:
                self.session.clean([a for s in self.steps for a in s.debris])

        retry = all(s.retry for s in self.steps)
        tries = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception(lambda error: retry and self.session.transient(error)),
            before_sleep=tell,
            reraise=True,
        )
        journalled = tries(self._attempt)
        self.committed = True
        self.settle(journalled)

    def _ask(self) -> None:
        """Of what comes after a change of data, whether its rows allow it: that could not be asked before the run.

        Raises:
            ReconcileError: they do not; names all of them.
        """
        late = [replace(step, asked_after=()) for step in self.steps if step.asked_after]
        problems = list(self.session.preflight(late)) if late else []
        for problem in problems:
            if isinstance(problem, Unchecked):
                self.on_event(Event("unchecked", detail=str(problem)))
        if stops := [str(p) for p in problems if not isinstance(p, Unchecked)]:
            raise ReconcileError("\n".join(stops), hint="mend the rows, then: reconcile apply --resume")

    def _attempt(self) -> bool:
        """Run the calls; True where *done* was written in the same transaction."""
        if not self.transactional:
            for step in self.steps:
                for call in step.calls:
                    if isinstance(call, Op) and call.op in self.own:
                        self.own[call.op](step, call)
                    else:
                        self.session.run(call, step.timeouts)
            return False
        with self.session.transaction(self.steps) as transaction:
            for step in self.steps:
                with _located(step):
                    for call in step.calls:
                        transaction.run(call, step.timeouts)
            own = self.ledger.inside(transaction)
            if own is not None:
                own.write(self.run, self.ids, "done", self.seconds)
        return own is not None

    def settle(self, journalled: bool = False) -> None:
        """Wait for what goes on after the commit, then journal that it is done."""
        for step in self.steps:
            for call in step.after_commit:
                self.session.run(call, step.timeouts)
        if not journalled:
            self.ledger.write(self.run, self.ids, "done", self.seconds)

    def stopped(self, plan: Plan, finished: Sequence[str], error: BaseException) -> ReconcileError:
        """What to tell of an error that it ended with."""
        state = "committed, not ready" if self.committed else "rolled back" if self.transactional else UNKNOWN
        return within(plan, self.run, error, finished, self.ids, state)


@contextmanager
def _located(step: Step) -> Iterator[None]:
    """In a group of many steps, an error must say which one it was."""
    try:
        yield
    except ReconcileError as error:
        if not error.where or str(step.address) not in str(error.where):
            error.where = f"{step.id} ({error.where})" if error.where else step.id
            error.args = (str(error),)
        raise
