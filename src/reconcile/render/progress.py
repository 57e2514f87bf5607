"""What an apply is doing, line by line; on a terminal with a line that moves."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from reconcile import units
from reconcile.model import Json
from reconcile.render import words

if TYPE_CHECKING:
    from reconcile.apply import Event

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR = "\r\x1b[2K"
_BAR = 20
_EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class Progress:
    """Called with each event of an apply. An `out` that cannot be written any more does not stop the apply.

    Args:
        out: where to.
        colour: whether to colour with ANSI codes.
        live: whether `out` is a terminal, where the running step is shown with its time.
        clock: seconds; for tests.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        colour: bool = False,
        live: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out, self._colour, self._live, self._clock = out, colour, live, clock
        self._open = 0
        """Steps of the current group that were started and not yet reported done."""
        self._now = ""
        self._since = self._lately = clock()
        """When the running step began, and when a line was last written of it."""
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if self._live:
            self._thread = threading.Thread(target=self._spin, daemon=True, name="progress")
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._write(_CLEAR)

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        if event.kind == "step_started" and event.step is not None:
            self._open += 1
            together = f" (with {self._open - 1} more)" if self._open > 1 else ""
            self._running(f"{event.step.id}{together}")
        elif event.kind == "progress" and event.step is not None:
            self._now = f"{event.step.id}  {bar(event.figures)}{event.detail}"
            if not self._live and self._clock() - self._lately >= _EVERY:
                self._lately = self._clock()
                self._line(f"  {self._paint('·', '36')} {event.step.id}: {event.detail}")
        elif event.kind == "reported" and event.step is not None:
            self._line(f"  {self._paint('·', '36')} {event.step.id}: {event.detail}")
        elif event.kind == "step_done" and event.step is not None:
            self._open = max(self._open - 1, 0)
            # A group is one transaction with one time: it stands on its last line.
            seconds = "" if self._open else f"  {units.duration(event.seconds)}"
            mark = self._paint("✓", "32")
            self._line(f"  {mark} {event.index:>{len(str(event.total))}}/{event.total}  {event.step.id}{seconds}")
            if not self._open:
                self._running("")
        elif event.kind == "retry" and event.step is not None:
            cause = event.detail.strip().split("\n")[0]
            self._line(f"  {self._paint('↻', '33')} {event.step.id}: {cause}; trying again")
        elif event.kind == "unchecked":
            self._line(f"  {self._paint('?', '33')} {event.detail}")
        elif event.kind == "waiting":
            self._line(f"  waiting {event.detail}")
        elif event.kind in ("backup", "scripts"):
            self._line(f"  {self._paint('·', '36')} {event.detail}")
        elif event.kind == "hook":
            self._line(f"  {self._paint('·', '36')} hook {event.detail}")
        elif event.kind in ("ended", "warning"):
            self._line(f"  {self._paint('!', '33')} {event.detail}")
        elif event.kind == "lock":
            self._line(f"  run {event.detail}")
        elif event.kind == "verified":
            self._line(f"  {self._paint('✓', '32')} {event.detail or 'read again: the stores are as declared'}")

    def _running(self, what: str) -> None:
        with self._lock:
            self._now, self._since = what, self._clock()
        self._lately = self._since

    def _line(self, text: str) -> None:
        if text:
            with self._lock:
                self._write(f"{_CLEAR if self._live else ''}{text}\n")

    def _spin(self) -> None:
        for frame in itertools.cycle(_FRAMES):
            if self._stop.wait(0.1):
                return
            with self._lock:
                if self._now:
                    self._write(f"{_CLEAR}  {frame} {self._now}  {self._clock() - self._since:.0f} s")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # `| head`, a full disk
            self._out.write(text)
            self._out.flush()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def bar(figures: Mapping[str, Json]) -> str:
    """A bar for rows of a total; nothing where those are not known.

    >>> bar({"rows": 500, "total": 2000})
    '█████░░░░░░░░░░░░░░░ '
    """
    if not figures.get("total"):
        return ""
    full = min(_BAR * figures["rows"] // figures["total"], _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} "


def closing(steps: int, recorded: int, seconds: float) -> str:
    """The last line of an apply."""
    what = f"Applied {words.counted(steps, 'step')} in {units.duration(seconds)}" if steps else "Nothing to apply"
    known = f"recorded {recorded}" if recorded else "nothing new to record"
    return f"{what}; {known}."
