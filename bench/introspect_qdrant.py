"""How long it takes to read all collections of a server, against the bare requests.

    python bench/introspect_qdrant.py --url http://127.0.0.1:6333 [--collections 1000]

Makes the collections (small, each with a payload index, one in ten with settings of its own) and deletes them
afterwards; their names must not be in use. Prints medians, and the ratio of the two, which take turns.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.qdrant.session import QdrantSession


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--collections", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    session = QdrantSession(
        StoreSpec("vectors", "qdrant", {"url": asked.url}, Source("bench", 1), Path()), "bench", "x"
    )
    names = [f"bench_{i:05}" for i in range(asked.collections)]
    with httpx.Client(base_url=asked.url, timeout=120, trust_env=False) as client:
        try:
            for i, name in enumerate(names):
                client.put(f"/collections/{name}", json=body(i)).raise_for_status()
                index = {"field_name": "tenant", "field_schema": {"type": "keyword", "is_tenant": True}}
                client.put(f"/collections/{name}/index?wait=true", json=index).raise_for_status()
            print(report(session, client, asked.collections, asked.runs))
        finally:
            for name in names:
                client.delete(f"/collections/{name}")
            session.close()


def body(number: int) -> dict[str, object]:
    """Named vectors and a sparse one; every tenth has quantization and an index of its own."""
    dense: dict[str, object] = {"size": 8, "distance": "Cosine"}
    if number % 10 == 0:
        dense |= {"hnsw_config": {"m": 24}, "quantization_config": {"scalar": {"type": "int8"}}}
    return {"vectors": {"text": dense, "image": {"size": 4, "distance": "Dot"}}, "sparse_vectors": {"words": {}}}


def report(session: QdrantSession, client: httpx.Client, count: int, runs: int) -> str:
    """Two lines of a table, with its head."""

    def bare() -> None:
        """What there is to ask, each answer read as JSON, by the standard library."""
        plain = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=120)

        def ask(path: str) -> Any:
            plain.request("GET", path)
            return json.loads(plain.getresponse().read())["result"]

        ask("/aliases")
        for entry in ask("/collections")["collections"]:
            ask(f"/collections/{quote(entry['name'])}")
        plain.close()

    def usual() -> None:
        """The same by httpx."""
        client.get("/aliases").json()
        for entry in client.get("/collections").json()["result"]["collections"]:
            client.get(f"/collections/{quote(entry['name'])}").json()

    def own() -> None:
        session.introspect()

    session.server()
    times: dict[Callable[[], None], list[tuple[float, float]]] = {bare: [], usual: [], own: []}
    for _ in range(runs + 1):
        for what, found in times.items():
            began, used = time.perf_counter(), time.process_time()
            what()
            found.append((time.perf_counter() - began, time.process_time() - used))
    # One run to warm up. The CPU of this process alone: on a busy machine it says more than the time that passed.
    wall, cpu = ([statistics.median(run[i] for run in found[1:]) for found in times.values()] for i in (0, 1))
    head = (
        "| collections | | bare s | by httpx s | introspection s | of bare | of httpx |\n|--:|---|--:|--:|--:|--:|--:|"
    )
    lines = [
        f"| {count} | {name} | {first:.2f} | {second:.2f} | {third:.2f} | {third / first:.2f} | {third / second:.2f} |"
        for name, (first, second, third) in (("wall", wall), ("CPU", cpu))
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
