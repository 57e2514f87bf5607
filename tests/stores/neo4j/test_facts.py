"""What was measured of the server, row by row: kinds, options, types, conflicts, transactions, editions.

Tables are run whole, on labels of their own in one database: what is wrong of any row is told together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from neo4j import Query
from neo4j.exceptions import DatabaseError, Neo4jError
from tests.stores.neo4j.graph import Graph, lines

from reconcile import workflow
from reconcile.errors import PlanError, ReconcileError, StoreError, UnsupportedError
from reconcile.model import Address
from reconcile.render import words
from reconcile.stores.base import Side
from reconcile.stores.neo4j import faults, introspect, options, privileges, types
from reconcile.stores.neo4j.session import Neo4jSession
from reconcile.yamldump import dump

# --- kinds and options -----------------------------------------------------------------------------------------


def constraint(**entry: Any) -> tuple[str, dict[str, Any]]:
    return "constraints", entry


def index(kind: str = "range", **entry: Any) -> tuple[str, dict[str, Any]]:
    return "indexes", ({} if kind == "range" else {"kind": kind}) | entry


def vector(**options: Any) -> tuple[str, dict[str, Any]]:
    return index("vector", label="L", properties=["e"], **({"dimensions": 3} | options))


def fulltext(**options: Any) -> tuple[str, dict[str, Any]]:
    return index("fulltext", labels=["L"], properties=["t"], **options)


def box(system: str, side: str, *values: float) -> tuple[str, dict[str, Any]]:
    return index("point", label="L", properties=["at"], spatial={system: {side: list(values)}})


def boxes() -> list[tuple[Any, ...]]:
    """Each of the eight bounds of a point index."""
    return [
        (box(system, side, *[sign * 1.0] * size), box(system, side, *[sign * 2.5] * size),
         {f"spatial.{system}.{side}": [sign * 2.5] * size})
        for system, size in (("cartesian", 2), ("cartesian-3d", 3), ("wgs-84", 2), ("wgs-84-3d", 3))
        for side, sign in (("min", -1), ("max", 1))
    ]  # fmt: skip


BESIDE = "beside"
NODE, RELATIONSHIP = "NODE", "RELATIONSHIP"
ROWS: list[tuple[Any, ...]] = [
    # declared, then declared, what the server then shows: a column, or a key of the options; BESIDE if it may be so
    (constraint(label="L", unique=["a"]), constraint(label="L", unique=["b"]), {"type": "UNIQUENESS"}),
    (constraint(label="L", unique=["a"]), constraint(label="L", unique=["a", "b"]), {"properties": ["a", "b"]}),
    (constraint(label="L", unique=["a", "b"]), constraint(label="L", unique=["b", "a"]), {"properties": ["b", "a"]}),
    (constraint(label="L", unique=["a"]), constraint(relationship="L", unique=["a"]), {"entityType": RELATIONSHIP}),
    (
        constraint(relationship="L", unique=["a"]),
        constraint(relationship="L", unique=["a", "b"]),
        {"type": "RELATIONSHIP_UNIQUENESS", "properties": ["a", "b"]},
    ),
    (index(label="L", properties=["a"]), index(label="L", properties=["a", "b"]), {"properties": ["a", "b"]}),
    (index(label="L", properties=["a", "b"]), index(label="L", properties=["b", "a"]), {"properties": ["b", "a"]}),
    (index(label="L", properties=["a"]), index(label="L2", properties=["a"]), {"labelsOrTypes": ["L2"]}),
    (index(label="L", properties=["a"]), index(relationship="L", properties=["a"]), {"entityType": RELATIONSHIP}),
    (
        index(relationship="L", properties=["a"]),
        index(relationship="L", properties=["a", "b"]),
        {"type": "RANGE", "entityType": RELATIONSHIP},
    ),
    (index(label="L", properties=["a"]), index("text", label="L", properties=["a"]), {"type": "TEXT"}),
    (index("text", label="L", properties=["a"]), index("text", label="L", properties=["b"]), {"properties": ["b"]}),
    (
        index("text", relationship="L", properties=["a"]),
        index("text", relationship="L", properties=["b"]),
        {"type": "TEXT", "entityType": RELATIONSHIP},
    ),
    (index("point", label="L", properties=["a"]), index("point", label="L", properties=["b"]), {"type": "POINT"}),
    (
        index("point", relationship="L", properties=["a"]),
        index("point", relationship="L", properties=["a"], spatial={"wgs-84": {"min": [-10, 40]}}),
        {"entityType": RELATIONSHIP, "spatial.wgs-84.min": [-10.0, 40.0], "spatial.wgs-84.max": [180.0, 90.0]},
    ),
    *boxes(),
    (fulltext(), fulltext(analyzer="english"), {"type": "FULLTEXT", "fulltext.analyzer": "english"}),
    (
        fulltext(analyzer="url_or_email"),
        fulltext(analyzer="whitespace", eventually_consistent=True),
        {"fulltext.analyzer": "whitespace", "fulltext.eventually_consistent": True},
    ),
    (
        fulltext(analyzer="english"),
        fulltext(eventually_consistent=True),
        {"fulltext.analyzer": "english", "fulltext.eventually_consistent": True},
    ),
    (fulltext(eventually_consistent=True), fulltext(eventually_consistent=False),
     {"fulltext.eventually_consistent": False}),
    (
        index("fulltext", labels=["L", "K"], properties=["y", "x"]),
        index("fulltext", labels=["K"], properties=["y", "x"]),
        {"labelsOrTypes": ["K"]},
        BESIDE,
    ),
    (
        index("fulltext", labels=["L"], properties=["y", "x"]),
        index("fulltext", labels=["L"], properties=["y", "x"], analyzer="german"),
        {"fulltext.analyzer": "german"},
        BESIDE,
    ),
    (
        index("fulltext", relationships=["L", "K"], properties=["x"]),
        index("fulltext", relationships=["L"], properties=["x", "y"]),
        {"entityType": RELATIONSHIP, "properties": ["x", "y"]},
        BESIDE,
    ),
    (vector(), vector(dimensions=4096), {"type": "VECTOR", "vector.dimensions": 4096}),
    (vector(similarity="cosine"), vector(similarity="euclidean"), {"vector.similarity_function": "EUCLIDEAN"}),
    (vector(hnsw={"m": 1}), vector(hnsw={"m": 512}), {"vector.hnsw.m": 512}),
    (vector(hnsw={"ef_construction": 1}), vector(hnsw={"ef_construction": 3200}),
     {"vector.hnsw.ef_construction": 3200}),
    (vector(quantization=True), vector(quantization=False), {"vector.quantization.enabled": False}),
    (
        vector(embedding="passages", dimensions=None),
        vector(embedding="passages", dimensions=None, hnsw={"m": 8}),
        {"vector.dimensions": 4, "vector.hnsw.m": 8, "vector.similarity_function": "COSINE"},
    ),
    (
        vector(hnsw={"m": 8}),
        vector(hnsw={"ef_construction": 50}),
        {"vector.hnsw.m": 8, "vector.hnsw.ef_construction": 50},
    ),
    (vector(dimensions=None), vector(dimensions=5), {"vector.dimensions": 5}),
    (
        index("vector", relationship="L", properties=["e"], dimensions=3),
        index("vector", relationship="L", properties=["f"], dimensions=3),
        {"entityType": RELATIONSHIP, "properties": ["f"]},
        BESIDE,
    ),
]  # fmt: skip


def declared(rows: Mapping[str, tuple[str, dict[str, Any]]]) -> str:
    """Each row under a name and over labels of its own; options of None left out."""
    document: dict[str, dict[str, Any]] = {}
    for name, (section, entry) in rows.items():
        own = {key: value for key, value in entry.items() if value is not None}
        for key in ("label", "relationship"):
            own |= {key: f"{name}_{own[key]}"} if key in own else {}
            own |= {f"{key}s": [f"{name}_{one}" for one in own[f"{key}s"]]} if f"{key}s" in own else {}
        document.setdefault(section, {})[name] = own
    return dump(document)


def shown(graph: Graph) -> dict[str, dict[str, Any]]:
    """What SHOW says of constraints and indexes, by name, options beside the columns."""
    rows = graph.send(introspect.SHOW_INDEXES) + graph.send(introspect.SHOW_CONSTRAINTS)
    return {row["name"]: row | ((row.get("options") or {}).get("indexConfig") or {}) for row in rows}


def test_every_kind_and_option_is_made_read_changed_and_read_again(graph: Graph) -> None:
    table = {f"r{n}": row for n, row in enumerate(ROWS)}
    graph.declare(declared({name: row[0] for name, row in table.items()}))
    assert {line.split()[0] for line in lines(graph.apply())} == {"create"}
    assert len(graph.live()) == len(table), "the index that a constraint brings is part of it"
    graph.declare(declared({name: row[1] for name, row in table.items()}))
    actions = {line.split()[1].partition(".")[2]: line.split()[0] for line in lines(graph.apply())}
    found, wrong = shown(graph), []
    for name, (_, _, expected, *how) in table.items():
        live = f"{name}__v2" if how else name
        action = "create/delete" if how else "delete/create"
        told = {key: found[live][key] for key in expected} if live in found else {}
        wanted = {key: [f"{name}_{one}" for one in value] if key == "labelsOrTypes" else value
                  for key, value in expected.items()}  # fmt: skip
        wrong += [(name, actions.get(name), told, wanted)] if (actions.get(name), told) != (action, wanted) else []
    assert wrong == []
    bare = {name: (row[1][0], {k: v for k, v in row[1][1].items() if k in IDENTITY}) for name, row in table.items()}
    graph.declare(declared(bare))
    assert lines(graph.plan()) == [], "an option that is not declared is left as the server has it"
    workflow.import_(graph.project, (), force=True, out=graph.folder / "schema")
    assert lines(graph.plan()) == []
    graph.declare("")
    graph.apply()
    assert graph.live() == {}


def test_options_that_only_a_newer_version_knows_are_named_and_kept(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if 5.26 were newer than the table of options: two of those it has are not in it."""
    unknown = ("vector.hnsw.ef_construction", "vector.quantization.enabled")
    monkeypatch.setattr(options, "OPTIONS", tuple(o for o in options.OPTIONS if o.key not in unknown))
    config = "`vector.dimensions`: 3, `vector.hnsw.ef_construction`: 77, `vector.quantization.enabled`: false"
    graph.send(f"CREATE VECTOR INDEX x FOR (n:A) ON (n.e) OPTIONS {{indexConfig: {{{config}}}}}")
    graph.declare("indexes:\n  x: {kind: vector, label: A, properties: [e], dimensions: 3}")
    plan = graph.apply()
    assert lines(plan) == []
    told = {entry["address"]: entry["what"] for entry in plan.observed["not_modelled"]}
    assert told == {
        'graph.index_option.x."vector.hnsw.ef_construction"': "77, kept as it is",
        'graph.index_option.x."vector.quantization.enabled"': "false, kept as it is",
    }
    for text in (", hnsw: {m: 8}", ", hnsw: {m: 9}, replace: in_place"):
        graph.declare(f"indexes:\n  x: {{kind: vector, label: A, properties: [e], dimensions: 3{text}}}")
        assert [line.split()[0] for line in lines(graph.apply())] == ["delete/create"]
        assert (graph.config("x")[unknown[0]], graph.config("x")[unknown[1]]) == (77, False)
    imported = workflow.import_(graph.project, (), force=True, out=graph.folder / "schema")
    assert {address for address, _ in imported.not_modelled} == set(told)
    assert lines(graph.plan()) == []


