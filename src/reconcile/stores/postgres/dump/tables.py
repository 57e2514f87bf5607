"""A table with all that is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump import attached
from reconcile.stores.postgres.dump.access import identity_grants, with_access
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.partitions import bound, index_names, partition_by, short_bound
from reconcile.stores.postgres.dump.values import numbers, options, short, shown_name, sql, without_empty
from reconcile.stores.postgres.names import generated, join
from reconcile.stores.postgres.parse.statistics import ALL
from reconcile.stores.postgres.sqltables import identity_index


def table(context: Context, x: r.Table) -> dict[str, Any] | None:
    """Everything but what is the default; None for a partition, which stands in its table."""
    return None if x.partition_of is not None else _table(context, x)


def _table(context: Context, x: r.Table) -> dict[str, Any]:
    parts = context.parts[x.address]
    key = next((p for p in parts if isinstance(p, r.PrimaryKey)), None)
    implied = frozenset(key.columns if key else ())

    def section(kind: type[Resource], write: Callable[[Any], Any]) -> dict[str, Any]:
        return {p.address.parts[-1]: write(p) for p in parts if isinstance(p, kind)}

    return without_empty(
        {
            "comment": x.comment,
            "unlogged": x.unlogged or None,
            "with": options(x.with_),
            "replica_identity": _replica_identity(x),
            "cluster_on": x.cluster_on,
            "columns": section(r.Column, lambda c: _column(context, c, c.address.parts[-1] in implied)),
            "primary_key": None if key is None else _primary_key(key, x.address.parts[1]),
            "unique": section(r.Unique, _unique),
            "checks": section(r.Check, _check),
            "statistics": _statistics(parts),
            "exclusions": section(r.Exclusion, _exclusion),
            "foreign_keys": section(r.ForeignKey, lambda k: _foreign_key(context, k)),
            "indexes": section(r.Index, index),
            "row_level_security": x.row_level_security if x.row_level_security != "disabled" else None,
            "policies": section(r.Policy, attached.policy),
            "triggers": section(r.Trigger, lambda t: attached.trigger(context, t)),
            "index_names": index_names(context, x),
            "partition_by": partition_by(x.partition_by, _item),
            "partitions": {
                shown_name(context.first, *p.address.parts): short_bound(
                    {**bound(p), **with_access(context, p, _table(context, p))}
                )
                for p in parts
                if isinstance(p, r.Table)
            },
        },
        keep=("columns",) if x.partition_of is None else (),
    )


def _replica_identity(x: r.Table) -> Any:
    index = identity_index(x)
    if index is not None:
        return {"index": index}
    return x.replica_identity if x.replica_identity != "default" else None


def _primary_key(x: r.PrimaryKey, table: str) -> Any:
    name = x.address.parts[-1]
    return short({"name": name if name != generated(table, None, "pkey") else None, **_key(x)}, "columns")


def _foreign_key(context: Context, x: r.ForeignKey) -> dict[str, Any]:
    schema, table = x.references
    target: Any = shown_name(context.first, schema, table)
    if context.primary.get(x.references) != x.references_columns:
        target = {"table": target, "columns": list(x.references_columns)}
    on_delete: Any = {x.on_delete: list(x.on_delete_columns)} if x.on_delete_columns else x.on_delete
    return without_empty(
        {
            "columns": list(x.columns),
            "references": target,
            "on_delete": on_delete if on_delete != "no_action" else None,
            "on_update": x.on_update if x.on_update != "no_action" else None,
            "match": x.match if x.match != "simple" else None,
            "deferrable": x.deferrable,
            "not_valid": x.not_valid or None,
            "enforced": None if x.enforced else False,
            "comment": x.comment,
        }
    )


def _column(context: Context, x: r.Column, in_key: bool) -> Any:
    return short(
        {
            "type": x.type,
            "not_null": _not_null(x, in_key),
            "default": sql(x.default),
            "identity": _identity(context, x),
            "generated": sql(x.generated),
            "stored": None if x.stored else False,
            "collation": x.collation,
            "storage": x.storage,
            "compression": x.compression,
            "statistics": x.statistics,
            "options": numbers(x.options),
            "comment": x.comment,
        },
        "type",
    )


def _identity(context: Context, x: r.Column) -> Any:
    """The kind, or the long form with options."""
    if x.identity is None:
        return None
    options: dict[str, Any] = {k: v if k == "sequence_name" else sql(v) for k, v in x.identity_options}
    grants = identity_grants(context, x)
    options |= {} if grants is None else {"grants": grants}
    return {"generated": x.identity, **options} if options else x.identity


def _not_null(x: r.Column, in_key: bool) -> Any:
    said = without_empty(
        {
            "name": x.not_null_name,
            "valid": None if x.not_null_valid else False,
            "no_inherit": x.not_null_no_inherit or None,
            "comment": x.not_null_comment,
        }
    )
    return said or (True if x.not_null and not in_key and not x.identity else None)


def _key(x: r.Key) -> dict[str, Any]:
    return {
        "columns": list(x.columns),
        "include": list(x.include),
        "with": options(x.with_),
        "deferrable": x.deferrable,
        "comment": x.comment,
        "index_comment": x.index_comment,
    }


def _unique(x: r.Unique) -> Any:
    return short({**_key(x), "nulls_not_distinct": x.nulls_not_distinct or None}, "columns")


def _check(x: r.Check) -> Any:
    return short(
        {
            "expression": sql(x.expression),
            "not_valid": x.not_valid or None,
            "no_inherit": x.no_inherit or None,
            "enforced": None if x.enforced else False,
            "comment": x.comment,
        },
        "expression",
    )


def _statistics(parts: Iterable[Resource]) -> dict[str, Any]:
    found = {}
    for x in parts:
        if isinstance(x, r.Statistics):
            own = x.table.parts[0] == x.schema
            kinds = list(x.kinds) if x.kinds and x.kinds != ALL else []
            found[x.address.parts[1] if own else join(*x.address.parts)] = without_empty(
                {
                    "kinds": kinds,
                    "columns": [_item(i) for i in x.columns],
                    "target": x.target,
                    "comment": x.comment,
                }
            )
    return found


def _exclusion(x: r.Exclusion) -> dict[str, Any]:
    keys = [_item(i) for i in x.columns]
    return without_empty(
        {
            "method": x.method if x.method != "gist" else None,
            "columns": [
                {**(key if isinstance(key, dict) else {"column": key}), "with": sign}
                for key, sign in zip(keys, x.operators, strict=True)
            ],
            "include": list(x.include),
            "where": sql(x.where),
            "with": options(x.with_),
            "deferrable": x.deferrable,
            "comment": x.comment,
            "index_comment": x.index_comment,
        }
    )


def index(x: r.Index) -> dict[str, Any]:
    """Everything but what is the default."""
    return without_empty(
        {
            "method": x.method if x.method != "btree" else None,
            "unique": x.unique or None,
            "columns": [_item(i) for i in x.columns],
            "include": list(x.include),
            "where": sql(x.where),
            "with": options(x.with_),
            "nulls_not_distinct": x.nulls_not_distinct or None,
            "comment": x.comment,
        }
    )


def _item(x: r.IndexItem) -> Any:
    return short(
        {
            "column": x.column,
            "expression": sql(x.expression),
            "opclass": x.opclass,
            "parameters": options(x.parameters),
            "order": x.order if x.order != "asc" else None,
            "nulls": x.nulls,
            "collation": x.collation,
            "statistics": x.statistics,
        },
        "column",
    )
