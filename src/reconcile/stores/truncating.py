"""What a store has to offer so that a backfill may empty a place and fill it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from reconcile.model import Address

EMPTY = "empty_place"
"""The operation by which a store is asked about what a backfill empties: `into`, as a list; `keeps`."""


class Truncating(Protocol):
    """A table or collection that is emptied, its schema kept."""

    def held(self) -> int:
        """How many rows are there.

        Raises:
            StoreError: there is no such place.
        """

    def archive(self, stamp: str) -> str:
        """The name under which `truncate` keeps the rows; where the server gives it, they are kept with this call.

        Args:
            stamp: what tells it from others; the same one gives the same name, as far as the store names it.
        """

    def there(self, archive: str) -> bool:
        """Whether an archive is there."""

    def truncate(self, archive: str | None, check: Callable[[int], None]) -> tuple[int, int | None]:
        """Take all rows out, once they are kept; done again, it finds that they are.

        Args:
            archive: where they are kept; None: nowhere.
            check: is told how many there are; what it raises leaves all as it is.

        Returns:
            How many rows were taken out, and the bytes of the archive where they are known.

        Raises:
            StoreError: the server refused it; nothing has changed.
        """

    def put_back(self, archive: str) -> int:
        """Have the place hold what was kept, and nothing else; the archive is gone then.

        Returns:
            How many rows it holds.

        Raises:
            StoreError: there is no such archive any more, or its rows do not fit.
        """


@runtime_checkable
class Truncates(Protocol):
    """A session of a store whose places can be emptied."""

    def truncating(self, place: Address) -> Truncating:
        """Begin; nothing is asked yet."""
