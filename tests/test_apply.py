"""Apply as an operator meets it: locks, stale plans, kills, resume, refusals, drift policies; on real servers."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import planfile, workflow
from reconcile.errors import BlockedError, PartialError, ReconcileError, RefusedError
from reconcile.exits import Exit
from reconcile.stores.qdrant.transport import Transport
from tests.everywhere import NEW, OLD
from tests.projects import Folder, cypher


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    """One PostgreSQL store with a filled table, applied; `new` is not declared yet."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database, "lock_timeout": "200ms"}})
    folder.declare(app=OLD).apply()
    sql(folder, "INSERT INTO documents SELECT n, 'p' || n, n FROM generate_series(1, 50) n")
    return folder


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


# --- blocked, stale ------------------------------------------------------------------------------------------------


def test_blocking_hazards_stop_an_apply_and_say_what_to_paste(folder: Folder) -> None:
    folder.declare(app=NEW)
    before = folder.live()
    with pytest.raises(BlockedError, match=re.escape("--allow rewrites-table=app.column.public.documents.size")):
        folder.apply()
    assert folder.live() == before


def test_what_cannot_be_proved_after_an_apply_is_said_with_its_reason(folder: Folder) -> None:
    folder.stores["app"]["equality"] = "text"
    with pytest.raises(PartialError, match="cannot be proved here") as error:
        folder.declare(app="tables: {notes: {columns: {id: int, at: {type: date, default: \"'2026-01-01'\"}}}}").apply(
            "all"
        )
    assert "app.column.public.notes.at: equality: text is set" in str(error.value)
    assert "bug" not in str(error.value)


STALE = {
    "a touched column changed": "ALTER TABLE documents ALTER size SET DEFAULT 7",
    "a touched column went": "ALTER TABLE documents DROP size CASCADE",
    "what is created is there already": "CREATE INDEX documents_path_idx ON documents (size)",
    "what a step needs went": "ALTER TABLE documents RENAME TO papers",
    "a new view hangs on what changes": "CREATE VIEW v AS SELECT size FROM documents",
}


@pytest.mark.parametrize("moved", STALE.values(), ids=STALE.keys())
def test_a_stale_plan_is_refused_and_names_what_moved(folder: Folder, moved: str) -> None:
    plan = folder.declare(app=NEW).plan(allow=("all",))
    sql(folder, moved)
    with pytest.raises(RefusedError, match=r"the plan is stale.*\n.*documents"):
        workflow.apply(folder.load(), plan)
    assert not sql(folder, "SELECT 1 FROM pg_class WHERE relname = 'users'")


def test_a_plan_is_stale_when_other_stores_moved_and_fresh_when_they_moved_back(
    everywhere: Callable[[], Folder],
) -> None:
    """What it makes is there already, in Neo4j and in Qdrant; nothing of any store is changed meanwhile."""
    folder = everywhere()
    plan = folder.plan(allow=("all",))
    before, wanted = folder.live(), {str(c.address) for c in plan.resource_changes}
    with closing(Transport(folder.load().stores["vectors"])) as http:
        made = {"vectors": {"size": 3, "distance": "Dot"}}
        moves: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "graph.index.person_name": (
                lambda: cypher(folder, "CREATE INDEX person_name FOR (n:Person) ON (n.age)"),
                lambda: cypher(folder, "DROP INDEX person_name"),
            ),
            "graph.constraint.person_id": (
                lambda: cypher(folder, "CREATE CONSTRAINT person_id FOR (n:Person) REQUIRE n.name IS UNIQUE"),
                lambda: cypher(folder, "DROP CONSTRAINT person_id"),
            ),
            "vectors.collection.passages": (
                lambda: http.send("PUT", "/collections/passages", made),
                lambda: http.send("DELETE", "/collections/passages"),
            ),
        }
        assert moves.keys() <= wanted
        for address, (move, back) in moves.items():
            move()
            with pytest.raises(RefusedError, match=rf"the plan is stale.*\n(.*\n)*? *{re.escape(address)}"):
                workflow.apply(folder.load(), plan)
            back()
            assert folder.live() == before
    assert workflow.apply(folder.load(), plan).steps_done == len(plan.steps)


