"""Enums, domains, composite and range types. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.introspect.queries import own
from reconcile.stores.postgres.names import generated_multirange

_COLLATION = """
case when {0} <> {1} and {0} <> 0 then
    (select case when l.collnamespace = 'pg_catalog'::regnamespace then array[l.collname::text]
                 else array[l.collnamespace::regnamespace::text, l.collname::text] end
     from pg_collation l where l.oid = {0}) end
"""
"""Where it is not the type's own: the name, after its schema where that is not pg_catalog."""

_ENUMS = f"""
select t.oid, n.nspname, t.typname, array_agg(e.enumlabel::text order by e.enumsortorder), t.typarray
from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_enum e on e.enumtypid = t.oid
where n.nspname = any(%(schemas)s) and t.typtype = 'e' and {own("pg_type", "t.oid")}
group by t.oid, n.nspname, t.typname, t.typarray order by n.nspname, t.typname
"""

_DOMAINS = f"""
select t.oid, n.nspname, t.typname, t.typarray, format_type(t.typbasetype, t.typtypmod),
       {_COLLATION.format("t.typcollation", "b.typcollation")}, t.typnotnull, pg_get_expr(t.typdefaultbin, 0)
from pg_type t join pg_namespace n on n.oid = t.typnamespace join pg_type b on b.oid = t.typbasetype
where n.nspname = any(%(schemas)s) and t.typtype = 'd' and {own("pg_type", "t.oid")}
order by n.nspname, t.typname
"""

_DOMAIN_CONSTRAINTS = """
select k.contypid, k.oid, k.conname, k.contype::text, pg_get_expr(k.conbin, 0), k.convalidated
from pg_constraint k join pg_namespace n on n.oid = k.connamespace
where n.nspname = any(%(schemas)s) and k.contypid <> 0 order by k.contypid, k.conname
"""

_COMPOSITES = f"""
select t.oid, n.nspname, t.typname, t.typarray, c.oid
from pg_type t join pg_namespace n on n.oid = t.typnamespace join pg_class c on c.oid = t.typrelid
where n.nspname = any(%(schemas)s) and c.relkind = 'c' and {own("pg_type", "t.oid")}
order by n.nspname, t.typname
"""

_ATTRIBUTES = f"""
select a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
       {_COLLATION.format("a.attcollation", "b.typcollation")}
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type b on b.oid = a.atttypid
where n.nspname = any(%(schemas)s) and c.relkind = 'c' and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""

_RANGES = f"""
select t.oid, n.nspname, t.typname, t.typarray, format_type(g.rngsubtype, null),
       case when not o.opcdefault then case when pg_opclass_is_visible(o.oid) then '' else
            quote_ident(o.opcnamespace::regnamespace::text) || '.' end || quote_ident(o.opcname) end,
       {_COLLATION.format("g.rngcollation", "b.typcollation")},
       g.rngcanonical <> 0,
       (select case when pg_function_is_visible(p.oid) then '' else quote_ident(s.nspname) || '.' end
               || quote_ident(p.proname)
        from pg_proc p join pg_namespace s on s.oid = p.pronamespace where p.oid = g.rngsubdiff),
       m.oid, m.typarray, m.typname, m.typnamespace = t.typnamespace
from pg_range g join pg_type t on t.oid = g.rngtypid join pg_namespace n on n.oid = t.typnamespace
join pg_type b on b.oid = g.rngsubtype join pg_opclass o on o.oid = g.rngsubopc
left join pg_type m on m.oid = (to_jsonb(g) ->> 'rngmultitypid')::oid
where n.nspname = any(%(schemas)s) and {own("pg_type", "t.oid")}
order by n.nspname, t.typname
"""
"""Multirange types came with 14."""

_COLLATIONS = f"""
select c.oid, n.nspname, c.collname, c.collprovider::text,
       coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale',
                case when c.collcollate = c.collctype then c.collcollate::text end),
       c.collisdeterministic, to_jsonb(c) ->> 'collicurules'
