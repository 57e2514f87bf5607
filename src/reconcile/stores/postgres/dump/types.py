"""Types and collations."""

from __future__ import annotations

from typing import Any

from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.values import short, sql, without_empty


def enum(context: Context, x: r.Enum) -> Any:
    """The values, or the long form."""
    del context
    return {"values": list(x.values), "comment": x.comment} if x.comment else list(x.values)


def domain(context: Context, x: r.Domain) -> Any:
    """The type, or the long form."""
    del context
    return short(
        {
            "type": x.type,
            "collation": x.collation,
            "not_null": x.not_null or None,
            "default": sql(x.default),
            "checks": {c.name: _check(c) for c in x.checks},
            "comment": x.comment,
        },
        "type",
    )


def _check(x: r.DomainCheck) -> Any:
    settings = {"expression": sql(x.expression), "not_valid": x.not_valid or None, "comment": x.comment}
    return short(settings, "expression")


def composite(context: Context, x: r.Composite) -> dict[str, Any]:
    """Fields in order."""
    del context
    fields = {a.name: short({"type": a.type, "collation": a.collation, "comment": a.comment}, "type") for a in x.fields}
    return without_empty({"fields": fields, "comment": x.comment}, keep=("fields",))


def range_type(context: Context, x: r.Range) -> dict[str, Any]:
    """What is not the default."""
    del context
    return without_empty(
        {
            "subtype": x.subtype,
            "opclass": x.opclass,
            "collation": x.collation,
            "subtype_diff": x.subtype_diff,
            "multirange": x.multirange,
            "comment": x.comment,
        }
    )


def collation(context: Context, x: r.Collation) -> dict[str, Any]:
    """What is not the default."""
    del context
    return without_empty(
        {
            "provider": x.provider if x.provider != "libc" else None,
            "locale": x.locale,
            "deterministic": None if x.deterministic else False,
            "rules": x.rules,
            "comment": x.comment,
        }
    )
