"""What is asked before a run begins: that it is the right world, that nothing has moved, that nothing would stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile.apply import Event, OnEvent
from reconcile.errors import Problem, ReconcileError, RefusedError, StaleError
from reconcile.findings import Result
from reconcile.freshness import remaining, stale
from reconcile.plan import Plan
from reconcile.stores.base import Ends
from reconcile.survey import Reading
from reconcile.workflow import asserting
from reconcile.workflow.check import examined, told, told_before_steps
from reconcile.workflow.migrating import refuse_moved
from reconcile.workflow.moments import moved

if TYPE_CHECKING:
    from reconcile.ledger_rows import Run


def same_servers(made: Plan, found: Reading, resumed: bool) -> None:
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


def preflight(made: Plan, found: Reading, resumed: str | None, on_event: OnEvent, end_idle: bool) -> None:
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


def asserted(made: Plan, found: Reading, unfinished: Run | None, on_event: OnEvent) -> list[Result]:
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


def fresh(made: Plan, found: Reading) -> None:
    """
    Raises:
        StaleError: something that the plan was made from has moved; names all of it.
    """
    if moved(made, found.project):
        raise StaleError(
            "the plan is stale: `hooks:` of reconcile.yaml moved since it was made", hint="make a new plan"
        )
    refuse_moved(made, found.project)
    gone = stale(made, found.lives, found.empty)
    if gone:
        lines = "\n".join(f"  {line}" for line in gone)
        raise StaleError(f"the plan is stale; since it was made, this moved:\n{lines}", hint="make a new plan")
