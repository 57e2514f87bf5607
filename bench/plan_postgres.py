"""What `reconcile plan` costs over the catalog queries that no differ can do without, and what others cost.

    python bench/plan_postgres.py --tables 100 1000 5000
    python bench/plan_postgres.py --server postgresql://postgres@127.0.0.1:5432/postgres --install-peers

Makes databases of N tables (see schema.py), has them adopted by `reconcile apply`, and measures whole processes one
after the other: the bare queries, a plan with nothing to change, a plan with one table in a hundred changed, a first
plan of everything, and the peers that are installed. Without `--server` a sandbox is started. Databases, sandbox and
files are removed at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import peers
import psycopg
import schema
from measuring import Failed, Sample, measured, run
from psycopg import conninfo, sql

START = "import psycopg, yaml"
"""What any Python program with this driver and this file format pays before its first line."""

BARE = """
import sys, time, psycopg
began = time.perf_counter()
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
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
print(time.perf_counter() - began)
"""
"""One round trip each, over all tables."""

OWN = """
import sys, time, psycopg
from reconcile.stores.postgres.introspect import QUERIES, fetched, settle
began = time.perf_counter()
with psycopg.connect(sys.argv[1], autocommit=True) as connection, connection.transaction():
    settle(connection, ["public"])
    with fetched(connection, ["public"], QUERIES) as rows:
        for name in QUERIES:
            rows[name]
print(time.perf_counter() - began)
"""
"""All that `reconcile` asks of the catalogs, and nothing done with it: also owners, privileges, comments, what depends
on what, and what is there that it does not model."""


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """The URL, or that of a sandbox that is removed afterwards."""
    if url:
        yield url
        return
    from reconcile.sandbox import Sandbox

    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder))
        sandbox.up(("postgres",))
        try:
            yield sandbox.variables("postgres")["RECONCILE_SANDBOX_POSTGRES_URL"]
        finally:
            sandbox.down(delete=True)


@contextmanager
def database(url: str, name: str, tables: int) -> Iterator[str]:
    """The URL of a new database with that many tables."""
    identifier = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    parts = conninfo.conninfo_to_dict(url)
    login = f"{parts.get('user', 'postgres')}{':' + str(parts['password']) if parts.get('password') else ''}"
    made = f"postgresql://{login}@{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}/{name}"
    try:
        with psycopg.connect(made, autocommit=True) as connection:
            for number, text in enumerate(schema.sql(tables)):
                connection.execute(text.encode())
                if number % 1000 == 999:
                    connection.execute("ANALYZE pg_catalog.pg_class, pg_catalog.pg_attribute, pg_catalog.pg_depend")
            connection.execute("VACUUM ANALYZE")
        yield made
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))


def project(folder: Path, url: str, tables: int) -> list[str]:
    """The `reconcile` command of a project that declares the tables."""
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "tables.yaml").write_text(schema.yaml(tables))
    parts = conninfo.conninfo_to_dict(url)
    settings = {
        "database": parts["dbname"],
        **{k: parts[k] for k in ("host", "port", "user", "password") if k in parts},
    }
    shown = ", ".join(f'{key}: "{value}"' for key, value in settings.items())
    (folder / "reconcile.yaml").write_text(
        f"version: 1\nname: bench\nstores:\n  {schema.STORE}: {{kind: postgres, {shown}}}\n"
    )
    return [sys.executable, "-m", "reconcile", "-C", str(folder)]


def measure(url: str, tables: int, runs: int, folder: Path, others: Path) -> None:
    """One size: print a table of medians."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"NO_COLOR": "1"}
    python, rows = sys.executable, list[tuple[str, Sample, str]]()
    start = measured((python, "-c", START), environment, runs)
    rows.append(("start of Python, driver, YAML", start, ""))
    with (
        database(url, f"reconcile_bench_{tables}", tables) as live,
        database(url, f"reconcile_bench_{tables}_desired", tables) as desired,
        database(url, f"reconcile_bench_{tables}_empty", 0) as empty,
    ):
        reconcile, new = project(folder / "live", live, tables), project(folder / "new", empty, tables)
        plan = [*reconcile, "plan", "--detailed-exitcode"]
        adopted = run([*reconcile, "apply", "--auto-approve"], environment)
        bare = timed_inside(BARE, live, environment, runs)
        rows.append(("bare catalog queries", bare, "in a warm process"))
        own = timed_inside(OWN, live, environment, runs)
        rows.append(("all that reconcile asks, bare", own, f"{own.wall / bare.wall:.1f} x bare"))
        unchanged = measured(plan, environment, runs)
        net = unchanged.wall - start.wall
        note = f"less start: {net / bare.wall:.1f} x bare, {net / own.wall:.1f} x all that it asks"
        rows.append(("reconcile plan, no change", unchanged, note))
        for peer in peers.peers(others, folder, live, desired, tables):
            try:
                found = measured(peer.command, environment, min(runs, 3), peer.expect)
                note = f"{found.wall / unchanged.wall:.1f} x reconcile"
                rows.append((peer.name, found, f"{note}; {peer.note}" if peer.note else note))
            except Failed as error:
                print(f"{peer.name}: {error}", file=sys.stderr)
        with psycopg.connect(live, autocommit=True) as connection:
            for number in range(0, tables, 100):
                connection.execute(schema.change(number).encode())
        changed = measured(plan, environment, runs, (2,))
        rows.append(("reconcile plan, 1 % changed", changed, f"{changed.wall / unchanged.wall:.2f} x no change"))
        first = measured([*new, "plan"], environment, min(runs, 3))
        rows.append(("reconcile plan, all new", first, f"{first.wall / unchanged.wall:.1f} x no change"))
        rows.append(("reconcile apply, adopting all", adopted, "one run"))
    show(tables, runs, rows)


