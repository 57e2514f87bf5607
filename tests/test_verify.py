"""`reconcile verify` over the three real stores: mirrors that agree and differ, constraints nobody enforces."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import ProjectError, ReconcileError
from reconcile.exits import Exit
from reconcile.render import markdown
from reconcile.render import verify as text
from reconcile.sandbox.scratch import Neo4jDatabase
from reconcile.stores.neo4j.faults import LockWaitError
from reconcile.stores.neo4j.session import Neo4jSession
from reconcile.survey import reading
from tests.projects import Folder

APP = """
tables:
  passages:
    columns:
      id: {type: bigint, not_null: true}
      size: integer
      owner: bigint
      embedding: {embedding: passages}
    primary_key: [id]
    checks:
      sized: {expression: size > 0, not_valid: true}
    foreign_keys:
      owned: {columns: [owner], references: users, not_valid: true}
  users:
    columns: {id: {type: bigint, not_null: true}}
    primary_key: [id]
views:
  short: {query: select id from passages where id < 3}
"""
GRAPH = "constraints: {passage_id: {label: Passage, unique: [id]}}"
VECTORS = "collections: {passages: {vector: {embedding: passages}, payload_indexes: {ref: keyword}}}"
MIRRORS = {
    "passages": [
        {"store": "app", "table": "passages", "key": "id"},
        {"store": "vectors", "collection": "passages"},
        {"store": "graph", "label": "Passage", "key": "id"},
    ]
}
CANARY = "canary-9f2b7"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, neo4j_database: Neo4jDatabase, qdrant_server: str) -> Folder:
    """All three stores with the same five ids."""
    stores: dict[str, dict[str, Any]] = {
        "app": {"kind": "postgres", "url": postgres_database},
        "vectors": {"kind": "qdrant", "url": qdrant_server},
        "graph": {"kind": "neo4j", "url": neo4j_database.url, "user": neo4j_database.user},
    }
    if neo4j_database.password:
        stores["graph"]["password"] = neo4j_database.password
    folder = Folder(tmp_path, stores, {"mirrors": MIRRORS})
    folder.declare(app="extensions: {vector: {}}\n" + APP, graph=GRAPH, vectors=VECTORS).apply()
    sql(folder, "INSERT INTO passages (id, size) SELECT n, 1 FROM generate_series(1, 5) n")
    points(folder, range(1, 6))
    cypher(folder, "UNWIND range(1, 5) AS n CREATE (:Passage {id: n})")
    return folder


def sql(folder: Folder, statement: str) -> None:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        connection.execute(statement.encode())


def cypher(folder: Folder, statement: str) -> None:
    from neo4j import GraphDatabase

    settings = folder.stores["graph"]
    auth = (settings["user"], settings["password"]) if "password" in settings else None
    with GraphDatabase.driver(settings["url"], auth=auth) as driver:
        driver.execute_query(statement)


def http(folder: Folder, method: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        folder.stores["vectors"]["url"] + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]


def points(folder: Folder, ids: Iterable[int | str], collection: str = "passages", **payload: Any) -> None:
    made = [{"id": i, "vector": [0.1, 0.2, 0.3], "payload": payload} for i in ids]
    http(folder, "PUT", f"/collections/{collection}/points?wait=true", {"points": made})


def verified(folder: Folder, *addresses: str, sample: int = 10) -> Any:
    return workflow.verify(folder.load(), addresses, sample)


def found(report: Any) -> list[tuple[str, int, list[str]]]:
    return [(f"{f['address']}: {f['what']}", f["count"], f["sample"]) for f in report["findings"]]


# --- mirrors -------------------------------------------------------------------------------------------------------


def test_stores_that_agree_are_clean(folder: Folder) -> None:
    """Numbers of PostgreSQL, of points and of nodes are one text."""
    report = verified(folder)
    assert found(report) == []
    assert report["clean"]
    (mirror,) = report["mirrors"]
    assert [side["ids"] for side in mirror["sides"]] == [5, 5, 5]
    done = folder.command("verify")
    assert done.returncode == Exit.CLEAN, done.stderr
    assert "the mirror agrees" in done.stdout
    assert "app.table.public.passages id" in done.stdout


def test_differences_are_told_in_both_directions(folder: Folder) -> None:
    """Missing and extra ids, counted all and listed a few; exit 2; nothing of the first side's own."""
    sql(folder, "DELETE FROM passages WHERE id = 2; INSERT INTO passages (id) SELECT generate_series(10, 12)")
    cypher(folder, "MATCH (n:Passage {id: 3}) DETACH DELETE n")
    report = verified(folder, sample=2)
    here = "app.table.public.passages"
    assert found(report) == [
        (f"vectors.collection.passages: ids missing that {here} has", 3, ["10", "11"]),
        (f"vectors.collection.passages: ids that {here} does not have", 1, ["2"]),
        (f"graph.label.Passage: ids missing that {here} has", 4, ["3", "10"]),
        (f"graph.label.Passage: ids that {here} does not have", 1, ["2"]),
    ]
    done = folder.command("verify", "--sample", "2")
    assert done.returncode == Exit.FINDINGS
    assert "3 missing: 10, 11, …" in done.stdout
    assert "1 extra: 2\n" in done.stdout
    assert "0 of 1 mirrors agree" in done.stdout
    assert json.loads(folder.command("verify", "--format", "json").stdout)["clean"] is False
    assert "3 missing: 10, 11, 12" in folder.command("verify", "--format", "markdown").stdout


