"""Views and materialized views."""

from __future__ import annotations

from typing import Any

from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump import attached
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.tables import index
from reconcile.stores.postgres.dump.values import dedented, options, sql, without_empty


def view(context: Context, x: r.View) -> dict[str, Any]:
    """Query, options, triggers."""
    return without_empty(
        {
            "query": dedented(x.query),
            "with": options(x.with_),
            "check_option": x.check_option,
            "columns": _columns(x.column_comments, x.column_defaults),
            "triggers": {
                t.address.parts[-1]: attached.trigger(context, t)
                for t in context.parts.get(x.address, ())
                if isinstance(t, r.Trigger)
            },
            "comment": x.comment,
        }
    )


def materialized_view(context: Context, x: r.MaterializedView) -> dict[str, Any]:
    """Query, options and indexes."""
    indexes = [i for i in context.parts[x.address] if isinstance(i, r.Index)]
    return without_empty(
        {
            "query": dedented(x.query),
            "with": options(x.with_),
            "with_data": None if x.populated else False,
            "columns": _columns(x.column_comments, ()),
            "comment": x.comment,
            "indexes": {i.address.parts[-1]: index(i) for i in indexes},
        }
    )


def _columns(comments: r.Pairs, defaults: r.Pairs) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for name, text in defaults:
        found.setdefault(name, {})["default"] = sql(text)
    for name, text in comments:
        found.setdefault(name, {})["comment"] = text
    return found
