"""Views. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from reconcile.model import Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Rows
from reconcile.stores.postgres.introspect.indexdef import options

QUERIES: dict[str, str] = {}


def names(catalog: Catalog, rows: Rows) -> None:
    """`tables` has named all relations."""


def read(catalog: Catalog, rows: Rows) -> Iterator[Resource]:
    """Views with their output columns."""
    views = {oid: a for oid, a in catalog.relations.items() if a.kind == "view"}
    shape: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for row in rows["columns"]:
        oid, number, name, type_ = row[:4]
        if oid in views:
            shape[oid].append((name, catalog.spell(type_)))
            if catalog.comment(oid, number) is not None:
                catalog.leave(views[oid].child("column", name), "comment on a column of a view")
            if row[7] is not None:
                catalog.leave(views[oid].child("column", name), "default of a column of a view")
    for row in rows["relations"]:
        oid = row[0]
        if oid not in views:
            continue
        settings = dict(options(row[5]))
        yield (
            r.View(
                address=views[oid],
                query=catalog.spell(row[6]).strip().rstrip(";"),
                check_option=settings.pop("check_option", None),
                with_=tuple(sorted(settings.items())),
                columns=tuple(shape[oid]),
                comment=catalog.comment(oid),
                refers=catalog.refers("v", oid, own=oid),
            )
        )
