"""Backfills that set vectors: what points had comes back with `down: restore`, what they had not goes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.store import Store
from tests.stores.qdrant.test_copy import contents, put

from reconcile import workflow

BACKFILL = """
backfills:
  embedded:
    {collection: c, select: {}, once: true, batch: 7, function: embed.py:embed, DOWN}
"""
NAMED = "vectors: {a: {dimensions: 2, distance: dot}, b: {dimensions: 2, distance: dot, multivector: max_sim}}"
SPARSE = {"indices": [7, 1], "values": [0.5, 2]}
GIVEN = {
    f"{NAMED}, sparse_vectors: {{s: {{}}}}": (
        {"a": [1, 2], "s": SPARSE},
        {"a": [9, 9], "b": [[1.0, 2.0], [3.0, 4.0]], "s": {"indices": [3], "values": [1]}},
    ),
    "vector: {dimensions: 2, distance: dot}": ([1, 2], [9, 9]),
}


@pytest.fixture
def store(tmp_path: Path, qdrant_server: str) -> Store:
    return Store(tmp_path, qdrant_server)


def embedded(store: Store, settings: str, old: Any, new: Any, down: str) -> dict[Any, Any]:
    """Points, every second one with a vector, and the backfill over them; what they held before it."""
    (store.folder / "embed.py").write_text(
        f"def embed(rows):\n    return [{{'key': r['key'], 'n': -1, 'vector': {new!r}}} for r in rows]\n"
    )
    collection = f"collections:\n  c: {{versioned: false, {settings}}}\n"
    store.declare(collection)
    store.apply()
    put(store, [{"id": n, "vector": old if n % 2 else {}, "payload": {"n": n}} for n in range(1, 31)])
    before = contents(store)
    store.declare(collection + BACKFILL.replace("DOWN", down))
    workflow.apply(store.project, store.plan())
    after = contents(store)
    assert {p["n"] for p, _ in after.values()} == {-1} and all(v for _, v in after.values()) and after != before
    return before


@pytest.mark.parametrize("settings", GIVEN)
def test_vectors_come_back(store: Store, settings: str) -> None:
    before = embedded(store, settings, *GIVEN[settings], "down: restore")
    store.send("POST", "/collections/c/points/delete?wait=true", {"points": [4, 5]})
    assert workflow.down(store.project, "embedded") == 30
    assert contents(store) == {i: point for i, point in before.items() if i not in (4, 5)}


def test_they_are_kept_only_where_they_are_to_come_back(store: Store) -> None:
    """They are large."""
    settings = "vector: {dimensions: 2, distance: dot}"
    embedded(store, settings, *GIVEN[settings], "rate: 1000")
    with contextlib.closing(sqlite3.connect(store.folder / "ledger.db")) as ledger:
        (table,) = ledger.execute("SELECT name FROM sqlite_master WHERE name LIKE '%backfill_rows'").fetchone()
        kept = [json.loads(content) for (content,) in ledger.execute(f"SELECT content FROM {table} ORDER BY key")]
    assert len(kept) == 30 and all(set(row) == {"n"} for row in kept)