def test_an_unrelated_change_does_not_void_a_plan(folder: Folder) -> None:
    plan = folder.declare(app=NEW).plan(allow=("all",))
    sql(folder, "CREATE TABLE elsewhere (id int); ALTER TABLE documents ADD COLUMN other text")
    workflow.apply(folder.load(), plan)
    assert folder.plan().steps == ()


def test_the_digest_survives_writes(folder: Folder) -> None:
    folder.declare(app=NEW)
    before = planfile.to_json(folder.plan())["digest"]
    sql(folder, "INSERT INTO documents SELECT n, 'q', n FROM generate_series(1000, 5000) n; ANALYZE documents")
    assert planfile.to_json(folder.plan())["digest"] == before


def test_a_plan_that_counted_on_an_empty_table_is_stale_once_it_is_filled(folder: Folder) -> None:
    sql(folder, "DELETE FROM documents")
    folder.declare(app="tables: {}\n")
    plan = folder.plan(allow=("breaks-clients",))
    sql(folder, "INSERT INTO documents VALUES (1, 'p')")
    with pytest.raises(RefusedError, match="was empty when planned"):
        workflow.apply(folder.load(), plan)
    assert sql(folder, "SELECT count(*) FROM documents") == [(1,)]


# --- failure, kill, resume -----------------------------------------------------------------------------------------


def test_a_failure_before_anything_changed_is_exit_1_and_leaves_no_unfinished_run(folder: Folder) -> None:
    folder.declare(app=OLD.replace("default: 0", "default: 1"))
    with psycopg.connect(folder.stores["app"]["url"]) as other:
        other.execute("LOCK TABLE documents IN ROW EXCLUSIVE MODE")  # ALTER TABLE waits, reading does not
        done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.ERROR
    assert "nothing was changed" in done.stderr
    folder.apply()
    assert folder.plan().steps == ()


def test_a_failure_part_way_is_exit_3_says_what_is_done_and_can_be_resumed(folder: Folder) -> None:
    folder.declare(app=NEW)
    with psycopg.connect(folder.stores["app"]["url"]) as other:
        other.execute("LOCK TABLE notes IN ROW EXCLUSIVE MODE")  # its new type waits, what comes before does not
        done = folder.command("apply", "--auto-approve", "--allow", "all")
    assert done.returncode == Exit.PARTIAL, done.stderr
    assert "stopped part-way" in done.stderr
    assert "\n  done (" in done.stderr, done.stderr
    assert "rolled back (" in done.stderr
    assert "clients of the old schema work" in done.stderr
    assert sql(folder, "SELECT 1 FROM pg_class WHERE relname = 'users'")

    refused = folder.command("apply", "--auto-approve")
    assert refused.returncode == Exit.REFUSED
    assert "reconcile apply --resume" in refused.stderr
    assert folder.command("apply", "--resume").returncode == Exit.CLEAN
    assert folder.plan().steps == ()


def test_an_abandoned_run_gives_way_to_a_new_plan(folder: Folder) -> None:
    folder.declare(app=NEW)
    with psycopg.connect(folder.stores["app"]["url"]) as other, pytest.raises(PartialError):
        other.execute("LOCK TABLE notes IN ROW EXCLUSIVE MODE")
        folder.apply("all")
    run = workflow.status(folder.load())["unfinished"]["run"]
    workflow.abandon(folder.load(), run)
    folder.apply("all")
    assert folder.plan().steps == ()


KILLER = """
import os, signal, sys
from pathlib import Path
from reconcile import planfile, workflow
from reconcile.project import Project
project = Project.load(Path(sys.argv[1]))
left, before = int(sys.argv[2]), ""
def tell(event):
    global left, before
    left, before = left - (event.kind != before), event.kind  # between events of one kind in a row nothing is done
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
workflow.apply(project, planfile.load(Path(sys.argv[3])), tell)
"""


