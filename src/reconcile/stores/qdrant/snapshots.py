"""Snapshots: made before anything that holds points is deleted, and restored beside it to see that they can be.

They stay in the server's snapshot folder when their collection goes. https://qdrant.tech/documentation/concepts/snapshots/
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import options, wire
from reconcile.stores.qdrant.equality import SAME, same_point
from reconcile.stores.qdrant.points import Points
from reconcile.stores.qdrant.transport import QdrantError, Transport

SCRATCH = "_reconcile_restored"
"""Where a snapshot is restored to be compared; its metadata says so, or it is not touched."""
RESTORED = "restored_from"
"""Key of our metadata entry in it."""
DEFAULT = "1GB"
"""`verify_snapshots:` of a store that does not say: larger ones are not restored."""
CHECKSUM_SECONDS = 10.0
"""How long the list may take until it has a snapshot as it was made."""
SHA256 = 64
"""Letters of a checksum."""
_UNITS = {"MB": 1e6, "GB": 1e9, "TB": 1e12}
_SAMPLE = 100
_SHOWN = 5
# What a restored segment is built by: other values would have the server index it again.
_SETTINGS = {"hnsw_config": "hnsw_config", "optimizer_config": "optimizers_config", "wal_config": "wal_config"}
_SETTINGS |= {"quantization_config": "quantization_config"}


def limit(setting: Json) -> float:
    """The largest snapshot, in bytes, that is restored to be compared.

    >>> limit("1.5 GB"), limit("never"), limit("always"), limit(None)
    (1500000000.0, -1.0, inf, 1000000000.0)
    """
    text = DEFAULT if setting is None else str(setting)
    if text in ("never", "always"):
        return -1.0 if text == "never" else float("inf")
    number, unit = re.fullmatch(r"([\d.]+)\s*(MB|GB|TB)", text).groups()  # type: ignore[union-attr]  # by the JSON Schema
    return float(number) * _UNITS[unit]


def snapshot(http: Transport, name: str, seconds: float, tell: Callable[[str], None]) -> str | None:
    """Make one, wait, see it listed with its size and checksum, restore and compare it; one line on it.

    None where `name` is gone, or is itself a snapshot that was restored.

    Raises:
        StoreError: it was not made, is not listed as it was made, or does not hold what it should: nothing may be
            deleted then.
    """
    points, path = Points(http, name, tell), wire.collection_path(name, "/snapshots")
    if not points.exists() or restored_from(points.info()["config"]) is not None:
        return None
    before = points.count()
    made = http.send("POST", f"{path}?wait=true", seconds=seconds)
    after = points.count()
    listed = listed_as_made(http, name, made)
    most = limit(http.spec.settings.get("verify_snapshots"))
    if listed["size"] <= most:
        number = _restored(http, points, listed, (before, after), seconds)
        checked = f"; restored and compared: {number:,} points"
    else:
        checked = "; not restored to be compared" + ("" if most < 0 else f": larger than {most / 1e6:,.0f} MB")
    checksum = f", sha256 {listed['checksum']}" if listed.get("checksum") else ""
    return (
        f"snapshot of {name}: {name}/{listed['name']} in the server's snapshot folder,"
        f" {listed['size'] / 1e6:.1f} MB{checksum}{checked}"
    )


def listed_as_made(http: Transport, name: str, made: Mapping[str, Json]) -> Mapping[str, Json]:
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


def _restored(
    http: Transport, points: Points, made: Mapping[str, Json], counts: tuple[int, int], seconds: float
) -> int:
    """Restore into a scratch collection, compare, delete that; how many points there were."""
    name, schema = points.name, points.info()["payload_schema"]
    points.tell(
        f"restoring the snapshot beside {name} to compare it ({int(made['size']) / 1e6:,.0f} MB, unpacked once more as"
        " much)"
    )
    hint = (
        "nothing was deleted. Where there is no room for it, or no way, set `verify_snapshots: never` (or a smaller"
        f" size) of the store {http.spec.name}; then: reconcile apply --resume"
    )
    scratch = beside(http, points, made, seconds, hint)
    wrong = _differs(points, scratch, counts, schema)
    number = scratch.count()
    discard(http, scratch)
    if wrong:
        raise StoreError(
            f"the snapshot {made['name']} of {name} was restored beside it, and {wrong}",
            where=f"store {http.spec.name}",
            hint="nothing was deleted. If somebody still writes to it, stop that; of a cluster, a snapshot holds what"
            " one node has: save it by other means, and set `verify_snapshots: never`; then: reconcile apply --resume",
        )
    return number


def beside(http: Transport, points: Points, made: Mapping[str, Json], seconds: float, hint: str) -> Points:
    """A snapshot of a collection restored into a scratch collection, which is to be discarded.

    Args:
        made: the server's line on the snapshot.
        hint: what to do where it cannot be.

    Raises:
        StoreError: it could not be restored; the collection itself is as it was.
    """
    name, scratch = points.name, Points(http, SCRATCH, points.tell)
    place, config = wire.collection_path(SCRATCH), points.info()["config"]
    discard(http, scratch)
    body = {**config["params"], "metadata": {options.OURS: {RESTORED: name}}}
    body |= {asked: config[shown] for shown, asked in _SETTINGS.items() if config.get(shown) is not None}
    try:
        http.send("PUT", place, body)
        for key in shard_keys(http, name, config):
            http.send("PUT", f"{place}/shards", {"shard_key": key})
        source = f"{wire.collection_path(name)}/snapshots/{made['name']}"
        checksum = f"&checksum={made['checksum']}" if made.get("checksum") else ""
        http.relay(source, f"{place}/snapshots/upload?wait=true{checksum}", made["name"], int(made["size"]), seconds)
    except QdrantError as error:
        discard(http, scratch, error)
        raise StoreError(
            f"the snapshot {made['name']} of {name} could not be restored beside it: {error.what}",
            where=f"store {http.spec.name}",
            hint=hint,
        ) from error
    return scratch


def shard_keys(http: Transport, name: str, config: Mapping[str, Any]) -> list[Json]:
    """What a collection with custom sharding is divided by, in the order in which it was: shards have numbers."""
    if config["params"].get("sharding_method") != "custom":
        return []
    seen = http.send("GET", wire.collection_path(name, "/cluster"))
    shards = sorted(seen["local_shards"] + seen["remote_shards"], key=lambda shard: shard["shard_id"])
    return list(dict.fromkeys(shard["shard_key"] for shard in shards if shard.get("shard_key") is not None))


def _differs(points: Points, scratch: Points, counts: tuple[int, int], schema: Mapping[str, Json]) -> str | None:
    """What a restored collection has otherwise than the one it was made of."""
    number = scratch.count()
    if not min(counts) <= number <= max(counts):
        return f"holds {number:,} points of {counts[1]:,}"
    there = {field: index["data_type"] for field, index in scratch.info()["payload_schema"].items()}
    if there != {field: index["data_type"] for field, index in schema.items()}:
        return f"has payload indexes on {', '.join(sorted(there)) or 'nothing'}"
    found = {p["id"]: p for p in scratch.some(_SAMPLE, True)}
    live = points.retrieve(list(found), True)
    other = [str(i) for i, point in found.items() if i not in live or not same_point(live[i], point, SAME)]
    return f"{len(other)} of {len(found)} points looked at differ (ids {', '.join(other[:_SHOWN])})" if other else None


def discard(http: Transport, scratch: Points, cause: BaseException | None = None) -> None:
    """Delete what an earlier check, or this one, has restored.

    Raises:
        StoreError: the collection is somebody else's.
    """
    if not scratch.exists():
        return
    if restored_from(scratch.info()["config"]) is None:
        raise StoreError(
            f"a collection {scratch.name} is in the way, and is none of this tool's",
            where=f"store {http.spec.name}",
            hint="rename what makes it, or set `verify_snapshots: never` of the store",
        ) from cause
    http.send("DELETE", wire.collection_path(scratch.name))


def restored_from(config: Mapping[str, Any]) -> str | None:
    """Of which collection the snapshot was that this one was restored from; None where it is another."""
    entry = (config.get("metadata") or {}).get(options.OURS)
    return entry.get(RESTORED) if isinstance(entry, dict) else None
