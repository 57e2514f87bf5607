"""Names in use that no vocabulary lists: labels, relationship types, property keys, each with how often.

Labels and types are counted by the count store, in no time. Property keys are counted within the labels and types that
the vocabulary lists, within all where it lists none; the tool's own label and what the project ignores are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconcile.findings import Finding, Rule, Sample
from reconcile.model import State
from reconcile.stores.neo4j.cypher import quote
from reconcile.stores.neo4j.introspect import OWN_LABELS
from reconcile.stores.neo4j.looking import Look
from reconcile.stores.neo4j.resources import Vocabulary

ELEMENTS = 1_000_000
"""How many nodes or relationships of one label or type have their keys counted: about ten seconds. Of more a sample."""

_QUERIES = {
    "labels": "CALL db.labels() YIELD label AS name RETURN name ORDER BY name",
    "relationship_types": "CALL db.relationshipTypes() YIELD relationshipType AS name RETURN name ORDER BY name",
}


def unknown(words: Vocabulary, declared: State, look: Look) -> Iterator[Finding | Sample]:
    """What is in use and not listed in `words`.

    Args:
        declared: where the other vocabularies are, which say what property keys are looked for in.

    Raises:
        TooMuchError: the server could not answer.
    """
    if words.kind == "labels":
        return _names(words, "(n:{})", 'nodes have the label "{}"', look)
    if words.kind == "relationship_types":
        return _names(words, "()-[n:{}]->()", 'relationships are of type "{}"', look)
    others = {r.kind: r.names for r in declared.values() if isinstance(r, Vocabulary)}
    return _keys(words, others.get("labels"), others.get("relationship_types"), look)


def _names(words: Vocabulary, pattern: str, what: str, look: Look) -> Iterator[Finding]:
    for name in _in_use(words.kind, look):
        count = 0 if name in words.names else look.count(f"MATCH {pattern.format(quote(name))} RETURN count(n) AS rows")
        if count:
            yield Finding(
                words.address,
                Rule.VOCABULARY,
                what.format(name),
                count,
                query=f"MATCH {pattern.format(quote(name))} RETURN n",
                source=words.source,
                hint=f'list it under vocabulary: {words.kind}: ["{name}"], or rename it in the data',
            )


def _in_use(kind: str, look: Look) -> list[str]:
    names = (row["name"] for row in look.rows(_QUERIES[kind]))
    return [name for name in names if name not in OWN_LABELS and not look.hides(kind.removesuffix("s"), name)]


@dataclass(frozen=True)
class _Place:
    """Where property keys are looked for."""

    pattern: str
    elements: str


def _places(labels: Sequence[str] | None, types: Sequence[str] | None, look: Look) -> Iterator[_Place]:
    if labels is None:
        hidden = [row["name"] for row in look.rows(_QUERIES["labels"]) if look.hides("label", row["name"])]
        without = "&".join(f"!{quote(name)}" for name in (*OWN_LABELS, *hidden))
        yield _Place(f"(n:{without})", "nodes")
    yield from (_Place(f"(n:{quote(name)})", "nodes") for name in labels or ())
    if types is None:
        hidden = [
            row["name"]
            for row in look.rows(_QUERIES["relationship_types"])
            if look.hides("relationship_type", row["name"])
        ]
        without = ":" + "&".join(f"!{quote(name)}" for name in hidden) if hidden else ""
        yield _Place(f"()-[n{without}]->()", "relationships")
    yield from (_Place(f"()-[n:{quote(name)}]->()", "relationships") for name in types or ())


def _keys(
    words: Vocabulary, labels: Sequence[str] | None, types: Sequence[str] | None, look: Look
) -> Iterator[Finding | Sample]:
    for place in _places(labels, types, look):
        total = look.count(f"MATCH {place.pattern} RETURN count(n) AS rows")
        some = f" WHERE rand() < {ELEMENTS / total}" if total > ELEMENTS else ""
        rows = look.rows(
            f"MATCH {place.pattern}{some} UNWIND [k IN keys(n) WHERE NOT k IN $known] AS key"
            " RETURN key, count(*) AS rows ORDER BY key",
            known=list(words.names),
        )
        if some:
            yield Sample(words.address, f"{place.elements} {place.pattern}", ELEMENTS, total, words.source)
        for row in rows:
            if look.hides("property_key", row["key"]):
                continue
            held = f"MATCH {place.pattern} WHERE n.{quote(row['key'])} IS NOT NULL"
            yield Finding(
                words.address,
                Rule.VOCABULARY,
                f'{place.elements} {place.pattern} have the property "{row["key"]}"',
                row["rows"],
                look.some(held),
                f"{held} RETURN n",
                words.source,
                f'list it under vocabulary: property_keys: ["{row["key"]}"], or rename it in the data',
                bounded=bool(some),
                looked=ELEMENTS if some else None,
            )
