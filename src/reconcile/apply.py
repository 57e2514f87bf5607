"""Execute a plan: data in, statements out. Knows no changes and no YAML, so that a saved plan is complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from reconcile.change import Call, Step
from reconcile.errors import PartialError, ReconcileError, RefusedError
from reconcile.facts import Fact, Verb
from reconcile.ledger import LOCK_SECONDS, Ledger
from reconcile.model import Address, State, declared_only
from reconcile.plan import ABSENT, DEPENDENTS, EMPTY, Plan, dependents_print, fingerprint
from reconcile.stores.base import Session

TRIES = 5
"""How often a step is tried while its error is one that passes (lock timeout, deadlock, 429)."""


@dataclass(frozen=True)
class Event:
    """Something to show while an apply runs.

    `kind`: unchecked, lock, step_started, step_done, retry, verified, recorded. Times in seconds.
    """

    kind: str
    step: Step | None = None
    index: int = 0
    total: int = 0
    seconds: float = 0.0
    detail: str = ""


OnEvent = Callable[[Event], None]


def stale(plan: Plan, lives: Mapping[str, State], empty: Callable[[Address], bool]) -> list[str]:
    """What moved since the plan was made, one line each; empty where the plan still holds.

    Only what the plan touches, needs or depends on is looked at: unrelated changes do not void an approval.
    """
    found = []
    users: dict[str, list[str]] = {}
    if any(subject.endswith(DEPENDENTS) for subject in plan.fingerprints):
        for user in (r for state in lives.values() for r in state.values()):
            for target in user.refers:
                users.setdefault(str(target), []).append(str(user.address))
    for subject, expected in plan.fingerprints.items():
        if subject.endswith(DEPENDENTS):
            name = subject.removesuffix(DEPENDENTS)
            if dependents_print(users.get(name, ())) != expected:
                names = ", ".join(sorted(users.get(name, ()))) or "nothing"
                found.append(f"{name}: what refers to it is another set than when planned, now {names}")
            continue
        asked = subject.endswith(EMPTY)
        address = Address.parse(subject.removesuffix(EMPTY))
        live = lives[address.store].get(address)
        if asked:
            actual = str(empty(address)).lower() if live is not None else ABSENT
            if actual != expected:
                found.append(f"{address}: was {'empty' if expected == 'true' else 'not empty'} when planned")
        elif (actual := fingerprint(live)) != expected:
            was, now = ("absent" if f == ABSENT else f[7:19] for f in (expected, actual))
            found.append(f"{address}: planned against {was}, is now {now}")
    return found


def holds(fact: Fact, plan: Plan, lives: Mapping[str, State]) -> bool:
    """Whether a fact is true of the live stores: the probe of a step whose journal entry is missing."""
    if fact.verb is Verb.DONE:
        return False
    address = Address.parse(fact.subject)
    live = lives[address.store].get(address)
    if fact.verb is Verb.NO:
        return live is None
    if fact.verb is Verb.HAS or live is None:
        return live is not None
    wanted = [c.after for c in plan.resource_changes if c.address == address and c.after is not None]
    # unset keys of some kinds are left as the server has them
    return not wanted or declared_only(live.attributes(), wanted[-1]) == wanted[-1]


def remaining(plan: Plan, journal: Mapping[str, str], lives: Mapping[str, State]) -> set[str]:
    """Ids of the steps of an unfinished run that still have to run."""
    left = set()
    for steps in plan.groups:
        if all(journal.get(s.id) == "done" for s in steps):
            continue
        begun = any(s.id in journal for s in steps)
        proved = not any(s.journalled for s in steps) and all(holds(f, plan, lives) for s in steps for f in s.gives)
        if not (begun and proved):
            left |= {s.id for s in steps if journal.get(s.id) != "done"}
    return left


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
) -> int:
    """Run the pending steps, group by group, each journalled before and after.

    Args:
        journal: what an earlier try of this run wrote; steps begun there are cleaned up first.
        pending: ids of the steps to run.

    Returns:
        How many steps were carried out.

    Raises:
        PartialError: a step failed after stores were changed; says what is done, half done and not begun.
        ReconcileError: a step failed and nothing was changed.
    """
    total = len(plan.steps)
    numbers = {step.id: i for i, step in enumerate(plan.steps, 1)}
    finished = [s.id for s in plan.steps if s.id not in pending]
    carried = 0
    with heartbeat(ledger) as held:
        for steps in plan.groups:
            todo = [s for s in steps if s.id in pending]
            if not todo:
                if any(journal.get(s.id) == "begun" for s in steps):  # it was killed between commit and journal
                    for step in steps:
                        for call in step.after_commit:
                            sessions[step.address.store].run(call, step.timeouts)
                    ledger.write(run, [s.id for s in steps], "done")
                continue
            committed = False
            try:
                if not held():
                    raise RefusedError(f"the lock of run {run} was lost", where=ledger.placement)
                session = sessions[todo[0].address.store]
                if any(s.id in journal for s in todo):
                    session.clean([a for s in todo for a in s.debris])
                for step in todo:
                    on_event(Event("step_started", step, numbers[step.id], total))
                began = time.monotonic()
                ledger.write(run, [s.id for s in todo], "begun")
                journalled = _group(todo, run, session, ledger, on_event)
                committed = True
                for step in todo:
                    for call in step.after_commit:
                        session.run(call, step.timeouts)
                seconds = time.monotonic() - began
                if not journalled:
                    ledger.write(run, [s.id for s in todo], "done", seconds)
            except (ReconcileError, KeyboardInterrupt) as error:
                raise _stopped(plan, run, todo, finished, error, committed) from error
            finished += [s.id for s in todo]
            carried += len(todo)
            for step in todo:
                on_event(Event("step_done", step, numbers[step.id], total, seconds))
    return carried


def _group(steps: Sequence[Step], run: str, session: Session, ledger: Ledger, on_event: OnEvent) -> bool:
    """One group, tried again while its error passes; whether *done* was written inside its transaction."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    retry = all(s.retry for s in steps)

    def again(error: BaseException) -> bool:
        return retry and session.transient(error)

    def tell(state: object) -> None:
        on_event(Event("retry", steps[0], detail=str(getattr(state, "outcome", None).exception())))  # type: ignore[union-attr]
        if not steps[0].transactional:
            session.clean([a for s in steps for a in s.debris])

    tries = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=0.2, max=10),
        retry=retry_if_exception(again),
        before_sleep=tell,
        reraise=True,
    )
    return tries(_attempt, steps, run, session, ledger, time.monotonic())


