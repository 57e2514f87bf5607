"""Policy `contract: held`: what waits, what releases it, and that nothing else does; on a real server."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import planfile, workflow
from reconcile.apply import Event
from reconcile.errors import BlockedError, ReconcileError, RefusedError
from reconcile.render import text
from reconcile.survey import open_ledger
from tests.projects import Folder
from tests.stores_by_kind import KINDS
from tests.test_cases import FOLDERS, Case, names

OLD = """
tables:
  notes:
    columns: {id: {type: bigint, not_null: true}, body: text, kind: text}
    primary_key: [id]
  documents:
    columns: {id: {type: bigint, not_null: true}, size: {type: integer, not_null: true, default: 0}}
    primary_key: [id]
    indexes: {documents_size_idx: {columns: [size]}}
"""
NEW = (
    OLD.replace(", kind: text", ", lang: text")
    .replace("body: text", "body: {type: text, not_null: true}")
    .replace("{type: integer, not_null", "{type: bigint, strategy: online, not_null")
)
LATER = NEW + "  more: {columns: {id: bigint}}\n"
KIND, BODY, SIZE = "app.column.public.notes.kind", "app.column.public.notes.body", "app.column.public.documents.size"


BOTH = pytest.mark.parametrize("folder", ["store", "file"], indirect=True)


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, request: pytest.FixtureRequest) -> Folder:
    """Two filled tables in a shared environment, the ledger in the store or in a file; the new state is declared."""
    return begun(tmp_path, postgres_database, getattr(request, "param", "store") == "file")


def begun(path: Path, url: str, file: bool) -> Folder:
    folder = Folder(path, {"app": {"kind": "postgres", "url": url}})
    if file:
        folder.settings["policy"] = {"contract": "held"}
    else:  # held by default
        folder.settings["environments"] = {"production": {"shared": True}}
    if file:
        folder.settings["ledger"] = {"file": "ledger.db"}
    folder.declare(app=OLD).apply()
    sql(folder, "INSERT INTO notes SELECT n, 'b' || n, 'k' FROM generate_series(1, 20) n")
    sql(folder, "INSERT INTO documents SELECT n, n FROM generate_series(1, 20) n")
    return folder.declare(app=NEW)


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def waits(folder: Folder) -> list[str]:
    return [entry["address"] for entry in workflow.status(folder.load())["held"]]


def ends(folder: Folder) -> dict[str, Any]:
    """The columns' types, as an undisturbed apply of everything leaves them."""
    query = "SELECT attrelid::regclass || '.' || attname, format_type(atttypid, -1), attnotnull FROM pg_attribute"
    where = "WHERE attrelid IN ('notes'::regclass, 'documents'::regclass) AND attnum > 0 AND NOT attisdropped"
    return {str(name): rest for name, *rest in sql(folder, f"{query} {where}")}


END = {
    "notes.id": ["bigint", True],
    "notes.body": ["text", True],
    "notes.lang": ["text", False],
    "documents.id": ["bigint", True],
    "documents.size": ["bigint", True],
}


def release(folder: Folder, *names: str, allow: tuple[str, ...] = ("all",)) -> workflow.Outcome:
    project = folder.load()
    return workflow.apply(project, workflow.release(project, names, workflow.Options(allow=allow)))


@BOTH
def test_contract_steps_wait_and_only_a_release_runs_them(folder: Folder) -> None:
    first = folder.plan()
    assert {s.phase for s in first.steps} <= {"expand", "migrate"}
    assert not first.observed["blocked"]  # what waits is allowed when it is released
    shown = text.render(planfile.to_json(first))
    assert "Held until released" in shown
    assert re.search(f"=  {BODY} +~ not null false → true  schema/app.yaml:5", shown)
    run = workflow.apply(folder.load(), first).run
    assert sql(folder, "SELECT kind FROM notes LIMIT 1") == [("k",)]
    assert waits(folder) == [SIZE, BODY, KIND]

    again = folder.plan()
    assert (again.steps, again.resource_changes, again.observed["records"]) == ((), (), 0)
    assert text.render(planfile.to_json(again)).count(f"run {run}") == 3
    assert "No changes. The stores are as declared, but for 3 changes that wait." in text.render(
        planfile.to_json(again)
    )
    found = workflow.drift(folder.load())
    assert (found["drift"], found["extra"]) == ([], [])
    assert workflow.apply(folder.load(), again).run is None

    folder.declare(app=LATER).apply("all")  # an allowance is no release
    assert sql(folder, "SELECT kind FROM notes LIMIT 1") == [("k",)]
    assert {e["run"] for e in workflow.status(folder.load())["held"]} == {run}

    with pytest.raises(BlockedError, match=f"breaks-clients={KIND}"):
        release(folder, KIND, allow=())
    assert release(folder, KIND).steps_done == 1
    assert waits(folder) == [SIZE, BODY]
    assert run is not None
    release(folder, run)
    assert waits(folder) == []
    assert ends(folder) == END
    last = folder.plan()
    assert (last.steps, last.held, last.observed["records"]) == ((), (), 0)
    with pytest.raises(ReconcileError, match="nothing that waits"):
        release(folder, run)


