"""Removals keep: what held data is put away, ignored, and comes back whole; over real servers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import planfile, workflow
from reconcile.apply import Event
from reconcile.errors import PlanError, ReconcileError
from reconcile.exits import Exit
from reconcile.plan import Plan
from reconcile.render import text
from reconcile.survey import open_ledger
from tests.projects import Folder

LONG = "a" * 60 + "ü"
OLD = f"""
tables:
  notes:
    columns:
      id: {{type: bigint, not_null: true, identity: always}}
      body: text
      kind: {{type: varchar(20), not_null: true, default: "'a'"}}
      owner: {{type: bigint, not_null: true}}
    primary_key: [id]
    unique: {{notes_body_key: [body]}}
    checks: {{notes_kind_check: kind <> ''}}
    foreign_keys: {{notes_owner_fkey: {{columns: [owner], references: people}}}}
    indexes: {{notes_kind_idx: {{columns: [kind]}}}}
    triggers: {{notes_touch: {{when: before, events: [update], for_each: row, function: touch()}}}}
  tags:
    columns: {{id: {{type: bigint, not_null: true}}, note: bigint, old: {{type: text, not_null: true, default: "'x'"}}}}
    primary_key: [id]
    foreign_keys: {{tags_note_fkey: {{columns: [note], references: notes, on_delete: cascade}}}}
    indexes: {{tags_old_idx: {{columns: [old]}}}}
  people: {{columns: {{id: {{type: bigint, not_null: true}}}}, primary_key: [id]}}
  {LONG[:50]}: {{columns: {{id: bigint}}}}
functions:
  touch(): {{definition: "create function touch() returns trigger language plpgsql as $$ begin return new; end $$"}}
"""
NEW = """
tables:
  tags:
    columns: {id: {type: bigint, not_null: true}, note: bigint}
    primary_key: [id]
  people: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