from pg_collation c join pg_namespace n on n.oid = c.collnamespace
where n.nspname = any(%(schemas)s) and {own("pg_collation", "c.oid")}
order by n.nspname, c.collname
"""
"""Where the locale stands depends on the provider and the version: colllocale since 17, colliculocale since 15."""

QUERIES = {
    "enums": _ENUMS,
    "domains": _DOMAINS,
    "domain_constraints": _DOMAIN_CONSTRAINTS,
    "composites": _COMPOSITES,
    "attributes": _ATTRIBUTES,
    "ranges": _RANGES,
    "collations": _COLLATIONS,
}
_GENERATED = re.compile(r"_not_null\d*$")
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def names(catalog: Catalog, rows: Rows) -> None:
    """Types by oid, and their arrays; the multirange of a range is the range."""
    for oid, schema, name, _, array in rows["enums"]:
        catalog.types[oid] = catalog.types[array] = catalog.address("enum", schema, name)
    for oid, schema, name, array, *_ in rows["domains"]:
        catalog.types[oid] = catalog.types[array] = catalog.address("domain", schema, name)
    for oid, schema, name, array, relation in rows["composites"]:
        catalog.types[oid] = catalog.types[array] = catalog.relations[relation] = catalog.address(
            "composite", schema, name
        )
    for row in rows["ranges"]:
        address = catalog.address("range", row[1], row[2])
        for oid in (row[0], row[3], row[9], row[10]):
            if oid:
                catalog.types[oid] = address
    for oid, schema, name, *_ in rows["collations"]:
        catalog.collations[oid] = catalog.address("collation", schema, name)


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """All of them."""
    for oid, _, _, values, _ in rows["enums"]:
        yield r.Enum(
            address=catalog.types[oid],
            values=tuple(v for v in values if v is not None),
            comment=catalog.comment(oid),
        )
    yield from _domains(catalog, rows["domains"], rows["domain_constraints"])
    yield from _composites(catalog, rows["composites"], rows["attributes"])
    for row in rows["ranges"]:
        yield from _range(catalog, row)
    for row in rows["collations"]:
        yield from _collation(catalog, row)


def _domains(catalog: Catalog, rows: Iterable[Row], constraints: Iterable[Row]) -> Iterator[Resource]:
    of: dict[int, list[Row]] = defaultdict(list)
    for row in constraints:
        of[row[0]].append(row)
    for oid, _, _, _, type_, collation, not_null, default in rows:
        address = catalog.types[oid]
        checks, refers = [], [*catalog.refers("y", oid)]
        for _, constraint, name, kind, expression, valid in of[oid]:
            comment = catalog.comment(constraint)
            if kind == "c":
                text = catalog.condition(expression) or ""
                checks.append(r.DomainCheck(name=name, expression=text, not_valid=not valid, comment=comment))
                refers += catalog.refers("c", constraint)
            else:
                there = address.child("not_null", name)
                if comment is not None:
                    catalog.leave(there, "comment on the NOT NULL of a domain", address)
                if not _GENERATED.search(name):
                    catalog.leave(there, "name of the NOT NULL of a domain", address)
        yield r.Domain(
            address=address,
            type=catalog.spell(type_),
            collation=catalog.collation(collation),
            not_null=not_null,
            default=catalog.text(default),
            checks=tuple(sorted(checks, key=lambda c: c.name)),
            comment=catalog.comment(oid),
            refers=tuple(dict.fromkeys(a for a in refers if a != address)),
        )


def _composites(catalog: Catalog, rows: Iterable[Row], attributes: Iterable[Row]) -> Iterator[Resource]:
    of: dict[int, list[r.Attribute]] = defaultdict(list)
    for relation, number, name, type_, collation in attributes:
        of[relation].append(
            r.Attribute(
                name=name,
                type=catalog.spell(type_),
                collation=catalog.collation(collation),
                comment=catalog.comment(relation, number),
            )
        )
    for oid, _, _, _, relation in rows:
        address = catalog.types[oid]
        yield r.Composite(
            address=address,
            fields=tuple(of[relation]),
            comment=catalog.comment(oid),
            refers=tuple(a for a in catalog.refers("i", relation) if a != address),
        )


def _range(catalog: Catalog, row: Row) -> Iterator[Resource]:
    oid, _, name, _, subtype, opclass, collation, canonical, difference, multirange, _, called, together = row
    address = catalog.types[oid]
    if canonical:
        catalog.leave(address, "range type with a canonical function")
    elif multirange and not together:
        catalog.leave(address, "range type whose multirange type is in another schema")
    else:
        if multirange and catalog.comment(multirange) is not None:
            catalog.leave(address.child("multirange", called), "comment on a multirange type", address)
        yield r.Range(
            address=address,
            subtype=catalog.spell(subtype),
            opclass=catalog.text(opclass),
            collation=catalog.collation(collation),
            subtype_diff=catalog.text(difference),
            multirange=called if called != generated_multirange(name) else None,
            comment=catalog.comment(oid),
            refers=tuple(a for a in catalog.refers("y", oid) if a != address),
        )


def _collation(catalog: Catalog, row: Row) -> Iterator[Resource]:
    oid, _, _, provider, locale, deterministic, rules = row
    address = catalog.collations[oid]
    if locale is None:
        catalog.leave(address, "collation whose LC_COLLATE and LC_CTYPE differ")
    else:
        yield r.Collation(
            address=address,
            provider=_PROVIDERS[provider],
            locale=locale,
            deterministic=deterministic,
            rules=rules,
            comment=catalog.comment(oid),
        )
