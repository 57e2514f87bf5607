"""The report of a run: what it did, how long it took, what the stores held before and after. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import reconcile
from reconcile.change import Op
from reconcile.hazards import Hazard
from reconcile.model import Json
from reconcile.plan import Plan, ResourceChange
from reconcile.stores.figures import Count

FORMAT_VERSION = "1.0"
_GONE = frozenset({Hazard.DELETES_DATA, Hazard.IRREVERSIBLE})
"""What such a step takes does not come back, though its definition may."""
_MIGRATION = "migration"
"""The kind of addresses of hand-written migrations."""
UNITS = {"table": "rows", "label": "nodes", "relationship_type": "relationships", "collection": "points"}
"""What there is of each kind of thing that is counted."""


@dataclass(frozen=True)
class Figures:
    """What the stores hold at a moment."""

    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By store; see `stores.figures.Sized.size`."""
    counts: Mapping[str, Count] = field(default_factory=dict)
    """By address of a table, label, relationship type or collection."""


@dataclass(frozen=True)
class Told:
    """How a run went, besides its plan. Times are UTC seconds since 1970."""

    run: str
    number: int
    digest: str
    outcome: str
    """As in the ledger."""
    who: str
    commit: str | None
    started: float
    finished: float
    message: str
    states: Mapping[str, str]
    """Of steps, from the journal."""
    seconds: Mapping[str, float]
    """Of steps that are done; those of one group took it together."""
    before: Figures
    after: Figures
    versions: Mapping[str, str] = field(default_factory=dict)
    """How the project names the versions of its stores' schemas."""
    hooks: Sequence[Json] = ()
    checks: Sequence[Json] = ()
    """Declared checks, queries and probes: name, when, seconds, how they ended, figures."""
    issues: Sequence[str] = ()
    contacts: Sequence[str] = ()
    paused: str | None = None
    """The phase after which it has paused."""