def _attempt(steps: Sequence[Step], run: str, session: Session, ledger: Ledger, began: float) -> bool:
    """Run the calls; True where *done* was written in the same transaction."""
    if not steps[0].transactional:
        for step in steps:
            for call in step.calls:
                session.run(call, step.timeouts)
        return False
    with session.transaction(steps) as transaction:
        for step in steps:
            for call in step.calls:
                _located(step, call, lambda c, s=step: transaction.run(c, s.timeouts))  # type: ignore[misc]
        own = ledger.inside(transaction)
        if own is not None:
            own.write(run, [s.id for s in steps], "done", time.monotonic() - began)
    return own is not None


def _located(step: Step, call: Call, run: Callable[[Call], None]) -> None:
    """In a group of many steps, an error must say which one it was."""
    try:
        run(call)
    except ReconcileError as error:
        if not error.where or str(step.address) not in str(error.where):
            error.where = f"{step.id} ({error.where})" if error.where else step.id
            error.args = (str(error),)
        raise


def _stopped(
    plan: Plan, run: str, failed: Sequence[Step], finished: Sequence[str], error: BaseException, committed: bool
) -> ReconcileError:
    interrupted = isinstance(error, KeyboardInterrupt)
    what = "interrupted" if interrupted else str(error)
    if not finished and failed[0].transactional and not committed:
        hint = None if interrupted else "the transaction was rolled back: nothing was changed in any store"
        return ReconcileError(what, hint=hint)
    begun = {s.id for s in failed}
    waiting = [s.id for s in plan.steps if s.id not in begun and s.id not in finished]
    rolled_back = failed[0].transactional and not committed
    state = "rolled back" if rolled_back else "committed, not ready" if committed else "begun, perhaps half done"
    lines = [
        f"done ({len(finished)}): {_short(finished)}",
        f"{state} ({len(begun)}): {_short(sorted(begun))}",
        f"not begun ({len(waiting)}): {_short(waiting)}",
        "go on with:   reconcile apply --resume",
        f"or leave it:  reconcile apply --abandon {run}   (then plan again)",
    ]
    return PartialError(f"run {run} stopped part-way: {what}", hint="\n  ".join(lines))


def _short(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= 6 else f"{', '.join(ids[:5])} … and {len(ids) - 5} more"
