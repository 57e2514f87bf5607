"""`reconcile history`."""

from __future__ import annotations

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.render import json_, status


@click.command("history")
@options.format_option("text", "json")
@pass_invocation
def command(invocation: Invocation, format_: str) -> None:
    """List the runs of this project and environment, newest first."""
    from reconcile import workflow

    runs = workflow.history(invocation.project())
    terminal.write(json_.render(runs) if format_ == "json" else status.history(runs))