def test_uuids_and_texts_are_compared_in_one_form(folder: Folder) -> None:
    """The server writes point ids with hyphens in lower case; a text column may have them otherwise."""
    one = "6F9619FF8B86D011B42D00C04FC964FF"
    form = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    tables = "tables: {a: {columns: {id: {type: uuid, not_null: true}}, primary_key: [id]}, b: {columns: {k: text}}}"
    vectors = VECTORS[:-1] + ", other: {vector: {embedding: passages}}}"
    folder.settings["mirrors"] = {
        "all": [
            {"store": "app", "table": "a"},
            {"store": "app", "table": "b", "key": "k"},
            {"store": "vectors", "collection": "other"},
            {"store": "vectors", "collection": "passages", "key": "ref"},
            {"store": "graph", "label": "Passage", "key": "uid"},
        ]
    }
    folder.declare(app="extensions: {vector: {}}\n" + tables, vectors=vectors).apply("all")
    sql(folder, f"INSERT INTO a VALUES ('{one}'); INSERT INTO b VALUES ('{one}')")
    points(folder, [form], "other")
    points(folder, [1], ref=one)
    http(folder, "POST", "/collections/passages__v1/points/delete?wait=true", {"points": [2, 3, 4, 5]})
    cypher(folder, "MATCH (n:Passage) WHERE n.id > 1 DELETE n")
    cypher(folder, f"MATCH (n:Passage {{id: 1}}) SET n.uid = '{{{one}}}'")
    report = verified(folder)
    assert found(report) == []
    assert [side["ids"] for side in report["mirrors"][0]["sides"]] == [1, 1, 1, 1, 1]


def test_ids_that_occur_twice_in_a_side_are_said(folder: Folder) -> None:
    """And do not count as two; nor is what has no id passed over."""
    folder.settings["mirrors"] = {
        "refs": [
            {"store": "app", "table": "passages", "key": "owner"},
            {"store": "vectors", "collection": "passages", "key": "ref"},
            {"store": "graph", "label": "Passage", "key": "ref"},
        ]
    }
    folder.declare()
    sql(folder, "INSERT INTO users VALUES (7); UPDATE passages SET owner = 7 WHERE id < 4")
    points(folder, [1, 2], ref="7")
    cypher(folder, "MATCH (n:Passage) WHERE n.id > 1 SET n.ref = 7.0")
    report = verified(folder)
    assert found(report) == [
        ("app.table.public.passages: elements without owner", 2, []),
        ("app.table.public.passages: ids that occur more than once", 1, ["7"]),
        ("vectors.collection.passages: elements without ref", 3, []),
        ("vectors.collection.passages: ids that occur more than once", 1, ["7"]),
        ("graph.label.Passage: elements without ref", 1, []),
        ("graph.label.Passage: ids that occur more than once", 1, ["7"]),
    ]
    assert "1 occurring more than once: 7" in text.render(report)
    assert "3 without ref" in text.render(report)


