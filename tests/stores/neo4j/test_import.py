"""Import, then plan: nothing; apply to an empty database: the same schema."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.neo4j.graph import Graph, lines

from reconcile import workflow
from reconcile.stores.neo4j import introspect

AGENT_MEMORY = """
CREATE INDEX fact_uuid IF NOT EXISTS FOR (f:Fact) ON (f.uuid)
CREATE INDEX fact_space IF NOT EXISTS FOR (f:Fact) ON (f.space, f.made_at)
CREATE INDEX about_made_at IF NOT EXISTS FOR ()-[a:ABOUT]-() ON (a.made_at)
CREATE FULLTEXT INDEX fact_words IF NOT EXISTS FOR (f:Fact) ON EACH [f.text, f.source, f.space]
CREATE FULLTEXT INDEX about_words IF NOT EXISTS FOR ()-[a:ABOUT]-() ON EACH [a.text, a.note]
""".strip().splitlines()
DOCUMENT_GRAPH = """
CREATE CONSTRAINT IF NOT EXISTS FOR (c:__Cluster__) REQUIRE c.id IS UNIQUE
CREATE CONSTRAINT seen FOR ()-[s:SEEN_IN]-() REQUIRE (s.page, s.line) IS UNIQUE
CREATE FULLTEXT INDEX things FOR (n:Animal|Plant|Place) ON EACH [n.id, n.about]
CREATE VECTOR INDEX vector IF NOT EXISTS FOR (n:Piece) ON (n.embedding) OPTIONS {indexConfig: {`vector.dimensions`: 8, `vector.similarity_function`: 'cosine'}}
CREATE VECTOR INDEX far FOR ()-[r:NEAR]-() ON (r.embedding) OPTIONS {indexConfig: {`vector.dimensions`: 3, `vector.similarity_function`: 'euclidean', `vector.hnsw.m`: 8, `vector.quantization.enabled`: false}}
CREATE VECTOR INDEX bare FOR (n:Bare) ON (n.embedding)
CREATE TEXT INDEX title FOR (n:Piece) ON (n.title)
CREATE POINT INDEX at FOR (n:Place) ON (n.at) OPTIONS {indexConfig: {`spatial.wgs-84.min`: [-10.5, 40.0]}}
CREATE INDEX FOR (n:`odd ``name``.`) ON (n.`yes`, n.`1e3`)
""".strip().splitlines()  # noqa: E501  a statement a line


def shown(graph: Graph) -> list[dict[str, Any]]:
    """The schema as the server shows it, ids and times left out."""
    rows = graph.send(introspect.SHOW_CONSTRAINTS) + graph.send(introspect.SHOW_INDEXES)
    for row in rows:
        if row["type"] == "FULLTEXT":
            row["labelsOrTypes"], row["properties"] = sorted(row["labelsOrTypes"]), sorted(row["properties"])
    return sorted((r for r in rows if r["type"] != "LOOKUP"), key=lambda r: (r["name"], "state" in r))


def imported(graph: Graph) -> str:
    """Import into the project; the YAML."""
    outcome = workflow.import_(graph.project, (), force=True, out=graph.folder / "schema")
    assert outcome is not None
    return (graph.folder / "schema" / "graph.yaml").read_text()


@pytest.mark.parametrize("statements", [AGENT_MEMORY, DOCUMENT_GRAPH], ids=["agent_memory", "document_graph"])
def test_import_then_plan_is_empty_and_apply_elsewhere_gives_the_same(graph: Graph, statements: list[str]) -> None:
    graph.send(*statements)
    before = shown(graph)
    text = imported(graph)
    assert lines(graph.plan()) == []
    graph.database.wipe()
    assert len(lines(graph.apply())) == len(statements)
    assert shown(graph) == before
    assert imported(graph) == text


def test_defaults_are_left_out_and_identity_is_written(graph: Graph) -> None:
    graph.send(*DOCUMENT_GRAPH[3:6])
    assert imported(graph).splitlines() == [
        "store: graph",
        "indexes:",
        "  bare: {kind: vector, label: Bare, properties: [embedding], similarity: cosine}",
        "  far:",
        "    kind: vector",
        "    relationship: NEAR",
        "    properties: [embedding]",
        "    dimensions: 3",
        "    similarity: euclidean",
        "    hnsw: {m: 8}",
        "    quantization: false",
        "  vector: {kind: vector, label: Piece, properties: [embedding], dimensions: 8, similarity: cosine}",
    ]


def test_an_empty_database_gives_an_empty_plan(graph: Graph) -> None:
    graph.declare("")
    assert lines(graph.plan()) == []


ODD = [
    "CREATE INDEX `an index.with dots` IF NOT EXISTS FOR (n:`Label.With Dots`) ON (n.`prop.with.dots`, n.`a, comma`)",
    "CREATE CONSTRAINT `顧客_一意` IF NOT EXISTS FOR (c:`顧客`) REQUIRE (c.`顧客番号`, c.`支店`) IS UNIQUE",
    "CREATE FULLTEXT INDEX `voll text` IF NOT EXISTS FOR (n:`Größe`|`🚀 Rocket`) ON EACH [n.`straße`, n.`name 🎉`]",
    "CREATE FULLTEXT INDEX `rel` IF NOT EXISTS FOR ()-[r:`HAT, GEKAUFT`|`IST.TEIL`]-() ON EACH [r.`bemerkung; lang`]",
    'CREATE TEXT INDEX `quote\'"` IF NOT EXISTS FOR (n:`It\'s "so"`) ON (n.`a\'b"c`)',
    "CREATE INDEX `true` IF NOT EXISTS FOR (n:`null`) ON (n.`yes`, n.`1e3`, n.`~`)",
    "CREATE VECTOR INDEX `123` IF NOT EXISTS FOR ()-[r:`CALLS->`]-() ON (r.`@e%`)"
    " OPTIONS {indexConfig: {`vector.dimensions`: toInteger(4), `vector.similarity_function`: 'EUCLIDEAN'}}",
]


def test_an_application_finds_what_it_would_make(graph: Graph) -> None:
    """Its own statements, on the schema made again from YAML: nothing is added, and still there is no difference."""
    graph.send(*ODD, *AGENT_MEMORY)
    before = shown(graph)
    imported(graph)
    graph.database.wipe()
    graph.apply()
    graph.send(*ODD, *AGENT_MEMORY)
    assert shown(graph) == before
    assert lines(graph.plan(prune="all")) == []


words = st.text(st.sampled_from("aZ_.` \\u0é-:#{'\""), min_size=1, max_size=5).filter(str.strip)
places = st.tuples(st.booleans(), st.lists(words, min_size=1, max_size=3, unique=True), st.sampled_from("rtpfvu"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(places, min_size=1, max_size=4))
def test_whatever_is_declared_reads_back_and_imports(graph: Graph, found: list[tuple[bool, list[str], str]]) -> None:
    from reconcile.yamldump import dump

    graph.database.wipe()
    (graph.folder / "ledger.db").unlink(missing_ok=True)
    document: dict[str, dict[str, Any]] = {"constraints": {}, "indexes": {}}
    kinds = {"t": "text", "p": "point", "f": "fulltext", "v": "vector"}
    for i, (nodes, names, kind) in zip(itertools.count(), found, strict=False):
        label = f"{names[0]}{i}"
        word = "label" if nodes else "relationship"
        if kind == "u":
            document["constraints"][f"{names[0]}c{i}".strip()] = {word: label, "unique": names}
            continue
        entry: dict[str, Any] = {"kind": kinds[kind]} if kind in kinds else {}
        entry |= {f"{word}s": [label, "B"]} if kind == "f" else {word: label}
        document["indexes"][f"{names[-1]}{i}".strip()] = entry | {"properties": names[:1] if kind in "tpv" else names}
    graph.declare(dump(document))
    graph.apply()
    before = shown(graph)
    imported(graph)
    assert lines(graph.plan()) == []
    assert shown(graph) == before
