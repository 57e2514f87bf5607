"""`reconcile migrate` over folders as others made them, on real servers."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import neo4j
import psycopg
import pytest

from reconcile import cli, schemas
from reconcile.sandbox.postgres import LATEST
from reconcile.sandbox.scratch import Neo4jDatabase
from reconcile.stores.migrating import Danger
from reconcile.stores.postgres import broken_builds
from reconcile.survey import open_ledger
from reconcile.workflow import migrate
from tests.projects import Folder

UP_DOWN = {
    "V01-documents-up.sql": (
        "-- Description: documents\nBEGIN;\nCREATE TABLE documents (id bigint PRIMARY KEY, title text);\n"
        "INSERT INTO documents VALUES (1, 'a;b'), (2, $$;$$);\nCOMMIT;\n"
        "-- VERIFY: SELECT count(*) FROM documents => 2\n"
    ),
    "V01-documents-down.sql": "DROP TABLE documents;\n",
    "V03-lang-up.sql": (
        "ALTER TABLE documents ADD COLUMN lang text;\nCREATE INDEX CONCURRENTLY documents_lang ON documents (lang);\n"
        "UPDATE documents SET lang = 'en' WHERE lang IS NULL;\n"
    ),
    "V03-lang-down.sql": "ALTER TABLE documents DROP COLUMN lang;\n",
}


def write(path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    settings = {
        "ledger": {"file": "ledger.db"},
        "migrations": {"main": {"store": "s", "folder": "migrations"}},
    }
    return Folder(tmp_path, {"s": {"kind": "postgres", "url": postgres_database}}, settings).declare()


def ask(folder: Folder, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["s"]["url"]) as connection:
        return connection.execute(query.encode()).fetchall()


@dataclass
class Said:
    returncode: int
    stdout: str
    stderr: str


def call(folder: Folder, *arguments: str) -> Said:
    """A command, in this process: starting one takes longer than what most of these do."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run(["-C", str(folder.path), *arguments])
    return Said(code, out.getvalue(), err.getvalue())


