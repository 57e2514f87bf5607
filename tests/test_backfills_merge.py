"""Backfills that merge: what others point at moves, the rest is archived whole, deleted, and counted."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import PartialError
from reconcile.sandbox.scratch import Neo4jDatabase
from reconcile.survey import open_ledger
from tests.projects import Folder, cypher

TABLES = """
tables:
  people: {columns: {id: {type: bigint, not_null: true}, name: text}, primary_key: [id]}
  posts:
    columns: {id: {type: bigint, not_null: true}, author: bigint}
    primary_key: [id]
    foreign_keys: {posts_author: {columns: [author], references: people}}
"""
MERGED = """
backfills:
  merged:
    select: SELECT id FROM people p WHERE EXISTS (SELECT FROM people o WHERE o.name = p.name AND o.id < p.id)
    key: id
    into: people
    batch: 7
    deletes: {expect: 40}
    statement: >
      WITH first AS (SELECT p.id, min(o.id) AS stays FROM people p JOIN people o USING (name)
                     WHERE p.id = ANY ($keys) GROUP BY p.id),
           moved AS (UPDATE posts SET author = stays FROM first WHERE author = first.id)
      DELETE FROM people WHERE id = ANY ($keys)
    verify:
      - {query: SELECT count(*) FROM people, expect: 20}
      - {query: SELECT count(*) FROM posts, expect: 60}
"""


def test_rows_of_a_table_are_merged(tmp_path: Path, postgres_database: str) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=TABLES).apply()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO people SELECT n, 'p' || n % 20 FROM generate_series(1, 60) n")
        connection.execute("INSERT INTO posts SELECT n, n FROM generate_series(1, 60) n")
        folder.declare(app=TABLES + MERGED).apply("deletes-data")
        assert connection.execute("SELECT max(author), count(*) FROM posts").fetchall() == [(20, 60)]
    kept = workflow.kept_list(folder.load())
    assert [(k["name"], k["rows"]) for k in kept] == [("archived", 40)]
    assert folder.plan().steps == ()


NODES = """
backfills:
  merged:
    select: "MATCH (p:Person) WHERE EXISTS { MATCH (o:Person) WHERE o.name = p.name AND o.number < p.number }"
    key: p
    batch: 7
    deletes: {expect: {at_least: 40, at_most: 40}}
    statement: >
      MATCH (o:Person {name: p.name}) WITH p, o ORDER BY o.number WITH p, collect(o)[0] AS stays
      CALL (p, stays) { MATCH (p)-[r:WROTE]->(d) MERGE (stays)-[m:WROTE]->(d) SET m += properties(r) }
      DETACH DELETE p
    verify:
      - {query: 'MATCH (p:Person) RETURN count(p)', expect: 20}
      - {query: 'MATCH (:Person)-[r:WROTE]->() RETURN count(r)', expect: 60}
      - {query: 'MATCH (d:Document) WHERE NOT (d)--() RETURN count(d)', expect: 0}
"""


def test_nodes_are_merged(tmp_path: Path, neo4j_database: Neo4jDatabase) -> None:
    """What is archived of each has its labels and its relationships; another number of them is refused."""
    graph = {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user}
    graph |= {"password": neo4j_database.password} if neo4j_database.password else {}
    folder = Folder(tmp_path, {"graph": graph}, {"ledger": {"file": "ledger.db"}})
    cypher(
        folder,
        "UNWIND range(1, 60) AS n CREATE (:Person:`A b` {number: n, name: 'p' + n % 20})-[:WROTE {at: n}]->"
        "(:Document {number: n})",
    )
    with pytest.raises(PartialError, match="40 rows are selected, expected >= 41"):
        folder.declare(graph=NODES.replace("at_least: 40, at_most: 40", "at_least: 41")).apply("deletes-data")
    assert cypher(folder, "MATCH (p:Person) RETURN count(p)") == [[60]]
    ledger = open_ledger(folder.load())
    unfinished = ledger.unfinished()
    ledger.close()
    assert unfinished is not None
    workflow.abandon(folder.load(), unfinished.id)
    folder.declare(graph=NODES).apply("deletes-data")
    ledger = open_ledger(folder.load())
    archived = [content for _, content in ledger.kept_rows("graph.backfill.merged", "archived", 100)]
    ledger.close()
    assert len(archived) == 40
    one = next(row for row in archived if row["properties"]["number"] == 33)
    assert sorted(one["labels"]) == ["A b", "Person"] and one["properties"]["name"] == "p13"
    (written,) = one["relationships"]
    assert (written["type"], written["properties"]) == ("WROTE", {"at": 33})
    assert json.dumps(one) and folder.plan().steps == ()
