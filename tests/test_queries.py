"""The application's queries: what a plan breaks is found before anything changes, and what is slow afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.exits import Exit
from reconcile.stores.postgres.session import PostgresSession
from reconcile.survey import open_ledger
from tests.projects import Folder, three_stores

OLD = """
extensions: {vector: {}}
enums: {state: [new, old]}
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, path: text, owner_id: bigint, title: text, size: bigint, state: state}
    primary_key: [id]
  legacy: {columns: {id: bigint, body: text}}
functions:
  "size_of(bigint)": {file: size_of.sql}
views: {recent: {query: "select id, path from documents where id > 10"}}
"""
NEW = """
extensions: {vector: {}}
enums: {state: [new, old]}
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, path: text, heading: {type: text, renamed_from: title}, size: text,
      state: state, lang: text}
    primary_key: [id]
views: {recent: {query: "select id, path from documents where id > 10"}}
"""
GRAPH = """
constraints: {note_id: {label: Note, unique: [id]}}
indexes:
  note_text: {kind: fulltext, labels: [Note], properties: [text]}
  note_year: {label: Note, properties: [year]}
vocabulary: {labels: [Note]}
"""
NEW_GRAPH = """
constraints: {note_id: {label: Note, unique: [id]}}
vocabulary: {labels: [Note]}
"""
VECTORS = """collections:
  notes: {versioned: false, vectors: {text: {embedding: passages}}, payload_indexes: {lang: keyword, year: integer}}"""
NEW_VECTORS = VECTORS.replace("lang: keyword, ", "")
IN = {"must": [{"key": "lang", "match": {"value": "en"}}]}

QUERIES: dict[str, tuple[dict[str, Any], str | None]] = {
    # name: the query, and what is said of it where the plan breaks it
    "fine": ({"sql": "select id, path from documents where path = $1"}, None),
    "joined": ({"sql": "select d.path from public.documents d join recent r using (id) where r.path like $1"}, None),
    "typed": ({"sql": "select $1 + id from documents", "types": ["bigint"]}, None),
    "by_state": ({"sql": "select 1 from documents where state = $1;", "types": ["state"]}, None),
    "writes": ({"sql": "insert into documents (id, path) values ($1, $2) returning id"}, None),
    "comes": ({"sql": "select lang from documents"}, None),
    "unmanaged": ({"sql": "select id from by_hand"}, None),
    "catalog": ({"sql": "select count(*) from pg_catalog.pg_class"}, None),
    "owner": (
        {"sql": "select path from documents where owner_id = $1", "types": ["bigint"]},
        'column "owner_id" does not exist; app.column.public.documents.owner_id is taken by step app.column.public.'
        "documents.owner_id/1-",
    ),
    "qualified": ({"sql": "update public.documents set owner_id = 1"}, 'column "owner_id" of relation "documents"'),
    "renamed": ({"sql": "select d.title from documents d"}, "column d.title does not exist; app.column.public.doc"),
    "retyped": ({"sql": "select sum(size) from documents"}, "app.column.public.documents.size is taken by step"),
    "table": ({"sql": "select l.body from legacy l"}, 'relation "legacy" does not exist; app.table.public.legacy is'),
    "routine": ({"sql": "select size_of(id) from documents"}, "function size_of(bigint) does not exist; app.function."),
    "neither": ({"sql": "select absent from documents"}, 'works neither now (PostgreSQL says: column "absent"'),
    "node": ({"cypher": "MATCH (n:Note {id: $id}) RETURN n"}, None),
    "search": (
        {"cypher": "CALL db.index.fulltext.queryNodes('note_text', $q) YIELD node RETURN node.id"},
        "it asks for note_text, which will not be there; graph.index.note_text is taken by step graph.index.note_text/",
    ),
    "hinted": (
        {"cypher": "MATCH (n:Note) USING INDEX n:Note(year) WHERE n.year > 3 RETURN n"},
        "graph.index.note_year is taken by step",
    ),
    "no_cypher": ({"cypher": "MATCH (n RETURN n"}, "works neither now (Neo4j says: Invalid input"),
    "near": ({"collection": "notes", "using": "text"}, None),
    "by_year": (
        {"collection": "notes", "using": "text", "filter": {"must": [{"key": "year", "range": {"gt": 1}}]}},
        None,
    ),
    "by_lang": ({"collection": "notes", "using": "text", "filter": IN}, "it filters by lang, whose payload index will"),
    "image": ({"collection": "notes", "using": "image"}, 'notes will have no vector "image"; it has text'),
}
STORES = {"sql": "app", "cypher": "graph", "collection": "vectors"}


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str, neo4j_database: Any, qdrant_server: str) -> Folder:
    folder = Folder(tmp_path, three_stores(postgres_database, neo4j_database, qdrant_server))
    (tmp_path / "size_of.sql").write_text(
        "create function size_of(bigint) returns bigint language sql immutable as 'select $1'"
    )
    folder.declare(app=OLD, graph=GRAPH, vectors=VECTORS).apply()
    sql(folder, "CREATE TABLE by_hand (id int)")
    return folder.declare(app=NEW, graph=NEW_GRAPH, vectors=NEW_VECTORS)


def sql(folder: Folder, statement: str) -> Any:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else None


def declared(query: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"store": STORES[next(iter(query))], **query, **more}


def test_what_a_plan_breaks_is_found_before(folder: Folder) -> None:
    """Of each query what goes and by which step; nothing is changed; without those that break, all goes through."""
    folder.settings["queries"] = {name: declared(query) for name, (query, _) in QUERIES.items()}
    folder.settings["policy"] = {"allow": ["all"]}
    folder.declare()
    found = {r["name"]: r for r in workflow.check(folder.load())["checks"]}
    wrong = [
        (name, found[name]["outcome"], found[name]["what"])
        for name, (_, said) in QUERIES.items()
        if (said or "will work") not in found[name]["what"]
        or found[name]["outcome"] != ("passed" if said is None else "failed")
    ]
    assert not wrong
    assert all(found[name]["when"] == "before" and found[name]["kind"] == "query" for name in QUERIES)
    done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.ERROR, done.stdout
    assert "reconcile.yaml:" in done.stderr and "query owner: PostgreSQL says" in done.stderr
    assert len(workflow.history(folder.load())) == 1
    names = sql(folder, "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%scratch%'")
    assert not names and not sql(folder, "SELECT name FROM pg_prepared_statements")
    folder.settings["queries"] = {n: declared(query) for n, (query, said) in QUERIES.items() if said is None}
    folder.settings["queries"]["owner"] = declared(QUERIES["owner"][0], on_failure="warn")
    outcome = folder.declare().apply()
    assert {(r.when, r.name): str(r.outcome) for r in outcome.results if r.bad} == {
        ("before", "owner"): "failed",
        ("after", "owner"): "failed",
    }
    assert {r["name"]: r["outcome"] for r in workflow.verify(folder.load(), phase="schema")["checks"]} == {
        **dict.fromkeys(folder.settings["queries"], "passed"),
        "owner": "failed",
    }


def test_files_speed_and_phases(tmp_path: Path, postgres_database: str) -> None:
    """Queries of files have the file's line; p95 is measured before and after, and kept with the run."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    table = "tables: {notes: {columns: {id: {type: bigint, not_null: true}, old: text}, primary_key: [id]}}"
    folder.declare(app=table).apply()
    sql(folder, "INSERT INTO notes SELECT generate_series(1, 5000), 'x'; ANALYZE notes")
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "one.sql").write_text("-- all\nselect id\nfrom notes;\n")
    (tmp_path / "queries" / "two.sql").write_text("select 1;\n\nselect old from notes where id = $1;\n")
    slow = "select count(*), pg_sleep(case when exists (select from pg_attribute where attname = 'lang') then .5 end)"
    folder.settings = {
        "policy": {"allow": ["all"]},
        "checks": {"one": {"store": "app", "sql": "select 1", "expect": 1}},
        "queries": {
            "all": {"store": "app", "files": ["queries/*.sql"], "on_failure": "warn"},
            "quick": {"store": "app", "sql": "select id from notes where id = $1", "parameters": [7], "runs": 5},
            "slower": {"store": "app", "sql": f"{slow} from notes", "p95": {"ratio": 1.5}, "runs": 2},
            "late": {"store": "app", "sql": "select pg_sleep(.02)", "p95": {"at_most": "1ms"}, "runs": 2},
        },
    }
    folder.settings["queries"]["late"]["on_failure"] = "warn"
    folder.declare(app=table.replace("old: text", "lang: text"))
    done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.PARTIAL, done.stdout + done.stderr
    assert "queries/two.sql:3:1: query queries/two.sql:3: PostgreSQL says" in done.stdout
    assert "times as long, where 1.5 times is allowed; sequential scan of notes" in done.stderr
    assert "query late: works, p95 " in done.stdout and "more than the 1 ms it may take" in done.stdout
    ledger = open_ledger(folder.load())
    kept = {(r["when"], r["name"]): r for r in ledger.asserted(workflow.history(folder.load())[0]["id"])}
    ledger.close()
    assert kept["before", "queries/one.sql"]["source"] == {"file": "queries/one.sql", "line": 2, "column": 1}
    before, after = kept["before", "slower"]["figures"], kept["after", "slower"]["figures"]
    assert after["before_p95_ms"] == before["p95_ms"] and after["ratio"] > 1.5 and after["runs"] == 2
    change = f"(before {before['p95_ms']:g} ms, {(after['ratio'] - 1) * 100:+.0f} %)"
    assert change in kept["after", "slower"]["what"]
    assert kept["after", "quick"]["outcome"] == "passed" and kept["after", "quick"]["figures"]["scans"] == []
    data = json.loads(folder.command("verify", "--phase", "data", "--format", "json").stdout)
    assert [c["name"] for c in data["checks"]] == ["one"] and data["clean"]
    one = workflow.verify(folder.load(), ["queries/one*"])
    assert [c["outcome"] for c in one["checks"]] == ["passed"]