def report(plan: Plan, told: Told) -> dict[str, Json]:
    """The report as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "tool": {"name": "reconcile", "version": reconcile.__version__},
        "project": plan.project,
        "environment": plan.environment,
        "run": told.run,
        "number": told.number,
        "digest": told.digest,
        "outcome": told.outcome,
        "who": told.who,
        "commit": told.commit,
        "started": told.started,
        "finished": told.finished,
        "seconds": round(told.finished - told.started, 3),
        "summary": plan.observed.get("summary", {}),
        "stores": [
            {
                "name": server.name,
                "kind": server.kind,
                "version": server.version,
                "schema_version": told.versions.get(server.name),
                "before": dict(told.before.sizes.get(server.name, {})),
                "after": dict(told.after.sizes.get(server.name, {})),
            }
            for server in plan.stores
        ],
        "counts": list(_counts(told.before.counts, told.after.counts)),
        "command": plan.observed.get("command"),
        "reason": plan.observed.get("reason"),
        "changes": [_change(change) for change in plan.resource_changes if change.part_of is None],
        "problem": _problem(plan),
        "breaking": _breaking(plan),
        "impact": _impact(plan),
        "migrations": list(_migrations(plan, told)),
        "groups": _groups(plan, told),
        "hooks": list(told.hooks),
        "checks": list(told.checks),
        "permitted": list(plan.observed.get("permitted", ())),
        "backup": plan.observed.get("backup"),
        "held": sorted({step.id.rpartition("/")[0] for step in plan.held}),
        "issues": list(told.issues),
        "message": told.message,
        "rollback": _rollback(plan, told),
        "contacts": list(told.contacts),
        "next": _next(plan, told),
    }


def _counts(before: Mapping[str, Count], after: Mapping[str, Count]) -> list[Json]:
    found = []
    for name in sorted({*before, *after}):
        first, last = before.get(name), after.get(name)
        both = first is not None and last is not None and first.exact and last.exact and first.number > 0
        found.append(
            {
                "address": name,
                "unit": UNITS.get(name.split(".")[1], "entries"),
                "before": first and first.number,
                "after": last and last.number,
                "exact": all(count.exact for count in (first, last) if count is not None),
                "preserved": round(last.number / first.number, 4) if both and first and last else None,
            }
        )
    return found


def _change(change: ResourceChange) -> Json:
    return {"address": str(change.address), "actions": list(change.actions), "describe": change.describe}


def _migrations(plan: Plan, told: Told) -> Iterator[Json]:
    """Hand-written migrations of the plan, each with what became of it."""
    steps = {step.id.rpartition("/")[0]: step.id for step in plan.steps}
    for change in plan.resource_changes:
        if change.address.kind != _MIGRATION:
            continue
        step = steps.get(str(change.address), "")
        state = told.states.get(step, "not begun")
        seconds = told.seconds.get(step)
        yield {
            "store": change.address.store,
            "folder": change.address.parts[0],
            "number": change.address.parts[1],
            "name": change.after["file"].rpartition("/")[2].rpartition(".")[0],
            "file": change.after["file"],
            "title": change.describe.partition("; allowed ")[0],
            "checksum": change.after["checksum"],
            "outcome": plan.observed.get("migrations") or {"done": "applied"}.get(state, state),
            "seconds": None if seconds is None else round(seconds, 3),
            "allowed": list(change.after.get("allowed", ())),
            "breaks": list(_run(plan, step).get("breaks", ())),
        }


def _run(plan: Plan, step: str) -> Mapping[str, Json]:
    """What the step that runs a migration is told about it."""
    own = next((s for s in plan.steps if s.id == step), None)
    return next((c.args for c in own.calls if isinstance(c, Op)), {}) if own is not None else {}


def _problem(plan: Plan) -> list[str]:
    """Why there was anything to do."""
    migrations = [c for c in plan.resource_changes if c.address.kind == _MIGRATION]
    summary = plan.observed.get("summary", {})
    counts = [f"{n} to {verb}" for verb, n in summary.items() if isinstance(n, int) and n]
    found = [str(plan.observed["reason"])] if plan.observed.get("reason") else []
    if len(migrations) < len([c for c in plan.resource_changes if c.part_of is None]):
        found.append(f"The stores were not as declared: {', '.join(counts)}.")
    if migrations and not plan.observed.get("migrations"):
        named = [f"{c.address.parts[1]} ({c.describe.partition('; allowed ')[0]})" for c in migrations]
        found.append(f"These migrations had not run: {', '.join(named)}.")
    return found


def _breaking(plan: Plan) -> list[str]:
    """What clients of the old schema notice, each with the place."""
    told = {str(c.address): f"{' then '.join(c.actions)}: {c.describe}" for c in plan.resource_changes}
    steps = [s for s in (*plan.steps, *plan.held) if Hazard.BREAKS_CLIENTS in s.hazards]
    found = [f"{own}: {told.get(own, 'replaced')}" for s in steps if (own := s.id.rpartition("/")[0])]
    for step in plan.steps:
        if step.address.kind == _MIGRATION:
            found += [f"{step.address}: {what}" for what in _run(plan, step.id).get("breaks", ())]
    return list(dict.fromkeys(found))


def _impact(plan: Plan) -> list[str]:
    """Hazards of its steps that have to be allowed, and dangers that its migrations are allowed; see `_breaking`."""
    hazards = {h.value for s in plan.steps for h in s.hazards if h.blocking and h is not Hazard.BREAKS_CLIENTS}
    allowed = [
        a for c in plan.resource_changes if c.address.kind == _MIGRATION for a in (c.after or {}).get("allowed", ())
    ]
    return sorted(hazards | {a.partition(" ")[0] for a in allowed})


def _groups(plan: Plan, told: Told) -> list[Json]:
    """One entry for each unit of transaction: its steps, state and time."""
    found = []
    for steps in plan.groups:
        states = [told.states.get(step.id, "not begun") for step in steps]
        times = [told.seconds[step.id] for step in steps if step.id in told.seconds]
        state = states[0] if len(set(states)) == 1 else "half done"
        found.append(
            {
                "phase": steps[0].phase.value,
                "store": steps[0].address.store,
                "state": state,
                "seconds": round(max(times), 3) if times else None,
                "steps": [step.id for step in steps],
                "hazards": sorted({hazard.value for step in steps for hazard in step.hazards}),
            }
        )
    return found


def _rollback(plan: Plan, told: Told) -> Json:
    """Whether the run can be undone, by which command, and what cannot."""
    changed = any(state != "failed" for state in told.states.values())
    changed = changed and any(change.address.kind != _MIGRATION for change in plan.resource_changes)
    lost = {str(change.address) for change in plan.resource_changes if not change.reversible}
    lost |= {step.id.rpartition("/")[0] for step in plan.steps if step.hazards & _GONE}
    command = f"reconcile rollback {told.run}" if changed and told.outcome in ("done", "stopped") else None
    return {"command": command, "irreversible": sorted(lost) if command else [], "by_hand": list(_by_hand(plan, told))}


def _by_hand(plan: Plan, told: Told) -> Iterator[str]:
    """How to take back what no rollback does: migrations that ran; that there is nothing to take back."""
    if told.outcome in ("done", "undone", "partly") and "done" not in told.states.values():
        yield "Nothing was changed: there is nothing to undo."
    for step in plan.steps:
        if step.address.kind == _MIGRATION and told.states.get(step.id) == "done":
            number, back = step.address.parts[1], _run(plan, step.id).get("back")
            how = f"run {back}" if back else "it has no way back: undo by hand what its statements did"
            yield f"{step.address}: {how}; then: reconcile migrate forget {number} --reason …"


def _next(plan: Plan, told: Told) -> list[str]:
    """What to do now, as sentences with commands."""
    if told.outcome == "stopped":
        return [
            "Go on with it once the cause is gone: reconcile apply --resume",
            f"Or leave it, and plan again: reconcile apply --abandon {told.run}",
        ]
    if told.outcome == "partly":
        return ["Go on once the cause is gone: reconcile migrate apply-all"]
    if told.outcome == "paused":
        return [f"It has paused after its phase {told.paused}. Go on with: reconcile apply --phase contract"]
    if told.outcome == "undone":
        return ["Nothing was changed: mend the cause, then plan and apply again."]
    held = sorted({step.id.rpartition("/")[0] for step in plan.held})
    waits = [f"When no client uses what they remove: reconcile release {told.run}"] if held else []
    if not held and told.issues:
        return ["All steps are done; look at the issues above."]
    return [*waits, "Nothing is left to do." if not held else f"{len(held)} changes wait for their release."]


def phases(groups: Sequence[Mapping[str, Json]]) -> dict[str, float]:
    """Seconds by phase, of what is done."""
    return {
        phase: sum(group["seconds"] or 0.0 for group in own)
        for phase, own in groupby(groups, key=lambda group: group["phase"])
    }
