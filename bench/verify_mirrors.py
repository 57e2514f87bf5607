"""What comparing the ids of a table and a collection costs over reading them, which nothing can do without.

    python bench/verify_mirrors.py --ids 100000 1000000
    python bench/verify_mirrors.py --postgres postgresql://postgres@127.0.0.1:5432/postgres --qdrant http://127.0.0.1:6333

Makes a database and a collection with N equal ids, and measures whole processes: one that reads all ids of both, at
once, by a server's cursor and by scrolling, and forgets them; and `reconcile verify`. Memory should be the same for
any N. Without URLs a sandbox is started. Database, collection and files are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from measuring import Sample, measured, run
from plan_postgres import database

NAME = "reconcile_bench_mirror"
START = "import psycopg, httpx, yaml, sqlite3"
BARE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import httpx, psycopg
def table(url):
    count = 0
    with psycopg.connect(url) as connection, connection.cursor(name="bare") as cursor:
        cursor.execute("SELECT id::text FROM passages")
        while rows := cursor.fetchmany(10000):
            for row in rows:
                count += 1
    return count
def collection(url):
    count, offset = 0, None
    with httpx.Client(base_url=url, timeout=60) as client:
        while True:
            body = {"limit": 10000, "with_payload": False, "with_vector": False, "offset": offset}
            found = client.post("/collections/reconcile_bench_mirror/points/scroll", json=body).json()["result"]
            for point in found["points"]:
                str(point["id"])
                count += 1
            offset = found["next_page_offset"]
            if offset is None:
                return count
with ThreadPoolExecutor(2) as pool:
    one, two = pool.submit(table, sys.argv[1]), pool.submit(collection, sys.argv[2])
    print(one.result(), two.result())
"""
"""Two connections at once, as verify has them."""


def request(url: str, method: str, path: str, body: Any = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(asked) as answer:
        answer.read()


@contextmanager
def servers(postgres: str | None, qdrant: str | None) -> Iterator[tuple[str, str]]:
    """The URLs, or those of a sandbox that is removed afterwards."""
    if postgres and qdrant:
        yield postgres, qdrant
        return
    from reconcile.sandbox import Sandbox

    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder))
        sandbox.up(("postgres", "qdrant"))
        try:
            found = {**sandbox.variables("postgres"), **sandbox.variables("qdrant")}
            yield found["RECONCILE_SANDBOX_POSTGRES_URL"], found["RECONCILE_SANDBOX_QDRANT_URL"]
        finally:
            sandbox.down(delete=True)


@contextmanager
def filled(postgres: str, qdrant: str, ids: int) -> Iterator[str]:
    """A database and a collection with that many equal ids; the database's URL."""
    at_once = 10_000
    with ExitStack() as made:
        live = made.enter_context(database(postgres, NAME, 0))
        with psycopg.connect(live, autocommit=True) as connection:
            connection.execute("CREATE TABLE passages (id bigint PRIMARY KEY)")
            connection.execute("INSERT INTO passages SELECT generate_series(1, %s)", (ids,))
            connection.execute("VACUUM ANALYZE passages")
        path = f"/collections/{NAME}"
        request(qdrant, "DELETE", path)
        vectors = {"size": 2, "distance": "Dot", "on_disk": True}
        request(qdrant, "PUT", path, {"vectors": vectors, "optimizers_config": {"indexing_threshold": 0}})
        made.callback(request, qdrant, "DELETE", path)
        for first in range(1, ids + 1, at_once):
            some = list(range(first, min(first + at_once, ids + 1)))
            batch = {"ids": some, "vectors": [[0.1, 0.2]] * len(some)}
            request(qdrant, "PUT", f"{path}/points?wait=true", {"batch": batch})
        yield live


def project(folder: Path, postgres: str, qdrant: str) -> list[str]:
    """The `reconcile verify` of a project with the mirror."""
    (folder / "schema").mkdir(parents=True)
    columns = "{id: {type: bigint, not_null: true}}"
    (folder / "schema" / "app.yaml").write_text(
        f"store: app\ntables: {{passages: {{columns: {columns}, primary_key: [id]}}}}\n"
    )
    vector = "{dimensions: 2, distance: dot}"
    (folder / "schema" / "vectors.yaml").write_text(
        f"store: vectors\ncollections: {{{NAME}: {{versioned: false, vector: {vector}}}}}\n"
    )
    (folder / "reconcile.yaml").write_text(
        "version: 1\nname: bench\nstores:\n"
        f'  app: {{kind: postgres, url: "{postgres}"}}\n  vectors: {{kind: qdrant, url: "{qdrant}"}}\n'
        f"mirrors:\n  passages: [{{store: app, table: passages}}, {{store: vectors, collection: {NAME}}}]\n"
    )
    return [sys.executable, "-m", "reconcile", "-C", str(folder), "verify"]


def measure(postgres: str, qdrant: str, ids: int, runs: int) -> None:
    """One size: print a table of medians."""
    environment = {**os.environ, "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory() as folder, filled(postgres, qdrant, ids) as live:
        start = measured((sys.executable, "-c", START), environment, runs)
        bare = measured((sys.executable, "-c", BARE, live, qdrant), environment, runs)
        command = project(Path(folder, "one"), live, qdrant)
        found = measured(command, environment, runs)
        with psycopg.connect(live, autocommit=True) as connection:
            connection.execute("DELETE FROM passages WHERE id % 100 = 0")
            connection.execute("INSERT INTO passages SELECT generate_series(%s + 1, %s + 7)", (ids, ids))
        differing = run(command, environment, (2,))
    print(f"\n{ids:,} ids on each side, medians of {runs} runs\n")
    print("| | wall | CPU | peak memory | |\n|---|---|---|---|---|")
    row("start of Python and drivers", start, "")
    row("bare scans of both", bare, "")
    row("reconcile verify, equal", found, ratio(found, bare))
    row("reconcile verify, 1 % differs", differing, ratio(differing, bare))
    print()
    print("\n".join(line for line in differing.output.splitlines() if "missing" in line or "extra" in line))


def ratio(sample: Sample, bare: Sample) -> str:
    return f"{sample.wall / bare.wall:.1f} x bare in time, {sample.memory / bare.memory:.1f} x in memory"


def row(name: str, found: Sample, note: str) -> None:
    print(f"| {name} | {found.wall:.2f} s | {found.cpu:.2f} s | {found.memory:.0f} MB | {note} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", metavar="URL", help="a server where databases may be made; default: a sandbox")
    parser.add_argument("--qdrant", metavar="URL", help="a server where a collection may be made; default: a sandbox")
    parser.add_argument("--ids", type=int, nargs="+", default=[1_000_000], metavar="N")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with servers(asked.postgres, asked.qdrant) as (postgres, qdrant):
        for ids in asked.ids:
            measure(postgres, qdrant, ids, asked.runs)


if __name__ == "__main__":
    main()
