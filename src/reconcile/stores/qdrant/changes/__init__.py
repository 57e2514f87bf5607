"""The changes of Qdrant, one module per kind; pure."""

from __future__ import annotations

from reconcile.change import Change
from reconcile.model import Resource
from reconcile.stores.qdrant.canonical import fixed_paths
from reconcile.stores.qdrant.changes.alias import CreateAlias, DropAlias, RepointAlias
from reconcile.stores.qdrant.changes.collection import AlterCollection, CreateCollection, DropCollection
from reconcile.stores.qdrant.changes.generation import RecreateCollection, ReplaceCollection
from reconcile.stores.qdrant.changes.payload_index import (
    CreatePayloadIndex,
    DropPayloadIndex,
    RebuildPayloadIndex,
)
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex

__all__ = [
    "AlterCollection",
    "CreateAlias",
    "CreateCollection",
    "CreatePayloadIndex",
    "DropAlias",
    "DropCollection",
    "DropPayloadIndex",
    "RebuildPayloadIndex",
    "RecreateCollection",
    "ReplaceCollection",
    "RepointAlias",
    "change",
]


def change(before: Resource | None, after: Resource | None) -> Change | None:
    """The change between two resources of one address; None where they are equal."""
    match before, after:
        case None, Collection():
            return CreateCollection(None, after)
        case Collection(), None:
            return DropCollection(before, None)
        case Collection(), Collection():
            if any(fixed_paths(before, after)):
                in_place = before.generation is None or after.generation is None
                return (RecreateCollection if in_place else ReplaceCollection)(before, after)
            return AlterCollection(before, after) if before != after or before.leftovers else None
        case None, PayloadIndex():
            return CreatePayloadIndex(None, after)
        case PayloadIndex(), None:
            return DropPayloadIndex(before, None)
        case PayloadIndex(), PayloadIndex():
            return RebuildPayloadIndex(before, after) if before != after else None
        case None, Alias():
            return CreateAlias(None, after)
        case Alias(), None:
            return DropAlias(before, None)
        case Alias(), Alias():
            return RepointAlias(before, after) if before != after else None
    raise TypeError(f"no change between {before!r} and {after!r}")
