"""What was measured of the server, row by row: options, transactions, conflicts, lookup indexes, replacement."""

from __future__ import annotations

from typing import Any

import pytest
from tests.stores.neo4j.graph import Graph, lines

from reconcile.errors import PlanError, ReconcileError, StoreError
from reconcile.stores.neo4j import faults
from reconcile.stores.neo4j.session import Neo4jSession

V, F, P = (
    "kind: vector, label: A, properties: [e]",
    "kind: fulltext, labels: [A], properties: [t]",
    "kind: point, label: A, properties: [at]",
)
OPTIONS: list[tuple[str, str, str, dict[str, Any]]] = [
    # the index, an option, another value of it, what the server then shows
    (V, "dimensions: 1", "dimensions: 4096", {"vector.dimensions": 4096}),
    (f"{V}, dimensions: 3", "similarity: cosine", "similarity: euclidean", {"vector.similarity_function": "EUCLIDEAN"}),
    (f"{V}, dimensions: 3", "hnsw: {m: 1}", "hnsw: {m: 512}", {"vector.hnsw.m": 512}),
    (
        f"{V}, dimensions: 3",
        "hnsw: {ef_construction: 1}",
        "hnsw: {ef_construction: 3200}",
        {"vector.hnsw.ef_construction": 3200},
    ),
    (f"{V}, dimensions: 3", "quantization: true", "quantization: false", {"vector.quantization.enabled": False}),
    (F, "analyzer: url_or_email", "analyzer: whitespace", {"fulltext.analyzer": "whitespace"}),
    (F, "eventually_consistent: true", "eventually_consistent: false", {"fulltext.eventually_consistent": False}),
    *(
        (
            P,
            f"spatial: {{{system}: {{{side}: {[-one] * size}}}}}"
            if side == "min"
            else f"spatial: {{{system}: {{{side}: {[one] * size}}}}}",
            f"spatial: {{{system}: {{{side}: {[-2.5 if side == 'min' else 2.5] * size}}}}}",
            {f"spatial.{system}.{side}": [-2.5 if side == "min" else 2.5] * size},
        )
        for system, size in (("cartesian", 2), ("cartesian-3d", 3), ("wgs-84", 2), ("wgs-84-3d", 3))
        for side, one in (("min", 1.0), ("max", 1.0))
    ),
]


@pytest.mark.parametrize(("index", "first", "then", "shown"), OPTIONS)
def test_an_option_is_made_read_and_changed(
    graph: Graph, index: str, first: str, then: str, shown: dict[str, Any]
) -> None:
    graph.declare(f"indexes:\n  x: {{{index}, {first}}}")
    graph.apply()
    graph.declare(f"indexes:\n  x: {{{index}, {then}}}")
    assert [line.split()[:2] for line in lines(graph.apply())] == [["delete/create", "index.x"]]
    found = graph.config("x")
    assert {key: found[key] for key in shown} == shown
    graph.declare(f"indexes:\n  x: {{{index}}}")
    assert lines(graph.plan()) == [], "an option that is not declared is left as the server has it"


