"""How fast backfills are, beside a bare driver loop that does the same batches.

    python bench/backfill.py [--stores neo4j postgres qdrant redis] [--rows 1021 10000 100000] [--runs 3] [--cold]

Neo4j: the rule table of examples/relation-types. PostgreSQL: a statement over batches. Qdrant: rules over payload.
Redis: a family of keys is renamed. The bare loop is what one would write by hand with the driver: the keys, then batch
after batch read, classified and written, a transaction each where there are any, without progress that is kept,
retries, limits, counts of values or a last look whether rows are left. The two take turns over the same rows, which are
emptied in between; medians are compared: of the time, and of the processor time of the client and the server together,
which other work on the machine changes less. `--cold` leaves out the turn that warms the server. Starts a sandbox of
its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import neo4j
import psycopg
import redis
import yaml

from reconcile import stores
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import Progress
from reconcile.backfills.running import Around, Running
from reconcile.change import Op, Timeouts
from reconcile.ledger import Ledger
from reconcile.ledger_file import open_file
from reconcile.model import Address, Source
from reconcile.sandbox.scratch import Neo4jDatabase, Scratch, postgres_database
from reconcile.stores.base import StoreSpec

EXAMPLE = Path(__file__).parents[1] / "examples" / "relation-types"
BATCH = 500


@dataclass(frozen=True)
class Trial:
    """What takes turns over the same rows."""

    empty: Callable[[], None]
    """Makes the rows as they were."""
    bare: Callable[[], None]
    ours: Callable[[], None]


@dataclass(frozen=True)
class Took:
    """What one turn took, in seconds."""

    wall: float
    cpu: float
    """Of this process and of the server's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", nargs="+", choices=list(STORES), default=list(STORES))
    parser.add_argument("--rows", nargs="+", type=int, default=[1021, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    asked = parser.parse_args()
    print("| store | rows | bare | reconcile | x bare | bare, CPU | reconcile, CPU | x bare, CPU | rows/s | load |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for store in asked.stores:
        for rows in asked.rows:
            with ExitStack() as stack:
                scratch = Scratch()
                stack.callback(scratch.close)
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                trial = stack.enter_context(STORES[store](scratch, folder, rows))
                server = scratch._own().servers[store].pid()
                bare, ours = turns(trial, asked.runs, [os.getpid(), server or 0], asked.cold)
            wall, cpu = (
                [statistics.median(getattr(took, what) for took in side) for side in (bare, ours)]
                for what in ("wall", "cpu")
            )
            print(
                f"| {store} | {rows:,} | {wall[0]:.2f} s | {wall[1]:.2f} s | {wall[1] / wall[0]:.2f}"
                f" | {cpu[0]:.2f} s | {cpu[1]:.2f} s | {cpu[1] / cpu[0]:.2f} | {rows / wall[1]:,.0f}"
                f" | {os.getloadavg()[1]:.0f} |",
                flush=True,
            )


def turns(trial: Trial, runs: int, processes: Sequence[int], cold: bool) -> tuple[list[Took], list[Took]]:
    """What each took, one after the other and the other way round, after one turn that warms the server."""
    found: dict[str, list[Took]] = {"bare": [], "ours": []}
    for run in range(int(cold), runs + 1):
        both = [("bare", trial.bare), ("ours", trial.ours)]
        for name, work in both if run % 2 else reversed(both):
            trial.empty()
            began, spent = time.perf_counter(), processor(processes)
            work()
            if run:
                found[name].append(Took(time.perf_counter() - began, processor(processes) - spent))
    return found["bare"], found["ours"]


def processor(processes: Sequence[int]) -> float:
    """Processor seconds of processes, their children and those that have ended. Linux only."""
    parents: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue  # it ended meanwhile
        if fields:
            parents[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"))
    total, left = 0.0, list(processes)
    while left:
        one = left.pop()
        total += parents.get(one, (0, 0.0))[1]
        left += [child for child, (parent, _) in parents.items() if parent == one and child not in processes]
    return total


def run(definition: Definition, session: Any, ledger: Ledger) -> None:
    """The backfill as an apply runs it."""
    filling = session.filling(definition.wanted)
    around = Around(ledger, Path(), session.transient)
    Running(definition, filling, Progress("sha256:bench", "bench"), around).run()


@contextmanager
def ledger_of(folder: Path) -> Iterator[Ledger]:
    ledger = open_file(folder / "ledger.db")
    ledger.ensure()
    ledger.lock("bench")
    try:
        yield ledger
    finally:
        ledger.release()
        ledger.close()


@contextmanager
def session_of(store: str, settings: dict[str, Any], folder: Path) -> Iterator[Any]:
    spec = StoreSpec("bench", store, settings, Source("bench", 1), folder)
    session = stores.package(store).connect(spec, "bench", "bench")
    session.server()
    try:
        yield session
    finally:
        session.close()


@contextmanager
def on_neo4j(scratch: Scratch, folder: Path, rows: int) -> Iterator[Trial]:
    database = Neo4jDatabase(scratch.neo4j_url, scratch.neo4j_user, scratch.neo4j_password)
    auth = (database.user, database.password) if database.password else None
    os.environ["BENCH_PASSWORD"] = database.password or ""
    entry = yaml.safe_load((EXAMPLE / "schema" / "graph.yaml").read_text())["backfills"]["relation_types"]
    entry = {k: v for k, v in entry.items() if k not in ("metrics", "verify", "depends_on", "description")}
    definition = Definition.of(Address("graph", "backfill", ("relation_types",)), entry)
    settings = {"url": database.url, "user": database.user, "password": "${BENCH_PASSWORD}"}
    cases = [({n: re.compile(p) for n, p in c["when"].items()}, c["value"]) for c in entry["rules"]["cases"]]
    with (
        neo4j.GraphDatabase.driver(database.url, auth=auth, notifications_min_severity="OFF") as driver,
        session_of("neo4j", settings, folder) as session,
        ledger_of(folder) as ledger,
    ):
        seed(driver, rows)
        driver.execute_query("MATCH ()-[r:RELATES_TO]->() WHERE r.relation_type IS NOT NULL SET r.typed = true")
        yield Trial(
            lambda: untyped(driver), lambda: bare_neo4j(driver, cases), lambda: run(definition, session, ledger)
        )


def seed(driver: neo4j.Driver, rows: int) -> None:
    spec = importlib.util.spec_from_file_location("seed", EXAMPLE / "seed.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.seed(driver, rows)


def untyped(driver: neo4j.Driver) -> None:
    with driver.session() as session:
        session.run(
            "MATCH ()-[r:RELATES_TO]->() WHERE r.typed IS NULL"
            " CALL (r) { REMOVE r.relation_type } IN TRANSACTIONS OF 10000 ROWS"
        ).consume()


def bare_neo4j(driver: neo4j.Driver, cases: list[tuple[dict[str, re.Pattern[str]], str]]) -> None:
    """By hand: the ids, then batches of reading, classifying, writing."""
    with driver.session() as session:
        query = "MATCH ()-[r:RELATES_TO]->() WHERE r.relation_type IS NULL RETURN id(r) AS id"
        ids = sorted(record["id"] for record in session.run(query))
        for start in range(0, len(ids), BATCH):
            found = session.run(
                "UNWIND $ids AS id MATCH (a)-[r]->(b) WHERE id(r) = id AND r.relation_type IS NULL"
                " RETURN id, r.description AS text, labels(a) AS `from`, labels(b) AS `to`",
                ids=ids[start : start + BATCH],
            ).data()
            rows = [{"id": row["id"], "type": kind(row, cases)} for row in found]
            with session.begin_transaction() as transaction:
                transaction.run(
                    "UNWIND $rows AS row MATCH ()-[r]->() WHERE id(r) = row.id SET r.relation_type = row.type",
                    rows=rows,
                ).consume()
                transaction.commit()


def kind(row: dict[str, Any], cases: list[tuple[dict[str, re.Pattern[str]], str]]) -> str:
    for when, value in cases:
        if all(
            any(p.search(label) for label in row[n]) if isinstance(row[n], list) else p.search(row[n])
            for n, p in when.items()
        ):
            return value
    return "RELATED_TO"


@contextmanager
def on_postgres(scratch: Scratch, folder: Path, rows: int) -> Iterator[Trial]:
    with postgres_database(scratch.postgres_url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE documents (id bigint PRIMARY KEY, path text, title text)")
        connection.execute("INSERT INTO documents SELECT n, 'a/b/' || n FROM generate_series(1, %s) n", (rows,))
        package = stores.package("postgres")
        ledger = package.ledger(StoreSpec("bench", "postgres", {"url": url}, Source("bench", 1), folder), "reconcile")
        assert ledger is not None
        ledger.ensure()
        ledger.lock("bench")
        statement = "UPDATE documents SET title = regexp_replace(path, '^.*/', '') WHERE id = ANY ($keys)"
        select = "SELECT id, path FROM documents WHERE title IS NULL"
        entry = {"select": select, "key": "id", "statement": statement, "batch": BATCH}
        definition = Definition.of(Address("app", "backfill", ("titles",)), entry)

        def empty() -> None:
            connection.execute("UPDATE documents SET title = NULL")
            connection.execute("VACUUM ANALYZE documents")

        try:
            with session_of("postgres", {"url": url}, folder) as session:
                yield Trial(empty, lambda: bare_postgres(url, statement), lambda: run(definition, session, ledger))
        finally:
            ledger.release()
            ledger.close()


def bare_postgres(url: str, statement: str) -> None:
    """By hand: the next keys, and the statement over them."""
    with psycopg.connect(url, autocommit=True) as connection:
        last = 0
        while True:
            rows = connection.execute(
                "SELECT id FROM documents WHERE title IS NULL AND id > %s ORDER BY id LIMIT %s", (last, BATCH)
            ).fetchall()
            if not rows:
                return
            ids = [row[0] for row in rows]
            with connection.transaction():
                connection.execute(statement.replace("$keys", "%s").encode(), (ids,))
            last = ids[-1]


WORDS = ("guide", "report", "letter", "note")


@contextmanager
def on_qdrant(scratch: Scratch, folder: Path, rows: int) -> Iterator[Trial]:
    url, name = scratch.qdrant_url, "bench"
    cases = [{"value": word, "when": {"path": f"/{word}"}} for word in WORDS]
    entry = {
        "collection": name,
        "select": {"must": [{"is_empty": {"key": "kind"}}]},
        "rules": {"set": "kind", "cases": cases, "otherwise": "other"},
        "batch": BATCH,
    }
    definition = Definition.of(Address("vectors", "backfill", ("kinds",)), entry)
    with (
        httpx.Client(base_url=f"{url}/collections/{name}", timeout=600) as client,
        session_of("qdrant", {"url": url}, folder) as session,
        ledger_of(folder) as ledger,
    ):
        client.put("", json={"vectors": {"size": 4, "distance": "Cosine"}}).raise_for_status()
        for start in range(0, rows, 1000):
            points = [
                {"id": n, "vector": [1, 2, 3, n % 7], "payload": {"path": f"a/{WORDS[n * 31 % 4]}/{n}"}}
                for n in range(start, min(start + 1000, rows))
            ]
            client.put("/points?wait=true", json={"points": points}).raise_for_status()

        def empty() -> None:
            every = {"keys": ["kind"], "filter": {}}
            client.post("/points/payload/delete?wait=true", json=every).raise_for_status()

        yield Trial(empty, lambda: bare_qdrant(client), lambda: run(definition, session, ledger))


def bare_qdrant(client: httpx.Client) -> None:
    """By hand: scroll, classify, set the payload of those of a kind together."""
    patterns = [(re.compile(f"/{word}"), word) for word in WORDS]
    filter_, offset = {"must": [{"is_empty": {"key": "kind"}}]}, None
    while True:
        asked = {"filter": filter_, "limit": BATCH, "with_payload": True, "offset": offset}
        found = client.post("/points/scroll", json=asked).raise_for_status().json()["result"]
        kinds: dict[str, list[int]] = {}
        for point in found["points"]:
            path = point["payload"]["path"]
            word = next((word for pattern, word in patterns if pattern.search(path)), "other")
            kinds.setdefault(word, []).append(point["id"])
        operations = [{"set_payload": {"payload": {"kind": k}, "points": ids}} for k, ids in kinds.items()]
        if operations:
            client.post("/points/batch?wait=true", json={"operations": operations}).raise_for_status()
        if (offset := found["next_page_offset"]) is None:
            return


@contextmanager
def on_redis(scratch: Scratch, folder: Path, rows: int) -> Iterator[Trial]:
    url = scratch.redis_url
    timeouts = Timeouts()
    call = Op("rename_keys", {"from": "session:{id}", "to": "app:session:{id}"})
    with redis.Redis.from_url(url) as client, session_of("redis", {"url": url}, folder) as session:

        def empty() -> None:
            client.flushdb()
            numbers = iter(range(rows))
            while some := list(islice(numbers, 10_000)):
                client.mset({f"session:{n}": "x" for n in some})

        yield Trial(empty, lambda: bare_redis(client), lambda: session.run(call, timeouts))


def bare_redis(client: redis.Redis) -> None:
    """By hand: SCAN, and what it gives renamed in one go; again until there is none."""
    renamed = -1
    while renamed:
        renamed, cursor = 0, None
        while cursor != 0:
            cursor, names = client.scan(cursor or 0, match="session:*", count=BATCH)
            with client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.renamenx(name, b"app:" + bytes(name))
                renamed += sum(map(bool, pipe.execute(raise_on_error=False)))


STORES = {"neo4j": on_neo4j, "postgres": on_postgres, "qdrant": on_qdrant, "redis": on_redis}


if __name__ == "__main__":
    main()
