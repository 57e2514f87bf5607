"""Run a program of the user's: no shell, bounded in time, with all that it started ended when the time is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconcile.machine import seconds_of

KEPT = 4000
"""Characters of the output that are kept: the last ones."""


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    code: int | None
    """The exit code; None where it could not be started, or took too long."""
    output: str
    """What it printed, to stdout and stderr in their order; the end of it."""
    seconds: float
    why: str = ""
    """What is wrong, in words; "" where it ended with 0."""

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0

    @property
    def last(self) -> str:
        """The last line it printed that is not blank."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""

    @property
    def failure(self) -> str:
        """`why`, with the last line it printed."""
        return f"{self.why}: {self.last}" if self.last else self.why


def run(
    command: Sequence[str], directory: Path, timeout: str, environment: Mapping[str, str] | None = None, given: str = ""
) -> Ran:
    """Run it in a process group of its own.

    Args:
        command: the program and its arguments; a path is relative to `directory`.
        timeout: "30s", "5min", "1h".
        environment: variables besides those of this process.
        given: its standard input.
    """
    began = time.monotonic()

    def ended(code: int | None, output: str, why: str = "") -> Ran:
        return Ran(code, output[-KEPT:], time.monotonic() - began, why)

    try:
        process = subprocess.Popen(
            _found(command, directory),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return ended(None, "", f"cannot be started: {getattr(error, 'strerror', None) or error}")
    try:
        output, _ = process.communicate(given, timeout=seconds_of(timeout))
    except subprocess.TimeoutExpired:
        _end(process)
        output, _ = process.communicate()
        return ended(None, output, f"took longer than {timeout}")
    except BaseException:  # Ctrl-C does not reach a group of its own
        _end(process)
        process.communicate()
        raise
    code = process.returncode
    return ended(code, output, _why(code))


@dataclass(frozen=True)
class Filtered(Ran):
    """How a program ended that turns lines into lines."""

    lines: tuple[str, ...] = ()
    """What it printed to stdout; `output` is what it said on stderr."""


def filtered(command: Sequence[str], directory: Path, timeout: str, given: str) -> Filtered:
    """Run it as `run` does, with stdout and stderr kept apart, and stdout whole."""
    began = time.monotonic()

    def ended(code: int | None, out: str, said: str, why: str) -> Filtered:
        lines = tuple(line for line in out.splitlines() if line.strip())
        return Filtered(code, said[-KEPT:], time.monotonic() - began, why, lines)

    try:
        process = subprocess.Popen(
            _found(command, directory),
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return ended(None, "", "", f"cannot be started: {getattr(error, 'strerror', None) or error}")
    try:
        out, said = process.communicate(given, timeout=seconds_of(timeout))
    except subprocess.TimeoutExpired:
        _end(process)
        out, said = process.communicate()
        return ended(None, out, said, f"took longer than {timeout}")
    except BaseException:  # Ctrl-C does not reach a group of its own
        _end(process)
        process.communicate()
        raise
    return ended(process.returncode, out, said, _why(process.returncode))


def _why(code: int) -> str:
    return "" if code == 0 else f"exit code {code}" if code > 0 else f"ended by signal {signal.Signals(-code).name}"


def _found(command: Sequence[str], directory: Path) -> list[str]:
    """With the program's path made absolute, if it is one: `cwd` does not count when it is looked up."""
    program = command[0]
    return [str((directory / program).absolute()) if os.sep in program else program, *command[1:]]


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
