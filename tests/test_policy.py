"""The rules of an environment, held against applies on a real server; what was allowed is found in the ledger."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import BlockedError, RefusedError
from reconcile.exits import Exit
from reconcile.project import Project
from reconcile.rules import DAYS
from reconcile.survey import open_ledger
from tests.projects import Folder

OLD = """
tables:
  notes: {columns: {id: {type: bigint, not_null: true}, body: text}, primary_key: [id]}
  drafts: {columns: {id: bigint}}
"""
NEW = OLD.replace("  drafts: {columns: {id: bigint}}\n", "")
MORE = OLD.replace("body: text", "body: text, lang: text")
WIDER = OLD.replace("drafts: {columns: {id: bigint}}", "drafts: {columns: {id: numeric}}")
DROP = "app.table.public.drafts"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    """Two tables, applied; `drafts` holds rows."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=OLD).apply()
    sql(folder, "INSERT INTO drafts SELECT generate_series(1, 100)")
    return folder


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def recorded(folder: Folder) -> dict[str, Any]:
    """What the plan of the last run says in the ledger."""
    ledger = open_ledger(folder.load())
    try:
        run = ledger.run(ledger.runs()[0].id)
        assert run is not None
        return dict(run.plan["observed"])
    finally:
        ledger.close()


def approval(until: str, hazard: str = "deletes-data") -> dict[str, Any]:
    return {"change": "app.table.public.d*", "hazard": hazard, "reason": "moved to notes", "until": until}


def test_an_approval_stands_in_the_plan_and_the_ledger_and_ends(folder: Folder) -> None:
    folder.settings["approvals"] = [approval("2026-01-31", "breaks-clients")]
    folder.declare(app=NEW)
    with pytest.raises(BlockedError, match=r"Its approval is over: reconcile.yaml:\d+:\d+, until 2026-01-31"):
        folder.apply()
    folder.settings["approvals"] = [approval("2999-01-31")]
    folder.declare(app=NEW)
    told = folder.command("plan", "--allow", "breaks-clients")
    assert re.search(
        r"deletes-data at app.table.public.drafts is approved until 2999-01-31 .*moved to notes", told.stdout
    )
    folder.apply("breaks-clients")
    permitted = recorded(folder)["permitted"]
    assert {e["hazard"]: e["by"] for e in permitted} == {
        "deletes-data": "approval",
        "breaks-clients": "--allow breaks-clients",
    }
    assert "moved to notes" in [e.get("reason") for e in permitted]
    assert folder.plan().steps == ()


def test_what_is_protected_stays_whatever_is_allowed(folder: Folder) -> None:
    """Also as a part of what goes: here the column of the table."""
    folder.settings |= {"policy": {"allow": ["all"]}, "approvals": [approval("2999-01-31")]}
    folder.settings["protect"] = ["app.column.public.drafts.id"]
    folder.declare(app=NEW)
    done = folder.command("apply", "--auto-approve", "--allow", "all")
    assert done.returncode == Exit.ERROR
    assert "Protected by app.column.public.drafts.id at reconcile.yaml:" in done.stderr
    assert "Blocked: step 1: deletes-data, protected by app.column.public.drafts.id" in done.stdout
    assert sql(folder, "SELECT count(*) FROM drafts") == [(100,)]


def test_a_protected_table_protects_what_is_in_it(folder: Folder) -> None:
    """Columns that change on their own, and drift of one; a name that only begins alike protects nothing."""
    folder.settings |= {"policy": {"allow": ["all"]}, "approvals": [approval("2999-01-31")], "protect": [DROP]}
    drafts = "drafts: {columns: {id: bigint}}"
    changes = {
        "rewrites-table": drafts.replace("bigint", "numeric"),
        "deletes-data": "drafts: {columns: {other: bigint}}",
    }
    for hazard, text in changes.items():
        folder.declare(app=OLD.replace(drafts, text))
        done = folder.command("apply", "--auto-approve", "--allow", "all")
        assert done.returncode == Exit.ERROR, (hazard, done.stdout)
        assert re.search(rf"{hazard}: .* Protected by {DROP} at reconcile.yaml:\d+", done.stderr), done.stderr
        assert "approvals:" not in done.stderr
    folder.settings["policy"] |= {"on_drift": "revert"}
    folder.declare(app=OLD)
    sql(folder, "ALTER TABLE drafts ALTER id SET DEFAULT 7")
    undone = folder.command("apply", "--auto-approve")
    assert undone.returncode == Exit.ERROR
    assert re.search(rf"app.column.public.drafts.id: reverts-drift: .* Protected by {DROP}", undone.stderr)
    sql(folder, "ALTER TABLE drafts ALTER id DROP DEFAULT")
    folder.settings["protect"] = ["app.table.public.draft"]
    folder.declare(app=OLD.replace(drafts, changes["rewrites-table"]))
    done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.CLEAN
    assert re.search(r"protect app.table.public.draft \(reconcile.yaml:\d+:\d+\) is neither declared nor", done.stdout)


def test_the_pasted_approval_passes(folder: Folder) -> None:
    folder.declare(app=NEW)
    refused = folder.command("apply", "--auto-approve")
    pasted = refused.stderr[refused.stderr.index("  approvals:") :].replace("\n  ", "\n").strip()
    path = folder.path / "reconcile.yaml"
    path.write_text(f"{path.read_text()}\n{pasted}\n")
    done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.CLEAN, done.stderr
    assert not sql(folder, "SELECT 1 FROM pg_class WHERE relname = 'drafts'")


