"""Recovery points: backups that a run makes of itself at its moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconcile.apply import Event, OnEvent, heartbeat
from reconcile.errors import ReconcileError
from reconcile.moments import Moment
from reconcile.plan import Plan

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.project import Project

OWN = "made by the run itself, before its first step"
"""Evidence of a backup that is still to be made."""
JOURNAL = "moment/backup/"
"""Before a point, in the journal: no step's id begins so."""
_POINTS = {
    Moment.BEFORE: "before",
    Moment.BEFORE_ROLLBACK: "before",
    Moment.AFTER_EXPAND: "expand",
    Moment.AFTER_MIGRATE: "migrate",
}


def asked(project: Project, plan: Plan, moment: Moment, journal: Mapping[str, str]) -> str | None:
    """The point of `backup: {points: …}`, or of `apply --backup`, at a moment; None where none is wanted, or is made.

    Args:
        journal: what an earlier try of the run wrote: once a step was begun there is no backup from before.
    """
    point = _POINTS.get(moment)
    wanted = {*project.backup.points, *(("before",) if OWN in (plan.observed.get("backup") or "") else ())}
    if point not in wanted or plan.observed.get("emergency") or journal.get(f"{JOURNAL}{point}") == "done":
        return None
    late = point == "before" and any(not step.startswith("moment/") for step in journal)
    return None if late else point


def make(project: Project, run: str, point: str, ledger: Ledger, on_event: OnEvent) -> None:
    """Make the backup of a point and journal it; the lock is held meanwhile.

    Raises:
        ReconcileError: there is none, and the run must not go on as if there were.
    """
    from reconcile.workflow.backup import back_up, sentence

    when = {"before": "before the first step", "expand": "after expand", "migrate": "after migrate"}[point]
    try:
        with heartbeat(ledger):
            found = back_up(project, reason=f"run {run}, {when}")
    except ReconcileError as error:
        raise ReconcileError(
            f"the backup {when} could not be made: {error.what}",
            where=error.where,
            hint=error.hint,
        ) from error
    ledger.write(run, [f"{JOURNAL}{point}"], "done", detail=found.name)
    on_event(Event("backup", detail=f"{when}: {sentence(found)}"))
