"""An open group of statements, and what statements share in a transaction and outside one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from reconcile.change import Call, Sql, Timeouts
from reconcile.errors import StoreError
from reconcile.stores.postgres.connect import Connection, explained
from reconcile.stores.postgres.introspect import settle
from reconcile.stores.postgres.locks import Waiting, lock_first

if TYPE_CHECKING:
    from reconcile.stores.postgres.session import PostgresSession


class PostgresTransaction:
    """An open group of steps; `session` and `connection` let a ledger in the same database write inside it."""

    def __init__(self, session: PostgresSession, connection: Connection) -> None:
        self.session, self.connection = session, connection
        self._timeouts: Timeouts | None = None
        self._waiting = Waiting()

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """See `Transaction.run`; how long each statement waits for its lock is up to `locks.Waiting`."""
        sql = text_of(call, self.session.name)
        first = None if self._waiting.holds else lock_first(sql)
        if first is not None:
            self._execute(first, timeouts)
        self._execute(sql, timeouts)

    def _execute(self, sql: str, timeouts: Timeouts) -> None:
        timeouts = self._waiting.left(timeouts)
        if timeouts != self._timeouts:
            set_limits(self.connection, timeouts, local=True)
            self._timeouts = timeouts
        began = time.monotonic()
        try:
            self.connection.execute(sql.encode())
            if sql.startswith("CREATE EXTENSION"):
                settle(self.connection, self.session.schemas)
        except psycopg.Error as error:
            raise explained(error, f"store {self.session.name}", sql) from error
        self._waiting.ran(sql, time.monotonic() - began)


def text_of(call: Call, store: str) -> str:
    """The statement of a call.

    Raises:
        StoreError: it is of another kind of store.
    """
    if not isinstance(call, Sql):
        raise StoreError(
            f"this is no call for PostgreSQL: {call}", where=store, hint="the plan file is damaged: plan again"
        )
    return call.sql


def set_limits(connection: Connection, timeouts: Timeouts, *, local: bool) -> None:
    """Set both limits; a wall-clock limit is kept by the server as the statement's."""
    connection.execute(
        "SELECT set_config('lock_timeout', %s, %s), set_config('statement_timeout', %s, %s)",
        (timeouts.lock or "0", local, timeouts.statement or timeouts.wall or "0", local),
    )