def run(folder: Folder, *statements: str) -> None:
    with psycopg.connect(folder.stores["s"]["url"], autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def wait_for(folder: Folder, query: str) -> None:
    end = time.monotonic() + 60
    while not ask(folder, query):
        assert time.monotonic() < end, query
        time.sleep(0.05)


def run_of(folder: Folder) -> str:
    ledger = open_ledger(folder.load())
    held = ledger.lock_state().run
    ledger.close()
    assert held is not None
    return held


@pytest.mark.parametrize("postgres_version", [LATEST, "16"], indirect=True)
def test_up_and_down_files_end_to_end(folder: Folder) -> None:
    write(folder.path / "migrations", UP_DOWN)
    before = call(folder, "migrate", "status", "--detailed-exitcode")
    assert before.returncode == 2 and "0 applied, 2 pending" in before.stdout, before.stderr
    dry = call(folder, "migrate", "apply-all", "--dry-run=rollback")
    assert dry.returncode == 0 and "outside any transaction" in dry.stdout and "1 of 2 ran" in dry.stdout, dry.stderr
    assert not ask(folder, "SELECT 1 FROM pg_class WHERE relname = 'documents'")
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0 and "Applied 2 migrations" in done.stdout, done.stdout + done.stderr
    assert "verified: verify at line 6" in done.stdout
    rows = ask(folder, "SELECT number, name, length(checksum), description, execution_time_ms FROM schema_migrations")
    assert [r[:4] for r in rows] == [("V01", "V01-documents", 64, "documents"), ("V03", "V03-lang", 64, None)]
    again = call(folder, "migrate", "apply-all")
    assert again.returncode == 0 and "Nothing is pending." in again.stdout
    assert not ask(folder, "SELECT 1 FROM pg_class WHERE relname = 'schema_migrations_progress'")
    redone = call(folder, "migrate", "redo", "3", "--reason", "another language")
    assert redone.returncode == 0, redone.stdout + redone.stderr
    shown = call(folder, "plan")
    assert shown.returncode == 0, shown.stderr
    assert "s.table.public.documents" in shown.stdout and "schema_migrations" not in shown.stdout
    (folder.path / "migrations" / "V01-documents-up.sql").write_text("SELECT 1;\n")
    changed = call(folder, "migrate", "apply-all")
    assert changed.returncode == 1 and "V01-documents-up.sql:1:1: has changed since it ran" in changed.stderr


WRAPPER = """
from application.migrations import Migration

class {name}(Migration):
    number = {number}
    sql_file = "sql/{file}"
    dependencies = {needs}

    async def verify(self, conn) -> bool:
        {verify}
"""
NUMBERED = {
    "sql/001_documents.sql": "CREATE TABLE documents (id bigint PRIMARY KEY);\r\nINSERT INTO documents VALUES (1);\r\n",
    "sql/002_tags.sql": "CREATE TABLE tags (id bigint);\n",
    "sql/003_lang.sql": "ALTER TABLE documents ADD lang text;\n",
    "sql/005_kind.sql": "ALTER TABLE documents ADD kind text;\n",
    "app/m1.py": WRAPPER.format(name="One", number=1, file="001_documents.sql", needs=[], verify="return True"),
    "app/m3.py": WRAPPER.format(
        name="Three",
        number=3,
        file="003_lang.sql",
        needs=[1],
        verify="return await conn.fetchval('SELECT count(*) FROM documents WHERE id < $1', 5) == 1",
    ),
    "app/m5.py": WRAPPER.format(
        name="Five", number=5, file="005_kind.sql", needs=["003_lang"], verify="return await check_kinds(conn)"
    ),
}


def test_a_table_of_another_tool_keeps_its_rows_and_checksums(folder: Folder) -> None:
    write(folder.path, NUMBERED)
    (folder.path / "sql/001_documents.sql").write_bytes(NUMBERED["sql/001_documents.sql"].encode())
    folder.settings["migrations"] = {"main": {"store": "s", "folder": "sql", "wrappers": "app"}}
    folder.declare()
    first = hashlib.md5((folder.path / "sql/001_documents.sql").read_bytes()).hexdigest()
    second = hashlib.md5(b"CREATE TABLE tags (id bigint);\r\n").hexdigest()  # as it was on another machine: changed
    run(
        folder,
        "CREATE TABLE schema_migrations (md5 char(32), applied_at timestamptz DEFAULT now(), version integer"
        " PRIMARY KEY, filename varchar(80) NOT NULL); CREATE TABLE documents (id bigint PRIMARY KEY);"
        "INSERT INTO documents VALUES (1)",
        f"INSERT INTO schema_migrations VALUES ('{first}', '2025-01-01', 1, '001_documents.sql'),"
        f" ('{second}', '2025-01-02', 2, '002_tags.sql')",
    )
    shown = call(folder, "migrate", "status")
    assert "1 applied, 2 pending, 1 changed" in shown.stdout and "number is its column version" in shown.stdout
    refused = call(folder, "migrate", "apply-all")
    assert (
        refused.returncode == 1 and "sql/002_tags.sql:1:1: has changed" in refused.stderr and second in refused.stderr
    )
    taken = call(folder, "migrate", "baseline", "2", "--only", "--reason", "line ends")
    assert taken.returncode == 0, taken.stderr
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified: Three.verify" in done.stdout
    assert "not run: Five.verify (app/m5.py:9): it uses `check_kinds`, which is not its own" in done.stdout
    rows = ask(folder, "SELECT version, filename, md5 FROM schema_migrations ORDER BY version")
    assert [r[:2] for r in rows] == [
        (1, "001_documents.sql"),
        (2, "002_tags.sql"),
        (3, "003_lang.sql"),
        (5, "005_kind.sql"),
    ]
    assert rows[0][2] == first and rows[2][2] == hashlib.md5(NUMBERED["sql/003_lang.sql"].encode()).hexdigest()
    assert "Nothing is pending." in call(folder, "migrate", "apply-all").stdout
    assert "schema_migrations" not in call(folder, "import", "--stdout").stdout


THEIR_TABLES = """
CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200)
  NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
  installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
CREATE TABLE goose_db_version (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, version_id bigint NOT NULL,
  is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now());
CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL
  DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
"""


def test_tables_of_flyway_goose_and_sqlx_are_read_and_written_as_theirs(folder: Folder) -> None:
    """Rows of one moment; taken back later; checksums of their own; new rows as those tools write them."""
    text = "SELECT 'é';\nSELECT 2;\n"
    names = {"flyway": "V{}__step_no.sql", "goose": "0000{}_step_no.sql", "sqlx": "0000{}_step_no.sql"}
    write(folder.path, {f"{tool}/{name.format(n)}": text for tool, name in names.items() for n in (1, 2, 3)})
    tables = {"flyway": "flyway_schema_history", "goose": "goose_db_version", "sqlx": "_sqlx_migrations"}
    folder.settings["migrations"] = {t: {"store": "s", "folder": t, "table": table} for t, table in tables.items()}
    folder.declare()
    sha, crc = hashlib.sha384(text.encode()).hexdigest(), zlib.crc32("SELECT 'é';SELECT 2;".encode())
    crc -= 2**32 if crc >= 2**31 else 0
    run(
        folder,
        THEIR_TABLES,
        "INSERT INTO flyway_schema_history VALUES (1, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', '\"a\"', NULL,"
        f" 'me', now(), 0, true), (2, '1', 'step no', 'SQL', 'V1__step_no.sql', {crc}, 'me', now(), 3, true),"
        f" (3, '2', 'step no', 'SQL', 'V2__step_no.sql', {crc}, 'me', now(), 3, true),"
        " (4, '2', 'step no', 'UNDO_SQL', 'U2__step_no.sql', 7, 'me', now(), 3, true)",
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true), (2, true), (2, false)",
        f"INSERT INTO _sqlx_migrations VALUES (1, 'step no', now(), true, '\\x{sha}', 5000000)",
    )
    shown = call(folder, "migrate", "status")
    assert "3 applied, 6 pending" in shown.stdout and "changed" not in shown.stdout, shown.stdout
    assert "missing" not in shown.stdout, shown.stdout
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stdout + done.stderr
    query = "SELECT version, type, script, checksum, description FROM flyway_schema_history WHERE installed_rank > 4"
    written = [(str(n), "SQL", f"V{n}__step_no.sql", crc, "step no") for n in (2, 3)]
    assert ask(folder, query) == written
    assert ask(folder, "SELECT version_id, is_applied FROM goose_db_version WHERE id > 4") == [(2, True), (3, True)]
    assert {row[0].hex() for row in ask(folder, "SELECT checksum FROM _sqlx_migrations")} == {sha}
    assert "Nothing is pending." in call(folder, "migrate", "apply-all").stdout
    folder.settings["migrations"] = {"goose": {"store": "s", "folder": "goose", "table": "alembic_version"}}
    folder.declare()
    assert "holds the last revision alone" in call(folder, "migrate", "status").stderr


