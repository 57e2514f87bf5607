"""What every command that carries out a plan has in common: its options, the question, the display, the report."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconcile.cli import terminal
from reconcile.cli.stopping import GRACE, Stopping
from reconcile.errors import BusyError, ReconcileError, StaleError
from reconcile.exits import Exit
from reconcile.model import Json

if TYPE_CHECKING:
    from reconcile.apply import Event, OnEvent
    from reconcile.plan import Plan
    from reconcile.project import Project
    from reconcile.render.log import Log
    from reconcile.workflow import Outcome
    from reconcile.workflow.carrying import OnBegin

    Act = Callable[[OnEvent, Callable[[], str | None], Callable[[Json], None] | None], Outcome]


@dataclass(frozen=True)
class Running:
    """How a plan is carried out."""

    auto_approve: bool = False
    backup: str | None = None
    """Evidence of one, as the command line gives it."""
    grace: float = GRACE
    """See `Stopping`."""
    reports: tuple[Path, ...] = ()
    """Files to write the report of the run to; the suffix says how."""
    log_format: str = "text"
    lock_timeout: float = 0.0
    """Seconds to wait for another run."""
    break_glass: Path | None = None
    """Where to write scripts to run by hand, in place of the project's folder for them."""
    emergency: bool = False
    """Of a rollback: see `workflow.apply`."""


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    del ctx, parameter
    from reconcile.machine import seconds_of

    try:
        return seconds_of(value)
    except (KeyError, ValueError):
        raise click.BadParameter(f'"{value}" is no duration; write 30s or 5min') from None


def _reports(ctx: click.Context, parameter: click.Parameter, values: Sequence[Path]) -> tuple[Path, ...]:
    """Refuse, before anything runs, a file that could not be written afterwards."""
    del ctx, parameter
    from reconcile.render.report import FORMATS

    for path in values:
        if path.suffix not in FORMATS.values():
            raise click.BadParameter(f"{path} ends with none of {', '.join(FORMATS.values())}")
        if not path.parent.is_dir():
            raise click.BadParameter(f"there is no folder {path.parent}")
    return tuple(values)


