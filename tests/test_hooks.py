"""Hooks and notices around a run: when they are called, what they are told, and what their failure does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError, RefusedError
from reconcile.project import Project
from tests.projects import Folder

FIRST = "tables:\n  notes: {columns: {id: bigint, old: text}, primary_key: [id]}\n"
SECOND = "tables:\n  notes: {columns: {id: bigint, lang: text}, primary_key: [id]}\n"
"""A column more (expand) and a column less (contract)."""
MOMENTS = ("before", "before_expand", "after_expand", "before_contract", "after_contract", "after", "failure")
LOG = 'echo "$RECONCILE_MOMENT $RECONCILE_OUTCOME $RECONCILE_ENVIRONMENT $RECONCILE_RUN $*" >> log; echo noted'


def calls(line: str = LOG, **more: Any) -> list[dict[str, Any]]:
    return [{"command": ["sh", "-c", line], **more}]


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    """The first schema is applied; the second, which differs by two steps, is declared."""
    settings = {"ledger": {"file": "ledger.db"}, "contacts": ["#data-platform"]}
    folder = Folder(tmp_path, {"s": {"kind": "postgres", "url": postgres_database}}, settings)
    folder.declare(s=FIRST).apply("all")
    folder.settings["hooks"] = {moment: calls() for moment in MOMENTS}
    return folder.declare(s=SECOND)


def called(folder: Folder) -> list[str]:
    """The moments at which the hooks of the log were called."""
    log = folder.path / "log"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def columns(folder: Folder) -> set[str]:
    with psycopg.connect(folder.stores["s"]["url"]) as connection:
        rows = connection.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attnum > 0")
        return {str(name) for (name,) in rows if "." not in str(name)}


def test_every_moment_in_its_order(folder: Folder) -> None:
    shown = folder.command("plan", "--allow", "all").stdout
    assert "Note: hook before_contract: sh -c" in shown and "hook before_migrate" not in shown
    done = folder.command("apply", "--auto-approve", "--allow", "all")
    assert done.returncode == 0, done.stdout
    assert called(folder) == [*MOMENTS[:-1]]
    assert "hook after_contract: sh -c" in done.stdout and ": noted" in done.stdout
    run = workflow.history(folder.load())[0]["id"]
    assert (folder.path / "log").read_text().splitlines()[0].split() == ["before", "running", "default", run]
    assert folder.plan().hooks == (), "nothing is to do, so nothing is called"
    folder.apply()
    assert len(called(folder)) == len(MOMENTS) - 1


@pytest.mark.parametrize(
    ("moment", "left", "after_resume"),
    [
        ("before", {"id", "old"}, None),
        ("before_expand", {"id", "old"}, None),
        (
            "after_expand",
            {"id", "old", "lang"},
            ["before", "after_expand", "before_contract", "after_contract", "after"],
        ),
        ("before_contract", {"id", "old", "lang"}, ["before", "before_contract", "after_contract", "after"]),
        ("after_contract", {"id", "lang"}, ["before", "after_contract", "after"]),
    ],
)
def test_a_hook_that_fails_stops_the_run_there(
    moment: str, left: set[str], after_resume: list[str] | None, folder: Folder
) -> None:
    folder.settings["hooks"][moment] = calls(f"echo no such flag; test -e mended || exit 1; {LOG}")
    done = folder.declare().command("apply", "--auto-approve", "--allow", "all")
    said = done.stdout + done.stderr
    assert f"hook {moment}: sh -c" in said and "exit code 1: no such flag" in said
    assert columns(folder) == left
    at = MOMENTS.index(moment)
    assert called(folder) == [*MOMENTS[:at], "failure"]
    last = (folder.path / "log").read_text().splitlines()[-1].split()
    if after_resume is None:
        assert done.returncode == 1 and "nothing was changed" in said and last[1] == "undone"
        assert workflow.status(folder.load())["unfinished"] is None
        return
    assert done.returncode == 3 and "contacts: #data-platform" in said and last[1] == "stopped"
    (folder.path / "mended").touch()
    (folder.path / "log").unlink()
    workflow.resume(folder.load())
    assert called(folder) == after_resume and folder.plan().steps == ()


def test_the_last_hook_fails_when_all_is_done(folder: Folder) -> None:
    folder.settings["hooks"] = {"after": calls("exit 7"), "after_expand": calls("exit 8", on_failure="warn")}
    done = folder.declare().command("apply", "--auto-approve", "--allow", "all")
    assert done.returncode == 3 and "! hook after_expand: sh -c 'exit 8': exit code 8" in done.stdout
    assert "is done and recorded, but hook after: sh -c 'exit 7': exit code 7" in done.stderr
    assert workflow.status(folder.load())["unfinished"] is None and folder.plan().steps == ()


def test_a_hook_that_takes_too_long_is_killed_with_what_it_started(folder: Folder) -> None:
    folder.settings["hooks"] = {"before": calls("(sleep 2; touch late) & wait", timeout="1s")}
    with pytest.raises(ReconcileError, match="took longer than 1s"):
        folder.declare().apply("all")
    threading.Event().wait(1.5)
    assert not (folder.path / "late").exists() and columns(folder) == {"id", "old"}


def test_a_rollback_has_moments_of_its_own(folder: Folder) -> None:
    folder.declare(s=FIRST + "  more: {columns: {id: bigint}}\n").apply("all")
    run = workflow.history(folder.load())[0]["id"]
    (folder.path / "log").unlink()
    folder.settings["hooks"] |= {moment: calls() for moment in ("before_rollback", "after_rollback")}
    done = folder.declare().command("rollback", run, "--auto-approve", "--allow", "all")
    assert done.returncode == 0, done.stderr
    assert called(folder) == ["before_rollback", "before_contract", "after_contract", "after_rollback"]


def test_a_saved_plan_has_its_hooks(folder: Folder) -> None:
    saved = folder.plan(allow=("all",))
    folder.settings["hooks"]["before"] = calls("rm -rf somewhere-else")
    with pytest.raises(RefusedError, match=r"`hooks:` of reconcile.yaml moved"):
        workflow.apply(folder.declare().load(), saved)
    assert called(folder) == []


class Chat:
    """A real HTTP server on loopback that keeps what is posted."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                chat.posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()
    yield chat
    chat.close()


