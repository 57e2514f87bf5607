"""Plan <-> JSON: a round trip loses nothing, the digest covers what is approved and only that."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconcile import planfile
from reconcile.change import Cypher, Http, Op, Phase, Server, Sql, Step, Timeouts
from reconcile.diff import Options
from reconcile.errors import ReconcileError
from reconcile.facts import Fact
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.plan import Plan, ResourceChange

COLUMN = Address("app", "column", ("public", "documents", "lang"))
PLAN = Plan(
    project="p",
    environment="default",
    options=Options(only=("app.*",), allow=("builds-index",)),
    complete=False,
    stores=(Server("app", "postgres", "18.4", None, "7/rag"),),
    ledger="app",
    resource_changes=(
        ResourceChange(COLUMN, ("create",), None, {"type": "text", "share": 0.5}, "text", part_of=COLUMN),
        ResourceChange(COLUMN, ("delete", "create"), {}, {}, "x", (("a", "b"),), "rename_declared", "how", {}, COLUMN),
    ),
    steps=(
        Step(
            f"{COLUMN}/1-add",
            COLUMN,
            (
                Sql("ALTER …"),
                Cypher("RETURN $x", {"x": 1}),
                Http("PUT", "/c", {"a": 1}, "/c", {"a": 1}),
                Op("wait", {}),
            ),
            Phase.CONTRACT,
            frozenset({Fact.parse("has app.table.public.documents")}),
            frozenset({Fact.parse(f"ok {COLUMN}")}),
            (COLUMN,),
            transactional=False,
            commit_before=True,
            journalled=True,
            after_commit=(Op("wait_online", {"name": "i"}),),
            preconditions=(Op("no_rows", {"sql": "SELECT 1", "what": "x", "unit": "row", "fix": "y"}),),
            hazards=frozenset({Hazard.BUILDS_INDEX}),
            timeouts=Timeouts(lock="2s"),
            retry=False,
            group="g1",
        ),
    ),
    fingerprints={str(COLUMN): "absent"},
    observed={"at": "now"},
)


OBSERVED = {
    "at": "2026-01-01T00:00:00Z",
    "summary": {"add": 0, "change": 0, "rebuild": 0, "replace": 0, "drop": 0},
}


def test_a_file_without_its_parts_is_refused(tmp_path: Path) -> None:
    """Also where the digest is right: what is observed is not under it."""
    path = tmp_path / "plan.json"
    planfile.write(PLAN, path)
    with pytest.raises(ReconcileError, match="malformed"):
        planfile.read(path)


def test_round_trip() -> None:
    assert planfile.from_json(json.loads(json.dumps(planfile.to_json(PLAN)))) == PLAN


def test_the_digest_ignores_what_depends_on_the_moment() -> None:
    later = replace(PLAN, observed={"at": "later", "costs": {"x": {"rows": 10}}})
    assert planfile.to_json(PLAN)["digest"] == planfile.to_json(later)["digest"]


def test_the_digest_covers_the_steps() -> None:
    other = replace(PLAN, steps=(replace(PLAN.steps[0], calls=(Sql("DROP …"),)),))
    assert planfile.to_json(PLAN)["digest"] != planfile.to_json(other)["digest"]


def test_a_file_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    whole = replace(PLAN, observed=OBSERVED)
    planfile.write(whole, path)
    assert planfile.load(path) == whole
    path.write_text(path.read_text().replace("ALTER", "DROP"))
    with pytest.raises(ReconcileError, match="changed after it was written"):
        planfile.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a plan file"),
        ("[]", "no format_version"),
        ('{"format_version": "2.0"}', "has format 2.0"),
        ('{"format_version": "1.0"}', "changed after"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(ReconcileError, match=message):
        planfile.load(path)


def test_a_missing_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ReconcileError, match=r"no\.json: cannot read the plan"):
        planfile.load(tmp_path / "no.json")
