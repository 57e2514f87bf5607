"""Numbers by number, in a file that is deleted: tables of a graph's elements that no memory has to hold."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

_STEP = 1 << 24
_WIDTH = 8


class Numbers:
    """64-bit numbers by index, absent until they are set. The server numbers its elements densely from 0 on."""

    def __init__(self, folder: Path | None = None) -> None:
        """Where the file is while it lasts: by default the system's folder of temporary files."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self._size = 0
        self._map: mmap.mmap | None = None
        self._bits: mmap.mmap | None = None
        self._there = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def _grow(self, index: int) -> None:
        self._size = (index // _STEP + 1) * _STEP
        for file, width in ((self._file, _WIDTH), (self._there, 1)):
            os.truncate(file.fileno(), self._size * width)
        for old in (self._map, self._bits):
            if old is not None:
                old.close()
        self._map = mmap.mmap(self._file.fileno(), self._size * _WIDTH)
        self._bits = mmap.mmap(self._there.fileno(), self._size)

    def __setitem__(self, index: int, value: int) -> None:
        if index >= self._size:
            self._grow(index)
        assert self._map is not None and self._bits is not None
        self._map[index * _WIDTH : (index + 1) * _WIDTH] = value.to_bytes(_WIDTH, "big")
        self._bits[index] = 1

    def get(self, index: int) -> int | None:
        """The number at an index; None where none was set."""
        if index >= self._size or self._map is None or self._bits is None or not self._bits[index]:
            return None
        return int.from_bytes(self._map[index * _WIDTH : (index + 1) * _WIDTH], "big")

    def close(self) -> None:
        """Delete it."""
        for inner in (self._map, self._bits, self._file, self._there):
            if inner is not None:
                inner.close()
