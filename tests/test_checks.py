"""Declared checks over the real stores, a web server and commands: passing, failing, not run; around an apply."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from reconcile import workflow
from reconcile.exits import Exit
from reconcile.render import check
from reconcile.survey import open_ledger
from tests.projects import Folder, three_stores
from tests.projects import cypher as run_cypher

APP = """
extensions: {vector: {}}
tables:
  notes:
    columns: {id: {type: bigint, not_null: true}, kind: text, price: "numeric(10,2)", embedding: {embedding: passages}}
    primary_key: [id]
"""
GRAPH = "constraints: {note_id: {label: Note, unique: [id]}}"
VECTORS = "collections: {notes: {vector: {embedding: passages}, payload_indexes: {lang: keyword}}}"
CANARY = "canary-41b7d0"
SLEEPS = "select count(*) from (select pg_sleep(20)) s"
DELETES = "with x as (delete from notes returning 1) select count(*) from x"
BY_ID = "MATCH (n:Note {id: $id}) RETURN n.id, n.lang"
LONG = "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b RETURN sum(a * b)"
WITH_TOKEN = {"Authorization": "Bearer ${TOKEN}"}


class Server(BaseHTTPRequestHandler):
    """`/health` is well if who asks has the token; `/slow` says nothing for a while."""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(1)
        allowed = self.headers.get("Authorization") == f"Bearer {CANARY}" or "token=" in self.path
        self.send_response(302 if self.path == "/moved" else 200 if allowed else 401)
        self.send_header("Location", "/health?token=x")
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(f'{{"status": "ok", "secret": "{CANARY}"}}'.encode())

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(store: str, text: str | list[str], expect: Any = None, **more: Any) -> dict[str, Any]:
    way = {"app": "sql", "graph": "cypher", "vectors": "collection"}[store]
    return {"store": store, way: text, **({} if expect is None else {"expect": expect}), **more}


ROWS = "INSERT INTO notes VALUES (1, 'a', 1.50, '[1,0,0]'), (2, 'b', 2, '[0,1,0]'), (3, NULL, 3, '[0,0,1]')"
COUNT = "select count(*) from notes"
NODES = "MATCH (n:Note) RETURN count(n)"
EN = {"must": [{"key": "lang", "match": {"value": "en"}}]}
CHECKS: dict[str, tuple[dict[str, Any], str, str]] = {
    # name: what is declared, how it ends, what is said
    "sql_value": (ask("app", COUNT, 3), "passed", "3 as expected"),
    "sql_wrong": (ask("app", COUNT, {"at_least": 4}), "failed", "3, expected at least 4"),
    "sql_rows": (ask("app", "select id, kind from notes order by id", [[1, "a"], [2, "b"], [3, None]]), "passed", ""),
    "sql_numeric": (ask("app", "select price from notes where id = $1", 1.5, parameters=[1]), "passed", ""),
    "sql_column": (ask("app", "select id from notes order by id", [1, 2]), "failed", "3 rows, expected [1, 2]"),
    "sql_count": (ask("app", "select 1 from notes", {"rows": {"at_most": 2}}), "failed", "3 rows, expected at most 2"),
    "sql_many": (ask("app", "select generate_series(1, 5000)", {"rows": 5000}), "failed", "more than 1,000 rows"),
    "sql_error": (ask("app", "select count(*) from absent", 0), "not run", 'relation "absent" does not exist'),
    "sql_slow": (ask("app", SLEEPS, 0, timeout="200ms"), "not run", "no answer within 0.2 s"),
    "sql_writes": (ask("app", DELETES, 3), "not run", "read-only"),
    "cypher_value": (ask("graph", NODES, 2), "passed", ""),
    "cypher_by_name": (ask("graph", BY_ID, [[1, "en"]], parameters={"id": 1}), "passed", ""),
    "cypher_wrong": (ask("graph", NODES, {"equals": 3}), "failed", "2, expected 3"),
    "cypher_error": (ask("graph", "MATCH (n RETURN n", 1), "not run", "Invalid input"),
    "cypher_slow": (ask("graph", LONG, 1, timeout="300ms"), "not run", "no answer within 0.3 s"),
    "cypher_writes": (ask("graph", "CREATE (n:Note) RETURN count(n)", 1), "not run", "read access mode"),
    "points": (ask("vectors", "notes", 4), "passed", ""),
    "points_some": (ask("vectors", "notes", {"at_most": 1}, filter=EN), "failed", "3, expected at most 1"),
    "points_error": (ask("vectors", "absent", 0), "not run", "absent"),
    "points_filter": (ask("vectors", "notes", 0, filter={"must": [{"key": 1}]}), "not run", ""),
    "http": ({"http": "${WEB}/health", "headers": WITH_TOKEN, "contains": '"ok"'}, "passed", "the answer is 200"),
    "http_status": ({"http": "${WEB}/health"}, "failed", "the answer is 401, expected 200"),
    "http_text": ({"http": "${WEB}/health?token=${TOKEN}", "contains": "absent"}, "failed", "does not contain"),
    "http_moved": ({"http": "${WEB}/moved?token=${TOKEN}", "status": 302}, "failed", "the answer is 200, expected 302"),
    "http_slow": ({"http": "${WEB}/slow?token=${TOKEN}", "timeout": "300ms"}, "not run", "no answer within 300ms"),
    "http_away": ({"http": "http://user:${TOKEN}@127.0.0.1:1/"}, "not run", "no answer"),
    "http_no_url": ({"http": "${TOKEN}"}, "not run", "the URL or a header cannot be used"),
    "http_unset": ({"http": "${NOT_SET_HERE}"}, "not run", "needs the environment variable NOT_SET_HERE"),
    "command": ({"command": ["sh", "-c", "echo fine"]}, "passed", "sh ended with 0: fine"),
    "command_wrong": ({"command": ["sh", "-c", "echo token=$TOKEN; exit 3"]}, "failed", "exit code 3: token=***"),
    "command_slow": ({"command": ["sleep", "20"], "timeout": "200ms"}, "not run", "took longer than 200ms"),
    "command_absent": ({"command": ["no-such-program"]}, "not run", "cannot be started"),
}  # fmt: skip


@pytest.fixture
def folder(
    tmp_path: Path,
    postgres_database: str,
    neo4j_database: Any,
    qdrant_server: str,
    web: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    monkeypatch.setenv("WEB", web)
    monkeypatch.setenv("TOKEN", CANARY)
    folder = Folder(tmp_path, three_stores(postgres_database, neo4j_database, qdrant_server))
    folder.declare(app=APP, graph=GRAPH, vectors=VECTORS).apply()
    sql(folder, ROWS)
    run_cypher(folder, "CREATE (:Note {id: 1, lang: 'en'}), (:Note {id: 2})")
    points(folder)
    return folder


def sql(folder: Folder, statement: str) -> Any:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else None


def points(folder: Folder) -> None:
    import httpx

    made = [{"id": n, "vector": [n, 1, 0], "payload": {"lang": "en" if n > 1 else "de"}} for n in range(1, 5)]
    url = f"{folder.stores['vectors']['url']}/collections/notes/points?wait=true"
    httpx.put(url, json={"points": made}).raise_for_status()


def test_every_kind_of_check(folder: Folder) -> None:
    """In one go: how each ends and why; no secret anywhere; nothing written; exit 2."""
    folder.settings["checks"] = {name: declared for name, (declared, _, _) in CHECKS.items()}
    folder.declare()
    report = workflow.verify(folder.load(), list(CHECKS))
    found = {r["name"]: r for r in report["checks"]}
    assert [*found] == [*CHECKS]
    wrong = [
        (name, found[name]["outcome"], found[name]["what"])
        for name, (_, outcome, what) in CHECKS.items()
        if found[name]["outcome"] != outcome or what not in found[name]["what"]
    ]
    assert not wrong
    assert not report["clean"] and CANARY not in json.dumps(report)
    assert sql(folder, COUNT) == [(3,)]
    done = folder.command("verify", "http*", "points*")
    assert done.returncode == Exit.FINDINGS, done.stderr
    assert "✗  check  http_status" in done.stdout and "reconcile.yaml:" in done.stdout
    assert "not run: no answer within 300ms" in done.stdout and "of 12 checks passed" in done.stdout
    assert CANARY not in done.stdout + done.stderr


@pytest.fixture
def small(tmp_path: Path, postgres_database: str) -> Folder:
    """One store with three rows."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    folder.declare(app=APP).apply()
    sql(folder, ROWS)
    return folder


