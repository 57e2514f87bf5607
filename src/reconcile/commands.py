"""Run a program of the user's: no shell, bounded in time, with all that it started ended when the time is over."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconcile.machine import seconds_of
from reconcile.references import masked

GRACE = 10
"""Seconds that a program has to end by itself when it is asked to."""
KEPT = 4000
"""Characters of the output that are kept: the last ones."""
_LAST = 5
"""Seconds in which the pipes of what was killed have to end."""


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
        """`why`, with the last line it printed; "" where it ended with 0."""
        return f"{self.why}: {self.last}" if self.last and not self.ok else self.why


def run(
    command: Sequence[str],
    directory: Path,
    timeout: str,
    environment: Mapping[str, str] | None = None,
    given: str = "",
    secrets: Collection[str] = (),
) -> Ran:
    """Run it in a process group of its own.

    Args:
        command: the program and its arguments; a path is relative to `directory`.
        timeout: "30s", "5min", "1h".
        environment: variables besides those of this process.
        given: its standard input.
        secrets: what is masked in its output, as passwords of URLs and the like are anyway.
    """
    return _carried_out(command, directory, timeout, environment, given, secrets, subprocess.STDOUT)


@dataclass(frozen=True)
class Apart(Ran):
    """How a program ended whose stdout is not for people alone."""

    lines: tuple[str, ...] = ()
    """What it printed to stdout, as it is, for no one to see; `output` is what it said on stderr."""
    first: str = ""
    """The first line of it, to be shown."""
    final: str = ""
    """And the last one."""

    @property
    def failure(self) -> str:
        """`why`, with the last line it said, on stderr or else on stdout."""
        said = self.last or self.final
        return f"{self.why}: {said}" if said and not self.ok else self.why


def apart(
    command: Sequence[str],
    directory: Path,
    timeout: str,
    environment: Mapping[str, str] | None = None,
    given: str = "",
    secrets: Collection[str] = (),
) -> Apart:
    """Run it as `run` does, with stdout and stderr kept apart, and stdout whole."""
    return _carried_out(command, directory, timeout, environment, given, secrets, subprocess.PIPE)


def _carried_out(
    command: Sequence[str],
    directory: Path,
    timeout: str,
    environment: Mapping[str, str] | None,
    given: str,
    secrets: Collection[str],
    stderr: int,
) -> Apart:
    """The one way a program of the user's is run."""
    began = time.monotonic()

    def ended(code: int | None, out: str, said: str | None, why: str) -> Apart:
        lines = tuple(line for line in out.splitlines() if line.strip())
        shown = masked(out if said is None else said, secrets)
        first, final = (masked(line.strip(), secrets)[:300] for line in (lines[0], lines[-1])) if lines else ("", "")
        return Apart(code, shown[-KEPT:], time.monotonic() - began, masked(why, secrets), lines, first, final)

    try:
        process = subprocess.Popen(
            _found(command, directory),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return ended(None, "", "", f"cannot be started: {getattr(error, 'strerror', None) or error}")
    try:
        out, said = process.communicate(given, timeout=seconds_of(timeout))
    except subprocess.TimeoutExpired:
        return ended(None, *_end(process), f"took longer than {timeout}")
    except BaseException:  # Ctrl-C does not reach a group of its own
        _end(process)
        raise
    return ended(process.returncode, out, said, _why(process.returncode))


class Stream:
    """A program under way, line by line."""

    def __init__(self, process: subprocess.Popen[str], secrets: Collection[str] = ()) -> None:
        self._process, self._secrets = process, secrets
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._said: deque[str] = deque(maxlen=50)
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._out, self._err)]
        for reader in self._readers:
            reader.start()

    def _out(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def _err(self) -> None:
        self._said.extend(self._process.stderr or ())

    def lines(self, seconds: float = 1.0) -> Iterator[str | None]:
        """Each line of its standard output; None whenever it has printed none for so many seconds."""
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                yield None
                continue
            if line is None:
                return
            yield line

    def ended(self) -> Ran:
        """Wait for its end."""
        code = self._process.wait()
        for reader in self._readers:
            reader.join(_LAST)  # something that left the group may hold a pipe
        return Ran(code, masked("".join(self._said), self._secrets)[-KEPT:], 0.0, _why(code))


@contextlib.contextmanager
def streaming(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], secrets: Collection[str] = ()
) -> Iterator[Stream]:
    """Run it as `run` does, to be read while it runs; ended on leaving: asked first, then made to.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        _found(command, directory),
        cwd=directory,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield Stream(process, secrets)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has left behind
        process.wait()


def _why(code: int) -> str:
    return "" if code == 0 else f"exit code {code}" if code > 0 else f"ended by signal {signal.Signals(-code).name}"


def _found(command: Sequence[str], directory: Path) -> list[str]:
    """With the program's path made absolute, if it is one: `cwd` does not count when it is looked up."""
    program = command[0]
    return [str((directory / program).absolute()) if os.sep in program else program, *command[1:]]


def _end(process: subprocess.Popen[str]) -> tuple[str, str | None]:
    """End it with all that is of its group; what it had printed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=_LAST)
    except subprocess.TimeoutExpired:  # something that left the group holds the pipe
        return "", None