def test_rules_of_the_moment_stop_an_apply_all_at_once_and_change_nothing(folder: Folder) -> None:
    far = DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]
    folder.settings["policy"] = {"window": {"days": [far]}, "run_from": ["ci"], "require_backup": True}
    folder.declare(app=WIDER)
    blocked = folder.command("apply", "--auto-approve", CI="").stderr
    assert re.search(r"policy window.*rewrites-table: .*to allow them, add: ", blocked, re.S), blocked
    folder.declare(app=MORE)
    before = folder.live()
    local = folder.command("apply", "--auto-approve", CI="")
    assert local.returncode == Exit.ERROR
    for line in (
        r"reconcile.yaml:\d+:\d+: policy run_from: this is not run by CI",
        r"policy window: it is shut now",
        r"policy require_backup: there is no complete backup of all stores in .*\n.*apply --backup;.*--backup-evidence",
    ):
        assert re.search(line, local.stderr), local.stderr
    checked = [c["what"] for c in workflow.check(folder.load())["plan"]["checks"]]
    assert ("policy window" in checked[0], "require_backup" in checked[0]) == (True, False), checked
    in_ci = folder.command("apply", "--auto-approve", "--backup-evidence", "dump of noon", CI="true")
    assert in_ci.returncode == Exit.REFUSED, in_ci.stderr
    assert "policy window" in in_ci.stderr
    assert folder.live() == before
    del folder.settings["policy"]["window"]
    folder.declare()
    done = folder.command("apply", "--auto-approve", "--backup-evidence", "dump of noon", CI="true")
    assert done.returncode == Exit.CLEAN, done.stderr
    assert recorded(folder)["backup"] == "dump of noon"
    assert folder.command("apply", "--auto-approve", CI="").returncode == Exit.CLEAN  # without steps no rule counts


def test_a_command_finds_the_backup(folder: Folder) -> None:
    script = "import pathlib, sys; print(pathlib.Path('backup').read_text())"
    folder.settings["policy"] = {"require_backup": {"command": [sys.executable, "-c", script]}}
    folder.declare(app=MORE)
    with pytest.raises(BlockedError, match=r"policy require_backup: .*says that there is none \(exit code 1: File"):
        folder.apply()
    (folder.path / "backup").write_text("base backup of today\nand more\n")
    folder.apply()
    assert recorded(folder)["backup"] == "base backup of today"


def test_a_table_that_grew_over_the_limit_is_not_rewritten_by_an_old_plan(folder: Folder) -> None:
    folder.settings["policy"] = {"largest_rewrite": {"rows": 1000}}
    plan = folder.declare(app=WIDER).plan(allow=("all",))
    sql(folder, "INSERT INTO drafts SELECT generate_series(1, 5000); ANALYZE drafts")
    with pytest.raises(
        BlockedError, match=r"policy largest_rewrite: app.column.public.drafts.id rewrites a table of 5"
    ):
        workflow.apply(folder.load(), plan)
    told = folder.command("plan", "--allow", "all")
    assert "Blocked: policy largest_rewrite (reconcile.yaml:" in told.stdout
    assert sql(folder, "SELECT pg_typeof(id)::text FROM drafts LIMIT 1") == [("bigint",)]


def test_production_takes_what_staging_has(
    folder: Folder, make_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = {"stores": {"app": {"url": "${STAGING_URL}"}}}
    production = {"stores": {"app": {"url": make_postgres_database()}}, "policy": {"promoted_from": "staging"}}
    folder.settings["environments"] = {"staging": staging, "production": production}
    monkeypatch.setenv("STAGING_URL", make_postgres_database())
    folder.declare(app=OLD)

    def apply(environment: str, **options: Any) -> workflow.Outcome:
        project = Project.load(folder.path, environment)
        return workflow.apply(project, workflow.plan(project, workflow.Options(**options)))

    missing = "policy promoted_from: the ledger of staging has no apply of these schema files"
    with pytest.raises(BlockedError, match=missing):
        apply("production")
    apply("staging")
    with monkeypatch.context() as elsewhere, pytest.raises(BlockedError, match=r"cannot be seen: .*STAGING_URL"):
        elsewhere.delenv("STAGING_URL")
        apply("production")
    apply("production")
    folder.declare(app=MORE)
    apply("staging", only=("app.table.*",))
    with pytest.raises(BlockedError, match=missing):  # a part is not the whole
        apply("production")
    apply("staging")
    apply("production")


def test_who_may_only_read_is_told_that_there_is_nothing_to_do(folder: Folder) -> None:
    """Though the apply cannot be recorded for a later promotion."""
    sql(folder, "CREATE ROLE looks_on; GRANT pg_read_all_data TO looks_on")
    try:
        folder.stores["app"]["role"] = "looks_on"
        assert folder.declare(app=OLD).apply().run is None
    finally:
        sql(folder, "DROP OWNED BY looks_on; DROP ROLE looks_on")


def test_a_window_alone_is_refused_for_now(folder: Folder) -> None:
    far = DAYS[(datetime.now(UTC) + timedelta(days=3)).weekday()]
    folder.settings["policy"] = {"window": {"days": [far]}}
    with pytest.raises(RefusedError, match="it opens next on"):
        folder.declare(app=MORE).apply()
