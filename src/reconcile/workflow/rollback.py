"""`reconcile rollback`: the plan that takes runs back; made here, carried out as any other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconcile import kept
from reconcile.diff import Options
from reconcile.errors import PlanError, ReconcileError, RefusedError, UnmetError
from reconcile.facts import Verb
from reconcile.migrations import KIND as MIGRATION
from reconcile.model import Address, Json, State
from reconcile.moments import of_run
from reconcile.order import ALL
from reconcile.plan import Plan
from reconcile.planfile import from_json
from reconcile.policy import Allowance
from reconcile.reversal import Past, Undone, back, in_or_of, overlaps, pasts, renames
from reconcile.stores.base import Canonical
from reconcile.suggest import meant
from reconcile.survey import Reading, Survey, reading
from reconcile.workflow.plan import shaped
from reconcile.workflow.spelling import spelled

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.ledger_rows import Run
    from reconcile.project import Project

_REVERSED = ("done", "stopped", "paused", "abandoned", "running", "migrating", "partly")
"""Outcomes of runs that may have changed something."""


@dataclass(frozen=True)
class _Back:
    """A run on its way back: what of it is asked for, and its renames."""

    run: Run
    pasts: tuple[Past, ...]
    names: tuple[tuple[Address, Address], ...]
    helpers: tuple[Address, ...]
    """Of one that stopped part-way: what its steps may have left besides."""


def rollback(
    project: Project, run: str | None, *, to: str | None = None, only: Sequence[str] = (), allow: Sequence[str] = ()
) -> Plan:
    """The plan that reverses a run, or all after one. Changes nothing anywhere.

    Args:
        run: the run to reverse: its id, the begin of it, or its number.
        to: instead of it, likewise: the run after which all are reversed, the latest first, as one plan.
        only: globs of addresses: nothing else is put back.
        allow: see `Options`.

    Raises:
        ReconcileError: there is no such run, or nothing to take back.
        RefusedError: a later run touched what it changed.
        PlanError: it cannot be taken back without touching what is not of these runs.
    """
    began = time.monotonic()
    for allowance in (*allow, *project.policy.allow):
        Allowance.parse(allowance)
    with reading(project) as found:
        chosen, later = _chosen(found.ledger, run, to)
        runs = [_on_its_way(r, only, found.ledger) for r in chosen]
        if not any(r.pasts for r in runs):
            raise ReconcileError(
                f"run {chosen[0].id} changed nothing" + (f" that matches {', '.join(only)}" if only else ""),
                hint="see: reconcile history",
            )
        _refuse_overlaps(runs, later)
        return _planned(found, runs, Options(allow=tuple(allow)), time.monotonic() - began)


def _on_its_way(run: Run, only: Sequence[str], ledger: Ledger) -> _Back:
    plan, asked = from_json(run.plan), tuple(_asked(pasts(run), only))
    journal = {} if run.outcome == "done" else ledger.journal(run.id)
    own = {str(p.address) for p in asked}
    begun = [s for s in plan.steps if s.id in journal and s.id.rpartition("/")[0] in own]
    made = {a for s in begun for a in s.debris} | {
        Address.parse(f.subject) for s in begun for f in s.gives if f.verb in (Verb.HAS, Verb.OK)
    }
    helpers = made - {c.address for c in plan.resource_changes}
    return _Back(run, asked, tuple(renames(plan)), tuple(sorted(helpers)))


def _chosen(ledger: Ledger, run: str | None, to: str | None) -> tuple[list[Run], list[Run]]:
    """The runs to take back, the latest first; and later ones that stay."""
    every = [r for r in ledger.runs(1_000_000) if r.outcome in _REVERSED]
    named = ledger.find(run or to or "")
    if named is None or named.id not in {r.id for r in every}:
        wrong = f"there is no run {run or to}" + (" that changed anything" if named is not None else "")
        raise ReconcileError(wrong, hint=meant(run or to or "", [r.id for r in every]) or "see: reconcile history")
    loaded = [full for r in every if r.number >= named.number and (full := ledger.run(r.id)) is not None]
    gone = _taken_back(loaded)
    if named.id in gone and to is None:
        raise ReconcileError(f"run {named.id} is rolled back already, by run {gone[named.id]}")
    left = [r for r in loaded if r.id not in gone and not (_runs_of(r) and set(_runs_of(r)) <= gone.keys())]
    later = [r for r in left if r.number > named.number]
    if to is not None:
        if not later:
            raise ReconcileError(f"nothing was changed after run {named.id}", hint="see: reconcile history")
        return later, []
    return [r for r in loaded if r.id == named.id], later


def _runs_of(run: Run) -> list[str]:
    return list((run.plan.get("rollback") or {}).get("runs", ()))


def _taken_back(runs: Sequence[Run]) -> dict[str, str]:
    """Runs of which every change was reversed, by which run; a rollback that was itself reversed counts no more."""
    found: dict[str, str] = {}
    for run in sorted(runs, key=lambda r: -r.number):
        if run.id not in found and run.outcome == "done" and not (run.plan.get("rollback") or {}).get("part"):
            found |= dict.fromkeys(_runs_of(run), run.id)
    return found


def _asked(run: Sequence[Past], only: Sequence[str]) -> list[Past]:
    """What `--only` names, with what is in what it names, and what of the run those need to be there again."""
    if not only:
        return list(run)
    gone = {p.at: p for p in run if p.was is not None}
    found, todo = set[Address](), [p.address for p in run if any(fnmatchcase(str(p.address), g) for g in only)]
    while todo:
        named = todo.pop()
        own = [p for p in run if p.address not in found and _belongs(p, named)]
        found |= {p.address for p in own}
        todo += [gone[a].address for p in own if p.was is not None for a in p.was.refers if a in gone]
    return [p for p in run if p.address in found]


def _belongs(past: Past, whole: Address) -> bool:
    """Whether it is about something, or about what was in it."""
    inside = past.address == whole or _in(past.address, whole)
    return inside or (past.was is not None and in_or_of(past.was, whole))


def _in(address: Address, whole: Address) -> bool:
    size = len(whole.parts)
    return address.store == whole.store and len(address.parts) > size and address.parts[:size] == whole.parts


def _refuse_overlaps(runs: Sequence[_Back], later: Sequence[Run]) -> None:
    lines, first, own = [], None, {r.run.id for r in runs}
    later = [run for run in later if not (_runs_of(run) and own.issuperset(_runs_of(run)))]  # a part is back already
    for run in sorted(later, key=lambda r: -r.number):
        undone = [p for r in runs for p in r.pasts if p.address.kind != MIGRATION]  # those stay as they are anyway
        touched = list(overlaps(undone, pasts(run)))
        lines += [f"  {address}: changed again by run {run.id}" for address in touched[:8]]
        first = first or (run.id if touched else None)
    if first is not None:
        oldest = min((r.run for r in runs), key=lambda r: r.number)
        raise RefusedError(
            f"run {oldest.id} cannot be rolled back alone; later runs touched what it changed:\n" + "\n".join(lines),
            hint=f"roll that back first: reconcile rollback {first}\n"
            "  or all runs after an earlier one, as one plan: reconcile rollback --to RUN",
        )


def _planned(found: Reading, runs: Sequence[_Back], options: Options, seconds: float) -> Plan:
    places = {a: row.live for a, row in found.applied.items()}
    stores = {name: Undone.of(store.live.state, store.package, found.desired) for name, store in found.stores.items()}
    for run in runs:
        for name, store in stores.items():
            own = [p for p in run.pasts if p.address.store == name]
            names = [pair for pair in run.names if pair[0] in {p.address for p in own}]
            store.undo(own, names, places, _kept(found, name, run))
            store.clear(a for a in run.helpers if a.store == name)
    differences, canonical = {}, {}
    for name, undone in stores.items():
        state = spelled(found, name, undone)
        differences[name] = undone.difference(state)
        canonical[name] = Canonical(state)
    bare = replace(found, desired=State())
    try:
        made = shaped(Survey(bare, options, canonical, differences), seconds, ALL, alone=True, back=False)
    except UnmetError as error:
        hint = "make that again before, or take the run that removed it back too: reconcile rollback --to RUN\n"
        raise PlanError(
            error.what, where=error.where, hint=f"{hint}  or leave out what needs it: --only ADDRESS"
        ) from error
    reasons = {"delete": "delete_because_rolled_back", "rename": None}
    changed = tuple(
        replace(c, action_reason=reasons.get(str(c.action_reason).partition("_")[0], c.action_reason))
        for c in made.resource_changes
    )
    notes = [_title(run.run) for run in runs] + [f"not undone: {a}: {why}" for a, why in _stays(runs)]
    notes += [f"not undone: {address}: its data was purged" for run in runs for address in _purged(found, run)]
    observed = {**made.observed, "notes": [*notes, *made.observed["notes"]]}
    return replace(
        made,
        resource_changes=changed,
        rollback=_described(runs, stores),
        hooks=of_run(found.project.hooks, (step.phase for step in made.steps), rollback=True),
        observed=observed,
        complete=False,
    )


def _kept(found: Reading, store: str, run: _Back) -> dict[Address, str]:
    """What of a run is still kept with its data in a store, and under which name."""
    there = kept.names(found.known, store)
    steps = from_json(run.run.plan).steps
    return {s.address: s.keeps for s in steps if s.address.store == store and s.keeps is not None and s.keeps in there}


def _purged(found: Reading, run: _Back) -> list[Address]:
    """What of a run was kept and is no more, though it is not there either."""
    asked = {p.address for p in run.pasts}
    steps = [s for s in from_json(run.run.plan).steps if s.keeps is not None and s.address in asked]
    gone = [s for s in steps if s.keeps not in kept.names(found.known, s.address.store)]
    return [s.address for s in gone if s.address not in found.lives[s.address.store]]


def _title(run: Run) -> str:
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.started))
    return f"rolls back run {run.id} of {at}"


def _stays(runs: Sequence[_Back]) -> list[tuple[str, str]]:
    """What cannot be undone, and why."""
    found = []
    for run in runs:
        known: Mapping[str, str] = (run.run.plan["observed"].get("reverse") or {}).get("cannot", {})
        stays = [p for p in run.pasts if p.was is not None and not p.reversible]
        found += [(str(p.address), known.get(str(p.address), "there is no step back")) for p in stays]
        asked = {str(p.address) for p in run.pasts} - {str(p.address) for p in stays}
        found += [(a, why) for a, why in known.items() if a in asked]
    return found


def _described(runs: Sequence[_Back], stores: Mapping[str, Undone]) -> Json:
    """What of which runs the plan reverses; the earliest run's past of an address is how it ends."""
    changes: dict[str, Json] = {}
    for run in runs:
        for past in run.pasts:
            if past.was is None or past.reversible:
                at = None if past.was is None else str(past.at)
                changes[str(past.address)] = {"address": str(past.address), "run": run.run.id, "at": at}
    brought = [[name, under] for name, store in stores.items() for _, under in store.brought]
    named = [(new, back(new, [(new, old)])) for run in runs for new, old in run.names
             if any(p.address == new for p in run.pasts)]  # fmt: skip
    part = any(len(run.pasts) < len(run.run.plan["resource_changes"]) for run in runs)
    return {
        "runs": [run.run.id for run in runs],
        "changes": list(changes.values()),
        "renames": [[str(new), str(old)] for new, old in named],
        **({"kept": brought} if brought else {}),
        **({"part": True} if part else {}),
    }
