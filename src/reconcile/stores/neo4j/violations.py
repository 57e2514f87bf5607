"""What in a graph breaks a constraint: counted, with a sample and the query that shows all of it. Reads only.

Uniqueness as the server has it, which is not Cypher's grouping (measured on 5.26): two NaN are the same value, 0.0 and
-0.0 are not, alone, in lists and beside other properties. Creating the constraint decides all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconcile.stores.neo4j.cypher import Required, quote
from reconcile.stores.neo4j.resources import EXISTS, KEY, TYPE, UNIQUE

Query = Callable[[str], list[Mapping[str, Any]] | None]
"""Rows of a query, None where the server could not answer it within its limits."""


class TooMuchError(Exception):
    """The server could not answer a query within its limits."""


@dataclass(frozen=True)
class Violation:
    """One way in which content breaks a constraint."""

    what: str
    """In the plural, without the count: "nodes have no Person.name"."""
    count: int
    """Of nodes or relationships."""
    sample: tuple[str, ...]
    """Values that occur more than once, else the ids of elements."""
    query: str
    """Shows up to 20."""
    values: int = 0
    """Of duplicates: how many values there are."""


def broken(required: Required, query: Query, sample: int = 5, *, typed: bool = True) -> Iterator[Violation]:
    """All ways in which stored data breaks what `required` asks.

    Args:
        typed: whether the server has the predicate `IS ::` (5.9 on).

    Raises:
        TooMuchError: the server could not answer.
    """
    if required.kind in (UNIQUE, KEY):
        yield from _duplicates(required, query, sample, typed)
    if required.kind in (EXISTS, KEY):
        missing = " OR ".join(f"n.{quote(p)} IS NULL" for p in required.properties)
        yield from _counted(required, missing, f"{required.rows} have no {required.says}", query, sample)
    if required.kind == TYPE:
        wrong = f"NOT n.{quote(required.properties[0])} IS :: {required.type}"
        says = f"{required.rows} have a {required.says} that is no {required.type}"
        yield from _counted(required, wrong, says, query, sample)


def duplicates_query(required: Required, *, exact: bool = False) -> str:
    """Shows the values that occur more than once, most frequent first, with up to five ids each.

    `exact`: NaN and -0.0 as uniqueness has them; longer, and of interest only where these are stored.
    """
    names = ", ".join(f"v{i}" for i in range(len(required.properties)))
    grouped, tag = (_grouped(required, True), ", tag") if exact else (f"WITH n, {_values(required)}", "")
    return (
        f"MATCH {required.pattern} WHERE {_all_set(required)} {grouped}"
        f" WITH {names}{tag}, collect(elementId(n)) AS ids, count(*) AS times"
        f" WHERE times > 1 RETURN {names}{tag}, times, ids[..5] AS ids ORDER BY times DESC LIMIT 20"
    )


def _values(required: Required) -> str:
    return ", ".join(f"n.{quote(p)} AS v{i}" for i, p in enumerate(required.properties))


def _all_set(required: Required) -> str:
    """A node without one of the properties is exempt from uniqueness."""
    return " AND ".join(f"n.{quote(p)} IS NOT NULL" for p in required.properties)


def _grouped(required: Required, typed: bool) -> str:
    """The values, and what tells apart, or puts together, what Cypher's grouping does not: `tag`.

    Nothing but NaN, and a list that holds one, is not equal to itself.
    """
    names = [f"v{i}" for i in range(len(required.properties))]
    plain = ", ".join(f"CASE WHEN {v} <> {v} THEN null ELSE {v} END AS {v}" for v in names)
    tags = " + '|' + ".join(
        f"CASE WHEN {v} <> {v} AND toStringOrNull({v}) = 'NaN' THEN 'NaN'"
        f" WHEN {v} = 0 AND toStringOrNull({v}) STARTS WITH '-' THEN '-0.0'"
        + (_list_tag(v) if typed else "")
        + " ELSE '' END"
        for v in names
    )
    return f"WITH n, {_values(required)} WITH n, {plain}, {tags} AS tag"


def _list_tag(v: str) -> str:
    return (
        f" WHEN {v} IS :: LIST<FLOAT NOT NULL> AND any(x IN {v} WHERE x <> x OR x = 0)"
        f" THEN reduce(s = '', x IN {v} | s + toString(x) + ' ')"
    )


def _duplicates(required: Required, query: Query, sample: int, typed: bool) -> Iterator[Violation]:
    names = ", ".join(f"v{i}" for i in range(len(required.properties)))
    rows = _rows(
        query,
        f"MATCH {required.pattern} WHERE {_all_set(required)} {_grouped(required, typed)}"
        f" WITH {names}, tag, count(*) AS times WHERE times > 1"
        f" WITH [{names}] AS value, tag, times ORDER BY times DESC"
        f" RETURN count(*) AS groups, sum(times) AS rows,"
        f" collect({{value: value, tag: tag, times: times}})[..{sample}] AS sample",
    )
    found = rows[0] if rows else {}
    if not found.get("groups"):
        return
    tagged = any(s["tag"].strip("|") for s in found["sample"])
    yield Violation(
        f"{required.rows} share their {required.says} with others",
        found["rows"],
        tuple(f"{_shown(s['value'], s['tag'])} ({s['times']}×)" for s in found["sample"]),
        duplicates_query(required, exact=tagged),
        found["groups"],
    )


def _counted(required: Required, condition: str, what: str, query: Query, sample: int) -> Iterator[Violation]:
    """Of constraints for the Enterprise Edition; the predicates work in every edition."""
    rows = _rows(query, f"MATCH {required.pattern} WHERE {condition} RETURN count(n) AS rows")
    count = rows[0]["rows"] if rows else 0
    if count:
        matched = f"MATCH {required.pattern} WHERE {condition}"
        ids = _rows(query, f"{matched} RETURN elementId(n) AS id LIMIT {sample}")
        yield Violation(what, count, tuple(row["id"] for row in ids), f"{matched} RETURN n LIMIT 20")


def _rows(query: Query, statement: str) -> list[Mapping[str, Any]]:
    rows = query(statement)
    if rows is None:
        raise TooMuchError
    return rows


def _shown(values: Sequence[object], tag: str) -> str:
    """One value or several, shortened; the tag where it says more than the value."""
    tags = tag.split("|") if tag.count("|") == len(values) - 1 else [""] * len(values)
    text = ", ".join(_one(value, part) for value, part in zip(values, tags, strict=True))
    text = text if len(text) <= 60 else text[:59] + "…"
    return text if len(values) == 1 else f"({text})"


def _one(value: object, tag: str) -> str:
    if tag.endswith(" "):  # of a list, each number with a blank after it
        return f"[{tag.strip().replace(' ', ', ')}]"
    if tag:
        return tag
    return repr(value) if isinstance(value, str) else str(value)
