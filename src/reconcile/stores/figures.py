"""How much a store holds, for the report of a run: before it and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from reconcile.model import Address

SECONDS = 2.0
"""How long counting may take; what is not counted by then is estimated, or left out."""


class Count(NamedTuple):
    """How many rows, nodes, relationships or points."""

    number: int
    exact: bool
    """Else an estimate of the server."""


@runtime_checkable
class Sized(Protocol):
    """A session that can say how much its store holds. Reads only."""

    def size(self) -> Mapping[str, int]:
        """Of the whole store, what costs little to know: {"bytes": …}, {"nodes": …, "relationships": …}, {"points": …}.

        Raises:
            StoreError: the server does not answer.
        """

    def counts(self, addresses: Iterable[Address], seconds: float = SECONDS) -> Mapping[str, Count]:
        """What tables, labels, relationship types and collections hold, by address as text, those that are there.

        Args:
            addresses: of containers, and of whatever else is on one that the store knows how to find.
            seconds: how long it may take at most.

        Raises:
            StoreError: the server does not answer.
        """
