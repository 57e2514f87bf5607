"""Runs hand-written migrations: each group in a transaction with what is recorded of it, or a statement alone.

A connection of its own, with the settings that the server gives its users rather than ours: the files were written
for psql. What a file sets for its session ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.change import Server
from reconcile.errors import RefusedError, StoreError
from reconcile.stores.base import StoreSpec
from reconcile.stores.migrating import Entry, Group, History, Judge, Part, Row, Statement, StatementError
from reconcile.stores.postgres import broken_builds, checks, progress, tracking
from reconcile.stores.postgres.connect import Connection, connect, explained
from reconcile.stores.postgres.scripts import scan, significant
from reconcile.stores.postgres.sqltext import ident

if TYPE_CHECKING:
    from collections.abc import Mapping

_AS_USERS_HAVE = "RESET TimeZone; RESET DateStyle; RESET IntervalStyle; RESET row_security; RESET check_function_bodies"
_DONE = (
    errors.DuplicateTable,
    errors.DuplicateObject,
    errors.DuplicateDatabase,
    errors.UndefinedObject,
    errors.UndefinedTable,
    errors.InvalidCatalogName,
)
"""What a statement meets that an earlier try has carried out: it makes what is there, or removes what is not."""


class PostgresMigrations:
    """See `stores.migrating.Migrates`."""

    def __init__(self, spec: StoreSpec, application: str) -> None:
        self.name, self._spec, self._application = spec.name, spec, application
        self.schemas: tuple[str, ...] = tuple(spec.settings.get("schemas") or ("public",))
        self._open: Connection | None = None
        self._own = ("", "")
        """User and role of the connection as we made it."""

    @property
    def connection(self) -> Connection:
        """Made at the first use, and again for each migration."""
        if self._open is None or self._open.closed:
            self._open = connect(self._spec, self._application)
            limit = str(self._spec.settings.get("lock_timeout") or "10s")
            self._open.execute(_AS_USERS_HAVE)
            self._open.execute("SELECT set_config('lock_timeout', %s, false)", (limit,))
            self._own = self._role()
        return self._open

    def close(self) -> None:
        """See `Migrates`."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def server(self) -> Server:
        """See `Migrates`."""
        with self._translated():
            return checks.server(self.connection, self.name)

    def _table(self, table: str) -> tracking.Table | None:
        return tracking.read(self.connection, *tracking.placed(table, self.schemas))

    def _made(self, table: str) -> tracking.Table:
        found = self._table(table)
        if found is None:
            raise StoreError(
                f"table {table} is gone", where=f"store {self.name}", hint="somebody dropped it: try again"
            )
        return found

    def history(self, table: str) -> History:
        """See `Migrates`."""
        with self._translated():
            found = self._table(table)
            if found is None:
                return History()
            under_way = progress.read(self.connection, found.progress)
            told = () if found.columns.keys() == tracking.NAMES.keys() and not found.told else found.told
            return History(tuple(tracking.rows(self.connection, found)), True, under_way, told)

    def prepare(self, table: str, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
        """See `Migrates`."""
        with self._translated(), self.connection.transaction():
            if self._table(table) is None:
                schema, name = tracking.placed(table, self.schemas)
                tracking.make(self.connection, schema, name)
            tracking.check(self._made(table), entry, like)

    def record(self, table: str, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
        """See `Migrates`."""
        with self._translated(), self.connection.transaction():
            tracking.insert(self.connection, self._made(table), entry, like)

    def forget(self, table: str, row: Row | None, name: str) -> None:
        """See `Migrates`."""
        with self._translated(), self.connection.transaction():
            found = self._made(table)
            if row is not None:
                tracking.delete(self.connection, found, row)
            progress.forget(self.connection, found.progress, name)

    def carry(self, table: str, part: Part, judge: Judge) -> None:
        """See `Migrates`."""
        group = part.group
        with self._translated():
            found = self._made(table)
            for statement in (s for g in part.earlier for s in g.statements if _settles(s.text)):
                self._send(statement)
            if group is not None and group.alone:
                self._alone(found, part, group.statements[0])
                with self._ourselves():
                    progress.note(self.connection, found.progress, part, begun=False)
                group = None
                if not part.last:
                    return
            with self.connection.transaction():
                with self._ourselves():
                    if part.entry is not None:
                        tracking.lock(self.connection, found, part.entry, part.like)
                    if group is not None:
                        self._refuse_done(found, part)
                if group is not None:
                    self._run(group)
                with self._ourselves():
                    if not part.last:
                        progress.note(self.connection, found.progress, part, begun=False)
                        return
                    self._judged(judge)
                    if part.remove is not None:
                        tracking.delete(self.connection, found, part.remove)
                    if part.entry is not None:
                        tracking.insert(self.connection, found, part.timed(part.entry), part.like)
                    progress.forget(self.connection, found.progress, part.name)
        self.close()  # what the file has set for its session ends here

    @contextmanager
    def _ourselves(self) -> Iterator[None]:
        """What we write is written as who we are, whatever role the file has taken; the file has it again after."""
        taken = self._role()
        if taken == self._own:
            yield
            return
        self._be(*self._own)
        yield
        self._be(*taken)

    def _role(self) -> tuple[str, str]:
        row = self.connection.execute("SELECT session_user, current_setting('role')").fetchone()
        assert row is not None
        return str(row[0]), str(row[1])

    def _be(self, user: str, role: str) -> None:
        self.connection.execute("RESET SESSION AUTHORIZATION")
        if self._role()[0] != user:
            self.connection.execute(f"SET SESSION AUTHORIZATION {ident(user)}".encode())
        self.connection.execute("SELECT set_config('role', %s, false)", (role,))

    def _refuse_done(self, table: tracking.Table, part: Part) -> None:
        """A transaction that outlived its killed client may have ended while we waited for its lock.

        Raises:
            RefusedError: it has carried this part out.
        """
        now = progress.read(self.connection, table.progress).get(part.name)
        if now is not None and now.done > part.at:
            raise RefusedError(f"a part of migration {part.name} ended meanwhile", hint="try again: it goes on there")

    def _run(self, group: Group) -> None:
        if group.code is not None:
            group.code(self.connection)
        for statement in group.statements:
            self._send(statement)

    def _send(self, statement: Statement) -> None:
        try:
            if statement.rows is None:
                self.connection.execute(statement.text.encode())
                return
            with self.connection.cursor() as cursor, cursor.copy(statement.text.encode()) as copy:
                copy.write(statement.rows.encode())
        except psycopg.Error as error:
            raise located(error, f"store {self.name}", statement) from error

    def _judged(self, judge: Judge) -> None:
        """Verify; whatever is asked can write nothing and leaves nothing."""
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("SET TRANSACTION READ ONLY")
            judge(Asking(self))

    def _alone(self, table: tracking.Table, part: Part, statement: Statement) -> None:
        """Run what cannot be in a transaction; after a broken try, see first what that has left."""
        again, asked = part.again, broken_builds.build(statement.text)
        if again and asked is not None:
            before = progress.indexes(self.connection, table.progress, part.name)
            if broken_builds.settled(self.connection, asked, before, self.name):
                return
        there = None if asked is None else broken_builds.there(self.connection, asked)
        with self._ourselves():
            progress.note(self.connection, table.progress, part, begun=True, there=there)
        self.connection.execute("SET client_min_messages = error")  # a build then outlives its client
        try:
            self.connection.execute(statement.text.encode())
        except _DONE as error:
            if not (again and _begins(statement.text) in ("CREATE", "DROP", "ALTER")):
                raise located(error, f"store {self.name}", statement) from error
        except psycopg.Error as error:
            raise located(error, f"store {self.name}", statement) from error
        finally:
            if not self.connection.closed:
                self.connection.execute("RESET client_min_messages")

    @contextmanager
    def rehearsing(self) -> Iterator[Callable[[Group], None]]:
        """See `Migrates`."""
        with self._translated(), self.connection.transaction(force_rollback=True):
            yield self._run
        self.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self.close()
            raise explained(error, f"store {self.name}") from error
        except BaseException:
            self.close()  # what the file has set must not reach the next one
            raise


class Asking:
    """See `stores.migrating.Asker`."""

    def __init__(self, owner: PostgresMigrations) -> None:
        self._owner = owner

    @property
    def connection(self) -> Any:
        """What asyncpg's connections offer for reading, over ours."""
        return Lookalike(self._owner.connection)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """See `Asker`."""
        with self._owner._translated():
            return list(self._owner.connection.execute(query.encode()).fetchall())


class Lookalike:
    """The reading methods of an asyncpg connection, for a `verify(conn)` that was written for one.

    https://magicstack.github.io/asyncpg/current/api/index.html#asyncpg.connection.Connection
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, query: str, *values: object, timeout: float | None = None) -> list[Record]:
        """All rows."""
        del timeout
        return self._rows(query, values)

    async def fetchrow(self, query: str, *values: object, timeout: float | None = None) -> Record | None:
        """The first row, if any."""
        del timeout
        return next(iter(self._rows(query, values)), None)

    async def fetchval(self, query: str, *values: object, column: int = 0, timeout: float | None = None) -> object:
        """A value of the first row; None where there is none."""
        del timeout
        row = next(iter(self._rows(query, values)), None)
        return None if row is None else row[column]

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Record]:
        with psycopg.RawCursor(self._connection) as cursor:
            cursor.execute(query.encode(), values or None)
            names = [d.name for d in cursor.description or ()]
            return [Record(names, row) for row in cursor.fetchall()] if names else []


class Record(tuple[object, ...]):
    """A row whose values are found by number and by name."""

    names: list[str]

    def __new__(cls, names: list[str], values: TupleRow) -> Record:
        """With the names of the columns."""
        made = super().__new__(cls, values)
        made.names = names
        return made

    def __getitem__(self, key: Any) -> Any:
        """By place, or by the column's name."""
        return super().__getitem__(self.names.index(key) if isinstance(key, str) else key)

    def get(self, key: str, default: object = None) -> object:
        """By the column's name."""
        return self[key] if key in self.names else default

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(self.names)


def located(error: psycopg.Error, where: str, statement: Statement) -> StatementError:
    """An error of the server at the line of the file where it stands."""
    line = statement.line
    if (position := error.diag.statement_position) is not None:
        line += statement.text[: int(position) - 1].count("\n")
    told = explained(error, where, statement.text)
    return StatementError(told.what, line, where=where, hint=None if error.sqlstate is None else told.hint)


def _begins(text: str) -> str:
    return significant(list(scan(text)))[0].word


def _settles(text: str) -> bool:
    """Whether a statement sets something for the rest of the session: a search path, a role."""
    words = [t.word for t in significant(list(scan(text)))]
    if words[0] == "SELECT":
        return "set_config" in text.lower()
    return words[0] in ("SET", "RESET") and words[1] not in ("LOCAL", "TRANSACTION", "CONSTRAINTS")
