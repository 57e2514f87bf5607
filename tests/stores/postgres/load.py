"""Clients that go on working while a schema changes: bounded threads on real connections, and what they met.

Every client has a `lock_timeout`, so that the server itself says when one of its statements waited too long.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import psycopg

Work = Callable[[random.Random], str]
"""Makes the next statement of a client."""
PAUSE = 0.002
"""Between two statements of a client, in seconds: load, not a flood."""


@dataclass
class Met:
    """What one client met."""

    seconds: list[float] = field(default_factory=list)
    """How long each statement took."""
    errors: list[str] = field(default_factory=list)
    longest: tuple[float, str] = (0.0, "")


class Load:
    """Clients at work, one thread each, from entering to leaving.

    >>> with Load(url, [write, read], lock_timeout="5s") as load:  # doctest: +SKIP
    ...     apply()
    >>> load.errors  # doctest: +SKIP
    []
    """

    def __init__(self, url: str, work: Sequence[Work], lock_timeout: str, seed: int = 1) -> None:
        self.url, self.work, self.lock_timeout, self.seed = url, work, lock_timeout, seed
        self.met = [Met() for _ in work]
        self._stop = threading.Event()
        self._ready = threading.Barrier(len(work) + 1)
        self._threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(len(work))]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self._ready.wait(60)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    @property
    def errors(self) -> list[str]:
        """All errors of all clients."""
        return [e for met in self.met for e in met.errors]

    @property
    def seconds(self) -> list[float]:
        """How long each statement took, of all clients."""
        return [s for met in self.met for s in met.seconds]

    @property
    def longest(self) -> tuple[float, str]:
        """The statement that took longest: seconds, SQL."""
        return max(met.longest for met in self.met)

    def forget(self) -> None:
        """Begin to measure anew; errors stay."""
        for met in self.met:
            met.seconds, met.longest = [], (0.0, "")

    def _client(self, number: int) -> None:
        met, work, chance = self.met[number], self.work[number], random.Random(self.seed + number)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = '{self.lock_timeout}'".encode())
            self._attempt(connection, work(chance), met)
            self._ready.wait(60)
            while not self._stop.is_set():
                self._attempt(connection, work(chance), met)
                time.sleep(PAUSE)

    def _attempt(self, connection: psycopg.Connection, sql: str, met: Met) -> None:
        began = time.perf_counter()
        try:
            connection.execute(sql.encode())
        except psycopg.Error as error:
            met.errors.append(f"{sql}: {type(error).__name__}: {error}")
            if connection.closed:
                self._stop.set()
        took = time.perf_counter() - began
        met.seconds.append(took)
        met.longest = max(met.longest, (took, sql))
