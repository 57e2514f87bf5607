"""Stops and deletes a sandbox when the process that made it is gone, however it went.

Started as `python -m reconcile.sandbox.guard FOLDER` with a pipe as its standard input. The pipe closes when
the other end's process ends — by itself, by SIGTERM or SIGKILL — and that is the signal; nothing is sent
through it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from reconcile.sandbox import Sandbox


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Guard a sandbox folder as long as this process lives; `release` ends it."""
    import reconcile

    paths = [str(Path(reconcile.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "reconcile.sandbox.guard", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,  # Ctrl-C reaches the whole process group; the guard must survive it
    )


def release(guard: subprocess.Popen[bytes]) -> None:
    """Let the guard clean up what is left, now, and wait until it has."""
    guard.communicate(timeout=60)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    Sandbox(Path(sys.argv[1]), given={}).down(delete=True)
