"""How `verify` asks a graph: queries that read, with the server's limits, and how much to bring back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconcile.model import Address, Json
from reconcile.selection import Selection
from reconcile.stores.neo4j.violations import TooMuchError


class Ask(Protocol):
    """Sends a query that reads; None where the server could not answer it within its limits."""

    def __call__(self, statement: str, **parameters: Json) -> list[Mapping[str, Any]] | None:
        """The records, by name of the column."""


@dataclass(frozen=True)
class Look:
    """Where to look, and how much to bring back."""

    store: str
    ask: Ask
    sample: int
    ignore: Selection = field(default_factory=Selection)
    """Which names are another's: of indexes and constraints, and of labels and types too."""

    def rows(self, statement: str, **parameters: Json) -> list[Mapping[str, Any]]:
        """What the server answers.

        Raises:
            TooMuchError: it could not.
        """
        found = self.ask(statement, **parameters)
        if found is None:
            raise TooMuchError
        return found

    def count(self, statement: str, **parameters: Json) -> int:
        """The column `rows` of the only row."""
        (row,) = self.rows(statement, **parameters)
        return int(row["rows"])

    def some(self, statement: str, **parameters: Json) -> tuple[str, ...]:
        """The ids of the first elements `n` of a query without RETURN: collecting all of them may take much memory."""
        if not self.sample:
            return ()
        rows = self.rows(f"{statement} RETURN elementId(n) AS id LIMIT {self.sample}", **parameters)
        return tuple(row["id"] for row in rows)

    def hides(self, kind: str, name: str) -> bool:
        """Whether the project ignores a label, type or property key."""
        return self.ignore.classify(Address(self.store, kind, (name,))) == "ignored"
