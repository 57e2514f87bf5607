"""`reconcile rollback`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from reconcile.cli import options, running, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit


@click.command("rollback")
@click.argument("run", required=False)
@click.option("--to", metavar="RUN", help="Take back all runs after this one, the latest first, as one plan.")
@click.option(
    "--only", multiple=True, metavar="GLOB", help="Only these addresses, with what is in them; repeatable. Quote globs."
)
@click.option(
    "--emergency",
    is_flag=True,
    help="One confirmation is enough: allowances, window, promotion, backup and `run_from` are not asked for. Lock, "
    "freshness and `protect:` are. The ledger keeps that it was so.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Save the plan for `reconcile apply FILE`, and end.")
@click.option("--yes", is_flag=True, help="As --auto-approve.")
@click.option(
    "--allow",
    multiple=True,
    metavar="HAZARD[=GLOB]",
    help="Permit a hazard, everywhere or at matching addresses; 'all' permits any. Repeatable.",
)
@options.write_option
@running.options
@pass_invocation
def command(
    invocation: Invocation,
    run: str | None,
    to: str | None,
    only: tuple[str, ...],
    emergency: bool,
    out: Path | None,
    yes: bool,
    allow: tuple[str, ...],
    targets: list[tuple[str, Path]],
    how: running.Running,
) -> int:
    """Take back what a run changed, as a plan like any other.

    What it made is dropped, what it dropped is made again, what it altered or renamed is as before; what others did
    since stays. The plan is made from the stores as they are, shown, held against the policy, asked about and carried
    out under the lock; the ledger has it as a run of its own. Refused where a later run changed the same addresses. A
    run that stopped part-way is taken back as far as it came. Later plans leave out what was rolled back until its YAML
    differs, or until `reconcile release`.
    """
    from reconcile import planfile, workflow

    if (run is None) == (to is None):
        raise click.UsageError("Name the run to take back, or the one to go back to with --to; see: reconcile history")
    project = invocation.project()
    plan = workflow.rollback(project, run, to=to, only=only, allow=allow)
    document = planfile.to_json(plan)
    terminal.write(options.render(document, "text"))
    options.write_targets(document, targets)
    if out is not None:
        planfile.write(plan, out)
        return Exit.CLEAN
    how = replace(how, auto_approve=how.auto_approve or yes, emergency=emergency)
    return running.carry_out(project, plan, how)
