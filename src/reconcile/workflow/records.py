"""What only reads or mends the ledger: status, history, forget, unlock, abandon."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconcile import held, kept, planfile, rolled
from reconcile.apply import Event, OnEvent
from reconcile.change import Step
from reconcile.errors import ReconcileError
from reconcile.ledger_rows import Run
from reconcile.leftovers import left_behind
from reconcile.model import Address, Json
from reconcile.suggest import meant
from reconcile.survey import open_ledger
from reconcile.workflow import watching
from reconcile.workflow.reporting import plain, stated

if TYPE_CHECKING:
    from reconcile.project import Project


def status(project: Project) -> dict[str, Json]:
    """What the ledger knows: world, lock, unfinished run, the last runs, how much is applied by store."""
    ledger = open_ledger(project)
    try:
        world, lock, unfinished = ledger.world(), ledger.lock_state(), ledger.unfinished()
        begun = ledger.begun(unfinished.id) if unfinished else {}
        shown: dict[str, str] = {}
        if unfinished and begun:
            steps = [step for step in planfile.from_json(unfinished.plan).steps if step.id in begun]
            if lock.run == unfinished.id and not lock.expired:
                shown = watching.progress(project, steps)
            shown |= watching.backfilled(ledger.known(), steps)
        counts: dict[str, int] = {}
        for address in ledger.applied():
            counts[address.store] = counts.get(address.store, 0) + 1
        return {
            "project": project.name,
            "environment": project.environment,
            "ledger": ledger.placement,
            "stores": world and dict(world.stores),
            "lock": None if lock.run is None else {"run": lock.run, "holder": lock.holder, "expired": lock.expired},
            "unfinished": unfinished
            and {
                "run": unfinished.id,
                "outcome": unfinished.outcome,
                "started": unfinished.started,
                "who": unfinished.who,
                "message": unfinished.message,
                "journal": ledger.journal(unfinished.id),
                "notes": ledger.notes(unfinished.id),
                "steps": _steps(unfinished, ledger.journal(unfinished.id), begun, shown),
            },
            "held": [
                {
                    "address": a,
                    "run": h.run,
                    "since": h.since,
                    "steps": list(h.steps),
                    "describe": h.describe,
                    "hazards": list(h.hazards),
                }
                for a, h in sorted(held.read(ledger.known()).items())
                if h.steps
            ],
            "rolled": [
                {"address": a, "run": row.run, "by": row.by, "since": row.since}
                for a, row in sorted(rolled.read(ledger.known()).items())
            ],
            "applied": counts,
            "schema_versions": stated(ledger.known()),
            "runs": [_run(r) for r in ledger.runs(5)],
        }
    finally:
        ledger.close()


def _steps(run: Run, journal: Mapping[str, str], begun: Mapping[str, float], shown: Mapping[str, str]) -> Json:
    """How far a run has come: steps done of all, those under way since when, and what is thought to be left.

    Args:
        shown: what their servers tell of those under way.
    """
    ids = [step["id"] for step in run.plan["steps"]]
    costs = run.plan.get("observed", {}).get("costs", {})
    left = [costs.get(i, {}).get("seconds", 0) for i in ids if journal.get(i) != "done"]
    return {
        "total": len(ids),
        "done": sum(journal.get(i) == "done" for i in ids),
        "under_way": [{"step": s, "since": since, "progress": shown.get(s)} for s, since in begun.items()],
        "seconds_left": sum(left),
    }


def shown(project: Project, name: str) -> tuple[Json, Json]:
    """The report of a run and its plan.

    Args:
        name: the run's id, the begin of it, or its number.

    Raises:
        ReconcileError: there is no such run.
    """
    ledger = open_ledger(project)
    try:
        run = ledger.find(name)
        whole = run and ledger.run(run.id)
        if whole is None:
            ids = [known.id for known in ledger.runs()]
            raise ReconcileError(f"there is no run {name}", hint=meant(name, ids) or "see: reconcile history")
        return ledger.report(whole.id) or plain(project, ledger, whole), whole.plan
    finally:
        ledger.close()


def history(project: Project, limit: int = 50) -> list[Json]:
    """The latest runs, newest first."""
    ledger = open_ledger(project)
    try:
        runs = ledger.runs(limit)
        reports = ledger.reports([run.id for run in runs])
        for run in runs:
            if run.outcome in ("migrating", "partly") and run.id not in reports and (whole := ledger.run(run.id)):
                reports[run.id] = plain(project, ledger, whole)  # it was killed, or is under way
        return [{**_run(run), **_outline(reports.get(run.id))} for run in runs]
    finally:
        ledger.close()


def _outline(document: Json) -> dict[str, Json]:
    """What of a report stands in the list of runs."""
    if document is None:
        return {}
    versions = {s["name"]: s["schema_version"] for s in document["stores"] if s["schema_version"]}
    told = {
        key: document.get(key) for key in ("command", "reason", "migrations", "breaking", "impact")
    }  # older reports have none
    return {"summary": document["summary"], "commit": document["commit"], "schema_versions": versions, **told}


def _run(run: Run) -> Json:
    return {k: v for k, v in vars(run).items() if k != "plan"}


def forget(project: Project, addresses: Iterable[str]) -> list[Address]:
    """Stop managing: take addresses (globs) and what they contain out of the ledger; the stores are not touched.

    Raises:
        ReconcileError: nothing recorded matches.
        RefusedError: another run holds the lock.
    """
    globs = tuple(addresses)
    ledger = open_ledger(project)
    try:
        applied = ledger.applied()
        chosen = [a for a in applied if any(fnmatchcase(str(a), glob) for glob in globs)]
        inside = [a for a in applied if any(a.store == c.store and a.parts[: len(c.parts)] == c.parts for c in chosen)]
        if not chosen:
            raise ReconcileError("nothing applied matches " + ", ".join(globs), hint="see: reconcile status")
        run = uuid.uuid4().hex[:12]
        ledger.lock(run)
        try:
            ledger.record((), inside, {})
        finally:
            ledger.release()
        return inside
    finally:
        ledger.close()


def let_go(project: Project, names: Sequence[str]) -> list[str]:
    """Hold no more what a rollback put back: the next plan has it again. The stores are not touched.

    Args:
        names: addresses (globs), or runs that were rolled back.

    Returns:
        The addresses.

    Raises:
        RefusedError: another run holds the lock.
    """
    ledger = open_ledger(project)
    try:
        rows = rolled.read(ledger.known())
        meant = {
            row.whole for a, row in rows.items() if any(n in (row.run, row.by) or fnmatchcase(a, n) for n in names)
        }
        chosen = sorted(a for a, row in rows.items() if row.whole in meant)
        if chosen:
            run = uuid.uuid4().hex[:12]
            ledger.lock(run)
            try:
                ledger.record((), (), rolled.over(chosen))
            finally:
                ledger.release()
        return chosen
    finally:
        ledger.close()


def wait(project: Project, until: float, on_event: OnEvent = lambda event: None) -> bool:
    """Wait while a run holds the lock and goes on.

    Args:
        until: when to give up, on the clock of `time.monotonic`.

    Returns:
        Whether the lock is free, or its holder gone.
    """
    ledger = open_ledger(project)
    try:
        told = None
        while (state := ledger.lock_state()).run is not None and not state.expired:
            if time.monotonic() >= until:
                return False
            if state.run != told:
                on_event(Event("waiting", detail=f"for run {state.run} by {state.holder}"))
                told = state.run
            time.sleep(random.uniform(0.2, 0.6))  # several wait, as instances of a deployment do
        return True
    finally:
        ledger.close()


def unlock(project: Project, run: str) -> None:
    """Take the lock from a run whose process is gone.

    Raises:
        ReconcileError: that run does not hold it.
    """
    ledger = open_ledger(project)
    try:
        if not ledger.unlock(run):
            raise ReconcileError(f"run {run} does not hold the lock", hint="see: reconcile status")
    finally:
        ledger.close()


def abandon(project: Project, run: str) -> tuple[Step, ...]:
    """Declare an unfinished run over, without going on with it.

    Returns:
        Steps that were left out and that no later plan asks for, since only the journal shows that they are missing:
        an index that has its new options but was not built again.

    Raises:
        ReconcileError: it is not unfinished.
    """
    ledger = open_ledger(project)
    try:
        unfinished = ledger.unfinished()
        if unfinished is None or unfinished.id != run:
            raise ReconcileError(f"run {run} is not unfinished", hint="see: reconcile status")
        plan, journal = planfile.from_json(unfinished.plan), ledger.journal(run)
        missing = _unseen(plan.steps, journal)
        ledger.record((), (), left_behind(plan, journal) | kept.not_kept(plan.steps, journal))
        ledger.finish(run, "abandoned", unfinished.message)
        return missing
    finally:
        ledger.close()


def _unseen(steps: Iterable[Step], journal: Mapping[str, str]) -> tuple[Step, ...]:
    """Journalled steps not done, of changes of which another step is: the store looks as if all were."""
    begun = {id.rpartition("/")[0] for id, state in journal.items() if state == "done"}
    return tuple(s for s in steps if s.journalled and journal.get(s.id) != "done" and s.id.rpartition("/")[0] in begun)
