"""`apply --phase`: a run that pauses between two phases, and goes on when it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconcile.change import Phase
from reconcile.errors import ReconcileError, RefusedError
from reconcile.facts import Verb
from reconcile.model import Address, Json, State
from reconcile.plan import Plan, fingerprint
from reconcile.survey import open_ledger

if TYPE_CHECKING:
    from reconcile.ledger_rows import Run
    from reconcile.project import Project

_KEY = "phase "
"""Before the run, in what the ledger knows."""


@dataclass(frozen=True)
class Pause:
    """Where a run is to pause, or has."""

    until: Phase
    """The last phase it may carry out."""
    live: Mapping[str, str] | None = None
    """Of a run that has: fingerprints of what its other steps touch, by address."""


def read(known: Mapping[str, Json], run: str) -> Pause | None:
    """What the ledger knows of it; None of a run that goes through."""
    entry = known.get(f"{_KEY}{run}")
    return None if entry is None else Pause(Phase(entry["until"]), entry["live"])


def begun(known: Mapping[str, Json], run: str, until: Phase) -> dict[str, Json]:
    """For the ledger: a run that pauses after a phase, or goes through at last."""
    if until is Phase.CONTRACT:
        return over(known, run)
    return {f"{_KEY}{run}": {"until": until.value, "live": None}}


def paused(run: str, until: Phase, made: Plan, lives: Mapping[str, State]) -> dict[str, Json]:
    """For the ledger: a run that has paused."""
    return {f"{_KEY}{run}": {"until": until.value, "live": _touched(made, until, lives)}}


def over(known: Mapping[str, Json], run: str) -> dict[str, Json]:
    """For the ledger: a run that pauses no more."""
    return {f"{_KEY}{run}": None} if known.get(f"{_KEY}{run}") is not None else {}


def _touched(made: Plan, until: Phase, lives: Mapping[str, State]) -> dict[str, str]:
    """Fingerprints of what the steps after a phase touch and need, as it stands now."""
    steps = [s for s in made.steps if s.phase.rank > until.rank]
    names = {f.subject for s in steps for f in (*s.needs, *s.gives) if f.verb is not Verb.DONE}
    found = sorted(map(Address.parse, names | {str(s.address) for s in steps}))
    return {str(a): fingerprint(lives[a.store].get(a)) for a in found}


def refuse_moved(run: str, pause: Pause, made: Plan, lives: Mapping[str, State]) -> None:
    """
    Raises:
        RefusedError: what the rest of a paused run touches is not as the run left it.
    """
    now = _touched(made, pause.until, lives)
    moved = [address for address, was in (pause.live or {}).items() if now.get(address) != was]
    if moved:
        lines = "\n".join(f"  {address}" for address in moved)
        raise RefusedError(
            f"since the run paused, this moved:\n{lines}",
            hint=f"put it back as it was, or leave the run and plan again: reconcile apply --abandon {run}",
        )


def paused_run(project: Project) -> str | None:
    """The run that has paused, if one has."""
    ledger = open_ledger(project)
    try:
        run = ledger.unfinished()
        return run.id if run is not None and run.outcome == "paused" else None
    finally:
        ledger.close()


def limit(run: Run, pause: Pause | None, wanted: Phase | None) -> Phase:
    """How far an unfinished run goes on: as far as is asked for, else as it was told when it began.

    Raises:
        ReconcileError: it is past the phase that is asked for; or it has paused, and no phase is asked for.
    """
    before = Phase.CONTRACT if pause is None else pause.until
    if run.outcome != "paused":
        return wanted or before
    further = [phase.value for phase in Phase if phase.rank > before.rank]
    ways = "\n  ".join(f"reconcile apply --phase {phase}" for phase in further)
    if wanted is None:
        raise RefusedError(
            f"run {run.id} has paused after its phase {before}", hint=f"say how far it goes on:\n  {ways}"
        )
    if wanted.rank <= before.rank:
        raise ReconcileError(f"run {run.id} has carried out its phase {before} already", hint=f"go on with:\n  {ways}")
    return wanted
