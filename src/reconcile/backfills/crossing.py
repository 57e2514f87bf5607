"""Rows read in one store and put into another: idempotent by their keys, each batch looked for after it was put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconcile.errors import ReconcileError
from reconcile.model import Json
from reconcile.stores.filling import Batch, Filling, Receiving, Save, Value


@dataclass(frozen=True)
class Crossing:
    """See `stores.filling.Filling`: reads from the one, writes to the other."""

    source: Filling
    target: Receiving
    where: str

    def count(self) -> int:
        """See `Filling.count`."""
        return self.source.count()

    def split(self, rows: int) -> list[Json]:
        """See `Filling.split`."""
        return self.source.split(rows)

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        """See `Filling.read`."""
        return self.source.read(after, size, until)

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        """See `Filling.change`.

        Raises:
            ReconcileError: not all that was put is there.
        """
        del batch
        there = self.target.put(values or ())
        if there != len(values or ()):
            raise ReconcileError(f"{len(values or ())} rows were put there, {there} are there", where=self.where)
        save(None, there, ())
        return there

    def ask(self, query: str) -> Json:
        """See `Filling.ask`: of the store that is read."""
        return self.source.ask(query)

    def end(self) -> None:
        """See `Filling.end`."""
        self.source.end()
