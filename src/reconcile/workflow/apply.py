"""`reconcile apply`: checks, lock, freshness, steps, proof, record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from reconcile import planfile
from reconcile.apply import Event, OnEvent, heartbeat
from reconcile.change import Phase
from reconcile.checkup import stopping
from reconcile.errors import ReconcileError
from reconcile.plan import Plan
from reconcile.survey import Reading, open_ledger, reading, reread
from reconcile.workflow import before, pausing, undoing
from reconcile.workflow.admission import admit, no_unfinished, refuse_large
from reconcile.workflow.carrying import Carrying, How, OnBegin, Outcome
from reconcile.workflow.migrating import mended
from reconcile.workflow.promotion import reached
from reconcile.workflow.proving import holds_back
from reconcile.workflow.reporting import OnReport, Recorder, brought

if TYPE_CHECKING:
    from reconcile.ledger_rows import Run
    from reconcile.project import Project


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
    on_begin: OnBegin | None = None,
    emergency: bool = False,
) -> Outcome:
    """Carry out a plan, prove that nothing of it is left, record what is applied.

    Args:
        backup: evidence of a backup, where the policy requires it.
        until: the last phase to carry out; the run then pauses, if there are steps of later ones.
        end_idle: end sessions that hold what the steps need and do nothing, rather than be stopped by them.
        stop: asked before each group of steps: what wants the run to stop there, if anything does.
        on_report: given the run's report when it ends, also where it fails once it has begun; rows are then counted.
        on_begin: given the run's name, its plan and its way back as JSON before the first step; None where that cannot
            be worked out, and why.
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
        return _apply(found, made, epoch, None, How(on_event, end_idle, Phase(until), stop, on_report, on_begin))


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
        made, told = mended(made, project, run.id, found.ledger.journal(run.id))
        for line in told:
            on_event(Event("warning", detail=line))
        last = pausing.limit(run, pause, None if until is None else Phase(until))
        how = How(on_event, end_idle, last, stop, on_report)
        if run.outcome == "paused":
            admit(project, made, backup or made.observed.get("backup"))
        return _apply(found, made, None, run, how)


def _apply(found: Reading, made: Plan, epoch: int | None, unfinished: Run | None, how: How) -> Outcome:
    began = time.monotonic()
    recorder = Recorder(made, how.on_event, exact=how.on_report is not None)
    resumed = None if unfinished is None else unfinished.id
    project, ledger = found.project, found.ledger
    before.same_servers(made, found, bool(resumed))
    told = made.observed.get("records") or holds_back(made, found) or brought(project, found.known, "")
    if not made.steps and not told:
        if not stopping(ledger.check()):  # who may not write it may still be told that nothing is to do
            reached(project, made, ledger)
        return Outcome(None, 0, 0, time.monotonic() - began)
    if not resumed:
        refuse_large(made, found)
    now = replace(made, steps=tuple(s for s in made.steps if s.phase.rank <= how.until.rank))
    before.preflight(now, found, resumed, recorder, how.end_idle)
    results = before.asserted(made, found, unfinished, recorder)
    ledger.ensure()
    run = resumed or uuid.uuid4().hex[:12]
    ledger.lock(run)
    recorder(Event("lock", detail=run))
    try:
        if epoch is not None and ledger.lock_state().epoch != epoch + 1:
            found = reread(found)  # somebody else's run came in between
            no_unfinished(undoing.other(ledger.unfinished(), made))
        with heartbeat(ledger):  # hooks, backups and the proof may take longer than the lock holds
            return Carrying(found, made, run, unfinished, how, recorder, results, began).go()
    finally:
        ledger.release()
