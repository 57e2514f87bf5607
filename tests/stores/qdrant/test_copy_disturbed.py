"""A replacement over a server that goes away, under clients that read and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.clients import Clients, document
from tests.stores.qdrant.killing import own_server
from tests.stores.qdrant.store import Store
from tests.stores.qdrant.test_copy import MODES, contents, copied, filled, put

from reconcile import workflow

# --- clients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", MODES)
def test_no_read_fails_and_no_promised_write_is_lost(store: Store, writes: str) -> None:
    number = 3000
    filled(store, 0)
    for first in range(0, number, 1000):
        put(store, [document(n, 0, 4) for n in range(first, first + 1000)])
    store.collection(copied(writes))
    with Clients(store.url, number) as clients:
        clients.until(10)
        if writes == "frozen":
            clients.hold()  # as promised: until the alias is switched

        def tell(event: Any) -> None:
            done = event.step.id[-6:] if event.kind == "step_done" else ""
            if done == "create" and writes == "dual":
                clients.also = "c__v2"
            if done == "2-copy" and writes == "none_expected":
                clients.hold()
            if done == "switch":
                clients.writing.set()

        workflow.apply(store.project, store.plan("all"), tell)
        clients.until(10)
    assert clients.errors == []
    assert store.aliases() == {"c": "c__v2"}
    assert clients.wrong({n: payload["version"] for n, (payload, _) in contents(store).items()}) == []


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_snapshot_outlives_its_collection(tmp_path: Path) -> None:
    """As the report names it: in the server's snapshot folder, also when the collection is gone."""
    with own_server(tmp_path / "server") as (url, _, _):
        (tmp_path / "project").mkdir()
        store = Store(tmp_path / "project", url)
        filled(store, 50)
        old = contents(store)
        told: list[str] = []
        store.declare("collections: {}")
        workflow.apply(
            store.project,
            store.plan("all"),
            lambda event: told.extend([event.detail] if event.kind == "reported" else []),
        )
        assert store.names() == []
        (line,) = told
        place = tmp_path / "server" / "snapshots" / line.split(": ")[1].split(" in ")[0]
        assert place.exists()
        checksum = line.rpartition("sha256 ")[2][:64]
        body = {"location": place.as_uri(), "checksum": checksum}
        store.send("PUT", "/collections/scratch/snapshots/recover?wait=true", body)
        assert contents(store, "scratch") == old
