"""What a store package provides for declared checks, queries and probes: the protocols, beside `base`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from reconcile.expectations import Answer
from reconcile.model import Json, Source


@dataclass(frozen=True)
class Ask:
    """One question to a store, as it is declared."""

    way: str
    """The key that it is written under: `sql`, `cypher`, `collection`."""
    text: str
    source: Source
    options: Mapping[str, Json] = field(default_factory=dict)
    """The keys beside it: `parameters`, `types`, `filter`, `using`."""


@runtime_checkable
class Askable(Protocol):
    """A package whose stores can be asked."""

    ways: Mapping[str, Set[str]]
    """The key that a question is written under, and the keys that may stand beside it."""

    def fault(self, ask: Ask, *, writes: bool) -> str | None:
        """What is wrong with it that can be seen without a server: two statements in one, one that ends a transaction.

        Args:
            writes: whether it runs in a transaction that is rolled back, and not in one that only reads.
        """


@runtime_checkable
class Answers(Protocol):
    """A session that answers."""

    def answer(self, ask: Ask, seconds: float) -> Answer:
        """What the store says, read only, of at most `expectations.ROWS` rows.

        Args:
            seconds: how long it may take.

        Raises:
            StoreError: the server does not answer at all.
        """

    def tried(self, asks: Sequence[Ask], seconds: float) -> Answer:
        """Carry them out in their order in one transaction, and take all of it back, whatever happens.

        Returns:
            What the last one answered, or the first that was refused; constraints that wait for the end of a
            transaction are asked too.

        Raises:
            StoreError: the server does not answer at all.
        """