IDENTITY = ("kind", "label", "labels", "relationship", "relationships", "properties", "unique")


def test_what_a_constraint_brings_and_names_are_those_of_the_server(graph: Graph) -> None:
    """One namespace; the owned index has the constraint's name; `NODE UNIQUE` and providers are no difference."""
    graph.send(
        "CREATE CONSTRAINT c FOR (n:A) REQUIRE n.a IS NODE UNIQUE",
        "CREATE CONSTRAINT r FOR ()-[n:R]-() REQUIRE n.a IS REL UNIQUE",
        "CREATE TEXT INDEX t FOR (n:A) ON (n.a) OPTIONS {indexProvider: 'text-1.0'}",
    )
    owned = graph.send("SHOW INDEXES YIELD name, owningConstraint WHERE owningConstraint IS NOT NULL RETURN *")
    assert {(row["name"], row["owningConstraint"]) for row in owned} == {("c", "c"), ("r", "r")}
    graph.declare(
        "constraints:\n  c: {label: A, unique: [a]}\n  r: {relationship: R, unique: [a]}\n"
        "indexes:\n  t: {kind: text, label: A, properties: [a]}"
    )
    assert lines(graph.apply(prune="all")) == []


# --- Enterprise Edition -------------------------------------------------------------------------------------------

