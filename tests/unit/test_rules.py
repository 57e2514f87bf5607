"""The rules of a policy: facts in, refusals out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from reconcile.errors import ProjectError
from reconcile.hazards import Hazard
from reconcile.model import Json, Source
from reconcile.policy import Allowance, Approval, Permits, Policy, Protection, judge, refusal
from reconcile.project import Project
from reconcile.rules import Elsewhere, Facts, Limit, Promotion, Window, refusals, stated

MONDAY = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
FACTS = Facts("production", MONDAY, ci=True)
BERLIN = Window(("mon",), "09:00", "13:30", "Europe/Berlin")
NIGHT = Window(("sun",), "22:00", "14:00")


def rules(facts: Facts = FACTS, **policy: Any) -> list[str]:
    return [r.rule for r in refusals(Policy(**policy), facts)]


TABLE: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {}, []),
    ({"run_from": ("ci",)}, {}, []),
    ({"run_from": ("ci",)}, {"ci": False}, ["run_from"]),
    ({"run_from": ("local",)}, {}, ["run_from"]),
    ({"window": BERLIN}, {}, []),  # 13:00 in Berlin
    ({"window": BERLIN}, {"seconds": 1799.0}, []),
    ({"window": BERLIN}, {"seconds": 1801.0}, ["window"]),
    ({"window": BERLIN}, {"now": MONDAY.replace(hour=13)}, ["window"]),
    ({"window": BERLIN}, {"now": MONDAY.replace(day=29)}, ["window"]),
    ({"window": NIGHT}, {}, []),  # since Sunday
    ({"window": NIGHT}, {"now": MONDAY.replace(hour=14)}, ["window"]),
    ({"window": Window(("mon",))}, {"now": MONDAY.replace(hour=23, minute=59)}, []),
    ({"largest_rewrite": Limit(rows=10)}, {"rewrites": {"a.b.c": {"rows": 10}}}, []),
    ({"largest_rewrite": Limit(rows=10)}, {"rewrites": {"a.b.c": {"rows": 11}}}, ["largest_rewrite"]),
    ({"largest_rewrite": Limit(bytes="1kB")}, {"rewrites": {"a.b.c": {"bytes": 1025}}}, ["largest_rewrite"]),
    ({"promoted_from": Promotion("staging")}, {}, ["promoted_from"]),
    ({"promoted_from": Promotion("staging")}, {"elsewhere": Elsewhere(1.0)}, []),
    ({"promoted_from": Promotion("staging")}, {"elsewhere": Elsewhere(unseen="gone")}, ["promoted_from"]),
    ({"promoted_from": Promotion("staging", "1d")}, {"elsewhere": Elsewhere(MONDAY.timestamp() - 86400)}, []),
    (
        {"promoted_from": Promotion("staging", "1d")},
        {"elsewhere": Elsewhere(MONDAY.timestamp() - 86401)},
        ["promoted_from"],
    ),
    ({"require_backup": True}, {}, ["require_backup"]),
    ({"require_backup": True}, {"backup": "dump of noon"}, []),
    ({"require_backup": True}, {"no_backup": "none"}, ["require_backup"]),
    ({"require_backup": True, "run_from": ("local",)}, {}, ["run_from", "require_backup"]),
]


@pytest.mark.parametrize(("policy", "facts", "broken"), TABLE)
def test_each_rule_stops_what_it_names_and_nothing_else(
    policy: dict[str, Any], facts: dict[str, Any], broken: list[str]
) -> None:
    assert rules(replace(FACTS, **facts), **policy) == broken


def test_only_a_shut_window_goes_away_by_itself() -> None:
    facts = replace(FACTS, now=MONDAY.replace(hour=20), ci=False)
    found = refusals(Policy(window=BERLIN, run_from=("ci",), require_backup=True), facts)
    assert {r.rule: r.passes for r in found} == {"run_from": False, "window": True, "require_backup": False}


def test_a_refusal_says_where_the_rule_is_and_when_the_window_opens() -> None:
    policy = Policy(window=BERLIN, sources={"window": Source("reconcile.yaml", 7, 5)})
    [found] = refusals(policy, replace(FACTS, now=MONDAY.replace(hour=20)))
    assert str(found).startswith("  reconcile.yaml:7:5: policy window: it is shut now (mon 09:00–13:30 Europe/Berlin)")
    assert "it opens next on Mon 2026-12-07 09:00 CET" in str(found)


def test_the_rules_can_be_stated() -> None:
    policy = Policy(window=BERLIN, run_from=("ci",), promoted_from=Promotion("staging", "7d"), require_backup=True)
    assert [s.split(":")[0] for s in stated(policy)] == [
        "policy run_from", "policy window", "policy promoted_from", "policy require_backup",
    ]  # fmt: skip
    assert stated(Policy()) == []


# --- hazards: block, approvals, protect ----------------------------------------------------------------------------

PLAN: Json = {
    "steps": [
        {"id": "app.index.public.i/1-build", "hazards": ["builds-index"]},
        {"id": "app.table.public.t/1-drop", "hazards": ["deletes-data"]},
    ],
    "observed": {"drift": ["graph.index.g"]},
    "touched": {"app.table.public.t": ["app.column.public.t.secret"]},
}
PLACE = Source("reconcile.yaml", 9, 3)
APPROVAL = Approval("app.table.*", Hazard.DELETES_DATA, "moved", date(2026, 11, 30), PLACE)


def decided(**permits: Any) -> tuple[list[str], list[str]]:
    found = judge(PLAN, Permits(today=date(2026, 11, 30), **permits))
    return [f"{e['hazard']} {e['address']}" for e in found.blocked], [str(e["by"]) for e in found.permitted]


def test_an_approval_counts_through_its_last_day_and_is_told_when_it_is_over() -> None:
    assert decided(approvals=(APPROVAL,)) == (["reverts-drift graph.index.g"], ["approval"])
    late = judge(PLAN, Permits(approvals=(APPROVAL,), today=date(2026, 12, 1)))
    assert late.blocked[0]["expired"] == "reconcile.yaml:9:3, until 2026-11-30"
    lines, _ = refusal(late.blocked, date(2026, 12, 1))
    assert "Its approval is over: reconcile.yaml:9:3, until 2026-11-30." in lines


def test_an_approval_is_of_one_hazard() -> None:
    other = replace(APPROVAL, hazard=Hazard.IRREVERSIBLE)
    assert "deletes-data app.table.public.t" in decided(approvals=(other,))[0]


def test_block_stops_what_only_informs_and_says_by_which_rule() -> None:
    block = (Allowance.parse("builds-index"),)
    assert decided(block=block)[0][0] == "builds-index app.index.public.i"
    found = judge(PLAN, Permits(block=block, sources={"block": PLACE}))
    assert found.blocked[0]["rule"] == "builds-index at reconcile.yaml:9:3"
    assert decided(block=block, allow=block)[1] == ["policy allow builds-index"]


@pytest.mark.parametrize("glob", ["app.table.public.t", "app.column.*.secret"])
def test_nothing_passes_what_is_protected(glob: str) -> None:
    """Neither the object itself nor what goes with it."""
    everything = (Allowance.parse("all"),)
    blocked, permitted = decided(
        asked=everything, allow=everything, approvals=(APPROVAL,), on_drift="revert", protect=(Protection(glob, PLACE),)
    )
    assert blocked == ["deletes-data app.table.public.t"]
    assert permitted == ["--allow all"]
    [entry] = judge(PLAN, Permits(everything, protect=(Protection(glob, PLACE),))).blocked
    lines, hint = refusal([entry], date(2026, 11, 30))
    assert f"Protected by {glob} at reconcile.yaml:9:3." in lines
    assert "--allow" not in hint


def test_drift_of_what_is_protected_is_not_undone() -> None:
    protect = (Protection("graph.*", PLACE),)
    assert decided(on_drift="revert", protect=protect)[0][-1] == "reverts-drift graph.index.g"


def test_the_refusal_prints_an_approval_that_can_be_pasted(tmp_path: Path) -> None:
    _, hint = refusal(judge(PLAN, Permits()).blocked, date(2026, 11, 30))
    pasted = hint[hint.index("approvals:") :].replace("\n  ", "\n")
    assert load(tmp_path, pasted).approvals[0].until == date(2026, 12, 14)


# --- in reconcile.yaml ---------------------------------------------------------------------------------------------

PROJECT = "version: 1\nname: shop\nstores: {app: {kind: postgres, url: x}, graph: {kind: neo4j, url: x}}\n"


def load(directory: Path, text: str, environment: str | None = None) -> Project:
    (directory / "reconcile.yaml").write_text(PROJECT + text)
    return Project.load(directory, environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("policy: {window: {timezone: Europe/Berlim}}", 'there is no time zone "Europe/Berlim"'),
        ("policy: {window: {from: '9:00'}}", 'a time such as "09:00"'),
        ("policy: {window: {from: '09:00', to: '09:00'}}", "the window ends when it begins"),
        ("policy: {promoted_from: stagin}\nenvironments: {staging: {}}", 'did you mean "staging"'),
        ("environments: {staging: {policy: {promoted_from: staging}}}", "cannot be promoted from itself"),
        ("policy: {block: [build-index]}", 'unknown hazard "build-index" in block; did you mean "builds-index"'),
        (
            "approvals: [{change: app.table.a, hazard: deletes-data, reason: r, until: 2026-02-30}]",
            "there is no day 2026-02-30",
        ),
        ("approvals: [{change: app.table.a, hazard: deletes-dat, reason: r, until: 2026-02-03}]", "deletes-dat"),
        ("approvals: [{change: app.tabel.a, hazard: deletes-data, reason: r, until: 2026-02-03}]", 'mean "table"'),
        ("protect: [shop.table.public.a]", 'there is no "shop"'),
        ("protect: [app.table]", "the name is missing"),
        ("approvals: [{change: app.table.a, hazard: deletes-data, until: 2026-02-03}]", "reason"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("reconcile.yaml:4:")


def test_an_environment_adds_approvals_and_protection_and_asks_for_its_name(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    (tmp_path / "reconcile.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    assert Project.load(tmp_path, "staging").policy.confirm == "yes"
    project = Project.load(tmp_path, "production")
    assert project.policy.confirm == "environment"
    assert (project.policy.window, project.policy.run_from) == (
        Window(("mon", "tue", "wed", "thu"), "09:00", "16:00", "Europe/Berlin"),
        ("ci",),
    )
    assert str(project.policy.at("window")) == "reconcile.yaml:17:7"
    assert [p.glob for p in project.protect] == ["app.table.public.notes", "app.column.public.notes.*"]
    one = "  - {change: app.table.a, hazard: deletes-data, reason: r, until: 2026-12-01}\n"
    text = f"approvals:\n{one}environments:\n  a: {{protect: [app.*]}}\n  b:\n    approvals:\n    {one.strip()}\n"
    found = {e: load(tmp_path, text, e) for e in ("a", "b")}
    assert [len(found[e].approvals) for e in "ab"] == [1, 2]
    assert [len(found[e].protect) for e in "ab"] == [1, 0]
