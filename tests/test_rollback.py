"""`reconcile rollback`: what a run changed is as it was, whatever it was, over real servers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import planfile, workflow
from reconcile.errors import BlockedError, PartialError, PlanError, ReconcileError, RefusedError
from reconcile.frozen import frozen, thawed
from reconcile.render import text
from reconcile.sandbox.scratch import Neo4jDatabase
from reconcile.survey import open_ledger, reading
from tests.projects import Folder

EXAMPLE = Path(__file__).parents[1] / "examples" / "rag-platform"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    return Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})


def back(folder: Folder, run: str | None, **options: object) -> workflow.Outcome:
    plan = workflow.rollback(folder.load(), run, allow=("all",), **options)  # type: ignore[arg-type]
    return workflow.apply(folder.load(), plan)


def test_the_first_run_of_the_example(
    tmp_path: Path,
    postgres_database: str,
    neo4j_database: Neo4jDatabase,
    qdrant_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three stores are as empty as they were; `bench/rollback_example.py` has the time it takes."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("APP_DATABASE_URL", postgres_database)
    monkeypatch.setenv("NEO4J_URL", neo4j_database.url)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password or "")
    monkeypatch.setenv("QDRANT_URL", qdrant_server)
    folder = Folder(tmp_path, {})
    empty = folder.live()
    run = folder.apply("all").run
    assert len(folder.live()) > len(empty) + 20
    with reading(folder.load()) as found:
        for resource in (r for state in found.lives.values() for r in state.values()):
            again = thawed(json.loads(json.dumps(frozen(resource))))  # what the ledger keeps of it
            assert vars(again) == {k: v for k, v in vars(resource).items() if k not in ("source", "declared")}
    back(folder, run)
    assert folder.live() == empty
    then = folder.plan()
    assert not then.steps
    assert "held since the rollback of run" in text.render(planfile.to_json(then))


OLD = """
enums: {mood: [sad, happy]}
tables:
  notes:
    columns:
      id: {type: bigint, not_null: true, identity: always}
      body: {type: text, comment: what it says}
      kind: {type: varchar(20), not_null: true, default: "'a'"}
      feeling: mood
      gone: integer
    primary_key: [id]
    checks: {notes_kind_check: kind <> ''}
    indexes: {notes_body_idx: {columns: [body]}, notes_kind_idx: {columns: [kind]}}
  tags:
    columns: {id: {type: bigint, not_null: true}, note: bigint, label: text}
    primary_key: [id]
    foreign_keys: {tags_note_fkey: {columns: [note], references: {table: notes, columns: [id]}, on_delete: cascade}}
  old: {columns: {id: bigint}}
views: {loud: {query: "SELECT id, upper(body) AS body FROM notes"}}
functions:
  twice(integer): {definition: create function twice(n integer) returns integer language sql as 'select n * 2'}
