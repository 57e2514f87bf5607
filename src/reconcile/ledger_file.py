"""The ledger in an SQLite file of the project: for one person, or where there is no other place."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from reconcile.errors import ReconcileError
from reconcile.ledger import Ledger


class SqliteDatabase:
    """`Database` over one file."""

    now = "((julianday('now') - 2440587.5) * 86400.0)"  # unixepoch('subsec') came with SQLite 3.42
    prefix = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.placement = str(path)
        self._connection: sqlite3.Connection | None = None
        self._guard = threading.RLock()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # autocommit; the heartbeat's thread shares the connection under our lock
                self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=10, check_same_thread=False)
                self._connection.execute("PRAGMA journal_mode = WAL")
            except (OSError, sqlite3.Error) as error:
                raise ReconcileError(
                    f"the ledger cannot be opened: {error}",
                    where=str(self.path),
                    hint="see `ledger:` in reconcile.yaml",
                ) from error
        return self._connection

    def exists(self) -> bool:
        """See `Database`."""
        if not self.path.exists():
            return False
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'"))

    def has(self, table: str) -> bool:
        """See `Database`."""
        return bool(self.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)))

    def create(self, statements: Sequence[str]) -> None:
        """See `Database`."""
        with self._guard, self.transaction():
            if not self.exists():
                for statement in statements:
                    self.execute(statement)

    def lacks(self) -> list[tuple[str, str]]:
        """See `Database`."""
        place = self.path if self.path.exists() else next(p for p in self.path.parents if p.exists())
        if os.access(place, os.W_OK):
            return []
        return [(f"{place} may not be written", "see `ledger:` in reconcile.yaml, and who owns that file or folder")]

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """See `Database`."""
        with self._guard:
            try:
                return self._open().execute(sql, tuple(parameters)).fetchall()
            except sqlite3.Error as error:
                raise ReconcileError(f"the ledger failed: {error}", where=str(self.path)) from error

    def rows(self, sql: str) -> Iterator[tuple[object, ...]]:
        """See `Database`."""
        yield from self.execute(sql)

    def execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """See `Database`."""
        with self._guard:
            try:
                self._open().executemany(sql, rows)
            except sqlite3.Error as error:
                raise ReconcileError(f"the ledger failed: {error}", where=str(self.path)) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database`."""
        with self._guard:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    @contextmanager
    def hastily(self) -> Iterator[None]:
        """See `Database`: https://www.sqlite.org/pragma.html#pragma_synchronous"""
        with self._guard:
            self.execute("PRAGMA synchronous = NORMAL")
            try:
                yield
            finally:
                self.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """See `Database`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def open_file(path: Path) -> Ledger:
    """The ledger in an SQLite file, made at the first write."""
    return Ledger(SqliteDatabase(path))


def copy(path: Path, target: Path) -> None:
    """A whole copy of a ledger, also while somebody writes it; without its lock, which `Ledger.ensure` makes again.

    Raises:
        ReconcileError: it cannot be read.
        OSError: the copy cannot be written.
    """
    target.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(path, timeout=10)) as source, closing(sqlite3.connect(target)) as made:
            source.backup(made)
            made.execute("DELETE FROM lock")
            made.commit()
            made.execute("PRAGMA journal_mode = DELETE")  # one file, and nothing beside it
    except sqlite3.Error as error:
        raise ReconcileError(f"the ledger cannot be copied: {error}", where=str(path)) from error
