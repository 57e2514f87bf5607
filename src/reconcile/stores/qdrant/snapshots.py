"""Snapshots: made and checked before anything that holds points is deleted.

They stay in the server's snapshot folder when their collection goes. https://qdrant.tech/documentation/concepts/snapshots/
"""

from __future__ import annotations

from reconcile.errors import StoreError
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.transport import QdrantError, Transport


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
    listed = {s["name"]: s for s in http.send("GET", path)}.get(made["name"])
    wrong = listed is None or not made["size"] or any(listed.get(k) != made.get(k) for k in ("size", "checksum"))
    if wrong:
        raise StoreError(
            f"the snapshot {made['name']} of {name} is not listed as it was made",
            where=f"store {http.spec.name}",
            hint="nothing was deleted; look at the server's log and its snapshot folder",
        )
    checksum = f", sha256 {made['checksum']}" if made.get("checksum") else ""
    return (
        f"snapshot of {name}: {name}/{made['name']} in the server's snapshot folder,"
        f" {made['size'] / 1e6:.1f} MB{checksum}"
    )
