"""Backfills through plan and apply, on real servers: batches, resume, rules, limits, what they prove."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
import psycopg
import pytest

from reconcile import workflow
from reconcile.backfills.forms import load
from reconcile.project import Project
from reconcile.sandbox.scratch import Neo4jDatabase
from tests.projects import Folder

TABLE = """
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, path: text, title: text}
    primary_key: [id]
"""
TITLES = r"""
backfills:
  titles:
    select: SELECT id, path FROM documents WHERE title IS NULL
    key: id
    statement: UPDATE documents SET title = regexp_replace(path, '^.*/', '') WHERE id = ANY ($keys)
    batch: 100
    metrics: {untitled: SELECT count(*) FROM documents WHERE title IS NULL}
    verify: [{query: SELECT count(*) FROM documents WHERE title IS NULL, expect: 0}]
"""


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    """One PostgreSQL store with a filled table, applied."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=TABLE).apply()
    sql(folder, "INSERT INTO documents SELECT n, 'a/b/' || n FROM generate_series(1, 1021) n")
    return folder


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_a_statement_over_batches_runs_once(folder: Folder) -> None:
    folder.declare(app=TABLE + TITLES)
    plan = folder.plan()
    assert [s.id for s in plan.steps] == ["app.backfill.titles/1-run"]
    said: list[str] = []
    workflow.apply(folder.load(), plan, lambda event: said.append(f"{event.kind} {event.detail}"))
    assert sql(folder, "SELECT count(*) FROM documents WHERE title = id::text") == [(1021,)]
    assert any(line.startswith("progress 1,021 of 1,021 rows") for line in said)
    assert "reported untitled: 1021 before, 0 after" in said
    assert folder.plan().steps == ()
    sql(folder, "UPDATE documents SET title = NULL WHERE id = 7")
    folder.apply()
    assert sql(folder, "SELECT title FROM documents WHERE id = 7") == [(None,)]


EXAMPLE = Path(__file__).parents[1] / "examples" / "relation-types"


@dataclass
class Graph:
    """The example's project and its graph."""

    path: Path
    driver: neo4j.Driver

    def project(self) -> Project:
        return Project.load(self.path)

    def ask(self, query: str) -> list[dict[str, Any]]:
        return [dict(record) for record in self.driver.execute_query(query).records]


@pytest.fixture
def graph(tmp_path: Path, neo4j_database: Neo4jDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """The example's project, with a graph that is seeded as its README says."""
    shutil.copytree(EXAMPLE, tmp_path / "example")
    monkeypatch.setenv("NEO4J_URL", neo4j_database.url)
    monkeypatch.setenv("NEO4J_USER", neo4j_database.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password or "none")
    seed = load("seed.py:seed", EXAMPLE)
    auth = (neo4j_database.user, neo4j_database.password) if neo4j_database.password else None
    with neo4j.GraphDatabase.driver(neo4j_database.url, auth=auth) as driver:
        seed(driver)  # type: ignore[arg-type]
        yield Graph(tmp_path / "example", driver)
    neo4j_database.wipe()


def test_the_example_gives_every_relationship_its_type(graph: Graph) -> None:
    said: list[str] = []
    project = graph.project()
    before = graph.ask("MATCH ()-[r:RELATES_TO]->() RETURN elementId(r) AS id, r.description AS text ORDER BY id")
    workflow.apply(project, workflow.plan(project), lambda event: said.append(f"{event.kind} {event.detail}"))
    assert (
        graph.ask("MATCH ()-[r:RELATES_TO]->() RETURN elementId(r) AS id, r.description AS text ORDER BY id") == before
    )
    counts = graph.ask("MATCH ()-[r:RELATES_TO]->() RETURN r.relation_type AS type, count(*) AS n ORDER BY n DESC")
    found = {row["type"]: row["n"] for row in counts}
    assert len(found) == 22 and None not in found
    assert found["RELATED_TO"] == 808 + 179
    assert "reported relation_type RELATED_TO: 808 (79.1%)" in said
    assert "reported relation_type WORKS_FOR: 11 (1.1%)" in said
    assert "reported relationships: 1200 before, 1200 after" in said
    assert "reported without_type: 1021 before, 0 after" in said
    assert workflow.plan(project).steps == ()
