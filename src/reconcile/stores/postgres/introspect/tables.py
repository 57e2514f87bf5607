"""Schemas, extensions, tables, columns. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows, spent
from reconcile.stores.postgres.introspect.holders import HOLDERS, PUBLISHED, holders, published
from reconcile.stores.postgres.introspect.indexdef import options
from reconcile.stores.postgres.introspect.partitions import Part, part
from reconcile.stores.postgres.introspect.reasons import left_out
from reconcile.stores.postgres.introspect.sequences import identities

QUERIES = {
    "extensions": queries.EXTENSIONS,
    "relations": queries.RELATIONS,
    "columns": queries.COLUMNS,
    "not_nulls": queries.NOT_NULLS,
    "held_columns": HOLDERS,
    "published_columns": PUBLISHED,
}
_IDENTITY = {"a": "always", "d": "by_default"}
_RELATIONS = {"f": "foreign table"}
_VIEWS = {"v": "view", "m": "materialized_view"}
_ALONE = Part()
_GENERATED = re.compile(r"_not_null\d*$")
_REPLICA_IDENTITY = {"d": "default", "f": "full", "n": "nothing", "i": "nothing"}
_STORAGE = {"p": "plain", "e": "external", "x": "extended", "m": "main"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}
_OPTIONS = frozenset({"n_distinct", "n_distinct_inherited"})
"""Of a column; what else stands there (pg_attribute.attoptions) was set by nobody."""
PUBLIC_COMMENT = "standard public schema"
"""What initdb writes on schema public: as good as none."""


def names(catalog: Catalog, rows: Rows) -> None:
    """Tables, views and sequences by oid, and which tables are left out."""
    owners = {row[0]: row[8] for row in rows["sequences"]}
    for row in rows["relations"]:
        oid, schema, name, kind = row[:4]
        if kind in "rp":
            catalog.relations[oid] = catalog.tables[oid] = catalog.address("table", schema, name)
        elif kind in _VIEWS:
            catalog.relations[oid] = catalog.address(_VIEWS[kind], schema, name)
        elif kind == "S" and owners.get(oid) != "i":
            catalog.relations[oid] = catalog.address("sequence", schema, name)
        elif kind in _RELATIONS:
            what = _RELATIONS[kind]
            word = {"f": "foreign_table"}[kind]
            catalog.leave(catalog.address(word, schema, name), what)
    for oid, reasons in left_out(rows).items():
        if oid in catalog.tables:
            catalog.left_out[oid] = reasons
            catalog.leave(catalog.tables[oid], reasons)


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """All of them."""
    yield from _schemas(catalog, rows["schemas"], rows["extensions"])
    yield from _tables(catalog, rows["relations"])
    yield from _columns(catalog, rows["columns"], _Columns(catalog, rows))


def _schemas(catalog: Catalog, schemas: Iterable[Row], extensions: Iterable[Row]) -> Iterator[Resource]:
    for _, name, comment, _, of_extension in schemas:
        if not of_extension:
            comment = None if name == "public" and comment == PUBLIC_COMMENT else comment
            yield (r.Schema(address=catalog.address("schema", name), comment=comment, system=name == "public"))
    for name, schema, version, comment in extensions:
        yield (
            r.Extension(
                address=Address(catalog.store, "extension", (name,)),
                in_schema=schema,
                version=version,
                comment=comment,
                system=name == "plpgsql",
            )
        )


def _tables(catalog: Catalog, rows: Iterable[Row]) -> Iterator[Resource]:
    for row in rows:
        oid = row[0]
        if oid in catalog.tables and oid not in catalog.left_out:
            place = part(catalog, oid) or _ALONE
            yield (
                r.Table(
                    address=catalog.tables[oid],
                    container=place.container,
                    row_level_security=row[7],
                    comment=catalog.comment(oid),
                    partition_by=place.by,
                    partition_of=place.parent,
                    bound=place.bound,
                    detaching=place.detaching,
                    refers=place.refers,
                    inherited=place.inherited,
                    unlogged=row[4] == "u",
                    with_=tuple(sorted((*options(row[5]), *((f"toast.{k}", v) for k, v in options(row[13]))))),
                    replica_identity=_replica_identity(row[11], row[15]),
                    cluster_on=row[14],
                )
            )


def _replica_identity(letter: str, index: str | None) -> str:
    """An index that was dropped leaves the letter behind: nothing is logged then."""
    return f"index {index}" if index is not None else _REPLICA_IDENTITY[letter]


class _Columns:
    """What other catalogs say of columns, by table and number."""

    def __init__(self, catalog: Catalog, rows: Rows) -> None:
        self.identities: Mapping[tuple[int, int], r.Pairs] = identities(catalog, rows)
        self.held: Mapping[tuple[int, int], tuple[str, ...]] = holders(rows["held_columns"])
        self.published = published(rows["published_columns"])
        self.not_nulls = {(row[0], row[1]): _not_null(catalog, row) for row in rows["not_nulls"]}
        self.any = self.held.keys() | self.published.keys() | self.not_nulls.keys()


def _not_null(catalog: Catalog, row: Row) -> dict[str, Any]:
    """A name that looks generated is none: renames of tables and columns leave those behind."""
    _, _, oid, name, valid, no_inherit = row
    return {
        "not_null_name": None if _GENERATED.search(name) else name,
        "not_null_constraint": name,
        "not_null_valid": valid,
        "not_null_no_inherit": no_inherit,
        "not_null_comment": catalog.comment(oid),
    }


def _columns(catalog: Catalog, rows: list[Row], more: _Columns) -> Iterator[Resource]:
    """Of plain tables; rows that are of others too, views and partitions, stay for those who read them."""
    tables, gone = catalog.tables, catalog.left_out
    kept = []
    for row in spent(rows):
        oid, number, _, type_ = row[:4]
        table = tables.get(oid)
        if table is None or oid in catalog.partitioned:
            kept.append(row)
        if table is None or oid in gone or oid in catalog.roots:
            continue
        yield r.Column(
            address=catalog.column(oid, catalog.columns[oid][number]),
            container=table,
            type=catalog.shared(type_ := catalog.spell(type_), type_),
            position=number,
            **_attributes(catalog, row, more),
        )
    rows += kept


def _attributes(
    catalog: Catalog,
    row: Row,
    more: _Columns,
) -> dict[str, Any]:
    """Of a column, what it has beside its type: most have none of it, and there are many."""
    oid, number, name, _, not_null, identity, generated, expression, collation, base = row[:10]
    storage, compression, statistics, settings = row[10:14]
    found: dict[str, Any] = {}
    refers = [catalog.types[base]] if base in catalog.types else []
    if not_null:
        found["not_null"] = True
    if expression is not None:
        found["generated" if generated else "default"] = (catalog.condition if generated else catalog.text)(expression)
        refers += catalog.refers("d", oid, number, own=oid)
    if identity:
        found["identity"] = _IDENTITY[identity]
        found["identity_options"] = more.identities.get((oid, number), ())
    if collation is not None:
        found["collation"] = catalog.collation(collation)
        if (sorting := catalog.address("collation", *collation)) in catalog.collations.values():
            refers.append(sorting)
    if storage:
        found["storage"] = _STORAGE[storage]
    if compression:
        found["compression"] = _COMPRESSION[compression]
    if statistics is not None:
        found["statistics"] = statistics
    if settings:
        found["options"] = tuple((k, v) for k, v in options(settings) if k in _OPTIONS)
    if (comment := catalog.comment(oid, number)) is not None:
        found["comment"] = comment
    if (place := (oid, number)) in more.any:
        if place in more.held:
            found["held_by"] = more.held[place]
        if place in more.published:
            found["published"] = more.published[place]
        found |= more.not_nulls.get(place, {})
    if generated == "v":
        found["stored"] = False
    if refers:
        own = catalog.column(oid, name)
        found["refers"] = tuple(a for a in dict.fromkeys(refers) if a != own)
    return found
