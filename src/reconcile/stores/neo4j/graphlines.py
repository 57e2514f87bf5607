"""A graph as lines of JSON: one a node, one a relationship; every type of property exactly, in both directions.

    {"key": 7, "labels": ["Person"], "properties": {"name": "…", "born": {"date": "1990-01-31"}}}
    {"type": "KNOWS", "start": 7, "end": 9, "properties": {"since": {"float": "NaN"}}}

Text, booleans, integers and floats are JSON's own (a float has a point or an exponent); the rest is an object with one
key, the type. Lists hold the same. See docs/backups.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from reconcile.errors import ReconcileError
from reconcile.model import Json

_EPOCH = 719163
"""The ordinal of 1970-01-01."""


def encode(value: Any) -> Json:
    """A property value as the driver gives it.

    >>> encode(1), encode(1.0), encode(float("nan")), encode([b"a"])
    (1, 1.0, {'float': 'NaN'}, [{'bytes': 'YQ=='}])
    """
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": "NaN" if math.isnan(value) else f"{value:+}"[:4]}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [encode(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    return _encode_structure(value)


def _encode_structure(value: Any) -> Json:
    from neo4j import time
    from neo4j.spatial import Point

    if isinstance(value, Point):
        return {"point": [value.srid, *map(float, value)]}
    if isinstance(value, time.Duration):
        return {"duration": [value.months, value.days, value.seconds, value.nanoseconds]}
    if isinstance(value, time.DateTime):
        return _encode_datetime(value)
    if isinstance(value, time.Date):
        return {"date": value.iso_format()}
    if isinstance(value, time.Time):
        offset = value.utc_offset() if value.tzinfo is not None else None
        return {"local_time": value.ticks} if offset is None else {"time": [value.ticks, int(offset.total_seconds())]}
    if type(value).__name__ == "Vector":  # of drivers from 6 on, and servers that have the type
        return {"vector": [value.dtype, base64.b64encode(value.raw()).decode()]}
    raise ReconcileError(f"a property holds a {type(value).__name__}, which this version cannot write")


def _encode_datetime(value: Any) -> Json:
    """Seconds since 1970 (of the wall clock, where there is no zone), nanoseconds, and zone or offset."""
    wall = (value.date().to_ordinal() - _EPOCH) * 86400 + value.time().ticks // 1_000_000_000
    if value.tzinfo is None:
        return {"local_datetime": [wall, value.nanosecond]}
    offset = int(value.utc_offset().total_seconds())
    zone = getattr(value.tzinfo, "zone", None) or getattr(value.tzinfo, "key", None)
    return {"datetime": [wall - offset, value.nanosecond, zone or offset]}


def decode(value: Json) -> Any:
    """What `encode` was given, as the driver takes it.

    Raises:
        ValueError, KeyError, TypeError: no such thing.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    return _DECODERS[kind](content)


def _datetime(content: Json) -> Any:
    import pytz  # type: ignore[import-untyped]  # comes with the driver

    seconds, nanoseconds, zone = content
    if isinstance(zone, str):
        there: Any = pytz.timezone(zone)
    else:
        there = pytz.FixedOffset(zone // 60)  # the driver gives no seconds of an offset
    # as the driver makes it of what the server sends, so that it is right where a clock is put back
    return _local_datetime([seconds, nanoseconds]).replace(tzinfo=pytz.UTC).as_timezone(there)


def _local_datetime(content: Json) -> Any:
    from neo4j.time import Date, DateTime, Time

    days, seconds = divmod(content[0], 86400)
    return DateTime.combine(Date.from_ordinal(_EPOCH + days), Time.from_ticks(seconds * 1_000_000_000 + content[1]))


def _time(ticks: int, offset: int | None) -> Any:
    import pytz
    from neo4j.time import Time

    found = Time.from_ticks(ticks)
    return found if offset is None else pytz.FixedOffset(offset // 60).localize(found)


def _date(content: Json) -> Any:
    from neo4j.time import Date

    return Date.from_iso_format(content)


def _duration(content: Json) -> Any:
    from neo4j.time import Duration

    months, days, seconds, nanoseconds = content
    return Duration(months=months, days=days, seconds=seconds, nanoseconds=nanoseconds)


def _point(content: Json) -> Any:
    from neo4j.spatial import CartesianPoint, WGS84Point

    srid, *parts = content
    return (WGS84Point if srid in (4326, 4979) else CartesianPoint)(parts)


def _vector(content: Json) -> Any:
    from neo4j.vector import Vector

    return Vector(base64.b64decode(content[1]), content[0])


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "bytes": base64.b64decode,
    "point": _point,
    "duration": _duration,
    "date": _date,
    "local_time": lambda ticks: _time(ticks, None),
    "time": lambda content: _time(*content),
    "local_datetime": _local_datetime,
    "datetime": _datetime,
    "vector": _vector,
}


def line(content: Mapping[str, Json]) -> bytes:
    """One line."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def digest(*parts: Json) -> int:
    """64 bits of a hash over JSON, whatever the order of keys."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
