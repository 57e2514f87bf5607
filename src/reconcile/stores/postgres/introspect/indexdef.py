"""The keys of an index: out of pg_get_indexdef's text, but where the catalog says that they are plain columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from reconcile.stores.postgres.names import join
from reconcile.stores.postgres.resources import IndexItem, plain
from reconcile.stores.postgres.sqltokens import Token, tokens, unwrap

_DESCENDING, _NULLS_FIRST = 1, 2
"""Bits of pg_index.indoption."""


def items(definition: str | None, columns: tuple[str | None, ...], order: Sequence[int]) -> tuple[IndexItem, ...]:
    """The keys of an index; `order`, its indoption, tells of those of which there is no definition.

    >>> items(None, ('a', 'b'), (0, 3))[1].order
    'desc'
    """
    if definition is not None:
        return keys(definition, columns)
    return tuple([plain(c) if not bits else _ordered(c, bits) for c, bits in zip(columns, order, strict=True) if c])


@lru_cache(maxsize=4096)
def _ordered(column: str, bits: int) -> IndexItem:
    descending, first = bool(bits & _DESCENDING), bool(bits & _NULLS_FIRST)
    nulls = None if descending == first else "first" if first else "last"
    return IndexItem(column=column, order="desc" if descending else "asc", nulls=nulls)


def keys(definition: str, columns: tuple[str | None, ...]) -> tuple[IndexItem, ...]:
    """The keys of `definition`; `columns` has the name of each key's column, None where it is an expression.

    >>> keys('CREATE INDEX i ON public.t USING btree (a, lower(b) text_pattern_ops DESC)', ('a', None))[1].order
    'desc'
    """
    if is_plain(definition, columns):
        return tuple([plain(c) for c in columns if c is not None])
    method = -1 if '"' in definition else definition.find(" USING ")
    return _keys(definition[method + 1 :], columns)


@lru_cache(maxsize=4096)  # without the names of index and table, those of many tables are the same
def _keys(definition: str, columns: tuple[str | None, ...]) -> tuple[IndexItem, ...]:
    found = tokens(definition)
    start = next(i for i, t in enumerate(found) if t.text == "USING") + 1
    while found[start].text != "(":
        start += 1
    return tuple(_key(part, column) for part, column in zip(_parts(found, start), columns, strict=False))


def is_plain(definition: str, columns: Sequence[str | None]) -> bool:
    """Whether the keys of `definition` are columns and nothing else; of quoted names False, without looking closer."""
    if None in columns:
        return False
    keys = f" ({', '.join([c for c in columns if c is not None])})"
    return definition.find(keys) == definition.find(" (") and '"' not in keys


def _parts(found: Sequence[Token], start: int) -> list[list[Token]]:
    """The comma-separated token lists inside the parenthesis that opens at `start`."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found[start:]:
        if token.text == ")":
            depth -= 1
            if depth == 0:
                break
        if depth == 1 and token.text == ",":
            parts.append([])
        elif depth:
            parts[-1].append(token)
        if token.text == "(":
            depth += 1
    return [_trimmed(p) for p in parts]


def _trimmed(part: list[Token]) -> list[Token]:
    while part and part[0].kind == "space":
        part = part[1:]
    while part and part[-1].kind == "space":
        part = part[:-1]
    return part


def _key(part: list[Token], column: str | None) -> IndexItem:
    end = 1 if column is not None else _expression_end(part)
    expression = None if column is not None else unwrap("".join(t.text for t in part[:end]))
    rest = [t for t in part[end:] if t.kind != "space"]
    collation = opclass = nulls = None
    order, parameters = "asc", ""
    at = 0
    while at < len(rest):
        word = rest[at].text
        if word == "COLLATE":
            collation, at = _dotted(rest, at + 1)
        elif word in ("ASC", "DESC"):
            order, at = word.lower(), at + 1
        elif word == "NULLS":
            nulls, at = rest[at + 1].text.lower(), at + 2
        elif word == "(":
            close = next(i for i in range(at, len(rest)) if rest[i].text == ")")
            parameters, at = "".join(t.text for t in rest[at + 1 : close]), close + 1
        else:
            opclass, at = _dotted(rest, at)
    return IndexItem(
        column=column,
        expression=expression,
        opclass=opclass,
        parameters=options(parameters.split(",") if parameters else []),
        order=order,
        nulls=nulls,
        collation=collation,
    )


def _expression_end(part: list[Token]) -> int:
    """Where the expression ends: a parenthesis, or a function call with its dotted name."""
    depth = 0
    for place, token in enumerate(part):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ")" and depth == 0:
            return place + 1
    return len(part)


def _dotted(rest: list[Token], at: int) -> tuple[str, int]:
    names = [rest[at].name or rest[at].text]
    at += 1
    while at + 1 < len(rest) and rest[at].text == ".":
        names.append(rest[at + 1].name or rest[at + 1].text)
        at += 2
    return join(*(n for n in names if n != "pg_catalog")), at


def options(texts: list[str] | None) -> tuple[tuple[str, str], ...]:
    """reloptions as (name, value), by name: `["m=16"]` and `m='16'` alike."""
    pairs = (t.strip().partition("=") for t in texts or ())
    return tuple(sorted((name.strip(), value.strip().strip("'")) for name, _, value in pairs))
