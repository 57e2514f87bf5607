"""Sequences, and the options of those that identity columns have. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.names import identity_sequence

_SEQUENCES = """
select s.seqrelid, format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
       s.seqcycle, d.deptype::text, d.refobjid, d.refobjsubid, rn.nspname, rc.relname, ra.attname,
       c.relname, c.relpersistence::text, rc.relpersistence::text, format_type(ra.atttypid, null)
from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.seqrelid
     and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
left join pg_class rc on rc.oid = d.refobjid left join pg_namespace rn on rn.oid = rc.relnamespace
left join pg_attribute ra on ra.attrelid = d.refobjid and ra.attnum = d.refobjsubid
where n.nspname = any(%(schemas)s)
"""

QUERIES = {"sequences": _SEQUENCES}


def names(catalog: Catalog, rows: Rows) -> None:
    """`tables` has named all relations."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Those that stand by themselves or are owned by a column of their default."""
    for row in rows["sequences"]:
        oid, type_ = row[:2]
        kind, owner, _, schema, table, column = row[8:14]
        if kind == "i" or oid not in catalog.relations:
            continue
        address = catalog.relations[oid]
        if owner is not None and (owner not in catalog.tables or owner in catalog.left_out):
            catalog.leave(address, "sequence owned by a table that is not modelled")
            continue
        yield r.Sequence(
            address=address,
            type=type_,
            owned_by=None if owner is None else (catalog.schema(schema), table, column),
            unlogged=row[15] == "u",
            comment=catalog.comment(oid),
            **{"increment": 1, **_options(row)},
        )


def identities(catalog: Catalog, rows: Rows) -> dict[tuple[int, int], r.Pairs]:
    """Options by (table, number of the identity column); what cannot be declared is noted as left out."""
    found: dict[tuple[int, int], r.Pairs] = {}
    for row in rows["sequences"]:
        oid, type_ = row[:2]
        kind, owner, number, schema, table, column, name, persistence, of_table, of_column = row[8:18]
        if kind != "i" or not catalog.has_table(owner):
            continue
        options = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in _options(row).items()}
        if name != identity_sequence(table, column):
            options["sequence_name"] = name
        found[owner, number] = tuple(sorted(options.items()))
        address = catalog.address("sequence", schema, name)
        reasons = {
            "comment on the sequence of an identity column": catalog.comment(oid) is not None,
            "sequence of another type than its identity column": type_ != of_column,
            "sequence that is not logged as its table is": persistence != of_table,
        }
        for reason in (text for text, true in reasons.items() if true):
            catalog.leave(address, reason)
    return found


def _options(row: Row) -> dict[str, Any]:
    """Those that are not the default for the type and direction."""
    _, type_, start, increment, low, high, cache, cycle = row[:8]
    lowest, highest = r.sequence_limits(type_, increment)
    defaults = {"min": lowest, "max": highest, "increment": 1, "cache": 1, "cycle": False}
    values = {"min": low, "max": high, "increment": increment, "cache": cache, "cycle": cycle}
    found = {k: v for k, v in values.items() if v != defaults[k]}
    if start != (low if increment > 0 else high):
        found["start"] = start
    return found
