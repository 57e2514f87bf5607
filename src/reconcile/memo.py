"""What a reading of files came to, kept in the user's cache folder for the next command.

An entry is found by a hash of the very bytes it was made from, this program's own code among them: it can be
missing, and then the files are read, but never out of date. Like Python's own `.pyc` files it is trusted only where
nobody but the user can write.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from reconcile import schemas

OFF = "off"
VARIABLE = "RECONCILE_CACHE"
"""A folder, or `off`."""
KEPT = 32
"""Entries; those used last stay."""


def folder() -> Path | None:
    """Where entries are: $RECONCILE_CACHE, or `reconcile/read` in the user's cache folder; None where there is none."""
    asked = os.environ.get(VARIABLE)
    if asked == OFF:
        return None
    if asked:
        return Path(asked)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "reconcile" / "read"
    except RuntimeError:  # no home
        return None


@cache
def code() -> bytes:
    """A hash of this program and of the Python it runs on: what they make of a file may change with them.

    Of the program's files it takes size and time of change, by which Python itself tells whether a `.pyc` is current.
    """
    total = hashlib.sha256(sys.version.encode())
    for top in (str(Path(__file__).parent), *map(str, schemas.FOLDERS)):
        for where, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".py", ".json")):
                    found = os.stat(os.path.join(where, name))  # noqa: PTH116, PTH118  # pathlib takes four times as long
                    total.update(f"{where}/{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return total.digest()


def get(key: str) -> list[Any] | None:
    """The parts that were kept under `key`, or None: not there, not readable, or writable for others."""
    where = folder()
    if where is None:
        return None
    path = where / key
    try:
        with path.open("rb") as file:
            if not all(_mine(s) for s in (os.fstat(file.fileno()), where.stat())):
                return None
            size, found = os.fstat(file.fileno()).st_size, list[Any]()
            while file.tell() < size:
                found.append(pickle.load(file))  # only what this user wrote
        path.touch()
    except Exception:  # a torn or foreign file is as good as none
        return None
    return found


def put(key: str, *parts: object) -> None:
    """Keep `parts` under `key`, and only the entries used last; where nothing can be written, nothing is kept.

    Each part is written and read by itself: to read one takes half as much memory again as it has.
    """
    where = folder()
    if where is None:
        return
    with contextlib.suppress(OSError):
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _mine(where.stat()):
            return
        handle, name = tempfile.mkstemp(dir=where, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as file:
                for part in parts:
                    pickle.dump(part, file, protocol=5)
            Path(name).replace(where / key)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _forget(where)


def _forget(where: Path) -> None:
    entries = sorted(where.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in entries[KEPT:]:
        path.unlink(missing_ok=True)


def _mine(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