ENTERPRISE = [
    # YAML, the server's word for it
    ("label: A, key: [a, b]", "NODE KEY"),
    ("relationship: A, key: [a]", "RELATIONSHIP KEY"),
    ("label: A, exists: a", "NODE PROPERTY EXISTENCE"),
    ("relationship: A, exists: a", "RELATIONSHIP PROPERTY EXISTENCE"),
    ("label: A, property: a, type: DATE", "NODE PROPERTY TYPE"),
    ("relationship: A, property: a, type: INTEGER | LIST<STRING NOT NULL>", "RELATIONSHIP PROPERTY TYPE"),
]


def test_what_needs_the_enterprise_edition_is_refused_by_line_and_sent_it_is_understood(graph: Graph) -> None:
    """The Community Edition understands the statements, and refuses them as another edition's."""
    text = "constraints:\n" + "\n".join(f"  c{n}: {{{entry}}}" for n, (entry, _) in enumerate(ENTERPRISE))
    graph.declare(text)
    with pytest.raises(ReconcileError) as error:
        graph.plan()
    for line in range(3, 3 + len(ENTERPRISE)):
        assert f"schema/graph.yaml:{line}:" in str(error.value)
    assert str(error.value).count("need Neo4j Enterprise Edition; store graph is Community") == len(ENTERPRISE)
    from reconcile.change import Timeouts
    from reconcile.stores.neo4j import cypher

    desired = graph.project.desired()
    with graph.session() as session:
        session.server()
        for resource, (_, word) in zip(desired.values(), ENTERPRISE, strict=True):
            with pytest.raises(UnsupportedError, match=f"type='{word}'"):
                session.run(cypher.create(resource, "x", session.server()), Timeouts(lock="2s"))  # type: ignore[arg-type]
    assert graph.live() == {}


