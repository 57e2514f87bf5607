"""How long it takes to read the schema of a graph, against the bare SHOW commands over the same connection.

    python bench/introspect_neo4j.py --url bolt://127.0.0.1:7687 [--user neo4j] [--password SECRET] [--indexes 1000]

Makes the indexes (a fifth of them behind constraints) on labels of its own, which must not be in use, and drops them
afterwards. Prints medians, and the ratio of the two, which take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neo4j

from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.neo4j import introspect
from reconcile.stores.neo4j.session import Neo4jSession

AT_ONCE = 100
"""Statements in a transaction."""
BARE: tuple[Any, ...] = (introspect.SHOW_CONSTRAINTS, introspect.SHOW_INDEXES)
"""The columns that are read, no others: `YIELD *` takes twice as long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", default="neo4j")
    parser.add_argument("--password", default="")
    parser.add_argument("--indexes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=15)
    asked = parser.parse_args()
    auth = (asked.user, asked.password) if asked.password else None
    settings = {"url": asked.url, "user": asked.user, "password": asked.password or None}
    session = Neo4jSession(StoreSpec("graph", "neo4j", settings, Source("bench", 1), Path()))
    with neo4j.GraphDatabase.driver(asked.url, auth=auth) as driver:
        names = [f"bench_{i:05}" for i in range(asked.indexes)]
        try:
            run(driver, [make(i, name) for i, name in enumerate(names)])
            driver.execute_query("CALL db.awaitIndexes(600)")
            print(report(session, driver, asked.indexes, asked.runs))
        finally:
            run(driver, [f"DROP {'CONSTRAINT' if i % 5 == 0 else 'INDEX'} {n} IF EXISTS" for i, n in enumerate(names)])
            session.close()


def make(number: int, name: str) -> str:
    """Every fifth is a constraint; the rest are range, text, full-text and vector indexes."""
    label, kinds = f"Bench{number // 20}", ("", "TEXT ", "FULLTEXT ", "VECTOR ")
    kind = kinds[number % 4]
    if number % 5 == 0:
        return f"CREATE CONSTRAINT {name} FOR (n:{label}) REQUIRE n.p{number} IS UNIQUE"
    on = f"ON EACH [n.p{number}]" if kind == "FULLTEXT " else f"ON (n.p{number})"
    options = " OPTIONS {indexConfig: {`vector.dimensions`: 8}}" if kind == "VECTOR " else ""
    return f"CREATE {kind}INDEX {name} FOR (n:{label}) {on}{options}"


def run(driver: neo4j.Driver, statements: list[str]) -> None:
    """In transactions of some."""
    with driver.session() as session:
        for start in range(0, len(statements), AT_ONCE):
            with session.begin_transaction() as transaction:
                for statement in statements[start : start + AT_ONCE]:
                    query: Any = statement  # the driver's types ask for a literal
                    transaction.run(query).consume()
                transaction.commit()


def report(session: Neo4jSession, driver: neo4j.Driver, count: int, runs: int) -> str:
    """One line of a table, with its head."""

    def bare() -> None:
        with driver.session() as opened:
            for statement in BARE:
                opened.run(statement).data()

    def own() -> None:
        session.introspect()

    session.server()
    times: dict[Callable[[], None], list[float]] = {bare: [], own: []}
    for _ in range(runs + 1):
        for what, found in times.items():
            began = time.perf_counter()
            what()
            found.append(time.perf_counter() - began)
    first, second = (statistics.median(found[1:]) for found in times.values())  # one run to warm up
    head = "| indexes | bare SHOW ms | introspection ms | ratio |\n|--:|--:|--:|--:|"
    return f"{head}\n| {count} | {1000 * first:.0f} | {1000 * second:.0f} | {second / first:.2f} |"


if __name__ == "__main__":
    main()