def test_all_problems_at_once_each_with_both_ends(folder: Folder) -> None:
    files = {
        "001_a.sql": "-- reconcile: depends_on 003\nSELECT 1;\n",
        "002_b.sql": "-- reconcile: depends_on 9\nSELECT 1;\n",
        "003_c.sql": "-- reconcile: depends_on 1\nSELECT 1;\n",
        "004_d.sql": "-- Dependencies: 008_x and 002_b.sql\n-- Depends on: the weather\nSELECT 1;\n",
        "004_e.sql": "-- reconcile: allow trunkate: x\n",
    }
    write(folder.path / "migrations", files)
    said = call(folder, "migrate", "status")
    assert said.returncode == 1
    for line in (
        "migrations/001_a.sql:1:1: depends on itself: migrations/001_a.sql → migrations/003_c.sql → migrations/001_a",
        "migrations/002_b.sql:1:1: migrations/002_b.sql depends on 9, which is not in migrations",
        "migrations/004_d.sql:1:1: migrations/004_d.sql depends on 008_x, which is not in migrations",
        "migrations/004_e.sql:1:1: has the number 004, as migrations/004_d.sql has",
        'migrations/004_e.sql:1:1: allow: there is no danger "trunkate"; did you mean "truncate"?',
    ):
        assert line in said.stderr, line


def test_what_only_psql_runs_is_in_the_way_of_its_own_migration_alone(folder: Folder) -> None:
    write(folder.path / "migrations", {"1_a.sql": "SELECT 1;\n\\i other.sql\n", "2_b.sql": "COPY a FROM stdin;\n1\n"})
    assert "cannot run: migrations/1_a.sql:2:1: \\i is a command of psql" in call(folder, "migrate", "status").stdout
    refused = call(folder, "migrate", "apply-all")
    assert refused.returncode == 1 and "migrations/2_b.sql:1:1: COPY … FROM stdin sends rows through" in refused.stderr
    assert call(folder, "migrate", "baseline").returncode == 0
    assert "2 applied, 0 pending" in call(folder, "migrate", "status").stdout


def test_rows_below_a_copy_are_its_own(folder: Folder) -> None:
    """As psql takes them; quotes and semicolons among them are none of SQL's."""
    text = (
        "CREATE TABLE a (id int, t text);\n-- COPY a FROM stdin;\nCOPY a (id, t) FROM stdin;\n"
        "1\tit's; a\n2\t\\N\n\\.\n\n"
        "copy a from STDIN with (format csv);\n3,\"x;\"\n\\.\nCOPY a FROM stdin;\n\\.\nINSERT INTO a VALUES (4, 'z');\n"
    )
    write(folder.path / "migrations", {"1_a.sql": text})
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stderr
    assert ask(folder, "SELECT id, t FROM a ORDER BY id") == [(1, "it's; a"), (2, None), (3, "x;"), (4, "z")]
    write(folder.path / "migrations", {"2_b.sql": "COPY a FROM stdin;\nx\ty\n\\.\n"})
    wrong = call(folder, "migrate", "apply-all")
    assert wrong.returncode == 1 and "migrations/2_b.sql:1: migrations/2_b.sql failed: invalid input" in wrong.stderr


