"""`reconcile backfill`."""

from __future__ import annotations

import click

from reconcile.cli import options, running, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit


@click.group("backfill")
def command() -> None:
    """List backfills, try one without writing, run it, run it again, take it back.

    Backfills are declared in schema files, and `reconcile apply` runs those that are pending.
    """


@command.command("list")
@options.format_option("text", "json")
@pass_invocation
def list_(invocation: Invocation, format_: str) -> None:
    """List them: pending, running or done, with what they did."""
    from reconcile import workflow
    from reconcile.render import backfill, json_

    found = workflow.backfills(invocation.project())
    terminal.write(json_.render(found) if format_ == "json" else backfill.listing(found))


@command.command("run")
@click.argument("name", metavar="NAME|ADDRESS")
@click.option("--dry-run", is_flag=True, help="Count, classify and estimate only; show a sample; write nothing.")
@click.option("--sample", type=int, default=5, show_default=True, help="Rows that --dry-run shows.")
@click.option(
    "--allow",
    multiple=True,
    metavar="HAZARD[=GLOB]",
    help="Permit a hazard, everywhere or at matching addresses; 'all' permits any. Repeatable.",
)
@running.options
@pass_invocation
def run(
    invocation: Invocation, name: str, dry_run: bool, sample: int, allow: tuple[str, ...], how: running.Running
) -> int:
    """Run one that is pending, with what it depends on: `apply --only` of its address."""
    from reconcile import planfile, workflow
    from reconcile.render import backfill

    project = invocation.project()
    address = str(workflow.chosen(project.desired(), name).address)
    if dry_run:
        terminal.write(backfill.preview(workflow.preview(project, address, sample)))
        return Exit.CLEAN
    plan = workflow.plan(project, options.options((address,), (), "none", allow))
    terminal.write(options.render(planfile.to_json(plan), "text"))
    return running.carry_out(project, plan, how)


@command.command("redo")
@click.argument("name", metavar="NAME|ADDRESS")
@click.option("--reason", required=True, metavar="TEXT", help="Kept in the ledger.")
@pass_invocation
def redo(invocation: Invocation, name: str, reason: str) -> None:
    """Let one that is done run again with the next apply."""
    from reconcile import workflow

    address = workflow.redo(invocation.project(), name, reason)
    click.echo(f"{address} is pending again. Run it: reconcile backfill run {address.parts[-1]}")


@command.command("down")
@click.argument("name", metavar="NAME|ADDRESS")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@pass_invocation
def down(invocation: Invocation, name: str, auto_approve: bool) -> int:
    """Take one back, as its `down` says. It is pending then: take it out of the YAML, or the next apply runs it."""
    from reconcile import workflow

    project = invocation.project()
    address = workflow.chosen(project.desired(), name).address
    if not auto_approve and not click.confirm(f"Take back {address}?"):
        click.echo("Nothing was changed.")
        return Exit.ERROR
    changed = workflow.down(project, str(address))
    click.echo(f"{changed} rows changed back. {address} is pending again, as long as it is declared.")
    return Exit.CLEAN