def test_what_moved_by_hand_is_drift_also_while_it_waits(folder: Folder) -> None:
    folder.apply()
    sql(folder, "ALTER TABLE notes ALTER kind SET DEFAULT 'x'")
    assert [e["address"] for e in workflow.drift(folder.load())["drift"]] == [KIND]


def test_another_wish_starts_anew(folder: Folder) -> None:
    """Held steps are no promise: the YAML decides."""
    folder.apply()
    folder.declare(app=OLD.replace(", kind: text", ", kind: text, lang: text"))
    plan = folder.plan(allow=("all",))
    assert KIND not in {s.id.rpartition("/")[0] for s in plan.held}
    workflow.apply(folder.load(), plan)
    release(folder, "*") if waits(folder) else None
    assert waits(folder) == []
    assert sql(folder, "SELECT kind FROM notes LIMIT 1") == [("k",)]
    assert ends(folder)["documents.size"] == ["integer", True]


def test_what_pruning_would_remove_waits_too(folder: Folder) -> None:
    """Also through applies that were not asked to prune, and is released without asking again."""
    folder.declare(app=OLD)
    sql(folder, "CREATE TABLE by_hand (id int); CREATE TABLE by_others (id int)")
    workflow.apply(folder.load(), folder.plan(prune="all"))
    folder.declare(app=OLD + "  more: {columns: {id: bigint}}\n").apply()
    assert waits(folder) == ["app.table.public.by_hand", "app.table.public.by_others"]
    release(folder, "app.table.public.by_hand")
    assert sql(folder, "SELECT relname FROM pg_class WHERE relname LIKE 'by\\_%'") == [("by_others",)]
    assert waits(folder) == ["app.table.public.by_others"]


def test_what_waited_long_enough_is_run_by_the_next_apply(folder: Folder) -> None:
    folder.apply()
    folder.settings["policy"] = {"contract": "held", "after": "1h"}
    assert folder.declare().plan().steps == ()
    age(folder, 3601)
    plan = folder.plan(allow=("all",))
    assert (len(plan.held), KIND in {str(c.address) for c in plan.resource_changes}) == (0, True)
    workflow.apply(folder.load(), plan)
    assert (ends(folder), waits(folder)) == (END, [])


def age(folder: Folder, seconds: float) -> None:
    """As if the ledger had been written so long ago."""
    ledger = open_ledger(folder.load())
    try:
        known = ledger.known()
        ledger.record(
            (), (), {k: {**v, "since": v["since"] - seconds} for k, v in known.items() if k.startswith("held ")}
        )
    finally:
        ledger.close()


def killed(act: Callable[..., Any], at: int) -> bool:
    """Whether `act`, run in a process of its own, was killed when it told its `at`th event."""
    child = os.fork()
    if child == 0:
        left = at

        def tell(_: Event) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            act(tell)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def go_on(folder: Folder) -> None:
    """What an operator does after a crash."""
    project = folder.load()
    state = workflow.status(project)
    if state["lock"] is not None:
        workflow.unlock(project, state["lock"]["run"])
    if state["unfinished"] is not None:
        workflow.resume(project)


