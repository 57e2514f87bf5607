"""What is told of a run that stopped: per store what is done, what clients notice, the ways out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from reconcile.change import Phase, Step
from reconcile.errors import PartialError, ReconcileError
from reconcile.hazards import Hazard
from reconcile.plan import Plan

UNKNOWN = "begun, perhaps half done"
ROLLED_BACK = "rolled back"
SHOWN = 6
"""Steps that are named; of more, all but the last of these."""


def within(
    plan: Plan, run: str, error: BaseException, finished: Sequence[str], group: Sequence[str], state: str
) -> ReconcileError:
    """The error of a run that stopped within a group of steps.

    Args:
        finished: ids of the steps that are done.
        group: ids of the steps it stopped in.
        state: how those are left, in words.
    """
    interrupted = isinstance(error, KeyboardInterrupt)
    what = "interrupted" if interrupted else str(error)
    if not finished and state == ROLLED_BACK:
        hint = None if interrupted else "the transaction was rolled back: nothing was changed in any store"
        return ReconcileError(what, hint=hint)
    where = _declared(plan, group)
    return PartialError(
        f"run {run} stopped part-way: {what}{where}", hint=_ways(plan, run, finished, dict.fromkeys(group, state))
    )


def between(plan: Plan, run: str, what: str, finished: Sequence[str]) -> ReconcileError:
    """The error of a run that stopped between two groups."""
    if not finished:
        return ReconcileError(what, hint="nothing was changed in any store")
    return PartialError(f"run {run} stopped part-way: {what}", hint=_ways(plan, run, finished, {}))


def _ways(plan: Plan, run: str, finished: Sequence[str], half: Mapping[str, str]) -> str:
    """What is done, half done and not begun in each store, whether clients notice, and what to do next."""
    stores = list(dict.fromkeys(step.address.store for step in plan.steps))
    lines = []
    for store in stores:
        own = [step.id for step in plan.steps if step.address.store == store]
        lines += [f"{store}:"] if len(stores) > 1 else []
        lines += [("  " if len(stores) > 1 else "") + line for line in _states(own, set(finished), half)]
    reached = {*finished, *(step for step, state in half.items() if state != ROLLED_BACK)}
    lines += [
        clients([step for step in plan.steps if step.id in reached]),
        "go on with:   reconcile apply --resume",
        f"take it back: reconcile rollback {run}",
        f"or leave it:  reconcile apply --abandon {run}   (then plan again)",
    ]
    return "\n  ".join(lines)


def _states(own: Sequence[str], finished: Set[str], half: Mapping[str, str]) -> list[str]:
    done = [step for step in own if step in finished]
    lines = [f"done ({len(done)}): {_short(done)}"] if done else []
    for state in dict.fromkeys(half[step] for step in own if step in half):
        steps = sorted(step for step in own if half.get(step) == state)
        lines.append(f"{state} ({len(steps)}): {_short(steps)}")
    waiting = [step for step in own if step not in finished and step not in half]
    return [*lines, f"not begun ({len(waiting)}): {_short(waiting)}"] if waiting else lines


def clients(reached: Sequence[Step]) -> str:
    """Whether an application that was written for the old schema works with what these steps have changed.

    By the meaning of the phases: what such an application may notice is a contract step.
    """
    breaking = [step for step in reached if Hazard.BREAKS_CLIENTS in step.hazards]
    noticed = [step for step in reached if step.phase is Phase.CONTRACT]
    if breaking:
        named = _short(list(dict.fromkeys(step.id.rpartition("/")[0] for step in breaking)))
        return f"clients of the old schema may fail: {named}"
    if noticed:
        named = _short(list(dict.fromkeys(step.id.rpartition("/")[0] for step in noticed)))
        return f"clients of the old schema work, as far as they keep to the new rules: {named}"
    return "clients of the old schema work as before: what was changed so far only adds"


def _declared(plan: Plan, steps: Sequence[str]) -> str:
    """Where what one change was to bring about is written, for the end of an error; "" for several changes."""
    addresses = {step.rpartition("/")[0] for step in steps}
    sources = plan.observed.get("sources", {}) if isinstance(plan.observed, Mapping) else {}
    source = sources.get(addresses.pop()) if len(addresses) == 1 else None
    return f"\n  declared at {source['file']}:{source['line']}:{source['column']}" if source else ""


def _short(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= SHOWN else f"{', '.join(ids[: SHOWN - 1])} … and {len(ids) - SHOWN + 1} more"
