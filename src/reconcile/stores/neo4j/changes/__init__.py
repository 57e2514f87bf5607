"""What can change in Neo4j, one module for constraints and one for indexes. Pure: builds steps, sends nothing."""

from __future__ import annotations

from reconcile.change import Change
from reconcile.model import Resource
from reconcile.stores.neo4j.changes.beside import ReplaceIndexBeside, replacement
from reconcile.stores.neo4j.changes.constraint import (
    CreateConstraint,
    DropConstraint,
    RenameConstraint,
    ReplaceConstraint,
)
from reconcile.stores.neo4j.changes.index import CreateIndex, DropIndex, RebuildIndex, RenameIndex, ReplaceIndex
from reconcile.stores.neo4j.resources import FAILED, Constraint, Index

__all__ = [
    "CreateConstraint",
    "CreateIndex",
    "DropConstraint",
    "DropIndex",
    "RebuildIndex",
    "RenameConstraint",
    "RenameIndex",
    "ReplaceConstraint",
    "ReplaceIndex",
    "ReplaceIndexBeside",
    "change",
    "rename",
]


def change(before: Resource | None, after: Resource | None) -> Change | None:
    """The change between two resources of one address; None where they are equal."""
    if before == after:
        return None
    if isinstance(before or after, Constraint):
        if before is None:
            return CreateConstraint(None, after)
        if after is None:
            return DropConstraint(before, None)
        return ReplaceConstraint(before, _kept_name(before, after))
    if before is None:
        return CreateIndex(None, after)
    if after is None:
        return DropIndex(before, None)
    assert isinstance(before, Index)
    assert isinstance(after, Index)
    if before.state == FAILED and before.replace(state=after.attributes().get("state", "online")) == after:
        return RebuildIndex(before, _kept_name(before, after))
    return replacement(before, after)


def rename(before: Resource, after: Resource) -> Change:
    """Give a live object, matched by definition, its declared name; all else stays as it is in `before`."""
    renamed = before.replace(address=after.address, live_name=None, source=after.source)
    if isinstance(before, Constraint):
        return RenameConstraint(before, renamed)
    return RenameIndex(before, renamed)


def _kept_name(before: Resource, after: Resource) -> Resource:
    """An object that is made anew keeps the name clients know it by."""
    return after.replace(live_name=before.live_name) if before.live_name else after
