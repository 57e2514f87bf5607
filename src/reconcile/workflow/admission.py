"""Whether a plan may be carried out at all, whatever the stores say: policy, hazards, an unfinished run.

What the rules look at is gathered here; they themselves are in `policy` and `rules`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconcile import rules
from reconcile.errors import BlockedError, ReconcileError, RefusedError
from reconcile.facts import Verb
from reconcile.hazards import Hazard
from reconcile.hidden import secrets_of
from reconcile.ledger_rows import Run
from reconcile.model import Address
from reconcile.plan import Plan
from reconcile.policy import Allowance, Judgement, Permits, judge, refusal
from reconcile.stores import package
from reconcile.workflow.promotion import elsewhere

if TYPE_CHECKING:
    from reconcile.model import Json
    from reconcile.project import Project
    from reconcile.survey import Reading


@dataclass(frozen=True)
class Admitted:
    """What a plan was admitted by, for the ledger."""

    permitted: tuple[Json, ...] = ()
    backup: str | None = None
    emergency: bool = False

    def to_json(self) -> dict[str, Json]:
        """The part of `observed` that says so."""
        permitted: dict[str, Json] = {"permitted": list(self.permitted)} if self.permitted else {}
        permitted |= {"emergency": True} if self.emergency else {}
        return {**permitted, **({"backup": self.backup} if self.backup is not None else {})}


def admit(project: Project, made: Plan, backup: str | None = None) -> Admitted:
    """Ask policy.

    Args:
        backup: what who applies says of a backup; `points.OWN`: the run makes one before its first step.

    Raises:
        BlockedError: a step is not allowed, or a rule stops the apply; names all of it.
        RefusedError: only the window is shut.
    """
    admitted, found = _asked(project, made, backup, asking=False)
    if len(found) == 1:
        raise found[0]
    if found:
        found.sort(key=lambda error: error.hint is not None)  # what is to be pasted stands after its reasons
        hints = "\n  ".join(error.hint for error in found if error.hint)
        raise BlockedError("\n".join(error.what for error in found), hint=hints or None)
    return admitted


def objections(project: Project, made: Plan) -> list[ReconcileError]:
    """What `admit` would say, if it were applied now with evidence of a backup where somebody has to give it."""
    return _asked(project, made, None, asking=True)[1]


def _asked(project: Project, made: Plan, backup: str | None, *, asking: bool) -> tuple[Admitted, list[ReconcileError]]:
    now = datetime.now(UTC)
    judgement = judged(project, made, now)
    found = list[ReconcileError]()
    if judgement.blocked:
        reasons, hint = refusal(judgement.blocked, now.date())
        found.append(BlockedError(f"the plan has steps that are not allowed:\n{reasons}", hint=hint))
    if made.observed.get("unproved"):
        what = f"these cannot be proved equal or different here:\n{_unproved(made.observed['unproved'])}"
        hint = "declare each as the store has it (`reconcile plan` shows both), or see `equality:` of the store"
        found.append(BlockedError(what, hint=hint))
    if not made.steps:
        return Admitted(judgement.permitted), found
    evidence, lacks = _backup(project, backup, now)
    later = asking and evidence is None and not project.policy.backup_command
    facts = rules.Facts(
        environment=project.environment,
        now=now,
        ci=in_ci(),
        backup="asked for when it is applied" if later else evidence,
        no_backup=lacks,
        elsewhere=elsewhere(project),
        seconds=estimate(made),
        rewrites=rewrites(made),
    )
    if refusals := rules.refusals(project.policy, facts):
        found.append(_refused(refusals, project))
    return Admitted(judgement.permitted, evidence), found


def judged(project: Project, made: Plan, now: datetime) -> Judgement:
    """What policy, approvals and `--allow` say of the hazards of a plan; see `policy.judge`."""
    policy = project.policy
    permits = Permits(
        asked=tuple(map(Allowance.parse, made.options.allow)),
        allow=tuple(map(Allowance.parse, policy.allow)),
        block=tuple(map(Allowance.parse, policy.block)),
        approvals=project.approvals,
        protect=project.protect,
        on_drift=policy.on_drift,
        today=now.date(),
        sources=policy.sources,
    )
    return judge(hazardous(made), permits)


def hazardous(made: Plan) -> Json:
    """The part of a plan's JSON that `policy.judge` reads."""
    steps = [{"id": s.id, "hazards": sorted(s.hazards)} for s in made.steps if s.hazards]
    return {"steps": steps, "observed": {"drift": made.observed["drift"]}, "touched": _touched(made)}