CONFLICTS = [
    # made by hand, declared, what is planned or refused
    ("INDEX x FOR (n:A) ON (n.a)", "indexes:\n  x: {label: A, properties: [a]}", []),
    ("INDEX x FOR (n:A) ON (n.b)", "indexes:\n  x: {label: A, properties: [a]}", ["delete/create index.x"]),
    ("TEXT INDEX x FOR (n:A) ON (n.a)", "indexes:\n  x: {label: A, properties: [a]}", ["delete/create index.x"]),
    ("INDEX other FOR (n:A) ON (n.a)", "indexes:\n  x: {label: A, properties: [a]}", []),
    (
        "VECTOR INDEX x FOR (n:A) ON (n.a) OPTIONS {indexConfig: {`vector.dimensions`: 3}}",
        "indexes:\n  x: {kind: vector, label: A, properties: [a], dimensions: 4}",
        ["delete/create index.x"],
    ),
    (
        "CONSTRAINT x FOR (n:A) REQUIRE n.b IS UNIQUE",
        "constraints:\n  x: {label: A, unique: [a]}",
        ["delete/create constraint.x"],
    ),
    ("CONSTRAINT other FOR (n:A) REQUIRE n.a IS UNIQUE", "constraints:\n  x: {label: A, unique: [a]}", []),
    ("CONSTRAINT x FOR (n:A) REQUIRE n.a IS NODE UNIQUE", "constraints:\n  x: {label: A, unique: [a]}", []),
    (
        "INDEX i FOR (n:A) ON (n.a)",
        "constraints:\n  x: {label: A, unique: [a]}",
        "graph.constraint.x cannot be made: graph.index.i is already on (:A).a",
    ),
    (
        "INDEX x FOR (n:A) ON (n.b)",
        "constraints:\n  x: {label: A, unique: [a]}",
        "the name x is taken by graph.index.x",
    ),
    (
        "CONSTRAINT x FOR (n:A) REQUIRE n.b IS UNIQUE",
        "indexes:\n  x: {label: A, properties: [a]}",
        "the name x is taken by graph.constraint.x",
    ),
    (
        "CONSTRAINT c FOR (n:A) REQUIRE n.a IS UNIQUE",
        "indexes:\n  x: {label: A, properties: [a]}",
        "constraint c has that index already",
    ),
    (
        "INDEX i FOR (n:A) ON (n.a)",
        "indexes:\n  x: {kind: text, label: A, properties: [a]}\n"
        "  y: {kind: fulltext, labels: [A], properties: [a]}\n"
        "  z: {kind: point, label: A, properties: [a]}\n"
        "  v: {kind: vector, label: A, properties: [a], dimensions: 3}",
        ["create index.v", "create index.x", "create index.y", "create index.z"],
    ),
    (
        "CONSTRAINT c FOR (n:A) REQUIRE (n.a, n.b) IS UNIQUE",
        "constraints:\n  x: {label: A, unique: [b, a]}\nindexes:\n  y: {label: A, properties: [a]}",
        ["create constraint.x", "create index.y"],
    ),
    ("TEXT INDEX x FOR (n:A) ON (n.a) OPTIONS {indexProvider: 'text-1.0'}",
     "indexes:\n  x: {kind: text, label: A, properties: [a]}", []),
]  # fmt: skip


@pytest.mark.parametrize(("by_hand", "declared", "expected"), CONFLICTS)
def test_what_stands_in_the_way_is_seen_before_anything_runs(
    graph: Graph, by_hand: str, declared: str, expected: list[str] | str
) -> None:
    graph.send(f"CREATE {by_hand}")
    before = graph.live()
    graph.declare(declared)
    if isinstance(expected, str):
        with pytest.raises(PlanError) as error:
            graph.plan()
        assert expected in str(error.value)
        assert "schema/graph.yaml:" in str(error.value)
        assert graph.live() == before
        return
    assert sorted(" ".join(line.split()[:2]) for line in lines(graph.apply())) == expected


TRANSACTIONS = [
    # before, after, how many transactions
    ("", "indexes:\n  i: {label: A, properties: [a]}\n  j: {label: B, properties: [a]}", 1),
    (
        "",
        "constraints:\n  c: {label: A, unique: [a]}\n  d: {label: A, unique: [b]}\n"
        "indexes:\n  i: {label: A, properties: [x]}",
        1,
    ),
    ("indexes:\n  i: {label: A, properties: [a]}", "indexes:\n  i: {label: A, properties: [b]}", 1),
    (
        "indexes:\n  i: {kind: vector, label: A, properties: [a], dimensions: 3}",
        "indexes:\n  i: {kind: vector, label: A, properties: [a], dimensions: 5}",
        1,
    ),
    ("constraints:\n  c: {label: A, unique: [a]}", "constraints:\n  c: {label: A, unique: [b]}", 1),
    ("indexes:\n  i: {label: A, properties: [a]}", "constraints:\n  c: {label: A, unique: [a]}", 1),
    ("constraints:\n  c: {label: A, unique: [a]}", "indexes:\n  i: {label: A, properties: [a]}", 1),
    (
        "constraints:\n  c: {label: A, unique: [a]}\n  d: {label: A, unique: [b]}",
        "constraints:\n  c: {label: A, unique: [b]}\n  d: {label: A, unique: [a]}",
        3,  # both dropped, then made one by one: a label's lock is not held while another index is built
    ),
    ("constraints:\n  c: {label: A, unique: [a]}", "constraints:\n  renamed: {label: A, unique: [a]}", 2),
    (
        "indexes:\n  i: {label: A, properties: [a]}",
        "indexes:\n  renamed: {label: A, properties: [a]}",
        1,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "transactions"), TRANSACTIONS)