def test_before_and_after_an_apply(small: Folder) -> None:
    """Before: exit 1, nothing changed. After: the run is done and recorded, exit 3, or a warning."""
    folder = small
    more = APP.replace("kind: text,", "kind: text, lang: text,")
    folder.settings["checks"] = {
        "enough": ask("app", COUNT, {"at_least": 4}, when=["before"]),
        "later": ask("app", "select count(lang) from notes", 3),
        "smoke": {"command": ["sh", "-c", "exit 1"], "on_failure": "warn", "when": ["before", "after"]},
    }
    folder.declare(app=more)
    checked = folder.command("check", "--format", "json")
    assert checked.returncode == Exit.FINDINGS
    found = json.loads(checked.stdout)
    assert [(c["name"], c["outcome"]) for c in found["checks"]] == [("enough", "failed"), ("smoke", "failed")]
    assert found["stops"] == 1
    assert "✗  check  enough  3, expected at least 4" in check.render(found)
    done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.ERROR, done.stderr
    assert "check enough: 3, expected at least 4" in done.stderr and "reconcile verify enough" in done.stderr
    assert workflow.history(folder.load())[0]["number"] == 1
    sql(folder, "INSERT INTO notes VALUES (4)")
    done = folder.command("apply", "--auto-approve")
    assert done.returncode == Exit.PARTIAL, done.stderr
    assert "check smoke: sh: exit code 1" in done.stdout and "check enough: 4" in done.stdout
    assert "is recorded, but afterwards this did not hold:\n  reconcile.yaml:" in done.stderr
    assert "check later: 0, expected 3" in done.stderr
    run = workflow.history(folder.load())[0]
    assert (run["number"], run["outcome"]) == (2, "done") and "check later" in run["message"]
    ledger = open_ledger(folder.load())
    kept = [(r["when"], r["name"], r["outcome"], r["on_failure"]) for r in ledger.asserted(run["id"])]
    ledger.close()
    assert kept == [
        ("before", "enough", "passed", "stop"),
        ("before", "smoke", "failed", "warn"),
        ("after", "later", "failed", "stop"),
        ("after", "smoke", "failed", "warn"),
    ]
    assert not folder.plan().steps and folder.apply().run is None
    folder.settings["checks"].pop("later")
    outcome = folder.declare(app=APP).apply("all")
    assert [r.name for r in outcome.results] == ["enough", "smoke", "smoke"]