"""
ROWS = {
    "people": "SELECT id FROM people ORDER BY id",
    "notes": "SELECT id, body, kind, owner FROM notes ORDER BY id",
    "tags": "SELECT id, note, old FROM tags ORDER BY id",
}


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def rows(folder: Folder) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sql(folder, query) for name, query in ROWS.items()}


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}).declare(app=OLD)
    folder.apply()
    sql(folder, "INSERT INTO people SELECT n FROM generate_series(1, 9) n")
    sql(folder, "INSERT INTO notes (body, owner) SELECT 'b' || n, n FROM generate_series(1, 9) n")
    sql(folder, "INSERT INTO tags SELECT n, n, 'o' || n FROM generate_series(1, 9) n")
    return folder


def moved(folder: Folder) -> list[object]:
    found = workflow.drift(folder.load())
    return [*found["drift"], *found["extra"], *found["unmanaged"]]


def test_a_table_and_a_column_are_kept_and_come_back(folder: Folder) -> None:
    """With foreign keys in and out, a trigger, an identity; row by row; and again after that."""
    before, held = folder.live(), rows(folder)
    for _ in range(2):
        plan = folder.declare(app=NEW).plan(allow=("breaks-clients",))
        assert not plan.observed["blocked"]
        run = workflow.apply(folder.load(), plan).run
        assert not folder.plan().steps
        assert not moved(folder)
        sql(folder, "INSERT INTO tags (id, note) VALUES (100, 77)")  # no foreign key, no NOT NULL
        sql(folder, "DELETE FROM tags WHERE id = 100")
        sql(folder, "DELETE FROM people WHERE id = 9; INSERT INTO people VALUES (9)")  # nothing refers to it
        made = workflow.rollback(folder.load(), run, allow=("breaks-clients",))
        assert not any(s.hazards & {"deletes-data", "rewrites-table"} for s in made.steps)
        said = text.render(planfile.to_json(made))
        assert f"\nWay back: reconcile release {run}, then reconcile apply\n" in said
        assert "would not undo" not in said  # nothing is lost by bringing something back
        workflow.apply(folder.load(), made)
        assert (folder.live(), rows(folder)) == (before, held)
        assert not moved(folder)
        assert not folder.plan().steps
        sql(folder, "INSERT INTO notes (body, owner) VALUES ('next', 1); DELETE FROM notes WHERE body = 'next'")
        workflow.let_go(folder.load(), [str(run)])
    assert sql(folder, "SELECT count(*) FROM pg_class WHERE relname LIKE 'kept%'") == [(0,)]


def test_rows_that_came_or_went_meanwhile_stop_it_before_anything_changes(folder: Folder) -> None:
    """NULL where NOT NULL comes back, and foreign keys that no longer hold, from what is kept and to it."""
    before, held = folder.live(), rows(folder)
    run = workflow.apply(folder.load(), folder.declare(app=NEW).plan(allow=("breaks-clients",))).run
    sql(folder, "INSERT INTO tags (id, note) VALUES (100, 77); DELETE FROM people WHERE id = 3")
    there = folder.live()
    with pytest.raises(ReconcileError, match="nothing was changed") as caught:
        workflow.apply(folder.load(), workflow.rollback(folder.load(), run, allow=("breaks-clients",)))
    for said in (
        "old is null in public.tags: 1 row (id = 100)",
        "(note) of public.tags is not in public.notes: 1 row (id = 100, note = 77)",
        "(owner) of public.notes is not in public.people: 1 row (id = 3, owner = 3)",
    ):
        assert said in str(caught.value)
    assert folder.live() == there
    sql(folder, "DELETE FROM tags WHERE id = 100; INSERT INTO people VALUES (3)")
    workflow.apply(folder.load(), workflow.rollback(folder.load(), run, allow=("breaks-clients",)))
    assert (folder.live(), rows(folder)) == (before, held)


PARTED = """
sequences: {numbered_n_seq: {owned_by: numbered.n}}
tables:
  people: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
  numbered:
    columns:
      id: {type: bigint, not_null: true, identity: always}
      n: {type: bigint, not_null: true, default: "nextval('numbered_n_seq')"}
      twice: {type: bigint, generated: n * 2}
      body: text
    primary_key: [id]
    indexes: {numbered_twice_idx: {columns: [twice]}}
  events:
    columns: {at: {type: date, not_null: true}, kind: {type: text, not_null: true, default: "'a'"}, who: bigint}
    partition_by: {range: [at]}
    primary_key: [at, kind]
    checks: {events_kind_check: kind <> ''}
    indexes: {events_who_idx: {columns: [who]}}
    foreign_keys: {events_who_fkey: {columns: [who], references: people}}
    partitions:
      events_2025: {from: ["'2025-01-01'"], to: ["'2026-01-01'"]}
      events_2026:
        from: ["'2026-01-01'"]
        to: ["'2027-01-01'"]
        indexes: {events_2026_kind_idx: {columns: [kind]}}
  parts:
    columns: {id: {type: bigint, not_null: true, identity: by_default}, place: {type: text, not_null: true}, more: text}
    partition_by: {list: [place]}
    primary_key: [id, place]
    indexes: {parts_more_idx: {columns: [more]}}
    partitions:
      parts_north:
        in: ["'north'"]
        partition_by: {range: [id]}
        partitions:
          parts_north_1: {from: [1], to: [100], checks: {parts_north_1_check: id < 1000}}
      parts_rest: {default: true}
"""
LESS = """
tables:
  people: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
  numbered: {columns: {body: text}}
  events:
    columns: {at: {type: date, not_null: true}, kind: {type: text, not_null: true, default: "'a'"}, who: bigint}
    partition_by: {range: [at]}
    primary_key: [at, kind]
    checks: {events_kind_check: kind <> ''}
    indexes: {events_who_idx: {columns: [who]}}
    foreign_keys: {events_who_fkey: {columns: [who], references: people}}
    partitions: {events_2025: {from: ["'2025-01-01'"], to: ["'2026-01-01'"]}}
