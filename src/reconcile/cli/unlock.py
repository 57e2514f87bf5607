"""`reconcile unlock`."""

from __future__ import annotations

import click

from reconcile.cli.context import Invocation, pass_invocation


@click.command("unlock")
@click.argument("run")
@pass_invocation
def command(invocation: Invocation, run: str) -> None:
    """Release the lock that a dead run left behind.

    RUN is the run that `reconcile status` names as the holder: naming it proves that you looked. A run that still
    lives notices and stops before its next step.
    """
    from reconcile import workflow

    workflow.unlock(invocation.project(), run)
    click.echo(f"Released the lock of run {run}.")