def growth(url: str, sizes: Sequence[int], runs: int) -> None:
    """A plan with nothing to change over each size: what a table costs, beside the first size."""
    environment = os.environ | {"NO_COLOR": "1"}
    start = measured((sys.executable, "-c", START), environment, runs)
    print(f"\nno change, medians of {runs} runs; net of the start, {start.wall:.2f} s\n")
    print("| tables | wall | net | per table | beside the first | bare | peak memory |\n|--:|--:|--:|--:|--:|--:|--:|")
    first = 0.0
    for tables in sizes:
        with database(url, f"reconcile_bench_{tables}", tables) as live, tempfile.TemporaryDirectory() as folder:
            plan = [*project(Path(folder) / "live", live, tables), "plan", "--detailed-exitcode"]
            bare = timed_inside(BARE, live, environment, runs)
            found = measured(plan, environment, runs)
        net = (found.wall - start.wall) / tables
        first = first or net
        cells = [f"{found.wall:.2f} s", f"{net * tables:.2f} s", f"{1000 * net:.2f} ms", f"{net / first:.2f}"]
        cells += [f"{bare.wall:.2f} s", f"{found.memory:.0f} MB"]
        print(f"| {tables:,} | {' | '.join(cells)} |", flush=True)


def timed_inside(program: str, url: str, environment: dict[str, str], runs: int) -> Sample:
    """Queries timed inside their process: its start is not theirs."""
    samples = [run((sys.executable, "-c", program, url), environment) for _ in range(runs + 1)][1:]
    middle = sorted(samples, key=lambda s: float(s.output))[len(samples) // 2]
    return Sample(float(middle.output), middle.cpu, middle.memory)


def show(tables: int, runs: int, rows: Sequence[tuple[str, Sample, str]]) -> None:
    print(f"\n{tables} tables, medians of {runs} runs\n")
    print("| | wall | CPU | peak memory | |\n|---|---|---|---|---|")
    for name, found, note in rows:
        print(f"| {name} | {found.wall:.2f} s | {found.cpu:.2f} s | {found.memory:.0f} MB | {note} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", metavar="URL", help="a server where databases may be made; default: a sandbox")
    parser.add_argument("--tables", type=int, nargs="+", default=[1000], metavar="N")
    parser.add_argument("--runs", type=int, default=5)
    default = Path(__file__).resolve().parent / ".peers"
    parser.add_argument("--peers", type=Path, default=default, metavar="DIR", help="where migra and alembic are")
    parser.add_argument("--install-peers", action="store_true", help="install migra and alembic there first")
    parser.add_argument("--growth", action="store_true", help="only a plan with nothing to change, over each size")
    asked = parser.parse_args()
    if asked.install_peers:
        peers.install(asked.peers)
    with server(asked.server) as url:
        if asked.growth:
            growth(url, asked.tables, asked.runs)
        for tables in () if asked.growth else asked.tables:
            with tempfile.TemporaryDirectory() as folder:
                measure(url, tables, asked.runs, Path(folder), asked.peers)


if __name__ == "__main__":
    main()
