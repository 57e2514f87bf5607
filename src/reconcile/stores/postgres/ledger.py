"""The ledger in a schema of the database: a connection of its own, autocommit, idle between statements."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconcile.errors import ReconcileError
from reconcile.ledger import Ledger
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres.sqltext import ident

if TYPE_CHECKING:
    from reconcile.stores.postgres.connect import Connection

_CREATE_LOCK = 7230511842
"""Advisory lock of the transaction that makes the tables: two first runs must not race."""


_LACKS = """
SELECT current_user::text, n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
  coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
  CASE WHEN NOT has_database_privilege(current_database(), 'CREATE') THEN current_database()::text END,
  CASE WHEN EXISTS (SELECT FROM pg_class m WHERE m.relnamespace = n.oid AND m.relname = 'meta') THEN
    (SELECT coalesce(jsonb_object_agg(privilege, names), '{}') FROM (
      SELECT privilege, jsonb_agg(c.relname ORDER BY c.relname) AS names
      FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) privilege
      WHERE c.relnamespace = n.oid AND c.relkind = 'r'
        AND c.relname IN ('meta', 'stores', 'lock', 'runs', 'journal', 'applied', 'known', 'reports')
        AND (privilege <> 'DELETE' OR c.relname = 'applied')
        AND NOT has_table_privilege(c.oid, privilege) GROUP BY privilege) missing) END,
  EXISTS (SELECT FROM pg_class m WHERE m.relnamespace = n.oid AND m.relname = 'reports')
