"""Versioned names, aliases, and who owns what: recognised by metadata, never by name."""

from __future__ import annotations

import re

import pytest
from tests.stores.qdrant.store import Store, lines

from reconcile import workflow
from reconcile.errors import ReconcileError

VECTOR = "vector: {dimensions: 4, distance: cosine}"


def test_a_new_collection_stands_behind_its_alias(store: Store) -> None:
    store.collection(VECTOR)
    store.apply()
    assert store.names() == ["c__v1"]
    assert store.aliases() == {"c": "c__v1"}
    assert store.config()["metadata"] == {"reconcile": {"name": "c", "generation": 1}}


def test_a_plain_collection_stays_as_it_is(store: Store) -> None:
    store.send("PUT", "/collections/c", {"vectors": {"size": 4, "distance": "Cosine"}})
    store.collection(f"{VECTOR}, hnsw: {{m: 24}}")
    store.apply()
    assert (store.names(), store.aliases()) == (["c"], {})
    assert "metadata" not in store.config("c")


def test_a_foreign_collection_of_the_next_name_is_not_touched(store: Store) -> None:
    store.send("PUT", "/collections/c__v1", {"vectors": {"size": 9, "distance": "Dot"}})
    store.collection(VECTOR)
    store.apply()
    assert store.names() == ["c__v1", "c__v2"]
    assert store.aliases() == {"c": "c__v2"}
    store.collection("vector: {dimensions: 5, distance: cosine}")
    store.apply()
    assert store.names() == ["c__v1", "c__v3"]


def test_a_restored_copy_under_another_name_is_not_taken_for_the_collection(store: Store) -> None:
    store.collection(VECTOR)
    store.apply()
    mark = {"reconcile": {"name": "c", "generation": 1}}
    store.send("PUT", "/collections/backup", {"vectors": {"size": 9, "distance": "Dot"}, "metadata": mark})
    store.fill("backup", (1.0,) * 9)
    assert lines(store.plan()) == []
    assert set(store.live()) == {"v.collection.backup", "v.collection.c", "v.alias.c"}


@pytest.mark.parametrize("broken_after", ["create", "switch"])
def test_leftovers_of_a_broken_replacement_go_with_the_next_plan(store: Store, broken_after: str) -> None:
    store.collection(VECTOR)
    store.apply()
    mark = {"reconcile": {"name": "c", "generation": 2}}
    store.send("PUT", "/collections/c__v2", {"vectors": {"size": 5, "distance": "Cosine"}, "metadata": mark})
    if broken_after == "switch":
        action = {"create_alias": {"collection_name": "c__v2", "alias_name": "c"}}
        store.send("POST", "/collections/aliases", {"actions": [action]})
    store.collection("vector: {dimensions: 5, distance: cosine}")
    store.apply()
    assert store.names() == ["c__v3" if broken_after == "create" else "c__v2"]


def test_a_generation_that_holds_points_is_never_a_leftover(store: Store) -> None:
    store.collection(VECTOR)
    store.apply()
    mark = {"reconcile": {"name": "c", "generation": 2}}
    store.send("PUT", "/collections/c__v2", {"vectors": {"size": 4, "distance": "Cosine"}, "metadata": mark})
    store.fill("c__v2")
    assert lines(store.plan()) == []
    store.collection("vector: {dimensions: 5, distance: cosine}")
    store.apply()
    assert store.names() == ["c__v2", "c__v3"]


def test_a_plain_one_is_brought_under_an_alias_only_while_empty(store: Store) -> None:
    store.collection(f"versioned: false, {VECTOR}")
    store.apply()
    store.collection(f"versioned: true, {VECTOR}")
    assert {h for s in store.plan().steps for h in s.hazards} == {"index-gap", "not-transactional"}
    store.fill()
    with pytest.raises(ReconcileError, match="holds points, and Qdrant cannot change versioned"):
        store.plan()
    store.send("POST", "/collections/c/points/delete?wait=true", {"points": [1]})
    store.apply()
    assert (store.names(), store.aliases()) == (["c__v1"], {"c": "c__v1"})


def test_a_versioned_one_does_not_become_plain(store: Store) -> None:
    store.collection(VECTOR)
    store.apply()
    store.collection(f"versioned: false, {VECTOR}")
    with pytest.raises(ReconcileError, match="delete `versioned: false`"):
        store.plan()


def test_aliases_follow_a_new_generation_in_one_request(store: Store) -> None:
    store.declare(f"collections:\n  c: {{{VECTOR}}}\naliases: {{live: c, beta: c}}")
    store.apply()
    store.send(
        "POST",
        "/collections/aliases",
        {"actions": [{"create_alias": {"collection_name": "c__v1", "alias_name": "by_hand"}}]},
    )
    store.declare("collections:\n  c: {vector: {dimensions: 5, distance: dot}}\naliases: {live: c, beta: c}")
    store.apply()
    assert store.aliases() == dict.fromkeys(("c", "live", "beta", "by_hand"), "c__v2")


