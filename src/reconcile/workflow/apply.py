"""`reconcile apply`: checks, lock, freshness, steps, proof, record."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconcile import planfile
from reconcile.apply import Event, OnEvent, execute
from reconcile.errors import PartialError, Problem, ReconcileError, RefusedError
from reconcile.freshness import remaining, stale
from reconcile.leftovers import settled
from reconcile.plan import Plan
from reconcile.stores.base import Ends
from reconcile.survey import Reading, Survey, open_ledger, reading, reread, rows, survey, world_of
from reconcile.workflow.admission import admit, no_unfinished, refuse_large
from reconcile.workflow.check import examined, told, told_before_steps
from reconcile.workflow.promotion import reached

if TYPE_CHECKING:
    from reconcile.project import Project


@dataclass(frozen=True)
class Outcome:
    """What an apply did."""

    run: str | None
    """None where nothing had to be done or recorded."""
    steps_done: int
    recorded: int
    seconds: float


def apply(
    project: Project,
    made: Plan,
    on_event: OnEvent = lambda event: None,
    *,
    end_idle: bool = False,
    backup: str | None = None,
) -> Outcome:
    """Carry out a plan, prove that nothing of it is left, record what is applied.

    Args:
        backup: evidence of a backup, where the policy requires it.
        end_idle: end sessions that hold what the steps need and do nothing, rather than be stopped by them.

    Raises:
        BlockedError: a step is not allowed; nothing was changed.
        RefusedError: lock held, plan stale, or another run unfinished; nothing was changed.
        PartialError: stopped part-way; says what is done.
        ReconcileError: it failed before anything was changed.
    """
    admitted = admit(project, made, backup)
    made = replace(made, observed={**made.observed, **admitted.to_json()})  # as the ledger is to have it
    ledger = open_ledger(project)
    try:
        epoch = ledger.lock_state().epoch
        no_unfinished(ledger.unfinished())
    finally:
        ledger.close()
    with reading(project) as found:
        return _apply(found, made, epoch, on_event, None, end_idle)


def resume(project: Project, on_event: OnEvent = lambda event: None, *, end_idle: bool = False) -> Outcome:
    """Go on with the run that stopped part-way; see `apply`.

    Raises:
        ReconcileError: there is none. Else as `apply`.
    """
    with reading(project) as found:
        run = found.ledger.unfinished()
        if run is None:
            raise ReconcileError("no run is unfinished", hint="plan and apply as usual")
        return _apply(found, planfile.from_json(run.plan), None, on_event, run.id, end_idle)


def _apply(
    found: Reading, made: Plan, epoch: int | None, on_event: OnEvent, resumed: str | None, end_idle: bool
) -> Outcome:
    began = time.monotonic()
    project, ledger = found.project, found.ledger
    _same_servers(made, found, bool(resumed))
    if not made.steps and not made.observed.get("records"):
        reached(project, made, ledger)
        return Outcome(None, 0, 0, time.monotonic() - began)
    if not resumed:
        refuse_large(made, found)
    _preflight(made, found, resumed, on_event, end_idle)
    ledger.ensure()
    run = resumed or uuid.uuid4().hex[:12]
    ledger.lock(run)
    on_event(Event("lock", detail=run))
    try:
        if epoch is not None and ledger.lock_state().epoch != epoch + 1:
            found = reread(found)  # somebody else's run came in between
            no_unfinished(ledger.unfinished())
        journal = ledger.journal(run) if resumed else {}
        lives = found.lives
        if resumed:
            pending = remaining(made, journal, lives)
        else:
            _fresh(made, found)
            pending = {s.id for s in made.steps}
            ledger.begin(run, planfile.to_json(made)["digest"], planfile.to_json(made))
        try:
            for store in found.stores.values():
                store.session.mark({"project": project.name, "environment": project.environment})
            ledger.stamp(world_of(found))
            sessions = {name: store.session for name, store in found.stores.items()}
            carried = execute(made, run, sessions, ledger, on_event, journal, pending)
            after = _proved(made, found, run)
            on_event(Event("verified"))
        except BaseException as error:
            stopped = isinstance(error, PartialError) or not isinstance(error, ReconcileError) or bool(resumed)
            ledger.finish(run, "stopped" if stopped else "undone", str(error))
            raise
        new, gone = rows(after, run)
        known = {k: v for canonical in after.canonical.values() for k, v in canonical.learned.items()}
        known |= settled(after.reading.known, {name: d.live for name, d in after.differences.items()})
        ledger.record(new, gone, known)
        ledger.finish(run, "done")
        reached(project, made, ledger)
        on_event(Event("recorded", total=len(new)))
        return Outcome(run, carried, len(new), time.monotonic() - began)
    finally:
        ledger.release()


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
    moved = stale(made, found.lives, found.empty)
    if moved:
        lines = "\n".join(f"  {line}" for line in moved)
        raise RefusedError(f"the plan is stale; since it was made, this moved:\n{lines}", hint="make a new plan")


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
    promised = {c.address for c in made.resource_changes}
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
