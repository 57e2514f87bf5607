"""`reconcile drift`."""

from __future__ import annotations

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.render import drift, json_, markdown


@click.command("drift")
@options.format_option("text", "json", "markdown")
@pass_invocation
def command(invocation: Invocation, format_: str) -> int:
    """Show what moved in the stores since the last apply.

    Read-only, and blind to edits of the YAML: it compares the stores with what the last apply recorded. Exits 2
    when anything moved.
    """
    from reconcile import workflow

    report = workflow.drift(invocation.project())
    if format_ == "json":
        shown = json_.render(report)
    elif format_ == "markdown":
        shown = markdown.drift(report)
    else:
        shown = drift.render(report, colour=terminal.coloured())
    terminal.write(shown)
    return Exit.FINDINGS if drift.found(report) else Exit.CLEAN
