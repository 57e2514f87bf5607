"""Patterns of keys: what they match, whether two can match one key, what a key of one is called in another. Pure.

`session:{id}`: `{…}` stands for one part of a key, of any characters but the colon; `*` for anything, colons included.
A backslash takes either of them, or itself, as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

_TOKEN = re.compile(r"\\(?P<escaped>[\\{}*])|\{(?P<name>[A-Za-z_]\w*)\}|(?P<star>\*)|(?P<plain>[^\\{}*]+)", re.S)
_GLOB = re.compile(r"([\\*?\[\]^-])")


@dataclass(frozen=True)
class _Part:
    """A literal text, a `{name}`, or a `*` (whose name is that)."""

    literal: str = ""
    name: str = ""


@dataclass(frozen=True)
class Pattern:
    """A pattern as it is declared.

    >>> Pattern("rate:{ip}:{minute}").matches("rate:10.0.0.1:1700")
    True
    >>> Pattern("rate:{ip}").matches("rate:10.0.0.1:1700")
    False
    """

    text: str

    @cached_property
    def parts(self) -> tuple[_Part, ...]:
        """
        Raises:
            ValueError: says what is wrong with the text.
        """
        found: list[_Part] = []
        at = 0
        while at < len(self.text):
            token = _TOKEN.match(self.text, at)
            if token is None:
                raise ValueError(f"`{self.text[at:]}` of the pattern cannot be read")
            at = token.end()
            if token["name"] or token["star"]:
                found.append(_Part(name=token["name"] or "*"))
            else:
                found.append(_Part(literal=token["escaped"] or token["plain"]))
        names = [p.name for p in found if p.name and p.name != "*"]
        if len(set(names)) != len(names):
            raise ValueError("a name stands twice in the pattern")
        return tuple(found)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """What matches whole keys."""
        return re.compile(
            "".join(re.escape(p.literal) if not p.name else "(.*)" if p.name == "*" else "([^:]+)" for p in self.parts),
            re.S,
        )

    @cached_property
    def glob(self) -> str:
        """For `SCAN … MATCH`: what it finds may be more, never less."""
        text = "".join("*" if p.name else _GLOB.sub(r"\\\1", p.literal) for p in self.parts)
        return re.sub(r"(?<!\\)\*{2,}", "*", text)

    @property
    def variables(self) -> list[str]:
        """The names, and `*` for each of those, in order."""
        return [p.name for p in self.parts if p.name]

    @property
    def literals(self) -> int:
        """How many characters it fixes: the more, the more it says."""
        return sum(len(p.literal) for p in self.parts)

    def matches(self, key: str) -> bool:
        """Whether a whole key is of it."""
        return self.regex.fullmatch(key) is not None

    @property
    def readable(self) -> bool:
        """Whether a key says without doubt what each variable stands for: a colon between any two, at most one `*`."""
        between, seen = "", False
        for part in self.parts:
            if part.name and seen and ":" not in between:
                return False
            seen, between = seen or bool(part.name), "" if part.name else between + part.literal
        return self.variables.count("*") <= 1

    def overlaps(self, other: Pattern) -> bool:
        """Whether some key is of both.

        >>> Pattern("cfg:*").overlaps(Pattern("{a}:{b}")), Pattern("cfg:*").overlaps(Pattern("config:*"))
        (True, False)
        """
        left, right = list(_atoms(self.parts)), list(_atoms(other.parts))
        todo, seen = [(0, 0)], set[tuple[int, int]]()
        while todo:
            i, j = at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            if at == (len(left), len(right)):
                return True
            a, b = left[i] if i < len(left) else None, right[j] if j < len(right) else None
            if a is not None and a.repeats:
                todo.append((i + 1, j))
            if b is not None and b.repeats:
                todo.append((i, j + 1))
            if a is not None and b is not None and a.meets(b):
                todo.append((i + (not a.repeats), j + (not b.repeats)))
        return False


@dataclass(frozen=True)
class _Atom:
    """One character: this one, or any, or any but the colon; or as many of them as one likes."""

    char: str = ""
    colon: bool = False
    repeats: bool = False

    def meets(self, other: _Atom) -> bool:
        if self.char and other.char:
            return self.char == other.char
        if self.char or other.char:
            char, free = (self.char, other) if self.char else (other.char, self)
            return char != ":" or free.colon
        return True


def _atoms(parts: Iterable[_Part]) -> Iterator[_Atom]:
    for part in parts:
        if part.name == "*":
            yield _Atom(colon=True, repeats=True)
        elif part.name:
            yield _Atom()
            yield _Atom(repeats=True)
        else:
            yield from (_Atom(char) for char in part.literal)


@dataclass(frozen=True)
class Renaming:
    """What keys of one pattern are called in another.

    >>> Renaming(Pattern("config:*"), Pattern("cfg:*")).new_name("config:a:b")
    'cfg:a:b'
    >>> Renaming(Pattern("{user}:{id}:s"), Pattern("s:{id}:{user}")).new_name("ann:1:s")
    's:1:ann'
    """

    old: Pattern
    new: Pattern

    def problem(self) -> str | None:
        """Why it cannot be done; None where it can: every old name has a new one, and no two have the same."""
        if sorted(self.old.variables) != sorted(self.new.variables):
            return "the old and the new pattern need the same {names}, and as many *"
        if not (self.old.readable and self.new.readable):
            return "with no colon between two variables, or two *, a key does not say what each of them stands for"
        if self.old.overlaps(self.new):
            return "a key of the new pattern can be one of the old pattern too, and would be renamed again"
        return None

    def new_name(self, key: str) -> str | None:
        """The new name of a key of the old pattern; None for another."""
        found = self.old.regex.fullmatch(key)
        if found is None:
            return None
        values = dict(zip(self.old.variables, found.groups(), strict=True))
        return "".join(values[p.name] if p.name else p.literal for p in self.new.parts)


def quoted(text: str) -> str:
    """A part of a key as a pattern has it: what means something there, escaped."""
    return re.sub(r"([\\{}*])", r"\\\1", text)
