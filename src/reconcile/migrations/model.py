"""Migrations as their files have them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from reconcile.model import Json, Source
from reconcile.stores.migrating import Entry, Found, Script

TABLE = "schema_migrations"


class Layout(StrEnum):
    """How the files of a folder are called."""

    NUMBERED = "numbered"
    UP_DOWN = "up-down"
    DATED = "dated"

    @property
    def pattern(self) -> str:
        """As people write it."""
        return {
            "numbered": "NNN_name.sql (.cypher, .yaml, .py)",
            "up-down": "VNN-name-up.sql and VNN-name-down.sql",
            "dated": "YYYY-MM-DD-NNN-name.cypher",
        }[self.value]


@dataclass(frozen=True)
class Permit:
    """Dangers that a migration is allowed, and why."""

    dangers: frozenset[str]
    reason: str
    where: Source


@dataclass(frozen=True)
class Folder:
    """An entry of `migrations:`."""

    name: str
    store: str
    folder: str
    layout: Layout | None
    """None: what its files show."""
    wrappers: str | None
    table: str
    permits: Mapping[str, tuple[Permit, ...]]
    """By number, as reconcile.yaml has them."""
    source: Source


@dataclass(frozen=True)
class Verification:
    """Something that must hold after a migration."""

    label: str
    where: Source
    query: str | None = None
    expect: Json = None
    expects: bool = False
    """Whether `expect` is given; else the first value must be neither NULL nor false."""
    code: Callable[[Any], Awaitable[object] | object] | None = None
    """A `verify(conn)`."""
    unrunnable: str | None = None
    """Why it cannot be run here; it is told as not run then, never as passed."""


@dataclass(frozen=True)
class Migration:
    """A migration, read whole."""

    folder: Folder
    number: str
    """As the file has it."""
    order: tuple[int, ...]
    """By which it is sorted."""
    title: str
    file: str
    """From the project folder."""
    path: Path
    source: Source
    up: Script
    down: Script | None
    checksums: Mapping[str, str]
    description: str = ""
    depends_on: tuple[tuple[str, Source], ...] = ()
    permits: tuple[Permit, ...] = ()
    verify: tuple[Verification, ...] = ()
    up_code: Callable[[Any], object] | None = None
    down_code: Callable[[Any], object] | None = None
    down_file: str | None = None
    dangers: tuple[Found, ...] = ()
    """Of the way up, calls of dangerous routines of other files included."""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its ending: what tells migrations of a store apart."""
        stem = self.path.name.removesuffix(self.path.suffix)
        return stem.removesuffix("-up") if self.folder_layout is Layout.UP_DOWN else stem

    folder_layout: Layout = field(default=Layout.NUMBERED, kw_only=True)

    @property
    def id(self) -> str:
        """As commands name it: the number, or FOLDER/NUMBER."""
        return f"{self.folder.name}/{self.number}"

    @property
    def checksum(self) -> str:
        """Ours."""
        return next(iter(self.checksums.values()))

    @property
    def keys(self) -> frozenset[str]:
        """All that people and tables call it."""
        numbers = {self.number, self.number.lstrip("Vv")}
        if len(self.order) == 1:
            numbers |= {str(self.order[0]), f"V{self.order[0]}"}
        return frozenset({*numbers, self.name, self.path.name, self.title, self.path.stem})

    def entry(self) -> Entry:
        """What is recorded of it."""
        return Entry(self.name, self.path.name, self.number, self.title, self.checksums, self.description)

    def permit(self, found: Found) -> Permit | None:
        """What allows a danger, if anything does."""
        return next((p for p in self.permits if found.danger.value in p.dangers), None)

    @property
    def refused(self) -> tuple[Found, ...]:
        """Dangers that nothing allows."""
        return tuple(d for d in self.dangers if self.permit(d) is None)
