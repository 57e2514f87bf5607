"""`reconcile plan`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.render import FORMATS


@click.command("plan")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Save the plan, for show and apply.")
@options.write_option
@options.format_option(*FORMATS)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are steps to run.")
@click.option("--explain-equal", is_flag=True, help="List what is spelled differently but judged equal, and how.")
@options.selection
@pass_invocation
def command(
    invocation: Invocation,
    out: Path | None,
    targets: tuple[tuple[str, Path], ...],
    format_: str,
    detailed_exitcode: bool,
    explain_equal: bool,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    prune: str,
    allow: tuple[str, ...],
) -> int:
    """Show what has to change so that the stores are as declared.

    Reads the YAML and the live stores, compares, and prints one ordered plan over all of them. Nothing is
    changed. Lines that start with - or -/+ remove something; a line below says how a step is done, how much it
    touches and what may hurt.
    """
    from reconcile.looking import Look

    project, chosen = invocation.project(), options.options(only, exclude, prune, allow)
    with Look(project) as look:
        from reconcile import planfile, workflow  # imported while the servers answer

        plan = workflow.plan(project, chosen, look)
    document = planfile.to_json(plan)
    if out is not None:
        planfile.write(plan, out)
    options.write_targets(document, targets)
    terminal.write(options.render(document, format_))
    if explain_equal:
        from reconcile.render import equal

        terminal.write(equal.render(document))
    return Exit.FINDINGS if detailed_exitcode and document["steps"] else Exit.CLEAN
