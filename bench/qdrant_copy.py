"""How fast `on_change: copy` copies a collection, beside a bare scroll-and-upsert loop over the same points.

    python bench/qdrant_copy.py --server http://127.0.0.1:6333 [--points 100000] [--dimensions 128] [--runs 3]
    python bench/qdrant_copy.py --server … --clients timestamp dual frozen none_expected

The bare loop is one connection, one batch at a time, as one would write it by hand: scroll, upsert, next. Both copy the
same source into a new collection of the same settings; they take turns, and medians are compared. Prints points a
second of each and the ratio, of the copy alone and with its comparison of every point.

With `--clients` the collection is replaced by `reconcile apply`, once for each promise named, while another process
reads and writes through the alias (two threads each): without pause but where the promise is that nobody writes. The
bare loop runs under the same clients just before. Prints the rates and the ratio, how long waiting, comparison and
switch took, how much the clients did, which of their requests failed, and which of their writes are lost. The server
has to be an empty one: the bench makes the collection `c` and its alias, and deletes them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.stores.qdrant.clients import ALIAS, Clients, document
from tests.stores.qdrant.store import Store

from reconcile import workflow
from reconcile.change import Op
from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.qdrant import options
from reconcile.stores.qdrant.points import BATCH
from reconcile.stores.qdrant.replacing import Replacing
from reconcile.stores.qdrant.session import QdrantSession
from reconcile.stores.qdrant.transport import Transport

SOURCE, TARGET = "reconcile_bench__v1", "reconcile_bench__v2"
NAME = "reconcile_bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clients", nargs="+", choices=list(WRITES), metavar="PROMISE")
    asked = parser.parse_args()
    if asked.clients:
        under_clients(asked.server, asked.points, asked.dimensions, asked.clients)
        return
    settings = {"vectors": {"size": asked.dimensions, "distance": "Cosine"}}
    found: dict[str, list[float]] = {"bare": [], "copy": [], "compared": []}
    with httpx.Client(base_url=asked.server, timeout=120) as client:
        try:
            fill(client, settings, asked.points, asked.dimensions)
            for _ in range(asked.runs):
                found["bare"].append(bare(client, settings))
                copied, compared = ours(client, settings, asked.server)
                found["copy"].append(copied)
                found["compared"].append(compared)
        finally:
            for name in (SOURCE, TARGET):
                client.delete(f"/collections/{name}")
    median = {name: asked.points / statistics.median(seconds) for name, seconds in found.items()}
    print("| way | points/s | × bare |\n|---|--:|--:|")
    for name, words in (("bare", "bare loop"), ("copy", "copy"), ("compared", "copy, then every point compared")):
        print(f"| {words} | {median[name]:,.0f} | {median[name] / median['bare']:.2f} |")


WRITES = {"timestamp": "{timestamp: at}", **{name: name for name in ("dual", "frozen", "none_expected")}}


def under_clients(server: str, points: int, dimensions: int, promises: list[str]) -> None:
    """Each promise in turn: fill, let clients go, the bare loop, the replacement, look for what is lost."""
    with tempfile.TemporaryDirectory() as folder, httpx.Client(base_url=server, timeout=120) as client:
        store = Store(Path(folder), server, verify_snapshots="never")
        print("| promise | bare, points/s | copy | × bare | waited, s | rest, s | reads (slowest) | writes |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        wrong: list[str] = []
        for promise in promises:
            empty(store)
            line, found = one_promise(client, store, promise, points, dimensions)
            print(line, flush=True)
            wrong += [f"{promise}: {what}" for what in found]
        empty(store)
    print("\n".join(wrong[:50]) or "no failed request, no lost write")
    sys.exit(1 if wrong else 0)


def one_promise(
    client: httpx.Client, store: Store, promise: str, points: int, dimensions: int
) -> tuple[str, list[str]]:
    """A line of the table, and what went wrong."""
    vector = f"vector: {{dimensions: {dimensions}, distance: cosine}}, payload_indexes: {{at: integer}}"
    store.collection(vector)
    workflow.apply(store.project, store.plan("all"))
    for first in range(0, points, BATCH):
        batch = [document(n, 0, dimensions) for n in range(first, min(first + BATCH, points))]
        send(client, "PUT", f"/collections/{ALIAS}/points?wait=true", {"points": batch})
    settings = {"vectors": {"size": dimensions, "distance": "Cosine"}}
    spent: dict[str, float] = {}
    with Away(store.url, points, dimensions) as clients:
        seconds = bare(client, settings, f"{ALIAS}__v1")
        client.delete(f"/collections/{TARGET}")
        store.collection(f"{vector}, wal: {{wal_capacity_mb: 33}}, on_change: copy, writes: {WRITES[promise]}")
        if promise == "frozen":
            clients.say("hold")

        def tell(event: Any) -> None:
            done = event.step.id[-6:] if event.kind == "step_done" else ""
            if done == "create" and promise == "dual":
                clients.say(f"{ALIAS}__v2")
            if done == "2-copy" and promise == "none_expected":
                clients.say("hold")
            if done == "switch":
                clients.say("go")

        with timed(spent):
            workflow.apply(store.project, store.plan("all"), tell)
        time.sleep(2)
        result = clients.end(lambda: versions(client))
    copied = points / spent["copy_points"]
    rest = spent["settle_copy"] + spent["finish_copy"]
    line = f"| {promise} | {points / seconds:,.0f} | {copied:,.0f} | {copied * seconds / points:.2f}"
    line += f" | {spent['wait_green']:.1f} | {rest:.1f} | {result['reads']:,} ({result['slowest']:.2f} s)"
    line += f" | {result['writes']:,} |"
    return line, result["wrong"]


def empty(store: Store) -> None:
    for name in [*store.names(), "_reconcile"]:
        store.send("DELETE", f"/collections/{name}")
    for path in store.folder.glob("ledger.db*"):
        path.unlink()


def versions(client: httpx.Client) -> dict[int, int]:
    """Of every point there is, through the alias."""
    found: dict[int, int] = {}
    offset = None
    while True:
        asked = {"limit": 5000, "offset": offset, "with_payload": ["version"]}
        page = send(client, "POST", f"/collections/{ALIAS}/points/scroll", asked)
        found |= {p["id"]: p["payload"]["version"] for p in page["points"]}
        offset = page["next_page_offset"]
        if offset is None:
            return found


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Seconds of each operation of the replacement."""
    run = QdrantSession.run

    def watched(self: QdrantSession, call: Any, timeouts: Any) -> None:
        began = time.perf_counter()
        run(self, call, timeouts)
        if isinstance(call, Op):
            spent[call.op] = spent.get(call.op, 0.0) + time.perf_counter() - began

    QdrantSession.run = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        QdrantSession.run = run  # type: ignore[method-assign]


