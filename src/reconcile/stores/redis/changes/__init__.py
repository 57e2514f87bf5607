"""The changes of Redis, one module per kind; pure."""

from __future__ import annotations

from reconcile.change import Change
from reconcile.model import Resource
from reconcile.stores.redis.changes.config import SetParameter
from reconcile.stores.redis.changes.family import RenameKeys
from reconcile.stores.redis.changes.index import AddFields, CreateIndex, DropIndex, RebuildIndex, change_index
from reconcile.stores.redis.resources import Index, Keys, Parameter, RenamedFamily

__all__ = ["AddFields", "CreateIndex", "DropIndex", "RebuildIndex", "RenameKeys", "SetParameter", "change"]


def change(before: Resource | None, after: Resource | None) -> Change | None:
    """The change between two resources of one address; None where they are equal, or nothing is ever done about it."""
    if before == after:
        return None
    match before, after:
        case (None | Parameter(), Parameter()):
            return SetParameter(before, after)
        case (None, Index()):
            return CreateIndex(None, after)
        case (Index(), None):
            return DropIndex(before, None)
        case (Index(), Index()):
            return change_index(before, after)
        case (None, RenamedFamily()):
            return RenameKeys(None, after)
        case (Parameter() | Keys() | RenamedFamily(), None):
            return None  # nothing takes a parameter away, and no plan deletes keys or gives them their old names
    raise TypeError(f"no change between {before!r} and {after!r}")