def test_a_table_of_another_tool_with_columns_of_its_own(folder: Folder) -> None:
    """What must be given is, where it is known; what failed there is not taken for applied."""
    run(
        folder,
        "CREATE TABLE schema_migrations (number int PRIMARY KEY, name text NOT NULL, description varchar(9) NOT NULL,"
        " success boolean NOT NULL, batch int NOT NULL, applied_by text NOT NULL, note text NOT NULL DEFAULT 'x')",
        "INSERT INTO schema_migrations VALUES (1, 'a', 'a', true, 3, 'ci'), (2, 'b', 'b', false, 3, 'ci')",
    )
    write(folder.path / "migrations", {f"{n}_{t}.sql": "SELECT 1;\n" for n, t in enumerate("abc", 1)})
    assert "1 applied, 1 pending, 1 failed." in call(folder, "migrate", "status").stdout
    refused = call(folder, "migrate", "apply-all")
    assert (
        refused.returncode == 1
        and "2_b.sql:1:1: failed when another tool ran it: in its row, success" in refused.stderr
    )
    assert call(folder, "migrate", "baseline", "2", "--only", "--reason", "whole").returncode == 0
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stderr
    rows = ask(folder, "SELECT number, name, description, success, batch, note FROM schema_migrations ORDER BY 1")
    assert rows == [(1, "a", "a", True, 3, "x"), (2, "b", "b", True, 4, "x"), (3, "c", "c", True, 5, "x")]


def test_yaml_and_python_migrations_dangers_and_reasons(folder: Folder) -> None:
    yaml_ = (
        "description: cache emptied\nup: |\n  CREATE TABLE IF NOT EXISTS cache (id int);\n  TRUNCATE cache;\n"
        "down: |\n  DROP TABLE cache;\nverify:\n  - {query: select count(*) from cache, expect: 0}\n"
    )
    python = (
        'description = "rows from code"\nallow = ["dynamic"]\nreason = "needs a loop"\n\n'
        "def up(connection):\n    for n in range(3):\n"
        '        connection.execute("INSERT INTO cache VALUES (%s)", (n,))\n\n'
        "async def verify(conn):\n    return await conn.fetchval('SELECT count(*) FROM cache') == 3\n"
    )
    write(folder.path / "migrations", {"001_cache.yaml": yaml_, "002_rows.py": python})
    refused = call(folder, "migrate", "apply-all")
    assert refused.returncode == 1 and "migrations/001_cache.yaml:4:3: truncate: TRUNCATE cache" in refused.stderr
    assert not ask(folder, "SELECT 1 FROM pg_class WHERE relname IN ('cache', 'schema_migrations')")
    write(folder.path / "migrations", {"001_cache.yaml": yaml_ + "allow: [truncate]\nreason: filled at night\n"})
    assert (
        "allowed: truncate at migrations/001_cache.yaml:4: filled at night" in call(folder, "migrate", "status").stdout
    )
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ask(folder, "SELECT count(*) FROM cache") == [(3,)]
    shown = call(folder, "migrate", "info", "1").stdout
    assert "allowed      truncate at line 4: filled at night" in shown and "ledger       applied by" in shown
    index = call(folder, "migrate", "list", "--format", "markdown").stdout
    assert "| [main/001](migrations/001_cache.yaml) | cache emptied | applied | " in index and " | truncate | " in index
    gone = call(folder, "migrate", "forget", "2", "--reason", "undone by hand")
    assert gone.returncode == 0 and "1 applied, 1 pending" in call(folder, "migrate", "status").stdout
    assert "forgotten by" in call(folder, "migrate", "info", "2").stdout
    runs = json.loads(call(folder, "history", "--format", "json").stdout)
    told = [(r["number"], r["command"], [(m["name"], m["outcome"]) for m in r["migrations"]]) for r in runs]
    assert told == [
        (2, "migrate forget 2", [("002_rows", "forgotten")]),
        (1, "migrate apply-all", [("001_cache", "applied"), ("002_rows", "applied")]),
    ]
    shown = call(folder, "show", "1").stdout
    assert "done in" in shown and "applied; allowed truncate (line 4): filled at night" in shown
    assert call(folder, "history", "--pages", str(folder.path / "pages")).returncode == 0
    pages = (folder.path / "pages" / "README.md").read_text()
    assert "| main/002_rows | rows from code | forgotten |" in pages and "[1](run-0001.md)" in pages
    assert "| [1](run-0001.md) | migrate apply-all | done | " in pages
    page = (folder.path / "pages" / "run-0001.md").read_text()
    headings = [line for line in page.splitlines() if line.startswith("### ")]
    assert headings == ["### Problem", "### Solution", "### Results", "### Rollback plan", "### Next"]
    assert "- These migrations had not run: 001 (cache emptied), 002 (rows from code)." in page
    assert "- s.migration.main.001: run migrations/001\\_cache.yaml; then: `reconcile migrate forget 001" in page
    assert call(folder, "show", "1", "--plan").returncode == 0
    back = call(folder, "rollback", runs[1]["id"]).stdout
    assert "not undone: s.migration.main.001: what a migration did is taken back by its way back" in back
    made = call(folder, "migrate", "new", "More rows").stdout
    assert made == "wrote migrations/003_more_rows.sql\n"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELEC 1;", 'migrations/002_b.sql:2: migrations/002_b.sql failed: syntax error at or near "SELEC"'),
        ("-- VERIFY: SELECT count(*) FROM a => 7", "verify at line 2 failed: expected 7, got 1"),
        ("-- VERIFY: SELECT count(*) FROM a WHERE id = 9; DROP TABLE a;", "cannot execute DROP TABLE in a read-only"),
    ],
)
def test_a_failure_takes_its_own_migration_back(statement: str, told: str, folder: Folder) -> None:
    files = {
        "001_a.sql": "CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\n",
        "002_b.sql": f"CREATE TABLE b (id int);\n{statement}\n",
    }
    if statement.startswith("SELEC "):
        files["002_b.sql"] += "-- reconcile: allow unparsed: to see the server's own words\n"
    write(folder.path / "migrations", files)
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 3 and told in done.stderr, done.stderr
    assert "done: main/001" in done.stderr and "rolled back" in done.stderr
    assert ask(folder, "SELECT name FROM schema_migrations") == [("001_a",)]
    assert not ask(folder, "SELECT 1 FROM pg_class WHERE relname = 'b'")
    shown = call(folder, "show", "1").stdout
    assert "failed, part of it done" in shown and "001_a  a      applied" in shown and "002_b  b      failed" in shown


