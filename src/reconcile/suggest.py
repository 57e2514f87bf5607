"""The hint "did you mean": the nearest of the words that are allowed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a typist may have meant, or None where none is near.

    Case, `-`, `_` and blanks do not count; swapped neighbours count as one slip.

    >>> nearest("notnull", ["not_null", "null", "default"])
    'not_null'
    >>> nearest("colums", ["columns", "comment"])
    'columns'
    >>> nearest("zebra", ["columns", "comment"])
    """
    best: tuple[float, str] | None = None
    bare = _bare(word)
    for candidate in candidates:
        other = _bare(candidate)
        limit = max(len(bare), len(other)) // 3
        if abs(len(bare) - len(other)) > limit and not _contains(bare, other):
            continue
        distance: float = _distance(bare, other)
        if _contains(bare, other):
            distance = min(distance, 0.9)
        if distance <= limit and (best is None or distance < best[0]):
            best = (distance, candidate)
    return best[1] if best else None


def meant(word: str, candidates: Iterable[str], *, list_up_to: int = 12) -> str | None:
    """The hint for an unknown word: `did you mean "not_null"?`, else what there is, if that is little."""
    known = list(candidates)
    near = nearest(word, known)
    if near is not None:
        return f'did you mean "{near}"?'
    if known and len(known) <= list_up_to:
        return f"there {'is' if len(known) == 1 else 'are'}: {', '.join(known)}"
    return None


def deeper(key: str, value: Any, schema: Mapping[str, Any]) -> str | None:
    """Where a key belongs that a store writes in one word, or in levels of its own.

    >>> schema = {"properties": {"size": {}, "hnsw": {"properties": {"m": {}, "on_disk": {}}}}}
    >>> deeper("vector.hnsw.m", 8, schema), deeper("options", {"vector.size": 3}, schema)
    ('hnsw: {m: …}', 'size')
    >>> deeper("m", 8, schema), deeper("quantization", 8, schema)
    ('hnsw: {m: …}', None)
    """
    while isinstance(value, Mapping) and value:
        inner, value = next(iter(value.items()))
        key = f"{key}.{inner}"
    words = key.split(".")
    found = [path for path in _paths(schema) if words[-len(path) :] == list(path)]
    if not found and len(words) == 1:
        found = [path for path in _paths(schema) if path[-1] == key]
        found = found if len(found) == 1 else []
    if not found or (best := max(found, key=len)) == (key,):
        return None
    *outer, last = best
    return f"{''.join(f'{word}: {{' for word in outer)}{last}: …{'}' * len(outer)}" if outer else last


def _paths(schema: Mapping[str, Any], depth: int = 3) -> Iterator[tuple[str, ...]]:
    """Keys, and those within them."""
    for name, inner in (schema.get("properties") or {}).items() if depth else ():
        yield (name,)
        yield from ((name, *rest) for rest in _paths(inner, depth - 1))


def _bare(word: str) -> str:
    return "".join(c for c in word.casefold() if c not in "-_ .")


def _contains(a: str, b: str) -> bool:
    return min(len(a), len(b)) >= 4 and (a.startswith(b) or b.startswith(a))


def _distance(a: str, b: str) -> int:
    """Edits from `a` to `b`, a swap of neighbours being one (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, above, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
