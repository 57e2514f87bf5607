"""What `verify` finds in a graph: constraints that nobody enforces, vectors, names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from neo4j.exceptions import Neo4jError
from tests.stores.neo4j.graph import Graph, lines

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.findings import Finding, Rule
from reconcile.stores.base import Verifies


def verified(graph: Graph, text: str, sample: int = 3) -> Sequence[Finding]:
    """The findings for a declaration that plans nothing."""
    graph.declare(text)
    with graph.session() as session:
        assert isinstance(session, Verifies)
        return session.verify(graph.project.desired(), sample)


def said(found: Sequence[Finding]) -> list[tuple[str, int, str]]:
    return [(f"{f.address.kind}.{f.address.name}", f.count, f.what) for f in found]


def test_constraints_that_are_only_checked_are_counted_with_a_sample(graph: Graph) -> None:
    graph.send(
        "UNWIND range(1, 7) AS i CREATE"
        " (:P {name: CASE WHEN i > 3 THEN 'n' + i END, born: CASE i WHEN 1 THEN 'x' ELSE i END, a: i % 2,"
        " b: CASE WHEN i < 7 THEN 1 END})-[:R {since: CASE WHEN i > 5 THEN date() ELSE 'soon' END}]->(:Q)"
    )
    found = verified(
        graph,
        """constraints:
  named: {label: P, exists: name, enforce: check}
  born: {label: P, property: born, type: INTEGER, enforce: check}
  pair: {label: P, key: [a, b], enforce: check}
  since: {relationship: R, property: since, type: DATE | ZONED DATETIME, enforce: check}
  fine: {relationship: R, exists: since, enforce: check}""",
    )
    assert said(found) == [
        ("check.named", 3, "nodes have no P.name"),
        ("check.born", 1, "nodes have a P.born that is no INTEGER"),
        ("check.pair", 6, "nodes share their P.(a, b) with others"),
        ("check.pair", 1, "nodes have no P.(a, b)"),
        ("check.since", 5, "relationships have a R.since that is no DATE | ZONED DATETIME"),
    ]
    assert {f.rule for f in found} == {Rule.CONSTRAINT}
    assert [len(f.sample) for f in found] == [3, 1, 2, 1, 3]
    assert sorted(found[2].sample) == ["(0, 1) (3×)", "(1, 1) (3×)"]
    for finding in found:
        assert finding.query is not None
        assert len(graph.send(finding.query)) == (2 if "share" in finding.what else finding.count)
        assert finding.source is not None
        assert not finding.bounded
    assert lines(graph.plan()) == [], "nothing is made for it"
    assert graph.live() == {}


def test_what_is_only_looked_at_is_counted_as_declared(graph: Graph) -> None:
    from reconcile.validation import validate

    graph.declare(
        "constraints:\n  a: {label: P, exists: name, enforce: check}\nvocabulary: {labels: [P], property_keys: [name]}"
    )
    assert validate(graph.folder).counts == {"graph": {"check": 1, "vocabulary": 2}}


def test_a_constraint_that_is_only_checked_from_now_on_is_dropped(graph: Graph) -> None:
    graph.declare("constraints:\n  x: {label: P, unique: [a]}")
    graph.apply()
    graph.declare("constraints:\n  x: {label: P, key: [a], enforce: check}")
    assert [line.split()[:2] for line in lines(graph.apply())] == [["delete", "constraint.x"]]


def test_stored_vectors_that_do_not_fit_are_counted_by_what_is_wrong(graph: Graph) -> None:
    graph.send(
        "UNWIND [[1.0, 0.0, 0.5, 1.0], [1, 2, 3, 4], [1.0], [2.0], 'text', true, [0.0, 0.0, 0.0, 0.0], null] AS e"
        " CREATE (:C {e: e})",
        "CREATE (:C)-[:NEAR {v: [1.0, 2.0]}]->(:C)",
    )
    text = """indexes:
  near: {kind: vector, relationship: NEAR, properties: [v], dimensions: 3, similarity: euclidean}
  vec: {kind: vector, label: C, properties: [e], embedding: passages}
  any: {kind: vector, label: C, properties: [other]}"""
    found = verified(graph, text)
    assert said(found) == [
        ("index.near", 1, "relationships have in ()-[:NEAR]-().v 2 dimensions, not 3"),
        ("index.vec", 2, "nodes have in (:C).e 1 dimensions, not 4"),
        ("index.vec", 1, "nodes have in (:C).e BOOLEAN, no vector"),
        ("index.vec", 1, "nodes have in (:C).e STRING, no vector"),
        ("index.vec", 1, "nodes have in (:C).e only zeros, which cosine cannot compare"),
    ]
    for finding in found:
        assert finding.rule is Rule.VECTOR
        assert finding.query is not None
        assert len(graph.send(finding.query)) in (1, 5), "of whatever is wrong there"
    graph.apply()
    rows = graph.send("CALL db.index.vector.queryNodes('vec', 10, [1.0, 1.0, 1.0, 1.0]) YIELD node RETURN node.e AS e")
    assert len(rows) == 2, "the server finds just those that are not named here"


def test_of_many_vectors_a_sample_is_looked_at(graph: Graph) -> None:
    graph.send("UNWIND range(1, 3000) AS i CREATE (:C {e: [1.0, 2.0]})")
    (finding,) = verified(graph, "indexes:\n  x: {kind: vector, label: C, properties: [e], dimensions: 3}", sample=2)
    assert finding.bounded
    assert 50 < finding.count < 600, "about 2 × 100 of them"
    assert len(finding.sample) == 2


def test_few_vectors_among_many_nodes_are_all_looked_at(graph: Graph) -> None:
    graph.send(
        "UNWIND range(1, 3000) AS i CREATE (n:C) FOREACH (_ IN CASE WHEN i > 2997 THEN [1] END | SET n.e = [1.0])"
    )
    (finding,) = verified(graph, "indexes:\n  x: {kind: vector, label: C, properties: [e], dimensions: 3}", sample=1)
    assert (finding.count, finding.bounded) == (3, False)


def test_what_shows_no_keys_looks_all_the_same(graph: Graph) -> None:
    """`--sample 0` names none of those that do not fit, and counts them."""
    graph.send("CREATE (:C {e: [1.0, 2.0], odd: 1})")
    found = verified(
        graph,
        "indexes:\n  x: {kind: vector, label: C, properties: [e], dimensions: 3}\n"
        "vocabulary: {labels: [C], property_keys: [e]}",
        sample=0,
    )
    assert [(f.rule, f.count, f.sample) for f in found] == [(Rule.VECTOR, 1, ()), (Rule.VOCABULARY, 1, ())]


def test_names_that_no_vocabulary_lists_are_counted(graph: Graph) -> None:
    graph.send(
        "UNWIND range(1, 3) AS i CREATE (:Person {name: 'x', `a.b`: 1})-[:KNOWS {since: i, `ä😀`: 2}]->(:`Odd ``one`)",
        "CREATE (:Gone {only: 1})",
        "MATCH (n:Gone) DELETE n",
    )
    with graph.session() as session:
        session.mark({"project": "test", "environment": "default"})
    found = verified(
        graph,
        "vocabulary: {labels: [Person], relationship_types: [LIKES, KNOWS], property_keys: [name, since]}",
    )
    assert said(found) == [
        ("vocabulary.labels", 3, 'nodes have the label "Odd `one"'),
        ("vocabulary.property_keys", 3, 'nodes (n:`Person`) have the property "a.b"'),
        ("vocabulary.property_keys", 3, 'relationships ()-[n:`KNOWS`]->() have the property "ä😀"'),
    ]
    for finding in found:
        assert finding.rule is Rule.VOCABULARY
        assert finding.query is not None
        assert len(graph.send(finding.query)) == 3
    (wider,) = verified(graph, "vocabulary: {relationship_types: [LIKES]}")
    assert wider.what == 'relationships are of type "KNOWS"'
    (rest,) = verified(graph, "vocabulary: {property_keys: [name, a.b, since]}")
    assert rest.count == 3, "where no labels are listed, all are looked at, but for the tool's own"
    assert lines(graph.plan()) == []


@pytest.mark.parametrize(
    ("values", "enforced"),
    [
        ("[0.0/0.0, 0.0/0.0]", "NaN"),
        ("[[1.0, 0.0/0.0], [1.0, 0.0/0.0]]", r"\[1.0, NaN\]"),
        ("[0.0, -0.0]", None),
        ("[[0.0], [-0.0]]", None),
        ("[0, 0.0]", "0(.0)?"),
        ("[1, 1.0]", "1(.0)?"),
        ("['NaN', 0.0/0.0]", None),
        ("[9007199254740993, 9007199254740992.0]", None),
        ("['a', 'A']", None),
        ("[[1], [1.0]]", r"\[1(.0)?\]"),
        ("[-0.0, -0.0]", "-0.0"),
        ("[null, null]", None),
    ],
)
@pytest.mark.parametrize("place", ["(:D {other: 1, v: x})", "(:S)-[:D {other: 1, v: x}]->(:S)"], ids=["node", "rel"])
def test_duplicates_are_those_that_the_server_refuses(
    graph: Graph, values: str, enforced: str | None, place: str
) -> None:
    """Cypher's grouping has it otherwise of NaN and of -0.0."""
    graph.send(f"UNWIND {values} AS x CREATE {place}")
    word = "label" if place.startswith("(:D") else "relationship"
    for name, properties in (("one", "[v]"), ("two", "[other, v]")):
        graph.declare(f"constraints:\n  {name}: {{{word}: D, unique: {properties}}}")
        if enforced is None:
            graph.apply()
            graph.declare("")
            graph.apply()
            continue
        with pytest.raises(ReconcileError, match="more than once") as error:
            workflow.apply(graph.project, graph.plan("all"))
        value = enforced if name == "one" else rf"\(1, {enforced}\)"
        assert re.search(rf": {value} \(2×\)", str(error.value))
        query = str(error.value).partition("first:  ")[2].splitlines()[0]
        assert [row["times"] for row in graph.send(query)] == [2], "the query that is shown finds them too"
        pattern = "(n:D)" if word == "label" else "()-[n:D]-()"
        with pytest.raises(Neo4jError, match="v` = "):
            graph.send(f"CREATE CONSTRAINT FOR {pattern} REQUIRE n.v IS UNIQUE")
