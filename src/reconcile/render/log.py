"""What happens in a run as lines of JSON, for machines that collect logs."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TextIO

from reconcile.apply import Event
from reconcile.model import Json
from reconcile.references import masked

LEVELS = {"retry": "warning", "warning": "warning", "unchecked": "warning", "ended": "warning", "error": "error"}
"""By kind of event; of every other `info`."""
_NUMBER = re.compile(r"[\d.,]+")
EVERY = 10.0
"""Seconds between two lines of figures of one step."""


class Log:
    """Writes a line for each event: `time`, `level`, `event`, and what the event has of step, detail and seconds."""

    def __init__(
        self,
        out: TextIO,
        fixed: dict[str, Json],
        secrets: Callable[[], Sequence[str]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            fixed: stands in every line: project, environment.
            secrets: what is never written.
        """
        self._out, self._fixed, self._secrets, self._clock = out, dict(fixed), secrets, clock
        self._guard = threading.Lock()
        self._told: dict[str, tuple[float, str]] = {}
        """By step when its progress was written last, and what."""

    def __call__(self, event: Event) -> None:
        """Write it down."""
        if event.kind == "progress" and self._lately(event):
            return
        if event.kind == "lock":
            self._fixed["run"] = event.detail
        more: dict[str, Json] = {}
        if event.step is not None:
            step = event.step
            more |= {"step": step.id, "store": step.address.store, "phase": step.phase.value}
        if event.total:
            more |= {"total": event.total} | ({"index": event.index} if event.index else {})
        if event.kind == "step_done":
            more["seconds"] = round(event.seconds, 3)
        if event.detail and event.kind != "lock":
            more["detail"] = event.detail
        more |= event.figures
        self.write(event.kind, more)

    def _lately(self, event: Event) -> bool:
        """Whether as much was said of a step a moment ago: figures, or the same text but for its numbers."""
        step, now = event.step.id if event.step is not None else "", self._clock().timestamp()
        at, text = self._told.get(step, (float("-inf"), ""))
        said = _NUMBER.sub("", event.detail)
        if now - at < EVERY and (event.figures or said == text):
            return True
        self._told[step] = (now, said)
        return False

    def write(self, kind: str, more: dict[str, Json]) -> None:
        """One line."""
        time = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": time, "level": LEVELS.get(kind, "info"), "event": kind, **self._fixed, **more}
        secrets = self._secrets()
        safe = {k: masked(v, secrets) if isinstance(v, str) else v for k, v in line.items()}
        with self._guard, contextlib.suppress(OSError):
            self._out.write(json.dumps(safe, ensure_ascii=False) + "\n")
            self._out.flush()
