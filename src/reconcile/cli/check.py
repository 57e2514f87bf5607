"""`reconcile check`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.render import check, json_


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@options.selection
@options.format_option("text", "json")
@click.option(
    "--grants",
    "prefix",
    metavar="[PREFIX]",
    is_flag=False,
    flag_value="reconcile",
    help="Instead print the least privileges for plan, drift and apply, to be pasted: SQL, Cypher, the claims of keys. "
    "Roles are named PREFIX_plan, PREFIX_drift and PREFIX_apply; PREFIX is reconcile by default.",
)
@pass_invocation
def command(
    invocation: Invocation,
    file: Path | None,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    prune: str,
    allow: tuple[str, ...],
    format_: str,
    prefix: str | None,
) -> int:
    """Ask every store what would stop an apply; changes nothing.

    Whether it is reached, its version and edition; the privileges that the steps of the plan need, asked of the server;
    what the role or key can see; extensions; health; who would make the steps wait; load, memory and disk, as far as
    the server tells, held against `limits:` of the store. Every apply asks the same before it changes anything.
    Exits 2 where something would stop an apply.

    With FILE (of plan --out) it asks about the steps of that plan, else about those of a new one.
    """
    from reconcile import planfile, workflow

    if file and (only or exclude or allow or prune != "none"):
        raise click.UsageError("FILE is asked about as it is: options that shape a plan go to `reconcile plan`.")
    made = planfile.load(file) if file else None
    shaping = options.options(only, exclude, prune, allow)
    if prefix is not None:
        found = workflow.grants(invocation.project(), prefix, shaping, made)
        terminal.write(json_.render(found) if format_ == "json" else check.grants(found))
        return Exit.CLEAN
    report = workflow.check(invocation.project(), shaping, made)
    if format_ == "json":
        terminal.write(json_.render(report))
    else:
        terminal.write(check.render(report, width=terminal.width(), colour=terminal.coloured()))
    return Exit.FINDINGS if report["stops"] else Exit.CLEAN
