"""A collection that is emptied to be filled again: a snapshot of the server keeps its points.

There are no transactions: points that are written between the snapshot and the deletion go with the rest.
https://qdrant.tech/documentation/concepts/snapshots/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reconcile.errors import StoreError
from reconcile.model import Address
from reconcile.stores.qdrant import wire

if TYPE_CHECKING:
    from reconcile.stores.qdrant.transport import Transport

_WAIT = 3600.0


class QdrantTruncating:
    """See `stores.truncating.Truncating`."""

    def __init__(self, http: Transport, collection: str, place: Address) -> None:
        self.http, self.place, self.collection = http, place, collection
        self.path = wire.collection_path(collection)

    def held(self) -> int:
        """See `stores.truncating.Truncating`."""
        return int(self.http.send("POST", f"{self.path}/points/count", {"exact": True})["count"])

    def archive(self, stamp: str) -> str:
        """See `stores.truncating.Truncating`: COLLECTION/SNAPSHOT, which the server names."""
        del stamp
        made = self.http.send("POST", f"{self.path}/snapshots?wait=true", seconds=_WAIT)
        return wire.snapshot_name(self.collection, str(made["name"]))

    def there(self, archive: str) -> bool:
        """See `stores.truncating.Truncating`."""
        return archive in self._snapshots()

    def _snapshots(self) -> dict[str, int]:
        """Their sizes by name."""
        found = self.http.send("GET", f"{self.path}/snapshots")
        return {wire.snapshot_name(self.collection, s["name"]): int(s["size"]) for s in found}

    def truncate(self, archive: str | None, check: Callable[[int], None]) -> tuple[int, int | None]:
        """See `stores.truncating.Truncating`."""
        size = None
        if archive is not None:
            there = self._snapshots()
            if archive not in there:
                hint = "nothing was deleted; go on with it: reconcile apply --resume makes another one"
                raise StoreError(f"the snapshot {archive} is not there", where=str(self.place), hint=hint)
            size = there[archive]
        rows = self.held()
        check(rows)
        self.http.send("POST", f"{self.path}/points/delete?wait=true", {"filter": {"must": []}}, seconds=_WAIT)
        return rows, size

    def put_back(self, archive: str) -> int:
        """See `stores.truncating.Truncating`: the server restores its snapshot by itself.

        Raises:
            StoreError: always; says how.
        """
        path = f"PUT {self.path}/snapshots/recover"
        body = f'{{"location": "file:///SNAPSHOTS/{archive}"}}'
        hint = f"have the server recover it: {path} with {body}; https://qdrant.tech/documentation/concepts/snapshots/"
        raise StoreError(f"the points are in the server's snapshot {archive}", where=str(self.place), hint=hint)
