"""Scripts written before the first step of a run: run by hand, they lead there and back, over real stores."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.exits import Exit
from reconcile.sandbox.scratch import Neo4jDatabase
from tests import cypher_shell
from tests.projects import Folder, cypher, three_stores

OLD = {
    "app": """
enums: {mood: [sad, happy]}
tables:
  notes:
    columns:
      id: {type: bigint, not_null: true, identity: always}
      body: {type: text, comment: what it says}
      kind: {type: varchar(20), not_null: true, default: "'a'"}
      gone: text
    primary_key: [id]
    checks: {notes_kind_check: kind <> ''}
    indexes: {notes_kind_idx: {columns: [kind]}}
  tags:
    columns: {id: {type: bigint, not_null: true}, note: bigint}
    primary_key: [id]
    foreign_keys: {tags_note_fkey: {columns: [note], references: notes, on_delete: cascade}}
views: {loud: {query: "SELECT id, upper(body) AS body FROM notes"}}
functions:
  twice(integer): {definition: create function twice(n integer) returns integer language sql as 'select n * 2'}
""",
    "graph": """
constraints: {person_id: {label: Person, unique: [id]}}
indexes: {person_born: {label: Person, properties: [born]}}
""",
    "vectors": """
collections:
  passages:
    vector: {embedding: passages}
    hnsw: {m: 16}
    payload_indexes: {tenant: keyword, page: integer}
""",
}
NEW = {
    "app": """
enums: {mood: [sad, calm, happy]}
tables:
  notes:
    columns:
      id: {type: bigint, not_null: true, identity: always}
      body: {type: text, comment: what it said}
      kind: {type: varchar(40), not_null: true, default: "'b'"}
      extra: {type: text, default: "'x'"}
    primary_key: [id]
    indexes: {notes_kind_idx: {columns: [kind, id]}}
  more: {columns: {id: bigint, mood: mood}, indexes: {more_idx: {columns: [mood]}}}
views: {loud: {query: "SELECT id, lower(body) AS body FROM notes"}}
functions:
  twice(integer): {definition: create function twice(n integer) returns integer language sql as 'select n + n'}
""",
    "graph": """
constraints: {person_id: {label: Person, unique: [id]}}
indexes: {person_name: {kind: fulltext, labels: [Person], properties: [name], analyzer: english}}
""",
    "vectors": """
collections:
  passages:
    vector: {embedding: passages}
    hnsw: {m: 32}
    payload_indexes: {tenant: keyword, language: keyword}
  questions: {vector: {embedding: passages}}
""",
}


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def points(url: str, method: str, path: str, body: str | None = None) -> str:
    request = urllib.request.Request(
        f"{url}/collections/{path}", None if body is None else body.encode(), method=method
    )
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request) as answer:
        found: str = answer.read().decode()
        return found.partition('"result":')[2].partition(',"status"')[0]


def contents(folder: Folder) -> tuple[object, ...]:
    return (
        sql(folder, "SELECT id, body, kind, gone FROM notes ORDER BY id"),
        sql(folder, "SELECT id, note FROM tags ORDER BY id"),
        cypher(folder, "MATCH (p:Person) RETURN p.id, p.born ORDER BY p.id"),
        points(
            folder.stores["vectors"]["url"],
            "POST",
            "passages/points/scroll",
            '{"with_vector": true, "with_payload": true}',
        ),
    )


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, neo4j_database: Neo4jDatabase, qdrant_server: str) -> Folder:
    folder = Folder(tmp_path / "project", three_stores(postgres_database, neo4j_database, qdrant_server))
    folder.path.mkdir()
    folder.declare(**OLD).apply()
    sql(folder, "INSERT INTO notes (body, gone) SELECT 'b' || n, n FROM generate_series(1, 5) n")
    sql(folder, "INSERT INTO tags SELECT n, n FROM generate_series(1, 5) n")
    cypher(folder, "UNWIND range(1, 5) AS n CREATE (:Person {id: n, born: n})")
    one = '{"id": 1, "vector": [0.1, 0.2, 0.3], "payload": {"tenant": "a"}}'
    points(qdrant_server, "PUT", "passages/points?wait=true", f'{{"points": [{one}]}}')
    return folder


def by_hand(folder: Folder, script: Path, programs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """With nothing but the variables that the script names."""
    graph = folder.stores["graph"]
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "APP_URL": folder.stores["app"]["url"],
        "GRAPH_URL": graph["url"],
        "GRAPH_USER": graph["user"],
        "GRAPH_PASSWORD": graph.get("password", "none"),
        "VECTORS_URL": folder.stores["vectors"]["url"],
    }
    return subprocess.run(["sh", str(script)], env={**own, **environment}, capture_output=True, text=True)


def test_there_and_back_by_hand(folder: Folder, tmp_path: Path) -> None:
    """What the tool did is undone by hand; what is done by hand is recognised; data is never lost on the way."""
    programs, before, held = cypher_shell.install(tmp_path / "programs"), folder.live(), contents(folder)
    folder.settings["break_glass"] = "scripts"
    done = folder.declare(**NEW).command("apply", "--auto-approve", "--allow", "breaks-clients", "--allow", "index-gap")
    assert done.returncode == Exit.CLEAN, done.stdout + done.stderr
    (own,) = (folder.path / "scripts").iterdir()
    assert f"scripts to run by hand: {own / 'forward.sh'}, back.sh" in done.stdout
    after = folder.live()
    secret = folder.stores["graph"].get("password")
    assert secret is None or secret not in (own / "back.sh").read_text() + (own / "forward.sh").read_text()

    url = folder.stores["vectors"]["url"]
    for fill, empty in (
        (lambda: sql(folder, "INSERT INTO more VALUES (1, 'calm')"), lambda: sql(folder, "DELETE FROM more")),
        (
            lambda: points(url, "PUT", "questions/points?wait=true", '{"points": [{"id": 1, "vector": [1, 2, 3]}]}'),
            lambda: points(url, "POST", "questions/points/delete?wait=true", '{"points": [1]}'),
        ),
    ):
        fill()
        refused = by_hand(folder, own / "back.sh", programs)
        assert refused.returncode == Exit.PARTIAL and "DROP_DATA=yes" in refused.stderr, refused.stderr
        assert folder.live() == after
        empty()

    done = by_hand(folder, own / "back.sh", programs)
    assert done.returncode == 0, done.stderr
    now = folder.live()
    kept = [a for a in now if "kept_" in a]
    assert {a: r for a, r in now.items() if a not in kept} == before
    assert ["column" in a for a in kept] == [True]  # what the run added to a table that holds rows is put aside
    assert contents(folder) == held
    assert folder.plan().steps

    sql(folder, f'ALTER TABLE notes DROP COLUMN "{kept[0].rpartition(".")[2]}"')
    done = by_hand(folder, own / "forward.sh", programs)
    assert done.returncode == 0, done.stderr
    assert folder.live() == after
    assert not folder.plan().steps
    assert workflow.apply(folder.load(), folder.plan()).steps_done == 0