"""
PARTED_ROWS = (
    "SELECT id, n, twice, body FROM numbered ORDER BY id",
    "SELECT tableoid::regclass::text, * FROM events ORDER BY at",
    "SELECT tableoid::regclass::text, * FROM parts ORDER BY id",
    "SELECT nextval('numbered_n_seq') > 9, nextval(pg_get_serial_sequence('parts', 'id')) > 9",
    "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
)


def test_partitions_and_columns_with_sequences_are_kept(tmp_path: Path, postgres_database: str) -> None:
    """A partition, a partitioned table with all below, identity, serial and generated columns; killed anywhere."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}).declare(app=PARTED)
    folder.apply()
    sql(folder, "INSERT INTO people SELECT n FROM generate_series(1, 9) n")
    sql(folder, "INSERT INTO numbered (body) SELECT 'b' || n FROM generate_series(1, 9) n")
    sql(folder, "INSERT INTO events SELECT '2025-07-01'::date + 40 * n, 'k', n FROM generate_series(1, 9) n")
    sql(
        folder,
        "INSERT INTO parts (place) SELECT CASE n % 2 WHEN 0 THEN 'north' ELSE 'x' END FROM generate_series(1, 9) n",
    )
    before, held = folder.live(), [sql(folder, query) for query in PARTED_ROWS]
    plan = folder.declare(app=LESS).plan(allow=("breaks-clients",))
    assert not plan.observed["blocked"] and not any("deletes-data" in s.hazards for s in plan.steps)
    run = killed_at_each_boundary(folder, lambda: plan)
    assert not folder.plan().steps and not moved(folder)
    sql(folder, "INSERT INTO numbered (body) VALUES ('new'); DELETE FROM numbered WHERE body = 'new'")
    sql(folder, "DELETE FROM people WHERE id = 9; INSERT INTO people VALUES (9)")
    kept = {row["address"].partition(".")[2] for row in workflow.kept_list(folder.load())}
    assert kept == {"column.public.numbered.id", "column.public.numbered.n", "table.public.events_2026",
                    "table.public.parts"}  # fmt: skip
    killed_at_each_boundary(folder, lambda: workflow.rollback(folder.load(), run, allow=("all",)))
    assert folder.live() == before
    assert [sql(folder, query) for query in PARTED_ROWS] == held
    assert not moved(folder) and not folder.plan().steps
    workflow.let_go(folder.load(), [run])
    workflow.apply(folder.load(), folder.plan(allow=("breaks-clients",)))
    workflow.apply(folder.load(), workflow.purge(folder.load(), ["*"]))
    left = "SELECT relname FROM pg_class WHERE relname LIKE 'kept%' OR relname LIKE '%numbered_n%'"
    assert sql(folder, left) == []


def test_list_restore_purge(folder: Folder) -> None:
    """What they show and ask; what is purged comes back empty, and that is said."""
    held = rows(folder)
    folder.declare(app=NEW)
    run = workflow.apply(folder.load(), folder.plan(allow=("breaks-clients",))).run
    told = folder.command("kept", "list").stdout
    assert "  app.table.public.notes\n" in told and "  app.column.public.tags.old\n" in told
    assert f"run {run} · 9 rows" in told
    assert folder.command("kept", "restore", "app.column.public.tags.olf").returncode == Exit.ERROR
    done = folder.command("kept", "restore", "app.column.public.tags.old", "--auto-approve")
    assert done.returncode == Exit.CLEAN, done.stderr
    assert sql(folder, ROWS["tags"]) == held["tags"]
    assert not folder.plan().steps

    assert "nothing that is kept is meant" in folder.command("kept", "purge", "--older-than", "1d").stderr
    asked = folder.command("kept", "purge", "app.table.*")
    assert "deletes-data" in asked.stdout and asked.returncode == Exit.ERROR  # nobody is there to be asked
    done = folder.command("kept", "purge", "app.table.*", "--auto-approve")
    assert done.returncode == Exit.CLEAN, done.stderr
    assert folder.command("kept", "list").stdout == "Nothing is kept.\n"
    assert sql(folder, "SELECT count(*) FROM pg_class WHERE relname LIKE 'kept%'") == [(0,)]
    made = workflow.rollback(folder.load(), run, allow=("all",))
    assert "not undone: app.table.public.notes: its data was purged" in made.observed["notes"]
    sql(folder, "UPDATE tags SET note = NULL")  # else it says what refers to nothing
    workflow.apply(folder.load(), made)
    assert sql(folder, "SELECT count(*) FROM notes") == [(0,)]