FROM (SELECT ?::text AS schema) w LEFT JOIN pg_namespace n ON n.nspname = w.schema
"""

_AT_ONCE = 1_000
"""Rows fetched in one go."""


class PostgresDatabase:
    """`Database` over a schema; a connection may be given, whose transaction is then written in."""

    now = "extract(epoch from clock_timestamp())::double precision"

    def __init__(self, spec: StoreSpec, schema: str, connection: Connection | None = None) -> None:
        self.schema = schema
        self.prefix = f"{ident(schema)}."
        self.placement = f"store {spec.name}, schema {schema}"
        self._spec, self._connection, self._borrowed = spec, connection, connection is not None
        self._guard = threading.RLock()

    def _open(self) -> Connection:
        from reconcile.stores.postgres.connect import connect

        if self._connection is None or (self._connection.closed and not self._borrowed):
            self._connection = connect(self._spec, "reconcile ledger")
        return self._connection

    @property
    def _user(self) -> str:
        return self._spec.resolve("role") or self._open().info.user

    def exists(self) -> bool:
        """See `Database`.

        Raises:
            ReconcileError: it is there and may not be read.
        """
        rows = self.execute(
            "SELECT has_schema_privilege(n.oid, 'USAGE')"
            " AND has_table_privilege(c.oid, 'SELECT'), pg_get_userbyid(c.relowner)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ? AND c.relname = 'meta' AND c.relkind = 'r'",
            (self.schema,),
        )
        if rows and not rows[0][0]:
            raise ReconcileError(
                "the ledger is there, but may not be read",
                where=self.placement,
                hint=f"connect as {rows[0][1]}, which owns it, or set `role: {rows[0][1]}` of the store;\n"
                f"  for a role that only plans: GRANT USAGE ON SCHEMA {ident(self.schema)} TO …;"
                f" GRANT SELECT ON ALL TABLES IN SCHEMA {ident(self.schema)} TO …",
            )
        return bool(rows)

    def has(self, table: str) -> bool:
        """See `Database`."""
        return bool(self.execute("SELECT 1 WHERE to_regclass(?) IS NOT NULL", (f"{self.prefix}{ident(table)}",)))

    def create(self, statements: Sequence[str]) -> None:
        """See `Database`."""
        with self._guard, self.transaction():
            self.execute("SELECT pg_advisory_xact_lock(?)", (_CREATE_LOCK,))
            if self.exists():
                return
            there = self.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (self.schema,))
            if not there:
                self.execute(f"CREATE SCHEMA {ident(self.schema)}")
            for statement in statements:
                self.execute(statement)

    def lacks(self) -> list[tuple[str, str]]:
        """See `Database`: asked of the server, in one query."""
        ((user, there, create, usage, database, tables, newest),) = self.execute(_LACKS, (self.schema,))
        schema, who = ident(self.schema), ident(str(user))
        if not there:
            if database is None:
                return []
            hint = (
                f"GRANT CREATE ON DATABASE {ident(str(database))} TO {who}; or `ledger: {{file: .reconcile/ledger.db}}`"
            )
            return [(f"the ledger cannot be made: {user} may not create schemas in database {database}", hint)]
        if not usage:
            return [(f"{user} lacks USAGE on schema {self.schema}", f"GRANT USAGE ON SCHEMA {schema} TO {who}")]
        if tables is None:
            what = f"the ledger cannot be made: {user} may not create in schema {self.schema}"
            return [] if create else [(what, f"GRANT CREATE ON SCHEMA {schema} TO {who}")]
        found = []
        if not newest and not create:
            what = f"the ledger cannot be upgraded: {user} may not create in schema {self.schema}"
            found.append((what, f"GRANT CREATE ON SCHEMA {schema} TO {who}"))
        for privilege, names in sorted(dict(tables).items()):  # type: ignore[call-overload]
            listed = ", ".join(f"{schema}.{ident(name)}" for name in names)
            what = f"{user} lacks {privilege} on tables of the ledger: {', '.join(names)}"
            found.append((what, f"GRANT {privilege} ON {listed} TO {who}"))
        return found

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """See `Database`."""
        query = _placed(sql) if parameters else sql
        with self._explained(sql):
            cursor = self._open().execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description is not None else []

    def rows(self, sql: str) -> Iterator[tuple[object, ...]]:
        """See `Database`: by a cursor of the server's."""
        with self._explained(sql), self.transaction(), self._open().cursor("applied") as cursor:
            cursor.execute(sql.encode())
            while rows := cursor.fetchmany(_AT_ONCE):
                yield from rows

    def execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """See `Database`."""
        with self._explained(sql):
            self._open().cursor().executemany(_placed(sql).encode(), rows)

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        import psycopg

        from reconcile.stores.postgres.connect import explained

        with self._guard:
            try:
                yield
            except psycopg.Error as error:
                denied = isinstance(error, psycopg.errors.InsufficientPrivilege)
                if denied and sql.lstrip().startswith("SELECT"):
                    raise ReconcileError(
                        f"the ledger cannot be read: {error.diag.message_primary}",
                        where=self.placement,
                        hint=f"GRANT SELECT ON ALL TABLES IN SCHEMA {ident(self.schema)} TO {ident(self._user)}",
                    ) from error
                if denied:
                    raise ReconcileError(
                        f"the ledger cannot be written: {error.diag.message_primary}",
                        where=self.placement,
                        hint="grant CREATE on the database, or set `ledger: {file: .reconcile/ledger.db}`",
                    ) from error
                raise explained(error, self.placement, sql) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database`."""
        with self._guard, self._open().transaction():
            yield

    @contextmanager
    def hastily(self) -> Iterator[None]:
        """See `Database`; within another's transaction that one decides."""
        with self._guard:
            if not self._borrowed:
                self.execute("SET synchronous_commit = off")
            try:
                yield
            finally:
                if not self._borrowed and self._connection is not None and not self._connection.closed:
                    self.execute("RESET synchronous_commit")

    def close(self) -> None:
        """See `Database`."""
        if self._connection is not None and not self._borrowed:
            self._connection.close()
            self._connection = None


def _placed(sql: str) -> str:
    """A statement with the driver's placeholders."""
    return sql.replace("%", "%%").replace("?", "%s")


class PostgresLedger(Ledger):
    """A ledger that can write inside the transaction of a group of steps in its own database."""

    def __init__(self, spec: StoreSpec, schema: str, connection: Any = None) -> None:
        super().__init__(PostgresDatabase(spec, schema, connection))
        self._spec, self._schema = spec, schema

    def inside(self, transaction: object) -> Ledger | None:
        """See `Ledger.inside`: only where the transaction is one of the store that the ledger is in."""
        connection = getattr(transaction, "connection", None)
        session = getattr(transaction, "session", None)
        if connection is None or getattr(session, "name", None) != self._spec.name:
            return None
        within = PostgresLedger(self._spec, self._schema, connection)
        within._there, within._epoch, within._run = self._there, self._epoch, self._run
        return within


def open_ledger(spec: StoreSpec, schema: str) -> Ledger:
    """The ledger in `schema` of the store; nothing is sent before it is first asked."""
    return PostgresLedger(spec, schema)
