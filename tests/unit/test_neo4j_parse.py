"""Neo4j YAML as resources: what is read, and what is wrong with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile.embeddings import Distance, Embedding
from reconcile.model import Resource, Source
from reconcile.stores.base import Context, StoreSpec
from reconcile.stores.neo4j import PACKAGE, types
from reconcile.stores.neo4j.resources import Check, Constraint, Index, Vocabulary
from reconcile.wording import problems as schema_problems
from reconcile.yamlio import parse as read

CONTRACTS = [
    Embedding("passages", "m", 384, Distance.COSINE, source=Source("reconcile.yaml", 9, 3)),
    Embedding("far", "m", 8, Distance.EUCLIDEAN, source=Source("reconcile.yaml", 10, 3)),
    Embedding("dotted", "m", 8, Distance.DOT, source=Source("reconcile.yaml", 11, 3)),
    Embedding("city", "m", 8, Distance.MANHATTAN, source=Source("reconcile.yaml", 12, 3)),
    Embedding("huge", "m", 5000, Distance.COSINE, source=Source("reconcile.yaml", 13, 3)),
]


def parsed(text: str) -> tuple[list[Resource], list[str]]:
    """Resources, and problems as printed."""
    spec = StoreSpec("graph", "neo4j", {}, Source("reconcile.yaml", 5, 3), Path())
    context = Context(spec, {e.name: e for e in CONTRACTS})
    documents = read(f"store: graph\n{text}", "graph.yaml")
    found = [p for d in documents for p in schema_problems(d, PACKAGE.schema)]
    assert not found, [str(p) for p in found]
    resources = PACKAGE.parse(documents, context)
    return resources, [str(p) for p in context.problems]


def one(text: str) -> Resource:
    resources, found = parsed(text)
    assert found == []
    (resource,) = resources
    return resource


def index(text: str) -> Index:
    found = one(f"indexes:\n  x: {{{text}}}")
    assert isinstance(found, Index)
    return found


def constraint(text: str) -> Constraint:
    found = one(f"constraints:\n  x: {{{text}}}")
    assert isinstance(found, Constraint)
    return found


def test_constraints() -> None:
    unique = constraint("label: Person, unique: [b, a]")
    assert (unique.kind, unique.labels, unique.properties) == ("unique", ("Person",), ("b", "a"))
    assert str(unique.address) == "graph.constraint.x"
    assert str(unique.source) == "graph.yaml:3:3"
    key = constraint("relationship: RATED, key: [user, item]")
    assert (key.kind, key.relationships, key.on_nodes) == ("key", ("RATED",), False)
    exists = constraint("label: Person, exists: name")
    assert (exists.kind, exists.properties) == ("exists", ("name",))
    typed = constraint("label: Person, property: born, type: integer | string")
    assert (typed.kind, typed.type) == ("type", "STRING | INTEGER")


def test_a_constraint_that_is_only_counted_makes_nothing_in_the_server() -> None:
    found = one("constraints:\n  x: {label: P, exists: a, enforce: check}")
    assert isinstance(found, Check)
    assert (str(found.address), found.kind, found.properties, found.only_verified) == (
        "graph.check.x",
        "exists",
        ("a",),
        True,
    )
    for rule in ("relationship: R, key: [a, b]", "label: P, property: a, type: integer | string"):
        assert isinstance(one(f"constraints:\n  x: {{{rule}, enforce: check}}"), Check)


def test_vocabulary_makes_nothing_in_the_server() -> None:
    found, problems = parsed("vocabulary: {labels: [A], relationship_types: [R], property_keys: [p, q.r]}")
    assert problems == []
    assert [(str(r.address), r.names) for r in found if isinstance(r, Vocabulary)] == [
        ("graph.vocabulary.labels", ("A",)),
        ("graph.vocabulary.relationship_types", ("R",)),
        ("graph.vocabulary.property_keys", ("p", "q.r")),
    ]
    assert {r.address.kind for r in found} | {"check", "constraint", "index"} == set(PACKAGE.ranks)
    _, problems = parsed("vocabulary: {labels: [A]}\n---\nstore: graph\nvocabulary: {labels: [B]}")
    assert len(problems) == 1
    assert "labels is listed twice (the other: graph.yaml:2:14)" in problems[0]


def test_indexes() -> None:
    assert index("label: P, properties: [b, a]").properties == ("b", "a")
    assert index("relationship: R, properties: [a]").relationships == ("R",)
    assert index("kind: text, label: P, properties: [a]").kind == "text"
    point = index("kind: point, label: P, properties: [at], spatial: {wgs-84: {min: [-10, 40]}}")
    assert point.spatial == {"wgs-84": {"min": (-10.0, 40.0)}}
    full = index("kind: fulltext, labels: [Note, Doc], properties: [title, body], analyzer: english")
    assert (full.labels, full.properties) == (("Note", "Doc"), ("title", "body")), "made in the declared order"
    other = index("kind: fulltext, labels: [Doc, Note], properties: [body, title], analyzer: english")
    assert full.definition() == other.definition(), "sets: order is no difference"
    assert (full.analyzer, full.eventually_consistent) == ("english", None)


def test_what_newer_servers_have_of_vector_indexes() -> None:
    found = index("kind: vector, labels: [A, B], properties: [e], filter: [year, lang], dimensions: 3")
    assert (found.labels, found.properties) == (("A", "B"), ("e", "year", "lang"))
    assert index("kind: lookup, on: relationships").entity == "relationships"
    assert index("kind: vector, label: A, properties: [e], replace: in_place").replace_how == "in_place"


def test_a_vector_index_takes_dimensions_and_similarity_from_its_contract() -> None:
    found = index("kind: vector, label: C, properties: [e], embedding: far, hnsw: {m: 8}")
    assert (found.dimensions, found.similarity, found.hnsw, found.embedding) == (8, "euclidean", {"m": 8}, "far")
    assert found == index("kind: vector, label: C, properties: [e], dimensions: 8, similarity: euclidean, hnsw: {m: 8}")


def test_definitions_tell_constraints_from_indexes_and_leave_options_out() -> None:
    unique, ranged = constraint("label: P, unique: [a]"), index("label: P, properties: [a]")
    assert unique.definition() != ranged.definition()
    vector = "kind: vector, label: P, properties: [a]"
    assert index(f"{vector}, dimensions: 3").definition() == index(f"{vector}, dimensions: 4").definition()
    assert index("label: P, properties: [a, b]").definition() != index("label: P, properties: [b, a]").definition()
    assert index("label: P, properties: [a]").definition() != index("relationship: P, properties: [a]").definition()


UNKNOWN = [
    # an option as the server spells it, or mistyped, and what is told of it
    ("vector.hnsw.m: 8", '3:7: unknown key "vector.hnsw.m" in index "x"; did you mean "hnsw: {m: …}"?'),
    ("m: 8", '3:7: unknown key "m" in index "x"; did you mean "hnsw: {m: …}"?'),
    (
        "options: {indexConfig: {vector.dimensions: 3}}",
        'unknown key "options" in index "x"; did you mean "dimensions"?',
    ),
    (
        "spatial.wgs-84.min: [1, 2]",
        'unknown key "spatial.wgs-84.min" in index "x"; did you mean "spatial: {wgs-84: {min',
    ),
    ("hnsw: {ef_constructoin: 5}", '3:14: unknown key "ef_constructoin" in "hnsw" of index "x"; did you mean "ef_con'),
    ("similarity_function: cosine", 'unknown key "similarity_function" in index "x"; did you mean "similarity"?'),
    ("analyser: english", 'unknown key "analyser" in index "x"; did you mean "analyzer"?'),
    ("vector.new.option: 3", '3:7: unknown key "vector.new.option" in index "x"'),
]


@pytest.mark.parametrize(("text", "message"), UNKNOWN)
def test_an_option_that_is_not_known_is_told_with_its_place_and_what_may_be_meant(text: str, message: str) -> None:
    (document,) = read(f"store: graph\nindexes:\n  x: {{{text}, label: A, properties: [e]}}", "graph.yaml")
    (problem,) = schema_problems(document, PACKAGE.schema)
    assert message in str(problem)


PROBLEMS = [
    ("constraint", "label: P", "3:3", "has no rule; one of: unique"),
    ("constraint", "label: P, unique: [a], key: [a]", "3:30", "has both unique and key"),
    ("constraint", "unique: [a]", "3:3", "has neither a label nor a relationship"),
    ("constraint", "label: P, relationship: R, unique: [a]", "3:17", "has both label and"),
    ("constraint", "label: P, property: a", "3:3", "property and type go together"),
    ("constraint", "label: P, unique: [a], type: DATE", "3:30", "property and type go"),
    ("constraint", "label: P, property: a, type: DTAE", "3:36", '"DTAE" is no property'),
    ("constraint", "label: P, unique: [a], enforce: check", "3:30", "every edition"),
    ("index", "labels: [A], properties: [a]", "3:7", "labels is for full-text indexes; write label: A"),
    ("index", "kind: fulltext, label: A, properties: [a]", "3:23", "label is one name; write labels: [A]"),
    ("index", "label: A", "3:3", "has no properties"),
    ("index", "kind: lookup", "3:3", "on nodes or relationships; kind: lookup, on: nodes"),
    ("index", "kind: lookup, on: nodes, label: A", "3:32", "a lookup index has no label"),
    ("index", "label: A, properties: [a], on: nodes", "3:34", "on is for lookup indexes"),
    ("index", "label: A, properties: [a], replace: beside", "3:34", "replace is for full-text and vector indexes"),
    ("index", "kind: vector, label: A, properties: [a], filter: [a]", "3:48", "a holds the vectors"),
    ("index", "label: A, properties: [a], filter: [b]", "3:34", "filter is for vector indexes, this one is range"),
    ("index", "kind: text, label: A, properties: [a, b]", "3:45", "a text index is over one"),
    (
        "index",
        "label: A, properties: [a], analyzer: english",
        "3:34",
        "analyzer is for fulltext indexes, this one is range",
    ),
    ("index", "kind: text, label: A, properties: [a], embedding: passages", "3:46", "embedding is for vector indexes"),
    (
        "index",
        "kind: vector, label: A, properties: [a], embedding: passage",
        "3:59",
        'there is no embedding "passage"; did you mean "passages"?',
    ),
    (
        "index",
        "kind: vector, label: A, properties: [a], embedding: passages, dimensions: 3",
        "3:69",
        "dimensions comes from embedding passages",
    ),
    (
        "index",
        "kind: vector, label: A, properties: [a], embedding: dotted",
        "3:59",
        "Neo4j cannot compare vectors by dot (embedding dotted, reconcile.yaml:11:3); ",
    ),
    (
        "index",
        "kind: vector, label: A, properties: [a], embedding: city",
        "3:59",
        "Neo4j cannot compare vectors by manhattan (embedding city, reconcile.yaml:12:3); ",
    ),
    (
        "index",
        "kind: vector, label: A, properties: [a], embedding: huge",
        "3:59",
        "a vector index has at most 4096 dimensions, not 5000 (embedding huge, reconcile.yaml:13:3)",
    ),
    ("", 'indexes:\n  " x": {label: A, properties: [a]}', "3:3", "cuts off white space around names"),
    ("", 'constraints:\n  "x\\t": {label: A, unique: [a]}', "3:3", 'write "x"'),
    (
        "",
        "constraints:\n  x: {label: A, unique: [a]}\nindexes:\n  x: {label: B, properties: [b]}",
        "5:3",
        '"x" is a constraint and an index: they share one namespace (the other: graph.yaml:3:3)',
    ),
    (
        "",
        "constraints:\n  x: {label: A, unique: [a]}\nindexes:\n  y: {label: A, properties: [a]}",
        "5:3",
        "y and x (graph.yaml:3:3) are the same for the server: (:A).a; remove index y: constraint x brings that index",
    ),
    (
        "",
        "indexes:\n  x: {label: A, properties: [a]}\n  y: {label: A, properties: [a]}",
        "4:3",
        "y and x (graph.yaml:3:3) are the same for the server: (:A).a; keep one of them",
    ),
]


@pytest.mark.parametrize(("what", "text", "place", "says"), PROBLEMS)
def test_a_problem_names_its_place(what: str, text: str, place: str, says: str) -> None:
    part = {"constraint": "constraints", "index": "indexes"}.get(what)
    _, found = parsed(f"{part}:\n  x: {{{text}}}" if part else text)
    assert len(found) == 1, found
    assert found[0].startswith(f"graph.yaml:{place}: ")
    assert says in found[0]


SCHEMA_PROBLEMS = {
    "indexes:\n  x: {kind: btree, label: A, properties: [a]}": "graph.yaml:3:13",
    "indexes:\n  x: {label: A, properties: []}": "graph.yaml:3:29",
    "indexes:\n  x: {label: A, properties: [a, a]}": "graph.yaml:3:33",
    "indexes:\n  x: {kind: vector, label: A, properties: [a], similarity: dot}": "graph.yaml:3:60",
    "indexes:\n  x: {kind: vector, label: A, properties: [a], dimensions: 4097}": "graph.yaml:3:60",
    "indexes:\n  x: {kind: vector, label: A, properties: [a], hnsw: {M: 3}}": "graph.yaml:3:55",
    'constraints:\n  x: {label: " ", unique: [a]}': "graph.yaml:3:14",
    "constraint:\n  x: {label: A, unique: [a]}": "graph.yaml:2:1",
}


@pytest.mark.parametrize("text", SCHEMA_PROBLEMS)
def test_the_json_schema_refuses(text: str) -> None:
    (document,) = read(f"store: graph\n{text}", "graph.yaml")
    found = [str(p) for p in schema_problems(document, PACKAGE.schema)]
    assert len(found) == 1, found
    assert found[0].startswith(SCHEMA_PROBLEMS[text]), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("string", "STRING"),
        ("int", "INTEGER"),
        ("float | integer|string", "STRING | INTEGER | FLOAT"),
        ("array<varchar not null>", "LIST<STRING NOT NULL>"),
        ("LIST<FLOAT NOT NULL> | FLOAT", "FLOAT | LIST<FLOAT NOT NULL>"),
        ("timestamp with time zone", "ZONED DATETIME"),
        ("any<date | point>", "DATE | POINT"),
    ],
)
def test_property_types_have_one_spelling(text: str, expected: str) -> None:
    assert types.normal(text) == expected
    assert types.normal(expected) == expected


@pytest.mark.parametrize("text", ["", "NODE", "LIST<FLOAT>", "LIST<LIST<FLOAT NOT NULL> NOT NULL>", "INTEGER |"])
def test_what_is_no_property_type(text: str) -> None:
    with pytest.raises(ValueError, match="no property type"):
        types.normal(text)
