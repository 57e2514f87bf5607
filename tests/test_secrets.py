"""A password, a webhook and whatever a hook repeats are in nothing that is printed, written or kept."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from reconcile.sandbox.scratch import Neo4jDatabase
from reconcile.workflow.backup import run_command
from tests.projects import Folder, three_stores

TABLE = "tables:\n  notes: {{columns: {{id: bigint, body: text{}}}, primary_key: [id]}}\n"
ECHO = "cannot reach $APP_URL $CHAT with $TOKEN $BARE"
BACKFILLS = """
backfills:
  by_command:
    {select: SELECT id FROM notes WHERE lang IS NULL, key: id, into: notes,
     on_error: set_aside, command: {run: [./says]}}
  by_program:
    {select: SELECT id FROM notes WHERE body IS NULL, key: id, program: {run: [./says]}}
"""


@pytest.fixture
def canary(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The password of a role by which $APP_URL connects."""
    word, role = f"canary{secrets.token_hex(8)}", f"teller_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        make = sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}")
        connection.execute(make.format(sql.Identifier(role), sql.Literal(word)))
        parts = urlsplit(postgres_database)
        place = f"{role}:{word}@{parts.hostname}:{parts.port}"
        monkeypatch.setenv("APP_URL", urlunsplit(parts._replace(netloc=place)))
        monkeypatch.setenv("CHAT", f"http://127.0.0.1:1/{word}")
        monkeypatch.setenv("TOKEN", f"token{word}")
        monkeypatch.setenv("BARE", f"bare{word}")
        yield word
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(role)))
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_no_secret_is_told_or_kept(tmp_path: Path, canary: str) -> None:
    """Of a run that is done, one that fails, and one that cannot connect."""
    tells = {"command": ["sh", "-c", f'echo "{ECHO}"'], "on_failure": "warn"}
    fails = {"command": ["sh", "-c", f'echo "{ECHO}"; exit 1']}
    (tmp_path / "says").write_text(f'#!/bin/sh\necho "{ECHO}"\nexit 1\n')
    (tmp_path / "says").chmod(0o755)
    asks = {"http": "http://127.0.0.1:1/?key=${BARE}", "headers": {"X-Key": "Key ${TOKEN}"}, "on_failure": "warn"}
    folder = Folder(
        tmp_path,
        {"s": {"kind": "postgres", "url": "${APP_URL}"}},
        {
            "ledger": {"file": "ledger.db"},
            "notify": [{"webhook": "${CHAT}"}, {"command": ["./says"]}],
            "hooks": {"before": [tells]},
            "checks": {"answers": asks},
        },
    )
    folder.declare(s=TABLE.format(""))
    told: list[str] = []

    def run(*arguments: str, **environment: str) -> int:
        done = subprocess.run(
            [sys.executable, "-m", "reconcile", *arguments],
            cwd=tmp_path,
            env={**os.environ, "RECONCILE_TRACEBACK": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        told.append(done.stdout + done.stderr)
        return done.returncode

    shapes = [f"--write={name}=plan.{name}" for name in ("json", "markdown", "script", "text")]
    assert run("plan", "--out", "plan.json", *shapes) == 0
    reports = [f"--report=report{suffix}" for suffix in (".md", ".html", ".json", ".txt")]
    assert run("apply", "plan.json", "--log-format", "json", *reports) == 0
    assert "ConnectError" in told[-1] and "cannot reach postgresql://" in told[-1], "what it says is shown, masked"
    folder.settings["hooks"] = {"before": [tells], "after_expand": [fails]}
    folder.declare(s=TABLE.format(", lang: text"))
    assert run("apply", "--auto-approve", *(r.replace("=report", "=stopped") for r in reports)) == 3
    folder.settings["hooks"] = {"before": [tells]}
    with psycopg.connect(os.environ["APP_URL"], autocommit=True) as connection:
        connection.execute("INSERT INTO notes (id) VALUES (1)")
    folder.declare(s=TABLE.format(", lang: text") + BACKFILLS)
    (broken,) = set(re.findall(r"run (\w+) stopped", told[-1]))
    assert run("apply", "--abandon", broken) == 0
    assert run("apply", "--auto-approve", "--log-format", "json") == 3
    assert "the program failed" in told[-1], told[-1]
    assert run("status") == run("history") == run("show", "2") == run("backfill", "list") == 0
    assert "1 set aside" in told[-1] and "cannot reach postgresql://" in told[-1], told[-1]
    assert run("check", "--format", "json") == 2
    wrong = os.environ["APP_URL"].replace(canary, f"{canary}x")
    assert run("plan", APP_URL=wrong) == run("plan", APP_URL=os.environ["APP_URL"].replace("/", "//", 5)) == 1
    assert len(list(tmp_path.glob("report.*"))) == len(list(tmp_path.glob("stopped.*"))) == 4
    for text in told:
        assert canary not in text, text
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert canary.encode() not in path.read_bytes(), path


PASSWORDS = {
    "app": [
        "CREATE ROLE {role} LOGIN PASSWORD '{word}1';\nALTER ROLE {role} ENCRYPTED PASSWORD E'{word}2';\n",
        "SELECT set_config('app.token', '{word}3', true);\nCREATE USER {role} PASSWORD $${word}4$$;\n",
    ],
    "graph": [
        "MERGE (u:User {{name: 'x', password: '{word}5'}});\n",
        "// reconcile: allow server-call: tried\nALTER CURRENT USER SET PASSWORD FROM '{word}6' TO '{word}7';\n",
    ],
}
"""By store a migration that goes well, and one that does not: the role is there, the password is another."""


def test_passwords_in_migrations_are_not_shown(
    tmp_path: Path, postgres_database: str, neo4j_database: Neo4jDatabase
) -> None:
    """Nor kept: plans, errors, reports, the ledger have the statement without them."""
    word, role = f"canary{secrets.token_hex(8)}", f"teller_{secrets.token_hex(4)}"
    stores = {name: s for name, s in three_stores(postgres_database, neo4j_database, "").items() if name in PASSWORDS}
    folder = Folder(tmp_path, stores, {"migrations": {n: {"store": n, "folder": n} for n in stores}})
    folder.declare()
    told = [""]

    def run(*arguments: str) -> int:
        done = folder.command(*arguments)
        told.append(done.stdout + done.stderr)
        return done.returncode

    suffix, ends = {"app": "sql", "graph": "cypher"}, {0: 0, 1: 3}
    try:
        for number, end in ends.items():
            for name, texts in PASSWORDS.items():
                (tmp_path / name).mkdir(exist_ok=True)
                file = tmp_path / name / f"00{number + 1}_it.{suffix[name]}"
                file.write_text(texts[number].format(word=word, role=role))
            shapes = [f"--write={shape}={tmp_path}/plan.{shape}" for shape in ("json", "markdown", "script")]
            assert run("plan", *shapes) == 0, told[-1]
            reports = [f"--report={tmp_path}/report{kind}" for kind in (".md", ".html", ".json")]
            assert run("apply", "--auto-approve", "--log-format=json", *reports) == end, told[-1]
        assert run("status", "--format=json") == run("migrate", "info", "app/002") == 0
        assert "PASSWORD '***'" in told[-1] and "PASSWORD '***'" in told[-2]
        (broken,) = set(re.findall(r"run (\w+) stopped", told[-3]))
        assert run("apply", "--abandon", broken) == 0
        assert run("migrate", "apply", "graph/002") == 3, told[-1]
    finally:
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
            asked = "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'reconcile'::regnamespace"
            asked += " AND relkind = 'r'"
            tables = connection.execute(asked).fetchall()
            told += [str(connection.execute(f"SELECT x::text FROM {t} x".encode()).fetchall()) for (t,) in tables]
    for text in told:
        assert word not in text, text
    for path in [p for p in tmp_path.rglob("*") if p.is_file() and p.parent.name not in PASSWORDS]:
        assert word.encode() not in path.read_bytes(), path


def test_programs_that_save_say_no_secret_of_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first line goes into the manifest, what it ends with into the error."""
    monkeypatch.setenv("VECTORS_KEY", "canary-of-vectors")
    says = ["sh", "-c", "echo saved with $VECTORS_KEY"]
    stores: dict[str, dict[str, Any]] = {
        "cache": {"kind": "redis", "url": "redis://127.0.0.1:1", "backup": {"command": says, "restore": says}},
        "vectors": {"kind": "qdrant", "url": "http://127.0.0.1:1", "api_key": "${VECTORS_KEY}"},
    }
    project = Folder(tmp_path, stores, {"ledger": {"file": "ledger.db"}}).declare().load()
    for key in ("command", "restore"):
        assert run_command(project, "cache", key, tmp_path) == ["saved with ***"]
