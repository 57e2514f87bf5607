"""What hand-written migrations need of a kind of store: its language read without a server, and what runs it.

A package that can be migrated satisfies `Scripted`, and makes what is `Migrates`. The two meet in `Group`: what is
sent in one transaction, or one statement that cannot be in any.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

from reconcile.change import Server
from reconcile.errors import StoreError
from reconcile.stores.base import StoreSpec


class Danger(StrEnum):
    """What a migration does only where it says so by this name, with a reason. The list is closed."""

    DROP_DATABASE = "drop-database"
    DROP_SCHEMA = "drop-schema"
    TRUNCATE = "truncate"
    DELETE_ALL = "delete-all"
    UPDATE_ALL = "update-all"
    SERVER_FILE = "server-file"
    SERVER_CALL = "server-call"
    DYNAMIC = "dynamic"
    UNPARSED = "unparsed"

    @property
    def sentence(self) -> str:
        """What it stands for, for the documentation."""
        return _SENTENCES[self]


_SENTENCES = {
    Danger.DROP_DATABASE: "removes a whole database",
    Danger.DROP_SCHEMA: "removes a whole schema, or all that a role owns",
    Danger.TRUNCATE: "empties a table",
    Danger.DELETE_ALL: "deletes without a condition: every row of a table, every node or relationship of the graph",
    Danger.UPDATE_ALL: "updates every row of a table, every node or relationship of the graph",
    Danger.SERVER_FILE: "reads or writes files of the server, or starts its programs",
    Danger.SERVER_CALL: "changes the server's settings, or rights over it, or calls what works outside the database",
    Danger.DYNAMIC: "runs statements put together at run time, which nobody can look into before",
    Danger.UNPARSED: "cannot be read, so that nobody can say what it does",
}


class StatementError(StoreError):
    """A statement failed; `line` is where in its file, `what` without the store."""

    def __init__(self, what: str, line: int, *, where: str, hint: str | None = None) -> None:
        self.line = line
        super().__init__(what, where=where, hint=hint)


@dataclass(frozen=True)
class Found:
    """Something dangerous in a script."""

    danger: Danger
    what: str
    line: int
    column: int


@dataclass(frozen=True)
class Fault:
    """Something in a script that cannot be run here."""

    what: str
    line: int
    column: int
    hint: str | None = None


@dataclass(frozen=True)
class Statement:
    """One statement as it is sent."""

    text: str
    line: int
    column: int
    alone: bool = False
    """Whether it cannot be in a transaction."""
    kind: str = ""
    """Statements of different kinds are never in one transaction: schema and data of a graph."""
    rows: str | None = None
    """What is sent after it: the lines below COPY … FROM stdin."""


@dataclass(frozen=True)
class Comment:
    """The text of a comment, without what makes it one."""

    text: str
    line: int


@dataclass(frozen=True)
class Script:
    """A script read without a server."""

    statements: tuple[Statement, ...]
    dangers: tuple[Found, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = ()
    defines: Mapping[str, tuple[Found, ...]] = field(default_factory=dict)
    """Routines it makes, by name, with what is dangerous inside: it matters where one is called."""
    calls: tuple[tuple[str, int, int], ...] = ()
    """Names that are called: name, line, column."""
    breaks: tuple[str, ...] = ()
    """What of it clients of the old schema notice: "DROP TABLE a (line 3)"."""
    deletes: tuple[tuple[int, int], ...] = ()
    """Where it deletes rows or objects, all or some of them, or may do anything: line, column."""


@dataclass(frozen=True)
class Group:
    """What is sent together: statements of one transaction, or one that stands alone, or code."""

    statements: tuple[Statement, ...] = ()
    alone: bool = False
    kind: str = ""
    code: Callable[[Any], object] | None = None
    """A function that is given the driver's own connection or transaction."""


def groups(script: Script) -> tuple[Group, ...]:
    """The statements in order, neighbours together where they can be."""
    found: list[Group] = []
    for (alone, kind), run in groupby(script.statements, key=lambda s: (s.alone, s.kind)):
        if alone:
            found += [Group((statement,), True, kind) for statement in run]
        else:
            found.append(Group(tuple(run), False, kind))
    return tuple(found)


def head(parts: Sequence[Group], count: int) -> str:
    """A checksum of the statements of the first parts of a migration."""
    told = repr([(g.alone, g.kind, [s.text + (s.rows or "") for s in g.statements]) for g in parts[:count]])
    return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """What is recorded of a migration that has run."""

    name: str
    """The name of its file, without the ending."""
    filename: str
    number: str
    """As the file has it, leading zeros included."""
    title: str
    """The name without the number."""
    checksums: Mapping[str, str]
    """By algorithm, as `checksums.algorithms` names them: a table of others keeps its own."""
    description: str = ""
    execution_time_ms: int | None = None


