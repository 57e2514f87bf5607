"""What every command gets: the folder, the environment, and the project when it asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reconcile.project import Project


@dataclass
class Invocation:
    """`ctx.obj` of every command: where it works and for which environment."""

    directory: Path = field(default_factory=Path)
    environment: str | None = None
    loaded: Project | None = None
    """Set once it is read."""

    def project(self) -> Project:
        """The project in the folder; read on first use only by commands that need it.

        Raises:
            ProjectError: reconcile.yaml is missing or wrong: every problem with file, line and column.
        """
        from reconcile.project import Project

        self.loaded = Project.load(self.directory, self.environment)
        return self.loaded

    def secrets(self) -> tuple[str, ...]:
        """Secrets of the project as they can be read now, for what is printed after a failure."""
        from reconcile.hidden import secrets_of

        return () if self.loaded is None else secrets_of(self.loaded)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
"""Gives a command the `Invocation` as its first argument."""