def test_killed_at_every_boundary_a_run_can_be_resumed(
    everywhere: Callable[[], Folder], fault_points: Callable[[int], None]
) -> None:
    """SIGKILL at each event of a run over three stores; `--resume` ends where an undisturbed run does."""
    folder = everywhere()
    plan, saved = folder.plan(allow=("all",)), folder.path / "plan.json"
    planfile.write(plan, saved)
    workflow.apply(folder.load(), plan)
    end = folder.live()
    killed = 0
    while True:
        folder = everywhere()
        done = subprocess.run([sys.executable, "-c", KILLER, folder.path, str(killed + 1), saved], check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
        state = workflow.status(folder.load())
        if state["lock"] is not None:
            workflow.unlock(folder.load(), state["lock"]["run"])
        if state["unfinished"] is not None:
            workflow.resume(folder.load())
        else:
            folder.apply("all")
        assert folder.live() == end, f"killed at event {killed}"
        again = folder.plan()
        assert again.steps == ()
        assert not again.observed["records"]
        last = workflow.history(folder.load())[0]
        assert last["outcome"] == "done"
    assert killed > 15
    fault_points(killed)


def test_the_report_counts_in_all_three_stores(everywhere: Callable[[], Folder]) -> None:
    folder, found = everywhere(), list[Any]()
    workflow.apply(folder.load(), folder.plan(allow=("all",)), on_report=found.append)
    assert [list(store["after"]) for store in found[0]["stores"]] == [["bytes"], ["nodes", "relationships"], ["points"]]
    counts = {entry["address"]: (entry["before"], entry["after"], entry["exact"]) for entry in found[0]["counts"]}
    assert counts["app.table.public.documents"] == (50, 50, True)
    assert counts["graph.label.Person"] == (None, 0, True)
    assert counts["vectors.collection.passages"] == (None, 0, True)


@pytest.mark.parametrize("patience", ["0s", "5min"])
def test_ten_applies_at_once_one_runs(folder: Folder, patience: str) -> None:
    folder.declare(app=NEW)
    line = ("apply", "--auto-approve", "--allow", "all", "--lock-timeout", patience)
    started = [folder.start(*line) for _ in range(10)]
    ends = [(p.communicate()[0], p.returncode) for p in started]
    failed = "\n".join(text for text, code in ends if code not in (Exit.CLEAN, Exit.REFUSED))
    assert not failed, failed
    assert [code for _, code in ends].count(Exit.CLEAN) >= (10 if patience != "0s" else 1), ends
    for text, code in ends:
        if code == Exit.REFUSED:
            assert any(word in text for word in ("holds the lock", "stale", "unfinished")), text
    assert folder.plan().steps == ()
    runs = [r for r in workflow.history(folder.load()) if r["number"] > 1]
    assert [r["outcome"] for r in runs] == ["done"]


PULLER = """
import sys
from pathlib import Path
from reconcile import workflow
from reconcile.project import Project
import psycopg
from reconcile.errors import ReconcileError
project = Project.load(Path(sys.argv[1]))
def tell(event):
    if event.kind == "step_done" and event.index == event.total:
        with psycopg.connect(sys.argv[2], dbname="postgres", autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [sys.argv[3]])
            admin.execute(f'ALTER DATABASE "{sys.argv[3]}" ALLOW_CONNECTIONS false')
try:
    workflow.apply(project, workflow.plan(project, workflow.Options(allow=("all",))), tell)
except ReconcileError as error:
    print(error)
    sys.exit(error.exit)
"""


def test_a_store_that_goes_before_the_proof_leaves_a_run_to_resume(folder: Folder) -> None:
    folder.settings["ledger"] = {"file": "ledger.db"}
    folder.declare(app=NEW)
    url = folder.stores["app"]["url"]
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    done = subprocess.run(
        [sys.executable, "-c", PULLER, str(folder.path), url, name], capture_output=True, text=True, check=False
    )
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert done.returncode == Exit.PARTIAL, done.stdout + done.stderr
    assert "carried out every step, but could not be verified" in done.stdout
    assert folder.command("apply", "--resume").returncode == Exit.CLEAN
    assert folder.plan().steps == ()


# --- whose world ---------------------------------------------------------------------------------------------------


def test_another_projects_ledger_is_refused(folder: Folder) -> None:
    folder.settings["name"] = "other"
    with pytest.raises(ReconcileError, match="the ledger belongs to project trial"):
        folder.declare(app=OLD).plan()


def test_another_environments_ledger_is_refused(folder: Folder) -> None:
    folder.settings |= {"environments": {"staging": {}, "default": {}}}
    folder.declare(app=OLD)
    done = folder.command("plan", "-e", "staging")
    assert done.returncode == Exit.ERROR
    assert "environment default" in done.stderr


def test_a_restored_clone_is_refused(folder: Folder, make_postgres_database: Callable[[], str]) -> None:
    other = make_postgres_database()
    clone = psycopg.conninfo.conninfo_to_dict(other)["dbname"]
    source = psycopg.conninfo.conninfo_to_dict(folder.stores["app"]["url"])["dbname"]
    with psycopg.connect(other, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{clone}"')
        admin.execute(f'CREATE DATABASE "{clone}" TEMPLATE "{source}"')
    folder.stores["app"]["url"] = other
    with pytest.raises(ReconcileError, match="a restored or cloned database brings its ledger along"):
        folder.declare(app=OLD).plan()


def test_the_ledger_can_be_a_file(folder: Folder) -> None:
    folder.settings["ledger"] = {"file": ".reconcile/ledger.db"}
    folder.declare(app=NEW).apply("all")
    assert (folder.path / ".reconcile" / "ledger.db").exists()
    assert folder.plan().steps == ()


# --- drift policies, selection, ownership --------------------------------------------------------------------------


def drifted(folder: Folder, on_drift: str) -> Folder:
    sql(folder, "ALTER TABLE documents ALTER size SET DEFAULT 9")
    folder.settings["policy"] = {"on_drift": on_drift}
    return folder.declare(app=OLD.replace("path: text", "path: {type: text, comment: Where}"))


def test_drift_refused_is_the_default_and_nothing_else_is_applied(folder: Folder) -> None:
    with pytest.raises(BlockedError, match=re.escape("reverts-drift=app.column.public.documents.size")):
        drifted(folder, "refuse").apply()


def test_drift_kept_is_left_while_the_rest_is_applied(folder: Folder) -> None:
    plan = drifted(folder, "keep").plan()
    assert plan.observed["kept"] == ["app.column.public.documents.size"]
    workflow.apply(folder.load(), plan)
    live = folder.live()
    assert live["app.column.public.documents.size"]["default"] == "9"
    assert live["app.column.public.documents.path"]["comment"] == "Where"


def test_drift_that_was_kept_is_drift_the_next_time_too(folder: Folder) -> None:
    """Also where another attribute of the same address is applied meanwhile."""
    size = "app.column.public.documents.size"
    drifted(folder, "keep").apply()
    text = OLD.replace("default: 0", "default: 0, comment: Bytes")
    for declared in (text, text, text.replace("Bytes", "In bytes")):
        plan = folder.declare(app=declared).plan()
        assert plan.observed["kept"] == [size]
        workflow.apply(folder.load(), plan)
        assert [entry["address"] for entry in workflow.drift(folder.load())["drift"]] == [size]
    assert folder.live()[size]["default"] == "9" and folder.live()[size]["comment"] == "In bytes"
    assert not folder.plan().steps and not folder.plan().observed["records"]
    sql(folder, "ALTER TABLE documents DROP path")
    assert "but for 2 moves in the store that are left alone." in folder.command("apply", "--auto-approve").stdout
    assert "app.column.public.documents.path" not in folder.live()
    folder.settings["policy"] = {"on_drift": "refuse"}
    with pytest.raises(BlockedError, match=re.escape(f"reverts-drift={size}")):
        folder.declare().apply()


def test_drift_reverted_needs_no_allowance_where_the_policy_says_so(folder: Folder) -> None:
    drifted(folder, "revert").apply()
    assert folder.live()["app.column.public.documents.size"]["default"] == "0"


def test_only_takes_what_is_needed_along_and_no_removals(folder: Folder) -> None:
    folder.declare(app=NEW.replace("size > 10", "id > 10").replace("      path: {type: text, not_null: true}\n", ""))
    folder.declare(app=NEW)
    plan = folder.plan(only=("app.foreign_key.*",))
    addresses = {str(c.address) for c in plan.resource_changes}
    assert "app.table.public.users" in addresses
    assert "app.column.public.documents.owner_id" in addresses
    assert not addresses & {"app.view.public.big", "app.enum.public.job_state"}
    assert not plan.complete


def test_exclude_takes_dependents_along(folder: Folder) -> None:
    plan = folder.declare(app=NEW).plan(exclude=("app.table.public.users",))
    addresses = {str(c.address) for c in plan.resource_changes}
    assert "app.foreign_key.public.documents.documents_owner_fkey" not in addresses
    assert "app.index.public.documents_path_idx" in addresses


@pytest.mark.parametrize("option", ["only", "exclude"])
def test_a_selection_that_matches_nothing_is_an_error(folder: Folder, option: str) -> None:
    with pytest.raises(ReconcileError, match=f"--{option} app.tabel.public.documents matches nothing.*\n.*app.table"):
        folder.plan(**{option: ("app.tabel.public.documents",)})


def test_an_allowance_that_allows_nothing_is_told(folder: Folder) -> None:
    plan = folder.declare(app=NEW).plan(allow=("deletes-data=app.table.public.nothing", "all"))
    assert "--allow deletes-data=app.table.public.nothing allows nothing of this plan" in plan.observed["notes"]


def test_what_nobody_declared_is_never_removed_and_what_was_declared_is(folder: Folder) -> None:
    sql(folder, "CREATE TABLE by_hand (id int); ALTER TABLE documents ADD by_hand text")
    folder.declare(app=OLD.replace(", path: text", ""))
    plan = folder.plan()
    assert [str(c.address) for c in plan.resource_changes] == ["app.column.public.documents.path"]
    assert [u["address"] for u in plan.observed["unmanaged"]] == ["app.table.public.by_hand"]
    assert [e["address"] for e in plan.observed["extra"]] == ["app.column.public.documents.by_hand"]


def test_what_was_made_by_hand_outlives_unrelated_deployments(folder: Folder) -> None:
    """A column with data, an index and a table, through additions, removals, a rebuild and a rollback."""
    sql(folder, "ALTER TABLE documents ADD by_hand text; UPDATE documents SET by_hand = 'kept'")
    sql(folder, "CREATE INDEX by_hand_idx ON documents (by_hand); CREATE TABLE by_hand (id int)")
    for declared in (NEW, OLD, NEW.replace("[path]", "[path, size]"), OLD):
        folder.declare(app=declared).apply("all")
        assert sql(folder, "SELECT DISTINCT by_hand FROM documents") == [("kept",)]
        assert sql(folder, "SELECT count(*) FROM pg_class WHERE relname LIKE 'by\\_hand%'") == [(2,)]
    run = workflow.history(folder.load())[0]["id"]
    workflow.apply(folder.load(), workflow.rollback(folder.load(), run, allow=("all",)))
    assert sql(folder, "SELECT DISTINCT by_hand FROM documents") == [("kept",)]


def test_forgotten_addresses_are_no_longer_removed(folder: Folder) -> None:
    workflow.forget(folder.load(), ["app.column.public.documents.path"])
    folder.declare(app=OLD.replace(", path: text", ""))
    assert folder.plan().steps == ()


def test_an_empty_plan_still_records_what_is_declared(folder: Folder) -> None:
    sql(folder, "CREATE TABLE found (id integer)")
    folder.declare(app=OLD + "  found: {columns: {id: integer}}\n")
    plan = folder.plan()
    assert (plan.steps, plan.observed["records"]) == ((), 2)
    assert workflow.apply(folder.load(), plan).recorded == 2
    folder.declare(app=OLD)
    assert [c.action_reason for c in folder.plan().resource_changes if not c.part_of] == ["delete_because_removed"]


# --- what cannot be proved ------------------------------------------------------------------------------------------


def test_equality_by_text_asks_the_server_nothing_and_claims_nothing(folder: Folder) -> None:
    folder.declare(app=OLD.replace("default: 0}", "default: 0+0}")).apply()
    folder.stores["app"]["equality"] = "text"
    folder.declare(app=OLD.replace("default: 0}", "default: 0 + (0)}"))
    plan = folder.plan()
    assert [u["address"] for u in plan.observed["unproved"]] == ["app.column.public.documents.size"]
    with pytest.raises(BlockedError, match="cannot be proved"):
        workflow.apply(folder.load(), plan)
