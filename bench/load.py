"""How long clients wait while the table they work on changes, for each way of changing it.

    python bench/load.py --server postgresql://postgres@127.0.0.1:5432/postgres [--only index] [--rows 20000]

For each strategy of the load tests: a fresh database, a filled table, clients that insert, update, delete and read,
an apply. Prints a table: statements, errors, median and longest wait of a statement, and what the same clients waited
at most before the apply began; all in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.projects import Folder
from tests.stores.postgres import strategies
from tests.stores.postgres.load import Load

DATABASE = "reconcile_bench_load"
BASE_SECONDS = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--only", default="", help="part of the strategy's name")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--lock-timeout", default="2s")
    asked = parser.parse_args()
    print("| strategy | apply s | statements | errors | median ms | longest ms | longest before ms |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for strategy in strategies.STRATEGIES:
        if asked.only in strategy.name:
            print(measure(strategy, asked.server, asked.rows, asked.lock_timeout), flush=True)


def measure(strategy: strategies.Strategy, server: str, rows: int, lock_timeout: str) -> str:
    name = sql.Identifier(DATABASE)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
    uri = urlsplit(server)._replace(path=f"/{DATABASE}").geturl()
    try:
        with tempfile.TemporaryDirectory() as path:
            project = Folder(Path(path), {"app": {"kind": "postgres", "url": uri, "lock_timeout": lock_timeout}})
            project.declare(app=strategy.before).apply("all")
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute(strategies.rows_sql(rows).encode())
                connection.execute(strategy.setup.encode() or b"SELECT 1")
                connection.execute("ANALYZE")
            project.declare(app=strategy.after)
            work = (strategies.writes, strategies.writes, strategies.reads, *strategy.work)
            with Load(uri, work, "60s") as load:
                time.sleep(BASE_SECONDS)
                before = load.longest[0]
                load.forget()
                began = time.monotonic()
                project.apply("all")
                seconds = time.monotonic() - began
            figures = [statistics.median(load.seconds), load.longest[0], before]
            shown = " | ".join(f"{1000 * f:.1f}" for f in figures)
            return f"| {strategy.name} | {seconds:.1f} | {len(load.seconds)} | {len(load.errors)} | {shown} |"
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


if __name__ == "__main__":
    main()
