"""`reconcile import`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.render import words

_SHOWN = 10


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
    had to be left out as not modelled or not visible, or stands in a schema file already, naming it.
    """
    from reconcile import workflow

    done = workflow.import_(invocation.project(), addresses, store, out, force)
    beside = Counter(path.parent for path in done.files if path.suffix != ".yaml")
    for path in done.files:
        if path.suffix == ".yaml":
            click.echo(f"wrote {path}")
    for folder, count in beside.items():
        click.echo(f"wrote {words.counted(count, 'file')} in {folder}")
    clean = not (done.not_modelled or done.partial or done.declared)
    what = f"{words.counted(done.resources, 'object')} written."
    click.echo(f"{what} `reconcile plan` should show no changes." if clean else what)
    for address, kind in done.not_modelled:
        click.echo(words.printable(f"not modelled: {address}: {kind}"), err=True)
    for name, reason in done.partial:
        click.echo(words.printable(f"not seen whole: store {name}: {reason}"), err=True)
    for address, where in done.left[:_SHOWN]:
        click.echo(words.printable(f"left where it is declared: {address} at {where}"))
    if len(done.left) > _SHOWN:
        click.echo(f"… and {len(done.left) - _SHOWN} more")
    for address, where in done.declared[:_SHOWN]:
        click.echo(words.printable(f"declared before: {address} at {where}: keep one of the two"), err=True)
    if len(done.declared) > _SHOWN:
        click.echo(f"… and {len(done.declared) - _SHOWN} more (`reconcile validate` lists them)", err=True)
    return Exit.CLEAN if clean else Exit.FINDINGS
