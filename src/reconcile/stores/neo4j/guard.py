"""A limit on the client's side: the server's own transaction timeout does not end a wait for schema locks.

Measured on 5.26: a schema statement waits without limit for open writers on its label, and writers that come later
wait behind it. TERMINATE TRANSACTION ends the wait.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Pending
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_UNITS = {"": 0.001, "us": 1e-6, "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LOOK = 0.25
"""Seconds between looks at what a statement waits for."""


def seconds(interval: str | None) -> float | None:
    """An interval as PostgreSQL writes it, in seconds; None where there is no limit.

    >>> seconds("2h"), seconds("250ms"), seconds("0"), seconds(None)
    (7200.0, 0.25, None, None)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", interval or "0")
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{interval!r} is no interval")
    return float(found[1]) * _UNITS[found[2]] or None


@dataclass(frozen=True)
class Watch:
    """How to look at a running statement, and how to end it.

    `blocked` answers who it waits for, or None; `end` makes the statement fail; `expired` is the error to raise
    then, given who was waited for (None: it ran too long by itself) and the limit in seconds.
    """

    blocked: Callable[[], str | None]
    end: Callable[[], None]
    expired: Callable[[str | None, float], Exception]


def limited(call: Callable[[], T], watch: Watch, lock: float | None, wall: float | None) -> T:
    """Run `call` in a thread; end it after `lock` seconds of waiting for others, or `wall` seconds in all.

    Raises:
        Exception: what `call` raised, or `watch.expired(…)` from it.
    """
    began = time.monotonic()
    waiting_since: float | None = None
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="neo4j") as pool:
        future = pool.submit(call)
        try:
            while True:
                try:
                    return future.result(timeout=_LOOK)
                except Pending:
                    if future.done():  # the call's own TimeoutError
                        raise
                now = time.monotonic()
                by = watch.blocked()
                waiting_since = None if by is None else (waiting_since or now - _LOOK)
                limit = _exceeded(now, began, waiting_since, lock, wall)
                if limit is not None:
                    watch.end()
                    error = watch.expired(by, limit)
                    raise error from future.exception(timeout=10)
        except BaseException:
            if not future.done():  # interrupted: the thread must not go on
                watch.end()
            raise


def _exceeded(
    now: float, began: float, waiting_since: float | None, lock: float | None, wall: float | None
) -> float | None:
    if lock is not None and waiting_since is not None and now - waiting_since >= lock:
        return lock
    return wall if wall is not None and now - began >= wall else None
