"""A place that is emptied and filled again: kept first, killed in between, listed, put back, purged."""

from __future__ import annotations

import json
import math
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import BlockedError, PartialError, ProjectError, ReconcileError
from tests.projects import Folder

TABLES = """
tables:
  documents: {columns: {id: {type: bigint, not_null: true}, body: text}, primary_key: [id]}
  chunks:
    columns:
      id: {type: bigint, not_null: true, identity: always}
      document: {type: bigint, not_null: true}
      body: text
      size: {type: int, generated: length(body)}
    primary_key: [id]
    unique: {chunks_document_key: [document]}
"""
REFILLED = """
backfills:
  refilled:
    truncate: {place: app.table.public.chunks, expect: {at_least: 50, at_most: 100}}
    select: SELECT id, body FROM documents d WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.document = d.id)
    key: id
    into: app.table.public.chunks
    into_key: document
    function: chunks.py:chunks
    batch: 100
    down: restore
    verify: [{query: SELECT (SELECT count(*) FROM chunks) = (SELECT count(*) FROM documents), expect: true}]
"""
CHUNKS = """
import os, pathlib

def chunks(rows):
    killed = pathlib.Path(__file__).with_name("killed")
    if killed.exists():
        killed.unlink()
        os.kill(os.getpid(), 9)
    return [{"key": row["key"], "body": row["body"].upper()} for row in rows]
"""


def sql(folder: Folder, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    (tmp_path / "chunks.py").write_text(CHUNKS)
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}).declare(app=TABLES)
    folder.apply()
    sql(folder, "INSERT INTO documents SELECT n, 'new ' || n FROM generate_series(1, 300) n")
    sql(folder, "INSERT INTO chunks (document, body) SELECT n, 'old ' || n FROM generate_series(1, 60) n")
    return folder


def test_a_table_is_emptied_once_and_put_back(folder: Folder) -> None:
    """Killed between the two, also before the ledger knows of it; what came meanwhile stays."""
    folder.declare(app=TABLES + REFILLED)
    with pytest.raises(BlockedError, match="deletes-data"):
        folder.apply()
    assert "is emptied: 60 rows, which are kept" in folder.command("backfill", "run", "refilled", "--dry-run").stdout
    command = ("apply", "--auto-approve", "--allow", "deletes-data", "--allow", "irreversible")
    (folder.path / "killed").touch()
    killed = folder.start(*command)
    assert killed.wait() == -9, killed.communicate()
    assert sql(folder, "SELECT count(*) FROM chunks") == [(0,)]
    key = "backfill app.backfill.refilled"
    known = json.loads(sql(folder, "SELECT value FROM reconcile.known WHERE key = %s", key)[0][0])
    assert known["emptied"].pop("rows") == 60
    known |= {"passes": 0}  # as if it had died before it wrote that
    sql(folder, "UPDATE reconcile.known SET value = %s WHERE key = %s", json.dumps(known), key)
    sql(folder, "INSERT INTO chunks (document, body) VALUES (7, 'meanwhile')")
    workflow.unlock(folder.load(), workflow.status(folder.load())["lock"]["run"])
    workflow.resume(folder.load())
    assert sql(folder, "SELECT count(*), count(*) FILTER (WHERE body LIKE 'NEW %') FROM chunks") == [(300, 299)]
    assert folder.plan().steps == () and not workflow.drift(folder.load())["extra"]
    kept = workflow.kept_list(folder.load())
    assert [(k["address"], k["rows"], k["backfill"]) for k in kept] == [
        ("app.table.public.chunks", 60, "app.backfill.refilled")
    ]
    assert kept[0]["bytes"] > 0
    with pytest.raises(ReconcileError, match=r"reconcile backfill down app\.backfill\.refilled"):
        workflow.bring_back(folder.load(), "app.table.public.chunks")
    before = sql(folder, "SELECT key, value FROM reconcile.known")
    assert workflow.down(folder.load(), "refilled") == 60
    for key, value in before:  # as if it had died before the ledger knew that it came to its end
        known = json.loads(value)
        known |= {"emptied": {**known["emptied"], "putting_back": True}} if "emptied" in known else {}
        sql(folder, "UPDATE reconcile.known SET value = %s WHERE key = %s", json.dumps(known), key)
    assert workflow.down(folder.load(), "refilled") == 60
    assert sql(folder, "SELECT count(*), max(id), sum(size) FROM chunks WHERE body LIKE 'old %'") == [(60, 60, 351)]
    assert workflow.kept_list(folder.load()) == []


WRONG = {
    "place: app.table.public.chunks, expect: 3, archive: false": "keeps nothing of what it empties",
    "place: chunks, expect: 3": "empties a table or a collection",
    "place: app.table.public.none, expect: 3": "truncate: app.backfill.refilled comes after app.table.public.none",
}


