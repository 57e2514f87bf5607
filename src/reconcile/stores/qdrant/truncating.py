"""A collection that is emptied to be filled again: a snapshot of the server keeps its points.

There are no transactions: points that are written between the snapshot and the deletion go with the rest.
https://qdrant.tech/documentation/concepts/snapshots/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from reconcile.errors import StoreError
from reconcile.model import Address, Json
from reconcile.stores.qdrant import snapshots, wire
from reconcile.stores.qdrant.points import Points, limits

if TYPE_CHECKING:
    from reconcile.stores.qdrant.transport import Transport

_WAIT = 3600.0


def _silent(text: str) -> None:
    """Nobody is told how far it is."""


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
        if self.http.send("GET", f"{self.path}/cluster").get("remote_shards"):
            hint = "save it by other means, and say so: `archive: false` with its `reason`"
            what = f"points of {self.collection} are on other nodes too, and a snapshot holds what one node has"
            raise StoreError(what, where=str(self.place), hint=hint)
        made = self.http.send("POST", f"{self.path}/snapshots?wait=true", seconds=_WAIT)
        return wire.snapshot_name(self.collection, str(made["name"]))

    def there(self, archive: str) -> bool:
        """See `stores.truncating.Truncating`."""
        return archive in self._listed()

    def _listed(self) -> dict[str, Mapping[str, Json]]:
        """The server's lines on snapshots of the collection, by the names we give them."""
        found = self.http.send("GET", f"{self.path}/snapshots")
        return {wire.snapshot_name(self.collection, s["name"]): s for s in found}

    def truncate(self, archive: str | None, check: Callable[[int], None]) -> tuple[int, int | None]:
        """See `stores.truncating.Truncating`."""
        size = None
        if archive is not None:
            there = self._listed()
            if archive not in there:
                hint = "nothing was deleted; go on with it: reconcile apply --resume makes another one"
                raise StoreError(f"the snapshot {archive} is not there", where=str(self.place), hint=hint)
            size = int(there[archive]["size"])
        rows = self.held()
        check(rows)
        Points(self.http, self.collection, _silent).delete_all(_WAIT)
        return rows, size

    def _filled(self, points: Points, scratch: Points) -> None:
        size, offset = limits(scratch.info(), points.info()).batch, None
        while True:
            page = scratch.scroll(size, offset, True)
            points.upsert(page.text)
            if (offset := page.next) is None:
                return

    def put_back(self, archive: str) -> int:
        """See `stores.truncating.Truncating`: out of the snapshot restored beside it, so that settings and payload
        indexes stay as they are now. The snapshot goes last: a second try does all of it again.
        """
        made = self._listed().get(archive)
        if made is None:
            hint = "was it purged? See: reconcile kept list"
            raise StoreError(f"the snapshot {archive} is no longer there", where=str(self.place), hint=hint)
        points = Points(self.http, self.collection, _silent)
        hint = "nothing was changed. Where there is no room for it beside, have the server recover the snapshot itself"
        scratch = snapshots.beside(self.http, points, made, _WAIT, hint)
        try:
            points.delete_all(_WAIT)
            self._filled(points, scratch)
            rows = scratch.count()
        except StoreError as error:
            hint = "the snapshot is there still: once that is mended, reconcile backfill down again does all of it anew"
            raise StoreError(error.what, where=error.where, hint=hint) from error
        snapshots.discard(self.http, scratch)
        self.http.send("DELETE", f"{self.path}/snapshots/{made['name']}")
        return rows