def test_killed_while_it_asks_an_apply_can_be_resumed(small: Folder) -> None:
    """All steps are done by then: the checks are asked again, and those from before are still known."""
    waits = "echo asked >> log; while [ ! -e go ]; do sleep .1; done; grep -c asked log"
    small.settings["checks"] = {
        "before": ask("app", COUNT, 3, when="before"),
        "waits": {"command": ["sh", "-c", waits], "timeout": "1min"},
        "later": ask("app", "select count(lang) from notes", 3),
    }
    small.declare(app=APP.replace("kind: text,", "kind: text, lang: text,"))
    killed = small.start("apply", "--auto-approve")
    while not (small.path / "log").exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.kill()
    (small.path / "go").touch()  # which ends what it had started too
    killed.communicate()
    workflow.unlock(small.load(), workflow.history(small.load())[0]["id"])
    done = small.command("apply", "--resume")
    assert done.returncode == Exit.PARTIAL, done.stdout + done.stderr
    assert "check waits: sh ended with 0: 2" in done.stdout and "check later: 0, expected 3" in done.stderr
    run = workflow.history(small.load())[0]
    ledger = open_ledger(small.load())
    kept = [(r["when"], r["name"]) for r in ledger.asserted(run["id"])]
    ledger.close()
    assert run["outcome"] == "done" and kept == [("before", "before"), ("after", "waits"), ("after", "later")]
    assert not small.plan().steps


DOCUMENTS = """
tables:
  owners: {columns: {id: {type: bigint, not_null: true}}, primary_key: [id]}
  documents:
    columns: {id: {type: bigint, identity: always}, owner_id: bigint, lang: text}
    primary_key: [id]
    foreign_keys: {owned: {columns: [owner_id], references: owners, deferrable: initially_deferred}}
"""


