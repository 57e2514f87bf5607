"""Clients of a collection while it is replaced: they read and write through its alias, and know what they wrote."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx

ALIAS = "c"


def document(number: int, version: int, dimensions: int) -> Any:
    """A point as the clients write it: `at` is its time, `version` what tells two writes of a point apart."""
    chance = random.Random(f"{number} {version}")
    vector = [round(chance.uniform(-1, 1), 6) for _ in range(dimensions)]
    return {"id": number, "vector": vector, "payload": {"at": time.time_ns(), "version": version, "text": "words " * 9}}


class Clients:
    """Two threads that read and two that write, until the block ends. Every tenth of the first points stays as it is.

    Args:
        points: how many there are at first, of version 0 and the ids from 0 on.
        pause: seconds between two requests of a thread.
    """

    def __init__(self, url: str, points: int, dimensions: int = 4, pause: float = 0.005) -> None:
        self.url, self.points, self.dimensions, self.pause = url, points, dimensions, pause
        self.also: str | None = None
        """Another collection that is written to as well, first the alias, then this: `writes: dual`."""
        self.writing = threading.Event()
        self.writing.set()
        self.errors: list[str] = []
        self.reads = self.writes = self.deletions = 0
        self.slowest = 0.0
        """Seconds that a read took at most."""
        owned = [[n for n in range(points) if n % 10 != 9 and n % 2 == k] for k in (0, 1)]
        self._first = owned
        """By writer: what was there at first and was never deleted. Only that is: a point that came in the last moment
        before a switch by timestamp, and goes just after it, is known to be there again."""
        self._known: list[dict[int, int | None]] = [dict.fromkeys(ids, 0) for ids in owned]
        """By writer: id -> the last version written, None for a deleted one."""
        self._busy = [threading.Lock(), threading.Lock()]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(k,)) for k in (0, 1)]
        self._threads += [threading.Thread(target=self._read, args=(k,)) for k in (0, 1)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self.writing.set()
        for thread in self._threads:
            thread.join()

    def hold(self) -> None:
        """No write is on its way after it, and none begins before `writing` is set."""
        self.writing.clear()
        for lock in self._busy:
            with lock:
                pass

    def until(self, more: int) -> None:
        """Wait until so many more reads and writes have ended; those that failed count as well."""
        reads, writes = self.reads + more, self.writes + more
        while self.reads < reads or self.writes < writes:
            time.sleep(0.01)

    def wrong(self, found: Mapping[int, int]) -> list[str]:
        """What is otherwise than it was written; `found`: id -> version of every point there is."""
        expected = dict.fromkeys(range(9, self.points, 10), 0)
        expected |= {n: v for known in self._known for n, v in known.items() if v is not None}
        lost = [f"{n}: version {v} is lost" for n, v in expected.items() if n not in found]
        back = [f"{n}: deleted, and there again" for n in found if n not in expected]
        old = [f"{n}: version {found[n]} for {v}" for n, v in expected.items() if n in found and found[n] != v]
        return sorted(lost + back + old)

    def _read(self, reader: int) -> None:
        chance = random.Random(reader)
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._stop.wait(self.pause):
                fixed = chance.randrange(self.points // 10) * 10 + 9
                vector = [chance.uniform(-1, 1) for _ in range(self.dimensions)]
                began = time.perf_counter()
                hits = self._ask(client, "POST", "/points/query", {"query": vector, "limit": 3})
                self.slowest = max(self.slowest, time.perf_counter() - began)
                there = self._ask(client, "POST", "/points", {"ids": [fixed]})
                if hits is not None and len(hits["points"]) != 3:
                    self.errors.append(f"a search found {len(hits['points'])} points")
                if there is not None and [p["id"] for p in there] != [fixed]:
                    self.errors.append(f"point {fixed} was not there")
                self.reads += 2

    def _write(self, writer: int) -> None:
        chance, known, version = random.Random(writer), self._known[writer], 0
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._stop.wait(self.pause):
                self.writing.wait()
                with self._busy[writer]:
                    if not self.writing.is_set() or self._stop.is_set():
                        continue
                    version += 1
                    kind = chance.random()
                    if kind < 0.15 and (first := self._first[writer]):
                        self._change(client, known, first.pop(chance.randrange(len(first))), None)
                        continue
                    number = chance.choice(list(known)) if kind < 0.8 else self.points + 20 * version + writer
                    self._change(client, known, number, version)

    def _change(self, client: httpx.Client, known: dict[int, int | None], number: int, version: int | None) -> None:
        body = None if version is None else json.dumps({"points": [document(number, version, self.dimensions)]})
        for name in [name for name in (ALIAS, self.also) if name is not None]:
            if version is None:
                self._ask(client, "POST", "/points/delete?wait=true", {"points": [number]}, name)
            else:
                self._ask(client, "PUT", "/points?wait=true", json.loads(str(body)), name)
        known[number] = version
        self.writes += 1
        self.deletions += version is None

    def _ask(self, client: httpx.Client, method: str, path: str, body: Any, name: str = ALIAS) -> Any:
        try:
            answer = client.request(method, f"/collections/{name}{path}", json=body)
        except httpx.TransportError as error:
            self.errors.append(f"{method} {path}: {error!r}")
            return None
        if answer.status_code != 200:
            self.errors.append(f"{method} {path}: {answer.text}")
            return None
        return answer.json()["result"]
