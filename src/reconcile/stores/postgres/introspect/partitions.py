"""Partitioned tables and partitions: what is whose, and what of a tree cannot be described. Pure.

A partition's columns, and the constraints, indexes and foreign keys that come from its parent, are the parent's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.introspect.indexdef import keys
from reconcile.stores.postgres.names import generated

PARTITIONS = """
select c.oid, n.nspname, c.relname, c.relkind::text, i.inhparent, pn.nspname, pc.relname,
       pg_get_expr(c.relpartbound, c.oid), @detaching@, p.partattrs::int2[], pg_get_partkeydef(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on i.inhrelid = c.oid and c.relispartition
left join pg_class pc on pc.oid = i.inhparent left join pg_namespace pn on pn.oid = pc.relnamespace
left join pg_partitioned_table p on p.partrelid = c.oid
where (c.relispartition or c.relkind = 'p') and c.relkind in ('r', 'p', 'f')
  and (n.nspname = any(%(schemas)s) or pn.nspname = any(%(schemas)s))
order by n.nspname, c.relname
"""
"""Partitioned tables and partitions of the scope, and those outside it that have one end in it."""

INHERITED = """
select i.inhrelid, x.indrelid, pn.nspname, c.relname, pc.relname,
       coalesce(p.reloptions, '{}') <> coalesce(c.reloptions, '{}'), i.inhparent, x.indisvalid, p.relname,
       x.indoption::int2[] <> px.indoption::int2[], k.contype::text,
       (select string_agg(a.attname::text, '_' order by a.attnum) from pg_attribute a where a.attrelid = p.oid)
from pg_inherits i join pg_class c on c.oid = i.inhrelid and c.relkind in ('i', 'I')
join pg_class p on p.oid = i.inhparent
join pg_index x on x.indexrelid = i.inhrelid join pg_class pc on pc.oid = x.indrelid
join pg_namespace pn on pn.oid = pc.relnamespace join pg_index px on px.indexrelid = i.inhparent
left join pg_constraint k on k.conindid = i.inhrelid and k.contype in ('p', 'u', 'x')
where pn.nspname = any(%(schemas)s)
order by pn.nspname, pc.relname, p.relname
"""
"""Indexes that belong to one of the parent of their table; and whether their options or their order are others.

The server takes one for the other whatever the order: https://www.postgresql.org/docs/current/sql-createindex.html"""

QUERIES = {"partitions": PARTITIONS, "inherited_indexes": INHERITED}


@dataclass(frozen=True)
class Part:
    """What makes a table a partition, or partitioned."""

    parent: tuple[str, str] | None = None
    container: Address | None = None
    bound: str | None = None
    detaching: bool = False
    by: r.PartitionBy | None = None
    refers: tuple[Address, ...] = ()
    inherited: tuple[tuple[str, str], ...] = ()


def names(catalog: Catalog, rows: Rows) -> None:
    """Which table a partition's columns are called by, and which trees are left out as a whole."""
    found = {row[0]: row for row in rows["partitions"]}
    roots = {oid: _root(found, oid) for oid in found}
    for oid, root in roots.items():
        if root in catalog.tables and root != oid:
            catalog.roots[oid] = catalog.tables[root]
    _leave_trees(catalog, found, roots)


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """`tables` makes them; here it is said what of a partition differs from its parent."""
    found = {row[0]: row for row in rows["partitions"] if row[4] is not None}
    columns: dict[int, dict[str, Row]] = defaultdict(dict)
    for row in rows["columns"]:
        if row[0] in found or row[0] in catalog.partitioned:
            columns[row[0]][row[2]] = row
    own = (row for row in rows["constraints"] if row[3] == "p" and not row[21])
    keyed: dict[int, frozenset[int]] = defaultdict(frozenset, {row[1]: frozenset(row[8]) for row in own})
    for oid, row in found.items():
        if catalog.has_table(oid):
            _other_columns(catalog, oid, columns[oid], columns[row[4]], keyed[oid])
    yield from _inherited(catalog, rows)


def part(catalog: Catalog, oid: int) -> Part | None:
    """What `oid` is in a tree of partitions, if it is in one."""
    row = catalog.partitioned.get(oid)
    if row is None:
        return None
    _, _, _, _, _, schema, name, bound, detaching, numbers, definition = row
    parent = None if name is None else (catalog.schema(schema), name)
    container = None if parent is None else r.table_address(catalog.store, *parent)
    by = None if numbers is None else _key(catalog, oid, numbers, catalog.spell(definition))
    refers = [] if container is None else [container]
    if by is not None:
        refers += [a for a in catalog.refers("i", oid, own=oid) if a.kind not in ("table", "column")]
    indexes = catalog.inherited_names.get(oid, ())
    return Part(parent, container, catalog.text(bound), bool(detaching), by, tuple(refers), tuple(indexes))


def _key(catalog: Catalog, oid: int, numbers: Sequence[int], definition: str) -> r.PartitionBy:
    """`RANGE (at, lower(kind))`: as a list of index keys."""
    strategy, _, items = definition.partition(" ")
    columns = tuple(catalog.columns[oid].get(n) for n in numbers)
    return r.PartitionBy(strategy.lower(), keys(f"CREATE INDEX ON t USING {strategy} {items}", columns))


def _root(found: Mapping[int, Row], oid: int) -> int:
    while oid in found and found[oid][4] is not None:
        oid = found[oid][4]
    return oid


def _leave_trees(catalog: Catalog, found: Mapping[int, Row], roots: Mapping[int, int]) -> None:
    """One member that cannot be described leaves out its whole tree: indexes are built on all of it."""
    reasons: dict[int, str] = {}
    for oid, row in found.items():
        _, schema, name, kind, _, parent_schema, parent = row[:7]
        shown = f"{catalog.schema(schema)}.{name}"
        if schema not in catalog.schemas:
            reasons[roots[oid]] = f"its partition {shown} is outside the scope: add {schema} to `schemas:`"
        elif kind == "f":
            reasons[roots[oid]] = f"its partition {shown} is a foreign table"
        elif oid in catalog.left_out:
            reasons[roots[oid]] = f"its partition {shown} has: {catalog.left_out[oid]}"
        elif roots[oid] not in catalog.tables:
            reasons[roots[oid]] = f"partition of {parent_schema}.{parent}, which is outside the scope"
    for oid, root in roots.items():
        if root in reasons and oid in catalog.tables and oid not in catalog.left_out:
            inside = root in catalog.tables and oid != root
            top = f"{'.'.join(catalog.tables[root].parts)}" if inside else ""
            reason = f"partition of {top}, which is not modelled" if inside else reasons[root]
            catalog.left_out[oid] = reason
            catalog.leave(catalog.tables[oid], reason)


_NOT_NULL_AT, _IDENTITY_AT = 4, 5


def _other_columns(
    catalog: Catalog, oid: int, own: Mapping[str, Row], parent: Mapping[str, Row], key: frozenset[int]
) -> None:
    """A partition's column may have a default, NOT NULL or storage of its own: changing the parent's may not reach it.

    Those of a primary key of its own are NOT NULL by that. Before 17 a partition has no identity of its own.
    """
    for name, row in own.items():
        there = parent.get(name)
        if there is None:
            continue
        mine, theirs = list(row[3:]), list(there[3:])
        if not row[_IDENTITY_AT]:
            mine[_IDENTITY_AT - 3] = theirs[_IDENTITY_AT - 3]
        if row[1] in key:
            mine[_NOT_NULL_AT - 3] = theirs[_NOT_NULL_AT - 3]
        address = catalog.tables[oid].child("column", name)
        if mine != theirs:
            catalog.leave(
                address, "column of a partition with settings that differ from its parent's", catalog.tables[oid]
            )
        elif catalog.comment(oid, row[1]) is not None:
            catalog.leave(address, "comment on a column of a partition", catalog.tables[oid])


def _inherited(catalog: Catalog, rows: Rows) -> Iterator[r.InheritedIndex]:
    """What indexes of partitions are called; comments, options and an order that its parent's has not are left out."""
    above = {row[0]: row[6] for row in rows["inherited_indexes"]}
    names = {row[6]: row[8] for row in rows["inherited_indexes"]}
    for oid, relation, schema, name, table, options, parent, _, _, order, kind, middle in rows["inherited_indexes"]:
        if not catalog.has_table(relation):
            continue
        top, on = parent, catalog.partitioned[relation][4]
        while top in above:
            top, on = above[top], catalog.partitioned[on][4]
        address, of = catalog.address("index", schema, name), catalog.tables[relation]
        usual, chosen = _usual(name, table, None if kind == "p" else middle, _ENDS[kind])
        yield r.InheritedIndex(
            address=of.child("inherited_index", names[top]),
            container=of,
            called=name,
            usual=usual,
            chosen=chosen,
            rule=_rule(catalog, on, names[top], kind),
        )
        if options:
            catalog.leave(address, f"options of an index of the partition {table} that its parent's has not", of)
        elif order:
            catalog.leave(address, f"order of an index of the partition {table} that its parent's has not", of)
        elif catalog.comment(oid) is not None:
            catalog.leave(address, f"comment on an index of the partition {table}", of)


def without_doubles(catalog: Catalog, state: State) -> State:
    """`state` without the indexes of partitions beside an equal one from the table above, which are noted.

    Made before or with that one, each would become a part of it: https://www.postgresql.org/docs/current/sql-createindex.html
    """
    doubles = []
    for x in state.of_kind("index"):
        table = state.get(x.container) if x.container is not None else None
        while isinstance(table, r.Table) and table.parent is not None:
            above = (i for i in state.children(table.parent) if isinstance(i, r.Index) and i.valid)
            if any(r.compared(x) == r.compared(i) for i in above):
                doubles.append(x.address)
                catalog.leave(x.address, "index of a partition beside an equal one from its parent", x.container)
                break
            table = state.get(table.parent)
    return state.without(*doubles) if doubles else state


_KINDS = {"p": "primary_key", "u": "unique", "x": "exclusion"}


def _rule(catalog: Catalog, table: int, name: str, kind: str | None) -> Address | None:
    """The index or constraint of a table, by its name."""
    found = catalog.tables.get(table)
    if found is None:
        return None
    return found.child(_KINDS[kind], name) if kind else Address(found.store, "index", (found.parts[0], name))


_ENDS = {"p": "pkey", "u": "key", "x": "excl", None: "idx"}


def _usual(name: str, table: str, middle: str | None, end: str) -> tuple[str, bool]:
    """What the server would call an index first, and whether it is called so, perhaps with a number."""
    number = name[len(name.rstrip("0123456789")) :]
    numbers = {number[n:] for n in range(len(number) + 1)}
    usual = generated(table, middle, end)
    return usual, name == usual or any(name == generated(table, middle, f"{end}{n}") for n in numbers)


def attached_to(catalog: Catalog, rows: Rows) -> Callable[[int], tuple[tuple[str, str, str, bool], ...]]:
    """By an index of a partitioned table: what is attached to it, at any depth."""
    below: dict[int, list[Row]] = defaultdict(list)
    for row in rows["inherited_indexes"]:
        below[row[6]].append(row)

    def attached(oid: int) -> tuple[tuple[str, str, str, bool], ...]:
        found: list[tuple[str, str, str, bool]] = []
        for child, _, schema, name, table, _, _, valid, *_ in below.get(oid, ()):
            found += [(catalog.schema(schema), table, name, valid), *attached(child)]
        return tuple(found)

    return attached
