"""Indexes of a table."""

from __future__ import annotations

from typing import Any

from reconcile.model import Address, Source
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of, option_text
from reconcile.stores.postgres.parse.vectors import check_item, index_item, vector_of
from reconcile.stores.postgres.resources import Column, Index, IndexItem, plain
from reconcile.stores.postgres.sqltokens import unwrap
from reconcile.yamlio import Map


def indexes(table: Map, address: Address, columns: dict[str, Column], scope: Scope) -> list[Index]:
    """`indexes:` of a table; an index is in the schema of its table."""
    section = as_map(table.get("indexes"))
    found = []
    for name, value, source in section.entries():
        scope.short(name, source)
        found.append(_index(name, value, source, address, columns, scope, "partition_by" in table))
    return found


def _index(
    name: str,
    value: Map,
    source: Source,
    table: Address,
    columns: dict[str, Column],
    scope: Scope,
    partitioned: bool,
) -> Index:
    method = value.get("method", "btree")
    items = [index_key(i, source, scope) for i in value["columns"]]
    if "embedding" in value:
        if len(items) != 1:
            scope.problem(value.at("embedding"), f"index {name!r} names an embedding and {len(items)} keys", "keep one")
        else:
            items = [index_item(items[0], value, method, columns, scope)]
    for item in items:
        check_item(item, source, method, columns, scope)
    where = value.get("where")
    return Index(
        address=scope.address("index", table.parts[0], name),
        source=source,
        container=table,
        method=method,
        unique=value.get("unique", False),
        columns=tuple(items),
        include=tuple(value.get("include") or ()),
        where=None if where is None else unwrap(scope.sql(where, value.value_at("where"), "where")),
        with_=options(value.get("with")),
        nulls_not_distinct=value.get("nulls_not_distinct", False),
        comment=comment_of(value),
        comes_after=scope.after(value),
        embedding=value.get("embedding"),
        vector=vector_of(items[0], columns) if method in ("hnsw", "ivfflat") else None,
        build=options(value.get("build")),
        rebuild=value.get("rebuild", "in_place"),
        partitioned=partitioned,
    )


def options(values: Any) -> tuple[tuple[str, str], ...]:
    """Storage parameters as (name, text), by name."""
    return tuple(sorted((key, option_text(value)) for key, value in values.items())) if values else ()


def index_key(value: Any, source: Source, scope: Scope) -> IndexItem:
    """A key of an index or of a partitioned table: a column's name, or the long form."""
    if not isinstance(value, Map):
        return plain(str(value))
    if ("column" in value) == ("expression" in value):
        scope.problem(value.at() if value else source, "an index key is a column or an expression", "name one of them")
        return IndexItem(column=value.get("column"), expression=value.get("expression"))
    order = value.get("order", "asc")
    nulls = value.get("nulls")
    collation = value.get("collation")
    return IndexItem(
        column=value.get("column"),
        expression=unwrap(scope.sql(value["expression"], value.value_at("expression"), "expression"))
        if "expression" in value
        else None,
        opclass=value.get("opclass"),
        parameters=options(value.get("parameters")),
        order=order,
        nulls=None if nulls == ("first" if order == "desc" else "last") else nulls,
        collation=None if collation is None else collation.removeprefix("pg_catalog."),
        statistics=_statistics(value, source, scope),
    )


def _statistics(value: Map, source: Source, scope: Scope) -> int | None:
    target: int | None = value.get("statistics")
    if target is not None and "expression" not in value:
        scope.problem(source, "a key that is a column has no statistics target of its own", "set it on the column")
    return target
