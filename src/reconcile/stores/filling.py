"""What a store has to offer for backfills: the rows of a selection batch by batch, and the writing of one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from reconcile.model import Address, Json

Row = Mapping[str, Json]
PUT = "put_rows"
"""The operation by which a store is asked about what another store's backfill puts into it: `into`, as a list."""
VALUES = frozenset({"rules", "function", "command"})
"""Forms that give each row values of its own."""
KeyNames = str | tuple[str, ...]
"""What tells rows apart: one column, property or variable; or several, of which keys are tuples."""


@dataclass(frozen=True)
class Wanted:
    """What a backfill selects and changes, in its store's own language."""

    address: Address
    select: Json
    key: KeyNames | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    """By name what is read of each row, where the selection does not say it."""
    statement: str | None = None
    """What is run over a batch, whose keys are its parameter `$keys`; None where values are written."""
    into: str | None = None
    """Where values are written."""
    once: bool = False
    """Whether rows stay selected when they are done."""
    collection: str | None = None
    """Where the rows are, where the selection does not say it."""
    restores: bool = False
    """Whether what is overwritten is kept to be put back: also what is too large to be kept otherwise."""
    gone: bool = False
    """Whether the values are rows that were deleted, whole, to be made again."""
    stamp: str = ""
    """Of which run of which definition it is: what a store keeps meanwhile for another one says nothing to it."""
    part: int | None = None
    """Which of its ranges this is about, where several processes share them."""
    keeps: tuple[str, ...] | None = None
    """What is read of each row before it is changed, to be put back; (): what is written. None: nothing."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a selection, by ascending key."""

    keys: tuple[Json, ...]
    rows: tuple[Row, ...] = ()
    """What is read of them, the key included; empty where only keys were asked for."""


@dataclass(frozen=True)
class Value:
    """What one row is to hold."""

    key: Json
    fields: Mapping[str, Json]
    otherwise: bool = False
    """Whether no rule fits, and this is what its table says then."""


Save = Callable[[object, int, Sequence[Value]], None]
"""Called with the open transaction, if the store has any, how many rows the batch changed, and what they held before
it, while nothing is committed yet: progress may be kept inside."""


class Filling(Protocol):
    """A backfill's work in one store."""

    def count(self) -> int:
        """How many rows the selection has now.

        Raises:
            StoreError: the server refused it.
        """

    def split(self, rows: int) -> list[Json]:
        """The key of each so many-th row, by ascending key: between them are ranges of about that many rows.

        Raises:
            StoreError: keys of this store have no ranges.
        """

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        """The next rows after a key (None: from the first on), up to another, included (None: to the last).

        More than `size` only where keys are equal.
        """

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        """Give rows of a batch their values, or run the statement over all of it where there are none (None).

        In one transaction, where the store has any. Rows that are selected no more are left alone, unless they stay
        selected anyhow.

        Returns:
            How many rows were changed.

        Raises:
            StoreError: the server refused it; nothing of the batch is left where there is a transaction.
        """

    def ask(self, query: str) -> Json:
        """The one value that a query gives."""

    def end(self) -> None:
        """Take away what was kept in the store meanwhile."""


@runtime_checkable
class Fills(Protocol):
    """A session of a store that can have backfills."""

    def filling(self, wanted: Wanted) -> Filling:
        """Begin; what is wrong with it is told before anything is written.

        Raises:
            StoreError: the selection cannot be read, or does not have the key.
        """


class Receiving(Protocol):
    """A place in a store that rows of another are put into."""

    def put(self, values: Sequence[Value]) -> int:
        """Make or replace what has these keys; may be repeated.

        Returns:
            How many of the keys are there now.

        Raises:
            StoreError: the server refused it.
        """


@runtime_checkable
class Receives(Protocol):
    """A session of a store that rows of another can be put into."""

    def receiving(self, into: Address, key: KeyNames | None) -> Receiving:
        """Begin.

        Args:
            into: a table, a label or a collection.
            key: the columns or properties that have the key; None: what is the key anyhow.

        Raises:
            StoreError: there is no such place, or `key` is needed.
        """


@dataclass(frozen=True)
class Unfit:
    """What of a declared backfill its store cannot do."""

    key: str
    """Of the entry; where it is missing, the whole is meant."""
    what: str
    hint: str


@runtime_checkable
class HasBackfills(Protocol):
    """A package whose stores can have backfills."""

    def unfit(self, entry: Mapping[str, Json]) -> Iterable[Unfit]:
        """What of an entry of `backfills:` cannot be done there, whatever the store holds. Asks no server."""
