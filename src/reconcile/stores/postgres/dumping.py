"""pg_dump at work: what it writes comes through a pipe, so that it ends when we do, however that is."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PIECE = 1 << 20


class Dump:
    """One pg_dump, and the file for its owner alone that it fills."""

    def __init__(self, line: Sequence[str], environment: Mapping[str, str], file: Path) -> None:
        self._file = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._error: OSError | None = None
        self._process = subprocess.Popen(
            line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._said = collected(self._process.stderr)
        self._thread = threading.Thread(target=self._copy, args=(self._process.stdout,), daemon=True)
        self._thread.start()

    def _copy(self, stream: IO[bytes]) -> None:
        try:
            with self._file as handle:
                while piece := stream.read(_PIECE):
                    handle.write(piece)
        except OSError as error:
            self._error = error
            self._process.terminate()

    def failure(self) -> str | None:
        """Wait for its end: what it said where it failed.

        Raises:
            OSError: the file cannot be written.
        """
        self._thread.join()
        status = self._process.wait()
        if self._error is not None:
            raise self._error
        return self._said() if status else None

    def close(self) -> None:
        """End it, if it still works."""
        if self._process.poll() is None:
            self._process.terminate()
        self._thread.join()
        self._process.wait()


def collected(stream: IO[bytes]) -> Callable[[], str]:
    """Read a stream to its end beside us; what gives all it said."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(stream.read()), daemon=True)
    thread.start()

    def text() -> str:
        thread.join()
        return b"".join(found).decode(errors="replace")

    return text
