"""Property types of type constraints in one spelling, the server's: synonyms, white space and order are no difference.

The Community Edition makes none of these constraints, but names in its refusal the type it has understood; all but
VECTOR is as 5.26 spells it there. VECTOR (2025.10, Enterprise Edition, Cypher 25) follows the manual and was not run.
Manual: https://neo4j.com/docs/cypher-manual/25/values-and-types/property-structural-constructed/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

HINT = "a property type: STRING, INTEGER, DATE, LIST<FLOAT NOT NULL>, VECTOR<FLOAT32>(384), or several with |"

_SYNONYMS = {
    "BOOL": "BOOLEAN",
    "VARCHAR": "STRING",
    "INT": "INTEGER",
    "SIGNED INTEGER": "INTEGER",
    "TIME WITHOUT TIMEZONE": "LOCAL TIME",
    "TIME WITH TIMEZONE": "ZONED TIME",
    "TIMESTAMP WITHOUT TIMEZONE": "LOCAL DATETIME",
    "TIMESTAMP WITH TIMEZONE": "ZONED DATETIME",
}
_SCALARS = (
    "BOOLEAN",
    "STRING",
    "INTEGER",
    "FLOAT",
    "DATE",
    "LOCAL TIME",
    "ZONED TIME",
    "LOCAL DATETIME",
    "ZONED DATETIME",
    "DURATION",
    "POINT",
)
"""In the order in which the server prints a union; then vectors, then lists."""
_COORDINATES = {
    "INTEGER8": "INTEGER8",
    "INT8": "INTEGER8",
    "INTEGER16": "INTEGER16",
    "INT16": "INTEGER16",
    "INTEGER32": "INTEGER32",
    "INT32": "INTEGER32",
    "INTEGER64": "INTEGER",
    "INT64": "INTEGER",
    "INTEGER": "INTEGER",
    "INT": "INTEGER",
    "SIGNED INTEGER": "INTEGER",
    "FLOAT32": "FLOAT32",
    "FLOAT64": "FLOAT",
    "FLOAT": "FLOAT",
}
"""Of vectors, in the order of unions."""
_ANY = re.compile(r"ANY(?: VALUE)?<(.*)>\Z")
_LIST = re.compile(r"(?:LIST|ARRAY)<(.*)>\Z|(.*) (?:LIST|ARRAY)\Z")
_VECTOR = re.compile(r"VECTOR(?:<([^<>]*)>\((\d+)\)|\((\d+),([^()]*)\))\Z")
_MOST = 4096
"""Dimensions of a vector."""


def normal(text: str) -> str:
    """The type in upper case, synonyms replaced, a union's members once each and in the server's order.

    >>> normal("integer | string | int")
    'STRING | INTEGER'
    >>> normal("list<float  not null>"), normal("VECTOR(3, FLOAT64)")
    ('LIST<FLOAT NOT NULL>', 'VECTOR<FLOAT NOT NULL>(3)')

    Raises:
        ValueError: it names no property type.
    """
    plain = re.sub(r" ?([<>|(),!]) ?", r"\1", " ".join(text.upper().split())).replace("!", " NOT NULL")
    plain = re.sub(r">(?=[A-Z])", "> ", plain).replace("TIME ZONE", "TIMEZONE")
    members = set(_members(plain))
    if len(members) > 1:
        members.discard("NOTHING")
    if "NOTHING" in members:
        raise ValueError('"NOTHING" is no property type')
    return " | ".join(sorted(members, key=_rank))


def _members(text: str) -> Iterator[str]:
    """Those of a union, each by itself; it may stand in ANY<…>."""
    for part in _split(text):
        found = _ANY.match(part)
        if found is not None:
            yield from _members(found[1])
        else:
            yield part if part == "NOTHING" else _member(part)


def _split(text: str) -> Iterator[str]:
    """At the bars that stand in no brackets."""
    depth, begin = 0, 0
    for place, character in enumerate(text):
        depth += (character == "<") - (character == ">")
        if character == "|" and depth == 0:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _member(text: str) -> str:
    found = _VECTOR.match(text)
    if found is not None:
        return _vector(text, found[1] or found[4], int(found[2] or found[3]))
    listed = _LIST.match(text)
    if listed is None:
        return _scalar(text, text)
    inner = listed[1] or listed[2] or ""
    if not inner.endswith(" NOT NULL"):
        raise ValueError(f'"{text}" is no property type; a list is of one scalar type that is NOT NULL')
    return f"LIST<{_scalar(inner.removesuffix(' NOT NULL'), text)} NOT NULL>"


def _scalar(text: str, whole: str) -> str:
    scalar = _SYNONYMS.get(text, text)
    if scalar not in _SCALARS:
        raise ValueError(f'"{whole}" is no property type')
    return scalar


def _vector(text: str, coordinate: str, dimensions: int) -> str:
    plain = _COORDINATES.get(coordinate.removesuffix(" NOT NULL"))
    if plain is None or not 1 <= dimensions <= _MOST:
        raise ValueError(f'"{text}" is no property type; a vector is of numbers and has 1 to {_MOST} dimensions')
    return f"VECTOR<{plain} NOT NULL>({dimensions})"


def _rank(member: str) -> tuple[int, int, int]:
    found = _VECTOR.match(member)
    if found is not None:
        return 1, list(_COORDINATES).index(found[1].removesuffix(" NOT NULL")), int(found[2])
    is_list = member.startswith("LIST<")
    return 2 * is_list, _SCALARS.index(member[5:-1].removesuffix(" NOT NULL") if is_list else member), 0
