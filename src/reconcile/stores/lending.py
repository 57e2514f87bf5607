"""An empty server of the sandbox's, to try a restore in: where a store has no place of its own for that."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reconcile.errors import StoreError


@contextmanager
def lent(kind: str, place: str) -> Iterator[Mapping[str, str]]:
    """How to reach one, as settings of a store; it is gone afterwards, however this process ends.

    Raises:
        StoreError: there is none on this machine.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "reconcile.sandbox.lend", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt of this process must not reach the one that cleans up
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or b'{"problem": "the process that starts it ended"}')
        if "url" not in said:
            raise StoreError(
                f"there is no server to restore into for a try: {said['problem']}",
                where=place,
                hint="pip install 'reconcile-schema[sandbox]', or restore into another environment",
            )
        yield said
    finally:
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.terminate()
