"""`reconcile show`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.render import FORMATS

_ALL = tuple(dict.fromkeys((*FORMATS, "html")))


@click.command("show")
@click.argument("name", metavar="FILE|RUN")
@click.option("--plan", "as_plan", is_flag=True, help="Of a run: the plan that it carried out, not its report.")
@options.write_option
@options.format_option(*_ALL)
@pass_invocation
def command(
    invocation: Invocation, name: str, as_plan: bool, targets: tuple[tuple[str, Path], ...], format_: str
) -> None:
    """Print a saved plan as `plan` printed it, or the report of a run.

    A FILE of `plan --out` needs no store and no project, and may be stale by now: only apply refuses those. A RUN (its
    id, the begin of it, or its number) is looked up in the ledger: how it went, what it took, what the stores held
    before and after.
    """
    from reconcile import planfile, workflow
    from reconcile.render import report

    path = Path(name)
    if path.exists() or path.suffix or "/" in name:
        document = planfile.read(path)
    else:
        told, document = workflow.shown(invocation.project(), name)
        if not as_plan:
            if targets or format_ not in report.FORMATS:
                raise click.UsageError(f"a report has the formats {', '.join(report.FORMATS)}; --plan has the others.")
            terminal.write(report.render(told, format_))
            return
    if format_ == "html":
        raise click.UsageError("html is a format of reports; a plan has text, json, markdown and script.")
    options.write_targets(document, targets)
    terminal.write(options.render(document, format_))
