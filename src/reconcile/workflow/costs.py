"""What the steps of a plan cost: how much is stored where they work, and how long that takes, roughly."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.plan import Plan, Steps
from reconcile.survey import Reading

COSTLY = frozenset(
    {
        Hazard.BUILDS_INDEX,
        Hazard.REWRITES_TABLE,
        Hazard.DELETES_DATA,
        Hazard.DEPENDS_ON_DATA,
        Hazard.NEEDS_SPACE,
        Hazard.LONG_RUNNING,
        Hazard.INDEX_GAP,
    }
)
"""Hazards whose price depends on how much is stored: their steps get a cost."""


def measured(found: Reading, built: Steps) -> dict[str, Json]:
    """Rows, bytes, points behind each step whose price depends on them."""
    where: dict[str, Address] = {}
    for change in built.changes:
        resource = change.before or change.after
        assert resource is not None
        where[str(change.address)] = resource.container or resource.address
    steps = {s.id: where[s.id.rpartition("/")[0]] for s in built.steps if s.hazards & COSTLY or s.keeps}
    sizes: dict[Address, Mapping[str, int]] = {}
    for name, store in found.stores.items():
        asked = {a for a in steps.values() if a.store == name}
        sizes |= store.session.measure(asked) if asked else {}
    costs = {step: dict(sizes[a]) for step, a in steps.items() if sizes.get(a)}
    changes = {str(change.address): change for change in built.changes}
    for step in built.steps:
        if step.id in costs:
            change = changes[step.id.rpartition("/")[0]]
            store = found.stores[change.address.store]
            cost = costs[step.id]
            cost.update(change.estimate(step, cost, store.spec.settings, store.server))
    return costs


_STEP = 0.04
"""Seconds of a step that works on nothing much: the example's first run, 144 steps on three servers, takes 5 to 6 s."""
_RATES = {
    Hazard.REWRITES_TABLE: ("bytes", 30e6),
    Hazard.BUILDS_INDEX: ("rows", 300_000),
    Hazard.DEPENDS_ON_DATA: ("bytes", 300e6),
    Hazard.NEEDS_SPACE: ("points", 10_000),
}
"""How much of what a slow machine does in a second where no better estimate is known; a guess, and said to be one."""


def seconds(plan: Plan) -> float:
    """How long the steps of a plan take, roughly: a guess from what is known of the sizes."""
    costs = plan.observed.get("costs", {})
    total = 0.0
    for step in plan.steps:
        cost = costs.get(step.id, {})
        known = max(cost.get(name, 0) for name in ("seconds", "gap_seconds", "blocked_seconds"))
        rates = (_RATES[h] for h in step.hazards if h in _RATES)
        total += _STEP + (known or max((cost.get(of, 0) / each for of, each in rates), default=0.0))
    return total
