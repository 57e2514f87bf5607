"""How many rows and bytes a table has, without reading it: what a step costs is told from that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.model import Address
from reconcile.stores.postgres.sqltext import ident, literal, relation

PAGES = 16
"""Pages counted of a table that was never analyzed."""
LOOKED_THROUGH = 64 * 1024 * 1024
"""Bytes of a table up to which all rows are looked at for a value of a column."""
LEAVES = 32
"""Up to how many such partitions of one table are looked at; the others are taken to be like these."""
_BY_PLACE = (14,)
"""Rows of some pages alone can be read by their ctid (TID range scan) since PostgreSQL 14."""

_ASKED = """
SELECT w.s, w.r,
  CASE c.relkind WHEN 'i' THEN pg_relation_size(c.oid)
    WHEN 'I' THEN (SELECT sum(pg_relation_size(p.relid))::bigint FROM pg_partition_tree(c.oid) p)
    WHEN 'p' THEN (SELECT sum(pg_total_relation_size(p.relid))::bigint FROM pg_partition_tree(c.oid) p)
    ELSE pg_total_relation_size(c.oid) END,
  f.nspname, f.relname, f.rows, f.pages
FROM unnest(%s::text[], %s::text[]) w(s, r) JOIN pg_namespace n ON n.nspname = w.s
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.r LEFT JOIN pg_index i ON i.indexrelid = c.oid
JOIN LATERAL (
  SELECT o.nspname, t.relname, t.reltuples::bigint AS rows,
         CASE WHEN t.reltuples < 0 THEN pg_relation_size(t.oid) / current_setting('block_size')::int END AS pages
  FROM pg_class t JOIN pg_namespace o ON o.oid = t.relnamespace
  WHERE t.relkind <> 'p' AND t.oid IN (SELECT coalesce(i.indrelid, c.oid) UNION
    SELECT relid FROM pg_partition_tree(coalesce(i.indrelid, c.oid)) WHERE isleaf)
) f ON c.relkind NOT IN ('v', 'S', 'c')
ORDER BY 1, 2, 4, 5
"""
"""A row for each table in which the rows are: the table itself, or its partitions."""


class _Leaf(NamedTuple):
    schema: str
    name: str
    rows: int
    """-1 before the first ANALYZE: https://www.postgresql.org/docs/current/catalog-pg-class.html"""
    pages: int | None


def asks_empty(address: Address) -> str:
    """The query whether a table has no rows, or a column of one that is not large no value."""
    table = relation(address)
    if address.kind == "table":
        return f"SELECT NOT EXISTS (SELECT FROM {table})"
    name = literal(table)
    size = f"(SELECT pg_table_size({name}) + coalesce(sum(pg_table_size(relid)), 0) FROM pg_partition_tree({name}))"
    value = f"SELECT FROM {table} WHERE {ident(address.parts[-1])} IS NOT NULL"
    return f"SELECT CASE WHEN {size} < {LOOKED_THROUGH} THEN NOT EXISTS ({value}) ELSE false END"


def measure(
    connection: psycopg.Connection[TupleRow], version: tuple[int, ...], addresses: Iterable[Address]
) -> Mapping[Address, Mapping[str, int]]:
    """Rows and bytes by address, of tables and indexes that are there; rows of an index are those of its table.

    Rows are the planner's estimate. Before the first ANALYZE there is none: then the rows of the first pages are
    counted, and the others taken to be as full. No rows where that is not possible (before 14, or without SELECT).

    Raises:
        psycopg.Error: the server does not answer.
    """
    wanted = {a.parts[:2]: a for a in addresses if a.kind in ("table", "index")}
    if not wanted:
        return {}
    found = connection.execute(_ASKED.encode(), ([k[0] for k in wanted], [k[1] for k in wanted])).fetchall()
    bytes_: dict[tuple[str, str], int] = {}
    leaves: dict[tuple[str, str], list[_Leaf]] = {}
    for schema, name, size, *leaf in found:
        bytes_[schema, name] = int(size or 0)
        leaves.setdefault((schema, name), []).append(_Leaf(*leaf))
    result: dict[Address, Mapping[str, int]] = {}
    for place, size in bytes_.items():
        rows = _rows(connection, version, leaves[place])
        result[wanted[place]] = {"bytes": size} if rows is None else {"rows": rows, "bytes": size}
    return result


def _rows(connection: psycopg.Connection[TupleRow], version: tuple[int, ...], leaves: Sequence[_Leaf]) -> int | None:
    known = sum(leaf.rows for leaf in leaves if leaf.rows >= 0)
    unknown = [leaf for leaf in leaves if leaf.rows < 0 and leaf.pages]
    looked = unknown[:LEAVES]
    if looked and version < _BY_PLACE:
        return None
    counted = [_counted(connection, leaf) for leaf in looked]
    if None in counted:
        return None
    rows, pages = sum(c or 0 for c in counted), sum(leaf.pages or 0 for leaf in looked)
    rest = sum(leaf.pages or 0 for leaf in unknown[LEAVES:])
    return known + rows + (rows * rest // pages if rest else 0)


def _counted(connection: psycopg.Connection[TupleRow], leaf: _Leaf) -> int | None:
    """Rows of a table, from those in its first pages."""
    pages = leaf.pages or 0
    sql = f"SELECT count(*) FROM ONLY {ident(leaf.schema)}.{ident(leaf.name)} WHERE ctid < '({PAGES},0)'::tid"
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '2s'")
            row = connection.execute(sql.encode()).fetchone()
    except (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.QueryCanceled, errors.UndefinedTable):
        return None
    return int(row[0]) * max(pages, PAGES) // PAGES if row and pages > PAGES else int(row[0]) if row else None
