"""What an apply does besides for rollbacks: remembers what was there, and records, proves and holds what is back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconcile import kept, planfile, rolled
from reconcile.errors import BlockedError, PartialError
from reconcile.ledger_rows import Applied
from reconcile.leftovers import left_behind
from reconcile.model import Address, Json, Resource, State, declared_only
from reconcile.plan import Plan, ResourceChange, fingerprint
from reconcile.policy import refusal
from reconcile.reversal import Past, back, pasts, whole_of
from reconcile.reversal import remembered as past_of
from reconcile.workflow.admission import Admitted, judged

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.ledger_rows import Run
    from reconcile.project import Project
    from reconcile.survey import Reading, Survey


def admitted(project: Project, made: Plan) -> Admitted:
    """An emergency: no allowance is asked for, nor any rule of the policy but `protect:`.

    Raises:
        BlockedError: something is protected.
    """
    free = replace(made, options=replace(made.options, allow=("all",)))
    policy = replace(project.policy, block=(), on_drift="revert")
    now = datetime.now(UTC)
    found = judged(replace(project, policy=policy), free, now)
    if found.blocked:
        reasons, hint = refusal(found.blocked, now.date())
        raise BlockedError(f"the plan has steps that are not allowed:\n{reasons}", hint=hint)
    return Admitted(found.permitted, emergency=True)


def other(run: Run | None, made: Plan) -> Run | None:
    """The unfinished run, unless this plan takes it back."""
    return None if run is not None and run.id in (made.rollback or {}).get("runs", ()) else run


def remembered(made: Plan, found: Reading) -> Plan:
    """The plan as the ledger is to have it: with what is there before it, so that it can be rolled back."""
    was = past_of(made, found.lives, found.applied)
    known = was or any(c.before is not None for c in made.resource_changes)
    return replace(made, observed={**made.observed, "was": was}) if known else made


def give_up(made: Plan, ledger: Ledger) -> None:
    """A run that stopped part-way and is now rolled back is over."""
    run = ledger.unfinished()
    if run is not None and other(run, made) is None:
        plan, journal = planfile.from_json(run.plan), ledger.journal(run.id)
        ledger.record((), (), left_behind(plan, journal) | kept.not_kept(plan.steps, journal))
        ledger.finish(run.id, "abandoned", run.message)


def proved(made: Plan, after: Survey, run: str) -> Survey:
    """Nothing of what a rollback promised may be left.

    Raises:
        PartialError: something is.
    """
    left, names = [], _names(made)
    ends = {}  # of a rename and an alteration of one address the later says how it ends
    for change in made.resource_changes:
        ends[back(change.address, names) if change.actions == ("rename",) else change.address] = change
    for there, change in ends.items():
        live = after.reading.lives[there.store].get(there)
        seen = None if live is None else live.attributes()
        if live is not None and live.unset_is_unmanaged and change.after is not None:
            seen = declared_only(seen, change.after)
        if seen != _without_nothing(change.after, seen) and not _as_good(change, live, after.reading):
            left.append(f"  {change.address}  {change.describe}")
    if left:
        raise PartialError(
            f"run {run} carried out every step, but these are not as they were:\n" + "\n".join(left),
            hint="if nobody changed them meanwhile, this is a bug of reconcile: please report it with the plan"
            f"\n  then: reconcile apply --abandon {run}",
        )
    return after


def _without_nothing(wanted: Json, seen: Json) -> Json:
    """What is wanted, but for parts of which there is to be nothing, and is nothing."""
    return wanted and {k: v for k, v in wanted.items() if v != {} or (seen and k in seen)}


def _as_good(change: ResourceChange, live: Resource | None, found: Reading) -> bool:
    """Whether the server spells what was wanted as what is there: it may print a text otherwise that it reads again."""
    if live is None or change.after is None:
        return False
    names = {f.metadata.get("json", name): name for name, f in live.__dataclass_fields__.items()}
    there = live.attributes()
    texts = {names[k]: v for k, v in change.after.items() if isinstance(v, str) and v != there.get(k)}
    wanted = live.replace(**texts)
    if wanted.attributes() != change.after:
        return False  # other than texts differ
    store = found.stores[live.address.store]
    spelled = store.session.canonical(store.live.state.add(wanted), store.live, found.known).state
    return spelled.get(live.address) == live


def _names(made: Plan) -> list[tuple[Address, Address]]:
    return [(Address.parse(a), Address.parse(b)) for a, b in made.rollback["renames"]]


def records(made: Plan, run: str, after: Survey) -> tuple[list[Applied], list[Address]]:
    """What a rollback has applied and what is gone by it, for the ledger."""
    if made.rollback is None:
        return [], []
    lives, applied = after.reading.lives, after.reading.applied
    new, gone = list[Applied](), list[Address]()

    def put(address: Address, at: Address) -> None:
        live = lives[at.store].get(at)
        if live is not None:
            form = live.attributes()
            new.append(Applied.of(address, form, form, fingerprint(live), at, run))

    names = _names(made)
    changed = {Address.parse(c["address"]): c["at"] and Address.parse(c["at"]) for c in made.rollback["changes"]}
    renamed = {then for _, then in names}
    for row in applied.values():
        if (at := back(row.live, names)) != row.live:
            gone.append(row.address)
            put(back(row.address, names), at)
        there = lives.get(row.live.store, State()).get(row.live)
        if there is not None and not renamed.isdisjoint(there.refers):  # the server tells of it by the old name again
            put(row.address, row.live)
    unrecorded = _unrecorded(made, after.reading.ledger)
    for address, at in changed.items():
        if at is None:
            gone.append(address)
        elif address not in {now for now, _ in names} and address not in unrecorded:
            put(address if address.kind == at.kind and address in applied else at, at)
    return new, gone


def _unrecorded(made: Plan, ledger: Ledger) -> set[Address]:
    """What was never applied, and only removed as undeclared."""
    return {p.address for p in _pasts(made, ledger).values() if not p.recorded}


def _pasts(made: Plan, ledger: Ledger) -> Mapping[Address, Past]:
    found: dict[Address, Past] = {}
    for name in made.rollback["runs"]:
        run = ledger.run(name)
        found |= {p.address: p for p in pasts(run)} if run is not None else {}
    return found


def held(made: Plan, run: str, after: Survey) -> dict[str, Json]:
    """For the ledger: what a rollback holds from now on; of any run, what is held no more."""
    before, desired = after.reading.known, after.reading.desired
    if made.rollback is None:
        return rolled.settled(before, desired) | kept.purged(made)
    gone = {k: v for store, name in made.rollback.get("kept", ()) for k, v in kept.over(store, [name]).items()}
    changed, now = _pasts(made, after.reading.ledger), time.time()
    rows = {}
    for change in made.rollback["changes"]:
        address = Address.parse(change["address"])
        whole = whole_of(address, desired, changed)
        rows[str(address)] = rolled.Rolled(change["run"], run, now, str(whole), rolled.wish(desired, whole))
    return rolled.settled(before, desired) | rolled.entries(rows) | gone
