"""`reconcile forget`."""

from __future__ import annotations

import click

from reconcile.cli.context import Invocation, pass_invocation


@click.command("forget")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@pass_invocation
def command(invocation: Invocation, addresses: tuple[str, ...]) -> None:
    """Stop managing addresses, leaving the stores alone.

    ADDRESS may be a glob in quotes. What is forgotten and no longer declared is not planned for removal.
    Forgetting a table or collection forgets what is nested in it.
    """
    from reconcile import workflow

    for address in workflow.forget(invocation.project(), addresses):
        click.echo(f"forgot {address}")
