"""Ctrl-C and SIGTERM while steps run: the first stops the run at the next boundary, another one at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

GRACE = 20.0
"""Seconds a step may go on after SIGTERM: what sends it (systemd, Kubernetes) often kills after 30."""
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopping:
    """Takes the two signals over while it is entered, in the main thread.

    A signal that was ignored before (a job in the background of a shell) stays so. Before the first step begins each
    of them interrupts at once: there is nothing to finish.
    """

    def __init__(self, grace: float = GRACE) -> None:
        """
        Args:
            grace: seconds that a step under way may go on after SIGTERM; then it is interrupted.
        """
        self.grace = grace
        self.begun = False
        """Whether steps are under way."""
        self.asked: str | None = None
        """What asked the run to stop."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            for number in _NAMES:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = _NAMES[signal.Signals(number)]
        if not self.begun or self.asked is not None:
            self.asked = name
            raise KeyboardInterrupt
        self.asked = name
        told = f"\n{name}: the run stops after the step under way; once more interrupts it\n"
        os.write(2, told.encode())  # what prints may itself be interrupted here, and cannot be entered twice
        if number == signal.SIGTERM:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._over)
            signal.setitimer(signal.ITIMER_REAL, max(self.grace, 0.001))

    def _over(self, number: int, frame: FrameType | None) -> None:
        """The grace is over."""
        del number, frame
        raise KeyboardInterrupt