def test_one_transaction_wherever_the_server_allows_it(
    graph: Graph, before: str, after: str, transactions: int
) -> None:
    if "renamed" in after:
        graph.configure(names="enforce")
    graph.declare(before)
    graph.apply()
    graph.declare(after)
    plan = graph.apply()
    assert len({s.group for s in plan.steps}) == transactions


def test_lookup_indexes_are_left_alone_unless_declared(graph: Graph) -> None:
    graph.declare("")
    assert lines(graph.plan(prune="all")) == []
    graph.declare("indexes:\n  by_label: {kind: lookup, on: nodes}\n  by_type: {kind: lookup, on: relationships}")
    assert lines(graph.apply()) == [], "those of a new database match, whatever they are called"
    graph.send("DROP INDEX " + name(graph, "NODE"))
    assert [line.split()[:2] for line in lines(graph.plan("all"))] == [["create", "index.by_label"]]
    graph.apply()
    assert name(graph, "NODE") == "by_label"
    graph.declare("")
    assert lines(graph.plan(prune="all")) == [], "never dropped, declared once or not"
    graph.send("DROP INDEX by_label", "CREATE LOOKUP INDEX FOR (n) ON EACH labels(n)")


def name(graph: Graph, entity: str) -> str:
    rows = graph.send("SHOW LOOKUP INDEXES YIELD name, entityType WHERE entityType = $entity", entity=entity)
    (row,) = rows
    return str(row["name"])


def test_a_user_who_may_not_see_indexes_is_never_told_that_they_are_missing(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Community Edition has no roles: the refusal is the one that the manual documents of the other."""

    class Refused(Exception):
        code = faults.FORBIDDEN

    graph.send("CREATE INDEX x FOR (n:A) ON (n.a)", "CREATE INDEX old FOR (n:A) ON (n.b)")
    graph.declare("indexes:\n  x: {label: A, properties: [a]}\n  old: {label: A, properties: [b]}")
    graph.apply()
    graph.declare("constraints:\n  c: {label: A, unique: [z]}\nindexes:\n  x: {label: A, properties: [a]}")
    read = Neo4jSession.read

    def refused(self: Neo4jSession, statement: str, *args: Any, **more: Any) -> Any:
        if statement.startswith("SHOW INDEXES"):
            raise StoreError("the user may not do this") from Refused()
        return read(self, statement, *args, **more)

    monkeypatch.setattr(Neo4jSession, "read", refused)
    plan = graph.plan("all", prune="all")
    assert plan.steps == ()
    with graph.session() as session:
        (why,) = session.introspect().partial
        assert "GRANT SHOW INDEX ON DATABASE neo4j" in why


def test_what_is_refused_names_every_line_at_once(graph: Graph) -> None:
    graph.declare(
        "constraints:\n  a: {label: A, key: [x]}\n  b: {label: A, exists: x}\n"
        "  c: {relationship: R, property: x, type: DATE}\n"
        "indexes:\n  d: {kind: vector, labels: [A, B], properties: [e], dimensions: 3, filter: [f]}"
    )
    with pytest.raises(ReconcileError) as error:
        graph.plan()
    text = str(error.value)
    for line in (3, 4, 5, 7):
        assert f"schema/graph.yaml:{line}:" in text
    assert "enforce: check" in text