_OPTIONS = (
    click.option("--auto-approve", is_flag=True, help="Do not ask."),
    click.option(
        "--backup-evidence",
        metavar="TEXT",
        help="Which backup there is, where the policy requires one; kept with the run in the ledger.",
    ),
    click.option(
        "--backup",
        "own",
        is_flag=True,
        help="Make a backup of all stores once the lock is held, before the first step; see `reconcile backup`.",
    ),
    click.option(
        "--grace",
        metavar="DURATION",
        default=f"{GRACE:.0f}s",
        show_default=True,
        callback=_seconds,
        help="How long a step under way may go on after SIGTERM, which stops the run after that step.",
    ),
    click.option(
        "--report",
        "reports",
        metavar="FILE",
        type=click.Path(path_type=Path),
        multiple=True,
        callback=_reports,
        help="Write a report of the run when it ends, however it ends: FILE.md, .html, .json or .txt. Repeatable.",
    ),
    click.option(
        "--break-glass",
        metavar="FOLDER",
        type=click.Path(path_type=Path, file_okay=False),
        help="Before the first step write FOLDER/RUN/forward.sh and back.sh, to be run by hand with psql, cypher-shell "
        "and curl. Default: `break_glass:` of reconcile.yaml, if it is set.",
    ),
    click.option(
        "--lock-timeout",
        metavar="DURATION",
        default="0s",
        show_default=True,
        callback=_seconds,
        help="How long to wait for another run; a plan that is not a saved one is then made anew.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="json: what happens is written to stderr, a line of JSON for each event, instead of shown.",
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that carries out a plan; it gets them as `how`, a `Running`."""

    @functools.wraps(command)
    def with_how(
        *args: Any,
        auto_approve: bool,
        backup_evidence: str | None,
        own: bool,
        grace: float,
        reports: tuple[Path, ...],
        log_format: str,
        lock_timeout: float,
        break_glass: Path | None,
        **rest: Any,
    ) -> Any:
        if own:
            from reconcile.workflow.points import OWN

            backup_evidence = f"{backup_evidence}; {OWN}" if backup_evidence else OWN
        how = Running(auto_approve, backup_evidence, grace, reports, log_format, lock_timeout, break_glass)
        return command(*args, how=how, **rest)

    found: Callable[..., Any] = with_how
    for option in reversed(_OPTIONS):
        found = option(found)
    return found


def carry_out(
    project: Project, plan: Plan, how: Running, *, end_idle: bool = False, until: str = "contract", shown: bool = True
) -> int:
    """Apply a plan, after asking.

    Args:
        shown: whether it has just been shown, and is to be asked about; else it is a saved one, applied as it is.

    Raises:
        ReconcileError: see `workflow.apply`; or there is no terminal to ask on.
    """
    from reconcile import planfile, workflow

    if plan.steps and shown and not how.auto_approve:
        if not how.emergency:
            workflow.admit(project, plan, how.backup)  # else the answer could not help
        asks_name = project.policy.confirm == "environment" and not how.emergency
        environment = project.environment if asks_name else None
        if not confirmed(planfile.to_json(plan), environment):
            click.echo("Nothing was changed.")
            return Exit.ERROR
    return run(
        project,
        how,
        lambda told, stop, reported: workflow.apply(
            project,
            plan,
            told,
            end_idle=end_idle,
            backup=how.backup,
            until=until,
            stop=stop,
            on_report=reported,
            on_begin=_scripts(how.break_glass or project.break_glass),
            emergency=how.emergency,
        ),
    )


def _scripts(folder: Path | None) -> OnBegin | None:
    from reconcile.render import breakglass

    return None if folder is None else functools.partial(breakglass.write, folder)


def patiently(project: Project, how: Running, act: Callable[[], int], *, saved: bool = False) -> int:
    """Do it again after each run of others that held the lock, as long as `--lock-timeout` lasts.

    Args:
        act: makes a plan, or takes a saved one, and carries it out.
        saved: whether it is a saved one, which is not made anew when it is stale.

    Raises:
        RefusedError: the time is over.
    """
    from reconcile import workflow

    until = time.monotonic() + how.lock_timeout
    while True:
        try:
            return act()
        except (BusyError, StaleError) as error:
            again = isinstance(error, BusyError) or (how.auto_approve and not saved)
            if not again or time.monotonic() >= until or not workflow.wait(project, until, _waiting(project, how)):
                if how.log_format == "json":
                    return _told(_log(project), project, error)
                raise


def _waiting(project: Project, how: Running) -> OnEvent:
    if how.log_format == "json":
        return _log(project)
    return lambda event: click.echo(f"waiting {event.detail}", err=True)


def run(
    project: Project,
    how: Running,
    act: Act,
) -> int:
    """Apply under a progress display and report the outcome.

    Args:
        act: given whom to tell of events, what says whether somebody wants it to stop, and who takes the report.
    """
    from reconcile.render import progress

    if how.log_format == "json":
        return _logged(project, how, act)
    display = progress.Progress(sys.stdout, colour=terminal.coloured(), live=terminal.interactive())
    with display as shown:
        outcome = _stoppable(how, shown, act)
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


def _stoppable(how: Running, shown: OnEvent, act: Act) -> Outcome:
    with Stopping(how.grace) as stopping:

        def on_event(event: Event) -> None:
            stopping.begun |= event.kind == "step_started"
            shown(event)

        return act(on_event, lambda: stopping.asked, functools.partial(_write, how.reports) if how.reports else None)


def _logged(project: Project, how: Running, act: Act) -> int:
    """The same with a line of JSON for each event, for the end and for an error."""
    log = _log(project)
    try:
        outcome = _stoppable(how, log, act)
    except ReconcileError as error:
        if how.lock_timeout and isinstance(error, BusyError | StaleError):
            raise  # to try again
        return _told(log, project, error)
    ended = "paused" if outcome.paused else "done"
    seconds = round(outcome.seconds, 3)
    log.write(
        "finished", {"detail": ended, "steps": outcome.steps_done, "recorded": outcome.recorded, "seconds": seconds}
    )
    return Exit.CLEAN


def _told(log: Log, project: Project, error: ReconcileError) -> int:
    contacts = {"contacts": list(project.contacts)} if error.exit is Exit.PARTIAL else {}
    log.write("error", {"detail": str(error), "exit_code": int(error.exit), **contacts})
    return error.exit


def _log(project: Project) -> Log:
    from reconcile.hidden import secrets_of
    from reconcile.render.log import Log

    hidden = secrets_of(project)
    return Log(sys.stderr, {"project": project.name, "environment": project.environment}, lambda: hidden)


def _write(paths: Sequence[Path], report: Json) -> None:
    """Write the report into every file; the run has ended, so that a full disk is only told."""
    from reconcile.render.report import FORMATS, render

    formats = {suffix: name for name, suffix in FORMATS.items()}
    for path in paths:
        try:
            terminal.write_file(path, render(report, formats[path.suffix]))
        except ReconcileError as error:
            click.echo(f"Warning: {error.what}", err=True)


def confirmed(document: Json, environment: str | None) -> bool:
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
