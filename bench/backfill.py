"""How fast backfills are, beside a bare driver loop that does the same batches.

    python bench/backfill.py [--stores neo4j postgres] [--rows 1021 10000 100000] [--runs 3]

Neo4j: the rule table of examples/relation-types. PostgreSQL: a statement over batches.
The bare loop is what one would write by hand with the driver: the keys, then batch after batch read, classified and
written, a transaction each, without progress that is kept, retries, limits, counts of values or a last look whether
rows are left. The two take turns over the same rows, which are emptied in between; medians are compared. Starts a
sandbox of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import neo4j
import psycopg
import yaml

from reconcile import stores
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import Progress
from reconcile.backfills.running import Around, Running
from reconcile.ledger import Ledger
from reconcile.ledger_file import open_file
from reconcile.model import Address, Source
from reconcile.sandbox.scratch import Neo4jDatabase, Scratch, postgres_database
from reconcile.stores.base import StoreSpec

EXAMPLE = Path(__file__).parents[1] / "examples" / "relation-types"
BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", nargs="+", choices=["neo4j", "postgres"], default=["neo4j", "postgres"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1021, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    print("| store | rows | bare, s | reconcile, s | × bare | bare, rows/s | reconcile, rows/s |", flush=True)
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    with ExitStack() as stack:
        scratch = Scratch()
        stack.callback(scratch.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for store in asked.stores:
            for rows in asked.rows:
                measured = on_neo4j if store == "neo4j" else on_postgres
                bare, ours = measured(scratch, folder, rows, asked.runs)
                a, b = statistics.median(bare), statistics.median(ours)
                print(f"| {store} | {rows:,} | {a:.2f} | {b:.2f} | {b / a:.2f} | {rows / a:,.0f} | {rows / b:,.0f} |")
                sys.stdout.flush()


def turns(
    runs: int, empty: Callable[[], None], bare: Callable[[], None], ours: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """Seconds of each, one after the other and the other way round, after one turn that warms the server."""
    found: dict[str, list[float]] = {"bare": [], "ours": []}
    for run in range(runs + 1):
        both = [("bare", bare), ("ours", ours)]
        for name, work in both if run % 2 else reversed(both):
            empty()
            began = time.perf_counter()
            work()
            if run:
                found[name].append(time.perf_counter() - began)
    return found["bare"], found["ours"]


def run(definition: Definition, session: Any, ledger: Ledger) -> None:
    """The backfill as an apply runs it."""
    filling = session.filling(definition.wanted)
    around = Around(ledger, Path(), session.transient)
    Running(definition, filling, Progress("sha256:bench", "bench"), around).run()


def on_neo4j(scratch: Scratch, folder: Path, rows: int, runs: int) -> tuple[list[float], list[float]]:
    scratch.wipeable("neo4j")
    database = Neo4jDatabase(scratch.neo4j_url, scratch.neo4j_user, scratch.neo4j_password)
    auth = (database.user, database.password) if database.password else None
    os.environ["BENCH_PASSWORD"] = database.password or ""
    entry = yaml.safe_load((EXAMPLE / "schema" / "graph.yaml").read_text())["backfills"]["relation_types"]
    entry = {k: v for k, v in entry.items() if k not in ("metrics", "verify", "depends_on", "description")}
    definition = Definition.of(Address("graph", "backfill", ("relation_types",)), entry)
    settings = {"url": database.url, "user": database.user, "password": "${BENCH_PASSWORD}"}
    spec = StoreSpec("graph", "neo4j", settings, Source("bench", 1), folder)
    session = stores.package("neo4j").connect(spec, "bench", "bench")
    ledger = open_file(folder / f"{rows}.db")
    ledger.ensure()
    ledger.lock("bench")
    cases = [({n: re.compile(p) for n, p in c["when"].items()}, c["value"]) for c in entry["rules"]["cases"]]
    with neo4j.GraphDatabase.driver(database.url, auth=auth) as driver:
        database.wipe()
        seed(driver, rows)
        driver.execute_query("MATCH ()-[r:RELATES_TO]->() WHERE r.relation_type IS NOT NULL SET r.typed = true")
        try:
            return turns(
                runs,
                lambda: untyped(driver),
                lambda: bare_neo4j(driver, cases),
                lambda: run(definition, session, ledger),
            )
        finally:
            session.close()
            ledger.release()
            ledger.close()
            database.wipe()


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


def on_postgres(scratch: Scratch, folder: Path, rows: int, runs: int) -> tuple[list[float], list[float]]:
    with postgres_database(scratch.postgres_url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE documents (id bigint PRIMARY KEY, path text, title text)")
        connection.execute("INSERT INTO documents SELECT n, 'a/b/' || n FROM generate_series(1, %s) n", (rows,))
        spec = StoreSpec("app", "postgres", {"url": url}, Source("bench", 1), folder)
        package = stores.package("postgres")
        session, ledger = package.connect(spec, "bench", "bench"), package.ledger(spec, "reconcile")
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
            return turns(runs, empty, lambda: bare_postgres(url, statement), lambda: run(definition, session, ledger))
        finally:
            session.close()
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


if __name__ == "__main__":
    main()
