"""Index options: one table of YAML path, the server's key, shipped default and first version.

Manual: https://neo4j.com/docs/cypher-manual/5/indexes/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconcile.model import Json
from reconcile.stores.neo4j.resources import FULLTEXT, POINT, VECTOR, Index

SIMILARITIES = ("cosine", "euclidean")
MAX_DIMENSIONS = 4096


@dataclass(frozen=True)
class Option:
    """One option of one kind of index. `default` None: the server shows no value where none was given."""

    path: tuple[str, ...]
    key: str
    kind: str
    default: Json = None
    since: tuple[int, ...] = (5,)


def _spatial(system: str, side: str, default: tuple[float, ...]) -> Option:
    return Option(("spatial", system, side), f"spatial.{system}.{side}", POINT, default)


OPTIONS = (
    Option(("analyzer",), "fulltext.analyzer", FULLTEXT, "standard-no-stop-words"),
    Option(("eventually_consistent",), "fulltext.eventually_consistent", FULLTEXT, False),
    Option(("dimensions",), "vector.dimensions", VECTOR),
    Option(("similarity",), "vector.similarity_function", VECTOR, "cosine"),
    Option(("hnsw", "m"), "vector.hnsw.m", VECTOR, 16, since=(5, 23)),
    Option(("hnsw", "ef_construction"), "vector.hnsw.ef_construction", VECTOR, 100, since=(5, 23)),
    Option(("quantization",), "vector.quantization.enabled", VECTOR, True, since=(5, 23)),
    _spatial("cartesian", "min", (-1e6, -1e6)),
    _spatial("cartesian", "max", (1e6, 1e6)),
    _spatial("cartesian-3d", "min", (-1e6, -1e6, -1e6)),
    _spatial("cartesian-3d", "max", (1e6, 1e6, 1e6)),
    _spatial("wgs-84", "min", (-180.0, -90.0)),
    _spatial("wgs-84", "max", (180.0, 90.0)),
    _spatial("wgs-84-3d", "min", (-180.0, -90.0, -1e6)),
    _spatial("wgs-84-3d", "max", (180.0, 90.0, 1e6)),
)
"""Defaults as Neo4j 5.26 ships them; only `import` needs them, to leave them out."""


def of_kind(kind: str) -> tuple[Option, ...]:
    """The options an index of this kind has."""
    return tuple(o for o in OPTIONS if o.kind == kind)


def value(index: Index, option: Option) -> Json:
    """What the index has for the option; None where it is unset."""
    found: Any = getattr(index, option.path[0])
    for key in option.path[1:]:
        found = None if found is None else found.get(key)
    return found


def fields(values: Mapping[tuple[str, ...], Json]) -> dict[str, Json]:
    """Option values by path as fields of `Index`.

    >>> fields({("hnsw", "m"): 8, ("analyzer",): None})
    {'hnsw': {'m': 8}}
    """
    result: dict[str, Json] = {}
    for path, chosen in values.items():
        if chosen is None:
            continue
        inner = result
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = chosen
    return result


def from_server(kind: str, config: Mapping[str, Json]) -> dict[str, Json]:
    """The `indexConfig` that the server shows as fields of `Index`; keys that are not known as they are."""
    known = {o.key for o in of_kind(kind)}
    others = {key: value for key, value in sorted(config.items()) if key not in known}
    found = fields({o.path: _spelled(o, config[o.key]) for o in of_kind(kind) if config.get(o.key) is not None})
    return found | ({"other_options": others} if others else {})


def _spelled(option: Option, shown: Json) -> Json:
    if option.path == ("similarity",):
        return str(shown).lower()  # 5.26 answers in upper case whatever was asked
    return tuple(float(n) for n in shown) if isinstance(shown, list | tuple) else shown


def to_server(index: Index) -> dict[str, Json]:
    """The options that are set, as `indexConfig`."""
    values = ((o.key, value(index, o)) for o in of_kind(index.kind))
    found = {k: list(v) if isinstance(v, tuple) else v for k, v in values if v is not None}
    return found | dict(index.other_options or {})


def filled(index: Index, live: Index) -> tuple[Index, list[tuple[Option, Json]]]:
    """`index` with what it leaves unset taken from `live` of the same kind, and what that was."""
    if index.kind != live.kind:
        return index, []
    if live.other_options is not None:
        index = replace(index, other_options=live.other_options)
    taken = [
        (o, found) for o in of_kind(index.kind) if value(index, o) is None and (found := value(live, o)) is not None
    ]
    if not taken:
        return index, []
    return with_values(index, taken), taken


def with_values(index: Index, values: Iterable[tuple[Option, Json]]) -> Index:
    """`index` with these options set."""
    merged = {o.path: value(index, o) for o in of_kind(index.kind)} | {o.path: v for o, v in values}
    blank: dict[str, Json] = {o.path[0]: None for o in of_kind(index.kind)}
    result = index.replace(**(blank | fields(merged)))
    assert isinstance(result, Index)
    return result


def differing(before: Index, after: Index) -> list[tuple[Option, Json, Json]]:
    """Options of the kind of `after` in which the two differ: (option, before, after)."""
    pairs = ((o, value(before, o), value(after, o)) for o in of_kind(after.kind))
    return [(o, b, a) for o, b, a in pairs if a != b]