def test_killed_anywhere_it_comes_to_the_same_end(folder: Folder) -> None:
    """The removal, and the way back."""
    before, held = folder.live(), rows(folder)
    folder.declare(app=NEW)
    run = killed_at_each_boundary(folder, lambda: folder.plan(allow=("breaks-clients",)))
    assert not folder.plan().steps
    killed_at_each_boundary(folder, lambda: workflow.rollback(folder.load(), run, allow=("breaks-clients",)))
    assert (folder.live(), rows(folder)) == (before, held)


def killed_at_each_boundary(folder: Folder, make: Callable[[], Plan]) -> str:
    """Apply a plan, killed whenever a step ends or begins until it is through; the run."""
    made, boundary = make(), 0
    while True:
        boundary += 1
        child = os.fork()
        if child == 0:  # pragma: no cover - it is killed
            left = boundary

            def on_event(event: Event) -> None:
                nonlocal left
                left -= event.kind in ("step_started", "step_done", "verified")
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                if boundary == 1:
                    workflow.apply(folder.load(), made, on_event)
                else:
                    workflow.resume(folder.load(), on_event)
            except BaseException:
                traceback.print_exc()
                os._exit(1)  # its parent's fixtures are not its own
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ledger = open_ledger(folder.load())
        try:
            run = ledger.runs(1)[0].id
            ledger.unlock(run)
        finally:
            ledger.close()
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return run


VECTORS = """
collections:
  passages: {vector: {dimensions: 3, distance: dot}, payload_indexes: {tenant: keyword}}
  plain: {versioned: false, vector: {dimensions: 3, distance: dot}}
aliases: {live: passages}
"""


def test_collections_are_kept_and_come_back(
    tmp_path: Path, qdrant_server: str, wipe_qdrant: Callable[[], None]
) -> None:
    """One behind an alias and a plain one, their vectors and payload included."""
    wipe_qdrant()
    folder = Folder(tmp_path, {"v": {"kind": "qdrant", "url": qdrant_server}}, {"ledger": {"file": "ledger.db"}})
    folder.declare(v=VECTORS).apply()

    def points(name: str) -> Any:
        body = {"limit": 100, "with_vector": True, "with_payload": True}
        return ask(f"{qdrant_server}/collections/{name}/points/scroll", "POST", body)["points"]

    for name in ("passages", "plain"):
        sent = [{"id": n, "vector": [n, 0.5, -n], "payload": {"tenant": f"t{n}"}} for n in range(20)]
        ask(f"{qdrant_server}/collections/{name}/points?wait=true", "PUT", {"points": sent})
    before, held = folder.live(), {name: points(name) for name in ("passages", "plain", "live")}
    run = killed_at_each_boundary(folder.declare(v=""), lambda: folder.plan(allow=("breaks-clients",)))
    assert not folder.plan().steps and not folder.live() and not moved(folder)
    assert {row["address"] for row in workflow.kept_list(folder.load())} == {
        "v.collection.passages",
        "v.collection.plain",
    }
    assert points("passages__v1") == held["passages"]
    with pytest.raises(PlanError, match=r"v\.collection\.plain cannot be made.* is kept under that name") as refused:
        folder.declare(v=VECTORS).plan()
    assert "passages" not in str(refused.value)  # which has another name
    folder.declare(v="")
    killed_at_each_boundary(folder, lambda: workflow.rollback(folder.load(), run, allow=("breaks-clients",)))
    assert folder.live() == before
    assert {name: points(name) for name in held} == held
    assert not workflow.kept_list(folder.load()) and not folder.plan().steps

    workflow.let_go(folder.load(), [run])
    workflow.apply(folder.load(), folder.plan(allow=("breaks-clients",)))
    workflow.apply(folder.load(), workflow.purge(folder.load(), ["v.*"]))
    assert ask(f"{qdrant_server}/collections", "GET")["collections"] == [{"name": "_reconcile"}]


