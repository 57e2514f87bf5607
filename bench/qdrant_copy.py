"""How fast `on_change: copy` copies a collection, beside a bare scroll-and-upsert loop over the same points.

    python bench/qdrant_copy.py --server http://127.0.0.1:6333 [--points 100000] [--dimensions 128] [--runs 3]

The bare loop is one connection, one batch at a time, as one would write it by hand: scroll, upsert, next. Both copy the
same source into a new collection of the same settings; they take turns, and medians are compared. Prints points a
second of each and the ratio, of the copy alone and with its comparison of every point.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.qdrant import options
from reconcile.stores.qdrant.points import BATCH
from reconcile.stores.qdrant.replacing import Replacing
from reconcile.stores.qdrant.transport import Transport

SOURCE, TARGET = "reconcile_bench__v1", "reconcile_bench__v2"
NAME = "reconcile_bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
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


def bare(client: httpx.Client, settings: Any) -> float:
    """Seconds of the loop."""
    fresh(client, settings)
    began, offset = time.perf_counter(), None
    while True:
        asked = {"limit": BATCH, "offset": offset, "with_vector": True, "with_payload": True}
        page = send(client, "POST", f"/collections/{SOURCE}/points/scroll", asked)
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
