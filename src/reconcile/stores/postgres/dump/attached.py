"""Policies and triggers."""

from __future__ import annotations

from typing import Any

from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.values import shown_name, sql, without_empty


def policy(x: r.Policy) -> dict[str, Any]:
    """Everything but what is the default."""
    return without_empty(
        {
            "for": x.for_ if x.for_ != "all" else None,
            "as": None if x.permissive else "restrictive",
            "to": list(x.to) if x.to != ("public",) else None,
            "using": sql(x.using),
            "check": sql(x.check),
            "comment": x.comment,
        }
    )


def trigger(context: Context, x: r.Trigger) -> dict[str, Any]:
    """Everything but what is the default."""
    return without_empty(
        {
            "constraint": x.constraint or None,
            "when": x.when,
            "events": list(x.events),
            "of": list(x.of),
            "from": None if x.from_ is None else shown_name(context.first, *x.from_),
            "deferrable": x.deferrable,
            "old_table": x.old_table,
            "new_table": x.new_table,
            "for_each": x.for_each if not x.constraint and x.for_each != "statement" else None,
            "condition": sql(x.condition),
            "function": shown_name(context.first, *x.function),
            "arguments": list(x.arguments),
            "enabled": x.enabled if x.enabled != "origin" else None,
            "comment": x.comment,
        }
    )
