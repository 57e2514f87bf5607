"""`reconcile sandbox`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import click

from reconcile.cli.context import Invocation, pass_invocation
from reconcile.exits import Exit
from reconcile.sandbox import NAMES, Sandbox, default_folder


@click.group("sandbox")
def command() -> None:
    """Run real PostgreSQL + pgvector, Neo4j, Qdrant and Redis on this machine, on loopback.

    For trying things out, for tests and for rehearsals; needs no project and no container engine. A server
    whose RECONCILE_SANDBOX_POSTGRES_URL, ..._NEO4J_URL, ..._QDRANT_URL or ..._REDIS_URL is set is used as it is,
    and nothing is started for it.
    """


def _folder(function: Callable[..., int | None]) -> Callable[..., int | None]:
    option = click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Where the servers keep their data; default: $RECONCILE_SANDBOX_HOME or .reconcile/sandbox.",
    )
    return pass_invocation(option(function))


def _sandbox(invocation: Invocation, folder: Path | None) -> Sandbox:
    return Sandbox(folder or invocation.directory / default_folder())


def _ports(function: Callable[..., int | None]) -> Callable[..., int | None]:
    for name in reversed(NAMES):
        function = click.option(
            f"--{name}-port",
            type=click.IntRange(1, 65535),
            metavar="PORT",
            help=f"Port of {name}; default: the one it had before, else a free one.",
        )(function)
    return function


@command.command("up")
@_folder
@_ports
@click.option("--fetch-only", is_flag=True, help="Download what is needed, start nothing.")
def up(
    invocation: Invocation,
    folder: Path | None,
    fetch_only: bool,
    **ports: int | None,
) -> None:
    """Start the servers that do not run; return when all of them answer.

    What they need is downloaded the first time, into $RECONCILE_SANDBOX_CACHE or the user's cache folder.
    """
    sandbox = _sandbox(invocation, folder)
    if fetch_only:
        sandbox.fetch()
        return
    sandbox.up(ports={name: ports[f"{name}_port"] for name in NAMES})
    _print(sandbox)


@command.command("down")
@_folder
@click.option("--delete", is_flag=True, help="Delete their data too.")
def down(invocation: Invocation, folder: Path | None, delete: bool) -> None:
    """Stop the servers of a folder, whoever started them. Servers given by URL are left alone."""
    sandbox = _sandbox(invocation, folder)
    stopped = sandbox.down(delete=delete)
    for name in stopped:
        click.echo(f"{name} stopped")
    if not stopped:
        click.echo("nothing was running")
    if delete:
        click.echo(f"{sandbox.folder} deleted")


@command.command("status")
@_folder
def status(invocation: Invocation, folder: Path | None) -> int:
    """Show the servers; exit code 2 unless all of them run."""
    return _print(_sandbox(invocation, folder))


@command.command("env")
@_folder
def env(invocation: Invocation, folder: Path | None) -> None:
    """Print the URLs as shell exports: eval "$(reconcile sandbox env)"."""
    for name, value in _sandbox(invocation, folder).environment().items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _print(sandbox: Sandbox) -> int:
    found = sandbox.status()
    for server in found:
        process = f"pid {server.pid}" if server.pid else ""
        columns = (f"{server.name:<9}", f"{server.state:<8}", f"{server.address or '':<16}", server.title, process)
        click.echo("  ".join(columns).rstrip())
    return Exit.CLEAN if all(server.state in ("running", "given") for server in found) else Exit.FINDINGS
