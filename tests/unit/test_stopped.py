"""What is told of a run that stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconcile.change import Phase, Step
from reconcile.diff import Options
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.plan import Plan
from reconcile.stopped import ROLLED_BACK, UNKNOWN, between, within


def step(name: str, phase: Phase = Phase.EXPAND, hazard: Hazard | None = None) -> Step:
    return Step(f"{name}/1-do", Address.parse(name), (), phase=phase, hazards=frozenset({hazard} if hazard else ()))


STEPS = (
    step("app.table.public.a"),
    step("graph.index.b"),
    step("app.column.public.a.c", Phase.CONTRACT),
    step("app.column.public.a.d", Phase.CONTRACT, Hazard.BREAKS_CLIENTS),
)
PLAN = Plan("p", "e", Options(), True, (), None, (), STEPS, {})
IDS = [s.id for s in STEPS]


@pytest.mark.parametrize(
    ("done", "state", "clients"),
    [
        (0, UNKNOWN, "clients of the old schema work as before: what was changed so far only adds"),
        (1, ROLLED_BACK, "clients of the old schema work as before: what was changed so far only adds"),
        (2, UNKNOWN, "clients of the old schema work, as far as they keep to the new rules: app.column.public.a.c"),
        (3, ROLLED_BACK, "clients of the old schema work, as far as they keep to the new rules: app.column.public.a.c"),
        (3, UNKNOWN, "clients of the old schema may fail: app.column.public.a.d"),
    ],
)
def test_each_store_and_the_clients(done: int, state: str, clients: str) -> None:
    text = str(within(PLAN, "r1", ValueError("why"), IDS[:done], [IDS[done]], state))
    assert text.startswith("run r1 stopped part-way: why")
    assert f"  {clients}\n" in text
    for name in ("app", "graph"):
        assert f"  {name}:\n" in text
    assert f"    {state} (1): {IDS[done]}" in text
    assert text.count("not begun") == (2 if done == 0 else 1 if done < 3 else 0)
    assert "reconcile rollback r1" in text and "reconcile apply --resume" in text


def test_one_store_needs_no_headings() -> None:
    alone = replace(PLAN, steps=(STEPS[0], STEPS[2]))
    text = str(between(alone, "r1", "stopped by SIGTERM", [IDS[0]]))
    assert f"  done (1): {IDS[0]}\n  not begun (1): {IDS[2]}\n  clients" in text and "app:" not in text


def test_nothing_was_changed() -> None:
    assert (
        between(PLAN, "r1", "why", []).exit == within(PLAN, "r1", ValueError("x"), [], IDS[:1], ROLLED_BACK).exit == 1
    )
