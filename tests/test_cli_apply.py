"""The command line against a real server: exit codes, the question, saved plans, the ledger's commands."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[1]
PROJECT = "version: 1\nname: shop\nstores:\n  app: {kind: postgres, url: '${SHOP_URL}'}\n"
NOTES = """\
store: app
tables:
  notes:
    columns: {id: {type: bigint, not_null: true}, body: text}
    primary_key: [id]
"""
MORE = NOTES + "    indexes: {notes_body_idx: {columns: [body]}}\n"

Reconcile = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one table."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "reconcile.yaml").write_text(PROJECT)
    (tmp_path / "schema" / "notes.yaml").write_text(NOTES)
    return tmp_path


@pytest.fixture
def reconcile(project: Path, postgres_database: str) -> Reconcile:
    """Runs the command in the project; `answer` is typed on a terminal of its own."""
    program = [sys.executable, "-c", "from reconcile.cli import main; main()"]
    environment = {**os.environ, "SHOP_URL": postgres_database, "PYTHONPATH": str(ROOT / "src")}

    def run(*arguments: str, answer: str | None = None) -> subprocess.CompletedProcess[str]:
        if answer is None:
            return subprocess.run(
                [*program, *arguments],
                cwd=project,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        ours, theirs = pty.openpty()
        os.write(ours, f"{answer}\n".encode())
        try:
            return subprocess.run(
                [*program, *arguments],
                cwd=project,
                env=environment,
                stdin=theirs,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)

    return run


def test_plan_says_2_only_when_asked_and_only_with_steps(reconcile: Reconcile) -> None:
    """0 otherwise, whatever it found."""
    assert reconcile("plan").returncode == 0
    assert reconcile("plan", "--detailed-exitcode").returncode == 2
    assert reconcile("apply", "--auto-approve").returncode == 0
    done = reconcile("plan", "--detailed-exitcode")
    assert (done.returncode, "No changes." in done.stdout) == (0, True)


def test_apply_asks_and_only_yes_goes_on(reconcile: Reconcile) -> None:
    """The question has counts; a refusal is exit 1 and leaves the store alone."""
    refused = reconcile("apply", answer="no")
    assert refused.returncode == 1
    assert "This will create 1 table in app." in refused.stdout
    assert "Nothing was changed." in refused.stdout
    assert reconcile("plan", "--detailed-exitcode").returncode == 2
    agreed = reconcile("apply", answer="yes")
    assert agreed.returncode == 0, agreed.stderr
    assert "Applied 1 step" in agreed.stdout


def test_a_shared_environment_asks_for_its_name(reconcile: Reconcile, project: Path) -> None:
    """A yes is not enough."""
    (project / "reconcile.yaml").write_text(PROJECT + "environments: {production: {shared: true}}\n")
    refused = reconcile("apply", answer="yes")
    assert (refused.returncode, "Nothing was changed." in refused.stdout) == (1, True)
    assert "Only the name of the environment goes on" in refused.stdout
    agreed = reconcile("apply", answer="production")
    assert agreed.returncode == 0, agreed.stderr


def test_what_is_held_is_released_after_a_question_of_its_own(reconcile: Reconcile, project: Path) -> None:
    """The plan of an apply says what it holds back; status and every plan go on saying it."""
    (project / "reconcile.yaml").write_text(PROJECT + "environments: {production: {shared: true}}\n")
    assert reconcile("apply", "--auto-approve").returncode == 0
    (project / "schema" / "notes.yaml").write_text(NOTES.replace(", body: text", ", lang: text"))
    done = reconcile("apply", "--auto-approve")
    assert done.returncode == 0, done.stderr
    assert "Held until released" in done.stdout
    assert "app.column.public.notes.body" in reconcile("status").stdout
    refused = reconcile("release", "app.column.public.notes.body", answer="production")
    assert (refused.returncode, "--allow breaks-clients=app.column" in refused.stderr) == (1, True)
    released = reconcile("release", "*", "--allow", "all", answer="production")
    assert released.returncode == 0, released.stderr
    assert "Held" not in reconcile("status").stdout


def test_apply_without_a_terminal_needs_auto_approve(reconcile: Reconcile) -> None:
    """A pipeline that forgot it stops before anything happens."""
    done = reconcile("apply")
    assert done.returncode == 1
    assert "--auto-approve" in done.stderr
    assert reconcile("plan", "--detailed-exitcode").returncode == 2


def test_a_saved_plan_is_applied_as_it_is_and_once(reconcile: Reconcile, project: Path) -> None:
    """Without a question; the second time its objects have moved: 4."""
    assert reconcile("plan", "--out", "plan.json", "--write", "markdown=plan.md").returncode == 0
    assert (project / "plan.md").read_text().startswith("<!-- reconcile:shop/default -->")
    (project / "schema" / "notes.yaml").write_text(MORE)
    done = reconcile("apply", "plan.json")
    assert done.returncode == 0, done.stderr
    assert "notes_body_idx" not in done.stdout
    again = reconcile("apply", "plan.json")
    assert again.returncode == 4
    assert "stale" in again.stderr
    assert reconcile("show", "plan.json").returncode == 0


def test_an_unexpected_digest_is_refused(reconcile: Reconcile) -> None:
    """4: plan and approve again."""
    assert reconcile("apply", "--auto-approve", "--expect", "0" * 12).returncode == 4
    digest = reconcile("plan").stdout.split("Digest ")[1][:12]
    assert reconcile("apply", "--auto-approve", "--expect", digest).returncode == 0


def test_what_is_blocked_is_not_even_asked(reconcile: Reconcile, project: Path, postgres_database: str) -> None:
    """A drop needs its hazard allowed; the refusal has the option to paste."""
    assert reconcile("apply", "--auto-approve").returncode == 0
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO notes VALUES (1, 'a')")
    (project / "schema" / "notes.yaml").write_text("store: app\n")
    done = reconcile("apply", answer="yes")
    assert done.returncode == 1
    assert "This will" not in done.stdout
    assert "--allow breaks-clients=app.table.public.notes" in done.stderr
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)


def test_drift_is_found_and_undone_only_expressly(reconcile: Reconcile, postgres_database: str) -> None:
    """2 while it is there."""
    reconcile("apply", "--auto-approve")
    assert reconcile("drift").returncode == 0
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("ALTER TABLE notes ALTER COLUMN body SET DEFAULT 'x'")
    found = reconcile("drift")
    assert found.returncode == 2
    assert "app.column.public.notes.body" in found.stdout
    for format_ in ("json", "markdown"):
        assert reconcile("drift", "--format", format_).returncode == 2
    assert reconcile("apply", "--auto-approve").returncode == 1
    undone = reconcile("apply", "--auto-approve", "--allow", "reverts-drift", "--allow", "breaks-clients")
    assert undone.returncode == 0, undone.stderr
    assert reconcile("drift").returncode == 0


def test_the_ledgers_commands(reconcile: Reconcile) -> None:
    """Before the first apply, and after it."""
    assert "Nothing is recorded yet" in reconcile("status").stdout
    assert "No runs yet." in reconcile("history").stdout
    reconcile("apply", "--auto-approve")
    status = reconcile("status").stdout
    assert "4 addresses recorded" in status
    assert "Lock: free" in status
    assert "done" in reconcile("history").stdout
    assert reconcile("unlock", "nobody").returncode == 1
    assert reconcile("apply", "--resume").returncode == 1
    assert reconcile("apply", "--abandon", "nobody").returncode == 1
    assert "forgot app.table.public.notes" in reconcile("forget", "app.table.public.notes").stdout
    assert reconcile("forget", "app.table.public.nothing").returncode == 1


def test_import_names_what_it_leaves_out(reconcile: Reconcile, project: Path, postgres_database: str) -> None:
    """2, and on stderr; files are not written over."""
    reconcile("apply", "--auto-approve")
    assert reconcile("import", "--out", "one").returncode == 0
    assert reconcile("import", "--out", "one").returncode == 1
    assert reconcile("import", "--out", "one", "--force").returncode == 0
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("CREATE TEXT SEARCH CONFIGURATION f (COPY = english)")
    done = reconcile("import", "--out", "two")
    assert done.returncode == 2
    assert "not modelled: app.text_search_configuration.public.f" in done.stderr
    assert any((project / "two").iterdir())


def test_an_unreachable_store_is_an_error_without_its_password(project: Path) -> None:
    """Whatever the driver puts into its message."""
    environment = {**os.environ, "SHOP_URL": "postgresql://u:geheim@127.0.0.1:1/x", "PYTHONPATH": str(ROOT / "src")}
    program = [sys.executable, "-c", "from reconcile.cli import main; main()", "plan"]
    done = subprocess.run(program, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "geheim" not in done.stderr
    assert "Traceback" not in done.stderr
