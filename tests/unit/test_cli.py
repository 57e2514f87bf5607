"""The command line itself: help, usage errors, exit codes, what is imported. No server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.unit import plan_json

from reconcile.cli import COMMANDS, context, root, run
from reconcile.cli.failure import report
from reconcile.errors import PartialError, Problem, ProjectError, ReconcileError, RefusedError
from reconcile.exits import Exit
from reconcile.model import Source
from reconcile.plan import canonical_json

Capture = pytest.CaptureFixture[str]


def command(name: str) -> click.Command:
    """The loaded command."""
    found = root.get_command(click.Context(root), name)
    assert found is not None
    return found


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    """A saved plan."""
    path = tmp_path / "plan.json"
    path.write_text(canonical_json(plan_json.rich()))
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_is_right(name: str) -> None:
    """What `reconcile --help` says of a command is what the command says of itself."""
    assert command(name).get_short_help_str(200).rstrip(".") == COMMANDS[name].rstrip(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: Capture) -> None:
    """With the two global options, except for groups."""
    assert run([name, "--help"]) == Exit.CLEAN
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: reconcile {name}")
    assert isinstance(command(name), click.Group) or ("--directory" in shown and "--environment" in shown)


def test_every_module_is_in_the_table() -> None:
    """A new file with a command is listed."""
    folder = Path(context.__file__).parent
    modules = {p.stem.rstrip("_") for p in folder.glob("*.py") if "\ncommand = " in p.read_text()}
    modules |= {p.stem.rstrip("_") for p in folder.glob("*.py") if "\ndef command(" in p.read_text()}
    assert modules == set(COMMANDS)


def test_help_has_the_table_of_exit_codes(capsys: Capture) -> None:
    """One table for the whole tool."""
    assert run(["--help"]) == Exit.CLEAN
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{int(code)} {code.meaning}" in shown for code in Exit)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["plna"],
        ["plan", "--no-such-option"],
        ["plan", "--format", "html"],
        ["plan", "--write", "html=x"],
        ["show"],
        ["apply", "plan.json", "--only", "x"],
        ["apply", "--resume", "--expect", "123456789012"],
        ["forget"],
    ],
)
def test_usage_errors_exit_1(arguments: list[str], capsys: Capture) -> None:
    """Click's own 2 would read as "drift found" in a pipeline."""
    assert run(arguments) == Exit.ERROR
    assert "Usage:" in capsys.readouterr().err


def test_a_mistyped_command_gets_a_suggestion(capsys: Capture) -> None:
    """By the nearest name."""
    run(["plna"])
    assert 'did you mean "plan"?' in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-C", "{0}", "validate"], ["validate", "-C", "{0}"]])
def test_global_options_stand_before_or_after(arguments: list[str], tmp_path: Path, capsys: Capture) -> None:
    """People type `reconcile plan -e staging`."""
    assert run([a.format(tmp_path) for a in arguments]) == Exit.ERROR
    assert str(tmp_path) in capsys.readouterr().err


def test_version_is_printed(capsys: Capture) -> None:
    """By option and by command, alike."""
    run(["--version"])
    first = capsys.readouterr().out
    run(["version"])
    assert first == capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReconcileError("what", where="app", hint="do this"), Exit.ERROR),
        (PartialError("stopped"), Exit.PARTIAL),
        (RefusedError("later"), Exit.REFUSED),
        (ZeroDivisionError("oops"), Exit.ERROR),
    ],
)
def test_errors_have_their_exit_code(error: Exception, code: Exit, capsys: Capture) -> None:
    """A bug says that it is one, without a traceback."""
    assert report(error) == code
    shown = capsys.readouterr().err
    assert shown.startswith("Error: ")
    assert "Traceback" not in shown
    assert ("this is a bug" in shown) == isinstance(error, ZeroDivisionError)


def test_problems_begin_with_their_place(capsys: Capture) -> None:
    """So that an editor can jump there."""
    report(ProjectError([Problem("bad", where=Source("a.yaml", 2, 3), hint="use good")]))
    assert capsys.readouterr().err == "a.yaml:2:3: bad; use good\nError: 1 problem in the project's files\n"


def test_passwords_are_masked_in_any_error(capsys: Capture) -> None:
    """Also in those nobody expected."""
    report(RuntimeError("cannot parse postgresql://u:geheim@h/d"))
    assert "geheim" not in capsys.readouterr().err


def test_a_traceback_is_there_for_the_asking(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """For bug reports."""
    monkeypatch.setenv("RECONCILE_TRACEBACK", "1")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        report(error)
    assert "Traceback" in capsys.readouterr().err


def test_show_needs_no_project(plan_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any folder, in every format, also into files."""
    monkeypatch.chdir(plan_file.parent)
    assert run(["show", str(plan_file), "--write", "script=plan.sh", "--write", "markdown=plan.md"]) == Exit.CLEAN
    assert "Plan: 1 to add" in capsys.readouterr().out
    assert (plan_file.parent / "plan.sh").read_text().startswith("#!/bin/sh")
    assert run(["show", str(plan_file), "--format", "json"]) == Exit.CLEAN
    assert json.loads(capsys.readouterr().out) == plan_json.rich()


def test_show_refuses_a_changed_plan(plan_file: Path, capsys: Capture) -> None:
    """The digest covers what would be run."""
    plan_file.write_text(plan_file.read_text().replace("CREATE TABLE", "DROP TABLE"))
    assert run(["show", str(plan_file)]) == Exit.ERROR
    assert "changed after it was written" in capsys.readouterr().err


def test_graph_draws_a_saved_plan(plan_file: Path, capsys: Capture) -> None:
    """Without stores."""
    assert run(["graph", str(plan_file)]) == Exit.CLEAN
    assert capsys.readouterr().out.startswith("flowchart LR\n")


def test_colour_can_be_forced_and_forbidden(plan_file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR and NO_COLOR, the latter winning; a pipe has none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    run(["show", str(plan_file)])
    assert "\x1b[" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(["show", str(plan_file)])
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    run(["show", str(plan_file)])
    assert "\x1b[" not in capsys.readouterr().out


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter."""
    source = str(Path(context.__file__).parents[2])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": source, **environment},
    )


def test_help_imports_no_driver() -> None:
    """What makes it quick; `bench/plan_example.py` has the figure."""
    heavy = ("psycopg", "neo4j", "qdrant_client", "rich", "jsonschema", "deepdiff", "sqlglot", "yaml", "tenacity")
    code = (
        "import sys\nfrom reconcile.cli import run\nassert run(['--help']) == 0\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    assert python("-c", code).stderr.strip() == "[]"


def test_a_reader_that_goes_away_is_no_error_message(plan_file: Path) -> None:
    """`reconcile show plan.json | head -1`."""
    program = f"{sys.executable} -c 'from reconcile.cli import main; main()' show {plan_file} | true"
    source = str(Path(context.__file__).parents[2])
    done = subprocess.run(
        ["sh", "-c", program], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": source}
    )
    assert done.stderr == ""


def test_an_ascii_terminal_gets_all_it_can_show(plan_file: Path) -> None:
    """Whatever the locale says, output does not end in an encoding error."""
    code = f"import sys; sys.argv[1:] = ['show', {str(plan_file)!r}]; from reconcile.cli import main; main()"
    done = python("-c", code, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Plan: 1 to add" in done.stdout
