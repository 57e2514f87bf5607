"""Collections whose optimizer has failed (red), or waits since a restart (grey): before, in and after a replacement.

A file where the server wants a folder makes it fail. Measured on 1.16.3: red is left by a restart only, and what is
pending then is grey until the collection is changed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from tests.stores.qdrant.killing import own_server
from tests.stores.qdrant.store import Store
from tests.stores.qdrant.test_copy import PLAIN, apply, at, contents, copied, filled

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError
from reconcile.stores.qdrant import requests
from reconcile.stores.qdrant.health import REMEDY

EAGER = "optimizers: {indexing_threshold: 1}"


def block(folder: Path) -> None:
    """Put a file where the optimizer makes its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.touch()


def status(store: Store, name: str) -> str:
    return str(store.send("GET", f"/collections/{name}")["status"])


def test_a_red_collection_stops_and_a_grey_one_is_nudged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "GREY_SECONDS", 0.3)
    (tmp_path / "project").mkdir()
    with own_server(tmp_path / "server") as (url, kill, start):
        store = Store(tmp_path / "project", url)
        filled(store, 300)
        old = contents(store)
        folder = tmp_path / "server" / "storage" / "collections" / "c__v2" / "0" / "temp_segments"
        store.collection(copied("frozen", f"shard_number: 2, {EAGER}"))
        with pytest.raises(PartialError, match=r"collection c__v2 is red: .*temp_segments") as error:
            apply(store, at("1-create", "step_done", lambda: block(folder)))
        assert REMEDY in str(error.value)
        assert store.aliases() == {"c": "c__v1"}
        with pytest.raises(ReconcileError, match=r"(?s)collection c__v2 is red.*this try changed nothing"):
            workflow.resume(store.project)
        folder.unlink()
        kill()
        start()
        assert status(store, "c__v2") == "grey", "what had failed waits"
        workflow.resume(store.project)
        assert store.aliases() == {"c": "c__v2"}
        assert status(store, "c__v2") == "green"
        assert contents(store) == old

        # and one that is red, then grey, before anything is planned
        block(folder)
        store.send("PATCH", "/collections/c__v2", {"hnsw_config": {"m": 20}})
        until = time.monotonic() + 60
        while status(store, "c__v2") != "red" and time.monotonic() < until:
            time.sleep(0.05)
        for change in (copied("frozen", f"shard_number: 3, {EAGER}"), f"{PLAIN}, shard_number: 2, hnsw: {{m: 24}}"):
            store.collection(change)
            plan = store.plan("all")
            assert plan.steps
            (note,) = [line for line in plan.observed["notes"] if " is red" in line]
            assert REMEDY in note
            assert "temp_segments" in note
            with pytest.raises(ReconcileError, match=r"(?s)collection c__v2 is red: .*restart Qdrant"):
                workflow.apply(store.project, plan)
            assert store.names() == ["c__v1", "c__v2"]
            assert store.config("c__v2")["hnsw_config"]["m"] == 20, "nothing was changed"
        folder.unlink()
        kill()
        start()
        plan = store.plan("all")
        assert any("v.collection.c is grey" in line for line in plan.observed["notes"])
        workflow.apply(store.project, plan)
        assert status(store, "c__v2") == "green"
        store.apply()
