"""`reconcile graph`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation


@click.command("graph")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@options.selection
@pass_invocation
def command(
    invocation: Invocation,
    file: Path | None,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    prune: str,
    allow: tuple[str, ...],
) -> None:
    """Draw a plan's steps and their order as a Mermaid diagram.

    Of a saved plan (FILE), or of a new one. An arrow goes from the step that makes something to the step that
    needs it.
    """
    from reconcile import planfile, workflow
    from reconcile.render import graph

    if file:
        document = planfile.read(file)
    else:
        plan = workflow.plan(invocation.project(), options.options(only, exclude, prune, allow))
        document = planfile.to_json(plan)
    terminal.write(graph.render(document))