def test_what_waits_for_its_release_breaks_nothing_yet(tmp_path: Path, postgres_database: str) -> None:
    """A drop that is held back leaves the column; its release is stopped."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    table = "tables: {notes: {columns: {id: bigint, old: text}}}"
    folder.declare(app=table).apply()
    folder.settings = {
        "policy": {"contract": "held", "allow": ["all"]},
        "queries": {"old": {"store": "app", "sql": "select old from notes"}},
    }
    outcome = folder.declare(app=table.replace("old: text", "new: text")).apply()
    assert [(r.when, r.what) for r in outcome.results] == [("before", "will work"), ("after", "works")]
    released = workflow.release(folder.load(), ["*"])
    with pytest.raises(ReconcileError, match=r'column "old" does not exist; .* is taken by'):
        workflow.apply(folder.load(), released)


PLAIN = "tables: {documents: {columns: {path: text, owner_id: bigint}}}"


def test_a_role_that_cannot_build_tries_what_the_plan_leaves_alone(tmp_path: Path, postgres_database: str) -> None:
    """Prepared against what there is, where nothing that a query names changes; the rest is not run, and says why."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=PLAIN).apply()
    name = postgres_database.rpartition("/")[2]
    sql(folder, f"REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM public; DROP ROLE IF EXISTS looks_only")
    sql(folder, "CREATE ROLE looks_only LOGIN PASSWORD 'looks'; GRANT pg_read_all_data TO looks_only")
    place = postgres_database.rpartition("@")[2]
    folder.stores["app"]["url"] = f"postgresql://looks_only:looks@{place}"
    queries = {
        "left": ({"sql": "select path from documents"}, "passed", "will work; tried with what there is"),
        "taken": (
            {"sql": "select owner_id from documents"},
            "not run",
            "the plan changes app.column.public.documents.",
        ),
        "comes": ({"sql": "select lang from documents"}, "not run", "what the plan makes cannot be built to try it"),
    }
    folder.settings["queries"] = {n: declared(query) for n, (query, *_) in queries.items()}
    try:
        found = {
            r["name"]: r
            for r in workflow.check(folder.declare(app=PLAIN.replace("owner_id: bigint", "lang: text")).load())[
                "checks"
            ]
        }
        got = {n: (found[n]["outcome"], said in found[n]["what"]) for n, (_, _, said) in queries.items()}
        assert got == {n: (outcome, True) for n, (_, outcome, _) in queries.items()}, found
    finally:
        folder.stores["app"]["url"] = postgres_database
        sql(folder, "DROP OWNED BY looks_only; DROP ROLE looks_only")


def test_the_stores_are_asked_for_their_spelling_once(
    tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where queries are held against what the plan leaves, and the way back is worked out."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=PLAIN).apply()
    folder.settings["queries"] = {"left": declared({"sql": "select path from documents"})}
    project, asked = folder.declare(app=PLAIN.replace("owner_id", "added")).load(), list[str]()
    spell = PostgresSession.canonical

    def counted(self: PostgresSession, *given: Any) -> Any:
        asked.append(self.server().name)
        return spell(self, *given)

    monkeypatch.setattr(PostgresSession, "canonical", counted)
    assert not [c for c in workflow.check(project)["checks"] if c["outcome"] != "passed"]
    assert asked == ["app"]
