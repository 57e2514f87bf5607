"""Columns that get another name or type online: clients of both sides at work, runs broken off, plans given up."""

from __future__ import annotations

import random
from pathlib import Path

import psycopg
import pytest
from tests.catalog import differences, objects
from tests.projects import Folder
from tests.stores.postgres.load import Load, Work
from tests.stores.postgres.reading import Store

from reconcile import workflow
from reconcile.apply import Event
from reconcile.change import Phase

OLD = """
tables:
  documents:
    columns:
      id: {type: bigint, identity: always}
      user_id: {type: bigint, default: 7}
      title: text
    primary_key: [id]
    indexes: {documents_user: {columns: [user_id]}}
"""
NEW = OLD.replace("user_id: {", "owner_id: {renamed_from: user_id, strategy: online, ").replace(
    "[user_id]", "[owner_id]"
)
ROWS = 20_000


def project(path: Path, url: str, before: str = OLD, rows: int = ROWS) -> Folder:
    found = Folder(path, {"app": {"kind": "postgres", "url": url, "lock_timeout": "1s", "backfill_rows": 500}})
    found.settings["ledger"] = {"file": "ledger.db"}
    found.declare(app=before).apply("all")
    if rows:
        sql(url, f"INSERT INTO documents (user_id, title) SELECT n % 10, 't' || n FROM generate_series(1, {rows}) n")
    return found


def sql(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def client(column: str) -> Work:
    """An application that knows the column by one name."""

    def work(chance: random.Random) -> str:
        n, value = chance.randint(1, ROWS), chance.choice(["1", "2", "3", "NULL"])
        return chance.choice(
            [
                f"INSERT INTO documents ({column}, title) VALUES ({value}, 'x')",
                "INSERT INTO documents (title) VALUES ('y')",
                f"UPDATE documents SET {column} = {value} WHERE id = {n}",
                f"UPDATE documents SET title = 'z' WHERE id = {n}",
                f"DELETE FROM documents WHERE id = {n} AND {column} = 1",
                f"SELECT count(*) FROM documents WHERE {column} = {value}",
            ]
        )

    return work


def test_old_and_new_clients_write_while_both_names_are_there(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url).declare(app=NEW)
    old = Load(url, (client("user_id"), client("user_id")), "5s")
    new = Load(url, (client("owner_id"), client("owner_id")), "5s", seed=9)
    both: list[object] = []

    def on_event(event: Event) -> None:
        if event.kind == "step_done" and event.step is not None and event.step.id.endswith("/1-beside"):
            new.__enter__()
        if event.kind == "step_started" and event.step is not None and event.step.phase is Phase.CONTRACT:
            old.__exit__(None, None, None)
            both.extend(sql(url, "SELECT count(*) FROM documents WHERE user_id IS DISTINCT FROM owner_id"))

    with old:
        workflow.apply(folder.load(), folder.plan(allow=("all",)), on_event)
    new.__exit__(None, None, None)
    assert both == [(0,)]
    assert old.errors == [] and new.errors == []
    assert folder.plan().steps == ()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO documents (id, user_id) OVERRIDING SYSTEM VALUE VALUES (0, 5)", (5, 5)),
        ("INSERT INTO documents (id, owner_id) OVERRIDING SYSTEM VALUE VALUES (0, 5)", (5, 5)),
        ("INSERT INTO documents (id) OVERRIDING SYSTEM VALUE VALUES (0)", (7, 7)),
        ("INSERT INTO documents (id, user_id, owner_id) OVERRIDING SYSTEM VALUE VALUES (0, 5, 6)", (6, 6)),
        ("UPDATE documents SET id = DEFAULT, user_id = 5 WHERE id = 1", None),
        ("UPDATE documents SET user_id = 5 WHERE id = 1", (5, 5)),
        ("UPDATE documents SET owner_id = 5 WHERE id = 1", (5, 5)),
        ("UPDATE documents SET user_id = NULL WHERE id = 1", (None, None)),
        ("UPDATE documents SET owner_id = NULL WHERE id = 1", (None, None)),
        ("UPDATE documents SET user_id = 5, owner_id = 6 WHERE id = 1", (5, 5)),
    ],
)
def test_both_names_say_the_same(
    statement: str, expected: tuple[object, object] | None, tmp_path: Path, postgres_database: str
) -> None:
    url = postgres_database
    folder = project(tmp_path, url, rows=3).declare(app=NEW)
    begin(folder, 2)
    before = sql(url, "SELECT count(*) FROM documents")
    sql(url, statement)
    assert sql(url, "SELECT count(*) FROM documents WHERE user_id IS DISTINCT FROM owner_id") == [(0,)]
    if expected is not None:
        wanted = 0 if statement.startswith("INSERT") else 1
        assert sql(url, f"SELECT user_id, owner_id FROM documents WHERE id = {wanted}") == [expected]
    assert before


def begin(folder: Folder, steps: int) -> None:
    """Carry out the first steps of the plan, as if the run had been killed there and its ledger lost."""
    from reconcile.survey import reading

    plan = folder.plan(allow=("all",))
    with reading(folder.load()) as found:
        session = found.stores["app"].session
        for group in plan.groups[:steps]:
            if group[0].transactional:
                with session.transaction(group) as transaction:
                    for step in group:
                        for call in step.calls:
                            transaction.run(call, step.timeouts)
            else:
                for call in group[0].calls:
                    session.run(call, group[0].timeouts)


def test_an_online_rename_given_up_leaves_nothing(tmp_path: Path, postgres_database: str) -> None:
    url = postgres_database
    folder = project(tmp_path, url, rows=10)
    clean = objects(url)
    folder.declare(app=NEW)
    begin(folder, 2)
    imported = Store(url).imported()["tables.yaml"]
    assert "owner_id" not in imported and "user_id" in imported and "not modelled" not in imported
    folder.declare(app=OLD)
    plan = folder.plan()
    assert [str(c.address) for c in plan.resource_changes] == ["app.column.public.documents.owner_id"]
    assert plan.observed["extra"] == []
    folder.apply("all")
    assert differences(clean, objects(url)) == []
    assert sql(url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert sql(url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'reconcile'") == [(0,)]