def ask(url: str, method: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["result"]


def test_the_commands_of_the_page(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in their order, after a removal."""
    folder.settings["policy"] = {"allow": ["breaks-clients"]}
    folder.declare(app=NEW).apply()
    page = (Path(__file__).parents[1] / "docs" / "rollback.md").read_text(encoding="utf-8")
    first, by_hand, second = re.findall(r"```bash\n(.*?)```", page, re.S)  # the next applies what the first let go
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    line = ["bash", "-euxc", f"{first}{by_hand}{second}"]
    done = subprocess.run(line, cwd=folder.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "held since the rollback of run" in done.stdout
    assert sql(folder, "SELECT count(*) FROM pg_class WHERE relname LIKE 'kept%'") == [(0,)]  # its indexes too
    assert sql(folder, "SELECT count(*) FROM notes") == [(9,)]


def test_a_column_without_values_is_dropped(tmp_path: Path, postgres_database: str) -> None:
    """One that a run added, too, unless it has got some since the plan was made."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    small = "tables: {notes: {columns: {id: bigint}}}"
    folder.declare(app=small).apply()
    sql(folder, "INSERT INTO notes SELECT generate_series(1, 9)")
    run = folder.declare(app=small.replace("id: bigint", "id: bigint, more: text, last: text")).apply().run
    back = workflow.rollback(folder.load(), run, allow=("breaks-clients",))
    assert [s.keeps for s in back.steps] == [None, None] and not back.observed["blocked"]
    sql(folder, "UPDATE notes SET last = 'x' WHERE id = 3")
    with pytest.raises(ReconcileError, match=r"app\.column\.public\.notes\.last: was empty when planned"):
        workflow.apply(folder.load(), back)
    back = workflow.rollback(folder.load(), run, allow=("breaks-clients",))
    assert sorted(bool(s.keeps) for s in back.steps) == [False, True]
    workflow.apply(folder.load(), back)
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attnum > 0 AND NOT attisdropped"
    assert [name.partition("_")[0] for (name,) in sql(folder, columns)] == ["id", "kept"]


def test_a_value_that_comes_at_the_last_moment_is_not_dropped(tmp_path: Path, postgres_database: str) -> None:
    """Between the look at the stores and the statement that drops."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app="tables: {notes: {columns: {id: bigint, more: text}}}").apply()
    sql(folder, "INSERT INTO notes SELECT generate_series(1, 9)")
    plan = folder.declare(app="tables: {notes: {columns: {id: bigint}}}").plan(allow=("breaks-clients",))

    def late(event: Event) -> None:
        if event.kind == "step_started":
            sql(folder, "UPDATE notes SET more = 'x' WHERE id = 3")

    with pytest.raises(ReconcileError, match="had no values when planned, and has some now"):
        workflow.apply(folder.load(), plan, late)
    assert sql(folder, "SELECT more FROM notes WHERE id = 3") == [("x",)]


def test_rows_that_point_at_what_has_gone_since_are_told_before(tmp_path: Path, postgres_database: str) -> None:
    """Nothing is changed then; mended, the table comes back."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    people = "tables:\n  people: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}\n"
    refs = "  refs: {columns: {p: bigint}, foreign_keys: {refs_p: {columns: [p], references: people}}}\n"
    folder.declare(app=people + refs).apply()
    sql(folder, "INSERT INTO people VALUES (1), (2); INSERT INTO refs VALUES (1), (2), (NULL)")
    run = folder.declare(app=people).apply("breaks-clients").run
    sql(folder, "DELETE FROM people WHERE id = 2")
    back = workflow.rollback(folder.load(), run, allow=("all",))
    with pytest.raises(ReconcileError, match=r"\(p\) of public\.refs is not in public\.people: 1 row"):
        workflow.apply(folder.load(), back)
    assert sql(folder, "SELECT to_regclass('refs')") == [(None,)]
    sql(folder, "INSERT INTO people VALUES (2)")
    workflow.apply(folder.load(), back)
    assert sql(folder, "SELECT * FROM refs ORDER BY p") == [(1,), (2,), (None,)]


DAYS = """
  days:
    columns: {day: {type: date, not_null: true}MORE}
    partition_by: {range: [day]}
    partitions: {days_a: {from: ["'2026-01-01'"], to: ["'2026-02-01'"]}PART}
"""
PART = """, days_b: {from: ["'2026-02-01'"], to: ["'2026-03-01'"]}"""
OTHER = "tables:\n  other: {columns: {id: bigint}}\n"


def days(more: str = "", part: str = "") -> str:
    return OTHER + DAYS.replace("MORE", more).replace("PART", part)


def test_a_partition_whose_table_has_changed_is_told_before(tmp_path: Path, postgres_database: str) -> None:
    """Other columns, NOT NULL; mended, it comes back. Where the table is gone, both come back together."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=days(", n: int", PART)).apply()
    sql(folder, "INSERT INTO days VALUES ('2026-01-05', 1), ('2026-02-05', 2)")
    run = folder.declare(app=days(", n: int")).apply("breaks-clients").run
    folder.declare(app=days(", n: {type: int, not_null: true}, more: text")).apply("all")
    back = workflow.rollback(folder.load(), run, allow=("all",))
    with pytest.raises(ReconcileError, match=r"are not as in .* whose partition it was: 2 columns") as caught:
        workflow.apply(folder.load(), back)
    assert "nothing was changed" in str(caught.value)
    (kept,) = (row["name"] for row in workflow.kept_list(folder.load()))
    sql(folder, f"ALTER TABLE reconcile.{kept} ADD more text, ALTER n SET NOT NULL")
    workflow.apply(folder.load(), back)
    assert sql(folder, "SELECT n FROM days ORDER BY n") == [(1,), (2,)]


def test_a_partition_whose_table_is_gone_says_how_to_go_on(tmp_path: Path, postgres_database: str) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    first = folder.declare(app=OTHER).apply().run
    whole = folder.declare(app=days(part=PART)).apply().run
    sql(folder, "INSERT INTO days VALUES ('2026-01-05'), ('2026-02-05')")
    run = folder.declare(app=days()).apply("breaks-clients").run
    folder.declare(app=OTHER).apply("breaks-clients")
    with pytest.raises(PlanError, match=r"was a partition of app\.table\.public\.days, which is gone") as caught:
        workflow.rollback(folder.load(), run, allow=("all",))
    assert "reconcile rollback --to RUN" in str(caught.value)
    workflow.apply(folder.load(), workflow.rollback(folder.load(), None, to=whole, allow=("all",)))
    assert sql(folder, "SELECT count(*) FROM days") == [(2,)] and first


def test_a_key_whose_table_is_gone_says_how_to_go_on(tmp_path: Path, postgres_database: str) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    people = "  people: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}\n"
    refs = "  refs: {columns: {p: bigint}, foreign_keys: {refs_p: {columns: [p], references: people}}}\n"
    whole = folder.declare(app=OTHER + people + refs).apply().run
    sql(folder, "INSERT INTO people VALUES (1); INSERT INTO refs VALUES (1)")
    run = folder.declare(app=OTHER + people).apply("breaks-clients").run
    folder.declare(app=OTHER).apply("breaks-clients")
    with pytest.raises(PlanError, match=r"reconcile rollback --to RUN\n  or leave out what needs it: --only ADDRESS"):
        workflow.rollback(folder.load(), run, allow=("all",))
    workflow.apply(folder.load(), workflow.rollback(folder.load(), None, to=whole, allow=("all",)))
    assert sql(folder, "SELECT * FROM refs") == [(1,)]