TYPES = [
    "integer | string",
    "BOOL",
    "VARCHAR",
    "INT",
    "signed  integer",
    "TIME WITHOUT TIME ZONE",
    "TIME WITH TIMEZONE",
    "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP WITHOUT TIMEZONE",
    "local   time",
    "ARRAY<INT NOT NULL>",
    "INT NOT NULL LIST",
    "STRING NOT NULL ARRAY",
    "LIST < FLOAT NOT NULL >",
    "LIST<INT!>",
    "ANY<INT|STRING>",
    "ANY VALUE<INT | BOOL>",
    "ANY <INT>",
    "STRING | VARCHAR",
    "INT | NOTHING",
    "POINT | DURATION | LIST<POINT NOT NULL> | LIST<INT NOT NULL> | FLOAT | BOOL | STRING | DATE | LOCAL TIME"
    " | ZONED TIME | LOCAL DATETIME | ZONED DATETIME | LIST<ZONED DATETIME NOT NULL>",
]
NO_TYPES = ["LIST<FLOAT>", "STRING NOT NULL", "ANY", "MAP", "NULL", "NOTHING", "DATETIME", "INT!", "PROPERTY VALUE",
            "LIST<INT|STRING NOT NULL>", "LIST<LIST<INT NOT NULL> NOT NULL>", "LIST"]  # fmt: skip


def test_property_types_are_spelled_as_the_server_does(graph: Graph) -> None:
    """What it has understood stands in its refusal; VECTOR came later, see the unit tests."""
    wrong = []
    with graph.driver() as driver, driver.session() as session:
        for text in (*TYPES, *NO_TYPES):
            statement: Any = f"CREATE CONSTRAINT x FOR (n:P) REQUIRE n.a IS :: {text}"
            with pytest.raises(Neo4jError) as error:
                session.run(statement).consume()
            theirs = None
            if isinstance(error.value, DatabaseError):
                theirs = str(error.value).partition("propertyType=")[2].partition(" )")[0]
            try:
                ours = types.normal(text)
            except ValueError:
                ours = None
            wrong += [(text, theirs, ours)] if theirs != ours or (theirs is None) != (text in NO_TYPES) else []
    assert wrong == []


# --- conflicts ----------------------------------------------------------------------------------------------------