def test_an_alias_moves_before_its_old_target_goes(store: Store) -> None:
    store.declare(f"collections:\n  a: {{{VECTOR}}}\n  b: {{{VECTOR}}}\naliases: {{live: a}}")
    store.apply()
    store.declare(f"collections:\n  b: {{{VECTOR}}}\naliases: {{live: b}}")
    made = store.apply()
    ids = [s.id for s in made.steps]
    assert ids.index("v.alias.live/1-repoint") < ids.index("v.collection.a/1-drop")
    assert store.aliases() == {"b": "b__v1", "live": "b__v1"}


def test_dropping_needs_leave(store: Store) -> None:
    store.declare(f"collections:\n  c: {{{VECTOR}}}\naliases: {{live: c}}")
    store.apply()
    store.declare(f"collections:\n  c: {{{VECTOR}}}")
    assert {h for s in store.plan().steps for h in s.hazards} == {"breaks-clients", "not-transactional"}
    store.apply()
    store.declare("collections: {}")
    assert {h for s in store.plan().steps for h in s.hazards} == {"not-transactional"}, "empty: no data goes"
    store.fill()
    assert {h for s in store.plan().steps for h in s.hazards} == {"breaks-clients", "not-transactional"}, "it is kept"
    assert "deletes-data" in {h for s in store.plan("deletes-data").steps for h in s.hazards}
    store.apply()
    assert (store.names(), store.aliases()) == ([], {})


def test_a_lost_alias_is_made_again(store: Store) -> None:
    store.collection(VECTOR)
    store.apply()
    store.send("POST", "/collections/aliases", {"actions": [{"delete_alias": {"alias_name": "c"}}]})
    assert lines(store.plan()) == ["create v.alias.c for c__v1"]
    store.apply()
    assert store.aliases() == {"c": "c__v1"}


def test_an_alias_at_a_missing_collection_is_refused(store: Store) -> None:
    store.declare("aliases: {live: nowhere}")
    with pytest.raises(ReconcileError, match="nowhere"):
        store.plan()


def test_an_alias_may_be_given_to_an_external_collection(store: Store) -> None:
    store.send("PUT", "/collections/theirs", {"vectors": {}})
    text = (store.folder / "reconcile.yaml").read_text()
    (store.folder / "reconcile.yaml").write_text(text.replace("kind: qdrant", "kind: qdrant\n    external: [theirs]"))
    store.declare("aliases: {live: theirs}")
    store.apply()
    assert store.aliases() == {"live": "theirs"}


def test_the_mark_is_left_and_tells_projects_apart(store: Store) -> None:
    store.collection(VECTOR)
    store.apply()
    mark = store.config("_reconcile")["metadata"]["reconcile"]
    assert (mark["project"], mark["environment"]) == ("test", "default")
    path = store.folder / "reconcile.yaml"
    path.write_text(path.read_text().replace("name: test", "name: other").replace("ledger.db", "other.db"))
    with pytest.raises(ReconcileError, match="marked as managed by project test"):
        workflow.plan(store.project, workflow.Options())


PLAIN = "vector: {dimensions: 4, distance: dot}"
TAKEN: list[tuple[str, str]] = [
    # c is an alias of the plain collection `other`, which holds points; declared, and the refusal or the hazard
    (f"collections: {{c: {{versioned: false, {PLAIN}}}}}", "an alias named c exists (it points at other)"),
    (
        f"collections: {{d: {{{PLAIN}}}}}\naliases: {{other: d}}",
        "alias other cannot be made: a collection of",
    ),
    (f"collections: {{c: {{{PLAIN}}}}}", "--allow breaks-clients=v.alias.c"),
    (f"collections: {{d: {{{PLAIN}}}}}\naliases: {{c: d}}", "--allow breaks-clients=v.alias.c"),
]


def test_names_and_aliases_that_are_in_use_are_never_taken_unasked(store: Store) -> None:
    store.send("PUT", "/collections/other", {"vectors": {"size": 4, "distance": "Dot"}})
    store.fill("other")
    action = {"create_alias": {"collection_name": "other", "alias_name": "c"}}
    store.send("POST", "/collections/aliases", {"actions": [action]})
    for text, said in TAKEN:
        store.declare(text)
        with pytest.raises(ReconcileError, match=re.escape(said)):
            workflow.apply(store.project, store.plan())
        assert (store.names(), store.aliases()) == (["other"], {"c": "other"})
    store.send("PUT", "/collections/d", {"vectors": {"size": 4, "distance": "Dot"}})
    store.fill("d")
    store.declare(f"collections: {{d: {{versioned: false, {PLAIN}}}}}\naliases: {{c: d}}")
    workflow.apply(store.project, store.plan())
    assert store.aliases() == {"c": "d"}, "there clients find points"
