"""The end of a run: the proof that nothing of its plan is left, and what the ledger is told of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconcile import held
from reconcile.change import Phase
from reconcile.errors import PartialError, ReconcileError
from reconcile.leftovers import settled
from reconcile.order import Choice
from reconcile.plan import Plan
from reconcile.survey import Reading, Survey, reread, rows, survey
from reconcile.workflow import pausing, undoing
from reconcile.workflow.plan import ordered
from reconcile.workflow.promotion import reached
from reconcile.workflow.reporting import brought

if TYPE_CHECKING:
    from reconcile.project import Project


def proved(made: Plan, found: Reading, run: str) -> Survey:
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


def recorded(project: Project, made: Plan, run: str, after: Survey, unmet: PartialError | None) -> int:
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


def holds_back(made: Plan, found: Reading) -> bool:
    """Whether the ledger has to hear of what waits now, or waits no more."""
    waiting = held.read(found.known)
    return bool(held.entries(waiting, held.kept(made, "", 0.0, waiting, found.lives)))


def _kept(made: Plan, run: str, now: float, waiting: Mapping[str, held.Held], after: Survey) -> dict[str, held.Held]:
    unsettled = {str(c.address) for d in after.differences.values() for c in d.changes}
    return held.kept(made, run, now, waiting, after.reading.lives, unsettled)
