"""`reconcile init`: what it writes is a right project, and nothing of the user's is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile.cli import run
from reconcile.exits import Exit
from reconcile.project import Project
from reconcile.stores import kinds
from reconcile.validation import validate


@pytest.mark.parametrize("chosen", [(), *((kind,) for kind in kinds()), ("neo4j", "qdrant")])
def test_what_init_writes_is_right(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    options = [word for kind in chosen for word in ("--store", kind)]
    assert run(["init", "-C", str(tmp_path / "new project"), *options]) == Exit.CLEAN
    found = validate(tmp_path / "new project")
    assert found.name == "new-project"
    assert found.environments == ("development", "production")
    assert all(found.counts.values())
    assert len(found.counts) == (len(chosen) or len(kinds()))
    project = Project.load(tmp_path / "new project")
    assert (project.ledger.file is None) == (not chosen or "postgres" in chosen)


def test_init_never_writes_over_a_file_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/app.yaml").write_text("mine\n")
    assert run(["init", "-C", str(tmp_path)]) == Exit.ERROR
    assert "there is already schema/app.yaml; nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*.yaml")] == ["app.yaml"]
    assert run(["init", "-C", str(tmp_path), "--force", "--name", "on"]) == Exit.CLEAN
    assert validate(tmp_path).name == "on"


def test_init_adds_its_line_to_gitignore_once(tmp_path: Path) -> None:
    ignore = tmp_path / ".gitignore"
    ignore.write_text("*.log")
    for _ in range(2):
        assert run(["init", "-C", str(tmp_path), "--force"]) == Exit.CLEAN
    assert ignore.read_text() == "*.log\n.reconcile/\n"


def test_init_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["init", "-C", str(tmp_path / "file")]) == Exit.ERROR
    assert "cannot write the project" in capsys.readouterr().err
