"""`reconcile apply`."""

from __future__ import annotations

from pathlib import Path

import click

from reconcile.cli import options, running, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.errors import RefusedError
from reconcile.exits import Exit
from reconcile.model import Json


@click.command("apply")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--expect", metavar="DIGEST", help="Apply only if the new plan has this digest (12 characters do).")
@click.option("--resume", is_flag=True, help="Continue the run that stopped part-way.")
@click.option("--abandon", metavar="RUN", help="Give up a run that stopped part-way; then plan again.")
@click.option(
    "--terminate-blockers",
    type=click.Choice(["idle-in-transaction"]),
    help="End sessions that hold a lock on what the steps touch and have done nothing for `limits: "
    "{idle_in_transaction}` of the store; each is told. Without it they stop the apply.",
)
@click.option(
    "--phase",
    type=click.Choice(["expand", "migrate", "contract"]),
    help="Carry out the phases up to this one, then pause; given again, go on with the run that has paused.",
)
@options.selection
@running.options
@pass_invocation
def command(
    invocation: Invocation,
    file: Path | None,
    expect: str | None,
    resume: bool,
    abandon: str | None,
    terminate_blockers: str | None,
    phase: str | None,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    prune: str,
    allow: tuple[str, ...],
    how: running.Running,
) -> int:
    """Carry out a plan: a saved one, or a new one after asking.

    With FILE (of plan --out) exactly that plan, without a question; refused if a store moved since. Without it
    a new plan is made and shown, and you are asked. A plan without steps still records what is declared and equal.
    Ctrl-C and SIGTERM stop it after the step under way; a second one interrupts that step too.
    """
    from reconcile import planfile, workflow

    shaped = bool(only or exclude or allow or prune != "none")
    if file and shaped:
        raise click.UsageError("FILE is applied as it is: options that shape a plan go to `reconcile plan`.")
    if (resume or abandon) and (file or shaped or expect or phase or (resume and abandon)):
        raise click.UsageError("--resume and --abandon stand alone: they are about the plan of the unfinished run.")
    project = invocation.project()
    if abandon:
        for step in workflow.abandon(project, abandon):
            calls = "".join(f"\n  {getattr(c, 'sql', planfile.call_to_json(c))}" for c in step.calls)
            click.echo(f"Not carried out, and no plan can tell: {step.id}; do it by hand:{calls}", err=True)
        click.echo(f"Abandoned run {abandon}. `reconcile plan` shows what is left to do.")
        return Exit.CLEAN
    goes_on = phase is not None and not (file or shaped or expect) and workflow.paused_run(project) is not None
    end_idle = bool(terminate_blockers)
    if resume or goes_on:
        return running.run(
            project,
            how,
            lambda shown, stop, reported: workflow.resume(
                project, shown, end_idle=end_idle, backup=how.backup, until=phase, stop=stop, on_report=reported
            ),
        )

    def once() -> int:
        plan = planfile.load(file) if file else workflow.plan(project, options.options(only, exclude, prune, allow))
        document = planfile.to_json(plan)
        _expected(document, expect)
        if not file:
            terminal.write(options.render(document, "text"))
        return running.carry_out(project, plan, how, end_idle=end_idle, until=phase or "contract", shown=not file)

    return running.patiently(project, how, once, saved=file is not None)


def _expected(document: Json, expect: str | None) -> None:
    """Hold the plan against `--expect`."""
    if expect is None:
        return
    wanted, found = expect.removeprefix("sha256:").lower(), document["digest"].removeprefix("sha256:")
    if len(wanted) < 12:
        raise click.UsageError("--expect needs at least the 12 characters that the plan prints.")
    if not found.startswith(wanted):
        raise RefusedError(
            f"the plan's digest is {found[:12]}, not {wanted[:12]}: the files or a store moved since it was approved",
            hint="Run `reconcile plan`, have the new plan approved, and expect its digest.",
        )