def test_what_is_wrong_with_emptying_is_told(folder: Folder) -> None:
    """In the YAML; another number of rows; a foreign key: nothing is changed, and nothing listed as kept."""
    for text, told in WRONG.items():
        folder.declare(app=TABLES + REFILLED.replace("down: restore", "success: 1").replace(
            "place: app.table.public.chunks, expect: {at_least: 50, at_most: 100}", text))  # fmt: skip
        with pytest.raises(ProjectError, match=told):
            folder.load().desired()
    for text, told in (
        ("at_most: 59", "holds 60 rows, expected >= 50 and <= 59"),
        ("at_most: 99", "cannot truncate a table referenced in a foreign key"),
    ):
        if text == "at_most: 99":
            sql(folder, "CREATE TABLE others (chunk bigint REFERENCES chunks)")
        folder.declare(app=TABLES + REFILLED.replace("at_most: 100", text))
        with pytest.raises(PartialError, match=told) as error:
            folder.apply("deletes-data")
        assert sql(folder, "SELECT count(*) FROM chunks") == [(60,)]
        assert workflow.kept_list(folder.load()) == []
        (run,) = re.findall(r"run (\w+) stopped", str(error.value))
        workflow.abandon(folder.load(), run)


POINTS = "collections: {passages: {vector: {dimensions: 2, distance: cosine}, versioned: false}}\n"
REEMBEDDED = """
backfills:
  reembedded:
    truncate: {place: vectors.collection.passages, expect: 20}
    collection: passages
    select: {}
    once: true
    program: {run: [./refill.sh]}
    verify: [{query: '{}', expect: 3}]
    down: restore
"""
REFILL = """#!/bin/sh
curl -sf -X PUT "$QDRANT/collections/passages/points?wait=true" -H content-type:application/json \\
  -d '{"points": [{"id": 1, "vector": [1, 0]}, {"id": 2, "vector": [0, 1]}, {"id": 3, "vector": [1, 1]}]}' >/dev/null
echo '{"rows": 3}'
"""


def put_back(folder: Folder, server: str) -> dict[int, Any]:
    """Take it back, killed while the snapshot is there beside; what the collection holds, the vectors looked at."""
    indexed = {"field_name": "n", "field_schema": "integer"}
    httpx.put(f"{server}/collections/passages/index?wait=true", json=indexed).raise_for_status()
    process = folder.start("backfill", "down", "reembedded", "--auto-approve")
    while process.poll() is None and httpx.get(f"{server}/collections/_reconcile_restored").status_code != 200:
        pass
    process.kill()
    said = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, said
    workflow.unlock(folder.load(), workflow.status(folder.load())["lock"]["run"])
    assert workflow.down(folder.load(), "reembedded") == 20
    names = [c["name"] for c in httpx.get(f"{server}/collections").json()["result"]["collections"]]
    assert "_reconcile_restored" not in names
    assert "n" in httpx.get(f"{server}/collections/passages").json()["result"]["payload_schema"], "what is new stays"
    asked = {"with_vector": True, "limit": 100}
    found = httpx.post(f"{server}/collections/passages/points/scroll", json=asked).json()["result"]["points"]
    assert all(p["vector"] == pytest.approx(unit(1, p["id"] - 100)) for p in found)
    return {p["id"]: p["payload"] for p in found}


def unit(x: float, y: float) -> list[float]:
    """As the server keeps vectors that are compared by their direction."""
    return [x / math.hypot(x, y), y / math.hypot(x, y)]


def test_a_collection_is_emptied_and_filled_by_a_program(
    tmp_path: Path, qdrant_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path, {"vectors": {"kind": "qdrant", "url": qdrant_server}}, {"ledger": {"file": "ledger.db"}})
    monkeypatch.setenv("QDRANT", qdrant_server)
    (tmp_path / "refill.sh").write_text(REFILL)
    (tmp_path / "refill.sh").chmod(0o755)
    folder.declare(vectors=POINTS).apply()
    points = [{"id": n + 100, "vector": [1, n], "payload": {"n": n}} for n in range(20)]
    httpx.put(f"{qdrant_server}/collections/passages/points?wait=true", json={"points": points}).raise_for_status()
    folder.declare(vectors=POINTS + REEMBEDDED).apply("deletes-data")
    kept = workflow.kept_list(folder.load())
    snapshots = httpx.get(f"{qdrant_server}/collections/passages/snapshots").json()["result"]
    assert [f"passages/{s['name']}" for s in snapshots] == [k["name"] for k in kept] and kept[0]["rows"] == 20
    assert folder.plan().steps == ()
    assert put_back(folder, qdrant_server) == {p["id"]: p["payload"] for p in points}
    assert workflow.kept_list(folder.load()) == []
    folder.apply("deletes-data")
    workflow.apply(folder.load(), workflow.purge(folder.load(), ["vectors.collection.passages"]))
    assert httpx.get(f"{qdrant_server}/collections/passages/snapshots").json()["result"] == []
    assert workflow.kept_list(folder.load()) == []