@pytest.mark.parametrize("named", ["a_id ", ""], ids=["named", "nameless"])
def test_killed_while_an_index_is_built_it_goes_on_there(named: str, folder: Folder) -> None:
    files = {
        "001_a.sql": (
            f"CREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\nCREATE INDEX CONCURRENTLY {named}ON a (id);\n"
            "INSERT INTO a VALUES (2);\n"
        )
    }
    write(folder.path / "migrations", files)
    url = folder.stores["s"]["url"]
    with psycopg.connect(url) as blocker:  # an open snapshot: the build waits for it
        blocker.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        blocker.execute("SELECT count(*) FROM pg_class")
        process = folder.start("migrate", "apply-all")
        wait_for(folder, "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'")
        process.kill()
        process.wait()
        assert "1 unfinished" in call(folder, "migrate", "status").stdout
        blocker.rollback()
    assert call(folder, "unlock", run_of(folder)).returncode == 0
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = json.loads(call(folder, "history", "--format", "json").stdout)
    assert [(r["outcome"], r["message"]) for r in runs] == [("done", ""), ("partly", "its process ended before it did")]
    assert ask(folder, "SELECT array_agg(id ORDER BY id) FROM a") == [([1, 2],)]
    assert ask(folder, "SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass") == [(True,)]


OTHERS = {
    "dbmate": {
        "20240101_a.sql": "-- migrate:up\nCREATE TABLE a (id int);\n-- migrate:down\nDROP TABLE a;\n",
        "20240102_b.sql": "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY ai ON a (id);\n-- migrate:down\n",
    },
    "goose": {
        "00001_b.sql": "-- +goose Up\n-- +goose StatementBegin\nCREATE TABLE b ();\n-- +goose Down\nDROP TABLE b;"
    },
    "flyway": {
        "V1__c.sql": "CREATE TABLE c (id int);",
        "V1.1__c.sql": "ALTER TABLE c RENAME id TO a;",
        "V1_2__c.sql": "ALTER TABLE c RENAME a TO b;",
        "V2__c.sql": "ALTER TABLE c RENAME b TO c;",
        "U2__c.sql": "ALTER TABLE c RENAME c TO b;",
        "R__views.sql": "CREATE VIEW v AS SELECT 1;",
    },
    "golang": {"000001_d.up.sql": "BEGIN;\nCREATE TABLE d ();\nCOMMIT;", "000001_d.down.sql": "DROP TABLE d;"},
    "psql": {"1_e.sql": "\\set ON_ERROR_STOP on\n\\echo it's\nCREATE TABLE e (t text DEFAULT '\n\\echo x');\n"},
    "odd": {
        "001_f.sql": "\ufeffCREATE TYPE f AS ENUM ('a');\r\n/* ; */ CREATE TABLE ft (f f, s text DEFAULT 'a;b');\r\n",
        "002_f.sql": "BEGIN;\nALTER TYPE f ADD VALUE 'b';\nCOMMIT;\nINSERT INTO ft VALUES ('b');\n",
        "005_f.sql": "-- nothing\n",
    },
}


