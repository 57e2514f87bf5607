"""Long index builds: how they are to be run, and what they will take. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from reconcile.model import Json
from reconcile.stores.postgres.sqltext import literal

if TYPE_CHECKING:
    from reconcile.stores.postgres.resources import Index

BUILD_LIMIT = "6h"
"""Wall-clock limit of an index build or a validation; the locks they hold let reads and writes go on."""
_UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_BYTES = {"vector": 4.0, "halfvec": 2.0, "sparsevec": 8.0, "bit": 0.125}
"""Of one dimension."""
_PAGE = 8192
_SECONDS = 5e-8
"""Per row, dimension and candidate looked at with m = 16, in memory, one worker: 20,000 × 64 took 3.8 s."""
_ON_DISK = 2.2
"""How much longer it takes once the graph outgrows memory, at least: 47 s against 22 s for 20,000 × 128."""


def settings(store: Mapping[str, Json], index: Index | None) -> dict[str, str]:
    """`build:` of an index over that of its store."""
    of_store = {key: str(value) for key, value in (store.get("build") or {}).items()}
    return {**of_store, **dict(index.build if index is not None else ())}


def wrapped(calls: Iterable[str], build: Mapping[str, str]) -> list[str]:
    """`calls` between what sets the memory and workers of the session for them, and sets them back."""
    names = {"maintenance_work_mem": "maintenance_work_mem", "workers": "max_parallel_maintenance_workers"}
    chosen = {names[key]: value for key, value in build.items() if key in names}
    before = [f"SET {name} = {literal(value)}" for name, value in chosen.items()]
    return [*before, *calls, *(f"RESET {name}" for name in chosen)]


def bytes_of(text: str) -> int:
    """`2GB` in bytes; a number without a unit is in kB, as PostgreSQL takes it.

    >>> bytes_of("64MB"), bytes_of("1024")
    (67108864, 1048576)
    """
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit).strip()) * factor)
    return int(text) * 1024


def estimate(index: Index, rows: int, build: Mapping[str, str], memory: str) -> dict[str, int]:
    """What building an HNSW index over `rows` rows takes, roughly: memory, disk, seconds. Empty for other indexes.

    The graph of a row in memory is its vector, some 32 bytes for each of the m neighbours and 210 more: so
    measured with pgvector 0.8.5, which says after how many tuples the graph no longer fits (m 4 to 32, 128 and 768
    dimensions; within 3%). On disk a row is two tuples of an 8 kB page: the vector, and 6 bytes for each of 2 m
    neighbours. https://github.com/pgvector/pgvector#index-build-time

    Args:
        index: its `vector` says type and dimensions.
        rows: the planner's estimate.
        build: see `settings`.
        memory: the server's maintenance_work_mem, where `build` has none.
    """
    if index.method != "hnsw" or index.vector is None or rows <= 0:
        return {}
    type_, dimensions = index.vector
    options = dict(index.with_)
    m, candidates = int(options.get("m", 16)), int(options.get("ef_construction", 64))
    vector = _BYTES.get(type_, 4.0) * dimensions
    graph = int(rows * (vector + 32 * m + 210))
    tuples = vector + 80 + 12 * m + 40
    disk = rows * tuples if tuples > _PAGE else -(-rows // max(1, int(_PAGE // tuples))) * _PAGE
    limit = bytes_of(build.get("maintenance_work_mem", memory))
    seconds = rows * dimensions * candidates * _SECONDS * (m / 16) / (1 + int(build.get("workers", 0)))
    return {
        "graph_bytes": graph,
        "maintenance_work_mem_bytes": limit,
        "disk_bytes": int(disk),
        "seconds": max(1, int(seconds * (_ON_DISK if graph > limit else 1))),
    }
