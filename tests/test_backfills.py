"""Backfills through plan and apply, on real servers: batches, resume, rules, limits, what they prove."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import neo4j
import psycopg
import pytest

from reconcile import workflow
from reconcile.backfills.forms import load
from reconcile.errors import BlockedError, PartialError, ProjectError
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


def neo4j_database_driver(database: Neo4jDatabase) -> neo4j.Driver:
    auth = (database.user, database.password) if database.password else None
    return neo4j.GraphDatabase.driver(database.url, auth=auth)


@pytest.fixture
def graph(tmp_path: Path, neo4j_database: Neo4jDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """The example's project, with a graph that is seeded as its README says."""
    shutil.copytree(EXAMPLE, tmp_path / "example")
    monkeypatch.setenv("NEO4J_URL", neo4j_database.url)
    monkeypatch.setenv("NEO4J_USER", neo4j_database.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_database.password or "none")
    seed = load("seed.py:seed", EXAMPLE)
    with neo4j_database_driver(neo4j_database) as driver:
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
    assert "reported by rules: 213 (20.9%); otherwise: 808 (79.1%)" in said
    assert "reported relationships: 1200 before, 1200 after" in said
    assert "reported without_type: 1021 before, 0 after" in said
    assert workflow.plan(project).steps == ()


FORMS = r"""
backfills:
  kinds:
    select: SELECT id, path, title FROM documents
    key: id
    into: documents
    once: true
    batch: 300
    rules:
      set: title
      cases: [{value: tens, when: {path: '0$'}}, {value: fives, when: {path: '5$'}}]
    success: 0.19
    down: restore
  lengths:
    depends_on: [kinds]
    select: SELECT id, path FROM documents WHERE n IS NULL
    key: id
    into: documents
    function: lengths.py:lengths
    verify: [{query: SELECT sum(n) FROM documents, expect: {at_least: 1}}]
    on_error: set_aside
  upper:
    select: SELECT id, path FROM documents WHERE path LIKE 'a%'
    key: id
    into: documents
    command: {run: [python3, upper.py], timeout: 1min}
    cost: 0.01
    limits: {run: {batches: 2}}
"""
LENGTHS = """
def lengths(rows):
    return [{"key": row["key"], "n": len(row["path"]) if row["key"] != 77 else "many"} for row in rows]
"""
UPPER = """
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({"key": row["key"], "path": row["path"].upper()}))
"""


def test_rules_functions_and_programs(folder: Folder) -> None:
    """Values of rows, old ones kept and put back; a failing row set aside; a limit stops, and the run goes on."""
    (folder.path / "lengths.py").write_text(LENGTHS)
    (folder.path / "upper.py").write_text(UPPER)
    table = TABLE.replace("title: text", "title: text, n: int")
    folder.declare(app=table + FORMS)
    tried = workflow.preview(folder.load(), "kinds", 1)
    assert (tried["rows"], tried["would_change"], tried["batches"]) == (1021, 204, 4)
    assert tried["values"] == {"title": {"tens": 102, "fives": 102}}
    with pytest.raises(PartialError, match="its limit of 2 batches a run is reached: 1000 rows are done"):
        folder.apply()
    workflow.resume(folder.load())
    assert sql(folder, "SELECT title, count(*) FROM documents GROUP BY title ORDER BY title") == [
        ("fives", 102),
        ("tens", 102),
        (None, 817),
    ]
    assert sql(folder, "SELECT id FROM documents WHERE n IS NULL") == [(77,)]
    assert sql(folder, "SELECT count(*) FROM documents WHERE path LIKE 'A/B/%'") == [(1021,)]
    listed = {b["address"]: b for b in workflow.backfills(folder.load())}
    assert listed["app.backfill.lengths"]["set_aside"] == 1
    assert listed["app.backfill.lengths"]["sample_set_aside"][0]["key"] == 77
    assert folder.plan().steps == ()
    kept = {(k["address"], k["name"], k["rows"]) for k in workflow.kept_list(folder.load())}
    assert kept == {("app.backfill.kinds", "old", 204), ("app.backfill.lengths", "set_aside", 1)}
    told = folder.command("kept", "list").stdout
    assert "app.backfill.lengths\n     rows that failed, with their errors · for " in told and " · 1 row · " in told
    workflow.apply(folder.load(), workflow.purge(folder.load(), ["*.lengths"]))
    assert [k["name"] for k in workflow.kept_list(folder.load())] == ["old"]
    assert folder.plan().steps == ()
    sql(folder, "UPDATE documents SET title = 'by hand' WHERE id = 3")
    assert workflow.down(folder.load(), "kinds") == 204
    assert sql(folder, "SELECT id, title FROM documents WHERE title IS NOT NULL") == [(3, "by hand")]
    assert [s.id for s in folder.plan().steps] == ["app.backfill.kinds/1-run"]