CONFLICTS: list[tuple[str, dict[str, Any], list[str] | str]] = [
    # made by hand, declared, what is planned or refused; @ is the number of the row
    ("INDEX x@ FOR (n:A@) ON (n.a)", {"x@": index(label="A@", properties=["a"])}, []),
    ("INDEX x@ FOR (n:A@) ON (n.b)", {"x@": index(label="A@", properties=["a"])}, ["delete/create index.x@"]),
    ("TEXT INDEX x@ FOR (n:A@) ON (n.a)", {"x@": index(label="A@", properties=["a"])}, ["delete/create index.x@"]),
    ("INDEX other@ FOR (n:A@) ON (n.a)", {"x@": index(label="A@", properties=["a"])}, []),
    (
        "VECTOR INDEX x@ FOR (n:A@) ON (n.a) OPTIONS {indexConfig: {`vector.dimensions`: 3}}",
        {"x@": index("vector", label="A@", properties=["a"], dimensions=4)},
        ["delete/create index.x@"],
    ),
    (
        "CONSTRAINT x@ FOR (n:A@) REQUIRE n.b IS UNIQUE",
        {"x@": constraint(label="A@", unique=["a"])},
        ["delete/create constraint.x@"],
    ),
    ("CONSTRAINT other@ FOR (n:A@) REQUIRE n.a IS UNIQUE", {"x@": constraint(label="A@", unique=["a"])}, []),
    (
        "INDEX i@ FOR (n:A@) ON (n.a)",
        {"x@": constraint(label="A@", unique=["a"])},
        "graph.constraint.x@ cannot be made: graph.index.i@ is already on (:A@).a",
    ),
    (
        "INDEX x@ FOR (n:A@) ON (n.b)",
        {"x@": constraint(label="A@", unique=["a"])},
        "the name x@ is taken by graph.index.x@",
    ),
    (
        "CONSTRAINT x@ FOR (n:A@) REQUIRE n.b IS UNIQUE",
        {"x@": index(label="A@", properties=["a"])},
        "the name x@ is taken by graph.constraint.x@",
    ),
    (
        "CONSTRAINT c@ FOR (n:A@) REQUIRE n.a IS UNIQUE",
        {"x@": index(label="A@", properties=["a"])},
        "constraint c@ has that index already",
    ),
    (
        "INDEX i@ FOR (n:A@) ON (n.a)",
        {
            "x@": index("text", label="A@", properties=["a"]),
            "y@": index("fulltext", labels=["A@"], properties=["a"]),
            "z@": index("point", label="A@", properties=["a"]),
            "v@": index("vector", label="A@", properties=["a"], dimensions=3),
        },
        ["create index.v@", "create index.x@", "create index.y@", "create index.z@"],
    ),
    (
        "CONSTRAINT c@ FOR (n:A@) REQUIRE (n.a, n.b) IS UNIQUE",
        {"x@": constraint(label="A@", unique=["b", "a"]), "y@": index(label="A@", properties=["a"])},
        ["create constraint.x@", "create index.y@"],
    ),
]


def test_what_stands_in_the_way_is_seen_before_anything_runs(graph: Graph) -> None:
    good: dict[str, dict[str, Any]] = {}
    bad: dict[str, dict[str, Any]] = {}
    planned, refused = list[str](), list[str]()
    for number, (_, entries, expected) in enumerate(CONFLICTS):
        document = bad if isinstance(expected, str) else good
        for name, (section, entry) in entries.items():
            document.setdefault(section, {})[name.replace("@", f"{number}_")] = entry
            own = document[section][name.replace("@", f"{number}_")] = dict(entry)
            for key in ("label", "labels"):
                if key in own:
                    one = own[key] if key == "label" else own[key][0]
                    own[key] = one.replace("@", str(number)) if key == "label" else [one.replace("@", str(number))]
        texts = [expected] if isinstance(expected, str) else expected
        (refused if isinstance(expected, str) else planned).extend(
            t.replace("A@", f"A{number}").replace("@", f"{number}_") for t in texts
        )
    graph.send(*("CREATE " + t.replace("A@", f"A{n}").replace("@", f"{n}_") for n, (t, _, _) in enumerate(CONFLICTS)))
    before = graph.live()
    graph.declare(dump(bad))
    with pytest.raises(PlanError) as error:
        graph.plan()
    assert [text for text in refused if text not in str(error.value)] == []
    assert str(error.value).count("schema/graph.yaml:") == len(refused), "each with its line"
    assert graph.live() == before
    graph.declare(dump(good))
    assert sorted(" ".join(line.split()[:2]) for line in lines(graph.apply())) == sorted(planned)