def test_a_view_is_a_side_for_a_part_of_a_table(folder: Folder) -> None:
    """What `where:` would be."""
    folder.settings["mirrors"] = {
        "short": [{"store": "app", "view": "short", "key": "id"}, {"store": "vectors", "collection": "passages"}]
    }
    folder.declare()
    ((what, count, ids),) = found(verified(folder))
    assert (count, ids) == (3, ["3", "4", "5"])
    assert what.endswith("ids that app.view.public.short does not have")


def test_what_is_not_there_is_not_compared_and_said(folder: Folder) -> None:
    """A table that went, a collection, a label: exit 2, and the rest is still looked at."""
    sql(folder, "DROP TABLE passages CASCADE")
    http(folder, "DELETE", "/collections/passages__v1", None)
    cypher(folder, "MATCH (n) DETACH DELETE n")
    folder.settings["mirrors"] = {
        **MIRRORS,
        "names": [{"store": "app", "table": "users"}, {"store": "graph", "label": "Passage", "key": "never"}],
    }
    folder.declare()
    report = verified(folder)
    problems = [side.get("problem") for side in report["mirrors"][0]["sides"]]
    assert problems[:2] == ["table public.passages is not there", "collection passages is not there"]
    assert not report["clean"]
    done = folder.command("verify")
    assert done.returncode == Exit.FINDINGS
    assert "table public.passages is not there" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_names_are_checked_against_what_is_declared(folder: Folder) -> None:
    """All of it at once, offline, each with its place and what may have been meant."""
    folder.settings["mirrors"] = {
        "one": [
            {"store": "ap", "table": "passages"},
            {"store": "app", "table": "pasages"},
            {"store": "app", "table": "passages", "key": "idd"},
            {"store": "app", "collection": "passages"},
            {"store": "app"},
            {"store": "app", "table": "passages", "view": "short"},
            {"store": "app", "view": "short"},
            {"store": "vectors", "collection": "pasages"},
            {"store": "vectors", "collection": "passages", "key": "a b"},
            {"store": "graph", "label": "Pasage", "key": "id"},
            {"store": "graph", "label": "Passage"},
            {"store": "vectors", "collection": "passages"},
            {"store": "vectors", "collection": "passages"},
        ]
    }
    folder.declare()
    with pytest.raises(ProjectError) as refused:
        folder.load().desired()
    said = [str(problem) for problem in refused.value.problems]
    for line, expected in zip(
        said,
        (
            'there is no store "ap"; did you mean "app"?',
            'no table "pasages" is declared in store "app"; did you mean "passages"?',
            'table "passages" has no column "idd"; did you mean "id"?',
            'store "app" has no collection: it is a store of kind postgres; write table: NAME or view: NAME',
            'store "app" has no table or view or materialized_view; write table: NAME',
            'store "app" has both table and view',
            'view "short" needs a key; say which column is the id: key: NAME',
            'no collection "pasages" is declared in store "vectors"; did you mean "passages"?',
            '"a b" is no JSON path of a payload field',
            'no label "Pasage" is declared in store "graph"; did you mean "Passage"?',
            'label "Passage" needs a key',
            "vectors.collection.passages is a side of it already",
        ),
        strict=True,
    ):
        assert expected in line
        assert line.startswith("reconcile.yaml:")
        assert 'mirror "one"' in line
    assert folder.command("validate").returncode == Exit.ERROR


