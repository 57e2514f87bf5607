"""How an error is told: what, where, what to do next; and what the process ends with."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence

import click

from reconcile.cli.terminal import coloured
from reconcile.errors import ProjectError, ReconcileError
from reconcile.exits import Exit
from reconcile.references import masked


def report(error: Exception, secrets: Sequence[str] = (), contacts: Sequence[str] = ()) -> int:
    """Print `error` to stderr, without `secrets`, and return the exit code it calls for.

    Args:
        contacts: whom to ask, told where a run has stopped part-way.
    """
    if os.environ.get("RECONCILE_TRACEBACK"):
        click.echo(masked("".join(traceback.format_exception(error)), secrets), err=True)
    label = click.style("Error:", fg="red", bold=True) if coloured(err=True) else "Error:"
    if isinstance(error, ProjectError):
        for problem in error.problems:  # file:line:column first, so that editors can jump there
            click.echo(masked(str(problem), secrets), err=True, color=True)
        count = len(error.problems)
        click.echo(f"{label} {count} problem{'s' * (count != 1)} in the project's files", err=True, color=True)
        return error.exit
    if isinstance(error, ReconcileError):
        click.echo(f"{label} {masked(str(error), secrets)}", err=True, color=True)
        if error.exit is Exit.PARTIAL and contacts:
            click.echo(f"  contacts: {', '.join(contacts)}", err=True)
        return error.exit
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    click.echo(
        f"{label} this is a bug in reconcile: {masked(cause, secrets)}\n"
        "  Please report it with the command you ran; RECONCILE_TRACEBACK=1 adds the traceback.",
        err=True,
        color=True,
    )
    return Exit.ERROR
