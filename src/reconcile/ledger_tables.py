"""What every part of the ledger stands on: a database, and the tables in it, made and upgraded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from reconcile.checkup import Check, Topic, Verdict
from reconcile.errors import ReconcileError
from reconcile.ledger_rows import TABLES, UPGRADES

SCHEMA_VERSION = max(UPGRADES)


class Database(Protocol):
    """What the SQL ledger needs of a database."""

    now: str
    """SQL expression: the database's clock, UTC seconds since 1970 as a float."""
    prefix: str
    """Before every table name, quoted: `"reconcile".` or nothing."""
    placement: str
    """For messages: "store app, schema reconcile" or the file's path."""

    def exists(self) -> bool:
        """Whether the ledger's tables are there; creates nothing."""

    def create(self, statements: Sequence[str]) -> None:
        """Make the place (schema, file) and run the statements, in one transaction."""

    def lacks(self) -> list[tuple[str, str]]:
        """What keeps it from being made or written: (what, what to do). Writes nothing."""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Run one statement with `?` placeholders; rows, if it returns any. Commits at once."""

    def rows(self, sql: str) -> Iterator[tuple[object, ...]]:
        """The rows of one statement without placeholders, a few thousand at a time."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each of `rows`, sent together; inside `transaction`."""

    def has(self, table: str) -> bool:
        """Whether a table of the ledger is there."""

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction over the statements inside."""

    def hastily(self) -> AbstractContextManager[None]:
        """What is written inside outlives the process at once, and a power cut only a moment later."""

    def close(self) -> None:
        """End the connection."""


class Tables:
    """Reads answer as an empty ledger would while none is there; the first write makes it."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._there: bool | None = None
        self._epoch: int | None = None
        self._run: str | None = None

    @property
    def placement(self) -> str:
        """Where it is, for messages."""
        return self._db.placement

    def exists(self) -> bool:
        """Whether anything was ever recorded."""
        if not self._there:
            self._there = self._db.exists()
        return self._there

    def ensure(self) -> None:
        """Make it, if it is not there.

        Raises:
            ReconcileError: it was written by a newer version of the tool.
        """
        if not self.exists():
            made = (*TABLES, *(statement for statements in UPGRADES.values() for statement in statements))
            tables = [statement.format(t=self._db.prefix) for statement in made]
            stamp = f"INSERT INTO {self._db.prefix}meta (key, value) VALUES ('schema_version', '{SCHEMA_VERSION}')"
            self._db.create([*tables, stamp])
            self._there = True
        self._sql("INSERT INTO {t}lock (id, epoch, expires) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING")
        version = self.version()
        if version > SCHEMA_VERSION:
            raise ReconcileError(
                f"the ledger has schema version {version}, this version of the tool knows {SCHEMA_VERSION}",
                where=self.placement,
                hint="upgrade reconcile",
            )
        for number in range(version + 1, SCHEMA_VERSION + 1):
            self._upgrade(number)

    def version(self) -> int:
        """The version of its schema; the newest where there is none yet."""
        if not self.exists():
            return SCHEMA_VERSION
        rows = self._sql("SELECT value FROM {t}meta WHERE key = 'schema_version'")
        return int(str(rows[0][0])) if rows else 1

    def _upgrade(self, number: int) -> None:
        """To this version from the one before, unless another process has come first."""
        with self._db.transaction():
            before, after = str(number - 1), str(number)
            ours = "UPDATE {t}meta SET value = ? WHERE key = 'schema_version' AND value = ? RETURNING value"
            for statement in UPGRADES[number] if self._sql(ours, after, before) else ():
                self._sql(statement)

    def check(self) -> list[Check]:
        """Whether it can be written, or made where there is none yet. Writes nothing."""
        lacks = self._db.lacks()
        if lacks:
            return [Check(Topic.LEDGER, Verdict.STOPS, what, hint, self.placement) for what, hint in lacks]
        state = "can be written" if self.exists() else "is made by the first apply"
        return [Check(Topic.LEDGER, Verdict.GOOD, f"{self.placement}: {state}")]

    def close(self) -> None:
        """End the connection."""
        self._db.close()

    def _sql(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        return self._db.execute(sql.format(t=self._db.prefix, now=self._db.now), parameters)

    def _each(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._db.execute_many(sql.format(t=self._db.prefix, now=self._db.now), rows)

    def _upsert(self, table: str, conflict: str, **row: object) -> None:
        columns = ", ".join(row)
        updates = ", ".join(f"{c} = excluded.{c}" for c in row)
        self._sql(
            f"INSERT INTO {{t}}{table} ({columns}) VALUES ({', '.join('?' * len(row))})"
            f" ON CONFLICT ({conflict}) DO UPDATE SET {updates}",
            *row.values(),
        )
