"""`reconcile validate`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconcile.cli import terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit

if TYPE_CHECKING:
    from reconcile.errors import Problem
    from reconcile.validation import Validated


@click.command("validate")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
@pass_invocation
def command(invocation: Invocation, format_: str) -> int:
    """Check the project's files; needs no server and no environment variable.

    Without -e every environment is checked. All problems are listed at once, with file, line and column; on
    GitHub they become annotations too.
    """
    from reconcile.errors import ProjectError
    from reconcile.validation import problem_to_json, validate

    try:
        found = validate(invocation.directory, invocation.environment)
    except ProjectError as error:
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for problem in error.problems:
                click.echo(_annotation(problem, invocation.directory), err=True)
        if format_ != "json":
            raise
        problems = [problem_to_json(problem) for problem in error.problems]
        terminal.write(json.dumps({"valid": False, "problems": problems}, indent=2, ensure_ascii=False))
        return Exit.ERROR
    if format_ == "json":
        terminal.write(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        terminal.write(_summary(found))
    return Exit.CLEAN


def _summary(found: Validated) -> str:
    from reconcile.render import words

    kinds: dict[str, int] = {}
    for counts in found.counts.values():
        for kind, count in counts.items():
            kinds[kind] = kinds.get(kind, 0) + count
    parts = [words.counted(len(found.counts), "store")]
    parts += [f"{count} {words.kind(kind, count)}" for kind, count in kinds.items()]
    return f"Valid: {', '.join(parts)}; {_checked(found.environments)}."


def _checked(names: tuple[str, ...]) -> str:
    return f"environment{'s' * (len(names) != 1)} {', '.join(names)}"


def _annotation(problem: Problem, directory: Path) -> str:
    """A GitHub workflow command; the file as the repository has it."""
    from reconcile.model import Source

    text = f"{problem.what}; {problem.hint}" if problem.hint else problem.what
    where = problem.where
    place = (
        f" file={_escaped((directory / where.file).as_posix())},line={where.line},col={where.column}"
        if isinstance(where, Source)
        else ""
    )
    return f"::error{place}::{_escaped(text, data=True)}"


def _escaped(text: str, *, data: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if data else text.replace(":", "%3A").replace(",", "%2C")
