"""Every type of property of a graph comes back from its line as it was."""

from __future__ import annotations

import json
import math

import pytest
import pytz  # type: ignore[import-untyped]  # comes with the driver
from neo4j.spatial import CartesianPoint, WGS84Point
from neo4j.time import Date, DateTime, Duration, Time

from reconcile.stores.neo4j.graphlines import decode, encode, line
from reconcile.stores.neo4j.numbers import Numbers

BERLIN = pytz.timezone("Europe/Berlin")
VALUES = [
    "é\u2028\x00", True, 0, -(2**63), 2**63 - 1, 1.0, 5e-324, -0.0, math.inf, -math.inf, [], [1.0, math.nan], ["a", ""],
    b"\x00\xff", Date(1, 1, 1), Date(9999, 12, 31), Time(23, 59, 59, 999_999_999),
    pytz.FixedOffset(-330).localize(Time(1, 2, 3, 4)), DateTime(1, 1, 1), DateTime(1969, 12, 31, 23, 59, 59, 1),
    pytz.FixedOffset(-330).localize(DateTime(2020, 1, 1, 0, 0, 0, 5)),
    DateTime(2020, 10, 25, 0, 30, 0, 7, tzinfo=pytz.UTC).as_timezone(BERLIN),
    DateTime(2020, 10, 25, 1, 30, 0, 7, tzinfo=pytz.UTC).as_timezone(BERLIN),
    Duration(months=-1, days=2, seconds=-3, nanoseconds=4), WGS84Point((13.4, 52.5)), WGS84Point((1, 2, 3)),
    CartesianPoint((1, -0.0)), CartesianPoint((1, 2, 3)), [Date(2020, 2, 29)],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back(value: object) -> None:
    back = decode(json.loads(line({"v": encode(value)}))["v"])
    assert type(back) is type(value)
    assert repr(back) == repr(value)  # tells 1 from 1.0, -0.0 from 0.0, and NaN is itself
    if isinstance(value, DateTime) and isinstance(back, DateTime):
        assert back.astimezone(pytz.UTC) == value.astimezone(pytz.UTC) if value.tzinfo else back.tzinfo is None


def test_numbers_by_number() -> None:
    """Zero is not absent, and far apart is no matter."""
    numbers = Numbers()
    numbers[0], numbers[40_000_000] = 0, 2**64 - 1
    assert [numbers.get(i) for i in (0, 1, 40_000_000, 50_000_000)] == [0, None, 2**64 - 1, None]
    numbers.close()
