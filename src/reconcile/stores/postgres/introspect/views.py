"""Views and materialized views. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect import queries
from reconcile.stores.postgres.introspect.catalog import Catalog, Row, Rows
from reconcile.stores.postgres.introspect.indexdef import options

QUERIES = {"views": queries.VIEWS}


def names(catalog: Catalog, rows: Rows) -> None:
    """`tables` has named all relations; here it is which materialized views are left out."""
    for oid, _, _, reason, *_ in rows["views"]:
        if reason and oid in catalog.relations:
            catalog.left_out[oid] = reason
            catalog.leave(catalog.relations[oid], reason)


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """All of them, with their output columns."""
    kinds = ("view", "materialized_view")
    views = {oid: a for oid, a in catalog.relations.items() if a.kind in kinds and oid not in catalog.left_out}
    columns: dict[int, list[Row]] = defaultdict(list)
    for row in rows["columns"]:
        if row[0] in views:
            columns[row[0]].append(row)
    more = {row[0]: row for row in rows["views"]}
    for row in rows["relations"]:
        oid = row[0]
        if oid not in views:
            continue
        if views[oid].kind == "view":
            yield _view(catalog, views[oid], row, columns[oid], more[oid])
        else:
            yield _materialized(catalog, views[oid], row, columns[oid], more[oid])


def _view(catalog: Catalog, address: Address, row: Row, columns: list[Row], more: Row) -> r.View:
    settings = dict(options(row[5]))
    defaults = [(c[1], c[2], catalog.spell(c[7])) for c in columns if c[7] is not None]
    common = _common(catalog, row, columns)
    used = [a for number, _, _ in defaults for a in catalog.refers("d", row[0], number, own=row[0])]
    return r.View(
        address=address,
        check_option=settings.pop("check_option", None),
        with_=tuple(sorted(settings.items())),
        column_defaults=tuple(sorted((name, sql) for _, name, sql in defaults)),
        rules=(*(more[4] or ()), *(more[5] or ())),
        **{**common, "refers": tuple(dict.fromkeys((*common["refers"], *used)))},
    )


def _materialized(catalog: Catalog, address: Address, row: Row, columns: list[Row], more: Row) -> r.MaterializedView:
    toast = ((f"toast.{name}", value) for name, value in options(more[2]))
    return r.MaterializedView(
        address=address,
        with_=tuple(sorted((*options(row[5]), *toast))),
        populated=more[1],
        **_common(catalog, row, columns),
    )


def _common(catalog: Catalog, row: Row, columns: list[Row]) -> dict[str, Any]:
    oid = row[0]
    comments = ((c[2], catalog.comment(oid, c[1])) for c in columns)
    return {
        "query": catalog.spell(row[6]).strip().rstrip(";"),
        "columns": tuple((c[2], catalog.spell(c[3])) for c in columns),
        "comment": catalog.comment(oid),
        "column_comments": tuple(sorted((name, text) for name, text in comments if text is not None)),
        "refers": catalog.refers("v", oid, own=oid),
    }
