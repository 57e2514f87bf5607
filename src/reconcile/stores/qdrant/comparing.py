"""Two collections point by point, in step: pages that are the same text are not even parsed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from reconcile.model import Json
from reconcile.stores.qdrant.equality import Stored, same_point
from reconcile.stores.qdrant.points import Page, Points, Size


class Kind(StrEnum):
    """How the new collection differs from the old one."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERS = "different"


def key(point_id: Json) -> tuple[int, Json]:
    """The server's order of ids: numbers first, then UUIDs."""
    return (0, point_id) if isinstance(point_id, int) else (1, point_id)


class Roll:
    """Ids in their order, in a file that goes with this process: as many as there are points."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed by `close`

    def add(self, point_id: Json) -> None:
        """The next one."""
        self._file.write(f"{json.dumps(point_id)}\n")

    def __iter__(self) -> Iterator[Json]:
        self._file.seek(0)
        return map(json.loads, self._file)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class Along:
    """Which ids are in a roll, asked for in their order: the roll is read once.

    >>> along = Along(iter([1, 3, 5]))
    >>> along.among([1, 2]), along.among([4, 5, 6])
    ({1}, {5})
    """

    def __init__(self, roll: Iterator[Json]) -> None:
        self._roll, self._head = roll, next(roll, None)

    def among(self, ids: Iterable[Json]) -> set[Json]:
        """Those of the ids that are; none may come before one that was asked for already."""
        found: set[Json] = set()
        for point_id in ids:
            while self._head is not None and key(self._head) < key(point_id):
                self._head = next(self._roll, None)
            if self._head == point_id:
                found.add(point_id)
        return found


def aligned(*streams: Iterator[Json]) -> Iterator[tuple[Json, tuple[bool, ...]]]:
    """Ids of several streams, each in order: every id once, and in which of the streams it is.

    >>> list(aligned(iter([1, 3]), iter([1, 2])))
    [(1, (True, True)), (2, (False, True)), (3, (True, False))]
    """
    heads = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        least = min((head for head in heads if head is not None), key=key)
        there = tuple(head == least for head in heads)
        yield least, there
        heads = [next(stream, None) if here else head for stream, head, here in zip(streams, heads, there, strict=True)]


def differences(
    old: Points,
    new: Points,
    vectors: Json,
    most: int,
    kept: Mapping[str, Stored],
    passed: Callable[[int], None] = lambda number: None,
) -> Iterator[tuple[Kind, Json]]:
    """(kind, id) of each point that is not the same in both, in the order of the ids.

    Args:
        vectors: which vectors to compare: `with_vector` of a scroll.
        most: points in a request.
        passed: told how many points have been looked at.
    """
    size, looked = Size(most), 0
    a, b = _Side(old, vectors), _Side(new, vectors)
    with ThreadPoolExecutor(2) as pool:
        while any(side.page is not None or not side.done for side in (a, b)):
            for future in [pool.submit(side.fetch, size.now) for side in (a, b)]:
                future.result()
            if a.page is not None and b.page is not None and a.page == b.page:
                number = a.number
                size.learn(number, len(a.page.text))
                a.take_all()
                b.take_all()
            else:
                size.learn(a.number, len(a.page.text) if a.page is not None else 0)
                number = yield from _merge(a, b, kept)
            looked += number
            passed(looked)


class _Side:
    """One collection: the page being looked at."""

    def __init__(self, points: Points, vectors: Json) -> None:
        self.points, self.vectors = points, vectors
        self.page: Page | None = None
        self.asked = 0
        self.offset: Json = None
        self.done = False

    @property
    def number(self) -> int:
        """Points of the page, where it is not the last one, which may be short."""
        return self.asked if self.page is not None and self.page.next is not None else 0

    def fetch(self, limit: int) -> None:
        """Have a page, unless all is read."""
        if self.page is None and not self.done:
            self.asked = limit
            self.page = self.points.scroll(limit, self.offset, self.vectors)

    def take_all(self) -> None:
        """The page is dealt with."""
        if self.page is not None:
            self.offset, self.done = self.page.next, self.page.next is None
        self.page = None

    def take(self, rest: list[Any]) -> None:
        """The page is dealt with but for `rest`, which is read again."""
        if not rest:
            self.take_all()
            return
        self.page, self.offset = None, rest[0]["id"]


def _merge(a: _Side, b: _Side, kept: Mapping[str, Stored]) -> Generator[tuple[Kind, Json], None, int]:
    """Compare two pages as far as both reach; how many points that were."""
    sides = [(side, side.page.points() if side.page is not None else []) for side in (a, b)]
    # A page reaches to its last id; the last page of a collection reaches to the end.
    ends = [key(points[-1]["id"]) for side, points in sides if side.page is not None and side.page.next is not None]
    end = min(ends, default=(2, 0))
    old, new = ({p["id"]: p for p in points if key(p["id"]) <= end} for _, points in sides)
    rests = [[p for p in points if key(p["id"]) > end] for _, points in sides]
    for point_id in sorted({*old, *new}, key=key):
        if point_id not in new:
            yield Kind.MISSING, point_id
        elif point_id not in old:
            yield Kind.EXTRA, point_id
        elif not same_point(old[point_id], new[point_id], kept):
            yield Kind.DIFFERS, point_id
    a.take(rests[0])
    b.take(rests[1])
    return len(old)
