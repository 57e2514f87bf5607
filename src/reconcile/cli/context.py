"""What every command gets: the folder, the environment, and the project when it asks for it."""

from __future__ import annotations

import contextlib
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
        """Passwords and keys of the stores as they can be read now, for what is printed after a failure.

        One that equals what is no secret (the kind, the user: `postgres`) would only garble messages.
        """
        from urllib.parse import urlsplit

        from reconcile.errors import ReconcileError
        from reconcile.references import secrets

        found: dict[str, None] = {}
        for spec in self.loaded.stores.values() if self.loaded is not None else ():
            public = {spec.kind, spec.name}
            with contextlib.suppress(ReconcileError, ValueError):
                public |= {spec.resolve("user") or "", urlsplit(spec.resolve("url") or "").username or ""}
            found |= dict.fromkeys(value for value in secrets(spec) if value not in public)
        return tuple(found)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
"""Gives a command the `Invocation` as its first argument."""
