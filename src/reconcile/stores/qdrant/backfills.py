"""Backfills of a collection: points that a filter selects, by their ids; payload and vectors are set in batches.

There are no transactions: a batch is sent as one request and may be sent again, since values are absolute.
https://qdrant.tech/documentation/concepts/points/#batch-update
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconcile.errors import StoreError
from reconcile.model import Address, Json
from reconcile.stores.filling import Batch, Save, Value, Wanted

if TYPE_CHECKING:
    from reconcile.stores.qdrant.transport import Transport

VECTOR = "vector"
"""The field that is the point's vector, or its vectors by name; all others are payload."""


_AT_ONCE = 10_000
"""Ids of one page, where only ids are read."""


class QdrantFilling:
    """See `stores.filling.Filling`."""

    def __init__(self, http: Transport, wanted: Wanted) -> None:
        self.http, self.wanted = http, wanted
        if wanted.statement is not None or not isinstance(wanted.select, Mapping) or not wanted.collection:
            raise StoreError(
                "of Qdrant, `select` is a filter, with `collection` beside it, and rules, a function or a program"
                " give the values",
                where=str(wanted.address),
            )
        self.path = f"/collections/{quote(wanted.collection, safe='')}/points"

    def count(self) -> int:
        """See `Filling.count`."""
        return self._count(self.wanted.select)

    def _count(self, filter_: Json) -> int:
        return int(self.http.send("POST", f"{self.path}/count", {"filter": filter_, "exact": True})["count"])

    def split(self, rows: int) -> list[Json]:
        """See `Filling.split`: the ids are scrolled through once."""
        asked = {"filter": self.wanted.select, "limit": _AT_ONCE, "with_payload": False, "with_vector": False}
        ends: list[Json] = []
        count, offset = 0, None
        while True:
            found = self.http.send("POST", f"{self.path}/scroll", {**asked, "offset": offset})
            ids = [point["id"] for point in found["points"]]
            ends += [id_ for n, id_ in enumerate(ids, count + 1) if n % rows == 0]
            count, offset = count + len(ids), found.get("next_page_offset")
            if offset is None:
                return ends

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        """See `Filling.read`: an offset is an id, which may be selected no more."""
        asked = {"filter": self.wanted.select, "limit": size + 1, "with_payload": True, "with_vector": False}
        asked |= {} if after is None else {"offset": after}
        points = self.http.send("POST", f"{self.path}/scroll", asked)["points"]
        points = [p for p in points if p["id"] != after and (until is None or _place(p["id"]) <= _place(until))][:size]
        return Batch(tuple(p["id"] for p in points), tuple(p.get("payload") or {} for p in points))

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        """See `Filling.change`."""
        del batch
        values = values or ()
        keeps = self.wanted.keeps is not None
        vectors = any(VECTOR in v.fields for v in values)
        found = self._found(values, keeps, vectors and self.wanted.restores) if keeps or vectors else {}
        olds = [Value(v.key, _held(found[v.key], v.fields, self.wanted.restores)) for v in values if v.key in found]
        save(None, len(values), olds if keeps else [])  # what they held is kept first: nobody can take the points back
        # A point that went meanwhile is passed over; of vectors the server would refuse the whole request.
        operations = list(_operations([v for v in values if not vectors or v.key in found]))
        if operations:
            self.http.send("POST", f"{self.path}/batch?wait=true", {"operations": operations})
        return len(values)

    def _found(self, values: Sequence[Value], payload: bool, vectors: bool) -> dict[Json, Json]:
        """The points that are to be changed, by id, as far as they are there."""
        asked = {"ids": [v.key for v in values], "with_payload": payload, "with_vector": vectors}
        return {point["id"]: point for point in self.http.send("POST", self.path, asked)}

    def ask(self, query: str) -> Json:
        """See `Filling.ask`: how many points a filter, written as JSON, selects."""
        try:
            filter_ = json.loads(query)
        except ValueError as error:
            what = f"a query of Qdrant is a filter written as JSON, whose points are counted: {error}"
            raise StoreError(what, where=str(self.wanted.address)) from None
        return self._count(filter_)

    def end(self) -> None:
        """See `Filling.end`: nothing was."""


def _place(id_: Json) -> tuple[int, int, str]:
    """Where an id stands in the order of a scroll: numbers, then uuids as the server writes them (measured on 1.16)."""
    return (0, id_, "") if isinstance(id_, int) else (1, 0, str(id_))


def _held(point: Json, fields: Mapping[str, Json], vectors: bool) -> dict[str, Json]:
    """What a point holds of some fields, None where it lacks one; of vectors only those that are written."""
    payload = point.get("payload") or {}
    held = {name: payload.get(name) for name in fields if name != VECTOR}
    if vectors and VECTOR in fields:
        before, new = (_by_name(v) for v in (point.get("vector"), fields[VECTOR]))
        held[VECTOR] = {name: before.get(name) for name in new}
    return held


def _by_name(vector: Json) -> Mapping[str, Json]:
    """Vectors by name, the unnamed one under ""."""
    return vector if isinstance(vector, Mapping) else {"": vector} if vector else {}


def _operations(values: Sequence[Value]) -> list[Json]:
    """Points that are given the same payload together; null takes a field, or a vector by its name, away."""
    same: dict[str, tuple[Json, list[Json]]] = {}
    gone: dict[tuple[str, ...], list[Json]] = {}
    without: dict[tuple[str, ...], list[Json]] = {}
    vectors = []
    for value in values:
        payload = {n: v for n, v in value.fields.items() if n != VECTOR and v is not None}
        if payload:
            same.setdefault(repr(payload), (payload, []))[1].append(value.key)  # a tenth of the time of json.dumps
        if absent := tuple(n for n, v in value.fields.items() if n != VECTOR and v is None):
            gone.setdefault(absent, []).append(value.key)
        if VECTOR in value.fields:
            given = value.fields[VECTOR]
            if isinstance(given, Mapping):
                if absent := tuple(n for n, v in given.items() if v is None):
                    without.setdefault(absent, []).append(value.key)
                given = {n: v for n, v in given.items() if v is not None}
            if given:
                vectors.append({"id": value.key, "vector": given})
    operations: list[Json] = [
        {"set_payload": {"payload": json.loads(json.dumps(payload, default=str)), "points": ids}}
        for payload, ids in same.values()
    ]
    operations += [{"delete_payload": {"keys": list(names), "points": ids}} for names, ids in gone.items()]
    operations += [{"delete_vectors": {"vector": list(names), "points": ids}} for names, ids in without.items()]
    return operations + ([{"update_vectors": {"points": vectors}}] if vectors else [])


class QdrantReceiving:
    """See `stores.filling.Receiving`: points by their id."""

    def __init__(self, http: Transport, into: Address) -> None:
        self.http = http
        if into.kind != "collection":
            raise StoreError("rows are put into a collection", where=str(into))
        self.path = f"/collections/{quote(into.parts[-1], safe='')}/points"

    def put(self, values: Sequence[Value]) -> int:
        """See `Receiving.put`."""
        if not values:
            return 0
        self.http.send("PUT", f"{self.path}?wait=true", {"points": [_point(v) for v in values]})
        asked = {"ids": [v.key for v in values], "with_payload": False, "with_vector": False}
        return len(self.http.send("POST", self.path, asked))


def _point(value: Value) -> dict[str, Any]:
    fields = json.loads(json.dumps(dict(value.fields), default=str))  # dates and such as text
    vector = fields.pop(VECTOR, {})
    return {"id": value.key, "vector": json.loads(vector) if isinstance(vector, str) else vector, "payload": fields}
