"""Where the files of the tests lie: in memory, where there is plenty of it.

On a disk, creating and dropping a database takes a quarter of a second of processor time, and a collection of Qdrant
more; in memory a tenth of that.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
PLENTY = 8 << 30
"""Bytes. A run with three workers fills less than a quarter of it."""


def in_memory(variables: dict[str, str] | os._Environ[str], place: Path = MEMORY, plenty: int = PLENTY) -> bool:
    """Let TMPDIR name a place in memory, for pytest and for the servers; whether that was done.

    Not where it is set already, where there is less than `plenty`, or where programs may not be run.
    """
    if "TMPDIR" in variables or not os.access(place, os.W_OK | os.X_OK):
        return False
    there = os.statvfs(place)
    room = min(there.f_bavail * there.f_frsize, _available())
    if room < plenty or there.f_flag & os.ST_NOEXEC:
        return False
    variables["TMPDIR"] = str(place)
    tempfile.tempdir = None  # pytest has asked for it already, to capture what is printed
    return True


def _available() -> int:
    """Bytes of memory that this machine, or what it is confined to, has left."""
    free = re.search(r"^MemAvailable: +(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    limit, used = _text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory.current")
    left = [int(free[1]) << 10] if free else [0]
    return min(left + ([int(limit) - int(used)] if limit.strip().isdigit() and used.strip().isdigit() else []))


def _text(file: str) -> str:
    try:
        return Path(file).read_text()
    except OSError:
        return ""
