"""`reconcile apply`: checks, lock, freshness, steps, proof, record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconcile import held, kept, planfile
from reconcile.apply import Event, OnEvent, Own, execute, heartbeat
from reconcile.backfills.change import OP
from reconcile.change import Phase
from reconcile.checkup import stopping
from reconcile.errors import HookError, PartialError, Problem, ReconcileError, RefusedError, StaleError
from reconcile.findings import Result
from reconcile.freshness import remaining, stale
from reconcile.leftovers import settled
from reconcile.migrations import change as migrations
from reconcile.order import Choice
from reconcile.plan import Plan
from reconcile.stores.base import Ends
from reconcile.stores.refreshing import Refreshes
from reconcile.survey import Reading, Survey, open_ledger, reading, reread, rows, survey, world_of
from reconcile.workflow import asserting, pausing, undoing
from reconcile.workflow.admission import admit, no_unfinished, refuse_large
from reconcile.workflow.check import examined, told, told_before_steps
from reconcile.workflow.filling import Filler
from reconcile.workflow.migrating import Migrator, refuse_moved
from reconcile.workflow.moments import Moments
from reconcile.workflow.moments import moved as hooks_moved
from reconcile.workflow.plan import ordered
from reconcile.workflow.promotion import reached
from reconcile.workflow.reporting import OnReport, Recorder, brought

if TYPE_CHECKING:
    from reconcile.ledger_rows import Run
    from reconcile.project import Project


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


@dataclass(frozen=True)
class _How:
    on_event: OnEvent
    end_idle: bool
    until: Phase
    """The last phase to carry out."""
    stop: Callable[[], str | None]
    on_report: OnReport | None
    """Given the report at the end, however it ends."""


def apply(
    project: Project,
    made: Plan,
    on_event: OnEvent = lambda event: None,
    *,
    end_idle: bool = False,
    backup: str | None = None,
    until: str = Phase.CONTRACT,
    stop: Callable[[], str | None] = lambda: None,
    on_report: OnReport | None = None,
    emergency: bool = False,
) -> Outcome:
    """Carry out a plan, prove that nothing of it is left, record what is applied.

    Args:
        backup: evidence of a backup, where the policy requires it.
        until: the last phase to carry out; the run then pauses, if there are steps of later ones.
        end_idle: end sessions that hold what the steps need and do nothing, rather than be stopped by them.
        stop: asked before each group of steps: what wants the run to stop there, if anything does.
        on_report: given the run's report when it ends, also where it fails once it has begun; rows are then counted.
        emergency: of a rollback: of the policy only `protect:` is asked; kept with the run.

    Raises:
        BlockedError: a step is not allowed; nothing was changed.
        RefusedError: lock held, plan stale, or another run unfinished; nothing was changed.
        PartialError: stopped part-way; says what is done.
        ReconcileError: it failed before anything was changed.
    """
    admitted = undoing.admitted(project, made) if emergency else admit(project, made, backup)
    made = replace(made, observed={**made.observed, **admitted.to_json()})  # as the ledger is to have it
    ledger = open_ledger(project)
    try:
        state = ledger.lock_state()
        epoch = state.epoch
        if state.run is not None and not state.expired:
            raise ledger.busy(state)
        no_unfinished(undoing.other(ledger.unfinished(), made))
    finally:
        ledger.close()
    with reading(project) as found:
        return _apply(found, made, epoch, None, _How(on_event, end_idle, Phase(until), stop, on_report))


def resume(
    project: Project,
    on_event: OnEvent = lambda event: None,
    *,
    end_idle: bool = False,
    backup: str | None = None,
    until: str | None = None,
    stop: Callable[[], str | None] = lambda: None,
    on_report: OnReport | None = None,
) -> Outcome:
    """Go on with the run that stopped part-way or has paused; see `apply`.

    Args:
        until: the last phase to carry out; None: as the run was told when it began. Of a run that has paused it must
            be given, and the policy is asked again.

    Raises:
        ReconcileError: there is none. Else as `apply`.
    """
    with reading(project) as found:
        run = found.ledger.unfinished()
        if run is None:
            raise ReconcileError("no run is unfinished", hint="plan and apply as usual")
        made, pause = planfile.from_json(run.plan), pausing.read(found.known, run.id)
        last = pausing.limit(run, pause, None if until is None else Phase(until))
        how = _How(on_event, end_idle, last, stop, on_report)
        if run.outcome == "paused":
            admit(project, made, backup or made.observed.get("backup"))
        return _apply(found, made, None, run, how)


def _apply(found: Reading, made: Plan, epoch: int | None, unfinished: Run | None, how: _How) -> Outcome:
    began = time.monotonic()
    on_event = recorder = Recorder(made, how.on_event, exact=how.on_report is not None)
    resumed = None if unfinished is None else unfinished.id
    project, ledger = found.project, found.ledger
    _same_servers(made, found, bool(resumed))
    told = made.observed.get("records") or _holds_back(made, found) or brought(project, found.known, "")
    if not made.steps and not told:
        if not stopping(ledger.check()):  # who may not write it may still be told that nothing is to do
            reached(project, made, ledger)
        return Outcome(None, 0, 0, time.monotonic() - began)
    if not resumed:
        refuse_large(made, found)
    now = replace(made, steps=tuple(s for s in made.steps if s.phase.rank <= how.until.rank))
    _preflight(now, found, resumed, on_event, how.end_idle)
    sessions = {name: store.session for name, store in found.stores.items()}
    results = _asserted_before(made, found, unfinished, on_event)
    ledger.ensure()
    run = resumed or uuid.uuid4().hex[:12]
    document = planfile.to_json(made)
    ledger.lock(run)
    on_event(Event("lock", detail=run))
    try:
        if epoch is not None and ledger.lock_state().epoch != epoch + 1:
            found = reread(found)  # somebody else's run came in between
            no_unfinished(undoing.other(ledger.unfinished(), made))
        journal = ledger.journal(run) if resumed else {}
        lives, pauses = found.lives, pausing.begun(found.known, run, how.until)
        if unfinished is not None:
            pending = remaining(made, journal, lives)
            pause = pausing.read(found.known, unfinished.id)
            if unfinished.outcome == "paused" and pause is not None:
                pausing.refuse_moved(run, pause, made, lives)
                ledger.go_on(run)
            ledger.record((), (), pauses)
        else:
            _fresh(made, found)
            pending = {s.id for s in made.steps}
            made = undoing.remembered(made, found)
            pauses |= kept.entries(made, run, time.time())
            ledger.record((), (), pauses)  # before it begins: killed at once, it must not be resumed beyond that
            undoing.give_up(made, ledger)
            document["observed"] = made.observed
            ledger.begin(run, document["digest"], document)
        moments = Moments(project, made, document["digest"], run, ledger, on_event, journal)
        try:
            for store in found.stores.values():
                store.session.mark({"project": project.name, "environment": project.environment})
            ledger.stamp(world_of(found))
            ledger.assert_(run, results)
            if made.steps:
                recorder.begin(moments, found)
                moments.begin()
            own: Own = {
                OP: Filler(project, run, sessions, ledger, on_event, how.stop),
                migrations.OP: Migrator(project, run, ledger, on_event),
            }
            carried = execute(now, run, sessions, ledger, on_event, journal, pending, how.stop, moments.reach, own)
            if pending - {s.id for s in now.steps}:
                ledger.record((), (), pausing.paused(run, how.until, made, reread(found).lives))
                ledger.finish(run, "paused")
                _reported(recorder, moments, found, how, "paused", "")
                return Outcome(run, carried, 0, time.monotonic() - began, how.until.value, tuple(results))
            after = _proved(made, found, run)
            on_event(Event("verified"))
            with heartbeat(ledger):  # they may take longer than the lock holds
                _refreshed(made, found, on_event)
                results += _asserted_after(made, found, moments)
        except BaseException as error:
            stopped = isinstance(error, PartialError) or not isinstance(error, ReconcileError) or bool(resumed)
            outcome = "stopped" if stopped else "undone"
            ledger.finish(run, outcome, str(error))
            if made.steps:
                moments.failed(outcome, str(error) or "interrupted")
                _reported(recorder, moments, found, how, outcome, str(error) or "interrupted")
            raise
        unmet = asserting.unmet(run, results)
        recorded = _recorded(project, made, run, after, unmet)
        on_event(Event("recorded", total=recorded))
        if made.steps:
            _ended(moments, unmet, lambda said: _reported(recorder, moments, after.reading, how, "done", said))
        return Outcome(run, carried, recorded, time.monotonic() - began, results=tuple(results))
    finally:
        ledger.release()


def _reported(recorder: Recorder, moments: Moments, found: Reading, how: _How, outcome: str, message: str) -> None:
    """Make the report; where that fails the run has ended as it has all the same."""
    try:
        document = recorder.end(moments, found, outcome, message, how.until.value if outcome == "paused" else None)
    except ReconcileError as error:
        how.on_event(Event("warning", detail=f"there is no report of this run: {error}"))
        return
    if how.on_report is not None:
        how.on_report(document)


def _asserted_before(made: Plan, found: Reading, unfinished: Run | None, on_event: OnEvent) -> list[Result]:
    """Ask what is to hold before the first step; of a run that stopped in the middle it would say nothing.

    Raises:
        ReconcileError: something does not hold.
    """
    if not made.steps or (unfinished is not None and unfinished.outcome != "paused"):
        return []
    results = asserting.before(found, made)
    asserting.tell(results, on_event)
    asserting.refuse(results)
    return results


def _refreshed(made: Plan, found: Reading, on_event: OnEvent) -> None:
    """What the stores plan queries by, brought up to date; what could not be is told."""
    for name, store in found.stores.items():
        if isinstance(store.session, Refreshes):
            for line in store.session.refresh([s for s in made.steps if s.address.store == name]):
                on_event(Event("warning", detail=f"store {name}: {line}"))


def _asserted_after(made: Plan, found: Reading, moments: Moments) -> list[Result]:
    """Ask what is to hold when all steps are done, and keep what it came to with the run."""
    results = asserting.after(found, moments.ledger.asserted(moments.run)) if made.steps else []
    asserting.tell(results, moments.on_event)
    moments.ledger.assert_(moments.run, results)
    return results


def _ended(moments: Moments, unmet: PartialError | None, reported: Callable[[str], None]) -> None:
    """
    Raises:
        PartialError: a hook failed, or a check; everything else is done.
    """
    if unmet is not None:
        moments.failed("done", str(unmet))
        reported(str(unmet))
        raise unmet
    try:
        moments.end()
        reported("")
    except HookError as error:
        reported(error.what)
        raise PartialError(
            f"run {moments.run} is done and recorded, but {error.what}",
            hint="no later apply calls that hook again: see to it by hand",
        ) from error


def _recorded(project: Project, made: Plan, run: str, after: Survey, unmet: PartialError | None) -> int:
    """End a run: record what is applied now, what was learned, and what waits; how many addresses were new.

    Args:
        unmet: what does not hold now: another environment is then not to take this one for an example.
    """
    ledger, before = after.reading.ledger, after.reading.known
    new, gone = rows(after, run)
    known = {k: v for canonical in after.canonical.values() for k, v in canonical.learned.items()}
    known |= settled(before, {name: d.live for name, d in after.differences.items()})
    known |= pausing.over(before, run)
    known |= brought(project, before, run)
    known |= undoing.held(made, run, after)
    waiting = held.read(before)
    known |= held.entries(waiting, _kept(made, run, time.time(), waiting, after))
    back, less = undoing.records(made, run, after)
    ledger.record([*new, *back], [*gone, *less], known)
    ledger.finish(run, "done", "" if unmet is None else str(unmet))
    if unmet is None:
        reached(project, made, ledger)
    return len(new)


def _holds_back(made: Plan, found: Reading) -> bool:
    """Whether the ledger has to hear of what waits now, or waits no more."""
    waiting = held.read(found.known)
    return bool(held.entries(waiting, held.kept(made, "", 0.0, waiting, found.lives)))


def _kept(made: Plan, run: str, now: float, waiting: Mapping[str, held.Held], after: Survey) -> dict[str, held.Held]:
    unsettled = {str(c.address) for d in after.differences.values() for c in d.changes}
    return held.kept(made, run, now, waiting, after.reading.lives, unsettled)


def _preflight(made: Plan, found: Reading, resumed: str | None, on_event: OnEvent, end_idle: bool) -> None:
    """Ask every store what would stop the steps that are still to run.

    Raises:
        ReconcileError: something would; names all of it.
    """
    left = remaining(made, found.ledger.journal(resumed), found.lives) if resumed else {s.id for s in made.steps}
    steps = [s for s in made.steps if s.id in left]
    if end_idle:
        for name, store in found.stores.items():
            if isinstance(store.session, Ends):
                for line in store.session.end_idle([s for s in steps if s.address.store == name]):
                    on_event(Event("ended", detail=f"store {name}: {line}"))
    checks = examined(found, steps)
    for name, own in checks.items():
        for check in own:
            if told_before_steps(check):
                on_event(Event("unchecked", detail=str(Problem(check.what, where=check.where or f"store {name}"))))
    if problems := told(checks, found.ledger.check()):
        hint = "this try changed nothing" if resumed else "nothing was changed"
        raise ReconcileError("\n".join(map(str, problems)), hint=hint)


def _same_servers(made: Plan, found: Reading, resumed: bool) -> None:
    """Refuse a plan of another world; of a resumed run the ledger's stamp has told the identities already."""
    ours = (found.project.name, found.project.environment)
    if (made.project, made.environment) != ours:
        raise ReconcileError(
            f"the plan is for project {made.project}, environment {made.environment}; this is {ours[0]}, {ours[1]}",
            hint="choose the environment with -e, or make a new plan",
        )
    for server in made.stores:
        now = found.stores[server.name].server if server.name in found.stores else None
        same = now is not None and (now.edition, now.numbers[:1]) == (server.edition, server.numbers[:1])
        if now is None or not same or (now.identity != server.identity and not resumed):
            raise RefusedError(
                f"store {server.name} is not the one that was planned against", hint="make a new plan and apply that"
            )


