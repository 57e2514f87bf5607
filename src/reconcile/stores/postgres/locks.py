"""How long the statements of one transaction wait for their locks, so that nobody waits behind them for long.

A client that stands behind the first table a transaction has locked would wait for the locks on all the others; and a
client that holds one of those and waits for the first would be in a deadlock, which the server may end at its cost.
"""

from __future__ import annotations

import re
from dataclasses import replace

from reconcile.change import Timeouts

_LEAST = 0.2
"""Seconds that each statement may wait, however long others of its transaction waited."""
_SECOND = 0.5
"""Seconds to wait for a lock while holding another: half of the default `deadlock_timeout`, when the server
looks for deadlocks."""
_TABLE = r'"(?:[^"]|"")+"\."(?:[^"]|"")+"'
_TWO = re.compile(
    rf"\s*(?:ALTER TABLE (?P<altered>{_TABLE}) (?:ADD CONSTRAINT .* FOREIGN KEY|(?P<drop>DROP CONSTRAINT))"
    rf"|DROP TABLE (?P<dropped>{_TABLE})\s*$)",
    re.S,
)
_GOES_ON = re.compile(r"\s*(CREATE (?!(?:UNIQUE )?INDEX|TRIGGER|POLICY|RULE)|COMMENT |.* VALIDATE CONSTRAINT )", re.I)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "": 1e-3}


def lock_first(sql: str) -> str | None:
    """The LOCK TABLE before a statement that locks the table it names and then another, which a foreign key refers to:
    so that it waits for the first as long as it may, and for the second no longer than `_SECOND`.

    >>> lock_first('ALTER TABLE "public"."b" ADD CONSTRAINT "f" FOREIGN KEY ("a") REFERENCES "public"."a"')
    'LOCK TABLE "public"."b" IN SHARE ROW EXCLUSIVE MODE'
    """
    found = _TWO.match(sql)
    if found is None:
        return None
    mode = "ACCESS EXCLUSIVE" if found["drop"] or found["dropped"] else "SHARE ROW EXCLUSIVE"
    return f"LOCK TABLE {found['altered'] or found['dropped']} IN {mode} MODE"


class Waiting:
    """What is left of the time to wait in one transaction."""

    def __init__(self) -> None:
        self.holds = False
        """Whether a table in use may be locked by now."""
        self._spent = 0.0

    def ran(self, sql: str, seconds: float) -> None:
        """A statement was carried out; those that take no lock on a table in use do not count, nor those that reads
        and writes go on beside."""
        if not _GOES_ON.match(sql):
            self.holds = True
            self._spent += seconds

    def left(self, timeouts: Timeouts) -> Timeouts:
        """`timeouts` with what is left, in tenths of a second."""
        whole = seconds_of(timeouts.lock)
        if whole is None or not self.holds:
            return timeouts
        left = min(max(whole - self._spent, _LEAST), _SECOND, whole)
        return replace(timeouts, lock=f"{max(round(left, 1), 0.1) * 1000:.0f}ms")


def seconds_of(interval: str | None) -> float | None:
    """A setting of the server in seconds; None for none, or where it is no such text.

    >>> seconds_of("2s"), seconds_of("200ms"), seconds_of("1.5 min"), seconds_of("0"), seconds_of(None)
    (2.0, 0.2, 90.0, None, None)
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", interval or "")
    if match is None or match[2] not in _UNITS:
        return None
    return float(match[1]) * _UNITS[match[2]] or None