def test_what_changed_after_it_was_done_is_told_and_redone_on_demand(folder: Folder) -> None:
    folder.declare(app=TABLE + TITLES).apply()
    folder.declare(app=TABLE + TITLES.replace("'^.*/', ''", "'^.*/', 'no. '"))
    plan = folder.plan()
    assert plan.steps == ()
    assert any("reconcile backfill redo titles" in note for note in plan.observed["notes"])
    workflow.redo(folder.load(), "titles", "numbers are wanted")
    sql(folder, "UPDATE documents SET title = NULL WHERE id < 10")
    folder.apply()
    assert sql(folder, "SELECT count(*) FROM documents WHERE title LIKE 'no. %'") == [(9,)]


WRONG = {
    "kinds: {select: SELECT 1, key: id}": 'schema/app.yaml:8:3: backfill "kinds" does not say what to do',
    "a: {select: SELECT 1, key: id, statement: SELECT 1, depends_on: [b]}": "app.backfill.a comes after app.backfill.b",
    "a: {select: SELECT 1, key: id, rules: {set: x, cases: [{when: {y: '('}, value: z}]}}": "is no regular expression",
    "a: {select: SELECT 1, key: id, statement: 'with x as (/**/delete from t) select 1'}": 'backfill "a" deletes',
    "a: {select: SELECT 1, key: id, into: t, function: 'none.py:f'}": "none.py cannot be read",
    "a: {select: {must: []}, statement: SELECT 1}": 'backfill "a" selects by something else than a query',
    "a: {select: SELECT 1, statement: SELECT 1}": 'schema/app.yaml:8:3: backfill "a" has no key',
    "a: {select: SELECT 1, key: id, command: {run: [x]}}": 'backfill "a" gives values and does not say to what',
    "a: {select: SELECT 1, key: id, copy: {a: b}, into: app.table.public.t}": "and does not say which is which",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_at_its_line(folder: Folder, text: str) -> None:
    folder.declare(app=f"{TABLE}backfills:\n  {text}\n")
    with pytest.raises(ProjectError) as error:
        folder.load().desired()
    assert WRONG[text] in str(error.value)


def test_what_another_kind_of_store_cannot_do_is_told_as_well(tmp_path: Path) -> None:
    stores = {name: {"kind": name, "url": f"${{{name.upper()}}}"} for name in ("postgres", "neo4j", "qdrant")}
    folder = Folder(tmp_path, stores).declare(
        neo4j="backfills: {a: {select: MATCH (n), key: [a, b], statement: DELETE n, deletes: {expect: 1},"
        " down: restore}}\n",
        qdrant="backfills: {b: {select: SELECT 1, key: id, statement: x, deletes: {expect: 1}}}\n",
    )
    with pytest.raises(ProjectError) as error:
        folder.load().desired()
    told = str(error.value)
    for wrong in ("has no variable as its key", "would make deleted elements again"):
        assert f'backfill "a" {wrong}' in told
    for wrong in ("selects by something else than a filter", "does not say in which collection", "has a statement",
                  "deletes, which no backfill of this store can"):  # fmt: skip
        assert f'backfill "b" {wrong}' in told


CROSSING = """
backfills:
  points:
    select: SELECT id, path, at, embedding FROM documents
    key: id
    into: vectors.collection.passages
    copy: {path: path, at: at, vector: embedding}
    once: true
    batch: 40
  nodes:
    depends_on: [points]
    select: SELECT id, path FROM documents
    key: id
    into: graph.label.Document
    into_key: id
    copy: {path: path}
    once: true
  logged:
    select: SELECT id FROM documents d WHERE NOT EXISTS (SELECT FROM logs l WHERE l.document = d.id)
    key: id
    statement: INSERT INTO logs SELECT id, path FROM documents WHERE id = ANY ($keys) ON CONFLICT DO NOTHING
    verify:
      - {query: SELECT count(*) FROM documents WHERE id NOT IN (SELECT document FROM logs), expect: 0}
      - {query: SELECT count(*) = (SELECT count(*) FROM documents) FROM logs, expect: true}
  emptied:
    depends_on: [logged, nodes]
    select: SELECT id FROM documents WHERE id <= 20
    key: id
    into: documents
    statement: DELETE FROM documents WHERE id = ANY ($keys)
    deletes: {expect: 20}
"""
THERE = """
extensions: {vector: {}}
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, path: text, at: timestamptz, embedding: {embedding: passages}}
    primary_key: [id]
  logs: {columns: {document: bigint, path: text}}
"""
VECTORS = "collections: {passages: {vector: {embedding: passages}, versioned: false}}\n"
LANGUAGES = """
backfills:
  languages:
    depends_on: [app.backfill.points]
    collection: passages
    select: {must: [{is_empty: {key: lang}}]}
    rules: {set: lang, cases: [{when: {path: '[05]$'}, value: de}], otherwise: en}
    verify: [{query: '{"must": [{"is_empty": {"key": "lang"}}]}', expect: 0}]
    batch: 30
    down: restore
"""


def test_rows_go_from_store_to_store(
    tmp_path: Path, postgres_database: str, neo4j_database: Neo4jDatabase, qdrant_server: str
) -> None:
    """Rows become points and nodes, idempotent by id; rows of a table rows of another; points get a payload."""
    graph = {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user}
    graph |= {"password": neo4j_database.password} if neo4j_database.password else {}
    app, vectors = {"kind": "postgres", "url": postgres_database}, {"kind": "qdrant", "url": qdrant_server}
    folder = Folder(tmp_path, {"app": app, "graph": graph, "vectors": vectors})
    folder.declare(app=THERE, graph="constraints: {document: {label: Document, unique: [id]}}", vectors=VECTORS).apply()
    sql(folder, "INSERT INTO documents SELECT n, 'p' || n, now(), '[1,2,3]' FROM generate_series(1, 100) n")
    folder.declare(app=THERE + CROSSING, vectors=VECTORS + LANGUAGES)
    with pytest.raises(BlockedError, match=r"deletes-data=app\.backfill\.emptied"):
        folder.apply()
    folder.apply("deletes-data=app.backfill.emptied")
    with neo4j_database_driver(neo4j_database) as driver:
        found = driver.execute_query("MATCH (n:Document) RETURN count(n) AS n, count(n.path) AS p").records
    assert [dict(r) for r in found] == [{"n": 100, "p": 100}]
    points = httpx.post(f"{qdrant_server}/collections/passages/points/scroll", json={"limit": 200}).json()["result"]
    payloads = [p["payload"] for p in points["points"]]
    assert len(payloads) == 100 and {p["lang"] for p in payloads} == {"de", "en"}
    assert sum(p["lang"] == "de" for p in payloads) == 20 and all(p["at"] for p in payloads)
    assert sql(folder, "SELECT count(*) FROM logs") == [(100,)]
    assert sql(folder, "SELECT min(id), count(*) FROM documents") == [(21, 80)]
    archived = sql(folder, "SELECT content FROM reconcile.backfill_rows WHERE state = 'archived' ORDER BY key")
    assert len(archived) == 20 and '"path": "p1"' in archived[0][0]
    assert folder.plan().steps == ()
    assert workflow.down(folder.load(), "languages") == 100
    counted = httpx.post(
        f"{qdrant_server}/collections/passages/points/count",
        json={"filter": {"must": [{"is_empty": {"key": "lang"}}]}},
    ).json()
    assert counted["result"]["count"] == 100
