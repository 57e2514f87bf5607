"""Before anything that holds points is deleted: a snapshot, restored beside it and compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines
from tests.stores.qdrant.test_copy import apply, contents, filled, point, put

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError
from reconcile.stores.qdrant.transport import Transport

SETTINGS = (
    "vectors: {a: {dimensions: 4, distance: cosine, quantization: {scalar: {type: int8}}},"
    " b: {dimensions: 2, distance: dot, datatype: float16, multivector: max_sim, on_disk: true}},"
    " sparse_vectors: {s: {modifier: idf}}, shard_number: 2, payload_indexes: {at: integer, t: keyword},"
    " metadata: {owner: x}, strict_mode: {enabled: true, max_query_limit: 50}, hnsw: {m: 8}"
)


@pytest.fixture
def store(tmp_path: Path, qdrant_server: str) -> Store:
    """A project whose snapshots are restored and compared, as is usual."""
    return Store(tmp_path, qdrant_server, verify_snapshots="1GB")


def rich(store: Store, number: int = 120) -> None:
    filled(store, 0, SETTINGS)
    points = [point(n, t=f"t{n % 3}") for n in range(number)]
    for p in points:
        p["vector"] = {"a": p["vector"], "b": [[1, 0.1], [0, n_of(p)]], "s": {"indices": [1, 9], "values": [0.1, 2]}}
    put(store, points)


def n_of(found: Any) -> float:
    return float(found["id"]) / 7


def setting(store: Store, text: str) -> None:
    path = store.folder / "reconcile.yaml"
    path.write_text(re.sub("verify_snapshots: .*", f"verify_snapshots: {text}", path.read_text()))


@pytest.mark.parametrize("way", ["removed", "emptied", "plain", "adopted"])
def test_a_snapshot_is_restored_and_compared_before_points_go(store: Store, way: str) -> None:
    if way == "removed":
        rich(store)
        store.declare("collections: {}")
    elif way == "emptied":
        rich(store)
        store.collection(f"{SETTINGS.replace('shard_number: 2', 'shard_number: 1')}, on_change: empty")
    else:
        filled(store, 120, "versioned: false, vector: {dimensions: 4, distance: cosine}")
        more = "shard_number: 2, on_change: empty" if way == "plain" else "on_change: copy, writes: frozen"
        versioned = str(way == "adopted").lower()
        store.collection(f"versioned: {versioned}, vector: {{dimensions: 4, distance: cosine}}, {more}")
    assert any({"deletes-data", "needs-space"} <= {str(h) for h in step.hazards} for step in store.plan("all").steps)
    (told,) = apply(store)
    assert told.endswith("; restored and compared: 120 points")
    assert "_reconcile_restored" not in store.names()
    assert lines(store.plan()) == []


def test_a_snapshot_of_any_size_or_none_is_restored(store: Store) -> None:
    filled(store, 20)
    setting(store, "0.001 MB")
    store.declare("collections: {}")
    (told,) = apply(store)
    assert told.endswith("; not restored to be compared: larger than 0 MB")
    setting(store, "1XB")
    with pytest.raises(ReconcileError, match="verify_snapshots"):
        store.plan()


@pytest.mark.parametrize("disturbed", ["overwritten", "added", "broken"])
def test_nothing_is_deleted_where_the_snapshot_is_not_what_is_there(
    store: Store, disturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, 60)
    store.declare("collections: {}")
    relay = Transport.relay

    def disturb(self: Transport, source: str, target: str, *rest: Any) -> None:
        if disturbed == "broken":
            target = target.replace("checksum=", "checksum=00")
        relay(self, source, target, *rest)
        if disturbed == "overwritten":
            put(store, [point(n, 5000) for n in range(60)])
        if disturbed == "added":
            put(store, [point(n) for n in range(100, 160)], "_reconcile_restored")

    made = store.plan("all")
    with monkeypatch.context() as patched:
        patched.setattr(Transport, "relay", disturb)
        what = {"broken": "could not be restored beside it", "added": "holds 120 points of 60"}
        with pytest.raises(PartialError, match=what.get(disturbed, "points looked at differ")):
            workflow.apply(store.project, made)
    assert store.names() == ["c__v1"], "neither the collection is gone nor what was restored is left"
    assert len(contents(store)) == 60
    workflow.resume(store.project)
    assert store.names() == []


def test_what_a_killed_check_has_left_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store, 10)
    store.collection("vector: {dimensions: 4, distance: cosine}, shard_number: 2, on_change: empty")
    relay = Transport.relay

    def killed(self: Transport, *args: Any) -> None:
        relay(self, *args)
        raise KeyboardInterrupt

    made = store.plan("all")
    with monkeypatch.context() as patched:
        patched.setattr(Transport, "relay", killed)
        with pytest.raises(PartialError, match="interrupted"):
            workflow.apply(store.project, made)
    assert store.names() == ["_reconcile_restored", "c__v1", "c__v2"]
    workflow.abandon(store.project, workflow.status(store.project)["unfinished"]["run"])
    store.collection("vector: {dimensions: 4, distance: cosine}, payload_indexes: {at: integer}")
    words = "snapshot of c, restored to be compared by a run that ended then"
    assert f"delete v.collection._reconcile_restored {words}" in lines(store.plan())
    (store.folder / "schema" / "v.yaml").unlink()
    assert "restored" not in "\n".join(path.read_text() for path in workflow.import_(store.project).files)


def test_a_collection_of_the_scratch_name_that_is_somebody_elses_stays(store: Store) -> None:
    filled(store, 10)
    store.send("PUT", "/collections/_reconcile_restored", {"vectors": {}})
    store.declare("collections: {}")
    with pytest.raises(PartialError, match="_reconcile_restored is in the way, and is none of this tool's"):
        apply(store)
    assert store.names() == ["_reconcile_restored", "c__v1"]
