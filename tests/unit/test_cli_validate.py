"""`reconcile validate`: offline, all problems at once, for people, machines and GitHub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconcile import starter
from reconcile.cli import run
from reconcile.exits import Exit
from reconcile.stores import kinds


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    starter.write(tmp_path, name="begun")
    return tmp_path


def break_it(project: Path) -> None:
    path = project / "schema/app.yaml"
    path.write_text(path.read_text().replace("not_null: true}", "notnull: true}", 1))


def test_a_right_project_is_counted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-C", str(project)]) == Exit.CLEAN
    out = capsys.readouterr().out
    assert out.startswith(f"Valid: {len(kinds())} stores, 1 extension, 1 table, 6 columns, ")
    assert out.endswith("; environments development, production.\n")


def test_machines_get_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-C", str(project), "-e", "production", "--format", "json"]) == Exit.CLEAN
    found = json.loads(capsys.readouterr().out)
    assert (found["valid"], found["environments"], found["problems"]) == (True, ["production"], [])
    assert found["resources"]["app"]["column"] == 6
    break_it(project)
    assert run(["validate", "-C", str(project), "--format", "json"]) == Exit.ERROR
    found = json.loads(capsys.readouterr().out)
    assert not found["valid"]
    assert found["problems"] == [
        {
            "file": "schema/app.yaml",
            "line": 10,
            "column": 32,
            "what": 'unknown key "notnull" in column "path"',
            "hint": 'did you mean "not_null"?',
        }
    ]


def test_a_wrong_project_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_it(project)
    assert run(["validate", "-C", str(project)]) == Exit.ERROR
    err = capsys.readouterr().err
    assert 'schema/app.yaml:10:32: unknown key "notnull" in column "path"; did you mean "not_null"?\n' in err


def test_github_gets_annotations(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.chdir(project.parent)
    break_it(project)
    assert run(["validate", "-C", project.name]) == Exit.ERROR
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("::error"))
    assert line == (
        f"::error file={project.name}/schema/app.yaml,line=10,col=32::"
        'unknown key "notnull" in column "path"; did you mean "not_null"?'
    )


def test_every_environment_is_checked_and_the_first_problem_told_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "reconcile.yaml"
    path.write_text(path.read_text().replace("variables: {hnsw_m: 16}", "").replace("{hnsw_m: 32}", "{hnsw_m: x}"))
    assert run(["validate", "-C", str(project)]) == Exit.ERROR
    err = capsys.readouterr().err
    assert 'there is no variable "hnsw_m"' in err
    assert run(["validate", "-C", str(project), "-e", "production"]) in (Exit.CLEAN, Exit.ERROR)
    assert "there is no variable" not in capsys.readouterr().err


def test_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-C", str(tmp_path)]) == Exit.ERROR
    assert "reconcile init" in capsys.readouterr().err


def test_a_right_project_needs_no_driver_and_no_jsonschema(project: Path) -> None:
    code = (
        "import sys; from reconcile.validation import validate; from pathlib import Path\n"
        f"validate(Path({str(project)!r}))\n"
        "heavy = {'psycopg', 'neo4j', 'qdrant_client', 'jsonschema', 'rich', 'deepdiff', 'sqlglot'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
