"""`reconcile init`."""

from __future__ import annotations

import click

from reconcile import stores
from reconcile.cli import terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit


@click.command("init")
@click.option("--store", "kinds", multiple=True, type=click.Choice(stores.kinds()), help="Only this kind of store.")
@click.option("--name", metavar="NAME", help="Name of the project; default: that of the folder.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@pass_invocation
def command(invocation: Invocation, kinds: tuple[str, ...], name: str | None, force: bool) -> int:
    """Write a commented starter project.

    reconcile.yaml, a schema file for each store, and a line in .gitignore. Files that are there are never
    written over without --force.
    """
    from reconcile import starter

    for path in starter.write(invocation.directory, kinds, name=name, force=force):
        terminal.write(f"wrote {invocation.directory / path}")
    terminal.write(
        "Next: set the variables named in reconcile.yaml, then `reconcile validate` and `reconcile plan`.\n"
        "The schema files are examples: to begin with what your stores hold, delete them and `reconcile import`."
    )
    return Exit.CLEAN