# --- transactions -------------------------------------------------------------------------------------------------

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
    ("indexes:\n  i: {label: A, properties: [a]}", "constraints:\n  c: {label: A, unique: [a]}", 2),
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


# Over labels in use, one after the other: declared; the steps by transaction; what the plan says of those that last
GAP, WAITING = "a gap of about 1 s (estimated)", "no gap, clients wait about 1 s (estimated)"
IN_USE: list[tuple[list[str], list[str], list[str], dict[str, str]]] = [
    (["c: {label: A, unique: [a]}", "d: {label: A, unique: [b]}", "e: {label: B, unique: [a]}"], [],
     ["c/1-create", "d/1-create", "e/1-create"], {}),
    (["c: {label: A, unique: [b]}", "d: {label: A, unique: [a]}", "e: {label: B, unique: [a]}"], [],
     ["c/1-drop d/1-drop", "c/2-create", "d/2-create"], {"c/1-drop": GAP, "d/1-drop": GAP}),
    (["c: {label: A, unique: [b]}", "renamed: {label: A, unique: [a]}", "e: {label: B, unique: [a]}"], [],
     ["renamed/1-drop", "renamed/2-create"], {"renamed/1-drop": GAP}),
    (["c: {label: A, unique: [b]}"], ["i: {label: A, properties: [a]}", "j: {label: B, properties: [a]}"],
     ["e/1-drop j/1-create renamed/1-drop i/1-create"], {"i/1-create": GAP, "j/1-create": GAP}),
    (["c: {label: A, unique: [a]}"], ["i: {label: A, properties: [b]}", "j: {label: B, properties: [a]}"],
     ["c/1-drop i/1-drop", "c/2-create i/2-create"], {"c/1-drop": GAP, "i/1-drop": GAP}),
    (["c: {label: A, unique: [a]}"], ["renamed: {label: A, properties: [b]}", "j: {label: B, properties: [a]}"],
     ["renamed/1-rename"], {"renamed/1-rename": GAP}),
    (["d: {label: A, unique: [b]}", "e: {label: B, unique: [a]}", "n: {label: B, unique: [b]}"], [],
     ["n/1-create c/1-drop", "j/1-drop", "e/1-create", "renamed/1-drop", "d/1-create"],
     {"j/1-drop": GAP, "renamed/1-drop": GAP}),
    (["d: {label: A, unique: [a]}", "e: {label: B, unique: [a]}"], ["i: {label: A, properties: [b]}"],
     ["d/1-drop i/1-create d/2-create n/1-drop"], {"d/2-create": WAITING, "i/1-create": GAP}),
    (["d: {label: A, unique: [b]}", "e: {label: B, unique: [a]}"], [],
     ["d/1-drop", "i/1-drop", "d/2-create"], {"d/1-drop": GAP, "i/1-drop": GAP}),
]  # fmt: skip


def test_over_labels_in_use_the_plan_says_who_waits_and_how_long_the_gap_is(graph: Graph) -> None:
    graph.send("CREATE (:A {a: 1, b: 1}), (:B {a: 1, b: 1})")
    graph.configure(names="enforce")
    wrong = []
    for constraints, indexes, transactions, said in IN_USE:
        sections = (("constraints:", constraints), ("indexes:", indexes))
        graph.declare("\n".join("\n  ".join([head, *entries]) for head, entries in sections if entries))
        plan = graph.apply()
        groups: dict[str, list[str]] = {}
        for step in plan.steps:
            groups.setdefault(str(step.group), []).append(short(step.id))
        costs = {short(step): words.cost(cost) for step, cost in plan.observed["costs"].items()}
        told = {step: cost.partition(", ")[2] for step, cost in costs.items() if "," in cost}
        found = ([" ".join(steps) for steps in groups.values()], told)
        wrong += [(constraints, indexes, found)] if found != (transactions, said) else []
    assert not wrong, "\n".join(map(str, wrong))