def test_people_are_told(folder: Folder, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT", f"http://127.0.0.1:{chat.server.server_port}/hooks/canary-secret")
    folder.settings["hooks"] = {"after_expand": calls("test -e mended")}
    folder.settings["notify"] = [
        {"webhook": "${CHAT}"},
        {"command": ["sh", "-c", 'cat >> told; echo "$RECONCILE_OCCASION" >> told'], "on": ["failure"]},
        {"webhook": "http://127.0.0.1:1/canary-secret", "on": ["success"]},
        {"webhook": "${NOT_SET}", "on": ["success"]},
    ]
    with pytest.raises(PartialError):
        folder.declare().apply("all")
    assert [notice["occasion"] for notice in chat.posted] == ["start", "failure"]
    assert "exit code 1" in chat.posted[1]["message"] and "#data-platform" in chat.posted[1]["text"]
    assert (folder.path / "told").read_text().endswith("failure\n")
    (folder.path / "mended").touch()
    chat.status = 500
    done = folder.command("apply", "--resume")
    assert done.returncode == 0, "what cannot be told stops nothing"
    assert [notice["occasion"] for notice in chat.posted[2:]] == ["start", "success"]
    assert "the webhook answered 500" in done.stdout and "(ConnectError)" in done.stdout
    assert "the environment variable NOT_SET" in done.stdout and "canary-secret" not in done.stdout


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hooks": {"befor": calls()}}, 'unknown key "befor" in "hooks"; did you mean "before"?'),
        ({"hooks": {"before": [{"command": []}]}}, "hooks.before"),
        ({"notify": [{"webhook": "https://a", "command": ["b"]}]}, "notify"),
        ({"notify": [{"webhook": "${no closing"}]}, "${ is not closed"),
        ({"contacts": ["${WHO}"]}, "references are read under stores: and notify:"),
    ],
)
def test_bad_settings_have_their_line(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"s": {"kind": "qdrant", "url": "http://x"}}, {"ledger": {"file": "l"}, **settings})
    with pytest.raises(ReconcileError) as caught:
        Project.load(folder.declare().path)
    assert said in str(caught.value) and "reconcile.yaml:" in str(caught.value), str(caught.value)
