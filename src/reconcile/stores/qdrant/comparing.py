"""Two collections point by point, in step: pages that are the same text are not even parsed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from reconcile.model import Json
from reconcile.stores.qdrant.points import Page, Points, Size

# What the server itself does to stored vectors: cosine vectors are normalised when they are written, halves rounded.
_PRECISION: Mapping[str, float] = {"float32": 1e-5, "float16": 2e-3, "uint8": 1e-6}


class Kind(StrEnum):
    """How the new collection differs from the old one."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERS = "different"


def key(point_id: Json) -> tuple[int, Json]:
    """The server's order of ids: numbers first, then UUIDs."""
    return (0, point_id) if isinstance(point_id, int) else (1, point_id)


def precision(datatypes: Iterator[str] | list[str]) -> float:
    """How far two components may be apart where the vectors are stored as these."""
    return max((_PRECISION.get(t, 1e-5) for t in datatypes), default=1e-5)


def same_point(old: Any, new: Any, within: float) -> bool:
    """Whether two points have the same payload and vectors, to the precision they are stored with."""
    if not _same_payload(old.get("payload") or {}, new.get("payload") or {}):
        return False
    return _same_vectors(old.get("vector") or {}, new.get("vector") or {}, within)


def _same_payload(old: Any, new: Any) -> bool:
    """True is not 1. The server reads a float to its last digit or the one beside it."""
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=1e-14)
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same_payload(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_same_payload, old, new))
    return bool(old == new)


def _same_vectors(old: Any, new: Any, within: float) -> bool:
    if old == new:
        return True
    # An unnamed vector is a list by itself, and has the name "" beside sparse ones.
    old, new = ({"": v} if isinstance(v, list) else v for v in (old, new))
    return old.keys() == new.keys() and all(_close(old[name], new[name], within) for name in old)


def _close(old: Any, new: Any, within: float) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return bool(old["indices"] == new["indices"]) and _close(old["values"], new["values"], within)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_close(a, b, within) for a, b in zip(old, new, strict=True))
    return math.isclose(old, new, rel_tol=within, abs_tol=within)


def differences(
    old: Points, new: Points, vectors: Json, most: int, within: float, *, ids_only: bool = False
) -> Iterator[tuple[Kind, Json]]:
    """(kind, id) of each point that is not the same in both, in the order of the ids.

    Args:
        vectors: which vectors to compare: `with_vector` of a scroll.
        most: points in a request.
        ids_only: whether it is enough that an id is there.
    """
    size = Size(most)
    if ids_only:
        size.now = most
    ends = _Side(old), _Side(new)
    with ThreadPoolExecutor(2) as pool:
        while any(side.page is not None or not side.done for side in ends):
            for future in [pool.submit(side.fetch, size.now, vectors, ids_only) for side in ends]:
                future.result()
            a, b = ends
            if a.page is not None and b.page is not None and a.page == b.page:
                size.learn(size.now if a.page.next is not None else 0, len(a.page.text))
                a.take_all()
                b.take_all()
                continue
            yield from _merge(a, b, within, ids_only)


class _Side:
    """One collection: the page being looked at."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.page: Page | None = None
        self.offset: Json = None
        self.done = False

    def fetch(self, limit: int, vectors: Json, ids_only: bool) -> None:
        """Have a page, unless all is read."""
        if self.page is None and not self.done:
            wanted = (False, False) if ids_only else (vectors, True)
            self.page = self.points.scroll(limit, self.offset, wanted[0], payload=wanted[1])

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


def _merge(a: _Side, b: _Side, within: float, ids_only: bool) -> Iterator[tuple[Kind, Json]]:
    """Compare two pages as far as both reach."""
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
        elif not ids_only and not same_point(old[point_id], new[point_id], within):
            yield Kind.DIFFERS, point_id
    a.take(rests[0])
    b.take(rests[1])
