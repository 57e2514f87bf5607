"""Whole processes, measured: wall time, CPU time and peak memory of each, as medians over several runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class Failed(Exception):
    """A command did not end as it should; its last line."""


@dataclass(frozen=True)
class Sample:
    """What one process took. CPU time is its own: the server's is in the wall time only."""

    wall: float
    cpu: float
    memory: float
    """MB, at the peak."""
    output: str = ""


def run(command: Sequence[str], environment: Mapping[str, str], expect: Sequence[int] = (0,)) -> Sample:
    """One process from start to end.

    Raises:
        Failed: it ended with none of `expect`.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode not in expect:
        lines = [line for line in text.splitlines() if line.strip()]
        raise Failed(f"{Path(command[0]).name} ended with {process.returncode}: {lines[-1] if lines else ''}")
    kilobyte = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / kilobyte, text)


def median(samples: Sequence[Sample]) -> Sample:
    """Of each figure its own."""
    return Sample(
        statistics.median(s.wall for s in samples),
        statistics.median(s.cpu for s in samples),
        statistics.median(s.memory for s in samples),
        samples[-1].output,
    )


def measured(command: Sequence[str], environment: Mapping[str, str], runs: int, expect: Sequence[int] = (0,)) -> Sample:
    """The median of `runs` processes, after one that warms what can be warm."""
    run(command, environment, expect)
    return median([run(command, environment, expect) for _ in range(runs)])