def short(step: str) -> str:
    """`graph.index.x/1-drop` → `x/1-drop`."""
    address, _, word = step.rpartition("/")
    return f"{Address.parse(address).name}/{word}"


@pytest.mark.parametrize(
    ("first", "waits"),
    [
        ("DROP INDEX old", True),
        ("CREATE CONSTRAINT x FOR (n:A) REQUIRE n.b IS UNIQUE", True),
        ("CREATE CONSTRAINT x FOR (n:B) REQUIRE n.b IS UNIQUE", False),
    ],
)
def test_a_label_is_locked_from_a_schema_statement_to_the_commit(graph: Graph, first: str, waits: bool) -> None:
    """For writers, and for readers by any index on it: why constraints on labels in use share no transaction."""
    graph.send("CREATE (:A {a: 1, b: 1})", "CREATE INDEX old FOR (n:A) ON (n.a)", "CREATE INDEX FOR (n:A) ON (n.c)")
    with graph.driver() as driver, driver.session() as session, session.begin_transaction() as open_one:
        statement: Any = first
        open_one.run(statement).consume()
        for query in ("CREATE (:A {a: 2, b: 2})", "MATCH (n:A) WHERE n.c = 1 RETURN n"):
            with driver.session() as other:
                code = ""
                try:
                    other.run(Query(query, timeout=1)).consume()
                except Neo4jError as error:
                    code = error.code or ""
                assert ("Transaction" in code) == waits, (query, code)


# --- lookup indexes, visibility, versions -------------------------------------------------------------------------


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


def test_data_that_privileges_may_hide_is_not_taken_for_absent(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """No vector that is seen is no proof that none is stored; nor do ids that are not seen lack in a mirror."""
    text = "indexes:\n  x: {kind: vector, label: A, properties: [e], dimensions: %d}"
    graph.declare(text % 3)
    graph.apply()
    graph.declare(text % 4)
    assert len(graph.plan().steps) == 1
    monkeypatch.setattr(Neo4jSession, "_hides_data", True)
    with pytest.raises(PlanError, match="holds vectors made for the old contract"):
        graph.plan()
    report = workflow.verify(graph.project)
    assert (report["clean"], [entry["why"] for entry in report["not_looked_at"]]) == (False, [privileges.PARTLY])
    with graph.session() as session, pytest.raises(StoreError, match="hide part of the data"):
        list(session.ids(Side(Address("graph", "label", ("A",)), "id")))


def test_where_no_schema_can_be_seen_nothing_looks_missing(graph: Graph) -> None:
    """A user whose password has to be changed, and the database that holds no graph: an error, and no plan."""
    graph.declare("indexes:\n  x: {label: A, properties: [a]}")
    graph.send("CREATE USER reconcile_new SET PASSWORD 'initial-9f2b7' CHANGE REQUIRED", database="system")
    try:
        graph.settings |= {"user": "reconcile_new", "password": "initial-9f2b7"}
        graph.configure()
        with pytest.raises(StoreError, match="the password is the initial one and has to be changed first") as error:
            graph.plan()
        assert "9f2b7" not in str(error.value)
    finally:
        graph.send("DROP USER reconcile_new", database="system")
    graph.settings |= {"user": graph.database.user, "password": graph.database.password, "database": "system"}
    graph.configure()
    with pytest.raises(StoreError, match="database system holds no graph"):
        graph.plan()


def test_what_is_refused_names_every_line_at_once(graph: Graph) -> None:
    graph.declare(
        "constraints:\n  a: {label: A, key: [x]}\n  b: {label: A, exists: x}\n"
        "  c: {relationship: R, property: x, type: VECTOR<FLOAT32>(3)}\n"
        "indexes:\n  d: {kind: vector, labels: [A, B], properties: [e], dimensions: 3, filter: [f]}"
    )
    with pytest.raises(ReconcileError) as error:
        graph.plan()
    text = str(error.value)
    for line in (3, 4, 5, 7):
        assert f"schema/graph.yaml:{line}:" in text
    assert "enforce: check" in text
    graph.declare("indexes:\n  f: {kind: fulltext, labels: [A], properties: [t], analyzer: englsh}")
    with pytest.raises(ReconcileError, match=r'graph.yaml:3:.*no full-text analyzer "englsh"; did you mean "english"'):
        graph.plan()
