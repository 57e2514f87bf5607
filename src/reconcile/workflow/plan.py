"""`reconcile plan`: read everything, compare, order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from reconcile import held, kept, load, moments, rolled, rules
from reconcile.causes import causes
from reconcile.change import Action, Change, Keeping, Phase, Step
from reconcile.diff import Options
from reconcile.errors import PlanError, Problem, ReconcileError
from reconcile.hazards import Hazard
from reconcile.looking import Look
from reconcile.machine import seconds_of
from reconcile.model import Address, Json
from reconcile.order import Choice
from reconcile.plan import Plan, ResourceChange, Steps, StoreView, build
from reconcile.policy import GLOB, Allowance, blocked, matches
from reconcile.stores.base import Receipt, Shared
from reconcile.suggest import meant
from reconcile.survey import Reading, Survey, reading, survey, unrecorded
from reconcile.waits import waits
from reconcile.workflow import wayback
from reconcile.workflow.admission import hazardous, judged, rewrites
from reconcile.workflow.costs import measured

if TYPE_CHECKING:
    from reconcile.project import Project


def plan(project: Project, options: Options | None = None, look: Look | None = None) -> Plan:
    """Read everything, compare, order. Changes nothing anywhere.

    Args:
        look: a look at the stores that has been begun already.

    Raises:
        ProjectError, StoreError, PlanError: see `survey`.
    """
    began = time.monotonic()
    options = options or Options()
    for allowance in (*options.allow, *project.policy.allow):
        Allowance.parse(allowance)
    with reading(project, look=look) as found:
        return planned(found, options, time.monotonic() - began)


def release(project: Project, names: Sequence[str], options: Options | None = None) -> Plan:
    """The plan of contract steps that wait, and of nothing else but what those need. Changes nothing anywhere.

    Args:
        names: addresses (globs) of their changes, or runs that held them back.

    Raises:
        ReconcileError: nothing that waits is meant. Else as `plan`.
    """
    began = time.monotonic()
    with reading(project) as found:
        waiting = held.read(found.known)
        chosen = {a for a, row in waiting.items() if any(row.run == n or matches(a, n) for n in names)}
        if not chosen:
            raise ReconcileError(
                f"nothing that waits for its release matches {', '.join(names)}",
                hint=meant(names[0], [*waiting, *(row.run for row in waiting.values())]) or "see: reconcile status",
            )
        choice = Choice(chosen=lambda step: step.id.rpartition("/")[0] in chosen)
        prune = max((waiting[a].prune for a in chosen), key=held.PRUNES.index)
        options = replace(options or Options(), prune=prune)
        return shaped(survey(found, options), time.monotonic() - began, choice, alone=True)


def planned(found: Reading, options: Options, seconds: float) -> Plan:
    """The plan from what was read, which took so many seconds.

    Raises:
        ProjectError, PlanError: see `survey`.
        ReconcileError: an option matches nothing.
    """
    _refuse_unmatched(found, options)
    return shaped(survey(found, options), seconds, waiting(found.project, held.read(found.known)))


def waiting(project: Project, rows: Mapping[str, held.Held]) -> Choice:
    """Which steps wait: those of the contract, where the policy holds them, unless they have waited long enough."""
    if project.policy.contract != "held":
        return Choice()
    after, now = project.policy.after, time.time()
    due = {a for a, row in rows.items() if after is not None and row.since + seconds_of(after) <= now}
    return Choice(waits=lambda step: step.phase is Phase.CONTRACT and step.id.rpartition("/")[0] not in due)


def ordered(found: Survey, choice: Choice, rows: Mapping[str, held.Held]) -> Steps:
    """The steps that remain between what was read and what is declared.

    Args:
        rows: what waits, by the ledger.

    Raises:
        PlanError: see `plan.build`.
    """
    project = found.reading.project
    views = [
        StoreView(
            name,
            store.server,
            store.package.ranks,
            found.differences[name],
            {**store.spec.settings, "contract": project.policy.contract, "names": project.policy.names},
            store.session.is_empty,
            Keeping(partial(_deletes, found), kept.names(found.reading.known, name)),
        )
        for name, store in found.reading.stores.items()
    ]

    def external(address: Address) -> bool:
        return project.selections[address.store].classify(address, None) == "external"

    def left(change: Change, own: Sequence[Step]) -> Sequence[Step]:
        row = rows.get(str(change.address))
        wanted = change.after and change.after.attributes()
        return own if row is None else held.left(own, wanted, row, found.reading.lives)

    return build(views, external, waits(found.reading.desired), choice, left)


def _deletes(found: Survey, address: Address) -> bool:
    """Whether the data at an address may be deleted: somebody who planned, the policy, or an approval says so."""
    project, what = found.reading.project, str(address)
    allowances = map(Allowance.parse, (*found.options.allow, *project.policy.allow))
    today = datetime.now(UTC).date()
    approved = any(a.until >= today and a.permits(Hazard.DELETES_DATA, what) for a in project.approvals)
    return approved or any(a.permits(Hazard.DELETES_DATA, what) for a in allowances)


def _refuse_unmatched(found: Reading, options: Options) -> None:
    """A glob that matches nothing is a slip, and must not look like a plan without changes."""
    globs = dict.fromkeys(options.only, "only") | dict.fromkeys(options.exclude, "exclude")
    if not globs:
        return
    names = {str(a) for state in (found.desired, *found.lives.values()) for a in state}
    for glob, option in globs.items():
        if not any(fnmatchcase(name, glob) for name in names):
            raise ReconcileError(
                f"--{option} {glob} matches nothing that is declared or live",
                hint=meant(glob, names) or "addresses are STORE.KIND.NAME, as the plan prints them",
            )


def shaped(found: Survey, read_seconds: float, choice: Choice, *, alone: bool = False, back: bool = True) -> Plan:
    """The plan of the differences found, with all that is to be told of it.

    Args:
        alone: it is about some changes only, and holds nothing back.
        back: work out its way back; else only what there would be to do is counted.

    Raises:
        PlanError: see `ordered`; or something out of the scope stands on what is dropped.
    """
    project, stores = found.reading.project, found.reading.stores
    rows = held.read(found.reading.known)
    built = ordered(found, choice, rows)
    if alone:  # what is not of this plan is not held by it either
        shown = {c.address for c in built.resource_changes}
        changes = tuple(c for c in built.changes if c.address in shown)
        built = replace(built, held=(), held_changes=(), changes=changes)
    _refuse_dependents(found.reading, built)
    _refuse_kept(found.reading, built)
    made = Plan(
        project=project.name,
        environment=project.environment,
        options=found.options,
        complete=not alone and all(d.complete for d in found.differences.values()),
        stores=tuple(store.server for store in stores.values()),
        ledger=project.ledger.store if project.ledger.file is None else None,
        resource_changes=built.resource_changes,
        steps=built.steps,
        fingerprints=built.fingerprints,
        held_changes=built.held_changes,
        held=built.held,
        hooks=moments.of_run(project.hooks, (step.phase for step in built.steps)),
    )
    observed = _observed(found, built, read_seconds, rows)
    made = replace(made, observed=observed)
    if built.resource_changes:
        reverse = wayback.told(found, made, built.changes) if back else wayback.in_short(made, built.changes)
        observed = {**observed, "reverse": reverse}
    notes = [*observed["notes"], *built.remarks, *_idle_allowances(made), *_idle_protection(found.reading)]
    decided = judged(project, made, datetime.now(UTC))
    stops = [refusal.to_json() for refusal in rules.sizes(project.policy, rewrites(made))]
    more = {
        **({"permitted": list(decided.permitted)} if decided.permitted else {}),
        **({"rules": stops} if stops else {}),
        "notes": [*notes, *(rules.stated(project.policy) if made.steps else ())],
        "blocked": list(decided.blocked),
    }
    return replace(made, observed={**observed, **more})


def _refuse_dependents(found: Reading, built: Steps) -> None:
    """Refuse to drop what is used out of the scope: the server would, in the middle of the apply."""
    problems: list[Problem] = []
    for name, store in found.stores.items():
        if isinstance(store.session, Shared):
            problems += store.session.dependents([s for s in built.steps if s.address.store == name])
    if problems:
        raise PlanError("\n".join(map(str, problems)))


def _refuse_kept(found: Reading, built: Steps) -> None:
    """Refuse to make what is kept under its very name, in a store that has no other name for it."""
    rows = {kept.where(row): row for row in kept.read(found.known).values()}
    problems = [
        Problem(
            f"{c.address} cannot be made: what it was, with its data, is kept under that name since run {row.run}",
            where=c.resource.source,
            hint=f"bring it back: reconcile kept restore {c.address}, and reconcile release {c.address}"
            f"\n  or delete it for good: reconcile kept purge {c.address}",
        )
        for c in built.changes
        if c.before is None and (row := rows.get(c.address)) is not None
        if row.name == c.address.parts[-1] and c.action is Action.CREATE
    ]
    if problems:
        raise PlanError("\n".join(map(str, problems)))


def _idle_allowances(made: Plan) -> list[str]:
    """A `--allow HAZARD=GLOB` that nothing of the plan needs: often a slip of the glob."""
    needed = blocked(hazardous(made), (), "refuse")
    return [
        f"--allow {text} allows nothing of this plan"
        for text in made.options.allow
        if "=" in text and not any(Allowance.parse(text).permits(Hazard(e["hazard"]), e["address"]) for e in needed)
    ]


def _idle_protection(found: Reading) -> list[str]:
    """An entry of `protect:` that names something which is neither declared nor there: often a slip."""
    named = [p for p in found.project.protect if not GLOB & set(p.glob)]
    states = (*found.lives.values(), found.desired) if named else ()
    known = {str(address) for state in states for address in state.resources}
    return [f"protect {p.glob} ({p.source}) is neither declared nor there" for p in named if p.glob not in known]


def _seen(found: Survey, change: Change) -> Json:
    """The attributes of what a change begins with as the store has them now, before any rename of this plan."""
    if change.before is None:
        return None
    seen = found.differences[change.address.store].fingerprinted(change.address)
    return (seen or change.before).attributes()


def _observed(found: Survey, built: Steps, read_seconds: float, rows: Mapping[str, held.Held]) -> dict[str, Json]:
    """All that depends on the moment."""
    project, applied = found.reading.project, found.reading.applied
    why = {
        str(c.address): causes(
            _seen(found, c),
            c.after and c.after.attributes(),
            applied.get(c.address),
            c.resource.unset_is_unmanaged,
        )
        for c in built.changes
    }
    differences = found.differences.items()
    companions = {c.address for c in built.resource_changes if c.companion_of}
    idle = {c.address for c in built.held_changes}
    since = {a: {"run": rows[a].run, "since": rows[a].since} for a in held.owners(built.held) if a in rows}
    drifted = [
        str(c.address)
        for c in built.changes
        if c.after is not None
        and c.address not in companions | idle
        and not (rows and held.as_held(found.reading.lives[c.address.store], _where(found, c), rows.values()))
        and any(cause["cause"] in ("drift", "both") for cause in why[str(c.address)])
    ]
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "read_seconds": f"{read_seconds:.1f}",
        "summary": summary(built.resource_changes),
        "sources": {
            str(c.address): c.resource.source.to_json() for c in built.changes if c.resource.source is not None
        },
        "causes": why,
        "costs": measured(found.reading, built),
        **({"places": places} if (places := _places(found, built)) else {}),
        "drift": drifted,
        **({"held": since} if since else {}),
        **({"rolled": _rolled(found)} if any(d.rolled for _, d in differences) else {}),
        "kept": [str(a) for _, d in differences for a in d.kept],
        "extra": [{"address": str(r.address)} for _, d in differences for r in d.extra],
        "not_modelled": [
            {"address": str(n.address), "what": n.what}
            for s in found.reading.stores.values()
            for n in s.live.not_modelled
        ],
        "unmanaged": [{"address": str(r.address)} for _, d in differences for r in d.unmanaged],
        "unknown": [str(a) for _, d in differences for a in d.unknown],
        "partial": {name: list(s.live.partial) for name, s in found.reading.stores.items() if s.live.partial},
        "unproved": [_receipt(r) for c in found.canonical.values() for r in c.unproved],
        "equal": [_receipt(r) for c in found.canonical.values() for r in c.receipts],
        "notes": [
            *(n for c in found.canonical.values() for n in c.notes),
            *(n for _, d in differences for n in d.notes),
        ],
        "records": sum(1 for _ in unrecorded(found)),
        "inputs": {"desired": load.digest(project), "variables": dict(project.variables or {})},
        "blocked": [],
    }


def _rolled(found: Survey) -> dict[str, Json]:
    """What is left out since a rollback: by address the run that was reversed and since when; {} of what needs it."""
    rows = rolled.read(found.reading.known)
    told = {a: {"run": row.run, "since": row.since} for a, row in rows.items()}
    return {str(a): told.get(str(a), {}) for d in found.differences.values() for a in d.rolled}


def _where(found: Survey, change: Change) -> Address:
    """Where what a change begins with stands in its store."""
    return found.differences[change.address.store].raw.get(change.address, change.address)


def _places(found: Survey, built: Steps) -> dict[str, str]:
    """Where what changes stands in its store, if not at its address: it was found by its definition."""
    there = ((c.address, _where(found, c)) for c in built.changes if c.before is not None)
    return {str(a): str(at) for a, at in there if at != a}


def _receipt(receipt: Receipt) -> Json:
    return {k: str(v) for k, v in vars(receipt).items() if v is not None}


def summary(changes: Iterable[ResourceChange]) -> dict[str, Json]:
    """Counts of the summary line; what a container's step carries out, and companions, are not counted."""
    words = {
        ("create",): "add",
        ("update",): "change",
        ("rebuild",): "rebuild",
        ("delete", "create"): "replace",
        ("create", "delete"): "replace",
        ("delete",): "drop",
        ("rename",): "rename",
    }
    totals: dict[str, int] = dict.fromkeys(words.values(), 0)
    kinds: dict[str, dict[str, int]] = {}
    for change in changes:
        if change.part_of is None and change.companion_of is None:
            word = words[change.actions]
            totals[word] += 1
            by_kind = kinds.setdefault(word, {})
            by_kind[change.address.kind] = by_kind.get(change.address.kind, 0) + 1
    return {**totals, "kinds": kinds}