@dataclass(frozen=True)
class Row:
    """A row of the tracking table as it stands, in the names that we give the columns."""

    number: str | None
    name: str | None
    executed_at: datetime | None = None
    checksum: str | None = None
    description: str | None = None
    execution_time_ms: int | None = None
    failed: str | None = None
    """What of the row says that the migration failed under the tool that wrote it: "success is false"."""
    key: tuple[str, ...] = ()
    """What tells it from the others, for the session that read it."""


@dataclass(frozen=True)
class Progress:
    """How far a migration came that cannot be one transaction."""

    done: int
    """Groups that are through."""
    begun: bool
    """Whether the one after those was begun."""
    checksum: str
    """Of the file at that time."""
    head: str
    """`head` of what ran, the part that was begun included: the rest of the file may be mended."""


@dataclass(frozen=True)
class History:
    """What a store knows of the migrations that ran."""

    rows: tuple[Row, ...] = ()
    exists: bool = False
    progress: Mapping[str, Progress] = field(default_factory=dict)
    """By the name of the migration; " down" after it for the way back."""
    told: tuple[str, ...] = ()
    """How a table that somebody else made is understood."""


@dataclass(frozen=True)
class Part:
    """A group of a migration, and what goes with it."""

    name: str
    """As progress is kept under it."""
    checksum: str
    head: str
    """`head` up to this part."""
    at: int
    group: Group | None
    """None: all groups are through, what is left is to verify and to record."""
    last: bool
    again: bool
    """Whether an earlier try had begun it."""
    entry: Entry | None
    """What the last part records; None: the row is taken out (the way back)."""
    began: float
    """When the first part of this try did, by the monotonic clock."""
    remove: Row | None = None
    earlier: tuple[Group, ...] = ()
    """What an earlier try carried out, for the first part of this one: what that set for its session is gone."""
    like: tuple[Row, Mapping[str, str]] | None = None
    """A row of the table and the forms in which it names its migration, which new rows follow."""

    def timed(self, entry: Entry) -> Entry:
        """The entry with the time that it took until now."""
        return replace(entry, execution_time_ms=round((time.monotonic() - self.began) * 1000))


class Asker(Protocol):
    """What verifications ask: they read, and leave no trace."""

    @property
    def connection(self) -> Any:
        """What a `verify(conn)` of somebody else's is given."""

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """The rows of a query.

        Raises:
            StoreError: the server refused it; a statement that writes too.
        """


Judge = Callable[[Asker], None]
"""Runs the verifications of a migration; raises where one fails."""


@runtime_checkable
class Scripted(Protocol):
    """A package whose stores run hand-written scripts."""

    script_suffixes: tuple[str, ...]
    """The endings of its files, the usual one first: (".sql",)."""
    comment: str
    """What begins a comment in them."""

    def script(self, text: str, verifying: bool = False) -> Script:
        """A script split into statements, and what is dangerous or impossible in it. Reads no file, asks nobody."""

    def reads_only(self, query: str) -> bool:
        """Whether a text begins as a query does: for comments that may be one, or prose."""

    def tracking(self, spec: StoreSpec, table: str) -> tuple[str, ...]:
        """Patterns of the objects in which what ran is tracked; the project ignores them."""

    def migrations(self, spec: StoreSpec, project: str, environment: str) -> Migrates:
        """What runs them; nothing is sent before the first call."""


class Migrates(Protocol):
    """Runs hand-written scripts in one store, and tracks them there."""

    def history(self, table: str) -> History:
        """What ran; reads only.

        Raises:
            StoreError: the table is there and cannot be understood; says why.
        """

    def prepare(self, table: str, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
        """Make the table, if it is not there; prove that `entry` can be recorded.

        Raises:
            StoreError: it cannot.
        """

    def carry(self, table: str, part: Part, judge: Judge) -> None:
        """Run a part; what can be in one transaction with its being recorded is.

        Raises:
            StoreError: the server refused something: rolled back, where the part is a transaction.
            RefusedError: somebody else recorded the migration meanwhile.
        """

    def record(self, table: str, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
        """Record a migration as applied without running it."""

    def forget(self, table: str, row: Row | None, name: str) -> None:
        """Take a row and what is known of its progress out."""

    def rehearsing(self) -> AbstractContextManager[Callable[[Group], None]]:
        """A transaction that is rolled back, and what runs a group in it."""

    def server(self) -> Server:
        """What is known of the server; its identity is the database's."""

    def close(self) -> None:
        """End the connection."""


def at(statements: Sequence[Statement]) -> str:
    """The lines of statements, for people: `3` or `3-17`."""
    if not statements:
        return ""
    first, last = statements[0].line, statements[-1].line
    return str(first) if first == last else f"{first}-{last}"
