"""Copy the points of a collection into its next generation, while clients go on reading and, where promised, writing.

What is known of a copy stands in the metadata of the new generation (`Mark`), so that whoever comes after a kill goes
on with it: from where, which promise about writes, how far, since when writes are to be looked for.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import options, pointing, wire
from reconcile.stores.qdrant.comparing import Roll
from reconcile.stores.qdrant.equality import LARGEST_HALF, Stored, beyond_half, stored
from reconcile.stores.qdrant.points import Limits, Page, Points, Size, limits, strict_limit, text_of
from reconcile.stores.qdrant.stamps import Stamps
from reconcile.stores.qdrant.transport import Transport

_SAVE_SECONDS = 2.0
_SHOWN = 5
"""Ids in a message."""
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
    seen: Json = None
    """`timestamp`: [id, digest of the payload] of what was copied last before the switch, where these are not many."""

    @classmethod
    def read(cls, config: Mapping[str, Json]) -> Mark | None:
        """From `config` of a GET; None where it is no generation that is being filled."""
        found = (config.get("metadata") or {}).get(options.OURS)
        if not isinstance(found, dict) or wire.ours(config) is None or not isinstance(copy := found.get("copy"), dict):
            return None
        fields = {
            key: copy[key]
            for key in ("vectors", "stage", "offset", "copied", "since", "baseline", "seen")
            if key in copy
        }
        return cls(found["name"], found["generation"], str(copy.get("from")), copy.get("writes"), **fields)

    def metadata(self) -> Json:
        """For PATCH, which replaces the entry whole."""
        copy = {"from": self.source, "writes": self.writes, "vectors": self.vectors}
        copy |= {"stage": self.stage, "copied": self.copied}
        more = {"offset": self.offset, "since": self.since, "baseline": self.baseline}
        more["seen"] = self.seen
        copy |= {key: value for key, value in more.items() if value is not None}
        return {options.OURS: {"name": self.name, "generation": self.generation, "copy": copy}}


def begun(
    http: Transport, args: Mapping[str, Json], tell: Callable[[str], None], report: Callable[[str], None]
) -> Copy | None:
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
    return Copy(http, args, tell, report, mark)


def switched(http: Transport, args: Mapping[str, Json]) -> bool:
    """Whether the alias of the collection's name points at the new generation already."""
    return bool(pointing.targets(http).get(args["name"]) == args["to"])


def stamps_of(points: Points, field: str) -> Stamps | None:
    """A field that says when a point was written; None where it has no payload index."""
    kind = (points.info().get("payload_schema") or {}).get(field, {}).get("data_type")
    return None if kind is None else Stamps(field, kind)


def strangers(points: Points, stamps: Stamps) -> str | None:
    """Which points have a time that their index does not hold, so that a write of them is never found; None: none."""
    most = min(_SHOWN, strict_limit(points.info(), "max_query_limit") or _SHOWN)
    found = points.scroll(most, None, False, payload=[stamps.field], where=stamps.strangers).points()
    if not found:
        return None
    shown = ", ".join(f"{point['id']}: {json.dumps(stamps.raw(point))[:40]}" for point in found)
    number = max(len(found), points.count(stamps.strangers))
    return (
        f"{number:,} point{'s' if number > 1 else ''} of {points.name} {'have' if number > 1 else 'has'} a"
        f" {stamps.field} that the payload index of type {stamps.kind} does not hold, so that later writes like it"
        f" would not be found ({shown}{', …' if number > len(found) else ''})"
    )


def advice(stamps: Stamps) -> str:
    """What to do about `strangers`."""
    form = {
        "datetime": "RFC 3339 text, as in 2026-01-31T12:00:00Z",
        "integer": "a number without a fraction (3.0 has one)",
    }.get(stamps.kind, "a number")
    return f"Write {stamps.field} as {form} in these points"


