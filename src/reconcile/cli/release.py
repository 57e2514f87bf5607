"""`reconcile release`."""

from __future__ import annotations

import click

from reconcile.cli import options, terminal
from reconcile.cli.apply import backup_option, carry_out, grace_option
from reconcile.cli.context import Invocation, pass_invocation


@click.command("release")
@click.argument("names", nargs=-1, required=True, metavar="ADDRESS|RUN...")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@backup_option
@grace_option
@click.option(
    "--allow",
    multiple=True,
    metavar="HAZARD[=GLOB]",
    help="Permit a hazard, everywhere or at matching addresses; 'all' permits any. Repeatable.",
)
@pass_invocation
def command(
    invocation: Invocation,
    names: tuple[str, ...],
    auto_approve: bool,
    backup_evidence: str | None,
    grace: float,
    allow: tuple[str, ...],
) -> int:
    """Carry out contract steps that policy `contract: held` keeps waiting.

    Of the changes at these addresses (globs), or of all that a run held back; with them runs what they need, and
    nothing else. The plan is made anew from the stores as they are, shown, held against the policy, and asked about.
    `reconcile status` and every plan list what waits.
    """
    from reconcile import planfile, workflow

    project = invocation.project()
    plan = workflow.release(project, names, options.options((), (), "none", allow))
    terminal.write(options.render(planfile.to_json(plan), "text"))
    return carry_out(project, plan, auto_approve=auto_approve, backup=backup_evidence, grace=grace)
