"""Sets of ids on disk, compared without holding them: memory is the same for a hundred and for a hundred million.

Each set is a SQLite file of its own, so that several are filled at once; the ids are sorted there (SQLite sorts in
files beyond its cache), and differences are found by walking one in order and looking into the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_BATCH = 10_000
_CACHE = 4 * 1024
"""KiB of each file that SQLite holds, and of what it sorts at a time; more was slower."""


@dataclass(frozen=True)
class Part:
    """Some ids of a set: how many there are, and the first of them; numbers in their order."""

    count: int = 0
    sample: tuple[str, ...] = ()


NONE = Part()


@dataclass(frozen=True)
class IdSet:
    """A set that has been read."""

    path: Path
    count: int
    """Different ids."""
    repeated: Part
    """Those that came more than once."""
    without: int = 0
    """How many came without an id."""


def fill(path: Path, ids: Iterable[str | None], sample: int) -> IdSet:
    """Write all of `ids` to the file.

    Args:
        path: does not exist yet.
        ids: None for what has no id, which is only counted.
        sample: how many repeated ids to name.
    """
    connection = _open(path)
    try:
        connection.execute("CREATE TABLE arrived (id TEXT NOT NULL)")
        batches, without = iter(ids), 0
        while batch := list(islice(batches, _BATCH)):
            present = [(i,) for i in batch if i is not None]
            without += len(batch) - len(present)
            connection.executemany("INSERT INTO arrived VALUES (?)", present)
        connection.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID")
        connection.execute("INSERT INTO ids SELECT id, count(*) FROM arrived GROUP BY id ORDER BY id")
        connection.execute("DROP TABLE arrived")
        (count,) = connection.execute("SELECT count(*) FROM ids").fetchone()
        repeated = _part(connection, "ids WHERE times > 1", sample)
        connection.commit()
        return IdSet(path, count, repeated, without)
    finally:
        connection.close()


def missing(original: IdSet, other: IdSet, sample: int) -> Part:
    """What is in `original` and not in `other`."""
    connection = _open(original.path)
    try:
        connection.execute("ATTACH ? AS other", (str(other.path),))
        connection.execute(f"PRAGMA other.cache_size = -{_CACHE}")
        connection.execute(
            "CREATE TEMP TABLE lacking AS SELECT id FROM main.ids i"
            " WHERE NOT EXISTS (SELECT 1 FROM other.ids o WHERE o.id = i.id)"
        )
        return _part(connection, "lacking", sample)
    finally:
        connection.close()


def _part(connection: sqlite3.Connection, source: str, sample: int) -> Part:
    (count,) = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
    if not count:
        return NONE
    rows = connection.execute(f"SELECT id FROM {source} ORDER BY length(id), id LIMIT ?", (sample,))
    return Part(count, tuple(row[0] for row in rows))


def _open(path: Path) -> sqlite3.Connection:
    import sqlite3  # every command imports this module, and one opens a set

    connection = sqlite3.connect(path)
    for setting in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{_CACHE}"):
        connection.execute(f"PRAGMA {setting}")
    return connection