class Copy:
    """One replacement: the old and the new generation, and what is known of it."""

    def __init__(
        self,
        http: Transport,
        args: Mapping[str, Json],
        tell: Callable[[str], None],
        report: Callable[[str], None],
        mark: Mark,
    ) -> None:
        self.http, self.args, self.tell, self.report, self.mark = http, args, tell, report, mark
        self.old, self.new = Points(http, args["from"], tell), Points(http, args["to"], tell)
        self.seen: dict[Json, str] = dict(mark.seen or ())
        """`timestamp`: what was copied last before the switch: id -> digest of the payload."""
        self.both: Roll | None = None
        """`timestamp`: the ids that both had just before the switch; None where an earlier process knew them."""

    def save(self, **changes: Json) -> None:
        """Remember in the new generation."""
        self.mark = replace(self.mark, **changes)
        path = wire.collection_path(self.new.name)
        self.http.send("PATCH", path, {"metadata": self.mark.metadata()})

    @cached_property
    def limits(self) -> Limits:
        """What strict mode lets through."""
        return limits(self.old.info(), self.new.info())

    @cached_property
    def kept(self) -> Mapping[str, Stored]:
        """How each dense vector is kept on both sides."""
        return stored(*(side.info()["config"]["params"] for side in (self.old, self.new)))

    @cached_property
    def stamps(self) -> Stamps | None:
        """The field of `writes: {timestamp: FIELD}`.

        Raises:
            StoreError: it is not indexed any more.
        """
        if not isinstance(self.mark.writes, Mapping):
            return None
        found = stamps_of(self.old, self.mark.writes["timestamp"])
        if found is None:
            field = self.mark.writes["timestamp"]
            raise StoreError(
                f"{self.old.name} has no payload index on {field}, which says what was written since",
                where=f"store {self.http.spec.name}",
                hint=f"create the index on {field} again, then: reconcile apply --resume",
            )
        return found

    def all_have_times(self, said: str) -> None:
        """Raises where points have a time that is none to the index; `said` is what was not done then."""
        if self.stamps is not None and (what := strangers(self.old, self.stamps)):
            raise StoreError(
                what,
                where=f"store {self.http.spec.name}",
                hint=f"{said}. {advice(self.stamps)}, then: reconcile apply --resume\n"
                "  or abandon the run and declare how else it writes: dual, frozen or none_expected",
            )

    @property
    def switched(self) -> bool:
        """Whether the alias of the collection's name points at the new generation already."""
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
            self.all_have_times("nothing was copied")
            self.save(stage="copying", since=self.since(), baseline=self.baseline())
        total = self.old.count()
        size, offset, done = Size(self.limits.batch), self.mark.offset, self.mark.copied
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
        only = NOBODY if self.mark.writes == "dual" else None
        if text and (self.mark.vectors is False or any(how.narrowed for how in self.kept.values())):
            self.put(Page(text, None).points(), only)
        else:
            self.new.upsert(text, only)

    def put(self, points: Sequence[Any], only: Sequence[Json] | None = None) -> None:
        """Write points to the new generation; `only`: see `Points.upsert`.

        Raises:
            StoreError: a value is one that a float16 cannot hold.
        """
        self._fitting(points)
        # One without vectors has to say so.
        self.new.upsert(text_of([{**p, "vector": p.get("vector") or {}} for p in points]), only)

    def renew(self, point: Any, found: Any, updating: Json, elsewhere: Json) -> bool:
        """Write a point over what was `found` in the new generation, while that is there and unchanged.

        Args:
            updating: the condition that it is unchanged, for `update_filter`.
            elsewhere: the same, for a filter.

        Returns:
            Whether it was still there; whether it was unchanged is not known.

        Raises:
            StoreError: as `put`.
        """
        self._fitting([point])
        return self.new.renew(point, found, updating, elsewhere)

    def _fitting(self, points: Sequence[Any]) -> None:
        for point in points:
            if (value := beyond_half(point, self.kept)) is not None:
                raise StoreError(
                    f"point {point['id']} of {self.old.name} has a component {value:g}, and a float16 holds"
                    f" {LARGEST_HALF:g} at most: it would become an infinity",
                    where=f"store {self.http.spec.name}",
                    hint="nothing was switched. Take `datatype: float16` back, or write this point anew or delete it,"
                    " then: reconcile apply --resume",
                )

    def since(self) -> float | None:
        """From where writes are to be looked for, if they were to begin now."""
        return None if self.stamps is None else self.stamps.begin(self.old.newest(self.stamps.field))

    def baseline(self) -> Json:
        """Of a collection said to be frozen: [count, digest of the ids]."""
        if self.mark.writes != "frozen":
            return None
        digest, count = hashlib.sha256(), 0
        for point_id in self.old.ids(self.limits.page):
            digest.update(f"{point_id}\n".encode())
            count += 1
        return [count, digest.hexdigest()[:16]]
