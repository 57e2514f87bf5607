"""`reconcile verify`."""

from __future__ import annotations

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.render import json_, markdown, verify


@click.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--phase",
    type=click.Choice(["schema", "data"]),
    help="Only what the schema should do (queries, probes, checks with `phase: schema`), or only the data: what the "
    "stores hold, mirrors, and the other checks.",
)
@options.format_option("text", "json", "markdown")
@click.option(
    "--sample",
    type=click.IntRange(min=0, max=100_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many keys of each finding to list. All are counted, but of many stored vectors a sample, which is then "
    "said to be one: the larger N, the larger that is.",
)
@pass_invocation
def command(invocation: Invocation, names: tuple[str, ...], phase: str | None, format_: str, sample: int) -> int:
    """Check that what the stores hold agrees with what is declared, and that all declared checks pass.

    Rows and nodes that break constraints which the server does not enforce, stored vectors of another size, payload
    values of another type than their index, names outside the vocabulary, and the declared `mirrors:`: ids that are in
    one store and not in the other. Read-only.
    Exits 2 when anything disagrees, or could not be looked at. The stores are read at once but not at one moment: what
    is written meanwhile may show as a difference, and be gone the next time.

    NAME narrows it: an address to declared objects with all that is in them, and to mirrors with such a side; the name
    of a check, query or probe to that. Globs in quotes.
    """
    from reconcile import workflow

    report = workflow.verify(invocation.project(), names, sample, phase)
    if format_ == "json":
        shown = json_.render(report)
    elif format_ == "markdown":
        shown = markdown.verify(report)
    else:
        shown = verify.render(report, colour=terminal.coloured())
    terminal.write(shown)
    return Exit.CLEAN if report["clean"] else Exit.FINDINGS
