"""`reconcile status`."""

from __future__ import annotations

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.render import json_, status


@click.command("status")
@options.format_option("text", "json")
@pass_invocation
def command(invocation: Invocation, format_: str) -> None:
    """Show the ledger: lock, what a run is at, what waits, what is recorded.

    Of a run that is under way in another terminal the stores are asked how far its steps have come.
    """
    from reconcile import workflow

    found = workflow.status(invocation.project())
    terminal.write(json_.render(found) if format_ == "json" else status.render(found))
