"""Whether a plan may be carried out at all, whatever the stores say: policy, hazards, an unfinished run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile.change import Phase
from reconcile.errors import BlockedError, RefusedError
from reconcile.ledger_rows import Run
from reconcile.plan import Plan
from reconcile.policy import refusal
from reconcile.workflow.plan import blocked_in

if TYPE_CHECKING:
    from reconcile.model import Json
    from reconcile.project import Project


def admit(project: Project, made: Plan) -> None:
    """Ask policy.

    Raises:
        BlockedError: a step is not allowed, or what the policy wants cannot be had; names all of it.
    """
    _refuse_unavailable(project, made)
    entries = blocked_in(project, made)
    if entries:
        reasons, options = refusal(entries)
        raise BlockedError(
            f"the plan has steps that are not allowed:\n{reasons}", hint=f"to allow them, add:  {options}"
        )
    if made.observed.get("unproved"):
        raise BlockedError(
            f"these cannot be proved equal or different here:\n{_unproved(made.observed['unproved'])}",
            hint="declare each as the store has it (`reconcile plan` shows both), or see `equality:` of the store",
        )


def _refuse_unavailable(project: Project, made: Plan) -> None:
    """A policy that this version cannot keep must not look kept."""
    if project.policy.require_backup and made.steps:
        raise BlockedError(
            "policy require_backup is set, and this version takes and checks no backups",
            where=project.source,
            hint="take one by your own means and set require_backup: false for this environment",
        )
    waiting = [step.id for step in made.steps if step.phase is Phase.CONTRACT]
    if project.policy.contract == "held" and waiting:
        raise BlockedError(
            "policy contract: held is set, and this version cannot hold these steps back:\n"
            + "\n".join(f"  {step}" for step in waiting),
            where=project.source,
            hint="leave them out with --exclude, or set contract: together",
        )


def no_unfinished(run: Run | None) -> None:
    """
    Raises:
        RefusedError: a run is.
    """
    if run is not None:
        raise RefusedError(
            f"run {run.id} is unfinished",
            hint=f"go on with it: reconcile apply --resume\n  leave it:      reconcile apply --abandon {run.id}",
        )


def _unproved(entries: Json) -> str:
    places = (f"{u['where']}: " if u.get("where") else "" for u in entries)
    return "\n".join(f"  {place}{u['address']}: {u['how']}" for place, u in zip(places, entries, strict=True))
