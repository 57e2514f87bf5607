"""`reconcile migrate`."""

from __future__ import annotations

import click

from reconcile.cli.context import Invocation, pass_invocation
from reconcile.cli.stopping import Stopping
from reconcile.exits import Exit

OF_A_PROJECT = True
"""Its members take -C and -e after their names too."""


@click.group("migrate")
def command() -> None:
    """Run hand-written migrations, each once and in order, from folders as they are.

    The folders are named in reconcile.yaml under `migrations:`. N is a migration's number, as its file has it or
    without leading zeros, or FOLDER/N where several folders have it.
    """


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    del ctx, parameter
    from reconcile.machine import seconds_of

    try:
        return seconds_of(value)
    except (KeyError, ValueError):
        raise click.BadParameter(f'"{value}" is no duration; write 30s or 5min') from None


lock_option = click.option(
    "--lock-timeout",
    default="2min",
    show_default=True,
    metavar="DURATION",
    callback=_seconds,
    help="How long to wait for another run that holds the ledger's lock; then exit code 4. The lock of one that was "
    "killed ends after a minute.",
)
dry_option = click.option(
    "--dry-run",
    is_flag=False,
    flag_value="print",
    type=click.Choice(["print", "rollback"]),
    help="Print what would be sent and run nothing; `--dry-run=rollback` also runs what can be rolled back.",
)
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the ledger.")


@command.command("status")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where something is pending or has changed.")
@pass_invocation
def status(invocation: Invocation, detailed_exitcode: bool) -> int:
    """Show what is pending, has changed, stopped part-way, or ran and has no file."""
    from reconcile.render import migrations as rendered
    from reconcile.workflow import migrating_records as records

    found = records.listing(invocation.project())
    click.echo(rendered.status(found), nl=False)
    return Exit.FINDINGS if detailed_exitcode and rendered.finds(found) else Exit.CLEAN


@command.command("list")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="markdown is an index for a repository or a wiki.",
)
@pass_invocation
def list_(invocation: Invocation, format_: str) -> None:
    """List all migrations: number, title, state, when it ran, how long it took."""
    from reconcile.render import migrations as rendered
    from reconcile.workflow import migrating_records as records

    click.echo(rendered.FORMATS[format_](records.listing(invocation.project())), nl=False)


@command.command("info")
@click.argument("number", metavar="N")
@pass_invocation
def info(invocation: Invocation, number: str) -> None:
    """Show one migration: statements, dangers, verifications, and what the ledger keeps of it."""
    from reconcile.render import migrations as rendered
    from reconcile.workflow import migrating_records as records

    click.echo(rendered.info(records.info(invocation.project(), number)), nl=False)


@command.command("apply")
@click.argument("number", metavar="N")
@lock_option
@dry_option
@pass_invocation
def apply(invocation: Invocation, number: str, lock_timeout: float, dry_run: str | None) -> int:
    """Run one pending migration; those it depends on must have run."""
    return _apply(invocation, number, lock_timeout, dry_run)


@command.command("apply-all")
@lock_option
@dry_option
@pass_invocation
def apply_all(invocation: Invocation, lock_timeout: float, dry_run: str | None) -> int:
    """Run all pending migrations in their order, without asking: for the release command of a deployment.

    Safe when several instances start at once: one runs them, the others wait and find nothing to do.
    """
    return _apply(invocation, None, lock_timeout, dry_run)


def _apply(invocation: Invocation, number: str | None, lock_timeout: float, dry_run: str | None) -> int:
    from reconcile.workflow import migrate, rehearsal

    project = invocation.project()
    if dry_run is not None:
        for line in rehearsal.dry_run(project, number, rollback=dry_run == "rollback"):
            click.echo(line)
        return Exit.CLEAN
    with Stopping():  # SIGTERM too takes back what is under way, and gives the lock up
        done = migrate.apply(project, number, lock_timeout, click.echo)
    if not done.migrations:
        click.echo("Nothing is pending." if number is None else f"{number} has run already; nothing was done.")
        return Exit.CLEAN
    count = len(done.migrations)
    click.echo(f"Applied {count} migration{'s' * (count != 1)} in {done.seconds:.1f} s.")
    click.echo("What they made is not declared yet: `reconcile import` writes it as YAML, `reconcile plan` compares.")
    return Exit.CLEAN


@command.command("new")
@click.argument("name")
@click.option("--folder", metavar="FOLDER", help="Which of the folders of `migrations:`, where there are several.")
@click.option("--yaml", "as_yaml", is_flag=True, help="Write a YAML migration, with description, down and verify.")
@pass_invocation
def new(invocation: Invocation, name: str, folder: str | None, as_yaml: bool) -> None:
    """Write an empty migration with the next number, called as the folder's layout has it."""
    from reconcile.workflow import migrating_records as records

    for file in records.new(invocation.project(), name, folder, as_yaml):
        click.echo(f"wrote {file}")


@command.command("baseline")
@click.argument("number", metavar="[N]", required=False)
@click.option("--only", is_flag=True, help="N alone, not those before it; of one that has changed, its new checksum.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the ledger.")
@lock_option
@pass_invocation
def baseline(invocation: Invocation, number: str | None, only: bool, reason: str, lock_timeout: float) -> None:
    """Record migrations up to N, or all, as applied without running them: a database that has them already."""
    from reconcile.workflow import migrating_records as records

    if only and number is None:
        raise click.UsageError("--only needs N.")
    done = records.baseline(invocation.project(), number, only, reason, lock_timeout, click.echo)
    click.echo(f"Recorded {len(done)} as applied, without running them." if done else "All of them are recorded.")


@command.command("redo")
@click.argument("number", metavar="N")
@reason_option
@lock_option
@pass_invocation
def redo(invocation: Invocation, number: str, reason: str, lock_timeout: float) -> None:
    """Run the way back of a migration (its down file), then the migration again."""
    from reconcile.workflow import migrating_records as records

    done = records.redo(invocation.project(), number, reason, lock_timeout, click.echo)
    click.echo(f"Ran {done} back and again.")


@command.command("forget")
@click.argument("number", metavar="N")
@reason_option
@lock_option
@pass_invocation
def forget(invocation: Invocation, number: str, reason: str, lock_timeout: float) -> None:
    """Take a migration out of what has run, without running anything: it is pending again."""
    from reconcile.workflow import migrating_records as records

    done = records.forget(invocation.project(), number, reason, lock_timeout, click.echo)
    click.echo(f"Forgot {done}: it is pending again, if its file is there. Nothing was run.")
