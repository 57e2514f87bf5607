"""`reconcile check` over all three stores, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconcile.exits import Exit
from reconcile.sandbox.scratch import Neo4jDatabase
from tests.projects import Folder

TABLES = "tables: {notes: {columns: {id: bigint, body: text}}}\n"
GRAPH = "constraints: {note_id: {label: Note, unique: [id]}}\nindexes: {note_body: {label: Note, properties: [body]}}\n"
VECTORS = "collections: {notes: {vector: {embedding: passages}}}\n"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, neo4j_database: Neo4jDatabase, qdrant_server: str) -> Folder:
    graph = {"url": neo4j_database.url, "user": neo4j_database.user, "password": neo4j_database.password}
    stores = {
        "app": {"kind": "postgres", "url": postgres_database},
        "graph": {"kind": "neo4j", **graph},
        "vectors": {"kind": "qdrant", "url": qdrant_server},
    }
    return Folder(tmp_path, stores).declare(app=TABLES, graph=GRAPH, vectors=VECTORS)


def by_store(folder: Folder) -> dict[str, dict[tuple[str, str], list[Any]]]:
    report = json.loads(folder.command("check", "--format", "json").stdout)
    found: dict[str, dict[tuple[str, str], list[Any]]] = {}
    for store in report["stores"]:
        for check in store["checks"]:
            found.setdefault(store["name"], {}).setdefault((check["topic"], check["verdict"]), []).append(check)
    return found


def test_every_store_says_how_it_is_and_what_would_stop_the_steps(
    folder: Folder, neo4j_database: Neo4jDatabase
) -> None:
    import neo4j

    shown = folder.command("check")
    assert shown.returncode == Exit.CLEAN, shown.stdout
    for line in (
        "✓  connection   PostgreSQL 18",
        "✓  privileges   CREATE on schema public; USAGE on schema public",
        "✓  connection   Neo4j 5",
        "✓  privileges   the Community Edition has no privileges",
        "✓  connection   Qdrant 1",
        "✓  privileges   no key is asked for",
        "✓  ledger       store app, schema reconcile: is made by the first apply",
        "Nothing would stop an apply",
    ):
        assert line in shown.stdout, line
    folder.stores["graph"]["limits"] = {"transaction_age": "0s", "active_transactions": 0}
    folder.declare()
    auth = (neo4j_database.user, neo4j_database.password) if neo4j_database.password else None
    with neo4j.GraphDatabase.driver(neo4j_database.url, auth=auth) as driver, driver.session() as session:
        session.run("CREATE (:Note {id: 1, body: 'a'}), (:Note {id: 1, body: 'b'})").consume()
        with session.begin_transaction() as writing:
            writing.run("CREATE (:Note {id: 2})").consume()
            found = by_store(folder)
            text = folder.command("check")
    assert text.returncode == Exit.FINDINGS
    graph = found["graph"]
    assert "end it: TERMINATE TRANSACTION" in graph["blockers", "warning"][0]["hint"]
    assert graph["load", "stops"][0]["what"] == "1 other transaction; the limit is 0"
    (violated,) = graph["steps", "stops"]
    assert "value occurs more than once" in violated["what"] and violated["where"].endswith("note_id")
    assert {name for name, checks in found.items() if any(verdict == "stops" for _, verdict in checks)} == {"graph"}


def test_the_least_privileges_are_printed_for_each_store_and_command(folder: Folder) -> None:
    printed = folder.command("check", "--grants", "ours").stdout
    for line in (
        'CREATE ROLE "ours_apply" LOGIN;',
        'GRANT CREATE ON SCHEMA "public" TO "ours_apply";',
        'CREATE ROLE "ours_plan" LOGIN;',
        'CREATE ROLE "ours_drift" LOGIN;',
        "the Community Edition has no roles",
        '{"access": "m"}',
        '{"access": "r"}',
    ):
        assert line in printed, line
    assert "ours_apply" not in folder.command("check", "--grants").stdout