class Away:
    """Clients in a process of their own, so that they and the copy do not share an interpreter."""

    def __init__(self, url: str, points: int, dimensions: int) -> None:
        self._here, there = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_clients, args=(there, url, points, dimensions), daemon=True)

    def __enter__(self) -> Away:
        self._process.start()
        self._here.recv()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()

    def say(self, what: str) -> None:
        """ "hold", "go": of writes; else what is to be written to as well. Returns when it is done."""
        self._here.send(what)
        self._here.recv()

    def end(self, found: Callable[[], dict[int, int]]) -> dict[str, Any]:
        """Stop; what they did, and what is otherwise than they wrote it by `found`, asked when they have stopped."""
        self.say("stop")
        self._here.send(found())
        result: dict[str, Any] = self._here.recv()
        return result


def _clients(pipe: Any, url: str, points: int, dimensions: int) -> None:
    """The other process."""
    with Clients(url, points, dimensions) as clients:
        pipe.send("here")
        while (said := pipe.recv()) != "stop":
            if said == "hold":
                clients.hold()
            elif said == "go":
                clients.writing.set()
            else:
                clients.also = said
            pipe.send("done")
    pipe.send("stopped")
    wrong = [*clients.errors, *clients.wrong(pipe.recv())]
    pipe.send({"wrong": wrong, "reads": clients.reads, "writes": clients.writes, "slowest": clients.slowest})


def send(client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    return client.request(method, path, json=body).raise_for_status().json()["result"]


def fill(client: httpx.Client, settings: Any, points: int, dimensions: int) -> None:
    """The source: random vectors, three payload fields, no vector index that would be built meanwhile."""
    client.delete(f"/collections/{SOURCE}")
    send(client, "PUT", f"/collections/{SOURCE}", {**settings, "optimizers_config": {"indexing_threshold": 0}})
    chance = np.random.default_rng(1)
    for first in range(0, points, BATCH):
        vectors = chance.standard_normal((min(BATCH, points - first), dimensions)).round(6).tolist()
        batch = [
            {"id": first + i, "vector": v, "payload": {"n": i, "tenant": f"t{i % 7}", "text": "some words " * 5}}
            for i, v in enumerate(vectors)
        ]
        send(client, "PUT", f"/collections/{SOURCE}/points?wait=true", {"points": batch})


def fresh(client: httpx.Client, settings: Any, metadata: Any = None) -> None:
    client.delete(f"/collections/{TARGET}")
    send(client, "PUT", f"/collections/{TARGET}", {**settings, "metadata": metadata})
    time.sleep(1)


def bare(client: httpx.Client, settings: Any, source: str = SOURCE) -> float:
    """Seconds of the loop."""
    fresh(client, settings)
    began, offset = time.perf_counter(), None
    while True:
        asked = {"limit": BATCH, "offset": offset, "with_vector": True, "with_payload": True}
        page = send(client, "POST", f"/collections/{source}/points/scroll", asked)
        send(client, "PUT", f"/collections/{TARGET}/points?wait=true", {"points": page["points"]})
        offset = page["next_page_offset"]
        if offset is None:
            return time.perf_counter() - began


def ours(client: httpx.Client, settings: Any, server: str) -> tuple[float, float]:
    """Seconds of the call that copies, and of that and the one that compares."""
    copy = {"from": SOURCE, "writes": "none_expected", "vectors": True}
    fresh(client, settings, {options.OURS: {"name": NAME, "generation": 2, "copy": copy}})
    with tempfile.TemporaryDirectory() as folder:
        http = Transport(StoreSpec("v", "qdrant", {"url": server}, Source("bench", 1), Path(folder)))
        replacing = Replacing(http, lambda detail: None, print)
        args = {"from": SOURCE, "to": TARGET, "name": NAME, "generation": 2}
        began = time.perf_counter()
        replacing.run("copy_points", args, 3600)
        copied = time.perf_counter() - began
        replacing.run("settle_copy", args, 3600)
        compared = time.perf_counter() - began
        http.close()
    return copied, compared


if __name__ == "__main__":
    main()
