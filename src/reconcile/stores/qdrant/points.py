"""Points of one collection: read and written in batches, as text where nobody has to look into them.

Passing refusals are waited out here (429 with the time the server names, a server that restarts), so that a long copy
does not begin again for each of them. https://qdrant.tech/documentation/concepts/points/
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.transport import QdrantError, Transport

BATCH = 1000
"""Points in a request, at most."""
IDS = 10_000
"""Ids alone in an answer, at most."""
BATCH_BYTES = 8_000_000
"""What a batch is aimed at; the server takes 32 MB as shipped."""
REQUEST_BYTES = 30_000_000
PATIENCE_SECONDS = 20.0
"""How long a server may give no answer (a restart), or a 5xx."""
_FIRST = 100
"""Points in the first batch, from which the size of a point is learned."""
_RESULT = TypeVar("_RESULT")


@dataclass(frozen=True)
class Page:
    """A part of a scroll."""

    text: bytes
    """The points as JSON, comma between them, without the brackets."""
    next: Json
    """The offset of the next part; None at the end."""

    def points(self) -> list[Any]:
        """Parsed."""
        found: list[Any] = json.loads(b"[" + self.text + b"]")
        return found


def page_of(answer: bytes) -> Page:
    """Cut the points out of the answer to a scroll.

    >>> page_of(b'{"result":{"points":[{"id":1}],"next_page_offset":2},"status":"ok"}')
    Page(text=b'{"id":1}', next=2)
    """
    start = answer.find(b'"points":[')
    end = answer.rfind(b',"next_page_offset":')
    if 0 <= start < end and answer[end - 1 : end] == b"]":
        tail = answer[end + len(b',"next_page_offset":') :].decode()
        offset, _ = json.JSONDecoder().raw_decode(tail)
        return Page(answer[start + len(b'"points":[') : end - 1], offset)
    result = json.loads(answer)["result"]  # another order of keys, or blanks
    return Page(text_of(result["points"]), result.get("next_page_offset"))


def text_of(points: Sequence[Json]) -> bytes:
    """Points as the text of a page."""
    return json.dumps(points, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()


class Size:
    """How many points to ask for: as many as make a batch of bytes, by the size of those before."""

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self.now = min(_FIRST, self.most)

    def learn(self, count: int, size: int) -> None:
        """`count` points had `size` bytes; it may grow by eight at once, and shrink at will."""
        if count:
            fitting = int(BATCH_BYTES * count / max(size, 1))
            self.now = max(1, min(self.most, self.now * 8, fitting))


@dataclass(frozen=True)
class Limits:
    """The most in a request that strict mode lets through."""

    batch: int = BATCH
    """Points to write."""
    page: int = IDS
    """Ids in an answer to a scroll."""


def limits(source: Mapping[str, Json], target: Mapping[str, Json]) -> Limits:
    """What strict mode of both collections lets through, from `result` of their GETs.

    A rate is counted in points a minute, so that a batch above it would be refused for ever.
    """
    batch, ids = [BATCH], [IDS]
    for info, keys in ((source, ()), (target, ("upsert_max_batchsize", "write_rate_limit"))):
        batch += [found for key in keys if (found := strict_limit(info, key))]
        ids += [found] if (found := strict_limit(info, "max_query_limit")) else []
    return Limits(max(1, min(*batch, *ids)), max(1, min(ids)))


def strict_limit(info: Mapping[str, Json], key: str) -> int | None:
    """A limit of strict mode, where it is on and has it."""
    strict = info["config"].get("strict_mode_config") or {}
    return int(strict[key]) if strict.get("enabled") and strict.get(key) else None


def _no_number(point: Any) -> bool:
    """Whether a component of a vector is none."""
    found = [point.get("vector")]
    for value in found:  # grows meanwhile
        found += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return None in found[1:]


class Points:
    """The points of one collection by its physical name."""

    def __init__(self, http: Transport, name: str, tell: Callable[[str], None]) -> None:
        self.http, self.name, self.tell = http, name, tell

    def info(self) -> Any:
        """`result` of GET."""
        return self._patiently(lambda: self.http.send("GET", wire.collection_path(self.name)))

    def exists(self) -> bool:
        """Whether the collection is there."""
        path = wire.collection_path(self.name, "/exists")
        return bool(self._patiently(lambda: self.http.send("GET", path))["exists"])

    def count(self, where: Json = None) -> int:
        """How many there are, or of how many a filter holds; nearly, where strict mode does not let them be counted."""
        path = wire.collection_path(self.name, "/points/count")
        body = {} if where is None else {"filter": where}
        try:
            return int(self._patiently(lambda: self.http.send("POST", path, {**body, "exact": True}))["count"])
        except QdrantError as error:
            if error.status != 400:  # search_allow_exact
                raise
        return int(self._patiently(lambda: self.http.send("POST", path, {**body, "exact": False}))["count"])

    def empty(self) -> bool:
        """Whether there is no point."""
        return not self.scroll(1, None, False, payload=False).text

    def scroll(self, limit: int, offset: Json, vectors: Json, *, payload: Json = True, where: Json = None) -> Page:
        """Points in the order of their ids, numbers before UUIDs; `where` is a filter."""
        asked: dict[str, Json] = {"limit": limit, "with_vector": vectors, "with_payload": payload}
        if offset is not None:
            asked["offset"] = offset
        if where is not None:
            asked["filter"] = where
        path = wire.collection_path(self.name, "/points/scroll")
        body = json.dumps(asked).encode()
        return page_of(self._patiently(lambda: self.http.bulk("POST", path, body)))

    def ids(self, most: int) -> Iterator[Json]:
        """All ids in order, `most` in a request; the next page is on its way meanwhile."""

        def page(offset: Json) -> Page:
            return self.scroll(most, offset, False, payload=False)

        with ThreadPoolExecutor(1) as pool:
            coming: Future[Page] | None = pool.submit(page, None)
            while coming is not None:
                found = coming.result()
                coming = None if found.next is None else pool.submit(page, found.next)
                yield from (point["id"] for point in found.points())

    def newest(self, field: str) -> Json:
        """The largest value of an indexed field as a number (microseconds of a datetime); None where none has one."""
        path = wire.collection_path(self.name, "/points/scroll")
        body = {"limit": 1, "order_by": {"key": field, "direction": "desc"}, "with_payload": False}
        found = self._patiently(lambda: self.http.send("POST", path, body))["points"]
        return found[0]["order_value"] if found else None

    def some(self, number: int, vectors: Json) -> list[Any]:
        """A random sample."""
        path = wire.collection_path(self.name, "/points/query")
        body = {"query": {"sample": "random"}, "limit": number, "with_vector": vectors, "with_payload": True}
        return list(self._patiently(lambda: self.http.send("POST", path, body))["points"])

    @cached_property
    def _lookups(self) -> int:
        """Ids in a retrieval: each counts towards a rate of reading."""
        return min(BATCH, strict_limit(self.info(), "read_rate_limit") or BATCH)

    def retrieve(self, ids: Sequence[Json], vectors: Json, payload: Json = True) -> dict[Json, Any]:
        """By id; those that are not there are left out."""
        path = wire.collection_path(self.name, "/points")
        found: dict[Json, Any] = {}
        rest = list(ids)
        while rest:
            part, rest = rest[: self._lookups], rest[self._lookups :]
            body = {"ids": part, "with_vector": vectors, "with_payload": payload}
            found |= {p["id"]: p for p in self._patiently(partial(self.http.send, "POST", path, body))}
        return found

    def upsert(self, text: bytes, only: Sequence[Json] | None = None) -> None:
        """Write points; halved where the server calls them too many bytes.

        Args:
            only: points that are there already are written only where these conditions hold of them.

        Raises:
            StoreError: a single point is too large for the server, or holds what cannot be written.
        """
        if not text:
            return
        tail = b"" if only is None else b',"update_filter":' + json.dumps({"must": list(only)}).encode()
        path = wire.collection_path(self.name, "/points?wait=true")
        try:
            if len(text) <= REQUEST_BYTES:
                self._patiently(lambda: self.http.bulk("PUT", path, b'{"points":[' + text + b"]" + tail + b"}"))
                return
        except QdrantError as error:
            if error.status == 400 and (odd := [str(p["id"]) for p in Page(text, None).points() if _no_number(p)]):
                raise StoreError(
                    f"point {', '.join(odd[:5])} cannot be written to {self.name}: its vector holds an infinity or a"
                    " NaN, which JSON has no word for",
                    where=f"store {self.http.spec.name}",
                    hint="write these points anew or delete them, then: reconcile apply --resume",
                ) from error
            if error.status != 413:
                raise
        points = Page(text, None).points()
        if len(points) == 1:
            raise StoreError(
                f"point {points[0]['id']} of {len(text) / 1e6:.1f} MB is too large for {self.name}",
                where=f"store {self.http.spec.name}",
                hint="raise service.max_request_size_mb of the server, or make the point smaller",
            )
        for half in (points[: len(points) // 2], points[len(points) // 2 :]):
            self.upsert(text_of(half), only)

    def renew(self, point: Any, found: Any, updating: Json, elsewhere: Json) -> bool:
        """Write a point over `found`; False where that is gone.

        An upsert with conditions would make the point anew when it has been deleted (1.16 has no `update_mode`). Its
        payload comes last, so that the conditions, which are about it, hold until then.

        Args:
            updating: the condition on what is there, for `update_filter`.
            elsewhere: the same, for a filter.
        """
        where = {"must": [{"has_id": [point["id"]]}, elsewhere]}
        vectors, before = ({"": v} if isinstance(v := p.get("vector") or {}, list) else v for p in (point, found))
        operations: list[Json] = [{"overwrite_payload": {"payload": point.get("payload") or {}, "filter": where}}]
        if vectors:
            body = {"points": [{"id": point["id"], "vector": point["vector"]}], "update_filter": {"must": [updating]}}
            operations.insert(0, {"update_vectors": body})
        if without := sorted(before.keys() - vectors.keys()):
            operations.insert(0, {"delete_vectors": {"vector": without, "filter": where}})
        path = wire.collection_path(self.name, "/points/batch?wait=true")
        try:
            self._patiently(lambda: self.http.send("POST", path, {"operations": operations}))
        except QdrantError as error:
            if error.status == 404 and self.exists():
                return False
            raise
        return True

    def delete(self, ids: Iterable[Json], where: Sequence[Json] = ()) -> None:
        """Delete by id, of them only those of which the conditions hold."""
        chosen = list(ids)
        if chosen:
            # Strict mode limits the size of conditions, not of a plain list.
            body = {"filter": {"must": [{"has_id": chosen}, *where]}} if where else {"points": chosen}
            path = wire.collection_path(self.name, "/points/delete?wait=true")
            self._patiently(lambda: self.http.send("POST", path, body))

    def delete_all(self, seconds: float) -> None:
        """Delete every point; the collection stays."""
        path = wire.collection_path(self.name, "/points/delete?wait=true")
        self.http.send("POST", path, {"filter": {"must": []}}, seconds=seconds)

    def _patiently(self, ask: Callable[[], _RESULT]) -> _RESULT:
        """Ask again while the refusal is one that passes: as long as the server says when, else for a while."""
        began, pause = time.monotonic(), 0.2
        while True:
            try:
                return ask()
            except QdrantError as error:
                told = error.after if error.status == 429 else None
                # A 429 that names no time is one that no time helps: the request alone is above the rate.
                if not error.passing or (told is None and time.monotonic() - began > PATIENCE_SECONDS):
                    raise
                seconds = pause if told is None else min(max(told, 0.2), 120.0)
                if seconds > 2:
                    self.tell(f"{self.name} allows no more for now: going on in {seconds:.0f} s")
                time.sleep(seconds)
                pause = min(pause * 2, 5.0)
