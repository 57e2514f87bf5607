"""What the terminal can do, and writing to it and to files."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from reconcile.errors import ReconcileError


def coloured(*, err: bool = False) -> bool:
    """Whether to colour: `NO_COLOR` says no, `FORCE_COLOR` says yes, else a terminal that is not dumb."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return interactive(err=err) and os.environ.get("TERM") != "dumb"


def interactive(*, err: bool = False) -> bool:
    """Whether stdout (or stderr) is a terminal."""
    return (sys.stderr if err else sys.stdout).isatty()


def width() -> int | None:
    """Columns of the terminal; None where output goes elsewhere, so that it is the same everywhere."""
    return shutil.get_terminal_size().columns if interactive() else None


def silence() -> None:
    """Nobody reads stdout any more: point it elsewhere, so that the interpreter's last flush is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write(text: str) -> None:
    """Print to stdout, colours as they are.

    Raises:
        BrokenPipeError: nobody reads any more.
        ReconcileError: it cannot be written: a full disk.
    """
    try:
        click.echo(text, nl=not text.endswith("\n"), color=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ReconcileError(f"cannot write the output: {error.strerror}") from error


def make_folder(path: Path) -> None:
    """Make a folder the user named, if it is not there.

    Raises:
        ReconcileError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReconcileError(f"cannot make {path}: {error.strerror}", hint="Name another folder.") from error


def write_file(path: Path, text: str) -> None:
    """Write a file the user named.

    Raises:
        ReconcileError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReconcileError(f"cannot write {path}: {error.strerror}", hint="Name another file.") from error
