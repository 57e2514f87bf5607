"""What YAML becomes: mappings and lists that know where each value stands."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconcile.model import Source


class Float(float):
    """A float whose `str()` is what the file says: `1.10` stays `1.10` where it becomes SQL."""

    text: str

    def __str__(self) -> str:
        return self.text


class Places:
    """All places of a file: a mapping's own, then those of its keys and values in turn; a list's, then its items'.

    Numbers in an array, since there are ten times as many as are ever asked for: `line << 32 | column`.
    """

    __slots__ = ("file", "marks")

    def __init__(self, file: str) -> None:
        self.file = file
        self.marks = array("Q")

    def add(self, start: int, inside: Iterable[int]) -> int:
        """Note a mapping or list; where its places begin."""
        first = len(self.marks)
        self.marks.append(start)
        self.marks.extend(inside)
        return first

    def __getitem__(self, index: int) -> Source:
        mark = self.marks[index]
        return Source(self.file, mark >> 32, mark & _COLUMN)


_COLUMN = (1 << 32) - 1
BEGIN = 1 << 32 | 1
"""The first line and column, which a parser's marks count from 0."""
_NOWHERE = Places("")
_NOWHERE.add(BEGIN, ())

_FEW = 8


class Map(dict[str, Any]):
    """A mapping in declared order that knows where it, its keys and its values are written.

    Values are `Map`, `Seq`, str, bool, int, float or None. Keys are added by `take`, and never taken away from what
    was read.
    """

    __slots__ = ("_first", "_keys", "_places")

    def __init__(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), *, source: Source | None = None):
        super().__init__(items)
        self._places, self._first = _placed(source)
        self._keys: dict[str, int | tuple[Source, Source]] | None = {}
        """The number of each key, or where it and its value are; None while nobody has asked."""

    def at(self, key: str | None = None) -> Source:
        """Where the key is written; without a key, or for one that is absent, where the mapping begins."""
        found = None if key is None else self._number(key)
        if isinstance(found, tuple):
            return found[0]
        return self._places[self._first if found is None else self._first + 2 * found + 1]

    def value_at(self, key: str) -> Source:
        """Where the value of the key is written; for an absent key, where the mapping begins."""
        found = self._number(key)
        if isinstance(found, tuple):
            return found[1]
        return self._places[self._first if found is None else self._first + 2 * found + 2]

    def entries(self) -> Iterator[tuple[str, Any, Source]]:
        """Keys, values, and where each key is written."""
        if self._keys is not None:
            yield from ((key, value, self.at(key)) for key, value in self.items())
            return
        file, marks = self._places.file, self._places.marks
        for place, (key, value) in enumerate(self.items()):
            mark = marks[self._first + 2 * place + 1]
            yield key, value, Source(file, mark >> 32, mark & _COLUMN)

    def take(self, key: str, origin: Map, value: Any) -> None:
        """Set `key` to `value`, which is written where `origin` has the key."""
        known = self._known()
        self[key] = value
        if key in origin._known():
            known[key] = (origin.at(key), origin.value_at(key))

    def spend(self, *keys: str) -> None:
        """Let go of values that have been read: a large file is not held beside what it declares."""
        for key in keys:
            if key in self:
                self[key] = None  # the key stays, since places go by the number of the key

    def _number(self, key: str) -> int | tuple[Source, Source] | None:
        if self._keys is None and len(self) <= _FEW:  # as most are: not worth a table
            return list(self).index(key) if key in self else None
        return self._known().get(key)

    def _known(self) -> dict[str, int | tuple[Source, Source]]:
        if self._keys is None:
            self._keys = {key: number for number, key in enumerate(self)}
        return self._keys


class Seq(list[Any]):
    """A list that knows where it and its items are written."""

    __slots__ = ("_count", "_first", "_places")

    def __init__(self, items: Iterable[Any] = (), *, source: Source | None = None):
        super().__init__(items)
        self._places, self._first = _placed(source)
        self._count = 0

    def at(self, index: int | None = None) -> Source:
        """Where the item is written; without an index, or for one that is absent, where the list begins."""
        if index is None or not -self._count <= index < self._count:
            return self._places[self._first]
        return self._places[self._first + 1 + index % self._count]


def _placed(source: Source | None) -> tuple[Places, int]:
    """The places of what begins at `source` and was not read."""
    if source is None:
        return _NOWHERE, 0
    places = Places(source.file)
    return places, places.add(source.line << 32 | source.column, ())


def merge(base: Map, over: Map) -> Map:
    """`base` with `over` laid upon it, mappings key by key; a null in `over` takes the key away."""
    result = Map(source=base.at())
    for key, value in base.items():
        result.take(key, base, value)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
            continue
        below = result.get(key)
        result.take(key, over, merge(below, value) if isinstance(below, Map) and isinstance(value, Map) else value)
    return result
