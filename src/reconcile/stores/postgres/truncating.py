"""A table that is emptied to be filled again: its rows go into a table of the tool's own schema, in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from reconcile.errors import StoreError
from reconcile.model import Address
from reconcile.stores.postgres.changes.keeping import OWN, kept_as
from reconcile.stores.postgres.connect import Connection, explained
from reconcile.stores.postgres.resources import OWN_SCHEMA
from reconcile.stores.postgres.sqltext import ident, idents, relation

if TYPE_CHECKING:
    from reconcile.stores.postgres.session import PostgresSession

_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
    " AND attgenerated = '' AND attname IN (SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s))"
    " ORDER BY attnum"
)


class PostgresTruncating:
    """See `stores.truncating.Truncating`."""

    def __init__(self, session: PostgresSession, place: Address) -> None:
        self.session, self.place = session, place

    def held(self) -> int:
        """See `stores.truncating.Truncating`."""
        try:
            return int(_value(self.session.connection, f"SELECT count(*) FROM {relation(self.place)}"))
        except psycopg.Error as error:
            raise explained(error, str(self.place)) from error

    def archive(self, stamp: str) -> str:
        """See `stores.truncating.Truncating`."""
        return kept_as(hashlib.sha256(f"{self.place} {stamp}".encode()).hexdigest()[:8], self.place.parts[-1])

    def there(self, archive: str) -> bool:
        """See `stores.truncating.Truncating`."""
        return _there(self.session.connection, ident(OWN_SCHEMA, archive))

    def truncate(self, archive: str | None, check: Callable[[int], None]) -> tuple[int, int | None]:
        """See `stores.truncating.Truncating`: readers wait at its end only, writers while it copies."""
        connection, table = self.session.connection, relation(self.place)
        with self._explained(), connection.transaction():
            kept = None if archive is None else ident(OWN_SCHEMA, archive)
            if kept is not None and _there(connection, kept):
                return int(_value(connection, f"SELECT count(*) FROM {kept}")), _size(connection, kept)
            _settle(connection)
            connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE".encode())
            rows = int(_value(connection, f"SELECT count(*) FROM {table}"))
            check(rows)
            if kept is not None:
                connection.execute(OWN.encode())
                connection.execute(f"CREATE TABLE {kept} AS TABLE {table}".encode())
            connection.execute(f"TRUNCATE {table}".encode())
            return rows, None if kept is None else _size(connection, kept)

    def put_back(self, archive: str) -> int:
        """See `stores.truncating.Truncating`; columns that are new since have their defaults."""
        connection, table, kept = self.session.connection, relation(self.place), ident(OWN_SCHEMA, archive)
        with self._explained(), connection.transaction():
            if not _there(connection, kept):
                hint = "was it purged? See: reconcile kept list"
                raise StoreError(f"the rows kept as {archive} are no longer there", where=str(self.place), hint=hint)
            _settle(connection)
            columns = idents(str(n) for (n,) in connection.execute(_COLUMNS, (table, kept)).fetchall())
            connection.execute(f"TRUNCATE {table}".encode())
            sql = f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {kept}"
            rows = connection.execute(sql.encode()).rowcount
            connection.execute(f"DROP TABLE {kept}".encode())
            return rows

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.FeatureNotSupported as error:
            hint = "drop that foreign key first, or delete with a backfill that `deletes`: CASCADE is never used"
            raise StoreError(str(error.diag.message_primary), where=str(self.place), hint=hint) from error
        except psycopg.Error as error:
            raise explained(error, str(self.place)) from error


def _settle(connection: Connection) -> None:
    """Rows that are hidden are an error, not lost; nobody waits long for the lock, nor does the copy end early."""
    connection.execute(
        "SELECT set_config('lock_timeout', '10s', true), set_config('statement_timeout', '0', true),"
        " set_config('row_security', 'off', true)"
    )


def _there(connection: Connection, name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
    return bool(row and row[0])


def _size(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT pg_total_relation_size(to_regclass(%s))", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def _value(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]
