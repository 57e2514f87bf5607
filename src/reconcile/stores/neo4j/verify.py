"""Does the content agree with what is declared? Constraints that are only checked, stored vectors, names in use.

Every query counts on the server and brings back a few rows. What would have to look at too much looks at a part, and
says so (`Finding.bounded`). Manual: https://neo4j.com/docs/cypher-manual/5/values-and-types/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from reconcile.findings import Finding, Rule
from reconcile.model import Json, State
from reconcile.stores.neo4j.cypher import match, quote, required_by
from reconcile.stores.neo4j.introspect import MARK_LABEL
from reconcile.stores.neo4j.resources import VECTOR, Check, Index, Vocabulary
from reconcile.stores.neo4j.violations import TooMuchError, Violation, broken

SAMPLED = 100
"""How many vectors, or carriers of properties, are looked at for each key that is shown, where there are more."""


class Ask(Protocol):
    """Sends a query that reads; None where the server could not answer it within its limits."""

    def __call__(self, statement: str, **parameters: Json) -> list[Mapping[str, Any]] | None: ...


@dataclass(frozen=True)
class Look:
    """Where to look, and how much to bring back."""

    store: str
    ask: Ask
    sample: int

    def rows(self, statement: str, **parameters: Json) -> list[Mapping[str, Any]]:
        """What the server answers.

        Raises:
            TooMuchError: it could not.
        """
        found = self.ask(statement, **parameters)
        if found is None:
            raise TooMuchError
        return found

    def count(self, statement: str, **parameters: Json) -> int:
        """The column `rows` of the only row."""
        (row,) = self.rows(statement, **parameters)
        return int(row["rows"])


def findings(desired: State, look: Look) -> list[Finding]:
    """Every disagreement, in the order of what is declared."""
    found: list[Finding] = []
    words: dict[str, Vocabulary] = {}
    for resource in desired.values():
        if isinstance(resource, Check):
            found += _broken(resource, look)
        elif isinstance(resource, Index) and resource.kind == VECTOR and resource.dimensions is not None:
            found += _misfits(resource, look)
        elif isinstance(resource, Vocabulary):
            words[resource.kind] = resource
    return [*found, *_unknown(words, look)]


def _broken(check: Check, look: Look) -> Iterator[Finding]:
    required = required_by(check)
    try:
        violations = list(broken(required, look.ask, look.sample))
    except TooMuchError:
        what = f"{required.rows} of {required.says} could not be looked through: it takes more than the server gives"
        violations = [Violation(what, 0, (), "")]
    for violation in violations:
        yield Finding(
            check.address,
            Rule.CONSTRAINT,
            violation.what,
            violation.count,
            violation.sample,
            violation.query.removesuffix(" LIMIT 20") or None,
            check.source,
            bounded=not violation.query,
        )


# -- vectors ---------------------------------------------------------------------------------------------------


_NUMBERS = "LIST<FLOAT NOT NULL> | LIST<INTEGER NOT NULL>"


def _misfits(index: Index, look: Look) -> Iterator[Finding]:
    """Vectors that the index leaves out without a word: it takes lists of numbers of its length, not all zero."""
    property_ = f"n.{quote(index.properties[0])}"
    zero = f" WHEN all(x IN {property_} WHERE x = 0) THEN 'zero'" if index.similarity == "cosine" else ""
    wrong = (
        # a value of type VECTOR, from 2025.10 on, says its dimensions in its type
        f"CASE WHEN valueType({property_}) STARTS WITH 'VECTOR' THEN"
        f" CASE WHEN valueType({property_}) CONTAINS '({index.dimensions})' THEN null ELSE valueType({property_}) END"
        f" WHEN NOT {property_} IS :: {_NUMBERS} THEN valueType({property_})"
        f" WHEN size({property_}) <> {index.dimensions} THEN 'size ' + size({property_}){zero} END"
    )
    pattern = match(index)
    stored = f"MATCH {pattern} WHERE {property_} IS NOT NULL"
    total = look.count(f"{stored} RETURN count(n) AS rows")
    most = max(look.sample, 1) * SAMPLED
    bounded = total > most
    some = f" AND rand() < {most / total}" if bounded else ""
    rows = look.rows(
        f"{stored}{some} WITH n, {wrong} AS wrong WHERE wrong IS NOT NULL"
        f" RETURN wrong, count(*) AS rows, collect(elementId(n))[..{look.sample}] AS ids ORDER BY rows DESC, wrong",
    )
    for row in rows:
        yield Finding(
            index.address,
            Rule.VECTOR,
            f"{_elements(index)} have in {index.says()} {_said(row['wrong'], index)}",
            row["rows"],
            tuple(row["ids"]),
            f"{stored} AND {wrong} IS NOT NULL RETURN elementId(n) AS id, {property_} AS value",
            index.source,
            hint=f"index {index.name} leaves them out: no search finds them",
            bounded=bounded,
        )


def _elements(index: Index) -> str:
    return "nodes" if index.on_nodes else "relationships"


def _said(wrong: str, index: Index) -> str:
    if wrong == "zero":
        return "only zeros, which cosine cannot compare"
    size = re.fullmatch(r"size (\d+)", wrong)
    return f"{size[1]} dimensions, not {index.dimensions}" if size else f"{wrong.removesuffix(' NOT NULL')}, no vector"


# -- names in use ----------------------------------------------------------------------------------------------


def _unknown(words: Mapping[str, Vocabulary], look: Look) -> Iterator[Finding]:
    """Names that no vocabulary lists, with how often they are in use."""
    labels, types, keys = (words.get(k) for k in ("labels", "relationship_types", "property_keys"))
    if labels is not None:
        used = [row["name"] for row in look.rows("CALL db.labels() YIELD label AS name RETURN name ORDER BY name")]
        for name in used:
            if name not in labels.names and name != MARK_LABEL:
                yield from _named(labels, name, f"(n:{quote(name)})", f'nodes have the label "{name}"', look)
    if types is not None:
        query = "CALL db.relationshipTypes() YIELD relationshipType AS name RETURN name ORDER BY name"
        for name in [row["name"] for row in look.rows(query)]:
            if name not in types.names:
                pattern = f"()-[n:{quote(name)}]->()"
                yield from _named(types, name, pattern, f'relationships are of type "{name}"', look)
    if keys is not None:
        yield from _unknown_keys(keys, labels, types, look)


def _named(vocabulary: Vocabulary, name: str, pattern: str, what: str, look: Look) -> Iterator[Finding]:
    count = look.count(f"MATCH {pattern} RETURN count(n) AS rows")
    if count:
        shown = f"MATCH {pattern} RETURN n"
        hint = f'list it under vocabulary: {vocabulary.kind}: ["{name}"], or rename it in the data'
        yield Finding(
            vocabulary.address, Rule.VOCABULARY, what, count, (), shown, vocabulary.source, hint
        )  # fmt: skip


def _unknown_keys(
    keys: Vocabulary, labels: Vocabulary | None, types: Vocabulary | None, look: Look
) -> Iterator[Finding]:
    """Within the labels and types that the vocabulary lists; within all where it lists none."""
    places = [f"(n:{quote(name)})" for name in labels.names] if labels is not None else [f"(n:!{quote(MARK_LABEL)})"]
    places += [f"()-[n:{quote(name)}]->()" for name in types.names] if types is not None else ["()-[n]->()"]
    most = max(look.sample, 1) * SAMPLED
    for pattern in places:
        rows = look.rows(
            f"MATCH {pattern} WITH n LIMIT $most WITH collect(n) AS seen"
            " UNWIND seen AS n UNWIND [k IN keys(n) WHERE NOT k IN $known] AS key"
            " RETURN key, size(seen) AS looked, count(*) AS rows,"
            f" collect(elementId(n))[..{look.sample}] AS ids ORDER BY key",
            most=most,
            known=list(keys.names),
        )
        for row in rows:
            what = (
                f'{"nodes" if pattern.startswith("(n") else "relationships"} {pattern} have the property "{row["key"]}"'
            )
            yield Finding(
                keys.address,
                Rule.VOCABULARY,
                what,
                row["rows"],
                tuple(row["ids"]),
                f"MATCH {pattern} WHERE n.{quote(row['key'])} IS NOT NULL RETURN n",
                keys.source,
                f'list it under vocabulary: property_keys: ["{row["key"]}"], or rename it in the data',
                bounded=row["looked"] >= most,
            )
