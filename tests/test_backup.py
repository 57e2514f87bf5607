"""`reconcile backup` and `reconcile restore` over the three real stores."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import BlockedError, ReconcileError
from reconcile.sandbox.scratch import Neo4jDatabase, Scratch, postgres_database, wipe_qdrant
from reconcile.survey import open_ledger
from tests.backing import APP, Everything, destroy, everything, graph, http, project
from tests.projects import Folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, reconcile_sandbox: Scratch) -> Iterator[Folder]:
    """One project for all tests here, which leave the stores as they found them."""
    servers = reconcile_sandbox
    for name in ("neo4j", "qdrant"):
        servers.wipeable(name)
    graph_database = Neo4jDatabase(servers.neo4j_url, servers.neo4j_user, servers.neo4j_password)
    graph_database.wipe()
    wipe_qdrant(servers.qdrant_url)
    with postgres_database(servers.postgres_url) as url:
        settings = {"backup": {"to": "saved", "paths": ["schema"]}}
        made = project(tmp_path_factory.mktemp("backed"), url, graph_database, servers.qdrant_url, **settings)
        yield made
    graph_database.wipe()
    wipe_qdrant(servers.qdrant_url)


@pytest.fixture(scope="module")
def before(folder: Folder) -> Everything:
    """What the stores hold."""
    return everything(folder)


@pytest.fixture(scope="module")
def backup(folder: Folder, before: Everything) -> Path:
    """A complete backup of it."""
    made = folder.command("backup", "--format", "json")
    assert made.returncode == 0, made.stderr
    assert everything(folder) == before
    return folder.path / "saved" / "trial" / "default" / str(json.loads(made.stdout)["name"])


@pytest.fixture
def copy(backup: Path) -> Iterator[Path]:
    """The backup once more, to be spoiled."""
    other = backup.with_name("20000101T000000Z")
    shutil.copytree(backup, other)
    yield other
    shutil.rmtree(other, ignore_errors=True)


def test_the_manifest_says_all_and_no_secret(folder: Folder, backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    assert manifest["run"]["number"] == 1
    assert {s["kind"] for s in manifest["stores"].values()} == {"postgres", "neo4j", "qdrant"}
    counts = {k: v for s in manifest["stores"].values() for k, v in s["contents"]["counts"].items()}
    expected = {"table public.passages": 200, "label Passage": 300, "relationships": 4, "collection pairs": 2}
    assert expected.items() <= counts.items()
    assert manifest["paths"][0]["name"] == "paths/1-schema.tar.gz"
    for file in (f for f in backup.rglob("*") if f.is_file()):
        assert file.stat().st_mode & 0o777 == 0o600
    text = (backup / "manifest.json").read_text()
    passwords = [folder.stores["app"]["url"].split(":")[2].split("@")[0], folder.stores["graph"].get("password", "-")]
    assert not [p for p in passwords if len(p) > 3 and p in text]
    assert backup.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "saved" / ".gitignore").read_text() == "*\n"


@pytest.mark.usefixtures("backup")
def test_the_commands_of_the_page(folder: Folder, before: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in their order; the one that tries a restore has to tell of three stores that are equal."""
    page = (Path(__file__).parents[1] / "docs" / "backups.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, re.S)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    line = ["bash", "-euxc", "\n".join(blocks)]
    done = subprocess.run(line, cwd=folder.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("compared: equal") == 3
    assert "No changes" in done.stdout
    assert everything(folder) == before
    shutil.rmtree(workflow.chosen_backup(folder.load(), "latest").folder)


def test_what_was_destroyed_comes_back(folder: Folder, backup: Path, before: Everything) -> None:
    refused = folder.command("restore", backup.name, "--yes")
    assert refused.returncode == 1
    assert "not empty" in refused.stderr and "table public.passages" in refused.stderr
    assert "301 nodes" in refused.stderr and "collection pairs (2 points)" in refused.stderr
    assert everything(folder) == before
    destroy(folder)
    back = folder.command("restore", "latest", "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert everything(folder) == before
    assert not folder.plan().steps
    assert workflow.status(folder.load())["lock"] is None


@pytest.mark.usefixtures("backup")
def test_what_is_there_is_replaced(folder: Folder, before: Everything) -> None:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        connection.execute("DELETE FROM users; CREATE SCHEMA other; CREATE TABLE other.t (i int)")
        connection.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with graph(folder) as driver:
        driver.execute_query("MATCH (n {id: 5}) DETACH DELETE n CREATE (:Stray)")
    http(folder, "POST", "/collections/passages/points/delete?wait=true", {"points": [1]})
    back = folder.command("restore", "latest", "--replace", "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "schema other" in back.stdout
    assert everything(folder) == before


def test_a_spoiled_file_is_found_and_nothing_touched(folder: Folder, copy: Path, before: Everything) -> None:
    project = folder.load()
    for name in ("app/database.dump", "graph/nodes.jsonl.gz", "vectors/collection-1.snapshot"):
        whole = (copy / name).read_bytes()
        content = bytearray(whole)
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        found = workflow.chosen_backup(project, copy.name)
        assert workflow.verify_backup(found) == [f"{name}: another sha256 than when it was made"]
        with (
            pytest.raises(ReconcileError, match="cannot be relied on; nothing was changed"),
            workflow.restoring(project, found),
        ):
            pass
        (copy / name).write_bytes(whole)
    (copy / "app" / "database.dump").unlink()
    (copy / "app" / "stray").write_text("")
    verified = folder.command("backup", "verify", copy.name)
    assert verified.returncode == 2
    assert "app/database.dump: is missing\n  app/stray: is none of its files" in verified.stdout
    assert "damaged" in folder.command("backup", "list").stdout
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(
        manifest.replace('"public"', '"publik"').replace("table public.", "table publik.")
    )
    assert "it was altered" in (workflow.chosen_backup(project, copy.name).why or "")
    assert everything(folder) == before


def test_a_killed_backup_is_none(folder: Folder, backup: Path) -> None:
    saved = backup.parent
    with psycopg.connect(folder.stores["app"]["url"]) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")  # so that it does not come to its end
        process = folder.start("backup")
        while not list(saved.glob("*.partial/app/*")):
            assert process.poll() is None
            time.sleep(0.01)
        assert next(f.state for f in workflow.list_backups(folder.load())) == "under way"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert "incomplete" in folder.command("backup", "list").stdout
    assert workflow.chosen_backup(folder.load(), "latest").name == backup.name
    pruned = folder.command("backup", "prune", "--yes")
    assert "Removed 1." in pruned.stdout, pruned.stderr
    assert [f.name for f in saved.iterdir() if f.is_dir()] == [backup.name]


def test_old_ones_are_pruned(folder: Folder, backup: Path, copy: Path) -> None:
    manifest = workflow.chosen_backup(folder.load(), copy.name).manifest
    assert manifest is not None
    assert "Nothing is older" in folder.command("backup", "prune").stdout
    old = replace(manifest, name=copy.name, finished=manifest.finished - 8 * 86400)
    (copy / "manifest.json").write_text(json.dumps(old.to_json()))
    assert "no terminal" in folder.command("backup", "prune").stderr
    assert copy.name in folder.command("backup", "prune", "--yes").stdout
    assert not copy.exists() and backup.exists()


def test_a_folder_that_cannot_be_written_is_one_line(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReconcileError, match=r"^\S+: the backup cannot be written: Not a directory\n.*--to FOLDER$"):
        workflow.back_up(folder.load(), to=tmp_path / "file" / "inside")


def test_a_disk_that_is_full_leaves_nothing(folder: Folder, tmp_path: Path) -> None:
    """What one process may write into a file stands in for it."""
    limited = "ulimit -f 8; trap '' XFSZ; exec \"$@\""
    line = ["bash", "-c", limited, "-", *folder.line("backup", "--only", "app", "--to", str(tmp_path))]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the backup cannot be written: File too large" in done.stderr
    assert not list((tmp_path / "trial" / "default").iterdir())


def test_programs_that_are_too_old_or_missing_are_named(folder: Folder, tmp_path: Path) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        (fake / name).write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.3'\n")
        (fake / name).chmod(0o755)
    found = {fake: f": {fake}/pg_dump is 12.3\n", tmp_path: "\n"}
    for programs, seen in found.items():
        folder.stores["app"]["backup"] = {"programs": str(programs)}
        folder.declare()
        try:
            with pytest.raises(ReconcileError) as raised:
                workflow.back_up(folder.load(), ["app"])
        finally:
            del folder.stores["app"]["backup"]
            folder.declare()
        assert f"no pg_dump of version 18 or later is found{seen}" in str(raised.value)
        assert "postgresql-client-18" in str(raised.value)


def test_no_argument_holds_the_password(folder: Folder) -> None:
    """Seen from outside while pg_dump waits for a table."""
    password = folder.stores["app"]["url"].split(":")[2].split("@")[0]
    with psycopg.connect(folder.stores["app"]["url"]) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        process = folder.start("backup", "--only", "app")
        lines: list[str] = []
        while not any("--snapshot=" in line for line in lines):
            assert process.poll() is None
            lines = [text for p in Path("/proc").glob("[0-9]*/cmdline") if (text := _read(p))]
        os.kill(process.pid, signal.SIGINT)
        assert not [line for line in lines if password in line]
    process.communicate()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


# --- what changes the stores comes last ------------------------------------------------------------------------------


def test_policy_wants_one_and_an_apply_can_make_it(folder: Folder, backup: Path) -> None:
    folder.settings["policy"] = {"require_backup": {"within": "1h"}}
    folder.declare(app=APP.replace("score: float8", "score: float8, note: text"))
    verified = (backup / "verified.json").read_text()
    (backup / "verified.json").unlink()
    with pytest.raises(BlockedError, match=f"the files of backup {backup.name} are not verified") as refused:
        folder.apply()
    assert "reconcile apply --backup;" in str(refused.value)
    (backup / "verified.json").write_text(verified)
    folder.apply()
    assert f"backup {backup.name} of" in recorded(folder)["backup"]
    folder.declare(app=APP)
    own = folder.command("apply", "--auto-approve", "--backup", "--allow", "all")
    assert own.returncode == 0, own.stderr
    assert "before the first step: backup" in own.stdout
    newest = workflow.chosen_backup(folder.load(), "latest")
    assert newest.name != backup.name and newest.manifest is not None and newest.manifest.run is not None
    assert newest.manifest.run["outcome"] == "running"
    assert newest.manifest.reason.endswith(", before the first step")


def test_a_run_leaves_recovery_points(folder: Folder) -> None:
    folder.settings["backup"]["points"] = ["before", "expand"]
    before = len(workflow.list_backups(folder.load()))
    run = folder.declare(app=APP.replace("score: float8", "score: float8, note: text")).apply().run
    found = workflow.list_backups(folder.load())[:-before]
    assert [f.manifest.reason for f in found if f.manifest] == [
        f"run {run}, after expand",
        f"run {run}, before the first step",
    ]
    counts = [f.manifest.run["outcome"] for f in found if f.manifest and f.manifest.run]
    assert counts == ["running", "running"]
    folder.settings["backup"].update(points=["before"], paths=["gone"])
    with pytest.raises(ReconcileError, match="the backup before the first step could not be made: gone is not there"):
        folder.declare(app=APP).apply("all")
    assert "app.column.public.users.note" in folder.live()
    assert workflow.history(folder.load())[0]["outcome"] == "undone"
    del folder.settings["backup"]["points"], folder.settings["policy"]
    folder.settings["backup"]["paths"] = ["schema"]
    folder.declare()


def test_a_cloned_ledger_is_adopted(folder: Folder) -> None:
    url = folder.stores["app"]["url"]
    name = url.rpartition("/")[2]
    with psycopg.connect(url.replace(name, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_clone TEMPLATE {name}".encode())
        try:
            folder.stores["app"]["url"] = url + "_clone"
            folder.declare()
            with pytest.raises(ReconcileError, match=r"restore --adopt"):
                folder.plan()
            assert "no terminal" in folder.command("restore", "--adopt").stderr
            assert workflow.adopt(folder.load()) == []
            folder.plan()
        finally:
            folder.stores["app"]["url"] = url
            folder.declare()
            connection.execute(f"DROP DATABASE {name}_clone WITH (FORCE)".encode())


def recorded(folder: Folder) -> Any:
    """What the ledger has of the latest run's plan beside its steps."""
    ledger = open_ledger(folder.load())
    try:
        run = ledger.run(ledger.runs(1)[0].id)
    finally:
        ledger.close()
    assert run is not None
    return run.plan["observed"]
