"""Three stores with something of every kind in them, for tests of backups; and what they hold, by eyes of others."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from neo4j import GraphDatabase

from reconcile.sandbox.scratch import Neo4jDatabase
from tests import catalog
from tests.projects import Folder

APP = """
extensions: {vector: {}}
tables:
  passages:
    columns:
      id: {type: bigint, identity: always}
      body: text
      embedding: {embedding: passages}
    primary_key: [id]
    indexes: {passages_hnsw: {method: hnsw, columns: [embedding], embedding: passages}}
    row_level_security: enabled
    policies: {mine: {for: select, to: [public], using: "id > 0"}}
  users:
    columns: {id: {type: bigint, not_null: true}, born: date, score: float8}
    primary_key: [id]
views: {short: {query: select id from passages where id < 3}}
"""
GRAPH = """
constraints: {passage_id: {label: Passage, unique: [id]}}
indexes:
  passage_vector: {kind: vector, label: Passage, properties: [embedding], embedding: passages}
  passage_text: {kind: fulltext, labels: [Passage], properties: [body]}
"""
VECTORS = """
collections:
  passages: {vector: {embedding: passages}, payload_indexes: {tenant: keyword}}
  pairs: {versioned: false, vectors: {a: {dimensions: 2, distance: dot}, b: {dimensions: 3, distance: cosine}}}
"""
ROWS = """
INSERT INTO passages (body, embedding) SELECT 'text ' || n, array[n, 1, 0.5]::vector FROM generate_series(1, 200) n;
INSERT INTO users VALUES (1, '1990-01-31', 'NaN'), (2, NULL, '-0'), (3, '-infinity', 1e-300);
CREATE SEQUENCE odd START 7; SELECT nextval('odd'), nextval('odd');
CREATE TABLE twins (n int); INSERT INTO twins SELECT 1 FROM generate_series(1, 3);
SELECT lo_from_bytea(0, 'large');
"""
ELEMENTS = """
CREATE (a:Passage:`odd ``label` {id: 1, body: 'é', embedding: [0.1, 0.2, 0.3], big: 9007199254740993, whole: 1.0,
  nan: 0.0 / 0.0, below: -0.0, infinite: -1.0 / 0.0, yes: true, words: ['a', 'b'], none: [],
  day: date('1582-10-04'), at: datetime('2020-10-25T02:30:00.123456789+01:00[Europe/Berlin]'),
  before: datetime('2020-10-25T02:30:00+02:00[Europe/Berlin]'), offset: datetime('2020-01-01T00:00:00-05:30'),
  wall: localdatetime('1900-01-01T00:00:00.000000001'), time: time('12:00:00+02:00'), local: localtime('23:59:59.5'),
  spans: [duration('P1Y2M3DT4.5S'), duration('-PT0.5S')], place: point({longitude: 13.4, latitude: 52.5}),
  high: point({x: 1, y: -0.0, z: 3}), days: [date('2020-01-01')], points: [point({x: 1, y: 2})]})
CREATE (b:Passage {id: 2}), (c {`a.b`: 'no label'})
CREATE (a)-[:NEXT {since: date('2020-02-29'), weight: 1.5}]->(b), (a)-[:NEXT]->(b), (b)-[:`odd type`]->(b),
  (c)-[:NEXT]->(a)
