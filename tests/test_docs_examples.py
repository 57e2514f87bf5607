"""The code in the documentation runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PROJECT = 'version: 1\nname: notes\nstores:\n  app: {kind: postgres, url: "${APP_DATABASE_URL}"}\n'
PROJECT += "default_environment: development\nenvironments: {development: {}}\n"
NOTES = "store: app\ntables:\n  notes:\n    columns: {id: {type: bigint, identity: always}, body: text}\n"


def blocks(page: str, language: str = "python") -> list[str]:
    """The code of a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)


def deploy(folder: Path) -> None:
    """The project that the pages speak of."""
    (folder / "deploy" / "schema").mkdir(parents=True)
    (folder / "deploy" / "reconcile.yaml").write_text(PROJECT)
    (folder / "deploy" / "schema" / "notes.yaml").write_text(NOTES)


def test_the_python_interface(
    tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the first load to no drift, and the errors by name."""
    deploy(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_DATABASE_URL", postgres_database)
    names: dict[str, object] = {}
    for block in blocks("python-api.md"):
        exec(compile(block, "python-api.md", "exec"), names)
    assert names["tables"] == ["app.table.public.notes"]
    assert "app.table.public.notes" in capsys.readouterr().out
    assert (tmp_path / "plan.json").exists()


def test_every_public_name_is_in_the_page() -> None:
    """A method that nobody can find is none."""
    from reconcile import api

    page = (DOCS / "python-api.md").read_text(encoding="utf-8")
    for one in (api.Project, api.Planned):
        for name in vars(one):
            if not name.startswith("_") and name not in one.__dataclass_fields__:
                assert f".{name}" in page, f"{one.__name__}.{name}"


def test_the_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's test passes in a test run of its own."""
    monkeypatch.delenv("APP_DATABASE_URL", raising=False)
    deploy(pytester.path)
    pytester.makepyfile(*blocks("testing.md"))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_every_fixture_is_in_the_page() -> None:
    """All that the plugin offers."""
    page = (DOCS / "testing.md").read_text(encoding="utf-8")
    source = (Path(__file__).parents[1] / "src/reconcile/sandbox/pytest_plugin.py").read_text(encoding="utf-8")
    for name in re.findall(r"@pytest\.fixture.*\ndef (\w+)", source):
        assert f"`{name}`" in page, name


def test_commands_in_the_text_of_operations_are_among_those_that_are_run() -> None:
    """Each with its options; RUN stands for what the shell puts there."""
    text = "\n".join(blocks("operations.md", "bash"))
    run = [set(line.replace('"$run"', "RUN").split()) for line in text.splitlines() if line.startswith("reconcile ")]
    page = re.sub(r"```.*?```", "", (DOCS / "operations.md").read_text(encoding="utf-8"), flags=re.S)
    named = re.findall(r"`(reconcile [^`]+)`", page)
    assert len(named) >= 5
    assert [command for command in named if not any(set(command.split()) <= words for words in run)] == []


def test_the_commands_of_operations(
    tmp_path: Path, make_postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in their order, in one shell that stops at the first that fails."""
    for name in ("APP", "STAGING", "PROD"):
        monkeypatch.setenv(f"{name}_DATABASE_URL", make_postgres_database())
    for text in blocks("operations.md", "yaml"):
        path = tmp_path / text.split()[1]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    commands = blocks("operations.md", "bash")
    assert sum(line.startswith("reconcile ") for block in commands for line in block.splitlines()) > 30
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(commands)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "done in" in (tmp_path / "production.html").read_text()
