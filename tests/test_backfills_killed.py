"""Backfills that are ended by SIGKILL at random moments: each row is changed the promised way all the same."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg

from reconcile import workflow
from reconcile.sandbox.scratch import Neo4jDatabase
from tests.counting import COUNTED, TABLE
from tests.projects import Folder, cypher


def killed_again_and_again(folder: Folder, begun: Callable[[], int], seed: int, most: int = 3) -> int:
    """Apply, each time ended by SIGKILL at a random moment after it went on, until one comes to its end."""
    dice, kills, resume = random.Random(seed), 0, False
    while True:
        before = begun()
        process = folder.start("apply", *(["--resume"] if resume else ["--auto-approve"]))
        while process.poll() is None and begun() <= before:
            time.sleep(0.03)
        time.sleep(dice.uniform(0, 0.3))
        if kills < most:
            process.kill()
        out = process.communicate()[0]
        resume = True
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL, out
        kills += 1
        if (lock := workflow.status(folder.load())["lock"]) is not None:
            workflow.unlock(folder.load(), lock["run"])


def test_rows_of_a_table_are_changed_once(tmp_path: Path, postgres_database: str) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=TABLE).apply()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO documents SELECT n FROM generate_series(1, 20001) n")
        folder.declare(app=TABLE + COUNTED)

        def begun() -> int:
            row = connection.execute("SELECT count(*) FROM documents WHERE n > 0").fetchone()
            return 0 if row is None else int(row[0])

        assert killed_again_and_again(folder, begun, 7) >= 3
        found = connection.execute("SELECT n, count(*) FROM documents GROUP BY n").fetchall()
    assert found == [(1, 20001)]
    assert folder.plan().steps == ()


ROWS = 900
NODES = """
backfills:
  counted:
    select: "MATCH (d:Document)"
    key: d
    once: true
    batch: 20
    rate: 600
    statement: SET d.n = coalesce(d.n, 0) + 1
    verify: [{query: MATCH (d:Document) WHERE d.n <> 1 RETURN count(d), expect: 0}]
"""


def test_nodes_are_changed_once(tmp_path: Path, neo4j_database: Neo4jDatabase) -> None:
    graph = {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user}
    graph |= {"password": neo4j_database.password} if neo4j_database.password else {}
    folder = Folder(tmp_path, {"graph": graph}, {"ledger": {"file": "ledger.db"}})
    cypher(folder, f"UNWIND range(1, {ROWS}) AS n CREATE (:Document {{number: n}})")
    folder.declare(graph=NODES)

    def begun() -> int:
        return int(cypher(folder, "MATCH (d:Document) WHERE d.n > 0 RETURN count(d)")[0][0])

    assert killed_again_and_again(folder, begun, 8, 2) >= 1
    assert cypher(folder, "MATCH (d:Document) RETURN d.n, count(d)") == [[1, ROWS]]
    assert cypher(folder, "MATCH (m:__ReconcileBackfill) RETURN count(m)") == [[0]]
    assert folder.plan().steps == ()


POINTS = """
collections: {passages: {vector: {dimensions: 2, distance: cosine}, versioned: false}}
"""
MORE = """
backfills:
  counted:
    collection: passages
    select: {must_not: [{is_empty: {key: n}}]}
    once: true
    batch: 20
    rate: 600
    function: more.py:more
    down: restore
"""


def test_points_are_changed_once(tmp_path: Path, qdrant_server: str) -> None:
    """There are no transactions: what a point held is kept first, and what it is given is made of that."""
    folder = Folder(tmp_path, {"vectors": {"kind": "qdrant", "url": qdrant_server}}, {"ledger": {"file": "ledger.db"}})
    (tmp_path / "more.py").write_text(
        'def more(rows):\n    return [{"key": r["key"], "n": r["n"] + 1} for r in rows]\n'
    )
    folder.declare(vectors=POINTS).apply()
    points = [{"id": n, "vector": [1, n], "payload": {"n": n * 10}} for n in range(1, ROWS + 1)]
    httpx.put(f"{qdrant_server}/collections/passages/points?wait=true", json={"points": points}).raise_for_status()
    folder.declare(vectors=POINTS + MORE)

    def held() -> list[int]:
        asked = {"limit": 2 * ROWS, "with_payload": True}
        answer = httpx.post(f"{qdrant_server}/collections/passages/points/scroll", json=asked).json()["result"]
        return [p["payload"]["n"] - p["id"] * 10 for p in answer["points"]]

    assert killed_again_and_again(folder, lambda: sum(map(bool, held())), 9, 2) >= 1
    assert held() == [1] * ROWS
    assert folder.plan().steps == ()
    assert workflow.down(folder.load(), "counted") == ROWS
    assert held() == [0] * ROWS
