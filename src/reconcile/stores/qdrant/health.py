"""Whether a collection is well, from the answer to GET: `status` and `optimizer_status`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconcile.change import Op
from reconcile.model import Address, Json, State
from reconcile.stores.qdrant.resources import Collection

REMEDY = "mend what it names (often disk or memory; the server's log has more) and restart Qdrant"
"""It stays red until a restart, whatever is mended or written (measured on 1.16.3)."""


def red(info: Mapping[str, Json]) -> str | None:
    """The optimizer's error; None where there is none."""
    optimizer = info.get("optimizer_status")
    if isinstance(optimizer, Mapping):
        return str(optimizer.get("error") or "unknown error")
    return "unknown error" if info.get("status") == "red" else None


def notes(desired: State, live: State, infos: Mapping[str, Json]) -> Iterator[str]:
    """Of declared collections: what stops an apply that changes them, and what a change of them will start.

    Args:
        infos: physical name -> `result` of GET, of all collections.
    """
    for resource in live.of_kind("collection"):
        info = infos.get(resource.name) if isinstance(resource, Collection) else None
        if resource.address in desired and info is not None:
            yield from _note(resource.address, info)


def _note(address: Address, info: Mapping[str, Json]) -> Iterator[str]:
    if (error := red(info)) is not None:
        yield f"{address} is red, and no step on it begins: {error}; {REMEDY}"
    elif info.get("status") == "grey":
        yield f"{address} is grey: optimizations wait since a restart; any change of the collection starts them"


_WATCHED = {"copy_points": ("from", "to"), "wait_green": ("collection",)}
"""Operations that take long, and the arguments that name collections."""


def watched(call: Op) -> list[str]:
    """The collections whose state tells how far an operation has come."""
    return [str(call.args[key]) for key in _WATCHED.get(call.op, ())]


def progress(call: Op, infos: Mapping[str, Json | None]) -> str | None:
    """`7,100 of 10,000 points copied`, `status yellow, 300 of 10,000 vectors indexed`; None once it is over.

    Args:
        infos: by physical name the `result` of GET; None of a collection that is not there.
    """
    found = [info for name in watched(call) if (info := infos.get(name)) is not None]
    if not found or len(found) < len(watched(call)):
        return None
    if call.op == "copy_points":
        old, new = (int(info.get("points_count") or 0) for info in found)
        return f"{new:,} of {old:,} points copied" if new < old else None
    (info,) = found
    points, indexed = int(info.get("points_count") or 0), int(info.get("indexed_vectors_count") or 0)
    green = info.get("status") == "green"
    return None if green else f"status {info.get('status')}, {indexed:,} vectors of {points:,} points indexed"
