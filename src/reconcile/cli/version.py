"""`reconcile version`."""

from __future__ import annotations

import click

from reconcile import __version__


@click.command("version", help="Print the version.")
def command() -> None:
    """The same as `--version`."""
    click.echo(f"reconcile {__version__}")