def test_the_examples_of_the_page(
    tmp_path: Path, postgres_database: str, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every entry of docs/verification.md passes; probes leave no row behind."""
    monkeypatch.setenv("APP_URL", web)
    monkeypatch.setenv("APP_TOKEN", CANARY)
    page = (Path(__file__).parents[1] / "docs" / "verification.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.S)]
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "recent.sql").write_text("select id from documents order by id desc limit 10;\n")
    folder.declare(app=DOCUMENTS).apply()
    folder.settings |= {key: value for block in blocks for key, value in block.items()}
    folder.declare()
    sql(folder, "INSERT INTO owners VALUES (1); INSERT INTO documents (owner_id, lang) VALUES (1, 'en')")
    report = workflow.verify(folder.load())
    assert [(r["name"], r["what"]) for r in report["checks"] if r["outcome"] != "passed"] == []
    assert len(report["checks"]) == sum(map(len, folder.settings.values()))
    assert sql(folder, "SELECT (SELECT count(*) FROM owners), (SELECT count(*) FROM documents)") == [(1, 1)]


INSERT = "INSERT INTO notes (id) VALUES ($1)"
PROBES: dict[str, tuple[dict[str, Any], str, str]] = {
    "twice": (
        ask("app", [INSERT, INSERT], {"error": "unique_violation"}, parameters=[9]),
        "passed",
        "refused with unique_violation as expected",
    ),
    "by_state": (ask("app", "INSERT INTO notes (id) VALUES (1)", {"error": "23505"}), "passed", ""),
    "other_error": (
        ask("app", "INSERT INTO notes (id) VALUES (1)", {"error": "foreign_key_violation"}),
        "failed",
        "refused with unique_violation (PostgreSQL says: duplicate key value",
    ),
    "not_refused": (ask("app", "DELETE FROM notes", {"error": "23503"}), "failed", "nothing was refused, expected the"),
    "deferred": (ask("app", "INSERT INTO links VALUES (77)", {"error": "foreign_key_violation"}), "passed", ""),
    "first_fails": (ask("app", ["SELECT 1/0", "SELECT 1"], 1), "not run", "statement 1 of 2 was refused: PostgreSQL"),
    "in_order": (ask("app", ["UPDATE notes SET kind = 'z'", f"{COUNT} WHERE kind = 'z'"], 3), "passed", ""),
    "similar": (ask("app", "SELECT id FROM notes ORDER BY embedding <-> '[1,0,0]' LIMIT 2", [1, 2]), "passed", ""),
    "slow": (ask("app", ["DELETE FROM notes", "SELECT pg_sleep(9)"], timeout="200ms"), "not run", "statement"),
    "node_twice": (ask("graph", "CREATE (:Note {id: 1})", {"error": "ConstraintValidationFailed"}), "passed", ""),
    "nodes": (ask("graph", ["CREATE (:Note {id: 7})", "MATCH (n:Note) RETURN count(n)"], 3), "passed", ""),
    "all_nodes": (ask("graph", "MATCH (n) DETACH DELETE n"), "passed", ""),
    "no_error": (ask("graph", "RETURN 1", {"error": "ConstraintValidationFailed"}), "failed", "nothing was refused"),
    "near": (ask("vectors", "notes", {"rows": {"at_least": 3}}), "passed", "4 rows"),
    "near_some": (ask("vectors", "notes", {"rows": 4}, filter=EN), "failed", "3 rows, expected 4 rows"),
    "near_absent": (ask("vectors", "absent"), "not run", "absent"),
}  # fmt: skip


def test_probes_leave_nothing_behind(folder: Folder) -> None:
    """Each is judged, and taken back: also where the tool is killed in the middle."""
    sql(folder, "CREATE TABLE links (note bigint REFERENCES notes DEFERRABLE INITIALLY DEFERRED)")
    folder.settings["probes"] = {name: declared for name, (declared, _, _) in PROBES.items()}
    counts = "SELECT (SELECT count(*) FROM notes WHERE kind IS DISTINCT FROM 'z'), (SELECT count(*) FROM links)"
    held = [sql(folder, counts), run_cypher(folder, "MATCH (n) RETURN count(n)")]
    report = workflow.verify(folder.declare().load(), list(PROBES), phase="schema")
    found = {r["name"]: r for r in report["checks"]}
    wrong = [
        (name, found[name]["outcome"], found[name]["what"])
        for name, (_, outcome, what) in PROBES.items()
        if found[name]["outcome"] != outcome or what not in found[name]["what"]
    ]
    assert not wrong
    assert [sql(folder, counts), run_cypher(folder, "MATCH (n) RETURN count(n)")] == held
    folder.settings["probes"] = {"long": ask("app", ["DELETE FROM notes", "SELECT pg_sleep(3)"])}
    folder.declare()
    killed = folder.start("verify", "long")
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'"
    while sql(folder, asleep) == [(0,)]:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    assert [sql(folder, counts), run_cypher(folder, "MATCH (n) RETURN count(n)")] == held