def test_folders_of_other_tools_as_they_are(folder: Folder) -> None:
    folder.settings["migrations"] = {name: {"store": "s", "folder": name, "table": f"ran_{name}"} for name in OTHERS}
    folder.declare()
    for name, files in OTHERS.items():
        write(folder.path / name, files)
    assert "0 applied, 12 pending." in call(folder, "migrate", "status").stdout
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flyway/R__views.sql is to run whenever it changes, and is left alone" in done.stdout
    assert "Nothing is pending." in call(folder, "migrate", "apply-all").stdout
    there = "SELECT count(*) FROM pg_class WHERE relname IN ('a', 'ai', 'b', 'c', 'd', 'e', 'ft') AND relname <> 'v'"
    assert ask(folder, there) == [(7,)] and ask(folder, "SELECT f::text FROM ft") == [("b",)]
    assert ask(folder, "SELECT t FROM e") == [] and ask(folder, "SELECT c FROM c") == []
    back = call(folder, "migrate", "redo", "flyway/V2", "--reason", "the other name")
    assert back.returncode == 0 and "ran flyway/U2__c.sql" in back.stdout, back.stdout + back.stderr
    assert call(folder, "migrate", "redo", "goose/1", "--reason", "empty").returncode == 0


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("20240101_a/migration.sql", "", "a folder for each migration, as Prisma does; files have to be in the folder"),
        ("versions/1a_b.py", "down_revision = None", "its files are revisions of Alembic"),
        ("1a2b_x.py", "down_revision = None", "1a2b_x.py is a revision of Alembic, which only Alembic can run"),
        ("0001_initial.py", "import django.db\nclass Migration(migrations.Migration): pass", "a migration of Django"),
        ("1_a.js", "", "1_a.js is a program of another tool"),
    ],
)
def test_what_only_another_tool_can_run_is_told(file: str, text: str, told: str, folder: Folder) -> None:
    write(folder.path / "migrations", {file: text, **({"env.py": ""} if "/" in file else {})})
    said = call(folder, "migrate", "status")
    assert said.returncode == 1 and told in said.stderr, said.stderr


BUILDS = {
    "named": ("CREATE INDEX CONCURRENTLY i ON a (id)", ["i"], False, ["old"]),
    "named and ready": ("CREATE INDEX CONCURRENTLY i ON public.a (id)", [], True, ["i", "old"]),
    "nameless": ("CREATE INDEX CONCURRENTLY ON a USING btree (id)", ["i"], False, ["old"]),
    "nameless and ready": ("CREATE INDEX CONCURRENTLY ON a (id)", [], True, ["i", "old"]),
    "nameless, another's": ("CREATE INDEX CONCURRENTLY ON a (id DESC)", ["i"], False, ["i", "old"]),
    "nameless and unique": ("CREATE UNIQUE INDEX CONCURRENTLY ON ONLY a (id)", ["i"], False, ["i", "old"]),
    "nameless, broken before": ("CREATE INDEX CONCURRENTLY ON a (id)", ["i", "old"], False, ["old"]),
    "rebuilt": ("REINDEX TABLE CONCURRENTLY a", ["old_ccnew"], False, ["i", "old"]),
    "rebuilt one": ("REINDEX (CONCURRENTLY) INDEX public.old", ["old_ccnew"], False, ["i", "old"]),
    "rebuilt, another's": ("REINDEX TABLE CONCURRENTLY a", ["i"], False, ["i", "old"]),
}


