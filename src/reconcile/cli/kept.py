"""`reconcile kept`."""

from __future__ import annotations

import json

import click

from reconcile.cli import options, running, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit


@click.group("kept")
def command() -> None:
    """List what removals kept, bring it back, delete it for good.

    A table or column that holds data is not deleted when it is no longer declared, unless the plan was told so with
    `--allow deletes-data`: it is put aside under another name, until it is restored, rolled back or purged.
    """


@command.command("list")
@options.format_option("text", "json")
@pass_invocation
def list_(invocation: Invocation, format_: str) -> int:
    """List what is kept, the oldest first, with its size and the run that put it aside."""
    from reconcile import workflow
    from reconcile.render import kept

    rows = workflow.kept_list(invocation.project())
    terminal.write(json.dumps(rows, indent=1) + "\n" if format_ == "json" else kept.render(rows))
    return Exit.CLEAN


@command.command("restore")
@click.argument("address")
@click.option(
    "--allow",
    multiple=True,
    metavar="HAZARD[=GLOB]",
    help="Permit a hazard, everywhere or at matching addresses; 'all' permits any. Repeatable.",
)
@running.options
@pass_invocation
def restore(invocation: Invocation, address: str, allow: tuple[str, ...], how: running.Running) -> int:
    """Bring something back, with what was taken off it: foreign keys, triggers, NOT NULL, as a plan like any other.

    It is held then, as what was rolled back: plans leave it alone until its YAML differs or `reconcile release`.
    """
    from reconcile import planfile, workflow

    project = invocation.project()
    plan = workflow.bring_back(project, address, allow=allow)
    terminal.write(options.render(planfile.to_json(plan), "text"))
    return running.carry_out(project, plan, how)


@command.command("purge")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS|NAME]...")
@click.option("--older-than", metavar="DURATION", help="Only what has been kept for longer: 30d.")
@running.options
@pass_invocation
def purge(invocation: Invocation, addresses: tuple[str, ...], older_than: str | None, how: running.Running) -> int:
    """Delete what is kept, for good, after showing it and asking.

    What is meant is named by its address (globs), by the name it is kept under, or by its age.
    """
    from reconcile import planfile, workflow
    from reconcile.machine import seconds_of

    try:
        age = 0.0 if older_than is None else seconds_of(older_than)
    except (KeyError, ValueError):
        raise click.BadParameter(f'"{older_than}" is no duration; write 30d', param_hint="--older-than") from None
    if not addresses and older_than is None:
        raise click.UsageError("Name what to purge, or say --older-than; see: reconcile kept list")
    project = invocation.project()
    plan = workflow.purge(project, addresses, age)
    terminal.write(options.render(planfile.to_json(plan), "text"))
    return running.carry_out(project, plan, how)
