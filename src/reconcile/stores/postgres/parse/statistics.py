"""Extended statistics of a table: `statistics: {name: {kinds: [mcv], columns: [a, b]}}`."""

from __future__ import annotations

from reconcile.model import Address
from reconcile.stores.postgres.parse.indexes import index_key
from reconcile.stores.postgres.parse.scope import Scope, as_map, comment_of
from reconcile.stores.postgres.resources import IndexItem, Statistics
from reconcile.yamlio import Map

ALL = ("dependencies", "mcv", "ndistinct")
"""What CREATE STATISTICS makes where no kind is named."""


def statistics(table: Map, address: Address, scope: Scope) -> list[Statistics]:
    """`statistics:` of a table; one without a schema in its name is in that of its table."""
    section = as_map(table.get("statistics"))
    found = []
    for name, value in section.items():
        source = section.at(name)
        named = scope.declared(name, source) if "." in name else (address.parts[0], name)
        scope.short(named[1], source)
        items = [index_key(key, source, scope) for key in value["columns"]]
        columns = sorted((i for i in items if i.column is not None), key=lambda i: str(i.column))
        expressions = [i for i in items if i.column is None]
        alone = len(items) == 1
        if alone and columns:
            what, hint = f"statistics {name!r} is over one column", "name two or more, or an expression"
            scope.problem(source, what, hint)
        kinds = tuple(sorted(value.get("kinds") or (() if alone else ALL)))
        if alone and kinds:
            scope.problem(source, f"statistics {name!r} over one expression has no kinds", "leave `kinds` out")
        found.append(
            Statistics(
                address=scope.address("statistics", *named),
                source=source,
                container=address,
                kinds=kinds,
                columns=tuple(_bare(i) for i in (*columns, *expressions)),
                target=value.get("target"),
                comment=comment_of(value),
                comes_after=scope.after(value),
            )
        )
    return found


def _bare(item: IndexItem) -> IndexItem:
    return IndexItem(column=item.column, expression=item.expression)
