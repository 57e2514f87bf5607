"""Vectors that an earlier copy left behind are brought back, from the retired generation that has them.

What points hold besides is not looked at: a point that was written since has the vector that it had before.
https://api.qdrant.tech/api-reference/points/update-vectors
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconcile.errors import Problem, StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.points import Points, limits
from reconcile.stores.qdrant.transport import QdrantError, Transport

_TRIES = 8
"""How often a batch is read again because points of it were deleted just then."""


def problem(http: Transport, args: Mapping[str, Json], tell: Callable[[str], None]) -> Problem | None:
    """Why the vectors that `args` are about cannot be brought back; None: they can."""
    source, names = Points(http, args["from"], tell), args["vectors"]
    if source.exists() and not set(names) - _names(source.info()):
        return None
    return Problem(
        f"vector {', '.join(names)} cannot come back: {args['from']}, which had it, is gone",
        where=f"store {http.spec.name}",
        hint="restore that collection from its snapshot, or leave this one out of the rollback (--only)",
    )


def _names(info: Mapping[str, Any]) -> set[str]:
    """The vectors of a collection, from `result` of its GET."""
    params = info["config"]["params"]
    dense = params.get("vectors") or {}
    return {"" if "size" in dense else name for name in dense} | set(params.get("sparse_vectors") or {})


def bring(http: Transport, args: Mapping[str, Json], tell: Callable[[str], None]) -> None:
    """Give points the vectors that they had in `from` and lack in `to`; a second time there is nothing to do.

    Raises:
        StoreError: `from` is gone.
    """
    if (found := problem(http, args, tell)) is not None:
        raise StoreError(found.what, where=found.where, hint=found.hint)
    old, new = Points(http, args["from"], tell), Points(http, args["to"], tell)
    size = limits(old.info(), new.info()).batch
    for name in args["vectors"]:
        done = 0
        for ids in _lacking(new, name, size):
            done += _brought(old, new, name, ids)
            tell(f"{done:,} points have {name or 'their vector'} again")


def _lacking(points: Points, name: str, size: int) -> Iterator[list[Json]]:
    """The ids of points that lack a vector."""
    offset: Json = None
    while True:
        page = points.scroll(size, offset, False, payload=False, where={"must_not": [{"has_vector": name}]})
        if found := [point["id"] for point in page.points()]:
            yield found
        if page.next is None:
            return
        offset = page.next


def _brought(old: Points, new: Points, name: str, ids: list[Json]) -> int:
    """How many of these points had it."""
    held = old.retrieve(ids, [name], payload=False)
    values = {i: vector for i, point in held.items() if (vector := _vector(point, name)) is not None}
    path = wire.collection_path(new.name, "/points/vectors?wait=true")
    for _ in range(_TRIES):
        there = new.retrieve(list(values), False, payload=False)
        body: Json = {"points": [{"id": i, "vector": {name: v}} for i, v in values.items() if i in there]}
        try:
            if body["points"]:
                new.http.send("PUT", path, body)
            return len(body["points"])
        except QdrantError as error:
            if error.status != 404 or not new.exists():
                raise
    raise StoreError(
        f"points of {new.name} are deleted faster than their vectors come back",
        where=f"store {new.http.spec.name}",
        hint="nothing is lost. When that is over: reconcile apply --resume",
    )


def _vector(point: Any, name: str) -> Json:
    found = point.get("vector")
    return found.get(name) if isinstance(found, dict) and "indices" not in found else found or None
