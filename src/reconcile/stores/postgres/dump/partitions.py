"""PARTITION BY and bounds of partitions as YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconcile.stores.postgres import bounds
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.values import sql

_WORDS = frozenset({"MINVALUE", "MAXVALUE"})


def partition_by(x: r.PartitionBy | None, item: Callable[[r.IndexItem], Any]) -> dict[str, Any] | None:
    """`{range: [at]}`."""
    return None if x is None else {x.strategy: [item(k) for k in x.keys]}


def bound(x: r.Table) -> dict[str, Any]:
    """`{from: […], to: […]}` and the like."""
    found = bounds.read(x.bound or "DEFAULT")
    if found.default:
        return {"default": True}
    if found.hash:
        return dict(zip(("modulus", "remainder"), found.hash, strict=True))
    if found.values:
        return {"in": [_value(v) for v in found.values]}
    return {"from": [_value(v) for v in found.low], "to": [_value(v) for v in found.high]}


def short_bound(value: Mapping[str, Any]) -> Any:
    """The word default where nothing else is to be said."""
    return "default" if dict(value) == {"default": True} else dict(value)


def _value(text: str) -> Any:
    if text == "NULL":
        return None
    return text.lower() if text in _WORDS else sql(text)


def index_names(context: Context, x: r.Table) -> dict[str, str]:
    """Names of what a partition has from the tables above, where they are not what the server would choose first."""
    named = (p for p in context.parts[x.address] if isinstance(p, r.InheritedIndex))
    return {p.address.parts[-1]: p.called for p in named if p.called != p.usual}
