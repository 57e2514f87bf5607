"""Bounds of partitions as PostgreSQL writes them: what belongs to one, and whether two may overlap. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from reconcile.stores.postgres.resources import IndexItem, PartitionBy
from reconcile.stores.postgres.sqltext import dotted, ident
from reconcile.stores.postgres.sqltokens import tokens

_HASH = re.compile(r"FOR VALUES WITH \(\s*modulus (\d+), remainder (\d+)\s*\)", re.I)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?(\+00)?)?")


@dataclass(frozen=True)
class Bound:
    """One of: the default, values of a list, lowest and first too high values of a range, modulus and remainder."""

    default: bool = False
    values: tuple[str, ...] = ()
    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    hash: tuple[int, int] | None = None


def read(text: str) -> Bound:
    """
    >>> read("FOR VALUES FROM (1, MINVALUE) TO (5, 'a, b')").high
    ('5', "'a, b'")
    """
    if text.upper() == "DEFAULT":
        return Bound(default=True)
    match = _HASH.fullmatch(text)
    if match:
        return Bound(hash=(int(match[1]), int(match[2])))
    lists = _lists(text)
    return Bound(values=lists[0]) if len(lists) == 1 else Bound(low=lists[0], high=lists[1])


def _lists(text: str) -> list[tuple[str, ...]]:
    """What stands in the outermost parentheses, split at commas."""
    found: list[tuple[str, ...]] = []
    items: list[str] = [""]
    depth = 0
    for token in tokens(text):
        if token.text in "([" and token.text:
            depth += 1
            if depth == 1:
                items = [""]
                continue
        elif token.text in ")]" and token.text:
            depth -= 1
            if depth == 0:
                found.append(tuple(i.strip() for i in items))
                continue
        if depth == 1 and token.text == ",":
            items.append("")
        elif depth:
            items[-1] += token.text
    return found


def condition(by: PartitionBy, text: str) -> str | None:
    """The rows that belong to a partition, as SQL; None where that cannot be written (hash, another opclass).

    The default partition holds what belongs to no other: None.
    """
    bound = read(text)
    if bound.default or bound.hash or any(k.opclass for k in by.keys):
        return None
    keys = [_key(k) for k in by.keys]
    if bound.values:
        return _listed(keys[0], bound.values)
    parts = [f"{key} IS NOT NULL" for key in keys]
    parts += _limit(keys, bound.low, {"": ">=", "MINVALUE": ">=", "MAXVALUE": ">"})
    parts += _limit(keys, bound.high, {"": "<", "MINVALUE": "<", "MAXVALUE": "<="})
    return " AND ".join(parts)


def provable(by: PartitionBy) -> bool:
    """Whether PostgreSQL sees that a validated check of `condition` makes a scan needless: one key only."""
    return len(by.keys) == 1


def _key(key: IndexItem) -> str:
    text = ident(key.column) if key.column is not None else f"({key.expression})"
    return f"{text} COLLATE {dotted(key.collation)}" if key.collation else text


def _listed(key: str, values: Sequence[str]) -> str:
    some = [v for v in values if v.upper() != "NULL"]
    among = f"{key} IN ({', '.join(some)})" if some else ""
    if len(some) < len(values):
        return f"({key} IS NULL OR {among})" if among else f"{key} IS NULL"
    return f"{key} IS NOT NULL AND {among}"


def _limit(keys: Sequence[str], values: Sequence[str], operators: dict[str, str]) -> list[str]:
    """A comparison with the values before the first MINVALUE or MAXVALUE, which says what to do at equality."""
    end = next((n for n, v in enumerate(values) if v.upper() in ("MINVALUE", "MAXVALUE")), len(values))
    if end == 0:
        return []
    operator = operators[values[end].upper() if end < len(values) else ""]
    if end == 1:
        return [f"{keys[0]} {operator} {values[0]}"]
    return [f"({', '.join(keys[:end])}) {operator} ({', '.join(values[:end])})"]


def may_overlap(left: str, right: str) -> bool:
    """Whether two partitions of one table may claim the same rows; yes where it cannot be told.

    >>> may_overlap("FOR VALUES IN ('a')", "FOR VALUES IN ('b')")
    False
    >>> may_overlap("FOR VALUES FROM (1) TO (5)", "FOR VALUES FROM ('5') TO (MAXVALUE)")
    False
    """
    a, b = read(left), read(right)
    if a.default or b.default:
        return a.default and b.default
    if a.hash and b.hash:
        return (a.hash[1] - b.hash[1]) % gcd(a.hash[0], b.hash[0]) == 0
    if a.values and b.values:
        return bool(set(a.values) & set(b.values))
    if not (a.low and b.low):
        return True
    return not (_at_most(a.high[0], b.low[0]) or _at_most(b.high[0], a.low[0]))


def _at_most(high: str, low: str) -> bool:
    """Whether a range ends, for certain, before or where another begins; of several keys the first decides."""
    ends, begins = high.strip("'"), low.strip("'")
    if _NUMBER.fullmatch(ends) and _NUMBER.fullmatch(begins):
        return float(ends) <= float(begins)
    return bool(_MOMENT.fullmatch(ends) and _MOMENT.fullmatch(begins)) and ends <= begins
