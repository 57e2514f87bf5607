"""`reconcile kept`: what is kept of removals, brought back or deleted for good."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconcile import kept
from reconcile.backfills import keeping as of_backfills
from reconcile.diff import Difference, Options
from reconcile.errors import ReconcileError
from reconcile.model import Json, State
from reconcile.order import ALL
from reconcile.plan import Plan, ResourceChange
from reconcile.stores.base import Canonical, Keeps
from reconcile.suggest import meant
from reconcile.survey import Survey, open_ledger, reading
from reconcile.workflow.plan import shaped
from reconcile.workflow.rollback import rollback

if TYPE_CHECKING:
    from reconcile.project import Project


def kept_list(project: Project) -> list[Json]:
    """What is kept, the oldest first, as `kept.Kept` has it, and its `age` in seconds."""
    ledger = open_ledger(project)
    try:
        now = time.time()
        there = [*kept.read(ledger.known()).values(), *of_backfills.kept_rows(ledger)]
        rows = sorted(there, key=lambda row: (row.since, row.address))
        return [{**asdict(row), "age": now - row.since} for row in rows]
    finally:
        ledger.close()


def bring_back(project: Project, address: str, *, allow: Sequence[str] = ()) -> Plan:
    """The plan that brings something kept back, with what was taken off it. Changes nothing anywhere.

    It is a rollback of that part of the run that kept it, and is held as that.

    Raises:
        ReconcileError: nothing of this address is kept. Else as `rollback`.
    """
    found = [row for row in kept_list(project) if row["address"] == address]
    if found and found[-1]["backfill"] == address:
        hint = f"reconcile backfill down {address}"
        raise ReconcileError(f"what rows held is put back by the backfill itself: {address}", hint=hint)
    if not found:
        raise ReconcileError(f"nothing of {address} is kept", hint=_hint(project, address))
    if found[-1]["backfill"]:
        name = found[-1]["backfill"]
        hint = f"take that back, if it declares `down: restore`: reconcile backfill down {name}"
        raise ReconcileError(f"{address} was emptied by {name}, and has been filled again", hint=hint)
    return rollback(project, found[-1]["run"], only=(address,), allow=allow)


def purge(project: Project, addresses: Sequence[str], older_than: float = 0.0) -> Plan:
    """The plan that deletes what is kept, for good. Changes nothing anywhere.

    Args:
        addresses: globs of what it was, or names it is kept under; of nothing: everything, if it is old enough.
        older_than: seconds: only what has been kept for longer.

    Raises:
        ReconcileError: nothing that is kept is meant.
    """
    began = time.monotonic()
    with reading(project) as found:
        busy = of_backfills.under_way(found.ledger)
        rows = [
            row
            for row in (*kept.read(found.known).values(), *of_backfills.kept_rows(found.ledger))
            if row.address.partition(".")[0] in found.stores
            and row.backfill not in busy
            and time.time() - row.since >= older_than
            and (not addresses or any(row.name == a or fnmatchcase(row.address, a) for a in addresses))
        ]
        if not rows:
            raise ReconcileError("nothing that is kept is meant", hint=_hint(project, *addresses[:1]))
        nothing = {name: Difference((), s.live.state, {}, complete=False) for name, s in found.stores.items()}
        spelled = {name: Canonical(State()) for name in found.stores}
        survey = Survey(replace(found, desired=State()), Options(), spelled, nothing)
        made = shaped(survey, time.monotonic() - began, ALL, alone=True, back=False)
        steps, changes = [], []
        for row in rows:
            package = found.stores[row.address.partition(".")[0]].package
            if row.address == row.backfill:
                step = of_backfills.purged(row)
            else:
                assert isinstance(package, Keeps)
                step = package.purged(kept.where(row), row.name)
            steps.append(step)
            said = f"{row.describe} {row.address}, kept since run {row.run}".strip()
            there = kept.purged_at(row)
            changes.append(ResourceChange(there, ("delete",), {"name": row.name}, None, said, reversible=False))
        options = Options(allow=tuple(f"{h}={c.address}" for c in changes for h in ("deletes-data", "irreversible")))
        counts = {**made.observed["summary"], "drop": len(rows)}
        observed = {**made.observed, "summary": counts, "notes": [], "records": 0}
        return replace(
            made, options=options, resource_changes=tuple(changes), steps=tuple(steps), observed=observed, hooks=()
        )


def _hint(project: Project, *address: str) -> str:
    names = [row["address"] for row in kept_list(project)]
    return (meant(address[0], names) if address else None) or "see: reconcile kept list"
