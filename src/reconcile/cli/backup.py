"""`reconcile backup`, and `list`, `verify`, `prune` of what it made."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.render import backup as render
from reconcile.render import json_

to_option = click.option(
    "--to",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder of backups; default: `backup: {to: …}` of reconcile.yaml, else .reconcile/backups.",
)


def told(store: str, detail: str) -> None:
    """How far it has come, for who watches."""
    if sys.stderr.isatty():
        click.echo(f"{store}: {detail}", err=True)


@click.group("backup", invoke_without_command=True)
@click.option("--only", multiple=True, metavar="STORE", help="Only this store; repeatable.")
@to_option
@options.format_option("text", "json")
@click.pass_context
def command(ctx: click.Context, only: tuple[str, ...], to: Path | None, format_: str) -> int | None:
    """Save all stores into files; list, verify and prune what was saved.

    They go to a new folder, with a manifest; the stores are only read. PostgreSQL by pg_dump, Neo4j by an export
    through Bolt, Qdrant by snapshots, or each by a program of yours. What was written is looked into before it counts
    as a backup.
    """
    if ctx.invoked_subcommand is not None:
        if only or to or format_ != "text":
            raise click.UsageError(f"options go after the word {ctx.invoked_subcommand}.")
        return None
    from reconcile import workflow

    found = workflow.back_up(ctx.ensure_object(Invocation).project(), only, to, on_told=told)
    assert found.manifest is not None
    terminal.write(json_.render(found.manifest.to_json()) if format_ == "json" else render.made(found))
    return Exit.CLEAN


@command.command("list")
@to_option
@options.format_option("text", "json")
@pass_invocation
def list_(invocation: Invocation, to: Path | None, format_: str) -> None:
    """List the backups of this environment, newest first: age, size, state."""
    from reconcile import workflow

    project = invocation.project()
    there = workflow.list_backups(project, to)
    if format_ == "json":
        terminal.write(json_.render([workflow.backup_to_json(found, time.time()) for found in there]))
    else:
        terminal.write(render.table(there, str(workflow.backup_place(project, to))))


@command.command("verify")
@click.argument("name", required=False)
@to_option
@pass_invocation
def verify(invocation: Invocation, name: str | None, to: Path | None) -> int:
    """Compute every sha256 anew and look into each file, of one backup or of all; exits 2 with findings.

    NAME is that of a backup, `latest`, or its folder.
    """
    from reconcile import workflow

    project = invocation.project()
    asked = [workflow.chosen_backup(project, name, to)] if name else workflow.list_backups(project, to)
    wrong = 0
    for found in asked:
        if found.state == "under way":
            click.echo(f"{found.name}: under way")
            continue
        findings = workflow.verify_backup(found)
        wrong += len(findings)
        click.echo(f"{found.name}: {'as it was made' if not findings else 'cannot be relied on'}")
        for line in findings:
            click.echo(f"  {line}")
    if not asked:
        click.echo(f"No backups in {workflow.backup_place(project, to)}.")
    return Exit.FINDINGS if wrong else Exit.CLEAN


@command.command("prune")
@to_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def prune(invocation: Invocation, to: Path | None, yes: bool) -> int:
    """Remove backups older than `backup: {keep: …}`, and those that were never finished, after showing which.

    The newest complete one always stays.
    """
    from reconcile import workflow

    project = invocation.project()
    gone = workflow.outdated_backups(project, to)
    if not gone:
        click.echo(f"Nothing is older than {project.backup.keep}, and nothing incomplete.")
        return Exit.CLEAN
    terminal.write(render.table(gone, "To be removed:"))
    if not yes and not _answered(f"Remove {len(gone)}?"):
        click.echo("Nothing was removed.")
        return Exit.ERROR
    for found in gone:
        workflow.remove_backup(found)
    click.echo(f"Removed {len(gone)}.")
    return Exit.CLEAN


def _answered(question: str) -> bool:
    from reconcile.errors import ReconcileError

    if sys.stdin is None or not sys.stdin.isatty():
        raise ReconcileError("there is no terminal to ask on, and nothing was removed", hint="pass --yes")
    answer: str = click.prompt(f"{question} Only 'yes' goes on", default="no", show_default=False)
    return answer.strip().lower() in ("yes", "y")
