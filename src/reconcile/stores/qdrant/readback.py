"""What the server took of what it was asked: it answers 200 and drops in silence what it does not know. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconcile.model import Json
from reconcile.stores.qdrant import settings, wire
from reconcile.stores.qdrant.settings import Path, Setting


@dataclass(frozen=True)
class Lost:
    """One thing that was asked and is not there."""

    path: Path
    """In the server's answer."""
    asked: Json
    found: Json

    def __str__(self) -> str:
        words, _ = meaning(self.path)
        shown = "nothing" if self.found is None else repr(self.found)
        return f"`{words}`: asked {self.asked!r}, shows {shown}"


def lost(asked: Json, answer: Json) -> list[Lost]:
    """All of `asked` that `answer` does not show; a setting left out is as good where absent means what was asked."""
    return list(_lost(asked, _flat(answer), ()))


def _lost(asked: Json, found: Json, path: Path) -> Iterator[Lost]:
    if isinstance(asked, Mapping) and (isinstance(found, Mapping) or not (found is not None or _whole(asked, path))):
        for key, value in asked.items():
            yield from _lost(value, (found or {}).get(key), (*path, key))
    elif isinstance(asked, list) and isinstance(found, list):
        for i, value in enumerate(asked):
            if not any(not list(_lost(value, item, path)) for item in found):
                yield Lost((*path, str(i)), value, None)
    elif found is None and asked is not None:
        _, absent = meaning(path)
        if asked != absent or isinstance(asked, bool) is not isinstance(absent, bool):
            yield Lost(path, asked, found)
    elif not same(asked, found):
        yield Lost(path, asked, found)


def _whole(asked: Mapping[str, Json], path: Path) -> bool:
    """Whether a mapping has to be there itself: all its parts may be left out, and then mean their defaults."""
    return (
        not asked
        or (path[:2] == ("config", "metadata") and len(path) > 2)
        or (path[:3] == ("config", "params", "sparse_vectors") and len(path) == 4)
        or path[-2:-1] == ("quantization_config",)
    )


def same(wanted: Json, found: Json) -> bool:
    """Whether two values say the same: numbers to the precision the server keeps (32-bit floats)."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, int) and isinstance(found, int):
        return wanted == found
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return abs(wanted - found) <= 1e-6 * max(1.0, abs(wanted))
    return bool(wanted == found)


def _flat(answer: Json) -> Json:
    """The answer with its only vector, if that is named "", like the unnamed one it is addressed as."""
    params = answer.get("config", {}).get("params", {}) if isinstance(answer, Mapping) else {}
    vectors = params.get("vectors")
    if not isinstance(vectors, Mapping) or set(vectors) != {""}:
        return answer
    config = {**answer["config"], "params": {**params, "vectors": wire.flat(vectors)}}
    return {**answer, "config": config}


# --- what a path of an answer means ----------------------------------------------------------------------

_COLLECTION = {row.get: row for row in settings.COLLECTION}
_VECTOR = {row.get: row for row in settings.VECTOR}
_SPARSE = {row.get: row for row in settings.SPARSE}


def meaning(path: Path) -> tuple[str, Json]:
    """(the setting in the YAML's words, what the answer means where it leaves it out; None: nothing).

    >>> meaning(("config", "params", "vectors", "image", "hnsw_config", "m"))
    ('vectors.image.hnsw.m', None)
    >>> meaning(("config", "optimizer_config", "max_optimization_threads"))
    ('optimizers.max_optimization_threads', 'auto')
    """
    match path:
        case ("config", "params", "vectors", *rest) if found := _row(_VECTOR, tuple(rest)):
            return f"vector.{found[0]}", found[1]
        case ("config", "params", "vectors", name, *rest) if found := _row(_VECTOR, tuple(rest)):
            return f"vectors.{name}.{found[0]}", found[1]
        case ("config", "params", "sparse_vectors", name, *rest) if found := _row(_SPARSE, tuple(rest)):
            return f"sparse_vectors.{name}.{found[0]}", found[1]
        case ("config", *rest) if found := _row(_COLLECTION, tuple(rest)):
            return found
        case ("payload_schema", field, "params", name, *rest):
            words = ".".join((f"payload_indexes.{field}.{name}", *rest))
            known = next((p for p in settings.PARAMETERS if p.name == name), None)
            return words, None if rest or known is None else known.absent
        case ("config", *rest):
            return ".".join(rest), None
    return ".".join(path), None


def _row(rows: Mapping[Path, Setting], path: Path) -> tuple[str, Json] | None:
    """The row at `path`, or the one whose value has it inside."""
    for length in range(len(path), 0, -1):
        row = rows.get(path[:length])
        if row is None:
            continue
        inside = path[length:]
        if not inside:
            return ".".join(row.path), row.absent
        return ".".join((*row.path, *inside)), _inside(row, inside)
    return None


def _inside(row: Setting, inside: Path) -> Json:
    """What an absent part of a quantization means."""
    if row.name != "quantization" or len(inside) != 2:
        return None
    return next((p.absent for p in settings.QUANTIZATION.get(inside[0], ()) if p.name == inside[1]), None)
