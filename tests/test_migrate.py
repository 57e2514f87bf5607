"""`reconcile migrate` over folders as others made them, on real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

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


def test_up_and_down_files_end_to_end(folder: Folder) -> None:
    write(folder.path / "migrations", UP_DOWN)
    before = folder.command("migrate", "status", "--detailed-exitcode")
    assert before.returncode == 2 and "0 applied, 2 pending" in before.stdout, before.stderr
    dry = folder.command("migrate", "apply-all", "--dry-run=rollback")
    assert dry.returncode == 0 and "outside any transaction" in dry.stdout and "1 of 2 ran" in dry.stdout, dry.stderr
    assert not ask(folder, "SELECT 1 FROM pg_class WHERE relname = 'documents'")
    done = folder.command("migrate", "apply-all")
    assert done.returncode == 0 and "Applied 2 migrations" in done.stdout, done.stdout + done.stderr
    assert "verified: verify at line 6" in done.stdout
    rows = ask(folder, "SELECT number, name, length(checksum), description, execution_time_ms FROM schema_migrations")
    assert [r[:4] for r in rows] == [("V01", "V01-documents", 64, "documents"), ("V03", "V03-lang", 64, None)]
    again = folder.command("migrate", "apply-all")
    assert again.returncode == 0 and "Nothing is pending." in again.stdout
    assert not ask(folder, "SELECT 1 FROM pg_class WHERE relname = 'schema_migrations_progress'")
    redone = folder.command("migrate", "redo", "3", "--reason", "another language")
    assert redone.returncode == 0, redone.stdout + redone.stderr
    (folder.path / "migrations" / "V01-documents-up.sql").write_text("SELECT 1;\n")
    changed = folder.command("migrate", "apply-all")
    assert changed.returncode == 1 and "V01-documents-up.sql:1:1: has changed since it ran" in changed.stderr
    shown = folder.command("plan")
    assert "schema_migrations" not in shown.stdout, "the tool's own table"
