"""The way back of a plan before it is carried out: what would reverse it. Reads only.

What a plan will do is applied to the states that were read; how to get back from there is worked out as a rollback
does it. Whether what the plan makes will hold data by then nobody knows: the steps that drop it look first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from reconcile import held, kept, pending
from reconcile.change import Change, Irreversible, Keeping, Step, applied
from reconcile.diff import Difference
from reconcile.errors import PlanError
from reconcile.facts import no
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.plan import EMPTY, Plan, Steps, StoreView, build
from reconcile.reversal import Past, Undone, pasts_of, remembered, renames
from reconcile.stores.base import Guards
from reconcile.survey import Reading, Survey, survey
from reconcile.workflow.costs import measured, seconds
from reconcile.workflow.spelling import spelled


def told(found: Survey, made: Plan, changes: Sequence[Change]) -> Json:
    """What a rollback of a plan would do, in short: `counts`, `cannot`, and where it says something `seconds`,
    `hazards` and `stops`, what keeps it from being worked out.

    Args:
        changes: those of the plan, companions included.
    """
    short = in_short(made, changes)
    if not any(key in short["counts"] for key in ("make", "change")):
        return short  # what it makes is dropped
    try:
        back = way_back(found, made, changes, exact=False)
    except PlanError as error:
        return {**short, "stops": str(error)}
    length = round(seconds(back))
    hazards = {h for step in back.steps for h in step.hazards if h.blocking}
    return {
        **short,
        **({"seconds": length} if length else {}),
        **({"hazards": [str(h) for h in Hazard if h in hazards]} if hazards else {}),
    }


def in_short(made: Plan, changes: Sequence[Change]) -> dict[str, Json]:
    """What a rollback would make again, change and drop, and what it could not undo."""
    words: dict[tuple[str, ...], str] = {("create",): "drop", ("delete",): "make"}
    counts: dict[str, int] = {}
    for change in made.resource_changes:
        if change.part_of is None and change.companion_of is None:
            word = words.get(change.actions, "change")
            counts[word] = counts.get(word, 0) + 1
    final = {c.address for c in made.resource_changes if not c.reversible}
    why = ((c.address, c.reverse()) for c in changes if c.address in final)
    cannot = {str(a): back.reason for a, back in why if isinstance(back, Irreversible) and back.loses}
    gone = {s.id.rpartition("/")[0] for s in made.steps if Hazard.DELETES_DATA in s.hazards}
    written = {s.id.rpartition("/")[0] for s in made.steps if Hazard.REWRITES_TABLE in s.hazards}
    lost = {str(c.address): c.loses for c in changes if c.loses is not None and str(c.address) in gone | written}
    lost = {**dict.fromkeys(sorted(gone), "the data that it deletes does not come back"), **lost}
    return {"counts": counts, "cannot": {**lost, **cannot}}


def before_it(found: Reading, made: Plan) -> tuple[Plan | None, str]:
    """The way back of a plan that is about to be carried out; None where its changes can no longer be told, and why.

    Raises:
        PlanError: it cannot be worked out.
    """
    if made.rollback is not None:
        return None, "the run is a rollback: its way back is to release what it holds, and to apply"
    from reconcile.workflow.plan import ordered, waiting

    rows = held.read(found.known)
    again = survey(found, made.options)
    built = ordered(again, waiting(found.project, rows), rows)
    wanted = {c.address: (c.actions, c.after) for c in made.resource_changes}
    there = {c.address: (c.actions, c.after) for c in (*built.resource_changes, *built.held_changes)}
    if any(there.get(address) != change for address, change in wanted.items()):
        return None, "the files have moved since the plan was saved"
    return way_back(again, made, [c for c in built.changes if c.address in wanted], exact=True), ""


def way_back(found: Survey, made: Plan, changes: Sequence[Change], *, exact: bool) -> Plan:
    """The plan that would reverse another one, once that is carried out whole.

    Args:
        changes: those of the plan, companions included.
        exact: ask the stores for their own spelling of where it leads (names of generations); else it is a guess.

    Raises:
        PlanError: it cannot be worked out.
    """
    reading = found.reading
    was = remembered(made, reading.lives, reading.applied)
    past = pasts_of(replace(made, observed={**made.observed, "was": was}))
    names, places = renames(made), {a: row.live for a, row in reading.applied.items()}
    keeps = {s.address: s.keeps for s in made.steps if s.keeps is not None}
    differences: dict[str, Difference] = {}
    for name, store in reading.stores.items():
        own = [p for p in past if p.address.store == name]
        theirs = {p.address for p in own}
        schema = pending.schema_only(c for c in changes if c.address.store == name)
        undone = Undone.of(applied(schema, found.differences[name].live), store.package, reading.desired)
        undone.undo(own, [pair for pair in names if pair[0] in theirs], places, keeps)
        differences[name] = undone.difference(spelled(reading, name, undone) if exact else undone.target)
    built = _ordered(reading, made, differences, past)
    return replace(
        made,
        complete=False,
        resource_changes=built.resource_changes,
        steps=_guarded(reading, built, past),
        fingerprints={},
        held=(),
        held_changes=(),
        hooks=(),
        observed={"costs": measured(reading, built)},
    )


def _ordered(found: Reading, plan: Plan, differences: Mapping[str, Difference], past: Sequence[Past]) -> Steps:
    made = {p.address for p in past if p.was is None}

    def empty(name: str, address: Address) -> bool:
        """What the plan makes is empty as far as anybody knows; see `_guarded`. What it adds to the rows of something
        is not: nobody has to be asked where it can be put aside.
        """
        if address in made:
            return address.kind in found.stores[name].package.containers
        asked = plan.fingerprints.get(f"{address}{EMPTY}")
        return found.stores[name].session.is_empty(address) if asked is None else asked == "true"

    views = [
        StoreView(
            name,
            store.server,
            store.package.ranks,
            differences[name],
            {**store.spec.settings, "contract": "together", "names": found.project.policy.names},
            partial(empty, name),
            Keeping(lambda address: False, kept.names(found.known, name)),
        )
        for name, store in found.stores.items()
    ]
    return build(views, lambda a: found.project.selections[a.store].classify(a, None) == "external")


def _guarded(found: Reading, built: Steps, past: Sequence[Past]) -> tuple[Step, ...]:
    """Its steps; those that drop what the plan makes look first whether it holds anything."""
    made = {p.address for p in past if p.was is None}
    steps = []
    for step in built.steps:
        package = found.stores[step.address.store].package
        dropped = step.address in made and no(step.address) in step.gives and step.keeps is None
        if dropped and isinstance(package, Guards):
            step = replace(step, preconditions=(*step.preconditions, *package.guards(step.address)))
        steps.append(step)
    return tuple(steps)