def _fresh(made: Plan, found: Reading) -> None:
    if hooks_moved(made, found.project):
        raise StaleError(
            "the plan is stale: `hooks:` of reconcile.yaml moved since it was made", hint="make a new plan"
        )
    refuse_moved(made, found.project)
    moved = stale(made, found.lives, found.empty)
    if moved:
        lines = "\n".join(f"  {line}" for line in moved)
        raise StaleError(f"the plan is stale; since it was made, this moved:\n{lines}", hint="make a new plan")


def _proved(made: Plan, found: Reading, run: str) -> Survey:
    """The stores read again: nothing of what the plan promised may be left.

    Raises:
        PartialError: something is left, or the stores could not be read.
    """
    try:
        after = survey(reread(found), made.options)
    except (ReconcileError, KeyboardInterrupt) as error:
        if not made.steps:
            raise
        raise PartialError(
            f"run {run} carried out every step, but could not be verified: {str(error) or 'interrupted'}",
            hint="once the stores can be read again: reconcile apply --resume",
        ) from error
    if made.rollback is not None:
        return undoing.proved(made, after, run)
    promised = {c.address for c in made.resource_changes}
    if made.held:
        waiting = _kept(made, run, 0.0, held.read(after.reading.known), after)
        back = set(held.owners(made.held))
        choice = Choice(waits=lambda s: s.phase is Phase.CONTRACT and s.id.rpartition("/")[0] in back)
        rest = ordered(after, choice, waiting)
        promised -= {c.address for c in rest.held_changes}
    left = [c for d in after.differences.values() for c in d.changes if c.address in promised]
    why = {str(u.address): u.how for c in after.canonical.values() for u in c.unproved}
    if left and all(str(c.address) in why for c in left):
        lines = "\n".join(f"  {c.address}: {why[str(c.address)]}" for c in left)
        raise PartialError(
            f"run {run} carried out every step; that these are as declared cannot be proved here:\n{lines}",
            hint=f"reconcile apply --abandon {run}",
        )
    if left:
        lines = "\n".join(f"  {c.action.value} {c.address}  {c.describe()}" for c in left)
        raise PartialError(
            f"run {run} carried out every step, but these still differ from what is declared:\n{lines}",
            hint="if nobody changed them meanwhile, this is a bug of reconcile: please report it with the plan"
            f"\n  then: reconcile apply --abandon {run}",
        )
    return after
