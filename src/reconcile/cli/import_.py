"""`reconcile import`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit


@click.command("import")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--store", metavar="STORE", help="Only this store; default: all.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder to write to; default: schema/ of the project."
)
@click.option("--force", is_flag=True, help="Write over files that exist.")
@pass_invocation
def command(
    invocation: Invocation, addresses: tuple[str, ...], store: str | None, out: Path | None, force: bool
) -> int:
    """Write YAML from live stores.

    All that is in scope, or the ADDRESSes (or globs) given. The plan that follows is empty. Exits 2 when something
    had to be left out as not modelled, naming it.
    """
    from reconcile import workflow

    done = workflow.import_(invocation.project(), addresses, store, out, force)
    for path in done.files:
        click.echo(f"wrote {path}")
    click.echo(f"{done.resources} objects written. `reconcile plan` should show no changes.")
    for address, what in done.not_modelled:
        click.echo(f"not modelled: {address}: {what}", err=True)
    return Exit.FINDINGS if done.not_modelled else Exit.CLEAN
