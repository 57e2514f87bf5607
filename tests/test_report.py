"""The report of a run, lines of JSON, and what the ledger tells of runs, over the three stores."""

from __future__ import annotations

import json
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.ledger_file import open_file
from reconcile.ledger_rows import TABLES
from tests.projects import Folder

TABLE = "tables:\n  notes: {{columns: {{id: bigint, body: text{}}}, primary_key: [id]{}}}\n"


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    """A table of three rows; declared is a column more and one less."""
    stores = {"s": {"kind": "postgres", "url": postgres_database, "schema_version": "2026.11"}}
    folder = Folder(tmp_path, stores, {"contacts": ["#data-platform"]})
    folder.declare(s=TABLE.format(", old: text", "")).apply("all")
    with psycopg.connect(postgres_database) as connection:
        connection.execute("INSERT INTO notes SELECT n, 'x', 'y' FROM generate_series(1, 3) n")
    return folder.declare(s=TABLE.format(", lang: text", ", indexes: {notes_lang: {columns: [lang]}}"))


def reports(folder: Folder, *arguments: str) -> tuple[dict[str, Any], str, str]:
    """Apply with reports of all formats: the JSON, the Markdown, the HTML."""
    files = [folder.path / f"report.{suffix}" for suffix in ("json", "md", "html", "txt")]
    done = folder.command("apply", "--auto-approve", "--allow", "all", *arguments, *(f"--report={f}" for f in files))
    assert "Traceback" not in done.stderr, done.stderr
    told = [f.read_text() for f in files]
    return json.loads(told[0]), told[1], told[2]


class _Tags(HTMLParser):
    """Whether every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_tells_what_was_done_and_what_is_held(folder: Folder) -> None:
    report, markdown, page = reports(folder)
    assert report["outcome"] == "done" and report["number"] == 2 and report["contacts"] == ["#data-platform"]
    assert report["counts"] == [
        {"address": "s.table.public.notes", "unit": "rows", "before": 3, "after": 3, "exact": True, "preserved": 1.0}
    ]
    (store,) = report["stores"]
    assert store["schema_version"] == "2026.11" and store["before"]["bytes"] > 0 and store["after"]["bytes"] > 0
    steps = [step for group in report["groups"] for step in group["steps"]]
    assert len(steps) == 3 and all(group["state"] == "done" and group["seconds"] > 0 for group in report["groups"])
    assert report["rollback"] == {
        "command": f"reconcile rollback {report['run']}",
        "irreversible": ["s.column.public.notes.old"],
        "by_hand": [],
    }
    assert "| `s.table.public.notes` | rows | 3 | 3 | 100 % |" in markdown
    assert f"`reconcile rollback {report['run']}`" in markdown and "deletes-data" in markdown
    assert "| changes | 2 to add, 1 to drop |" in markdown
    tags = _Tags()
    tags.feed(page)
    assert not tags.open and "done in" in page and 'style="--share:100%"' in page
    assert folder.command("show", "2", "--format", "markdown").stdout == markdown
    assert folder.command("show", report["run"][:6], "--format", "html").stdout == page
    shown = folder.command("show", report["run"], "--plan").stdout
    assert shown.startswith("reconcile plan · trial") and "s.index.public.notes_lang" in shown
    pages = folder.path / "pages"
    pages.mkdir()
    folder.command("history", "--pages", str(pages))
    assert (pages / "run-0002.md").read_text() == markdown
    assert "| [2](run-0002.md) |" in (pages / "README.md").read_text()
    assert "schema version 2026.11 since" in folder.command("status").stdout
    entry = json.loads(folder.command("history", "--format", "json").stdout)[0]
    assert entry["schema_versions"] == {"s": "2026.11"} and entry["summary"]["drop"] == 1


def test_a_run_that_stops_has_a_report_too(folder: Folder) -> None:
    folder.settings["hooks"] = {"before_contract": [{"command": ["sh", "-c", "test -e mended"]}]}
    report, markdown, _ = reports(folder.declare())
    assert report["outcome"] == "stopped" and "hook before_contract" in report["message"]
    assert [group["state"] for group in report["groups"]] == ["done", "done", "not begun"]
    assert "Go on with it once the cause is gone: `reconcile apply --resume`" in markdown
    with psycopg.connect(folder.stores["s"]["url"]) as connection:
        connection.execute("DELETE FROM notes WHERE id = 1")
    (folder.path / "mended").touch()
    again: list[Any] = []
    workflow.resume(folder.load(), on_report=again.append)
    assert again[0]["outcome"] == "done" and again[0]["run"] == report["run"]
    assert (again[0]["counts"][0]["before"], again[0]["counts"][0]["after"]) == (3, 2)
    assert again[0]["counts"][0]["preserved"] == 0.6667


def test_lines_of_json(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "canary-secret")
    line = "echo password=canary-secret; test -e mended"
    folder.settings["hooks"] = {"after_expand": [{"command": ["sh", "-c", line]}]}
    stopped = folder.declare().command("apply", "--auto-approve", "--allow", "all", "--log-format", "json")
    events = [json.loads(line) for line in stopped.stderr.splitlines()]
    assert stopped.returncode == 3 and "canary-secret" not in stopped.stderr.replace(line, "")
    assert [e["event"] for e in events] == ["lock", "step_started", "step_done", "step_started", "step_done", "error"]
    assert events[-1]["exit_code"] == 3 and events[-1]["level"] == "error" and "--resume" in events[-1]["detail"]
    assert {(e["project"], e["environment"]) for e in events} == {("trial", "default")}
    assert events[2]["step"] == "s.column.public.notes.lang/1-add" and events[2]["phase"] == "expand"
    (folder.path / "mended").touch()
    done = folder.command("apply", "--resume", "--log-format", "json")
    last = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 0 and (last["event"], last["detail"], last["steps"]) == ("finished", "done", 1)


@pytest.mark.parametrize(
    ("option", "said"), [("report.pdf", "ends with none of"), ("missing/report.md", "there is no folder")]
)
def test_a_report_that_cannot_be_is_refused_before(option: str, said: str, folder: Folder) -> None:
    done = folder.command("apply", "--auto-approve", "--allow", "all", "--report", str(folder.path / option))
    assert done.returncode == 1 and said in done.stderr and len(folder.plan(allow=("all",)).steps) == 3


def test_a_run_that_is_not_there(folder: Folder) -> None:
    with pytest.raises(ReconcileError, match="there is no run 77"):
        workflow.shown(folder.load(), "77")
    assert folder.command("show", "77").returncode == 1


def test_a_ledger_of_the_first_version_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as old:
        for statement in TABLES:
            old.execute(statement.format(t=""))
        old.execute("INSERT INTO meta (key, value) VALUES ('schema_version', '1')")
        old.execute("INSERT INTO runs VALUES ('r1', 1, 'sha256:0', '{}', 'a', 1, 2, 'done', '')")
    ledger = open_file(path)
    assert ledger.version() == 1 and ledger.report("r1") is None and ledger.runs()[0].id == "r1"
    ledger.ensure()
    ledger.ensure()
    ledger.keep_report("r1", {"run": "r1"})
    assert (ledger.version(), ledger.report("r1"), ledger.runs()[0].id) == (2, {"run": "r1"}, "r1")
    newer = open_file(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ReconcileError, match="schema version 99"):
        newer.ensure()
