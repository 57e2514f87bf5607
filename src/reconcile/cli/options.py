"""The options that shape a plan, shared by `plan` and `apply`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconcile.cli import terminal
from reconcile.model import Json
from reconcile.render import FORMATS, renderer

if TYPE_CHECKING:
    from reconcile.diff import Options

Command = TypeVar("Command", bound=Callable[..., Any])


def selection(command: Command) -> Command:
    """`--only`, `--exclude`, `--prune`, `--allow`."""
    for option in reversed(_SELECTION):
        command = option(command)
    return command


_SELECTION = (
    click.option(
        "--only",
        multiple=True,
        metavar="GLOB",
        help="Only these addresses and what they need; repeatable. Quote globs: 'app.index.*'.",
    ),
    click.option(
        "--exclude", multiple=True, metavar="GLOB", help="Leave out these addresses and what depends on them."
    ),
    click.option(
        "--prune",
        type=click.Choice(["none", "extra", "all"]),
        is_flag=False,
        flag_value="all",
        default="none",
        help="Also remove what is not declared: extra (inside managed tables and collections) or all "
        "(everything unmanaged in scope); bare --prune means all.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="HAZARD[=GLOB]",
        help="Permit a hazard, everywhere or at matching addresses; 'all' permits any. Repeatable.",
    ),
)


def options(only: Sequence[str], exclude: Sequence[str], prune: str, allow: Sequence[str]) -> Options:
    """The planner's options.

    Raises:
        ReconcileError: there is no such hazard.
    """
    from reconcile.narrow import Options
    from reconcile.policy import Allowance

    for text in allow:
        Allowance.parse(text)

    return Options(tuple(only), tuple(exclude), prune, tuple(allow))


def format_option(*formats: str) -> Callable[[Command], Command]:
    """`--format` with these choices."""
    return click.option(
        "--format", "format_", type=click.Choice(formats), default="text", help="What to print; default: text."
    )


def _targets(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> list[tuple[str, Path]]:
    """Each `FORMAT=FILE` as the format and the path."""
    found = []
    for value in values:
        format_, _, file = value.partition("=")
        if format_ not in FORMATS or not file:
            what = f"{value!r} is not FORMAT=FILE with a format of {', '.join(FORMATS)}."
            raise click.BadParameter(what, ctx, param)
        found.append((format_, Path(file)))
    return found


write_option = click.option(
    "--write",
    "targets",
    metavar="FORMAT=FILE",
    multiple=True,
    callback=_targets,
    help=f"Also render into a file; formats: {', '.join(FORMATS)}. Repeatable.",
)


def render(document: Json, format_: str) -> str:
    """A plan for stdout; text takes the terminal's width and colours."""
    if format_ == "text":
        from reconcile.render import text

        return text.render(document, width=terminal.width(), colour=terminal.coloured())
    return renderer(format_)(document)


def write_targets(document: Json, targets: Sequence[tuple[str, Path]]) -> None:
    """Render into every file of `--write`."""
    for format_, path in targets:
        terminal.write_file(path, renderer(format_)(document))
