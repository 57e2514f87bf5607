"""Custom sharding with keys, on a cluster of one node: keys are the application's, named and never lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stores.qdrant.killing import own_server
from tests.stores.qdrant.store import Store, lines

from reconcile import workflow
from reconcile.errors import ProjectError

CUSTOM = "vector: {dimensions: 2, distance: dot}, sharding_method: custom"


def test_shard_keys_are_named_and_never_lost(tmp_path: Path) -> None:
    with own_server(tmp_path / "server", cluster=True) as (url, _, _):
        (tmp_path / "project").mkdir()
        store = Store(tmp_path / "project", url, verify_snapshots="1GB")
        store.collection(CUSTOM)
        store.apply()
        assert store.plan().observed["not_modelled"] == []
        for key in ("eu", 7):
            store.send("PUT", "/collections/c/shards", {"shard_key": key})
        point = {"id": 1, "vector": [1, 2], "payload": {"year": 9}}
        store.send("PUT", "/collections/c/points?wait=true", {"points": [point], "shard_key": "eu"})

        named = {"address": "v.shard_keys.c", "what": "shard keys 7, eu"}
        made = store.plan()
        assert (lines(made), made.observed["not_modelled"]) == ([], [named])

        store.collection(f"{CUSTOM}, hnsw: {{m: 9}}, payload_indexes: {{year: integer}}")
        store.apply()
        assert store.names() == ["c__v1"], "what changes in place leaves them where they are"

        for way, said in (("empty", "shard keys 7, eu are the application's"), ("copy, writes: frozen", "not copied")):
            store.collection(f"{CUSTOM}, shard_number: 2, on_change: {way}")
            with pytest.raises(ProjectError, match=rf"v\.yaml:3:3: v\.collection\.c: .*{said}"):
                store.plan()

        (store.folder / "schema" / "v.yaml").unlink()
        imported = workflow.import_(store.project)
        assert imported.not_modelled == (("v.shard_keys.c", "shard keys 7, eu"),)
        for path in imported.files:
            path.unlink()
        told: list[str] = []
        store.declare("collections: {}")
        workflow.apply(
            store.project,
            store.plan("all"),
            lambda event: told.extend([event.detail] if event.kind == "reported" else []),
        )
        assert store.names() == []
        assert told[0].endswith("restored and compared: 1 points")