@pytest.mark.parametrize("case", BUILDS, ids=list(BUILDS))
def test_what_a_killed_build_has_left_is_told_from_what_others_have(case: str, folder: Folder) -> None:
    statement, invalid, built, left = BUILDS[case]
    asked = broken_builds.build(statement)
    assert asked is not None
    with psycopg.connect(folder.stores["s"]["url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE a (id int); CREATE INDEX old ON a (id)")
        before = broken_builds.there(connection, asked)
        connection.execute("CREATE INDEX i ON a (id)")
        if "old_ccnew" in invalid:
            connection.execute("CREATE INDEX old_ccnew ON a (id)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text = ANY (%s)", (invalid,)
        )
        assert broken_builds.settled(connection, asked, before, "s") == built
        there = connection.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'a'::regclass")
        assert sorted(name for (name,) in there) == left


def test_ten_at_once_run_each_migration_once(folder: Folder) -> None:
    files = {
        f"{n:03}_x.sql": f"CREATE TABLE IF NOT EXISTS x (id int);\nINSERT INTO x VALUES ({n});\n" for n in (1, 2, 3)
    }
    write(folder.path / "migrations", files)
    folder.settings.pop("ledger")
    folder.declare()

    def one(_: int) -> int:
        return len(migrate.apply(folder.load(), None, 60.0, lambda line: None).migrations)

    with ThreadPoolExecutor(10) as pool:
        counts = sorted(pool.map(one, range(10)))
    assert counts == [0] * 9 + [3]
    assert ask(folder, "SELECT array_agg(id ORDER BY id) FROM x") == [([1, 2, 3],)]


def test_the_lock_is_waited_for_and_then_refused(folder: Folder) -> None:
    write(folder.path / "migrations", {"001_a.sql": "CREATE TABLE a (id int);\n"})
    ledger = open_ledger(folder.load())
    ledger.ensure()
    ledger.lock("other")
    held = call(folder, "migrate", "apply-all", "--lock-timeout", "0s")
    assert held.returncode == 4 and "another run holds the lock: other" in held.stderr
    ledger.release()
    ledger.close()
    assert call(folder, "migrate", "apply-all").returncode == 0


CYPHER = {
    "2026-01-05-001-people.cypher": (
        "// Description: people\nCREATE CONSTRAINT person_id FOR (p:Person) REQUIRE p.id IS UNIQUE;\n"
        "CREATE INDEX person_name FOR (p:Person) ON (p.name);\n"
        "CREATE (:Person {id: 1, name: 'a;b'}); // ; not an end\nCREATE (:Person {id: 2, name: \"c\"});\n"
        "// VERIFY: MATCH (p:Person) RETURN count(p) => 2\n"
    ),
    "2026-01-05-002-old.cypher": (
        "MATCH (p:Person) CALL (p) { SET p.old = true } IN TRANSACTIONS OF 1 ROWS;\n"
        "MATCH (p:Person {id: 1})\nSET p.first = true;\n"
    ),
}


def graph(database: Neo4jDatabase) -> neo4j.Driver:
    return neo4j.GraphDatabase.driver(database.url, auth=(database.user, database.password))


def graph_rows(database: Neo4jDatabase, query: LiteralString) -> list[tuple[Any, ...]]:
    with graph(database) as driver:
        return [tuple(record.values()) for record in driver.execute_query(query).records]


def test_cypher_files_end_to_end(folder: Folder, neo4j_database: Neo4jDatabase) -> None:
    login = {"user": neo4j_database.user, "password": neo4j_database.password}
    folder.stores["g"] = {"kind": "neo4j", "url": neo4j_database.url, **login}
    folder.settings["migrations"] = {"graph": {"store": "g", "folder": "cypher"}}
    folder.declare()
    write(folder.path / "cypher", CYPHER)
    done = call(folder, "migrate", "apply-all")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = graph_rows(neo4j_database, "MATCH (p:Person) RETURN p.id, p.old, p.first ORDER BY p.id")
    assert rows == [(1, True, True), (2, True, None)]
    again = call(folder, "migrate", "apply-all")
    assert again.returncode == 0 and "Nothing is pending." in again.stdout
    text = "CREATE INDEX person_age FOR (p:Person) ON (p.age);\nMATCH (p:Person {id: 2}) SET p.age = 7;\n"
    write(folder.path / "cypher", {"2026-01-09-001-killed.cypher": text})
    with graph(neo4j_database) as driver:  # killed after the index was there, before that was noted
        driver.execute_query("CREATE INDEX person_age FOR (p:Person) ON (p.age)")
        driver.execute_query(
            "CREATE (:__ReconcileMigration {table: 'schema_migrations', name: '2026-01-09-001-killed',"
            " state: 'running', done: 0, begun: true, checksum: $checksum})",
            checksum=hashlib.sha256(text.encode()).hexdigest(),
        )
    assert "1 unfinished" in call(folder, "migrate", "status").stdout
    assert call(folder, "migrate", "apply-all").returncode == 0
    assert graph_rows(neo4j_database, "MATCH (p:Person {age: 7}) RETURN p.id") == [(2,)]
    write(
        folder.path / "cypher", {"2026-02-01-001-bad.cypher": "CREATE (:Person {id: 3});\n// VERIFY: RETURN 1 => 2\n"}
    )
    failed = call(folder, "migrate", "apply-all")
    assert failed.returncode == 1 and "nothing was changed" in failed.stderr
    assert graph_rows(neo4j_database, "MATCH (p:Person) RETURN count(p)") == [(2,)]
    write(folder.path / "cypher", {"2026-02-01-001-bad.cypher": "MATCH (n) DETACH DELETE n;\n"})
    refused = call(folder, "migrate", "apply-all")
    assert refused.returncode == 1 and "2026-02-01-001-bad.cypher:1:11: delete-all" in refused.stderr


def test_an_apply_runs_them_in_its_migrate_phase(folder: Folder) -> None:
    files = {
        "001_fill.sql": "INSERT INTO notes VALUES (1, 'a');\nTRUNCATE notes;\nINSERT INTO notes VALUES (2, 'b');\n"
        "-- reconcile: allow truncate: nothing is in it yet\n-- VERIFY: SELECT count(*) FROM notes => 1\n",
        "002_more.sql": "INSERT INTO notes VALUES (3, 'c');\nSET ROLE pg_read_all_data;\n",
    }
    write(folder.path / "migrations", files)
    folder.declare(s="tables:\n  notes: {columns: {id: bigint, title: text}, primary_key: [id]}\n")
    planned = folder.plan()
    steps = [s for s in planned.steps if s.phase.value == "migrate"]
    assert [s.id for s in steps] == ["s.migration.main.001/1-run", "s.migration.main.002/1-run"]
    shown = call(folder, "plan").stdout
    assert "s.migration.main.001" in shown and "migrations/001_fill.sql:1" in shown
    assert "allowed truncate (line 2): nothing is in it yet" in shown
    assert call(folder, "plan", "--out", str(folder.path / "plan.json")).returncode == 0
    before = (folder.path / "migrations/002_more.sql").read_text()
    write(folder.path / "migrations", {"002_more.sql": "INSERT INTO notes VALUES (4, 'd');\n"})
    assert folder.plan() != planned, "the digest covers their checksums"
    stale = call(folder, "apply", str(folder.path / "plan.json"))
    assert stale.returncode == 4 and "migrations/002_more.sql moved since it was made" in stale.stderr, stale.stderr
    write(folder.path / "migrations", {"002_more.sql": before})
    done = call(folder, "apply", str(folder.path / "plan.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert ask(folder, "SELECT array_agg(id ORDER BY id) FROM notes") == [([2, 3],)]
    assert folder.plan().steps == () and "Nothing is pending." in call(folder, "migrate", "apply-all").stdout


def test_a_file_is_mended_and_the_apply_resumed(folder: Folder) -> None:
    """But for what of it is committed; and it may do nothing then that the plan did not show."""
    begins = "CREATE SCHEMA own; SET search_path = own, public; INSERT INTO notes VALUES (1);\n"
    begins += "CREATE INDEX CONCURRENTLY notes_id ON notes (id);\n"
    files = {"001_a.sql": begins + "INSERT INTO notes VALUES ('x');\n", "002_b.sql": "INSERT INTO notes VALUES (3);\n"}
    write(folder.path / "migrations", files)
    folder.declare(s="tables:\n  notes: {columns: {id: bigint}}\n")
    failed = call(folder, "apply", "--auto-approve")
    assert failed.returncode == 3 and "2 of its 3 transactions are committed" in failed.stderr, failed.stderr
    for text, code, told in (
        (begins.replace("(1)", "(7)") + "SELECT 1;\n", 1, "has changed since a part of it ran, in that part"),
        (begins + "TRUNCATE notes;\n", 1, "001_a.sql:3:1: truncate: TRUNCATE notes"),
        (begins + "TRUNCATE notes; -- reconcile: allow truncate: why\n", 4, "the plan did not show: truncate: why"),
        (
            begins + "CREATE TABLE own AS SELECT 1; INSERT INTO notes VALUES (2);\n",
            0,
            "001_a.sql was mended: its checksum was",
        ),
    ):
        write(folder.path / "migrations", {"001_a.sql": text})
        done = call(folder, "apply", "--resume")
        assert done.returncode == code and told in done.stdout + done.stderr, done.stdout + done.stderr
    assert ask(folder, "SELECT array_agg(id ORDER BY id) FROM notes") == [([1, 2, 3],)]
    assert ask(folder, "SELECT 1 FROM own.own"), "what the file has set for its session holds after a resume"
    assert folder.plan().steps == ()
    ran = json.loads(call(folder, "history", "--format", "json").stdout)[0]["migrations"]
    digest = hashlib.sha256((folder.path / "migrations" / "001_a.sql").read_bytes()).hexdigest()
    assert [(m["outcome"], m["checksum"] == digest) for m in ran] == [("applied", True), ("applied", False)]


PAGE = (Path(__file__).parents[1] / "docs" / "migrations.md").read_text(encoding="utf-8")


def test_the_page_runs_as_it_stands(tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_DATABASE_URL", postgres_database)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reconcile.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0])
    write(tmp_path, dict(re.findall(r"```(?:sql|yaml) (migrations/\S+)\n(.*?)```", PAGE, re.S)))
    for line in re.findall(r"```sh\n(.*?)```", PAGE, re.S)[0].splitlines():
        assert cli.run(shlex.split(line, comments=True)[1:]) == 0, line
    assert (tmp_path / "migrations" / "004_documents_have_owners.sql").exists()


def test_every_danger_is_in_the_page() -> None:
    for danger in Danger:
        assert f"| `{danger.value}` | {danger.sentence} |" in PAGE
    schema = json.dumps(schemas.load("project.schema.json"))
    assert json.dumps([d.value for d in Danger]) in schema
