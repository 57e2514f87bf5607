"""The changes of Qdrant, one module per kind; pure."""

from __future__ import annotations

from reconcile.change import Change
from reconcile.model import Resource
from reconcile.stores.qdrant.canonical import fixed_paths
from reconcile.stores.qdrant.changes.alias import CreateAlias, DropAlias, RepointAlias
from reconcile.stores.qdrant.changes.collection import AlterCollection, CreateCollection, DropCollection
from reconcile.stores.qdrant.changes.copy import AdoptCollection, CopyCollection, DropGeneration
from reconcile.stores.qdrant.changes.generation import RecreateCollection, ReplaceCollection
from reconcile.stores.qdrant.changes.payload_index import (
    CreatePayloadIndex,
    DropPayloadIndex,
    RebuildPayloadIndex,
)
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex

__all__ = [
    "AdoptCollection",
    "AlterCollection",
    "CopyCollection",
    "CreateAlias",
    "CreateCollection",
    "CreatePayloadIndex",
    "DropAlias",
    "DropCollection",
    "DropGeneration",
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
            return (DropGeneration if before.stage else DropCollection)(before, None)
        case Collection(), Collection():
            if any(fixed_paths(before, after)):
                return _anew(before, after)(before, after)
            unsettled = before.leftovers or before.unfinished
            return AlterCollection(before, after) if before != after or unsettled else None
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


def _anew(before: Collection, after: Collection) -> type[RecreateCollection | ReplaceCollection]:
    """How a collection is replaced that cannot be changed in place."""
    if after.generation is None:
        return RecreateCollection
    if after.on_change == "copy":
        return AdoptCollection if before.generation is None else CopyCollection
    return RecreateCollection if before.generation is None else ReplaceCollection
