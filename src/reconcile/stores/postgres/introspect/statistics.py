"""Extended statistics of tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Catalog, Rows

QUERIES = {"statistics": queries.STATISTICS}
_KINDS = {"d": "ndistinct", "f": "dependencies", "m": "mcv"}
"""By letter; `e` stands for expressions, which every one over expressions has."""


def names(catalog: Catalog, rows: Rows) -> None:
    """Nothing refers to them."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Those of the modelled tables."""
    for oid, relation, schema, name, numbers, kinds, target, expressions in rows["statistics"]:
        address = catalog.address("statistics", schema, name)
        table = catalog.tables.get(relation)
        if table is None or relation in catalog.left_out:
            catalog.leave(address, "extended statistics of a table that is not modelled")
            continue
        columns = sorted(catalog.columns[relation][n] for n in numbers)
        yield r.Statistics(
            address=address,
            container=table,
            kinds=tuple(sorted(_KINDS[k] for k in kinds if k in _KINDS)),
            columns=(
                *(r.IndexItem(column=c) for c in columns),
                *(r.IndexItem(expression=catalog.condition(e)) for e in expressions or ()),
            ),
            target=target,
            comment=catalog.comment(oid),
            refers=tuple(
                dict.fromkeys(
                    (*(catalog.column(relation, c) for c in columns), *catalog.refers("s", oid, own=relation))
                )
            ),
        )
