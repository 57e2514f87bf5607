"""The changes of Redis, one module per kind; pure."""

from __future__ import annotations

from reconcile.change import Change
from reconcile.model import Resource
from reconcile.stores.redis.changes.config import SetParameter
from reconcile.stores.redis.resources import Parameter

__all__ = ["SetParameter", "change"]


def change(before: Resource | None, after: Resource | None) -> Change | None:
    """The change between two resources of one address; None where they are equal."""
    if before == after:
        return None
    match before, after:
        case (None | Parameter(), Parameter()):
            return SetParameter(before, after)
    raise TypeError(f"no change between {before!r} and {after!r}")