WITH 1 AS one UNWIND range(3, 300) AS i CREATE (:Passage {id: i})
"""


def project(path: Path, postgres: str, neo4j: Neo4jDatabase, qdrant: str, **settings: Any) -> Folder:
    """All three stores, applied and filled."""
    stores: dict[str, dict[str, Any]] = {
        "app": {"kind": "postgres", "url": postgres},
        "graph": {"kind": "neo4j", "url": neo4j.url, "user": neo4j.user},
        "vectors": {"kind": "qdrant", "url": qdrant},
    }
    if neo4j.password:
        stores["graph"]["password"] = neo4j.password
    folder = Folder(path, stores, settings)
    folder.declare(app=APP, graph=GRAPH, vectors=VECTORS).apply()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(ROWS)
    with graph(folder) as driver:
        driver.execute_query(ELEMENTS)
        driver.execute_query(
            "MATCH (n:Passage {id: 2}) SET n.bytes = $bytes, n.odd = $odd", bytes=bytearray(range(256)), odd=[1.0, -0.0]
        )
    points = [
        {
            "id": i,
            "vector": [0.1 * i, 0.2, 0.3],
            "payload": {"tenant": f"t{i % 3}", "big": 2**62 + i, "deep": {"x": [i]}},
        }
        for i in range(1, 151)
    ]
    http(folder, "PUT", "/collections/passages/points?wait=true", {"points": points})
    pairs = [
        {"id": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "vector": {"a": [1, 2], "b": [1, 2, 3]}},
        {"id": 7, "vector": {"b": [3, 2, 1]}},
    ]
    http(folder, "PUT", "/collections/pairs/points?wait=true", {"points": pairs})
    alias = {"create_alias": {"alias_name": "live", "collection_name": "pairs"}}
    http(folder, "POST", "/collections/aliases", {"actions": [alias]})
    return folder


def graph(folder: Folder) -> Any:
    settings = folder.stores["graph"]
    auth = (settings["user"], settings["password"]) if "password" in settings else None
    return GraphDatabase.driver(settings["url"], auth=auth)


def http(folder: Folder, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        folder.stores["vectors"]["url"] + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]


@dataclass(frozen=True)
class Everything:
    """What three stores hold."""

    objects: dict[str, str]
    rows: dict[str, str]
    schema: list[Any]
    elements: dict[str, Any]
    collections: dict[str, Any]
    aliases: dict[str, str]


def everything(folder: Folder) -> Everything:
    """By catalog, rows, elements and points; the tool's marks and lock left out."""
    url = folder.stores["app"]["url"]
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE relkind IN ('r', 'S') AND nspname IN ('public', 'reconcile') AND relname NOT IN ('lock', 'stores')"
        ).fetchall()
        rows = {}
        for (table,) in tables:
            columns = "concat(x.last_value, x.is_called)" if "seq" in table or table == "odd" else "x::text"
            found = connection.execute(f"SELECT {columns} FROM {table} x".encode()).fetchall()
            rows[table] = hashlib.sha256(repr(sorted(map(repr, found))).encode()).hexdigest()
    with graph(folder) as driver:
        schema = driver.execute_query("SHOW CONSTRAINTS YIELD createStatement AS c RETURN c ORDER BY c").records
        schema += driver.execute_query(
            "SHOW INDEXES YIELD createStatement AS c, state, type WHERE type <> 'LOOKUP' RETURN c, state ORDER BY c"
        ).records
        elements = driver.execute_query(
            "MATCH (n) WHERE NOT n:__Reconcile OPTIONAL MATCH (n)-[r]->(m) WITH n, r, m ORDER BY n.id, type(r),"
            " r.weight RETURN coalesce(n.id, -1) AS id, labels(n) AS labels, [k IN keys(n) | [k, toStringOrNull(n[k]),"
            " valueType(n[k])]] AS properties, collect([type(r), keys(r), r.since, r.weight, m.id]) AS out"
        ).records
    collections = {}
    for name in sorted(c["name"] for c in http(folder, "GET", "/collections")["collections"]):
        if name != "_reconcile":
            info = http(folder, "GET", f"/collections/{name}")
            asked = {"limit": 10_000, "with_vector": True, "with_payload": True}
            points = http(folder, "POST", f"/collections/{name}/points/scroll", asked)["points"]
            collections[name] = (info["config"], info["payload_schema"], points)
    aliases = {a["alias_name"]: a["collection_name"] for a in http(folder, "GET", "/aliases")["aliases"]}
    by_id = {repr(r["id"]): (sorted(r["labels"]), sorted(r["properties"]), repr(r["out"])) for r in elements}
    return Everything(catalog.objects(url), rows, [tuple(r) for r in schema], by_id, collections, aliases)


def destroy(folder: Folder) -> None:
    """Leave nothing in any of them."""
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS reconcile CASCADE; CREATE SCHEMA public")
        connection.execute("ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO public")
        connection.execute("COMMENT ON SCHEMA public IS 'standard public schema'")
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    settings = folder.stores["graph"]
    Neo4jDatabase(settings["url"], settings["user"], settings.get("password", "")).wipe()
    for collection in http(folder, "GET", "/collections")["collections"]:
        http(folder, "DELETE", f"/collections/{collection['name']}")
