"""`reconcile restore`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconcile.cli.backup import to_option, told
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.errors import ReconcileError
from reconcile.exits import Exit

if TYPE_CHECKING:
    from reconcile.project import Project
    from reconcile.workflow.restore import Restoring


@click.command("restore")
@click.argument("name", required=False)
@click.option("--only", multiple=True, metavar="STORE", help="Only this store; repeatable.")
@click.option("--test", is_flag=True, help="Restore into scratch places, compare with the manifest, remove them.")
@click.option("--replace", is_flag=True, help="Take away first what the stores hold; it is shown, and you are asked.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Restore a backup of another environment. Without NAME: make the ledger that came with restored or cloned "
    "stores this environment's.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@to_option
@pass_invocation
def command(
    invocation: Invocation,
    name: str | None,
    only: tuple[str, ...],
    test: bool,
    replace: bool,
    adopt: bool,
    yes: bool,
    to: Path | None,
) -> int:
    """Put a backup back, or try it in scratch places.

    NAME is that of a backup, `latest`, or its folder. Its files are verified first. Stores that hold something are
    refused without --replace; what was restored is compared with the manifest. The ledger restored with them is this
    environment's from then on.
    """
    from reconcile import workflow

    if name is None and not adopt:
        raise click.UsageError("NAME is missing: see `reconcile backup list`.")
    if test and (replace or adopt):
        raise click.UsageError("--test changes no store: it goes with NAME, --only and --to alone.")
    project = invocation.project()
    if name is None:
        _agreed(project, "the ledger of these stores becomes this environment's", yes)
        _notes(workflow.adopt(project))
        click.echo(f"The ledger is {project.environment}'s now. `reconcile plan` shows what is left to do.")
        return Exit.CLEAN
    found = workflow.chosen_backup(project, name, to)
    if test:
        return _tried(workflow.try_restore(project, found, only, told))
    with workflow.restoring(project, found, only, adopt) as asked:
        if not replace:
            workflow.refuse_held(asked)
        _shown(asked)
        _agreed(project, f"{found.name} is restored into {project.environment}", yes)
        notes = workflow.restore(asked, replace, told)
    _notes(notes)
    click.echo(f"Restored {', '.join(asked.stores)} from {found.name}; counted and compared with its manifest.")
    click.echo("`reconcile plan` shows what differs from the project's files.")
    return Exit.CLEAN


def _tried(findings: dict[str, list[str] | None]) -> int:
    for store, lines in findings.items():
        if lines is None:
            click.echo(f"{store}: saved by a program, which is not tried")
            continue
        click.echo(f"{store}: {'restored into a scratch place and compared: equal' if not lines else 'differs'}")
        for line in lines:
            click.echo(f"  {line}")
    return Exit.FINDINGS if any(findings.values()) else Exit.CLEAN


def _shown(asked: Restoring) -> None:
    from reconcile import workflow

    for store, held in asked.held.items():
        click.echo(f"{store} loses what it holds: {workflow.held_shown(held)}")


def _notes(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _agreed(project: Project, what: str, yes: bool) -> None:
    """Ask, as `apply` does: for the environment's name where the policy wants that.

    Raises:
        ReconcileError: there is no terminal to ask on, or the answer was no.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise ReconcileError("there is no terminal to ask on, and nothing was changed", hint="pass --yes")
    named = project.policy.confirm == "environment"
    wanted = project.environment if named else "yes"
    word = "the name of the environment" if named else "'yes'"
    answer: str = click.prompt(f"{what}. Only {word} goes on", default="no", show_default=False)
    if answer.strip() != wanted:
        raise ReconcileError("nothing was changed: the answer was no")