"""
CHANGES = [
    ("a column more", "body: {", "extra: text\n      body: {"),
    ("a column less", "      gone: integer\n", ""),
    ("another type", "varchar(20)", "varchar(40)"),
    ("another default", "\"'a'\"", "\"'b'\""),
    ("a comment", "what it says", "what it said"),
    ("a column's name", "label: text", "title: {type: text, renamed_from: label}"),
    ("a table's name", "  tags:\n", "  labels:\n    renamed_from: tags\n"),
    ("a table less", "  old: {columns: {id: bigint}}\n", ""),
    ("a check less", "    checks: {notes_kind_check: kind <> ''}\n", ""),
    ("an index of another column", "{columns: [kind]}", "{columns: [kind, id]}"),
    ("an index less", "notes_body_idx: {columns: [body]}, ", ""),
    ("a foreign key of another kind", "cascade", "restrict"),
    ("a view", "upper(body)", "lower(body)"),
    ("a function", "n * 2", "n + n"),
    ("a value more", "[sad, happy]", "[sad, calm, happy]"),
    ("an extension more", "enums:", "extensions: {vector: {}}\nenums:"),
    ("a type's name", "mood: [sad, calm, happy]", "temper: {values: [sad, calm, happy], renamed_from: mood}"),
    ("and its user", "feeling: mood", "feeling: temper"),
    (
        "a table more",
        "views:",
        "  more: {columns: {id: bigint, note: bigint}, indexes: {more_idx: {columns: [note]}}}\nviews:",
    ),
]


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def moved(folder: Folder) -> list[object]:
    found = workflow.drift(folder.load())
    return [*found["drift"], *found["extra"], *found["unmanaged"]]


@pytest.fixture
def filled(folder: Folder) -> Folder:
    folder.declare(app=OLD).apply()
    sql(folder, "INSERT INTO notes (body, feeling, gone) SELECT 'b' || n, 'sad', n FROM generate_series(1, 5) n")
    sql(folder, "INSERT INTO tags SELECT n, n, 'x' FROM generate_series(1, 5) n")
    return folder


def test_whatever_a_run_changed(filled: Folder) -> None:
    """All at once; then the plan leaves it out, and has it again when it is let go."""
    folder, before, new = filled, filled.live(), OLD
    for _, old, text_ in CHANGES:
        assert old in new
        new = new.replace(old, text_)
    run = folder.declare(app=new).apply("all").run
    plan = workflow.rollback(folder.load(), run, allow=("all",))
    assert planfile.to_json(planfile.from_json(planfile.to_json(plan))) == planfile.to_json(plan)
    by = workflow.apply(folder.load(), plan).run
    assert folder.live() == before
    assert sql(folder, "SELECT id, label FROM tags ORDER BY id") == [(n, "x") for n in range(1, 6)]
    assert not moved(folder)
    assert not folder.plan().steps
    assert {(r["run"], r["by"]) for r in workflow.status(folder.load())["rolled"]} == {(run, by)}
    with pytest.raises(ReconcileError, match=f"rolled back already, by run {by}"):
        workflow.rollback(folder.load(), run)
    assert workflow.let_go(folder.load(), [str(run)])
    folder.apply("all")
    assert not folder.plan().steps
    assert not workflow.status(folder.load())["rolled"]


ONE = "tables: {a: {columns: {id: bigint}}}"
TWO = "tables: {a: {columns: {id: bigint, more: text}}, b: {columns: {id: bigint}}}"
THREE = "tables: {a: {columns: {id: bigint, more: text}}, b: {columns: {id: text}}}"


def test_later_runs_and_what_others_made(folder: Folder) -> None:
    """A run whose work was gone on with is not taken back alone, nor with what it did not make."""
    one, two, three = (folder.declare(app=text_).apply("all").run for text_ in (ONE, TWO, THREE))
    with pytest.raises(RefusedError, match=rf"app.column.public.b.id: changed again by run {three}") as refused:
        workflow.rollback(folder.load(), two)
    assert f"reconcile rollback {three}" in str(refused.value.hint)
    with pytest.raises(ReconcileError, match=r"there is no run nothing"):
        workflow.rollback(folder.load(), "nothing")

    back(folder, two, only=["app.table.public.a", "app.column.public.a.*"])  # not what three touched
    assert "app.column.public.a.more" not in folder.live()
    assert not folder.plan().steps
    folder.declare(app=THREE.replace("more: text", "more: {type: text, not_null: true}"))
    assert [s.id for s in folder.plan().steps] == ["app.column.public.a.more/1-add"]  # it differs now
    folder.apply()

    sql(folder, "CREATE INDEX byhand ON b (id)")
    with pytest.raises(PlanError, match=r"app\.index\.public\.byhand is in app.table.public.b"):
        workflow.rollback(folder.load(), None, to=one)
    sql(folder, "DROP INDEX byhand")
    back(folder, None, to=one)
    assert {a for a in folder.live() if "public.a" in a or "public.b" in a} == {
        "app.table.public.a",
        "app.column.public.a.id",
        "app.grant.table.public.a",
    }
    assert not folder.plan().steps


def test_an_emergency_asks_for_nothing_but_what_is_protected(folder: Folder) -> None:
    """No allowance, no window; the ledger knows."""
    run = folder.declare(app=ONE).apply().run
    folder.settings["policy"] = {"require_backup": True}
    folder.declare()
    plan = workflow.rollback(folder.load(), run)
    assert plan.observed["reverse"]["counts"] == {"make": 1}
    with pytest.raises(BlockedError, match="breaks-clients"):
        workflow.apply(folder.load(), plan)
    folder.settings["protect"] = ["app.table.public.a"]
    folder.declare()
    with pytest.raises(BlockedError, match=r"Protected by app.table.public.a"):
        workflow.apply(folder.load(), plan, emergency=True)
    del folder.settings["protect"]
    folder.declare()
    done = folder.command("rollback", str(run), "--emergency", "--yes")
    assert done.returncode == 0, done.stderr
    assert "app.table.public.a" not in folder.live()
    ledger = open_ledger(folder.load())
    try:
        last = ledger.run(ledger.runs(1)[0].id)
        assert last is not None
        assert last.plan["observed"]["emergency"] is True
        assert last.plan["rollback"]["runs"] == [run]
    finally:
        ledger.close()


def test_a_run_that_stopped_is_taken_back_as_far_as_it_came(filled: Folder) -> None:
    """At each boundary; the ways out name it."""
    before = filled.live()
    new = OLD.replace("body: {", "extra: text\n      body: {").replace("{columns: [kind]}", "{columns: [kind, id]}")
    new = new.replace("label: text", "label: {type: text, not_null: true}").replace("views:", f"{MORE}views:")
    filled.declare(app=new)
    groups = len(filled.plan(allow=("all",)).groups)
    assert groups > 4
    for boundary in range(1, groups):
        left = iter([None] * boundary)
        with pytest.raises(PartialError, match="stopped by the test") as stopped:
            made = filled.plan(allow=("all",))
            workflow.apply(filled.load(), made, stop=lambda left=left: next(left, "the test"))  # type: ignore[misc]
        run = re.findall(r"run (\w+) stopped", str(stopped.value))[0]
        assert f"reconcile rollback {run}" in str(stopped.value.hint)
        with pytest.raises(RefusedError, match="unfinished") as refused:
            filled.apply("all")
        assert f"reconcile rollback {run}" in str(refused.value.hint)
        back(filled, run)
        assert filled.live() == before, boundary
        workflow.let_go(filled.load(), [run])
    filled.apply("all")
    assert not filled.plan().steps


MORE = "  more: {columns: {id: bigint, note: bigint}, indexes: {more_idx: {columns: [note]}}}\n"
