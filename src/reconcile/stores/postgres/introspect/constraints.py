"""Keys, checks, foreign keys. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows, spent
from reconcile.stores.postgres.introspect.indexdef import items, options

QUERIES = {"constraints": queries.CONSTRAINTS}
_ACTIONS = {"a": "no_action", "r": "restrict", "c": "cascade", "n": "set_null", "d": "set_default"}
_MATCH = {"s": "simple", "f": "full", "p": "partial"}


def names(catalog: Catalog, rows: Rows) -> None:
    """Nothing refers to a constraint."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Those of the modelled tables."""
    of_constraint = {row[0]: row for row in rows["indexes"] if row[13] is not None}
    for row in spent(rows["constraints"]):
        _, relation, name, kind = row[:4]
        table = catalog.tables.get(relation)
        if table is None or relation in catalog.left_out or kind == "t":
            continue
        if row[21]:  # its parent's
            _of_parent(catalog, table, row)
            continue
        word = {"p": "primary_key", "u": "unique", "c": "check", "f": "foreign_key", "x": "exclusion"}[kind]
        address = table.child(word, name)
        reason = _constraint_reason(catalog, row, of_constraint.get(row[10]))
        if reason:
            catalog.leave(address, reason)
        elif kind == "c":
            yield _check(catalog, address, table, row)
        elif kind == "f":
            yield _foreign_key(catalog, address, table, row)
        elif kind == "x":
            yield _exclusion(catalog, address, table, row, of_constraint[row[10]])
        else:
            yield _key(catalog, address, table, row, of_constraint[row[10]])


def _of_parent(catalog: Catalog, table: Address, row: Row) -> None:
    if catalog.comment(row[0]) is not None:
        catalog.leave(
            table.child("constraint", row[2]), "comment on a constraint that a partition has from its parent", table
        )


def _constraint_reason(catalog: Catalog, row: Row, index: Row | None) -> str | None:
    kind = row[3]
    if row[17]:
        return "temporal constraint"
    if kind == "f" and (row[9] in catalog.left_out or (row[9] not in catalog.tables and row[18] in catalog.schemas)):
        return "foreign key to a table that is not modelled"
    if kind in "pux" and index is not None and index[14]:
        return "constraint whose index is in a tablespace"
    if kind in "pu" and index is not None:
        columns = tuple(catalog.columns[index[1]].get(n) for n in index[9][: index[8]])
        if not all(i == r.plain(i.column or "") for i in items(index[11], columns, index[15])):
            return "constraint whose index has an operator class, a collation or an order of its own"
        if not index[6]:
            return "constraint whose index is not valid: a partition lacks it"
    return None


def _check(catalog: Catalog, address: Address, table: Address, row: Row) -> r.Check:
    columns = [catalog.column(row[1], catalog.columns[row[1]][n]) for n in row[8] or () if n > 0]
    return r.Check(
        address=address,
        container=table,
        expression=catalog.condition(row[15]) or "",
        no_inherit=row[7],
        not_valid=not row[6] and not row[16],
        enforced=not row[16],
        comment=catalog.comment(row[0]),
        refers=(*columns, *catalog.refers("c", row[0])),
    )


def _foreign_key(catalog: Catalog, address: Address, table: Address, row: Row) -> r.ForeignKey:
    names = catalog.columns[row[1]]
    schema, target, theirs = catalog.schema(row[18]), row[19], catalog.columns[row[9]]
    columns = tuple(row[20] or [theirs[n] for n in row[24]])
    to = r.table_address(catalog.store, schema, target)
    own = tuple(names[n] for n in row[8])
    return r.ForeignKey(
        address=address,
        container=table,
        columns=own,
        references=(schema, target),
        references_columns=columns,
        on_delete=_ACTIONS[row[12]],
        on_delete_columns=tuple(names[n] for n in row[14] or ()),
        on_update=_ACTIONS[row[11]],
        match=_MATCH[row[13]],
        deferrable=_deferrable(row),
        not_valid=not row[6] and not row[16],
        enforced=not row[16],
        index=row[23],
        comment=catalog.comment(row[0]),
        refers=(
            *(catalog.column(row[1], c) for c in own),
            to,
            *(catalog.column(row[9], c) if row[9] in catalog.relations else to.child("column", c) for c in columns),
        ),
    )


def _key(catalog: Catalog, address: Address, table: Address, row: Row, index: Row) -> r.PrimaryKey | r.Unique:
    names = catalog.columns[row[1]]
    columns = tuple(names[n] for n in row[8])
    include = tuple(names[n] for n in index[9][index[8] :])
    common: dict[str, Any] = {
        "address": address,
        "container": table,
        "columns": columns,
        "include": include,
        "with_": options(index[10]),
        "deferrable": _deferrable(row),
        "comment": catalog.comment(row[0]),
        "index_comment": catalog.comment(index[0]),
        "refers": tuple(catalog.column(row[1], c) for c in (*columns, *include)),
    }
    if row[3] == "p":
        return r.PrimaryKey(**common)
    return r.Unique(nulls_not_distinct=index[7], **common)


def _exclusion(catalog: Catalog, address: Address, table: Address, row: Row, index: Row) -> r.Exclusion:
    names, numbers, count = catalog.columns[row[1]], index[9], index[8]
    columns = tuple(names.get(n) for n in numbers[:count])
    include = tuple(names[n] for n in numbers[count:])
    refers = [*(catalog.column(row[1], names[n]) for n in numbers if n)]
    return r.Exclusion(
        address=address,
        container=table,
        method=index[4],
        columns=items(catalog.text(index[11]), columns, index[15]),
        operators=tuple(catalog.operator(name) for name in row[22]),
        include=include,
        where=catalog.condition(index[12]),
        with_=options(index[10]),
        deferrable=_deferrable(row),
        comment=catalog.comment(row[0]),
        index_comment=catalog.comment(index[0]),
        refers=tuple(dict.fromkeys((*refers, *catalog.refers("i", index[0], own=row[1])))),
    )


def _deferrable(row: Row) -> str | None:
    return None if not row[4] else "initially_deferred" if row[5] else "initially_immediate"
