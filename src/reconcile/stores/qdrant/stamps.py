"""The payload field that says when a point was written: what was written since, whose version is newer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from reconcile.model import Json

MARGIN_SECONDS = 60.0
"""How far back a look for new writes begins: clocks of applications differ, and a write takes a while to arrive."""
KINDS = ("datetime", "integer", "float")
"""Types of payload index by which a field can be ordered."""
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PART = re.compile(r'"([^"]+)"|([^."]+)')


class Stamps:
    """One field of one type: its values as numbers, a datetime in microseconds."""

    def __init__(self, field: str, kind: str) -> None:
        self.field, self.kind = field, kind
        self._keys = [quoted or bare for quoted, bare in _PART.findall(field)]

    def raw(self, point: Any) -> Json:
        """The value of a point as it is; None where it has none."""
        value: Any = point.get("payload") or {}
        for part in self._keys:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def of(self, point: Any) -> float | None:
        """The value of a point, the largest of a list; None where it has none, or one that is no time."""
        value = self.raw(point)
        values = [self._number(v) for v in (value if isinstance(value, list) else [value])]
        return max((v for v in values if v is not None), default=None)

    def _number(self, value: Json) -> float | None:
        if self.kind != "datetime":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if not isinstance(value, str):
            return None
        text = value.upper().replace(" +", "+").replace(" -", "-")
        try:
            moment = datetime.fromisoformat(text.replace(":60", ":59") if ":60" in text[16:19] else text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MICROSECOND

    @property
    def strangers(self) -> Json:
        """A filter for points whose value is of another type than the index, so that no range ever finds them.

        An integer index of 1.16 leaves 3.0 out as well, and a datetime index whatever is not RFC 3339 or near it.
        """
        return {"must_not": [self.since(self._least), self.absent]}

    @property
    def absent(self) -> Json:
        """A condition: the point has no value."""
        return {"is_empty": {"key": self.field}}

    @property
    def _least(self) -> float:
        """Less than any time."""
        return (
            float((datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND) if self.kind == "datetime" else -1.7e308
        )

    def begin(self, newest: Json) -> float:
        """From where to look for what is written from now on.

        `newest` is the largest value there is. It counts where it is behind our clock (another clock, a counter), our
        clock where it is not (a value in the far future would hide every write). Where there is none, whatever has a
        value is new.
        """
        if newest is None:
            return self._least
        unit = 1e6 if self.kind == "datetime" else _unit(newest)
        now = time.time() * unit
        return max(float(min(now, newest)) - MARGIN_SECONDS * unit, self._least)

    def since(self, value: float) -> Json:
        """A condition: written then or later."""
        if self.kind != "datetime":
            return {"key": self.field, "range": {"gte": value}}
        moment = _EPOCH + int(value) * _MICROSECOND
        return {"key": self.field, "range": {"gte": moment.isoformat(timespec="microseconds")}}

    def still(self, value: Json, *, updating: bool) -> Json:
        """A condition: the value is still this one, as `raw` found it.

        Args:
            updating: it is to stand in `update_filter`, where 1.16 cannot read a range of datetimes; elsewhere strict
                mode may want a condition that the index serves.
        """
        if isinstance(value, list):
            value = next((v for v in value if self._number(v) is not None), None)
        if value is None:
            return self.absent
        text = isinstance(value, str)
        # A range is one of 64-bit floats: of a large number it would not hold.
        if (text and updating) or isinstance(value, bool) or (isinstance(value, int) and abs(value) >= 2**53):
            return {"key": self.field, "match": {"value": value}}
        return {"key": self.field, "range": {"gte": value, "lte": value}}


def _unit(newest: Json) -> float:
    """Parts of a second that a number counts, by its size: a time of this century in s, ms, µs or ns."""
    size = abs(newest)
    return next((unit for least, unit in _UNITS if size >= least), 1.0)
