"""`reconcile show`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.render import FORMATS


@click.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@options.write_option
@options.format_option(*FORMATS)
def command(file: Path, targets: tuple[tuple[str, Path], ...], format_: str) -> None:
    """Print a saved plan, exactly as `plan` printed it.

    Needs no store and no project, and works on a plan that is stale by now: only apply refuses those.
    """
    from reconcile import planfile

    document = planfile.read(file)
    options.write_targets(document, targets)
    terminal.write(options.render(document, format_))
