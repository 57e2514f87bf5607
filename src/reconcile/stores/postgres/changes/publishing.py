"""Publications that show a table in part: it leaves them while a column they name gets another type.

The server changes no column that a row filter or column list uses. In one transaction nobody sees the table outside:
https://www.postgresql.org/docs/current/logical-replication-row-filter.html
"""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import World
from reconcile.stores.postgres.resources import Column, Published
from reconcile.stores.postgres.sqltext import ident, relation


def republishable(world: World, column: Column) -> bool:
    """Whether what the publications name is called the same before and after this plan, and stays."""
    if not column.published:
        return True
    table = column.table
    columns = [c.address for c in world.live.children(table) if isinstance(c, Column)]
    named = (table.child("column", name) for p in column.published for name in p.columns)
    return (
        table in world.target
        and all(world.where(c).parts[-1] == c.parts[-1] for c in columns)
        and all(c in world.target for c in named)
    )


def around(column: Column, calls: Sequence[str]) -> list[str]:
    """`calls` with the table out of the publications that name the column."""
    table = relation(column.table)
    away = [f"ALTER PUBLICATION {ident(p.publication)} DROP TABLE {table}" for p in column.published]
    return [*away, *calls, *(_added(p, table) for p in column.published)]


def _added(published: Published, table: str) -> str:
    columns = f" ({', '.join(map(ident, published.columns))})" if published.columns else ""
    where = f" WHERE ({published.where})" if published.where is not None else ""
    return f"ALTER PUBLICATION {ident(published.publication)} ADD TABLE {table}{columns}{where}"
