"""`reconcile history`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.render import json_, status


@click.command("history")
@click.option(
    "--pages",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a page of Markdown for each run into this folder, and README.md with the list of them.",
)
@options.format_option("text", "markdown", "json")
@pass_invocation
def command(invocation: Invocation, pages: Path | None, format_: str) -> None:
    """List the runs of this project and environment, newest first."""
    from reconcile import workflow
    from reconcile.render import report

    project = invocation.project()
    runs = workflow.history(project)
    if pages is not None:
        terminal.make_folder(pages)
        for run in runs:
            told, _ = workflow.shown(project, run["id"])
            terminal.write_file(pages / status.page(run), report.render(told, "markdown"))
        terminal.write_file(pages / "README.md", status.index(runs, linked=True))
    if format_ == "json":
        terminal.write(json_.render(runs))
    else:
        terminal.write(status.index(runs) if format_ == "markdown" else status.history(runs))
