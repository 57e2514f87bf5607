"""What PostgreSQL asks of tables with settings: indexes they name, foreign keys of unlogged ones, virtual columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.sqltables import identity_index
from reconcile.suggest import meant


def check(found: Sequence[Resource], scope: Scope) -> None:
    """Report what the server would refuse."""
    tables = {x.address: x for x in found if isinstance(x, r.Table)}
    if any(x.cluster_on or identity_index(x) for x in tables.values()):
        _marks(found, tables.values(), scope)
    if any(x.unlogged for x in tables.values()):
        _persistence(found, tables, scope)
    for x in tables.values():
        if x.partition_by is not None and (x.with_ or x.unlogged):
            what = "storage parameters" if x.with_ else "unlogged"
            scope.problem(x.source, f"table {x.name!r} is partitioned and holds no rows: it cannot have {what}", _PARTS)
    virtual = {x.address for x in found if isinstance(x, r.Column) and not x.stored}
    if virtual:
        _virtual(found, virtual, scope)


_PARTS = "set it on its partitions"


def _marks(found: Iterable[Resource], tables: Iterable[r.Table], scope: Scope) -> None:
    indexes: dict[Address, dict[str, Resource]] = defaultdict(dict)
    columns: dict[Address, r.Column] = {}
    for x in found:
        if isinstance(x, r.Index | r.Key | r.Exclusion) and x.container is not None:
            indexes[x.container][x.address.parts[-1]] = x
        elif isinstance(x, r.Column):
            columns[x.address] = x
    for table in tables:
        there = indexes[table.address]
        for key, name in (("cluster_on", table.cluster_on), ("replica_identity", identity_index(table))):
            if name is None:
                continue
            index = there.get(name)
            if index is None and table.parent is not None:
                continue  # it may have the index from its parent
            if index is None:
                what = f"{key} of table {table.name!r} names index {name!r}, which the table does not declare"
                scope.problem(table.source, what, meant(name, there))
            elif key == "cluster_on" and isinstance(index, r.Index) and index.where is not None:
                scope.problem(table.source, f"table {table.name!r} cannot be clustered on {name!r}, a partial index")
            elif key == "replica_identity" and (reason := _no_identity(table, index, columns)):
                what = f"index {name!r} cannot be the replica identity of table {table.name!r}: {reason}"
                scope.problem(table.source, what, "it has to be unique, not partial nor deferrable, and NOT NULL")


def _no_identity(table: r.Table, index: Resource, columns: dict[Address, r.Column]) -> str | None:
    """Why not. https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-REPLICA-IDENTITY"""
    if isinstance(index, r.Index):
        names = [i.column for i in index.columns]
        if not index.unique or index.where is not None or None in names:
            return "it is not unique, partial, or on an expression"
    elif isinstance(index, r.Key):
        names = list(index.columns)
        if index.deferrable:
            return "it is deferrable"
    else:
        return "it is an exclusion constraint"
    nullable = [n for n in names if (c := columns.get(table.address.child("column", str(n)))) and not c.not_null]
    return f"column {nullable[0]!r} may be NULL" if nullable else None


def _persistence(found: Iterable[Resource], tables: dict[Address, r.Table], scope: Scope) -> None:
    for x in found:
        if not isinstance(x, r.ForeignKey) or x.container is None:
            continue
        own, target = tables.get(x.container), tables.get(r.table_address(scope.store, *x.references))
        if own is not None and target is not None and target.unlogged and not own.unlogged:
            scope.problem(
                x.source,
                f"foreign key {x.name!r} of table {own.name!r} refers to {target.name!r}, which is unlogged: "
                "after a crash that is empty",
                f"make {own.name!r} unlogged too, or {target.name!r} logged",
            )


def _virtual(found: Iterable[Resource], virtual: set[Address], scope: Scope) -> None:
    for x in found:
        if not isinstance(x, r.Key | r.Exclusion | r.Index | r.ForeignKey | r.Statistics) or x.container is None:
            continue
        used = [a for a in x.refers if a in virtual and a.parts[:2] == x.container.parts]
        if used:
            noun = x.address.kind.replace("_", " ")
            what = f"{noun} {x.address.parts[-1]!r} uses column {used[0].parts[-1]!r}, which is virtual"
            scope.problem(x.source, what, "take `stored: false` out: only what is stored can be indexed")
