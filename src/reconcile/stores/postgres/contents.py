"""What a database holds, counted and hashed inside one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconcile.backups import Contents
from reconcile.stores.postgres.connect import Connection
from reconcile.stores.postgres.sqltext import ident

_FIXED = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL extra_float_digits = 1;"
    " SET LOCAL bytea_output = hex; SET LOCAL lc_monetary = 'C'; SET LOCAL search_path = pg_catalog;"
    " SET LOCAL statement_timeout = 0; SET LOCAL xmloption = content"
)
"""What the text of a row depends on, besides what each of our connections fixes."""
OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
"""Schemas that are not the server's."""
NOT_OF_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    " AND d.deptype = 'e')"
)
_RELATIONS = (
    "SELECT c.relkind::text, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND {OURS} AND {NOT_OF_EXTENSION} ORDER BY 2, 3"
)
_LARGE = "SELECT count(*) FROM pg_largeobject_metadata"
_ROWS = (
    "SELECT count(*), coalesce(sum(('x' || left(md5((__row.*)::text), 15))::bit(60)::bigint), 0)::text"
    " FROM ONLY {} AS __row"
)
"""A sum, so that the order of rows does not matter; rows that are alike do not cancel each other out."""


@contextmanager
def snapshot(connection: Connection) -> Iterator[Connection]:
    """A transaction that sees one moment and writes nothing."""
    with connection.transaction():
        connection.execute(_FIXED)
        yield connection


def relations(connection: Connection) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Tables and sequences, as schema and name."""
    rows = connection.execute(_RELATIONS.encode()).fetchall()
    tables = [(s, n) for kind, s, n in rows if kind == "r"]
    return tables, [(s, n) for kind, s, n in rows if kind == "S"]


def table_contents(connection: Connection, lock: tuple[str, str] | None) -> Contents:
    """Of every table, that of the tool's lock left out, and how many large objects there are."""
    counts, hashes = {}, {}
    for schema, name in relations(connection)[0]:
        if (schema, name) != lock:
            row = connection.execute(_ROWS.format(f"{ident(schema)}.{ident(name)}").encode()).fetchone()
            assert row is not None
            counts[f"table {schema}.{name}"], hashes[f"table {schema}.{name}"] = int(row[0]), str(row[1])
    if (row := connection.execute(_LARGE).fetchone()) and row[0]:
        counts["large objects"] = int(row[0])
    return Contents(counts, hashes)


def sequence_contents(connection: Connection) -> Contents:
    """Where every sequence stands: no transaction keeps that still."""
    counts, hashes = {}, {}
    for schema, name in relations(connection)[1]:
        row = connection.execute(f"SELECT last_value, is_called FROM {ident(schema)}.{ident(name)}".encode()).fetchone()
        assert row is not None
        counts[f"sequence {schema}.{name}"], hashes[f"sequence {schema}.{name}"] = 1, f"{row[0]} {row[1]}"
    return Contents(counts, hashes)


def joined(tables: Contents, before: Contents, after: Contents) -> Contents:
    """One of all, without the positions of sequences that moved between `before` and `after`."""
    still = {what: at for what, at in after.hashes.items() if before.hashes.get(what) == at}
    return Contents({**tables.counts, **after.counts}, {**tables.hashes, **still})
