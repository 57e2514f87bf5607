"""Whether a point is the same in two collections: exactly, but for what the server itself does to stored vectors.

It normalises cosine vectors when they are written (not those of uint8, nor very short ones), and rounds to the
datatype. What it quantises it keeps as it was. Measured on Qdrant 1.16.3 with 3 to 20,000 dimensions.
https://qdrant.tech/documentation/concepts/collections/
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconcile.model import Json

_SINGLE, _HALF, _BYTE = "float32", "float16", "uint8"
LARGEST_HALF = 65504.0
"""Of a float16; what lies further out becomes an infinity, for which JSON has no word."""
_LAST_DIGIT = 2.0**-23
"""Of a float32, relative: its shortest decimal form reads back as it was, or as the one beside it."""
_SHORTEST = 1.2e-7
"""Square of the length below which the server takes a vector for zero, and does not normalise it."""


@dataclass(frozen=True)
class Stored:
    """How one dense vector is kept, on the old and on the new side."""

    cosine: bool = False
    old: str = _SINGLE
    new: str = _SINGLE

    @property
    def narrowed(self) -> bool:
        """Whether there are values that the new side cannot hold."""
        return self.new == _HALF and self.old == _SINGLE and not self.cosine

    def same(self, old: Any, new: Any) -> bool:
        """Two values of it: a vector, or a list of them."""
        if old == new:
            return True
        if len(old) != len(new):
            return False
        if old and isinstance(old[0], list):
            return all(isinstance(b, list) and self.same(a, b) for a, b in zip(old, new, strict=True))
        if None in old or None in new:  # infinities, and what is no number
            return False
        if self.cosine:
            # Directions: halves are normalised again when they are copied, and each component is rounded again.
            halves = _HALF in (self.old, self.new)
            relative, least = (1.2e-3, 1.2e-7) if halves else (1e-6, 1e-37)
            old, new = _unit(old), _unit(new)
        else:
            relative, least = _LAST_DIGIT, 1e-45
            old = [_half(value) for value in old] if self.new == _HALF else old
        return all(abs(a - b) <= max(relative * max(abs(a), abs(b)), least) for a, b in zip(old, new, strict=True))


SAME: Mapping[str, Stored] = {}
"""For points of two collections of the same settings: to the last digit."""


def stored(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Stored]:
    """By name ("" for the unnamed one), from `config.params` of both sides."""
    before, after = _dense(old), _dense(new)
    return {
        name: Stored(
            vector.get("distance") == "Cosine" and not _BYTE == vector.get("datatype") == after[name].get("datatype"),
            vector.get("datatype") or _SINGLE,
            after[name].get("datatype") or _SINGLE,
        )
        for name, vector in before.items()
        if name in after
    }


def same_point(old: Any, new: Any, kept: Mapping[str, Stored]) -> bool:
    """Whether two points have the same payload and vectors.

    Args:
        kept: of each dense vector that is not kept exactly.
    """
    if not _same_payload(old.get("payload") or {}, new.get("payload") or {}):
        return False
    return _same_vectors(old.get("vector") or {}, new.get("vector") or {}, kept)


def beyond_half(point: Any, kept: Mapping[str, Stored]) -> float | None:
    """A component of a point that its vector cannot hold on the new side; None where all fit."""
    vectors = _named(point.get("vector") or {})
    found = [vectors[name] for name, how in kept.items() if how.narrowed and name in vectors]
    for value in found:  # grows meanwhile
        if isinstance(value, list):
            found += value
        elif isinstance(value, int | float) and abs(value) > LARGEST_HALF:
            return value
    return None


def _dense(params: Mapping[str, Json]) -> Mapping[str, Mapping[str, Json]]:
    vectors = params.get("vectors") or {}
    return {"": vectors} if isinstance(vectors.get("size"), int) else vectors


def _named(vectors: Any) -> Mapping[str, Any]:
    """An unnamed vector is a list by itself, and has the name "" beside sparse ones."""
    return {"": vectors} if isinstance(vectors, list) else vectors


def _same_vectors(old: Any, new: Any, kept: Mapping[str, Stored]) -> bool:
    if old == new:
        return True
    old, new = _named(old), _named(new)
    return old.keys() == new.keys() and all(_same_vector(old[n], new[n], kept.get(n, Stored())) for n in old)


def _same_vector(old: Any, new: Any, how: Stored) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):  # sparse: kept exactly
        return bool(old["indices"] == new["indices"]) and Stored().same(old["values"], new["values"])
    return isinstance(old, list) and isinstance(new, list) and how.same(old, new)


def _same_payload(old: Any, new: Any) -> bool:
    """True is not 1. The server reads a float to its last digit or the one beside it."""
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=1e-14)
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same_payload(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_same_payload, old, new))
    return bool(old == new)


def _unit(vector: list[float]) -> list[float]:
    """As the server normalises."""
    square = sum(value * value for value in vector)
    if square < _SHORTEST:
        return vector
    length = math.sqrt(square)
    return [value / length for value in vector]


def _half(value: float) -> float:
    """Rounded to a float16, by way of the float32 that it was read from."""
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
        half: float = struct.unpack("<e", struct.pack("<e", single))[0]
    except OverflowError:
        return math.inf
    return half
