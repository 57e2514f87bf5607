"""Every kind and option: created, read back, changed, read again, planned again: nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.stores.neo4j.graph import Graph, lines

from reconcile import workflow
from reconcile.change import Cypher, Timeouts
from reconcile.errors import PlanError, ReconcileError
from reconcile.stores.neo4j.resources import Index
from reconcile.yamldump import dump

V = "kind: vector, label: C, properties: [e]"


def test_a_constraint_becomes_an_index_and_back_under_its_name(graph: Graph) -> None:
    graph.send("CREATE (:A {a: 1}), (:A {a: 2})")
    constraint, index = "constraints:\n  x: {label: A, unique: [a]}", "indexes:\n  x: {label: A, properties: [a]}"
    graph.declare(constraint)
    graph.apply()
    for text, found, groups in ((index, ["index.x"], 1), (constraint, ["constraint.x"], 2)):
        graph.declare(text)
        made = graph.apply()
        assert len({s.group for s in made.steps}) == groups, "a constraint comes after the drop of its index"
        assert list(graph.live()) == found


def test_constraints_and_indexes_swap_places(graph: Graph) -> None:
    graph.send("CREATE (:A {a: 1, b: 1, c: 1, d: 1})")
    text = """constraints:
  one: {{label: A, unique: [{}]}}
  two: {{label: A, unique: [{}]}}
indexes:
  three: {{label: A, properties: [{}]}}
  four: {{label: A, properties: [{}]}}"""
    graph.declare(text.format("a", "b", "c", "d"))
    graph.apply()
    graph.declare(text.format("b", "a", "d", "c"))
    graph.apply()
    graph.declare(text.format("c", "d", "a", "b"))
    graph.apply()
    assert {name: r.attributes()["properties"] for name, r in graph.live().items()} == {
        "constraint.one": ["c"],
        "constraint.two": ["d"],
        "index.three": ["a"],
        "index.four": ["b"],
    }


def test_generated_names_match_and_are_enforced_where_policy_says_so(graph: Graph) -> None:
    graph.send(
        "CREATE CONSTRAINT FOR (n:A) REQUIRE n.id IS UNIQUE",
        "CREATE INDEX FOR (n:A) ON (n.x)",
        "CREATE FULLTEXT INDEX FOR (n:A|B) ON EACH [n.t] OPTIONS {indexConfig: {`fulltext.analyzer`: 'german'}}",
        "CREATE (:A {id: 1, x: 1, t: 'ein Haus'})",
    )
    before = sorted(graph.live())
    text = """constraints:
  a_id: {label: A, unique: [id]}
