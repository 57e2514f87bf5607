"""How much `reconcile plan` costs over the catalog queries that no such tool can do without.

    python bench/plan_postgres.py --server postgresql://postgres@127.0.0.1:5432/postgres --tables 1000

Makes a database of N tables (8 columns, primary key, foreign key, unique, check, two indexes), writes its YAML by
`reconcile import`, and measures whole processes: the bare queries, a plan with no change, a plan with 1 % of the
tables changed. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

DATABASE = "reconcile_bench"
BARE = """
import os, psycopg
with psycopg.connect(os.environ["BENCH_URL"], autocommit=True) as connection:
    for query in (
        "SELECT oid, relname, relkind, relnamespace, reloptions FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace",
        "SELECT attrelid, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND attnum > 0",
        "SELECT adrelid, adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef d JOIN pg_class c ON c.oid = adrelid"
        " WHERE relnamespace = 'public'::regnamespace",
        "SELECT conrelid, conname, contype, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "SELECT indrelid, indexrelid, pg_get_indexdef(indexrelid), indisvalid FROM pg_index i"
        " JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'public'::regnamespace",
    ):
        connection.execute(query).fetchall()
"""
BASE = "import psycopg, yaml"


def table(n: int) -> str:
    return f"""CREATE TABLE t{n} (
        id bigint GENERATED ALWAYS AS IDENTITY, parent_id bigint, name text NOT NULL, code varchar(20),
        size numeric(12,2) DEFAULT 0, tags text[] DEFAULT '{{}}', note text,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT t{n}_pkey PRIMARY KEY (id), CONSTRAINT t{n}_code_key UNIQUE (code),
        CONSTRAINT t{n}_size_check CHECK (size >= 0::numeric),
        CONSTRAINT t{n}_parent_fkey FOREIGN KEY (parent_id) REFERENCES t{max(n - 1, 0)} (id));
    CREATE INDEX t{n}_name_idx ON t{n} (lower(name));
    CREATE INDEX t{n}_created_idx ON t{n} (created_at DESC) WHERE size > 0::numeric;"""


def median(command: list[str], environment: dict[str, str], runs: int, expect: int = 0) -> float:
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
        if done.returncode != expect:
            sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    name = sql.Identifier(DATABASE)
    with psycopg.connect(asked.server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
    url = psycopg.conninfo.make_conninfo(asked.server, dbname=DATABASE)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            for n in range(asked.tables):
                connection.execute(table(n))  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), url, asked.runs)
    finally:
        with psycopg.connect(asked.server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def measure(folder: Path, url: str, runs: int) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    settings = ", ".join(
        f'{ours}: "{parts[theirs]}"'
        for ours, theirs in (("host", "host"), ("port", "port"), ("user", "user"), ("password", "password"))
        if parts.get(theirs)
    )
    (folder / "reconcile.yaml").write_text(
        f"version: 1\nname: bench\nstores:\n  app: {{kind: postgres, database: {DATABASE}, {settings}}}\n"
    )
    environment = {**os.environ, "BENCH_URL": url, "NO_COLOR": "1"}
    reconcile = [sys.executable, "-m", "reconcile", "-C", str(folder)]
    subprocess.run([*reconcile, "import"], env=environment, check=True, capture_output=True)
    plan = [*reconcile, "plan", "--detailed-exitcode"]
    start = median([sys.executable, "-c", BASE], environment, runs)
    bare = median([sys.executable, "-c", BARE], environment, runs) - median(
        [sys.executable, "-c", "import os, psycopg"], environment, runs
    )
    unchanged = median(plan, environment, runs)
    with psycopg.connect(url, autocommit=True) as connection:
        for n in range(
            0, len(connection.execute("SELECT 1 FROM pg_class WHERE relkind = 'r' AND relname ~ '^t'").fetchall()), 100
        ):
            connection.execute(f"ALTER TABLE t{n} ALTER note SET DEFAULT 'x'; DROP INDEX t{n}_name_idx")  # type: ignore[arg-type]
    changed = median(plan, environment, runs, expect=2)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"start of Python, driver, YAML  {start:7.2f} s")
    print(f"bare catalog queries           {bare:7.2f} s")
    print(f"plan, nothing to change        {unchanged:7.2f} s   less start: {(unchanged - start) / bare:.1f} x bare")
    print(f"plan, 1 % changed              {changed:7.2f} s   {changed / unchanged:.2f} x unchanged")
    print(f"peak memory of a process       {peak:7.0f} MB")


if __name__ == "__main__":
    main()