def test_killed_in_the_apply_and_in_the_release_it_comes_to_the_same_end(
    tmp_path: Path, make_postgres_database: Callable[[], str], fault_points: Callable[[int], None]
) -> None:
    """SIGKILL at events all over both runs, the ledger in the store and in a file by turns."""
    points = [0, 0]
    for at in (3, 6, 9, 12):
        (tmp_path / str(at)).mkdir()
        folder = begun(tmp_path / str(at), make_postgres_database(), at in (3, 9))
        project, plan = folder.load(), folder.plan()
        cut = killed(partial(workflow.apply, project, plan), at)
        go_on(folder)
        if not waits(folder):  # killed before anything was begun
            folder.apply()
        again = folder.plan()
        assert (again.steps, waits(folder)) == ((), [SIZE, BODY, KIND]), f"killed at event {at} of the apply"
        made = workflow.release(project, ["*"], workflow.Options(allow=("all",)))
        torn = killed(partial(workflow.apply, project, made), at)
        go_on(folder)
        if waits(folder):
            release(folder, "*")
        last = folder.plan()
        found = (ends(folder), waits(folder), last.steps, last.held, last.observed["records"])
        assert found == (END, [], (), (), 0), f"killed at event {at} of the release"
        points = [points[0] + cut, points[1] + torn]
    assert min(points) >= 3, points
    fault_points(sum(points))


# --- apply --phase ---------------------------------------------------------------------------------------------------


@BOTH
def test_a_run_pauses_between_phases_and_goes_on(folder: Folder) -> None:
    folder.settings["policy"] = {"contract": "together", "allow": ["all"]}
    folder.declare()
    project = folder.load()
    outcome = workflow.apply(project, folder.plan(), until="expand")
    assert outcome.paused == "expand"
    assert sql(folder, "SELECT count(size__rc_new) FROM documents") == [(0,)]
    for act in (folder.apply, partial(workflow.resume, project)):
        with pytest.raises(RefusedError, match="has paused"):
            act()
    with pytest.raises(ReconcileError, match="has carried out its phase expand already"):
        workflow.resume(project, until="expand")
    assert killed(partial(workflow.resume, project, until="migrate"), 2)
    state = workflow.status(project)["lock"]
    workflow.unlock(project, state["run"])
    assert workflow.resume(project).paused == "migrate"  # as far as it was told before it was killed
    assert sql(folder, "SELECT count(size__rc_new), count(kind) FROM documents, notes") == [(400, 400)]
    sql(folder, "ALTER TABLE notes ALTER kind SET DEFAULT 'x'")
    with pytest.raises(RefusedError, match=f"since the run paused, this moved:\n  {KIND}"):
        workflow.resume(project, until="contract")
    sql(folder, "ALTER TABLE notes ALTER kind DROP DEFAULT")
    done = folder.command("apply", "--phase", "contract")
    assert done.returncode == 0, done.stderr
    last = folder.plan()
    assert (ends(folder), last.steps, last.observed["records"]) == (END, (), 0)
    assert workflow.history(project)[0]["outcome"] == "done"


CASES = [
    f for f in FOLDERS if f.name in ("rename_with_changes_inside", "replace_materialized_view", "retype_key_online")
]


@pytest.mark.parametrize("case_folder", CASES, ids=names)
def test_apply_then_release_ends_as_one_apply_of_everything(
    case_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """And in between there is nothing to do and no drift, whatever was built, filled or swapped."""
    case = Case(case_folder, tmp_path, KINDS[case_folder.parent.name](request))
    case.begin()
    case.apply()
    end = case.state()
    target = case.begin()
    before = workflow.drift(case.project())["drift"]
    case.options["policy"] = {**case.options.get("policy", {}), "contract": "held"}
    case.declare("new.yaml", target)
    case.apply()
    again = case.plan("all")
    assert ([s.id for s in again.steps], again.resource_changes, again.observed["records"]) == ([], (), 0)
    assert again.held
    found = workflow.drift(case.project())
    assert [e["address"] for e in found["drift"] if e not in before] == []
    assert not [e for e in found["extra"] if "__rc_" in e["address"]]
    made = workflow.release(case.project(), ["*"], workflow.Options(allow=("all",)))
    workflow.apply(case.project(), made)
    last = case.plan("all")
    assert ([s.id for s in last.steps], last.held) == ([], ())
    assert case.state() == end
