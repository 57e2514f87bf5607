"""Collections into files and back: snapshots of the server, downloaded with their checksum; aliases beside them.

A snapshot has configuration, payload indexes and points; an alias is in none. The tool's own collection is left out.
https://qdrant.tech/documentation/concepts/snapshots/
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reconcile.backups import Contents
from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.backups import Made, Tell
from reconcile.stores.qdrant import options, wire
from reconcile.stores.qdrant.points import Points, Size
from reconcile.stores.qdrant.snapshots import SCRATCH, listed_as_made, shard_keys
from reconcile.stores.qdrant.transport import QdrantError, Transport

SECONDS = 6 * 3600.0
"""How long a snapshot may take to make or to restore."""
TRIAL = "_reconcile_restore_"
"""How the names of collections begin that a restore is tried with."""
_HEX = 16
_SUM = 1 << 64
_PAGE = 1000
_STANDING = ("params", "hnsw_config", "optimizer_config", "wal_config", "quantization_config", "strict_mode_config")


class Backup:
    """Of one server.

    Args:
        prefix: before the names of collections and aliases that are restored: where a restore is only tried.
    """

    def __init__(self, http: Transport, prefix: str = "") -> None:
        self.http, self.prefix = http, prefix
        self.place = f"store {http.spec.name}"
        self._compares = bool((http.spec.settings.get("backup") or {}).get("compare", True))

    # --- saving ------------------------------------------------------------------------------------------------------

    def back_up(self, folder: Path, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        self._refuse_cluster()
        collections: list[Json] = []
        counts, hashes = dict[str, int](), dict[str, str]()
        notes = []
        for number, name in enumerate(self._names(), 1):
            tell(f"snapshot of {name}")
            file = f"collection-{number}.snapshot"
            before = self._hashed(name) if self._compares else None
            info = Points(self.http, name, tell).info()
            checksum = self._saved(name, folder / file, tell)
            after = self._hashed(name) if self._compares else (Points(self.http, name, tell).count(), "")
            key = f"collection {name}"
            counts[key] = after[0]
            if before == after:
                hashes[key] = after[1]
            elif self._compares:
                notes.append(f"collection {name} was written to meanwhile: its content is not compared")
            for field in info["payload_schema"]:
                counts[f"payload index {name}.{field}"] = 1
            collections.append(
                {
                    "name": name,
                    "file": file,
                    "checksum": checksum,
                    "config": {k: info["config"].get(k) for k in _STANDING},
                    "shard_keys": shard_keys(self.http, name, info["config"]),
                }
            )
        aliases = self._aliases()
        for alias, target in aliases.items():
            counts[f"alias {alias}"], hashes[f"alias {alias}"] = 1, target
        return Made(Contents(counts, hashes), {"collections": collections, "aliases": aliases}, tuple(notes))

    def _refuse_cluster(self) -> None:
        """A snapshot holds what one node has."""
        try:
            found = self.http.send("GET", "/cluster")
        except QdrantError as error:
            if error.status in (403, 404):
                return
            raise
        if len(found.get("peers") or {}) > 1:
            raise StoreError(
                f"the server is a cluster of {len(found['peers'])} nodes, and a snapshot holds what one of them has",
                where=self.place,
                hint="back it up by a program of yours: `backup: {command: [PROGRAM, …]}` of the store",
            )

    def _names(self) -> list[str]:
        found = [str(c["name"]) for c in self.http.send("GET", "/collections")["collections"]]
        if self.prefix:
            return sorted(name for name in found if name.startswith(self.prefix))
        return sorted(name for name in found if name not in (options.MARK, SCRATCH) and not name.startswith(TRIAL))

    def _aliases(self) -> dict[str, str]:
        found = self.http.send("GET", "/aliases")["aliases"]
        return {a["alias_name"]: a["collection_name"] for a in found if a["alias_name"].startswith(self.prefix)}

    def _saved(self, name: str, file: Path, tell: Tell) -> str:
        """Make a snapshot, download it, delete it from the server; its sha256."""
        path = wire.collection_path(name, "/snapshots")
        made = self.http.send("POST", f"{path}?wait=true", seconds=SECONDS)
        place = f"{path}/{quote(made['name'], safe='')}"
        try:
            listed = listed_as_made(self.http, name, made)
            tell(f"{name}: downloading {listed['size'] / 1e6:,.1f} MB")
            size, checksum = self.http.download(place, file)
            if size != listed["size"] or listed.get("checksum") not in (None, checksum):
                raise StoreError(
                    f"the snapshot of {name} did not arrive whole: {size:,} bytes with sha256 {checksum}, of"
                    f" {listed['size']:,} with {listed.get('checksum')}",
                    where=self.place,
                    hint="try again; if it happens again, look at what stands between here and the server",
                )
        finally:
            self.http.send("DELETE", f"{place}?wait=true")
        return checksum

    def _hashed(self, name: str) -> tuple[int, str]:
        """How many points, and a hash of all of them."""
        points, size, number, total, offset = Points(self.http, name, lambda detail: None), Size(_PAGE), 0, 0, None
        while True:
            page = points.scroll(size.now, offset, True)
            found = page.points()
            size.learn(len(found), len(page.text))
            for point in found:
                text = json.dumps(point, sort_keys=True, separators=(",", ":"))
                total += int(hashlib.blake2b(text.encode(), digest_size=8).hexdigest(), 16)
            number += len(found)
            if page.next is None:
                return number, f"{total % _SUM:0{_HEX}x}"
            offset = page.next

    # --- putting back ------------------------------------------------------------------------------------------------

    def in_the_way(self) -> list[str]:
        """See `BacksUp.in_the_way`."""
        counts = {name: Points(self.http, name, lambda detail: None).count() for name in self._names()}
        return [f"collection {name} ({count:,} points)" for name, count in counts.items()] + [
            f"alias {alias} of {target}" for alias, target in sorted(self._aliases().items())
        ]

    def contents(self) -> Contents:
        """See `BacksUp.contents`."""
        counts, hashes, cut = {}, {}, len(self.prefix)
        for name in self._names():
            key = f"collection {name[cut:]}"
            counts[key], hashes[key] = self._hashed(name)
            for field in Points(self.http, name, lambda detail: None).info()["payload_schema"]:
                counts[f"payload index {name[cut:]}.{field}"] = 1
        for alias, target in self._aliases().items():
            counts[f"alias {alias[cut:]}"], hashes[f"alias {alias[cut:]}"] = 1, target[cut:]
        return Contents(counts, hashes)

    def clear(self) -> None:
        """Delete every collection, the tool's own left out; aliases go with them."""
        for name in self._names():
            self.http.send("DELETE", wire.collection_path(name), seconds=SECONDS)

    def put_back(self, folder: Path, made: Made, replace: bool, tell: Tell) -> list[str]:
        """See `BacksUp.put_back`."""
        if replace:
            self.clear()
        for entry in made.facts["collections"]:
            self._restored(folder / entry["file"], entry, tell)
        actions = [
            {"create_alias": {"alias_name": self.prefix + alias, "collection_name": self.prefix + target}}
            for alias, target in sorted(made.facts["aliases"].items())
        ]
        if actions:
            self.http.send("POST", "/collections/aliases", {"actions": actions})
        return []

    def _restored(self, file: Path, entry: Mapping[str, Any], tell: Tell) -> None:
        name = self.prefix + entry["name"]
        path = wire.collection_path(name)
        tell(f"restoring {name}")
        if entry["shard_keys"]:  # a snapshot alone does not make them
            self.http.send("PUT", path, entry["config"]["params"])
            for key in entry["shard_keys"]:
                self.http.send("PUT", f"{path}/shards", {"shard_key": key})
        target = f"{path}/snapshots/upload?wait=true&priority=snapshot&checksum={entry['checksum']}"
        self.http.upload(file, target, SECONDS)
        config = Points(self.http, name, tell).info()["config"]
        if lost := [k for k, v in entry["config"].items() if v is not None and config.get(k) != v]:
            raise StoreError(
                f"collection {name} was restored, but its {', '.join(lost)} is not as it was",
                where=self.place,
                hint="is this server of the version that the snapshot is of?",
            )


def inspect(folder: Path, made: Made) -> Sequence[str]:
    """See `Inspects.inspect`: whether each snapshot is an archive with a collection's configuration in it."""
    found = []
    for entry in made.facts["collections"]:
        try:
            with tarfile.open(folder / entry["file"]) as archive:
                if "config.json" not in {member.name.removeprefix("./") for member in archive}:
                    found.append(f"{entry['file']}: holds no configuration of a collection")
        except (OSError, tarfile.TarError) as error:
            found.append(f"{entry['file']}: is no snapshot: {error}")
    return found
