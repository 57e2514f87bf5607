"""What a store package provides for declared checks, queries and probes: the protocols, beside `base`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from reconcile.expectations import Answer, Refused
from reconcile.model import Address, Json, Source, State


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

    def statements(self, text: str) -> Sequence[tuple[int, str]]:
        """The statements of a file, each with the number of its first line."""


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


@dataclass(frozen=True)
class Foreseen:
    """Whether a query will work when a plan has been carried out."""

    refused: Refused | None = None
    """Why not."""
    gone: tuple[Address, ...] = ()
    """What it names, or calls, that the plan removes, renames or changes."""
    notes: tuple[str, ...] = ()
    """What else there is to say of it."""


@runtime_checkable
class Prepares(Answers, Protocol):
    """A session that can say whether a query would work, without running it."""

    def prepared(self, ask: Ask, seconds: float) -> Refused | None:
        """Why the server would not run it as things stand; None where it would.

        Raises:
            StoreError: the server does not answer at all.
        """

    def foreseen(self, asks: Sequence[Ask], now: State, target: State, declared: State) -> Sequence[Foreseen]:
        """For each whether it works with `target`. Leaves no trace, and takes no lock on what is anybody's.

        Args:
            now: what there is.
            target: what there will be.
            declared: what the YAML says of this store.
        """


@dataclass(frozen=True)
class Timed:
    """How long a query takes."""

    seconds: tuple[float, ...] = ()
    """Of each run."""
    scans: tuple[str, ...] = ()
    """What it reads whole, in the store's own words: "sequential scan of documents"."""
    refused: Refused | None = None


@runtime_checkable
class Times(Protocol):
    """A session that can say how long a query takes."""

    def timed(self, ask: Ask, runs: int, seconds: float) -> Timed:
        """Run it so often, read only.

        Args:
            seconds: how long each run may take.

        Raises:
            StoreError: the server does not answer at all.
        """


def changed(now: State, target: State) -> Sequence[Address]:
    """What is in `now` and no longer, or otherwise, in `target`."""
    return [
        address
        for address, resource in now.items()
        if (after := target.get(address)) is None or (after is not resource and after != resource)
    ]
