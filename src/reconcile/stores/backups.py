"""What a store package provides so that its stores can be backed up and restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from reconcile.backups import Contents
from reconcile.model import Json

Tell = Callable[[str], None]
"""Takes how far it has come."""


@dataclass(frozen=True)
class Made:
    """What was written into a folder."""

    contents: Contents = field(default_factory=Contents)
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What putting it back needs; no secret."""
    notes: tuple[str, ...] = ()
    """What a person should know of it."""


@runtime_checkable
class BacksUp(Protocol):
    """A session whose store can be saved into files and put back from them."""

    def back_up(self, folder: Path, ledger: str | None, tell: Tell) -> Made:
        """Write all the store holds, the tool's own marks and lock left out, into an empty folder. Changes nothing.

        Args:
            ledger: the schema of the ledger, where this store holds it: its lock has no place in a backup.

        Raises:
            StoreError: it cannot be read whole, or a program for it is missing: what to do.
            OSError: the folder cannot be written.
        """

    def in_the_way(self) -> Sequence[str]:
        """What the store holds now that would be in the way of a restore, for people; nothing where it is empty."""

    def put_back(self, folder: Path, made: Made, replace: bool, tell: Tell) -> Sequence[str]:
        """Make the store hold what the files hold; what a person should know of it.

        Args:
            replace: take away first what it holds; else it is known to be empty.

        Raises:
            StoreError: it cannot be done; says whether anything was changed.
        """

    def contents(self, made: Made) -> Contents:
        """What it holds now, counted and hashed as `back_up` does."""

    def trial(self, made: Made) -> AbstractContextManager[BacksUp]:
        """An empty place of the same kind to try a restore in; gone afterwards, and the store as it was.

        Raises:
            ReconcileError: there is none.
        """


@runtime_checkable
class Inspects(Protocol):
    """A package that can look into the files of a backup, without a server."""

    def inspect(self, folder: Path, made: Made) -> Sequence[str]:
        """What is wrong with them; nothing where they are as they should be."""
