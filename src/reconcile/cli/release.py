"""`reconcile release`."""

from __future__ import annotations

import click

from reconcile.cli import options, running, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit


@click.command("release")
@click.argument("names", nargs=-1, required=True, metavar="ADDRESS|RUN...")
@click.option(
    "--allow",
    multiple=True,
    metavar="HAZARD[=GLOB]",
    help="Permit a hazard, everywhere or at matching addresses; 'all' permits any. Repeatable.",
)
@running.options
@pass_invocation
def command(
    invocation: Invocation,
    names: tuple[str, ...],
    allow: tuple[str, ...],
    how: running.Running,
) -> int:
    """Carry out contract steps that wait; plan again what was rolled back.

    Contract steps wait where the policy says `contract: held`. Of the changes at these addresses (globs), or of all
    that a run held back; with them runs what they need, and nothing else. The plan is made anew from the
    stores as they are, shown, held against the policy, and asked about.
    Addresses that a rollback holds are only let go: nothing is carried out, the next plan has them again.
    `reconcile status` and every plan list what waits.
    """
    from reconcile import planfile, workflow

    project = invocation.project()
    if released := workflow.let_go(project, names):
        click.echo("Held no more, the next plan has them again:\n" + "\n".join(f"  {a}" for a in released))
        return Exit.CLEAN
    plan = workflow.release(project, names, options.options((), (), "none", allow))
    terminal.write(options.render(planfile.to_json(plan), "text"))
    return running.carry_out(project, plan, how)
