"""The payload field that says when a point was written: what was written since, whose version is newer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from reconcile.model import Json

MARGIN_SECONDS = 60.0
"""How far back a look for new writes begins: clocks of applications differ, and a write takes a while to arrive."""
KINDS = ("datetime", "integer", "float")
"""Types of payload index by which a field can be ordered."""
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_PART = re.compile(r'"([^"]+)"|([^."]+)')


class Stamps:
    """One field of one type: its values as numbers, a datetime in microseconds."""

    def __init__(self, field: str, kind: str) -> None:
        self.field, self.kind = field, kind
        self._keys = [quoted or bare for quoted, bare in _PART.findall(field)]

    def of(self, point: Any) -> float | None:
        """The value of a point; None where it has none, or one that is no time."""
        value: Any = point.get("payload") or {}
        for part in self._keys:
            value = value.get(part) if isinstance(value, Mapping) else None
        values = [self._number(v) for v in (value if isinstance(value, list) else [value])]
        return max((v for v in values if v is not None), default=None)

    def _number(self, value: Json) -> float | None:
        if self.kind != "datetime":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1_000_000)

    def begin(self, newest: Json) -> float:
        """From where to look for what is written from now on.

        `newest` is the largest value there is. It counts where it is behind our clock (another clock, a counter), our
        clock where it is not (a value in the far future would hide every write).
        """
        unit = 1e6 if self.kind == "datetime" else _unit(newest)
        now = time.time() * unit
        start = min(now, newest) if newest is not None else now
        return start - MARGIN_SECONDS * unit

    def condition(self, operator: str, value: float) -> Json:
        """A filter on it: "gte", "lte", "lt"."""
        if self.kind != "datetime":
            return {"key": self.field, "range": {operator: value}}
        moment = datetime.fromtimestamp(value / 1_000_000, UTC)
        return {"key": self.field, "range": {operator: moment.isoformat(timespec="microseconds")}}


def _unit(newest: Json) -> float:
    """Parts of a second that a number counts, by its size: a time of this century in s, ms, µs or ns."""
    size = abs(newest or 0)
    return next((unit for least, unit in _UNITS if size >= least), 1.0)
