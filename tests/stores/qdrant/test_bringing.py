"""Vectors that a copy left behind come back with a rollback, from the retired generation."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dying import kill_inside
from tests.stores.qdrant.store import Store
from tests.stores.qdrant.test_copy import contents, put

from reconcile import workflow
from reconcile.errors import ReconcileError

NAMED = (
    "vectors: {a: {dimensions: 3, distance: cosine}, b: {dimensions: 2, distance: dot, multivector: max_sim}},"
    " sparse_vectors: {s: {}, t: {}}"
)
FEWER = "vectors: {a: {dimensions: 3, distance: cosine}}, sparse_vectors: {t: {}}"
SPARSE = {"indices": [7, 1], "values": [0.5, 2]}


@pytest.fixture
def store(tmp_path: Path, qdrant_server: str) -> Store:
    return Store(tmp_path, qdrant_server)


def fewer(store: Store) -> str:
    """A collection without two vectors that its points had; the run."""
    store.collection(NAMED)
    store.apply()
    vectors = {"a": [1, 2, 3], "b": [[1.0, 2.0], [3.0, 4.0]], "s": SPARSE, "t": SPARSE}
    put(store, [{"id": n, "vector": vectors, "payload": {"n": n}} for n in range(1, 250)])
    put(store, [{"id": 777, "vector": {"a": [1, 0, 0]}}])
    store.collection(f"{FEWER}, on_change: copy, writes: none_expected")
    made = store.plan("breaks-clients")
    assert made.observed["reverse"].get("cannot", {}) == {} and "stops" not in made.observed["reverse"]
    return str(workflow.apply(store.project, made).run)


def test_they_come_back_with_a_rollback(store: Store) -> None:
    """Killed inside each step; also to what was written since, while what is new or gone stays so."""
    run, before = fewer(store), {}
    before = contents(store, "c__v1")
    assert {frozenset(vectors) for _, vectors in contents(store).values()} == {frozenset("at"), frozenset("a")}
    put(store, [{"id": 3, "vector": {"a": [3, 2, 1]}, "payload": {"n": "later"}}])
    put(store, [{"id": 999, "vector": {"a": [3, 2, 1]}, "payload": {"n": "new"}}])
    store.send("POST", "/collections/c/points/delete?wait=true", {"points": [4]})
    back = workflow.rollback(store.project, run)
    assert "b, s brought back from c__v1" in str([c.strategy for c in back.resource_changes])
    died, _ = kill_inside(store.project, back)
    assert {"collection copy", "collection switch"} <= set(died)
    after = contents(store)
    later, new = after.pop(3), after.pop(999)
    assert later[0] == {"n": "later"} and {k: later[1][k] for k in "bs"} == {k: before[3][1][k] for k in "bs"}
    assert set(later[1]) == set("abs") and set(new[1]) == {"a"}
    assert after == {i: p for i, p in before.items() if i not in (3, 4)}


def test_where_the_old_generation_is_gone_nothing_is_begun(store: Store) -> None:
    run = fewer(store)
    workflow.apply(store.project, store.plan("all"))
    assert store.names() == ["c__v2"]
    with pytest.raises(ReconcileError, match="vector b, s cannot come back: c__v1, which had it, is gone"):
        workflow.apply(store.project, workflow.rollback(store.project, run))
    assert store.names() == ["c__v2"]
