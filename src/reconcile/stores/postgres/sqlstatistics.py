"""CREATE STATISTICS and what can be altered of it."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.model import Json
from reconcile.stores.postgres.resources import IndexItem, Statistics
from reconcile.stores.postgres.sqltext import as_written, ident, object_name, relation


def statistics_statement(x: Statistics, name: str | None = None, table: str | None = None) -> str:
    """CREATE STATISTICS, on request under another name and of another table."""
    written = as_written(x, "columns")
    items = ", ".join(_item(item, written[n]) for n, item in enumerate(x.columns))
    kinds = f" ({', '.join(x.kinds)})" if x.kinds else ""
    return f"CREATE STATISTICS {name or object_name(x)}{kinds} ON {items} FROM {table or relation(x.table)}"


def _item(item: IndexItem, written: IndexItem | Mapping[str, Json]) -> str:
    if item.column is not None:
        return ident(item.column)
    text = written.get("expression") if isinstance(written, Mapping) else written.expression
    return f"({text if text is not None else item.expression})"


def target_calls(x: Statistics, before: int | None) -> list[str]:
    """SET STATISTICS, where it differs."""
    if x.target == before:
        return []
    return [f"ALTER STATISTICS {object_name(x)} SET STATISTICS {-1 if x.target is None else x.target}"]
