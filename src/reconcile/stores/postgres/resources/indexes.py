"""Indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from reconcile.model import Address, Resource
from reconcile.stores.postgres.resources.base import Pairs, PostgresResource, compared

_REINDEXED = re.compile(r"(.+)_cc(?:new|old)[0-9]*")


@dataclass(frozen=True, slots=True)
class IndexItem:
    """One key of an index: a column or an expression, never both. None means the default."""

    column: str | None = None
    expression: str | None = None
    opclass: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    order: str = "asc"
    nulls: str | None = None
    """None once canonical where it is the default for `order`."""
    collation: str | None = None
    statistics: int | None = None
    """Statistics target of an expression; a column has its own."""


@lru_cache(maxsize=4096)
def plain(column: str) -> IndexItem:
    """The key that is a column, by the default operator class, in ascending order: what most keys are."""
    return IndexItem(column=column)


class Index(PostgresResource):
    """Any access method. `with_` holds storage parameters as (name, value as text), sorted by name."""

    method: str = "btree"
    unique: bool = False
    columns: tuple[IndexItem, ...] = ()
    include: tuple[str, ...] = ()
    where: str | None = None
    with_: Pairs = field(default=(), metadata={"json": "with"})
    nulls_not_distinct: bool = False
    valid: bool = True
    """Live: indisvalid. A declared index is valid."""
    embedding: str | None = field(default=None, compare=False)
    vector: tuple[str, int] | None = field(default=None, compare=False)
    """Declared: type and dimensions of what it indexes, for estimates."""
    build: Pairs = field(default=(), compare=False, metadata={"way": True})
    """Declared: maintenance_work_mem, workers, max_duration, min_free_disk, over those of the store."""
    rebuild: str = field(default="in_place", compare=False, metadata={"way": True})
    """Declared: for other options "in_place" (REINDEX) or "beside" (another index, then swapped)."""
    partitioned: bool = field(default=False, compare=False)
    """Whether it is that of a partitioned table."""
    parts: tuple[tuple[str, str, str, bool], ...] = field(default=(), compare=False, repr=False)
    """Live, of a partitioned table, while it is not valid: (schema, partition, index, whether that is valid) of all
    that are attached, at any depth."""

    @property
    def leftover_of(self) -> str | None:
        """See `Resource.leftover_of`; also the invalid index that a broken REINDEX CONCURRENTLY leaves."""
        match = None if self.valid else _REINDEXED.fullmatch(self.address.parts[-1])
        return match[1] if match else super().leftover_of

    def definition(self) -> tuple[object, ...]:
        """Schema, table and every compared attribute but the comment and whether it is valid."""
        return (self.schema, self.container, *compared(self.replace(valid=True)))


class InheritedIndex(PostgresResource):
    """What a partition's index is called that it has from a table above; address (schema, partition, name there).

    Only what is declared is managed: the server finds a name for every other.
    """

    only_declared: ClassVar[bool] = True

    called: str = ""
    usual: str = field(default="", compare=False, repr=False)
    """Live: what the server would call it first."""
    chosen: bool = field(default=True, compare=False, repr=False)
    """Live: whether it is called so, perhaps with a number."""
    rule: Address | None = field(default=None, compare=False, repr=False)
    """Live: the index or constraint above."""

    @property
    def falls_with(self) -> tuple[Address, ...]:
        """See `Resource.falls_with`."""
        return tuple(a for a in (self.rule, self.container) if a is not None)

    def makes_room(self, holder: Resource) -> bool:
        """See `Resource.makes_room`: those of one partition get their names together."""
        return isinstance(holder, InheritedIndex) and holder.container == self.container

    @property
    def occupies(self) -> tuple[tuple[str, ...], ...]:
        """See `Resource.occupies`."""
        return (("relation", self.schema, self.called),)

    def with_names_of(self, live: Resource) -> Resource:
        """See `Resource.with_names_of`."""
        return self.replace(called=live.called) if isinstance(live, InheritedIndex) else self


class Statistics(PostgresResource):
    """Extended statistics over columns and expressions of a table, which is the container; in a schema of its own."""

    kinds: tuple[str, ...] = ()
    """"ndistinct", "dependencies", "mcv", sorted; empty for an expression alone."""
    columns: tuple[IndexItem, ...] = ()
    """Columns first, sorted; then expressions."""
    target: int | None = None
