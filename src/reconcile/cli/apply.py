"""`reconcile apply`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconcile.cli import options, terminal
from reconcile.cli.context import Invocation, pass_invocation
from reconcile.cli.stopping import GRACE, Stopping
from reconcile.errors import ReconcileError, RefusedError
from reconcile.exits import Exit
from reconcile.model import Json

if TYPE_CHECKING:
    from reconcile.apply import Event, OnEvent
    from reconcile.plan import Plan
    from reconcile.project import Project
    from reconcile.workflow import Outcome


backup_option = click.option(
    "--backup-evidence",
    metavar="TEXT",
    help="Which backup there is, where the policy requires one; kept with the run in the ledger.",
)


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    del ctx, parameter
    from reconcile.machine import seconds_of

    try:
        return seconds_of(value)
    except (KeyError, ValueError):
        raise click.BadParameter(f'"{value}" is no duration; write 30s or 5min') from None


grace_option = click.option(
    "--grace",
    metavar="DURATION",
    default=f"{GRACE:.0f}s",
    show_default=True,
    callback=_seconds,
    help="How long a step under way may go on after SIGTERM, which stops the run after that step.",
)


@click.command("apply")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
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
@backup_option
@grace_option
@options.selection
@pass_invocation
def command(
    invocation: Invocation,
    file: Path | None,
    auto_approve: bool,
    expect: str | None,
    resume: bool,
    abandon: str | None,
    terminate_blockers: str | None,
    phase: str | None,
    backup_evidence: str | None,
    grace: float,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    prune: str,
    allow: tuple[str, ...],
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
    if resume or goes_on:
        ends, said = bool(terminate_blockers), backup_evidence
        return _run(
            lambda shown, stop: workflow.resume(project, shown, end_idle=ends, backup=said, until=phase, stop=stop),
            grace,
        )
    plan = planfile.load(file) if file else workflow.plan(project, options.options(only, exclude, prune, allow))
    document = planfile.to_json(plan)
    _expected(document, expect)
    if not file:
        terminal.write(options.render(document, "text"))
    end_idle, approved = bool(terminate_blockers), bool(file) or auto_approve
    until = phase or "contract"
    return carry_out(
        project, plan, auto_approve=approved, backup=backup_evidence, end_idle=end_idle, until=until, grace=grace
    )


def carry_out(
    project: Project,
    plan: Plan,
    *,
    auto_approve: bool,
    backup: str | None = None,
    end_idle: bool = False,
    until: str = "contract",
    grace: float,
) -> int:
    """Apply a plan that was shown, after asking.

    Args:
        grace: see `Stopping`.

    Raises:
        ReconcileError: see `workflow.apply`; or there is no terminal to ask on.
    """
    from reconcile import planfile, workflow

    if plan.steps and not auto_approve:
        workflow.admit(project, plan, backup)  # else the answer could not help
        environment = project.environment if project.policy.confirm == "environment" else None
        if not _confirmed(planfile.to_json(plan), environment):
            click.echo("Nothing was changed.")
            return Exit.ERROR
    return _run(
        lambda shown, stop: workflow.apply(
            project, plan, shown, end_idle=end_idle, backup=backup, until=until, stop=stop
        ),
        grace,
    )


def _run(act: Callable[[OnEvent, Callable[[], str | None]], Outcome], grace: float) -> int:
    """Apply under a progress display and report the outcome.

    Args:
        act: given whom to tell of events, and what says whether somebody wants it to stop.
    """
    from reconcile.render import progress

    with (
        Stopping(grace) as stopping,
        progress.Progress(sys.stdout, colour=terminal.coloured(), live=terminal.interactive()) as shown,
    ):

        def on_event(event: Event) -> None:
            stopping.begun |= event.kind == "step_started"
            shown(event)

        outcome = act(on_event, lambda: stopping.asked)
    try:
        terminal.write(progress.closing(outcome.steps_done, outcome.recorded, outcome.seconds))
        if outcome.paused:
            terminal.write(
                f"Run {outcome.run} has paused after its phase {outcome.paused}."
                " It goes on with: reconcile apply --phase contract\n"
            )
    except (OSError, ReconcileError):  # it is done, whoever reads of it
        terminal.silence()
    return Exit.CLEAN


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


def _confirmed(document: Json, environment: str | None) -> bool:
    """Ask, with counts; for the environment's name, where one is given.

    Raises:
        ReconcileError: there is no terminal to ask on.
    """
    from reconcile.render import text

    if sys.stdin is None or not sys.stdin.isatty():
        raise ReconcileError(
            "there is no terminal to ask on, and nothing was changed",
            hint="Pass --auto-approve, or save the plan with `reconcile plan --out FILE` and apply FILE.",
        )
    click.echo(f"\n{text.question(document)}")
    if environment is not None:
        asked = "Apply it? Only the name of the environment goes on"
        typed: str = click.prompt(asked, default="", show_default=False)
        return typed.strip() == environment
    answer: str = click.prompt("Apply it? Only 'yes' goes on", default="no", show_default=False)
    return answer.strip().lower() in ("yes", "y")
