"""Collections as sides of mirrors; whether stored vectors and payload values are as declared. Reads only."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconcile.errors import StoreError
from reconcile.findings import Finding, NotRun, Rule, Sample, Verified
from reconcile.model import Json, State
from reconcile.stores.base import Context, Side
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.parse import payload_path
from reconcile.stores.qdrant.resources import Collection, PayloadIndex, collection_address
from reconcile.stores.qdrant.transport import QdrantError
from reconcile.stores.sides import is_external, same_form, undeclared

if TYPE_CHECKING:
    from reconcile.stores.qdrant.transport import Transport
    from reconcile.yamlio import Map

_AT_ONCE = 10_000
"""Points a request, where strict mode does not allow fewer."""
_LOOKED_AT = 100
"""Stored vectors looked at for each key that is shown."""
_VALUES = 100_000
"""Numbers a request at most: of long vectors fewer points at a time."""
_PAUSES = (0.5, 2.0, 10.0, 30.0, 60.0)
"""Seconds before a request that came too early, or broke, is tried again."""
_INDEX = re.compile(r"\[\d+\]")
_KEY = re.compile(r'"([^"]+)"|([\w-]+)|\[(\d*)\]')


def side(kind: str, entry: Map, desired: State, context: Context) -> Side | None:
    """See `stores.base.Mirroring.side`."""
    name, where = entry[kind], entry.value_at(kind)
    address, key = collection_address(context.spec.name, name), entry.get("key")
    if address not in desired and not is_external(address, context):
        undeclared(kind, entry, [r.address.parts[0] for r in desired.of_kind("collection")], context)
        return None
    if key is not None and payload_path(key) is None:
        hint = "leave `key` out where the id of the point is meant"
        context.problem(entry.value_at("key"), f'"{key}" is no JSON path of a payload field', hint)
        return None
    return Side(address, None if key is None else payload_path(key), where)


def ids(http: Transport, name: str, side: Side) -> Iterator[str | None]:
    """See `stores.base.Verifies.ids`: points in the order of their ids, without vectors, payload only where asked.

    Raises:
        StoreError: there is no such collection.
    """
    path = _keys(side.key)
    # Of `a[1].b` the server answers a list with nothing else in it, where 1 is 0: it is asked for all of `a`.
    wanted = None if side.key is None else _INDEX.split(side.key)[0]
    body = {"with_vector": False, "with_payload": False if wanted is None else [wanted]}
    for points in _pages(http, name, body, _at_once(http, name, side)):
        if side.key is None:
            yield from (same_form(i) if isinstance(i := point["id"], str) else str(i) for point in points)
            continue
        for point in points:
            values = _values(point.get("payload") or {}, path)
            found = [text for value in values for text in _text(value)]
            yield from found or (None,)


def _pages(http: Transport, name: str, body: Mapping[str, Json], limit: int) -> Iterator[Sequence[Any]]:
    offset: Json = None
    while True:
        asked = {**body, "limit": limit} if offset is None else {**body, "limit": limit, "offset": offset}
        found = _patiently(http, wire.collection_path(name, "/points/scroll"), asked)
        yield found["points"]
        offset = found.get("next_page_offset")
        if offset is None:
            return


def _patiently(http: Transport, path: str, body: Json) -> Any:
    """As `send`, waiting where strict mode limits how often one may read."""
    for pause in _PAUSES:
        try:
            return http.send("POST", path, body)
        except QdrantError as error:
            if not error.passing:
                raise
            time.sleep(pause)
    return http.send("POST", path, body)


def _info(http: Transport, name: str) -> Any:
    return http.send("GET", wire.collection_path(name))


def _at_once(http: Transport, name: str, side: Side) -> int:
    """Points a request: strict mode may allow few."""
    try:
        info = _info(http, name)
    except QdrantError as error:
        if error.status != 404:
            raise
        hint = "make it first: `reconcile plan` shows what is declared and absent"
        raise StoreError(
            f"collection {side.address.parts[0]} is not there", where=f"store {http.spec.name}", hint=hint
        ) from error
    return min(_AT_ONCE, _allowed(info))


def _allowed(info: Any) -> int:
    strict = info["config"].get("strict_mode_config") or {}
    limit = strict.get("max_query_limit") if strict.get("enabled") else None
    return int(limit) if limit else _AT_ONCE


def _keys(path: str | None) -> list[str | int | None]:
    """`meta.tags[].id` as keys: a text names a field, a number an item, None all items."""
    found: list[str | int | None] = []
    for quoted, plain, index in _KEY.findall(path or ""):
        found.append(quoted or plain or (int(index) if index else None))
    return found


def _values(value: Json, path: Sequence[str | int | None]) -> Iterator[Json]:
    """What stands at `path`; each item of a list that is asked for whole, as a filter on the field would see it."""
    if not path:
        yield from value if isinstance(value, list) else [value]
        return
    first, rest = path[0], path[1:]
    if isinstance(first, str) and isinstance(value, Mapping) and first in value:
        yield from _values(value[first], rest)
    elif first is None and isinstance(value, list):
        for item in value:
            yield from _values(item, rest)
    elif isinstance(first, int) and isinstance(value, list) and first < len(value):
        yield from _values(value[first], rest)


def _text(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield same_form(value)
    elif isinstance(value, bool):
        yield str(value).lower()
    elif isinstance(value, int | float):
        yield str(int(value) if isinstance(value, float) and value.is_integer() else value)


_NOT_SHOWN = (401, 403, 404)
"""What is answered for a collection that is not there, or that the key may not read."""


def verify(
    http: Transport,
    names: Sequence[tuple[Collection, str]],
    sample: int,
    indexes: Sequence[tuple[PayloadIndex, str]] = (),
) -> Verified:
    """Collections whose stored vectors do not have the declared size: the first of them are looked at.

    The server refuses vectors of another size than the collection's own: where one differs, most do, and where that is
    as declared none can.

    Args:
        names: collections, and what the server calls them.
        indexes: payload indexes, which leave out values of other types, and what their collections are called.
    """
    found: list[Finding | Sample | NotRun] = []
    for collection, name in names:
        try:
            info = _info(http, name)
        except QdrantError as error:
            if error.status not in _NOT_SHOWN:
                raise
            if error.status != 404:  # else a plan makes it
                found.append(NotRun(collection.address, "the collection", error.what, collection.source))
            continue
        for vector, declared in collection.all_vectors.items():
            if "size" not in declared:
                continue
            try:
                found += _vectors(http, name, info, collection, vector, int(declared["size"]), sample)
            except QdrantError as error:
                what = f"whether {_shown(vector)} have the declared size"
                found.append(NotRun(collection.address, what, error.what, collection.source))
    for index, name in indexes:
        try:
            found += _values_left_out(http, name, index)
        except QdrantError as error:
            if error.status not in _NOT_SHOWN:  # else it is said of the collection, or a plan makes it
                what = f"whether values of {index.path} are of type {index.type}"
                found.append(NotRun(index.address, what, error.what, index.source))
    return Verified.of(found)


def _values_left_out(http: Transport, name: str, index: PayloadIndex) -> Iterator[Finding]:
    """The server counts the points an index holds: those with a value of its type. Others are never found by it."""
    there = (_info(http, name).get("payload_schema") or {}).get(index.path)
    if there is None or there["data_type"] != index.type:
        return  # a plan says so
    path = wire.collection_path(name, "/points/count")
    body = {"exact": True, "filter": {"must_not": [{"is_empty": {"key": index.path}}]}}
    count = int(http.send("POST", path, body)["count"])
    if count > there["points"]:
        yield Finding(
            index.address,
            Rule.PAYLOAD,
            f"points whose {index.path} is of another type than {index.type}: its index leaves them out",
            count - int(there["points"]),
            (),
            f"POST {path} {json.dumps(body)}",
            index.source,
            "write them as the type, or declare the index as theirs; filters on the field do not find them",
        )


def _vectors(
    http: Transport, name: str, info: Any, collection: Collection, vector: str, size: int, sample: int
) -> Iterator[Finding | Sample]:
    stored = info["config"]["params"].get("vectors") or {}
    params = stored if "size" in stored else stored.get(vector)
    if params is None or ("size" in stored) != (vector == ""):
        return  # it has no such vector: a plan says so
    limit = min(max(sample, 1) * _LOOKED_AT, _allowed(info))
    at_once = max(1, min(limit, _VALUES // int(params["size"])))
    wanted = True if vector == "" else [vector]
    looked, wrong, more = 0, list[str](), False
    for points in _pages(http, name, {"with_payload": False, "with_vector": wanted}, at_once):
        more = looked >= limit
        if more:
            break
        for point in points:
            values = point.get("vector")
            values = values if vector == "" else (values or {}).get(vector)
            looked += values is not None
            if values and any(len(v) != size for v in (values if isinstance(values[0], list) else [values])):
                wrong.append(str(point["id"]))
    if more and int(params["size"]) != size:
        points_with = f"points with {_shown(vector)}"
        yield Sample(
            collection.address, points_with, looked, int(info.get("points_count") or looked), collection.source
        )
    if wrong:
        yield Finding(
            collection.address,
            Rule.VECTOR,
            f"{_shown(vector)} of {params['size']} dimensions, not of the declared {size}",
            len(wrong),
            tuple(wrong[:sample]),
            f"POST {wire.collection_path(name, '/points/scroll')} {json.dumps({'with_vector': wanted})}",
            collection.source,
            "declare the size they have, or embed them again into a collection of the declared size",
            bounded=more,
            looked=looked if more else None,
        )


def _shown(vector: str) -> str:
    return f'vectors "{vector}"' if vector else "vectors"
