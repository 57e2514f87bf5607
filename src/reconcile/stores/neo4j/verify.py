"""Does the content agree with what is declared? Constraints that are only checked, and stored vectors.

Every query counts on the server and brings back a few rows. What would have to read too much looks at a part, and says
so; a query that the server's limits end is told as not run. Manual:
https://neo4j.com/docs/cypher-manual/5/values-and-types/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconcile.findings import Finding, NotRun, Rule, Sample, Verified
from reconcile.model import Resource, State
from reconcile.stores.neo4j import vocabulary
from reconcile.stores.neo4j.cypher import Required, match, quote, required_by
from reconcile.stores.neo4j.looking import Look
from reconcile.stores.neo4j.resources import VECTOR, Check, Index, Vocabulary
from reconcile.stores.neo4j.violations import TooMuchError, broken

__all__ = ["Look", "verified"]

NUMBERS = 50_000_000
"""How many numbers of vectors are read at most: about ten seconds (5.26, two cores). Of more vectors a sample is."""
_SAMPLED = 100
"""How many vectors are looked at in any case, for each key that is shown."""
_WHY = "it takes more time or memory than the server gives a query"


def verified(chosen: State, declared: State, look: Look) -> Verified:
    """What there is to say of `chosen`, in its order.

    Args:
        declared: all that is declared: which labels and types a vocabulary of property keys is about.
    """
    return Verified.of(answer for resource in chosen.values() for answer in _about(resource, declared, look))


def about(chosen: State) -> Iterator[Resource]:
    """What of it has anything to do with content."""
    for resource in chosen.values():
        if resource.only_verified or (isinstance(resource, Index) and resource.kind == VECTOR):
            yield resource


def _about(resource: Resource, declared: State, look: Look) -> Iterator[Finding | Sample | NotRun]:
    if isinstance(resource, Check):
        required = required_by(resource)
        what = f"whether {required.rows} break {required.kind} {required.says}"
        answers: Iterator[Finding | Sample] = _broken(resource, required, look)
    elif isinstance(resource, Index) and resource.kind == VECTOR and resource.dimensions is not None:
        what = f"whether {_elements(resource)} have vectors that fit in {resource.says()}"
        answers = _misfits(resource, resource.dimensions, look)
    elif isinstance(resource, Vocabulary):
        what = f"which {resource.kind.replace('_', ' ')} are in use"
        answers = vocabulary.unknown(resource, declared, look)
    else:
        return
    try:
        yield from answers
    except TooMuchError:
        yield NotRun(resource.address, what, _WHY, resource.source)


def _broken(check: Check, required: Required, look: Look) -> Iterator[Finding]:
    for violation in broken(required, look.ask, look.sample):
        yield Finding(
            check.address,
            Rule.CONSTRAINT,
            violation.what,
            violation.count,
            violation.sample,
            violation.query.removesuffix(" LIMIT 20"),
            check.source,
        )


# -- vectors ---------------------------------------------------------------------------------------------------


_NUMBERS_TYPE = "LIST<FLOAT NOT NULL> | LIST<INTEGER NOT NULL>"


def _misfits(index: Index, dimensions: int, look: Look) -> Iterator[Finding | Sample]:
    """Vectors that the index leaves out without a word: it takes lists of numbers of its length, not all zero."""
    property_ = f"n.{quote(index.properties[0])}"
    zero = f" WHEN all(x IN {property_} WHERE x = 0) THEN 'zero'" if index.similarity == "cosine" else ""
    wrong = (
        # a value of type VECTOR, from 2025.10 on, says its dimensions in its type
        f"CASE WHEN valueType({property_}) STARTS WITH 'VECTOR' THEN"
        f" CASE WHEN valueType({property_}) CONTAINS '({dimensions})' THEN null ELSE valueType({property_}) END"
        f" WHEN NOT {property_} IS :: {_NUMBERS_TYPE} THEN valueType({property_})"
        f" WHEN size({property_}) <> {dimensions} THEN 'size ' + size({property_}){zero} END"
    )
    stored = f"MATCH {match(index)} WHERE {property_} IS NOT NULL"
    total = look.count(f"{stored} RETURN count(n) AS rows")
    most = max(look.sample * _SAMPLED, _SAMPLED, NUMBERS // dimensions)
    some = f" AND rand() < {most / total}" if total > most else ""
    rows = look.rows(f"{stored}{some} WITH {wrong} AS wrong RETURN wrong, count(*) AS rows ORDER BY rows DESC, wrong")
    looked = sum(row["rows"] for row in rows) if some else None
    if looked is not None:
        yield Sample(index.address, f"{_elements(index)} with {index.says()}", looked, total, index.source)
    for row in rows:
        if row["wrong"] is not None:
            yield Finding(
                index.address,
                Rule.VECTOR,
                f"{_elements(index)} have in {index.says()} {_said(row['wrong'], index)}",
                row["rows"],
                look.some(f"{stored} WITH n, {wrong} AS wrong WHERE wrong = $wrong", wrong=row["wrong"]),
                f"{stored} AND {wrong} IS NOT NULL RETURN elementId(n) AS id, {property_} AS value",
                index.source,
                hint=f"index {index.name} leaves them out: no search finds them",
                bounded=looked is not None,
                looked=looked,
            )


def _elements(index: Index) -> str:
    return "nodes" if index.on_nodes else "relationships"


def _said(wrong: str, index: Index) -> str:
    if wrong == "zero":
        return "only zeros, which cosine cannot compare"
    size = re.fullmatch(r"size (\d+)", wrong)
    return f"{size[1]} dimensions, not {index.dimensions}" if size else f"{wrong.removesuffix(' NOT NULL')}, no vector"
