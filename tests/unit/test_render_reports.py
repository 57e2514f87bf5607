"""Drift reports, the ledger's status, progress lines and scripts."""

from __future__ import annotations

import io
from typing import Any

from tests.unit import plan_json

from reconcile.apply import Event
from reconcile.change import Step
from reconcile.model import Address
from reconcile.render import drift, markdown, progress, script, status

REPORT: dict[str, Any] = {
    "at": "2026-11-21T07:00:00Z",
    "project": "rag-platform",
    "environment": "staging",
    "stores": [{"name": "app", "kind": "postgres", "version": "18.4"}],
    "drift": [
        {
            "address": "app.column.public.documents.title",
            "action": "changed",
            "paths": [{"path": ["default"], "applied": None, "live": "'new'::text"}],
        },
        {"address": "graph.index.entity_name", "action": "missing", "paths": []},
    ],
    "extra": [{"address": "app.index.public.adhoc", "yaml": "store: app\n"}],
    "unmanaged": [],
    "not_modelled": [],
    "partial": {},
    "applied": 214,
}


def test_drift_shows_each_difference() -> None:
    """Old value, new value; what is gone; what to paste to adopt."""
    assert drift.render(REPORT) == (
        "reconcile drift · rag-platform · staging · 1 store read\n"
        "\n"
        "Changed in the stores since the last apply:\n"
        "  ~  app.column.public.documents.title  default none → 'new'::text\n"
        "\n"
        "Gone from the stores:\n"
        "  -  graph.index.entity_name\n"
        "\n"
        "Added inside managed objects:\n"
        "  +  app.index.public.adhoc  not declared; to adopt it:\n"
        "       store: app\n"
        "\n"
        "Drift: 3 addresses moved. `reconcile plan` shows what an apply would do about it.\n"
    )
    assert "-  graph.index.entity_name" in markdown.drift(REPORT)


def test_no_drift_says_how_much_was_looked_at() -> None:
    """And an empty ledger is no proof of anything."""
    calm = {**REPORT, "drift": [], "extra": []}
    assert drift.render(calm).endswith("No drift. All 214 recorded addresses are as last applied.\n")
    assert "Nothing is recorded yet" in drift.render({**calm, "applied": 0})


def test_status_shows_a_dead_holder_and_the_ways_out() -> None:
    """Each with the line to paste."""
    run = {
        "id": "r2",
        "number": 2,
        "digest": "sha256:" + "a" * 64,
        "who": "ci@host pid 1",
        "started": 1.8e9,
        "finished": None,
        "outcome": "stopped",
        "message": "",
    }
    shown = status.render(
        {
            "project": "p",
            "environment": "e",
            "ledger": "store app, schema reconcile",
            "stores": {"app": "1/x"},
            "lock": {"run": "r2", "holder": "ci@host pid 1", "expired": True},
            "unfinished": {
                "run": "r2",
                "started": 1.8e9,
                "who": "ci@host pid 1",
                "message": "boom",
                "journal": {},
                "steps": {
                    "total": 9,
                    "done": 2,
                    "under_way": [{"step": f"s{n}", "since": 1.8e9, "progress": "63 %"} for n in range(5)],
                    "seconds_left": 1400,
                },
            },
            "applied": {"app": 3},
            "runs": [run],
        }
    )
    assert "2 of 9 steps done, about 23 min of work left" in shown and "… and 2 more of its group" in shown
    assert "begun, perhaps half done: s0\n        63 %" in shown
    for line in ("reconcile unlock r2", "reconcile apply --resume", "reconcile apply --abandon r2", "stopped part-way"):
        assert line in shown


def test_progress_shows_a_groups_time_once() -> None:
    """Steps of one transaction have one time, on their last line."""
    out = io.StringIO()
    steps = [Step(f"app.table.public.{n}/1-create", Address("app", "table", ("public", n)), ()) for n in "ab"]
    with progress.Progress(out) as shown:
        for n, step in enumerate(steps, 1):
            shown(Event("step_started", step, n, 2))
        for n, step in enumerate(steps, 1):
            shown(Event("step_done", step, n, 2, 0.25))
    assert out.getvalue() == "  ✓ 1/2  app.table.public.a/1-create\n  ✓ 2/2  app.table.public.b/1-create  0.2 s\n"


def test_a_name_cannot_leave_its_comment_in_a_script() -> None:
    """A line break in a step's id would otherwise be a statement."""
    evil = 'app.table.public."x\nDROP TABLE users; --"/1-create'
    plan = plan_json.plan([], [plan_json.step(evil, {"sql": "SELECT 1"})])
    assert not any(line.startswith("DROP") for line in script.render(plan).splitlines())
