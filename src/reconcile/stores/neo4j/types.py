"""Property types of type constraints in one spelling, as the server normalises them (documented, not run: these
constraints need the Enterprise Edition).

Manual: https://neo4j.com/docs/cypher-manual/5/values-and-types/property-structural-constructed/
"""

from __future__ import annotations

import re

HINT = "a property type: STRING, INTEGER, DATE, LIST<FLOAT NOT NULL>, or several with |"

_SYNONYMS = {
    "BOOL": "BOOLEAN",
    "VARCHAR": "STRING",
    "INT": "INTEGER",
    "SIGNED INTEGER": "INTEGER",
    "TIME WITHOUT TIME ZONE": "LOCAL TIME",
    "TIME WITH TIME ZONE": "ZONED TIME",
    "TIMESTAMP WITHOUT TIME ZONE": "LOCAL DATETIME",
    "TIMESTAMP WITH TIME ZONE": "ZONED DATETIME",
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
"""In the order in which the server prints a union."""
_LIST = re.compile(r"(?:LIST|ARRAY) ?<(.*)>\Z")


def normal(text: str) -> str:
    """The type in upper case, synonyms replaced, a union's members once each and in the server's order.

    >>> normal("integer | string | int")
    'STRING | INTEGER'
    >>> normal("list<float  not null>")
    'LIST<FLOAT NOT NULL>'

    Raises:
        ValueError: it names no property type.
    """
    plain = " ".join(text.upper().split())
    plain = plain.removeprefix("ANY").strip().removeprefix("<").removesuffix(">") if plain.startswith("ANY") else plain
    members = {_member(part.strip()) for part in plain.split("|")}
    return " | ".join(sorted(members, key=_rank))


def _member(text: str) -> str:
    found = _LIST.match(text)
    if found is None:
        scalar = _SYNONYMS.get(text, text)
        if scalar not in _SCALARS:
            raise ValueError(f'"{text}" is no property type')
        return scalar
    inner = found[1].strip()
    bare = inner.removesuffix("NOT NULL").strip() if inner.endswith("NOT NULL") else inner
    scalar = _SYNONYMS.get(bare, bare)
    if scalar not in _SCALARS or not inner.endswith("NOT NULL"):
        raise ValueError(f'"{text}" is no property type; a list is of one scalar type that is NOT NULL')
    return f"LIST<{scalar} NOT NULL>"


def _rank(member: str) -> tuple[bool, int]:
    is_list = member.startswith("LIST<")
    scalar = member[5:-1].removesuffix(" NOT NULL") if is_list else member
    return is_list, _SCALARS.index(scalar)
