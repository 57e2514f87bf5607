"""Names change hands: renames, swaps, chains, promotion and demotion, in the one namespace that all share."""

from __future__ import annotations

from typing import Any

from tests.stores.neo4j.graph import Graph, lines

from reconcile.yamldump import dump


def unique(property_: str) -> dict[str, Any]:
    return {"label": "L", "unique": [property_]}


def ranged(property_: str) -> dict[str, Any]:
    return {"label": "L", "properties": [property_]}


def full(property_: str, **options: Any) -> dict[str, Any]:
    return {"kind": "fulltext", "labels": ["L"], "properties": [property_], **options}


MOVES: dict[str, tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]] = {
    # who has which name, and who has it then
    "index renamed": ({"a": ranged("x")}, {"b": ranged("x")}),
    "constraint renamed": ({"a": unique("x")}, {"b": unique("x")}),
    "indexes swap": ({"a": ranged("x"), "b": ranged("y")}, {"a": ranged("y"), "b": ranged("x")}),
    "constraints swap": ({"a": unique("x"), "b": unique("y")}, {"a": unique("y"), "b": unique("x")}),
    "index and constraint swap": ({"a": ranged("x"), "b": unique("y")}, {"a": unique("y"), "b": ranged("x")}),
    "chain of indexes": (
        {"a": ranged("x"), "b": ranged("y"), "c": ranged("z")},
        {"b": ranged("x"), "c": ranged("y"), "d": ranged("z")},
    ),
    "chain of constraints": (
        {"a": unique("x"), "b": unique("y"), "c": unique("z")},
        {"b": unique("x"), "c": unique("y"), "d": unique("z")},
    ),
    "chain through both": (
        {"a": unique("x"), "b": ranged("y"), "c": full("z")},
        {"b": unique("x"), "c": ranged("y"), "d": full("z")},
    ),
    "ring of three": (
        {"a": unique("x"), "b": ranged("y"), "c": full("z")},
        {"b": unique("x"), "c": ranged("y"), "a": full("z")},
    ),
    "promoted": ({"a": ranged("x")}, {"a": unique("x")}),
    "promoted, another takes the name": ({"a": ranged("x")}, {"b": unique("x"), "a": ranged("y")}),
    "promoted into a name that is freed": ({"a": ranged("x"), "b": full("y")}, {"b": unique("x")}),
    "demoted": ({"a": unique("x")}, {"a": ranged("x")}),
    "demoted, another takes the name": ({"a": unique("x")}, {"b": ranged("x"), "a": unique("y")}),
    "promoted and demoted": ({"a": ranged("x"), "b": unique("y")}, {"a": unique("x"), "b": ranged("y")}),
    "and crosswise": ({"a": ranged("x"), "b": unique("y")}, {"b": unique("x"), "a": ranged("y")}),
    "renamed into a freed name, the old one taken": (
        {"a": unique("x"), "b": full("y")},
        {"b": unique("x"), "a": ranged("y")},
    ),
    "renamed and changed": ({"a": full("x", analyzer="german")}, {"b": full("x", analyzer="english")}),
    "changed, and by itself beside": (
        {"a": {"kind": "fulltext", "labels": ["L"], "properties": ["x", "y"], "analyzer": "german"}},
        {"a": {"kind": "fulltext", "labels": ["L"], "properties": ["x", "y"], "analyzer": "english"}},
    ),
    "index moves where another was": ({"a": ranged("x"), "b": ranged("y")}, {"b": ranged("x")}),
}


def document(side: int) -> dict[str, dict[str, dict[str, Any]]]:
    """All moves in one, each with names and a label of its own."""
    found: dict[str, dict[str, dict[str, Any]]] = {"constraints": {}, "indexes": {}}
    for number, move in enumerate(MOVES.values()):
        for name, entry in move[side].items():
            own = entry | {key: f"L{number}" for key in entry if key == "label"}
            own |= {"labels": [f"L{number}"]} if "labels" in entry else {}
            found["constraints" if "unique" in entry else "indexes"][f"{name}{number}"] = own
    return found


def test_every_object_ends_under_the_name_that_is_declared(graph: Graph) -> None:
    graph.configure(names="enforce")
    for number in range(len(MOVES)):
        graph.send(f"CREATE (:L{number} {{x: 1, y: 1, z: 1}})")
    graph.declare(dump(document(0)))
    graph.apply()
    wanted = document(1)
    graph.declare(dump(wanted))
    graph.apply()
    found = {
        (address.partition(".")[0] + ("s" if address.startswith("c") else "es"), resource.name): resource.attributes()
        for address, resource in graph.live().items()
    }
    expected = {(section, name): entry for section, entries in wanted.items() for name, entry in entries.items()}
    assert set(found) == set(expected)
    for key, entry in expected.items():
        assert found[key]["properties"] == entry.get("unique", entry.get("properties")), key
        assert found[key].get("analyzer") in (entry.get("analyzer"), "standard-no-stop-words")


def test_names_are_accepted_unless_the_policy_says_otherwise(graph: Graph) -> None:
    """The same objects under each other's names are no difference; what does change keeps its live name."""
    graph.send(
        "CREATE INDEX a FOR (n:L) ON (n.x)",
        "CREATE CONSTRAINT b FOR (n:L) REQUIRE n.y IS UNIQUE",
        "CREATE FULLTEXT INDEX c FOR (n:L) ON EACH [n.z]",
    )
    text = "constraints:\n  a: {label: L, unique: [y]}\nindexes:\n  b: {label: L, properties: [x]}\n"
    graph.declare(text + "  d: {kind: fulltext, labels: [L], properties: [z]}")
    assert lines(graph.apply(prune="all")) == []
    graph.declare(text + "  d: {kind: fulltext, labels: [L], properties: [z], analyzer: english}")
    assert lines(graph.apply(prune="all")) == ["delete/create index.d analyzer standard-no-stop-words → english"]
    assert sorted(r.name for r in graph.live().values()) == ["a", "b", "c"]
