"""What `verify` finds in a graph: constraints that nobody enforces, vectors, names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from neo4j.exceptions import Neo4jError
from tests.stores.neo4j.graph import Graph, lines

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.findings import Finding, Rule, Verified
from reconcile.stores.base import Verifies
from reconcile.stores.neo4j import session as session_module
from reconcile.stores.neo4j import verify
from reconcile.stores.neo4j.session import Neo4jSession
from reconcile.yamldump import dump


def all_of(graph: Graph, text: str, sample: int = 3) -> Verified:
    """What is said of a declaration that plans nothing."""
    graph.declare(text)
    desired = graph.project.desired()
    with graph.session() as session:
        assert isinstance(session, Verifies)
        return session.verify(desired, sample, desired)


def verified(graph: Graph, text: str, sample: int = 3) -> Sequence[Finding]:
    """The findings, where all was looked at."""
    found = all_of(graph, text, sample)
    assert (found.samples, found.not_run) == ((), ())
    return found.findings


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


def test_of_many_vectors_a_sample_is_looked_at_and_said_to_be_one(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.send(
        "UNWIND range(1, 3000) AS i CREATE (:C {e: CASE WHEN i % 2 = 0 THEN [1.0, 2.0] ELSE [1.0, 2.0, 3.0] END})"
    )
    text = "indexes:\n  x: {kind: vector, label: C, properties: [e], dimensions: %d}"
    (finding,) = verified(graph, text % 3, sample=2)
    assert (finding.count, finding.bounded, finding.looked) == (1500, False, None), "so few are all looked at"
    monkeypatch.setattr(verify, "NUMBERS", 900)
    found = all_of(graph, text % 3, sample=2)
    (finding,), (sample,) = found.findings, found.samples
    assert finding.bounded
    assert (sample.looked, sample.of, sample.what) == (finding.looked, 3000, "nodes with (:C).e")
    assert 100 < sample.looked < 900, "about 300 of them"
    assert 0 < finding.count < sample.looked
    assert len(finding.sample) == 2
    graph.send("MATCH (n:C) SET n.e = [1.0, 2.0, 3.0]")
    found = all_of(graph, text % 3, sample=2)
    assert (found.findings, len(found.samples)) == ((), 1), "also where nothing is wrong in it"
    assert all_of(graph, text % 3, sample=30).samples == (), "more keys, more that is looked at"


def test_queries_that_their_limits_stop_are_told_as_not_run_and_the_others_run(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but one are made slow, and get a tenth of a second; the server ends them."""
    graph.send("CREATE (:P {a: 1})-[:R]->(:Odd)")
    look = Neo4jSession._look

    def limited(self: Neo4jSession, statement: str, **parameters: Any) -> Any:
        if "db." in statement or ":`Odd`" in statement:
            return look(self, statement, **parameters)
        slow = statement.replace("MATCH", "UNWIND range(1, 1000000000) AS i WITH count(i) AS i MATCH", 1)
        with monkeypatch.context() as hurried:
            hurried.setattr(session_module, "CHECK_SECONDS", 0.1)
            return look(self, slow, **parameters)

    monkeypatch.setattr(Neo4jSession, "_look", limited)
    found = all_of(
        graph,
        "constraints:\n  k: {label: P, key: [a], enforce: check}\n  e: {relationship: R, exists: a, enforce: check}\n"
        "indexes:\n  x: {kind: vector, label: P, properties: [e], dimensions: 3}\n"
        "vocabulary: {labels: [P], property_keys: [a]}",
    )
    assert [query.what for query in found.not_run] == [
        "whether nodes break key P.a",
        "whether relationships break exists R.a",
        "whether nodes have vectors that fit in (:P).e",
        "which property keys are in use",
    ]
    assert all(query.source is not None for query in found.not_run)
    assert said(found.findings) == [("vocabulary.labels", 1, 'nodes have the label "Odd"')]


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
    desired = graph.project.desired()
    chosen = desired.filter(lambda r: r.name == "property_keys")
    with graph.session() as session:
        assert said(session.verify(chosen, 3, desired).findings) == said(found)[1:], "alone as among all"
    graph.settings["ignore"] = ["Odd*", "ä*"]
    graph.configure()
    assert said(verified(graph, (graph.folder / "schema" / "graph.yaml").read_text().partition("\n")[2])) == [
        said(found)[1]
    ], "what the project ignores is another's"
    graph.settings.pop("ignore")
    graph.configure()
    (wider,) = verified(graph, "vocabulary: {relationship_types: [LIKES]}")
    assert wider.what == 'relationships are of type "KNOWS"'
    (rest,) = verified(graph, "vocabulary: {property_keys: [name, a.b, since]}")
    assert rest.count == 3, "where no labels are listed, all are looked at, but for the tool's own"
    assert lines(graph.plan()) == []


DUPLICATES = [
    # values, and what of them the server says occurs twice
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
]


def test_duplicates_are_those_that_the_server_refuses(graph: Graph) -> None:
    """Cypher's grouping has it otherwise of NaN and of -0.0. Of nodes, and of relationships beside another property."""
    constraints: dict[str, dict[str, Any]] = {}
    expected: dict[str, str | None] = {}
    made: list[str] = []
    for number, (values, enforced) in enumerate(DUPLICATES):
        made += [
            f"UNWIND {values} AS x CREATE (:N{number} {{v: x}})",
            f"UNWIND {values} AS x CREATE (:S)-[:R{number} {{other: 1, v: x}}]->(:S)",
        ]
        constraints[f"N{number}"] = {"label": f"N{number}", "unique": ["v"]}
        constraints[f"R{number}"] = {"relationship": f"R{number}", "unique": ["other", "v"]}
        expected[f"N{number}"] = enforced
        expected[f"R{number}"] = None if enforced is None else rf"\(1, {enforced}\)"
    graph.send(*made)
    graph.declare(dump({"constraints": constraints}))
    with pytest.raises(ReconcileError, match="more than once") as error:
        workflow.apply(graph.project, graph.plan("all"))
    said = str(error.value)
    queries = dict(zip(re.findall(r"graph\.constraint\.(\w+):", said), re.findall("first:  (.*)", said), strict=True))
    assert sorted(queries) == sorted(name for name, value in expected.items() if value is not None)
    with graph.driver() as driver, driver.session() as session:
        for name, query in queries.items():
            assert re.search(rf"graph\.constraint\.{name}: .*: {expected[name]} \(2×\)", said), name
            shown: Any = query
            assert [row["times"] for row in session.run(shown)] == [2], "the query that is shown finds them too"
            pattern = f"(n:{name})" if name.startswith("N") else f"()-[n:{name}]-()"
            theirs: Any = f"CREATE CONSTRAINT FOR {pattern} REQUIRE n.v IS UNIQUE"
            with pytest.raises(Neo4jError, match="v` = "):
                session.run(theirs).consume()
    allowed = {name: entry for name, entry in constraints.items() if expected[name] is None}
    graph.declare(dump({"constraints": allowed}))
    graph.apply()
    assert len(graph.live()) == len(allowed)