def test_a_side_that_cannot_be_read_now_is_told_and_the_others_are(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where trying again may help: whoever waits for a lock has been told nothing of the other stores."""

    def blocked(*_: Any) -> Any:
        raise LockWaitError("waited 10 s for open transactions")

    monkeypatch.setattr(Neo4jSession, "ids", blocked)
    cypher(folder, "CREATE (:Passage {id: 77})")
    report = verified(folder)
    assert found(report) == [
        ("graph.label.Passage: mirror passages was not compared: waited 10 s for open transactions", 0, [])
    ]
    assert [side["ids"] for side in report["mirrors"][0]["sides"]] == [5, 5, None]


# --- within a store ------------------------------------------------------------------------------------------------


def test_rows_that_break_what_is_not_enforced_are_counted(folder: Folder) -> None:
    """By constraint, exactly, with keys of a few and the query for all."""
    sql(folder, "ALTER TABLE passages DROP CONSTRAINT sized; ALTER TABLE passages DROP CONSTRAINT owned")
    sql(folder, f"ALTER TABLE passages ADD secret text DEFAULT '{CANARY}'")
    sql(folder, "UPDATE passages SET size = -id WHERE id > 2; UPDATE passages SET owner = 99 WHERE id = 1")
    sql(folder, "ALTER TABLE passages ADD CONSTRAINT sized CHECK (size > 0) NOT VALID")
    sql(folder, "ALTER TABLE passages ADD CONSTRAINT owned FOREIGN KEY (owner) REFERENCES users NOT VALID")
    report = verified(folder, sample=2)
    (check, key) = report["findings"]
    assert (check["address"], check["count"], check["sample"]) == (
        "app.check.public.passages.sized",
        3,
        ["id = 3", "id = 4"],
    )
    assert (key["address"], key["count"]) == ("app.foreign_key.public.passages.owned", 1)
    assert check["source"]["file"] == "schema/app.yaml"
    with psycopg.connect(folder.stores["app"]["url"]) as connection:
        assert len(connection.execute(check["query"].encode()).fetchall()) == 3
    done = folder.command("verify")
    assert done.returncode == Exit.FINDINGS
    assert "3 rows: size > 0 does not hold in public.passages" in done.stdout
    assert "1 row: (owner) of public.passages is not in public.users" in done.stdout
    assert CANARY not in done.stdout
    assert found(verified(folder, "app.table.public.users")) == []
    assert [f["address"] for f in verified(folder, "app.check.*")["findings"]] == [check["address"]]


def test_vectors_of_another_size_are_found(folder: Folder) -> None:
    """Where a column takes any, and where a collection is not as declared."""
    sql(folder, "ALTER TABLE passages ALTER embedding TYPE vector")
    sql(
        folder,
        "UPDATE passages SET embedding = '[1,2,3]' WHERE id < 3; UPDATE passages SET embedding = '[1,2]' WHERE id > 3",
    )
    http(folder, "DELETE", "/collections/passages__v1", None)
    http(folder, "PUT", "/collections/passages", {"vectors": {"size": 2, "distance": "Cosine"}})
    made = [{"id": i, "vector": [0.1, 0.2]} for i in range(1, 6)]
    http(folder, "PUT", "/collections/passages/points?wait=true", {"points": made})
    column, collection = verified(folder)["findings"]
    assert (column["address"], column["count"]) == ("app.column.public.passages.embedding", 2)
    assert column["what"] == "rows: embedding of public.passages does not have the 3 dimensions of embedding passages"
    assert (collection["address"], collection["count"]) == ("vectors.collection.passages", 5)
    assert collection["what"].startswith("vectors of 2 dimensions, not of the declared 3")


# --- the command ---------------------------------------------------------------------------------------------------


def test_it_changes_nothing(folder: Folder) -> None:
    """No mark, no ledger row, no object; a user who may only read is enough."""
    sql(
        folder,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reconcile_looker')"
        " THEN CREATE ROLE reconcile_looker LOGIN; END IF; END $$",
    )
    url = folder.stores["app"]["url"]
    sql(folder, f"ALTER ROLE reconcile_looker PASSWORD '{urlsplit(url).password or 'unused'}'")
    sql(folder, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reconcile_looker")
    before = folder.live()
    with reading(folder.load()) as look:
        runs = look.ledger.runs(10)
    folder.stores["app"]["url"] = url.replace("postgresql://postgres", "postgresql://reconcile_looker")
    folder.declare()
    assert verified(folder)["clean"]
    folder.stores["app"]["url"] = url
    folder.declare()
    assert folder.live() == before
    with reading(folder.load()) as look:
        assert look.ledger.runs(10) == runs


def test_secrets_are_not_shown(folder: Folder) -> None:
    """Neither of a store that answers nor of one that does not."""
    folder.stores["app"]["url"] = f"postgresql://postgres:{CANARY}@127.0.0.1:1/x"
    folder.declare()
    done = folder.command("verify")
    assert done.returncode == Exit.ERROR
    assert CANARY not in done.stdout + done.stderr


def test_an_address_that_matches_nothing_is_refused(folder: Folder) -> None:
    """It must not look like a clean store."""
    with pytest.raises(ReconcileError, match="matches nothing that is declared"):
        verified(folder, "app.table.public.pasages")
    assert verified(folder, "graph.label.Passage")["mirrors"][0]["agrees"]
    assert verified(folder, "app.table.public.users")["mirrors"] == []
    assert "Clean" in markdown.verify(verified(folder))
