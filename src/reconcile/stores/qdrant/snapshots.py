"""Snapshots: made and checked before anything that holds points is deleted.

They stay in the server's snapshot folder when their collection goes. https://qdrant.tech/documentation/concepts/snapshots/
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.transport import QdrantError, Transport

CHECKSUM_SECONDS = 10.0
"""How long the list may take until it has a snapshot as it was made."""
SHA256 = 64
"""Letters of a checksum."""


def snapshot(http: Transport, name: str, seconds: float) -> str | None:
    """Make one, wait, and see it listed with its size and checksum; one line on it. None where `name` is gone.

    Raises:
        StoreError: it was not made, or is not listed as it was made: nothing may be deleted then.
    """
    path = wire.collection_path(name, "/snapshots")
    try:
        made = http.send("POST", f"{path}?wait=true", seconds=seconds)
    except QdrantError as error:
        if error.status == 404 and not http.send("GET", wire.collection_path(name, "/exists"))["exists"]:
            return None
        raise
    listed = _listed(http, name, made)
    checksum = f", sha256 {listed['checksum']}" if listed.get("checksum") else ""
    return (
        f"snapshot of {name}: {name}/{made['name']} in the server's snapshot folder,"
        f" {listed['size'] / 1e6:.1f} MB{checksum}"
    )


def _listed(http: Transport, name: str, made: Mapping[str, Json]) -> Mapping[str, Json]:
    """The line of the server's list on a snapshot it has `made`, once that has its size and its checksum.

    Qdrant 1.16 answers before the file with the checksum is flushed: the answer, or the list, may have none of it yet,
    or a part of it.

    Raises:
        StoreError: it is not listed, or as something else than was made.
    """
    path = wire.collection_path(name, "/snapshots")
    until = time.monotonic() + CHECKSUM_SECONDS
    while True:
        listed = {s["name"]: s for s in http.send("GET", path)}.get(made["name"])
        wrong = _wrong(made, listed or {})
        if listed is not None and wrong is None:
            return listed  # type: ignore[no-any-return]
        if time.monotonic() > until:
            raise StoreError(
                f"the snapshot {made['name']} of {name} is not listed as it was made: {wrong}",
                where=f"store {http.spec.name}",
                hint="nothing was deleted; look at the server's log and its snapshot folder",
            )
        time.sleep(0.05)


def _wrong(made: Mapping[str, Json], listed: Mapping[str, Json]) -> str | None:
    """What a snapshot is listed with otherwise than the server said when it was made."""
    if not listed:
        return "it is not in the list"
    if not listed["size"] or listed["size"] != made["size"]:
        return f"{listed['size']:,} bytes of {made['size']:,}"
    first, now = made.get("checksum"), listed.get("checksum")  # servers before 1.7 have none
    if (now is None and first is None) or (len(now or "") == SHA256 and str(now).startswith(first or "")):
        return None
    return f"its checksum is {now or 'missing'}, not {first or 'missing'}"