indexes:
  a_x: {label: A, properties: [x]}
  a_t: {kind: fulltext, labels: [B, A], properties: [t]%s}"""
    graph.declare(text % "")
    assert lines(graph.apply()) == []
    assert sorted(graph.live()) == before
    graph.declare(text % ", analyzer: english, replace: in_place")
    assert lines(graph.apply()) == ["delete/create index.a_t analyzer german → english"]
    assert sorted(graph.live()) == before, "the live name stays"
    graph.configure(names="enforce")
    assert [line.split()[0] for line in lines(graph.apply())] == ["rename"] * 3
    assert sorted(graph.live()) == ["constraint.a_id", "index.a_t", "index.a_x"]
    assert graph.config("a_t")["fulltext.analyzer"] == "english"


NAMES = [
    "plain",
    "with space",
    "a.b",
    "a`b",
    "``",
    "\\u0060",
    "\\\\u0041",
    "\\",
    "ä😀",
    "'\"",
    "x\ny",
    "-[]-(){}",
    "$name",
    "${x}",
    "a\\\\\\u0060b",
]


def test_any_name_is_a_label_a_type_a_property_and_a_name(graph: Graph) -> None:
    document: dict[str, dict[str, Any]] = {"constraints": {}, "indexes": {}}
    for name in NAMES:
        document["constraints"]["c" + name] = {"label": name, "unique": [name, "other"]}
        document["indexes"] |= {
            name: {"kind": "fulltext", "labels": [name, "More"], "properties": [name]},
            "v" + name: {"kind": "vector", "relationship": name, "properties": [name], "dimensions": 2},
        }
    graph.declare(dump(document))
    graph.apply()
    found = {r.name: r.attributes() for r in graph.live().values()}
    assert set(found) == {prefix + name for prefix in ("c", "", "v") for name in NAMES}
    for name in NAMES:
        assert found["c" + name]["labels"] == [name]
        assert found["c" + name]["properties"] == [name, "other"]
    graph.declare("")
    graph.apply()
    assert graph.live() == {}


def test_a_failed_index_is_a_difference_and_is_built_anew(graph: Graph) -> None:
    graph.send("UNWIND [1] AS i CREATE (:A {a: $text})", text="x" * 40_000)
    graph.declare("indexes:\n  x: {label: A, properties: [a]}")
    with pytest.raises(ReconcileError, match=r"index x failed while it was built: .*Property value is too large"):
        workflow.apply(graph.project, graph.plan("all"))
    with pytest.raises(ReconcileError, match="--resume"):
        workflow.apply(graph.project, graph.plan("all"))
    found = graph.live()["index.x"]
    assert isinstance(found, Index)
    assert found.state == "failed"
    with graph.driver() as driver:
        driver.execute_query("MATCH (n:A) SET n.a = 'short'")
    workflow.resume(graph.project)
    assert graph.live()["index.x"].attributes().get("state") is None
    assert lines(graph.plan()) == []


def test_a_failed_index_made_by_hand_is_rebuilt(graph: Graph) -> None:
    graph.send("UNWIND [1] AS i CREATE (:A {a: $text})", text="x" * 40_000)
    with graph.driver() as driver:
        driver.execute_query("CREATE INDEX x FOR (n:A) ON (n.a)")
        driver.execute_query("CALL db.resampleOutdatedIndexes()")
    graph.declare("indexes:\n  x: {label: A, properties: [a]}")
    while not (made := lines(graph.plan())):
        pass  # it is POPULATING until it fails
    assert made[0].startswith("delete/create index.x failed → online")
    with graph.driver() as driver:
        driver.execute_query("MATCH (n:A) SET n.a = 'short'")
    graph.apply()


def test_an_index_that_is_still_built_is_waited_for_changed_and_dropped(graph: Graph) -> None:
    graph.send("UNWIND range(1, 4000) AS i CREATE (:A {a: toString(i) + $text})", text=" some words" * 300)
    statement = "CREATE FULLTEXT INDEX x FOR (n:A) ON EACH [n.a]"
    text = "indexes:\n  x: {kind: fulltext, labels: [A], properties: [a], replace: in_place%s}"
    with graph.driver() as driver:
        for declared, changes in (
            (text % "", []),
            (text % ", analyzer: german", ["delete/create index.x analyzer standard-no-stop-words → german"]),
            ("", ["delete index.x fulltext (:A).a"]),
        ):
            driver.execute_query("DROP INDEX x IF EXISTS")
            driver.execute_query(statement)
            (row,) = driver.execute_query("SHOW INDEXES YIELD name, state WHERE name = 'x'").records
            assert row["state"] == "POPULATING", "that a server builds it in no time would be news"
            graph.declare(declared)
            assert lines(graph.apply(prune="all")) == changes
    assert graph.live() == {}


def test_duplicates_are_counted_and_shown_before_anything_runs(graph: Graph) -> None:
    graph.send("UNWIND [1, 1, 1, 2, 2, 3, null] AS i CREATE (:A {id: i, other: 1})")
    graph.declare("constraints:\n  x: {label: A, unique: [id]}\nindexes:\n  y: {label: A, properties: [other]}")
    with pytest.raises(ReconcileError) as error:
        workflow.apply(graph.project, graph.plan("all"))
    text = str(error.value)
    assert "graph.constraint.x: 2 values occur more than once in A.id, on 5 nodes: 1 (3×), 2 (2×)" in text
    query = text.partition("first:  ")[2].splitlines()[0]
    assert [(row["v0"], row["times"]) for row in graph.send(query)] == [(1, 3), (2, 2)]
    assert graph.live() == {}


def test_duplicates_of_relationships_and_several_properties(graph: Graph) -> None:
    graph.send(
        "CREATE (a:N) WITH a UNWIND [[1, 1], [1, 1], [1, 2], [1, null]] AS p CREATE (a)-[:R {a: p[0], b: p[1]}]->(a)"
    )
    graph.declare("constraints:\n  x: {relationship: R, unique: [a, b]}")
    with pytest.raises(
        ReconcileError, match=r"1 value occurs more than once in R\.\(a, b\), on 2 relationships: \(1, 1\)"
    ):
        workflow.apply(graph.project, graph.plan("all"))


def test_what_only_the_creation_notices_is_an_error_with_the_query(graph: Graph) -> None:
    """Somebody wrote duplicates after they were looked for."""
    graph.send("UNWIND [1, 1] AS i CREATE (:A {id: i})")
    statement = Cypher("CREATE CONSTRAINT $name FOR (n:`A`) REQUIRE (n.`id`) IS UNIQUE", {"name": "x"})
    with graph.session() as session, pytest.raises(ReconcileError, match=r"(?s)Both Node.*see them, and merge"):
        session.server()
        session.run(statement, Timeouts(lock="2s"))
    assert graph.live() == {}


def test_enterprise_constraints_are_refused_with_their_lines(graph: Graph) -> None:
    graph.declare("""constraints:
  one: {label: A, key: [a]}
  two: {relationship: R, exists: a}
  three: {label: A, property: a, type: DATE}
  four: {label: A, unique: [b]}""")
    with pytest.raises(ReconcileError) as error:
        graph.plan()
    text = str(error.value)
    for line, word in ((3, "key"), (4, "existence"), (5, "property type")):
        assert f"schema/graph.yaml:{line}:3:" in text
        assert f"{word} constraints need Neo4j Enterprise Edition" in text
    assert "four" not in text


def test_a_changed_contract_is_refused_over_stored_vectors_and_carried_out_elsewhere(graph: Graph) -> None:
    graph.declare(f"indexes:\n  x: {{{V}, embedding: passages}}")
    graph.apply()
    wider = {"passages": {"model": "other", "dimensions": 5, "distance": "euclidean"}}
    graph.send("CREATE (:C {title: 'no vector yet'})")
    graph.configure(wider)
    assert lines(graph.apply()) == ["delete/create index.x dimensions 4 → 5, similarity cosine → euclidean"]
    graph.send("MATCH (n:C) SET n.e = [1.0, 2.0, 3.0, 4.0, 5.0]")
    graph.configure()
    with pytest.raises(PlanError, match=r"x_v2: \{kind: vector, label: C, properties: \[e_v2\], embedding: passages\}"):
        graph.plan()


def test_lookup_indexes_and_the_mark_are_never_seen(graph: Graph) -> None:
    graph.declare("indexes:\n  x: {label: A, properties: [a]}")
    graph.apply()
    graph.send("CREATE CONSTRAINT FOR (m:__Reconcile) REQUIRE m.project IS UNIQUE")
    assert list(graph.live()) == ["index.x"]
    assert lines(graph.apply(prune="all")) == []
    lookups = graph.send("SHOW INDEXES YIELD type WHERE type = 'LOOKUP'")
    assert len(lookups) == 2
    assert graph.send("MATCH (m:__Reconcile) RETURN m.project AS p") == [{"p": "test"}]


def test_unmanaged_objects_are_left_until_they_are_pruned(graph: Graph) -> None:
    graph.send("CREATE INDEX other FOR (n:B) ON (n.b)", "CREATE CONSTRAINT more FOR (n:B) REQUIRE n.c IS UNIQUE")
    graph.declare("indexes:\n  x: {label: A, properties: [a]}")
    graph.apply()
    assert set(graph.live()) == {"constraint.more", "index.other", "index.x"}
    graph.apply(prune="all")
    assert set(graph.live()) == {"index.x"}


def test_an_unmanaged_index_in_the_way_of_a_constraint_is_named(graph: Graph) -> None:
    graph.send("CREATE INDEX byhand FOR (n:A) ON (n.id)")
    graph.declare("constraints:\n  x: {label: A, unique: [id]}")
    with pytest.raises(PlanError, match=r"graph\.index\.byhand is already on \(:A\)\.id(.|\n)*--prune"):
        graph.plan()
    assert len(graph.apply(prune="all").steps) == 2
    assert list(graph.live()) == ["constraint.x"]


def test_an_ignored_object_that_has_the_name_is_named_before_anything_runs(graph: Graph) -> None:
    graph.send("CREATE INDEX legacy FOR (n:B) ON (n.b)")
    graph.settings["ignore"] = ["legacy"]
    graph.configure()
    graph.declare("constraints:\n  x: {label: A, unique: [id]}")
    graph.apply()
    assert set(graph.live()) == {"constraint.x"}
