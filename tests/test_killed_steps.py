"""SIGKILL inside the kinds of steps that no acceptance case has: rows, backfills, migrations, what is kept and its way
back. Those of the cases are killed inside there, `tests/test_cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from reconcile import workflow
from tests.counting import COUNTED, TABLE
from tests.dying import kill_inside
from tests.projects import Folder

KINDS = """
  kinds:
    columns: {id: {type: bigint, not_null: true}, name: text, extra: text}
    primary_key: [id]
    rows: {key: [id], values: [{id: 1, name: one}, {id: 2, name: two}]}
"""
EMPTY = "tables: {}\n"
VECTORS = "collections: {passages: {vector: {dimensions: 2, distance: cosine}}}\n"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, qdrant_server: str) -> Folder:
    """Without a ledger file: it stands in the database, in whose transactions it says what is done."""
    vectors = {"kind": "qdrant", "url": qdrant_server}
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "001_more.sql").write_text("INSERT INTO documents SELECT 100 + id FROM documents;\n")
    return Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}, "vectors": vectors})


def ask(folder: Folder, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def points(folder: Folder) -> Any:
    url = f"{folder.stores['vectors']['url']}/collections/passages/points/scroll"
    answer = httpx.post(url, json={"with_vector": True, "with_payload": True})
    return answer.json()["result"]["points"] if answer.status_code == 200 else None


def test_data_is_moved_once(folder: Folder, fault_points: Callable[..., None]) -> None:
    """Each of its rows, whatever the step was in which the run died."""
    folder.declare(app=TABLE).apply()
    ask(folder, "INSERT INTO documents SELECT generate_series(1, 9)")
    folder.settings["migrations"] = {"main": {"store": "app", "folder": "migrations"}}
    folder.declare(app=TABLE + KINDS + COUNTED)
    died, _ = kill_inside(folder.load(), folder.plan(allow=("all",)))
    assert {"migration run", "rows rows", "backfill run"} <= set(died), died
    assert ask(folder, "SELECT id > 100, n, count(*) FROM documents GROUP BY 1, 2 ORDER BY 1") == [
        (False, 1, 9),  # counted once
        (True, 0, 9),  # made once, after that
    ]
    assert ask(folder, "SELECT id, name FROM kinds ORDER BY id") == [(1, "one"), (2, "two")]
    assert not folder.plan().steps
    fault_points(len(died), data=died)


def test_what_goes_is_kept_once_and_comes_back_whole(folder: Folder, fault_points: Callable[..., None]) -> None:
    """Killed while it is put aside, while it is brought back, while it is purged."""
    folder.declare(app=TABLE + KINDS, vectors=VECTORS).apply()
    ask(folder, "INSERT INTO documents SELECT generate_series(1, 9); UPDATE kinds SET extra = 'kept ' || id")
    put = [{"id": n, "vector": [0.6, 0.8], "payload": {"n": n}} for n in range(1, 10)]
    url = folder.stores["vectors"]["url"]
    httpx.put(f"{url}/collections/passages/points?wait=true", json={"points": put}).raise_for_status()

    def held() -> Any:
        rows = [ask(folder, f"SELECT * FROM {name} ORDER BY id") for name in ("documents", "kinds")]
        return rows, points(folder), folder.live()

    before = held()
    smaller = "tables:\n" + KINDS.replace(", extra: text", "")
    folder.declare(app=smaller, vectors="collections: {}\n")
    died, run = kill_inside(folder.load(), folder.plan(allow=("breaks-clients",)))
    assert {"table keep", "column keep", "collection keep"} <= set(died), died
    assert not folder.plan().steps
    died_back, _ = kill_inside(folder.load(), workflow.rollback(folder.load(), run, allow=("all",)))
    assert {"table restore", "column restore", "collection restore"} <= set(died_back), died_back
    assert held() == before
    workflow.let_go(folder.load(), [run])
    workflow.apply(folder.load(), folder.plan(allow=("breaks-clients",)))
    purged, _ = kill_inside(folder.load(), workflow.purge(folder.load(), ["*"]))
    assert set(purged) == {"kept purge"} and workflow.kept_list(folder.load()) == []
    assert not folder.plan().steps
    all_died = [*died, *died_back, *purged]
    fault_points(len(all_died), kept=all_died)
