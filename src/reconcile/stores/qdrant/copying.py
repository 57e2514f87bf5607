"""Copy the points of a collection into its next generation, while clients go on reading and, where promised, writing.

What is known of a copy stands in the metadata of the new generation (`Mark`), so that whoever comes after a kill goes
on with it: from where, which promise about writes, how far, since when writes are to be looked for.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import options, wire
from reconcile.stores.qdrant.comparing import precision
from reconcile.stores.qdrant.points import Page, Points, Size, limits, text_of
from reconcile.stores.qdrant.stamps import Stamps
from reconcile.stores.qdrant.transport import Transport

_SAVE_SECONDS = 2.0
NOBODY: tuple[Json, ...] = ({"has_id": []},)
"""A condition that holds of no point: those that are there are left as they are."""


@dataclass(frozen=True)
class Mark:
    """The metadata entry `reconcile` of a generation that is being filled."""

    name: str
    generation: int
    source: str
    """Physical name of the generation it is copied from."""
    writes: Json
    """The promise: `{timestamp: FIELD}`, "dual", "frozen" or "none_expected"."""
    vectors: Json = True
    """Which of the vectors are taken along: `with_vector` of a scroll."""
    stage: str = ""
    """"" before, "copying", "copied", "settled": ready to be switched to, "dropping": the plain collection it was
    copied from is being deleted, or has gone, so that this one may be all there is."""
    offset: Json = None
    """The next point to copy."""
    copied: int = 0
    since: float | None = None
    """`timestamp`: points written from here on are to be copied again."""
    baseline: Json = None
    """`frozen`: [count, digest of the ids] when the copy began."""

    @classmethod
    def read(cls, config: Mapping[str, Json]) -> Mark | None:
        """From `config` of a GET; None where it is no generation that is being filled."""
        found = (config.get("metadata") or {}).get(options.OURS)
        if not isinstance(found, dict) or wire.ours(config) is None or not isinstance(copy := found.get("copy"), dict):
            return None
        fields = {
            key: copy[key] for key in ("vectors", "stage", "offset", "copied", "since", "baseline") if key in copy
        }
        return cls(found["name"], found["generation"], str(copy.get("from")), copy.get("writes"), **fields)

    def metadata(self) -> Json:
        """For PATCH, which replaces the entry whole."""
        copy = {"from": self.source, "writes": self.writes, "vectors": self.vectors}
        copy |= {"stage": self.stage, "copied": self.copied}
        more = {"offset": self.offset, "since": self.since, "baseline": self.baseline}
        copy |= {key: value for key, value in more.items() if value is not None}
        return {options.OURS: {"name": self.name, "generation": self.generation, "copy": copy}}


def begun(http: Transport, args: Mapping[str, Json], tell: Callable[[str], None]) -> Copy | None:
    """The copy that a call is about; None where it has come to its end: the new generation is one like others.

    Raises:
        StoreError: the new generation is another one than planned, or is not there.
    """
    config = Points(http, args["to"], tell).info()["config"]
    mark = Mark.read(config)
    if mark is None and wire.ours(config) == (args["name"], args["generation"]) and switched(http, args):
        return None
    if mark is None or mark.source != args["from"]:
        raise StoreError(
            f"{args['to']} is not being filled from {args['from']}: its metadata says otherwise",
            where=f"store {http.spec.name}",
            hint="somebody else changed it: plan again",
        )
    return Copy(http, args, tell, mark)


def switched(http: Transport, args: Mapping[str, Json]) -> bool:
    """Whether the alias points at the new generation already."""
    found = http.send("GET", "/aliases")["aliases"]
    return any(a["alias_name"] == args["name"] and a["collection_name"] == args["to"] for a in found)


class Copy:
    """One replacement: the old and the new generation, and what is known of it."""

    def __init__(self, http: Transport, args: Mapping[str, Json], tell: Callable[[str], None], mark: Mark) -> None:
        self.http, self.args, self.tell, self.mark = http, args, tell, mark
        self.old, self.new = Points(http, args["from"], tell), Points(http, args["to"], tell)
        self.seen: dict[Json, tuple[float | None, str]] = {}
        """`timestamp`: what was copied last before the switch: id -> (time, digest of the payload)."""

    def save(self, **changes: Json) -> None:
        """Remember in the new generation."""
        self.mark = replace(self.mark, **changes)
        path = wire.collection_path(self.new.name)
        self.http.send("PATCH", path, {"metadata": self.mark.metadata()})

    @cached_property
    def limits(self) -> tuple[int, int]:
        """Points in a batch, ids in a scroll."""
        return limits(self.old.info(), self.new.info())

    @cached_property
    def within(self) -> float:
        """How far components of equal vectors may be apart."""
        found = []
        for side in (self.old, self.new):
            vectors = side.info()["config"]["params"].get("vectors") or {}
            each = [vectors] if "size" in vectors else vectors.values()
            found += [v.get("datatype") or "float32" for v in each]
        return precision(found)

    @cached_property
    def stamps(self) -> Stamps | None:
        """The field of `writes: {timestamp: FIELD}`.

        Raises:
            StoreError: it is not indexed any more.
        """
        if not isinstance(self.mark.writes, Mapping):
            return None
        field = self.mark.writes["timestamp"]
        kind = (self.old.info().get("payload_schema") or {}).get(field, {}).get("data_type")
        if kind is None:
            raise StoreError(
                f"{self.old.name} has no payload index on {field}, which says what was written since",
                where=f"store {self.http.spec.name}",
                hint=f"create the index on {field} again, then: reconcile apply --resume",
            )
        return Stamps(field, kind)

    @property
    def switched(self) -> bool:
        """Whether the alias points at the new generation already."""
        return switched(self.http, self.args)

    # --- the points that are there when it begins --------------------------------------------------------

    def run(self) -> None:
        """Copy all points, from where an earlier try ended; two batches in flight while the next is read.

        Raises:
            StoreError: the server refuses, for longer than it is asked again.
        """
        if self.mark.stage not in ("", "copying"):
            return
        if self.mark.stage == "":
            self.save(stage="copying", since=self.since(), baseline=self.baseline())
        total = self.old.count()
        size, offset, done = Size(self.limits[0]), self.mark.offset, self.mark.copied
        began, saved, at_first = time.monotonic(), time.monotonic(), done
        waiting: deque[tuple[Future[None], Json, int]] = deque()
        with ThreadPoolExecutor(2) as pool:
            more = True
            while more or waiting:
                while more and len(waiting) < 3:
                    asked = size.now
                    page = self.old.scroll(asked, offset, self.mark.vectors)
                    more = page.next is not None
                    number = asked if more else len(page.points())
                    size.learn(number, len(page.text))
                    waiting.append((pool.submit(self._write, page.text), page.next, number))
                    offset = page.next
                written, place, number = waiting.popleft()
                written.result()
                done += number
                seconds = time.monotonic() - began
                self.tell(f"{done:,} of {max(total, done):,} points, {(done - at_first) / max(seconds, 1e-3):,.0f}/s")
                if place is not None and time.monotonic() - saved > _SAVE_SECONDS:
                    self.save(offset=place, copied=done)
                    saved = time.monotonic()
        self.save(stage="copied", offset=None, copied=done)

    def _write(self, text: bytes) -> None:
        """One batch. Where the application writes to both, what it wrote is newer: left as it is."""
        if self.mark.vectors is False and text:
            text = self.text(Page(text, None).points())
        self.new.upsert(text, NOBODY if self.mark.writes == "dual" else None)

    def text(self, points: list[Any]) -> bytes:
        """Points as they are written: one without vectors has to say so."""
        return text_of([{**p, "vector": p.get("vector") or {}} for p in points])

    def since(self) -> float | None:
        """From where writes are to be looked for, if they were to begin now."""
        return None if self.stamps is None else self.stamps.begin(self.old.newest(self.stamps.field))

    def baseline(self) -> Json:
        """Of a collection said to be frozen: [count, digest of the ids]."""
        if self.mark.writes != "frozen":
            return None
        digest, offset = hashlib.sha256(), None
        while True:
            page = self.old.scroll(self.limits[1], offset, False, payload=False)
            for point in page.points():  # pages may be cut elsewhere the next time
                digest.update(f"{point['id']}\n".encode())
            if page.next is None:
                return [self.old.count(), digest.hexdigest()[:16]]
            offset = page.next
