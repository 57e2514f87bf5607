"""Some of the keys: found with SCAN alone, their types and times to live asked for a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconcile.model import Json
from reconcile.stores.redis.wire import Wire, raw, text

MARK = "reconcile:mark"
"""The key that says whose the database is. It may be evicted: then nobody's."""
KEYS, SECONDS = 10_000, 5.0
"""How many are looked at, and for how long, unless the store's `sample:` says otherwise."""
AT_ONCE = 500
TYPES = {"ReJSON-RL": "json", "TSDB-TYPE": "timeseries", "MBbloom--": "bloom"}
"""What `TYPE` says of modules' own structures, and what they are called here."""


@dataclass(frozen=True)
class Key:
    """One key: its name, what `TYPE` says, its time to live in ms (-1: it has none)."""

    name: str
    type: str
    ttl: int


@dataclass(frozen=True)
class Sample:
    """What was looked at."""

    keys: tuple[Key, ...]
    of: int
    """How many the database holds."""
    whole: bool
    """Whether these are all there were."""


def bounds(settings: Mapping[str, Json]) -> tuple[int, float]:
    """Most keys, and the longest time, of a store."""
    sample: Mapping[str, Json] = settings.get("sample") or {}
    return int(sample.get("keys", KEYS)), float(sample.get("seconds", SECONDS))


def look(wire: Wire, most: int, seconds: float) -> Sample:
    """Keys of the database until one of the bounds is reached. Reads only; `SCAN` gives them in no order of theirs.

    Raises:
        RedisError: the user may not.
    """
    until = time.monotonic() + seconds
    found: dict[str, Key] = {}
    whole = True
    for names in batches(wire, None, min(AT_ONCE, most)):
        new = [name for name in dict.fromkeys(names) if name not in found and name != MARK]
        room = most - len(found)
        found |= {key.name: key for key in _told(wire, new[:room])}
        if len(new) > room or time.monotonic() > until:
            whole = False
            break
    held = int(wire.ask("DBSIZE")) - int(wire.ask("EXISTS", MARK))
    return Sample(tuple(found.values()), max(held, len(found)), whole)


def batches(wire: Wire, glob: str | None, count: int) -> Iterator[list[str]]:
    """The names that one whole `SCAN` gives, a batch at a time; a name may come more than once."""
    cursor: str | bytes = "0"
    match = ("MATCH", raw(glob)) if glob is not None else ()
    while True:
        cursor, names = wire.ask("SCAN", cursor, *match, "COUNT", count)
        yield [text(name) for name in names]
        if cursor == b"0":
            return


def _told(wire: Wire, names: list[str]) -> Iterator[Key]:
    words = [(command, raw(name)) for name in names for command in ("TYPE", "PTTL")]
    answers = iter(wire.pipe(words)) if words else iter(())
    for name, kind, ttl in zip(names, answers, answers, strict=True):
        if ttl != -2:  # it is gone meanwhile
            yield Key(name, TYPES.get(text(kind), text(kind)), int(ttl))
