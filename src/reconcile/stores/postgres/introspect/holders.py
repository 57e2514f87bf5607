"""What uses columns and is not modelled, or is outside the scope: it keeps the server from changing them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconcile.stores.postgres.introspect.catalog import Row
from reconcile.stores.postgres.resources import Published

HOLDERS = """
with others as (
  select 'pg_rewrite'::regclass::oid as class, r.oid from pg_rewrite r
  join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
  where r.oid >= 16384 and (r.rulename <> '_RETURN' or n.nspname <> all(%(schemas)s))
  union all
  select 'pg_policy'::regclass, p.oid from pg_policy p
  join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
  where n.nspname <> all(%(schemas)s)
  union all
  select 'pg_proc'::regclass, p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where p.oid >= 16384 and n.nspname <> all(%(schemas)s)
)
select d.refobjid, d.refobjsubid, array_agg(distinct pg_describe_object(d.classid, d.objid, 0))
from others o join pg_depend d on d.classid = o.class and d.objid = o.oid
join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid
join pg_namespace n on n.oid = c.relnamespace
where d.refobjsubid > 0 and d.deptype = 'n' and n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p')
group by d.refobjid, d.refobjsubid
"""
"""Rules; views, policies and functions of other schemas."""

PUBLISHED = """
select distinct d.refobjid, d.refobjsubid, p.pubname, @row_filter@,
       (select array_agg(a.attname order by a.attnum) from pg_attribute a
        where a.attrelid = r.prrelid and a.attnum = any(@column_list@))
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
join pg_depend d on d.classid = 'pg_publication_rel'::regclass and d.objid = r.oid
where d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and n.nspname = any(%(schemas)s)
  and c.relkind in ('r', 'p')
order by 1, 2, 3
"""
"""Column lists and row filters of publications, by the columns they use; they came with PostgreSQL 15."""


def published(rows: Iterable[Row]) -> Mapping[tuple[int, int], tuple[Published, ...]]:
    """By table and number of the column."""
    found: dict[tuple[int, int], tuple[Published, ...]] = {}
    for oid, number, publication, where, columns in rows:
        there = Published(publication, tuple(columns or ()), where)
        found[oid, number] = (*found.get((oid, number), ()), there)
    return found


def holders(rows: Iterable[Row]) -> Mapping[tuple[int, int], tuple[str, ...]]:
    """In the server's words, by table and number of the column."""
    return {(oid, number): tuple(sorted(found)) for oid, number, found in rows}