def _touched(made: Plan) -> dict[str, list[str]]:
    """By address of a change, or of drift: what else its steps change or remove, and what all of that is in."""
    found: dict[str, dict[str, None]] = {}
    for step in made.steps:
        if step.hazards:
            own = found.setdefault(step.id.rpartition("/")[0], {})
            own[str(step.address)] = None
            own |= {f.subject: None for f in step.gives if f.verb is Verb.NO}
    for change in made.resource_changes:
        if change.part_of is not None and (whole := found.get(str(change.part_of))) is not None:
            whole[str(change.address)] = None
    for address in made.observed["drift"]:
        found.setdefault(address, {})
    kinds = {server.name: package(server.kind).containers for server in made.stores}
    return {address: [*others, *_around((address, *others), kinds)] for address, others in found.items()}


def _around(addresses: Iterable[str], kinds: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """What things may be in, by their names: `app.table.public.notes` of a column `app.column.public.notes.id`.

    Args:
        kinds: by store those of its containers.
    """
    for text in addresses:
        address = Address.parse(text)
        if len(address.parts) > 1:
            yield from (str(Address(address.store, k, address.parts[:-1])) for k in sorted(kinds[address.store]))


def in_ci() -> bool:
    """Whether a CI system runs this."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def estimate(made: Plan) -> float:
    """How long the steps are thought to take, in seconds, as far as anything is known of it."""
    return float(sum(cost.get("seconds", 0) for cost in made.observed.get("costs", {}).values()))


def rewrites(made: Plan) -> dict[str, Mapping[str, int]]:
    """By address whose step rewrites a table: what of that table was measured with the plan."""
    costs = made.observed.get("costs", {})
    return {s.id.rpartition("/")[0]: costs.get(s.id, {}) for s in made.steps if Hazard.REWRITES_TABLE in s.hazards}


def refuse_large(made: Plan, found: Reading) -> None:
    """Measure the tables that are rewritten again: a plan may be old.

    Raises:
        BlockedError: one is larger than the policy lets it be.
    """
    if found.project.policy.largest_rewrite is None:
        return
    measured = {}
    for address in {s.address: None for s in made.steps if Hazard.REWRITES_TABLE in s.hazards}:
        live = found.lives[address.store].get(address)
        if live is not None:
            table = live.container or address
            measured[str(address)] = found.stores[address.store].session.measure({table}).get(table, {})
    if refusals := rules.sizes(found.project.policy, measured):
        raise _refused(refusals, found.project)


def _refused(found: list[rules.Refusal], project: Project) -> ReconcileError:
    lines = "\n".join(map(str, found))
    kind = RefusedError if all(refusal.passes for refusal in found) else BlockedError
    return kind(f"the policy of {project.environment} stops this apply; nothing was changed:\n{lines}")


def _backup(project: Project, said: str | None, now: datetime) -> tuple[str | None, str | None]:
    """The evidence of a backup, and what says instead that there is none."""
    from reconcile import commands
    from reconcile.workflow import points

    command = project.policy.backup_command
    if points.OWN in (said or "") or "before" in project.backup.points:
        return said or points.OWN, None
    if not command:
        if said or not project.policy.require_backup:
            return (said or None), None
        from reconcile.workflow.backup import evidence

        return evidence(project, project.policy.backup_within, now.timestamp())
    hidden = secrets_of(project)
    done = commands.apart(command, project.directory, project.policy.backup_timeout, secrets=hidden)
    if done.code is None:
        return None, f"{command[0]} cannot say that there is a backup: {done.failure}"
    if not done.ok:
        return None, f"{command[0]} says that there is none ({done.failure})"
    first = done.first or f"{command[0]} ended with 0"
    return (f"{first}; {said}" if said else first), None


def no_unfinished(run: Run | None) -> None:
    """
    Raises:
        RefusedError: a run is.
    """
    if run is not None:
        state, way = ("has paused", "--phase contract") if run.outcome == "paused" else ("is unfinished", "--resume")
        raise RefusedError(
            f"run {run.id} {state}",
            hint=f"go on with it: reconcile apply {way}\n  take it back:  reconcile rollback {run.id}\n"
            f"  leave it:      reconcile apply --abandon {run.id}",
        )


def _unproved(entries: Json) -> str:
    places = (f"{u['where']}: " if u.get("where") else "" for u in entries)
    return "\n".join(f"  {place}{u['address']}: {u['how']}" for place, u in zip(places, entries, strict=True))
