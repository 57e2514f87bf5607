"""The keys of a database into a file and back: `DUMP` and `RESTORE`, with the moment each expires.

Configuration and search indexes are in no backup: they are declared, and an apply makes them. So are no passwords.
https://redis.io/docs/latest/commands/restore/
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

from reconcile.backups import Contents
from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.backups import Made, Tell
from reconcile.stores.redis.sampling import MARK, batches
from reconcile.stores.redis.wire import Wire, raw, text

KEYS = "keys.jsonl.gz"
MOST = 1_000_000
"""Keys: their names are held in memory, and each is read alone."""
AT_ONCE, BYTES = 500, 4_000_000
_SUM = 1 << 64
_LEVEL = 3
_FOOTER = 10
"""Bytes at the end of a DUMP: the version of the format, and a checksum."""
_UNORDERED = {"set": "SMEMBERS", "hash": "HGETALL"}
"""Types whose payload may differ for one content."""


class Backup:
    """Of one database of a server that is no cluster."""

    def __init__(self, wire: Wire, info: Mapping[str, str]) -> None:
        self.wire, self.info = wire, info

    def back_up(self, folder: Path, indexes: Sequence[str], tell: Tell) -> Made:
        """See `BacksUp.back_up`.

        Args:
            indexes: search indexes there are.
        """
        if self.info.get("redis_mode") == "cluster":
            raise self._refused("a node of a cluster holds a part of the keys")
        sums = _Sums()
        with gzip.open(folder / KEYS, "wb", compresslevel=_LEVEL) as handle:
            for number, (name, expires, payload, digest) in enumerate(self._keys(), 1):
                sums.add(expires, digest)
                entry = {"key": _coded(name), "expires": expires, "dump": _coded(payload)}
                handle.write(json.dumps(entry).encode() + b"\n")
                if number % 100_000 == 0:
                    tell(f"{number:,} keys")
        notes = ["configuration is not in it: what is declared comes back by an apply"]
        if indexes:
            notes.append(f"nor are search indexes: {', '.join(sorted(indexes))}")
        if sums.expiring:
            notes.append(f"{sums.expiring:,} keys that expire are in it, and not compared after a restore")
        facts: dict[str, Json] = {"version": self.info["redis_version"], "keys": sums.persistent + sums.expiring}
        return Made(sums.contents(), facts, tuple(notes))

    def contents(self) -> Contents:
        """See `BacksUp.contents`."""
        sums = _Sums()
        for _, expires, _, digest in self._keys():
            sums.add(expires, digest)
        return sums.contents()

    def in_the_way(self) -> list[str]:
        """See `BacksUp.in_the_way`."""
        count = int(self.wire.ask("DBSIZE")) - int(self.wire.ask("EXISTS", MARK))
        return [f"{count:,} keys"] if count > 0 else []

    def put_back(self, folder: Path, made: Made, replace: bool, tell: Tell) -> list[str]:
        """See `BacksUp.put_back`: `REPLACE`, so that a key which was sent before is no error."""
        ours, theirs = _numbers(self.info["redis_version"]), _numbers(str(made.facts["version"]))
        if ours < theirs:
            what = f"the backup is of Redis {made.facts['version']}, this server is {self.info['redis_version']}"
            raise StoreError(
                f"{what}: nothing was changed",
                where=self.wire.place,
                hint="restore into a server of the same version, or a later one",
            )
        if replace:
            tell("deleting what there is")
            self._empty()
        with gzip.open(folder / KEYS) as lines:
            for batch in _batches(lines):
                self.wire.pipe(batch)
        return []

    def _empty(self) -> None:
        """All keys but the tool's mark, which says that a restore is under way."""
        for names in batches(self.wire, None, AT_ONCE):
            if gone := [raw(name) for name in names if name != MARK]:
                self.wire.ask("UNLINK", *gone)

    def _keys(self) -> Iterator[tuple[bytes, int | None, bytes, int]]:
        """Name, moment in ms when it expires, payload, and a hash of what it holds; the tool's mark left out."""
        seen: set[str] = set()
        for found in batches(self.wire, None, AT_ONCE):
            names = [name for name in dict.fromkeys(found) if name not in seen and name != MARK]
            seen.update(names)
            if len(seen) > MOST:
                raise self._refused(f"it holds more than {MOST:,} keys")
            for name in names:
                if (read := self._read(raw(name))) is not None:
                    yield read

    def _read(self, name: bytes) -> tuple[bytes, int | None, bytes, int] | None:
        """None where it has gone meanwhile."""
        kind, left, payload = self.wire.pipe([("TYPE", name), ("PTTL", name), ("DUMP", name)])
        if payload is None:
            return None
        content = self._content(name, text(kind), payload)
        if content is None:
            return None
        expires = round(time.time() * 1000) + int(left) if int(left) >= 0 else None
        digest = hashlib.blake2b(content, digest_size=8, key=hashlib.sha256(name).digest()).hexdigest()
        return name, expires, payload, int(digest, 16)

    def _content(self, name: bytes, kind: str, payload: bytes) -> bytes | None:
        if kind not in _UNORDERED:
            return payload[:-_FOOTER]
        found = cast(list[bytes], self.wire.ask(_UNORDERED[kind], name))
        step = 2 if kind == "hash" else 1
        parts = sorted(found[at : at + step] for at in range(0, len(found), step))
        return json.dumps([[_coded(part) for part in pair] for pair in parts]).encode() if found else None

    def _refused(self, why: str) -> StoreError:
        return StoreError(
            f"this Redis cannot be saved by the tool: {why}",
            where=self.wire.place,
            hint="back it up by a program of yours: `backup: {command: [PROGRAM, …]}` of the store",
        )


class _Sums:
    """Counts and a hash while they grow."""

    def __init__(self) -> None:
        self.persistent = self.expiring = self._hash = 0

    def add(self, expires: int | None, digest: int) -> None:
        if expires is not None:
            self.expiring += 1
            return
        self.persistent += 1
        self._hash = (self._hash + digest) % _SUM

    def contents(self) -> Contents:
        return Contents({"keys": self.persistent}, {"keys": f"{self._hash:016x}"})


def _batches(lines: Iterator[bytes] | gzip.GzipFile) -> Iterator[list[tuple[str | bytes | int, ...]]]:
    """Commands that restore what lines of the file say, as many as go in one message."""
    waiting: list[tuple[str | bytes | int, ...]] = []
    size, now = 0, time.time() * 1000
    for line in lines:
        entry = json.loads(line)
        expires = entry["expires"]
        if expires is not None and expires <= now:
            continue
        words = ("RESTORE", base64.b64decode(entry["key"]), expires or 0, base64.b64decode(entry["dump"]), "REPLACE")
        waiting.append((*words, "ABSTTL") if expires is not None else words)
        size += len(line)
        if len(waiting) >= AT_ONCE or size >= BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _coded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in islice(version.split("."), 2))


def inspect(folder: Path, made: Made) -> list[str]:
    """See `Inspects.inspect`: whether the file can be unpacked to its end, and has as many lines as there were keys."""
    try:
        with gzip.open(folder / KEYS) as handle:
            lines = sum(1 for _ in handle)
    except (OSError, EOFError) as error:
        return [f"{KEYS}: cannot be unpacked: {error}"]
    wanted = int(made.facts["keys"])
    return [] if lines == wanted else [f"{KEYS}: {lines:,} lines instead of {wanted:,}"]
