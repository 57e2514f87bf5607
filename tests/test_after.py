"""`after:` in plans over the three real stores: the order, what the plan shows, what --only and --exclude do."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from reconcile import planfile
from reconcile.plan import Plan
from reconcile.render import graph
from reconcile.sandbox.scratch import Neo4jDatabase
from tests.projects import Folder

APP = """
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, path: text}
    primary_key: [id]
    after: [graph.index.person_name]
  notes:
    columns: {id: bigint}
"""
GRAPH = "indexes: {person_name: {label: Person, properties: [name], after: [vectors.collection.passages]}}"
VECTORS = "collections: {passages: {vector: {embedding: passages}, payload_indexes: {tenant: keyword}}}"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, neo4j_database: Neo4jDatabase, qdrant_server: str) -> Folder:
    """The order that is asked for is the opposite of the one that stores have by themselves."""
    graph_ = {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user}
    if neo4j_database.password:
        graph_["password"] = neo4j_database.password
    stores = {
        "app": {"kind": "postgres", "url": postgres_database},
        "graph": graph_,
        "vectors": {"kind": "qdrant", "url": qdrant_server},
    }
    return Folder(tmp_path, stores).declare(app=APP, graph=GRAPH, vectors=VECTORS)


def place(plan: Plan, beginning: str) -> int:
    return next(n for n, step in enumerate(plan.steps) if step.id.startswith(beginning))


def test_the_plan_has_the_order_and_shows_why(folder: Folder) -> None:
    """Needs in its JSON, arrows in its picture; the rest keeps its place; applied, the plan is empty."""
    plan = folder.plan()
    assert place(plan, "app.table.public.notes/") < place(plan, "vectors.collection.passages/")
    assert place(plan, "vectors.collection.passages/") < place(plan, "graph.index.person_name/")
    assert place(plan, "graph.index.person_name/") < place(plan, "app.table.public.documents/")
    document = planfile.to_json(plan)
    needs = {step["id"].rpartition("/")[0]: step["needs"] for step in document["steps"]}
    assert "ok graph.index.person_name" in needs["app.table.public.documents"]
    assert "ok vectors.collection.passages" in needs["graph.index.person_name"]
    names = [step["id"] for step in document["steps"]]
    drawn = graph.render(document)
    giver = next(n for n, name in enumerate(names, 1) if name.startswith("graph.index.person_name/"))
    user = next(n for n, name in enumerate(names, 1) if name.startswith("app.table.public.documents/"))
    assert f"s{giver} --> s{user}" in drawn
    folder.apply()
    assert folder.plan().steps == ()


def test_what_has_nothing_to_change_is_not_waited_for(folder: Folder) -> None:
    """Nor does the edge itself make a change."""
    folder.apply()
    folder.declare(app=APP.replace("path: text", "path: text, size: integer"))
    (step,) = folder.plan().steps
    assert not any("graph" in str(fact) for fact in step.needs)


def test_a_part_of_what_waits_waits_for_a_part_of_the_other(folder: Folder) -> None:
    """A new column after a new payload index, since their table comes after their collection."""
    folder.declare(app=APP.replace("graph.index.person_name", "vectors.collection.passages")).apply()
    folder.declare(
        app=APP.replace("graph.index.person_name", "vectors.collection.passages").replace(
            "path", "size: integer, path"
        ),
        vectors=VECTORS.replace("tenant: keyword", "tenant: keyword, page: integer"),
    )
    plan = folder.plan()
    assert [step.id.rpartition("/")[0] for step in plan.steps] == [
        "vectors.payload_index.passages.page",
        "app.column.public.documents.size",
    ]
    folder.apply()
    assert folder.plan().steps == ()


def test_a_replacement_waits_with_its_removal(folder: Folder) -> None:
    """What is dropped and made again goes only after what it waits for is there."""
    folder.apply()
    folder.declare(
        graph=GRAPH.replace("properties: [name]", "properties: [name, born]"),
        vectors=VECTORS.replace("tenant: keyword", "tenant: keyword, page: integer"),
    )
    plan = folder.plan(allow=("all",))
    first = min(n for n, step in enumerate(plan.steps) if step.id.startswith("graph.index.person_name/"))
    assert place(plan, "vectors.payload_index.passages.page/") < first
    folder.apply("all")
    assert folder.plan().steps == ()


def test_only_brings_what_is_waited_for(folder: Folder) -> None:
    """Across stores, and what that needs; never what waits for it."""
    plan = folder.plan(only=("graph.index.*",))
    assert {c.address.store for c in plan.resource_changes} == {"graph", "vectors"}
    assert not plan.complete
    assert {c.address.store for c in folder.plan(only=("vectors.*",)).resource_changes} == {"vectors"}


def test_exclude_takes_along_who_waits_and_says_so(folder: Folder) -> None:
    plan = folder.plan(exclude=("vectors.*",))
    assert {str(c.address) for c in plan.resource_changes if c.part_of is None} == {"app.table.public.notes"}
    notes = plan.observed["notes"]
    assert (
        "graph.index.person_name is left out: it comes after vectors.collection.passages, whose change is excluded"
        in notes
    )
    assert any(n.startswith("app.table.public.documents is left out: it comes after graph.index") for n in notes)
    folder.apply()
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        connection.execute("DROP TABLE documents")
    assert folder.plan(exclude=("vectors.*",)).steps, "what is excluded and has nothing to change is not waited for"
