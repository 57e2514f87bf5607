"""Reference rows: data that is declared as the schema is, and compared row by row by its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from reconcile.model import Json, Resource, State


class Rows(Resource):
    """The declared rows of a table, or what stands there of them.

    Rows of other keys are left alone and not looked at, unless `extra` is "delete".
    """

    only_declared: ClassVar[bool] = True

    key: tuple[str, ...] = ()
    rows: tuple[Json, ...] = ()
    """Columns and values of each, by ascending key."""
    extra: str = "keep"

    def by_key(self) -> dict[str, Json]:
        """The rows by the text of their key."""
        return {", ".join(str(row[name]) for name in self.key): row for row in self.rows}


@runtime_checkable
class HoldsRows(Protocol):
    """A session of a store that can have reference rows."""

    def rows(self, declared: Sequence[Rows], live: State) -> Sequence[Rows]:
        """What stands there of declared rows, of those tables that are live: values in the words of the YAML where the
        server says that they are equal. Reads only.

        Raises:
            StoreError: a value is none of its column's type.
        """
