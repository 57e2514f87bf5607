"""Backfills of a database: keyset batches of a query's rows, each changed in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.filling import Batch, Save, Value, Wanted
from reconcile.stores.postgres.keyset import Keyset, by_fields, escaped, rows_of_json
from reconcile.stores.postgres.lenient import lenient
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.receiving import COLUMNS
from reconcile.stores.postgres.sqltext import ident, idents

if TYPE_CHECKING:
    from reconcile.stores.postgres.connect import Connection
    from reconcile.stores.postgres.session import PostgresSession

_ROWS = "rc__rows"
_TIES = 130000
"""FETCH FIRST … WITH TIES came with PostgreSQL 13."""


class PostgresFilling:
    """See `stores.filling.Filling`."""

    def __init__(self, session: PostgresSession, wanted: Wanted) -> None:
        self.session, self.wanted = session, wanted
        self._settled: Connection | None = None
        if wanted.key is None or not isinstance(wanted.select, str):
            hint = "`select` is a query and `key` names its column, or columns, that tell the rows apart"
            raise StoreError("a backfill of a table needs a query and a key", where=self._where, hint=hint)
        self.select = f"({wanted.select.strip().rstrip(';')}\n) AS {_ROWS}"  # a comment may end the query
        self.key = self._keyset((wanted.key,) if isinstance(wanted.key, str) else wanted.key)
        self.types = self._column_types() if wanted.into is not None else {}

    # -- reading -----------------------------------------------------------------------------------------------

    def count(self) -> int:
        """See `Filling.count`.

        Raises:
            StoreError: keys of some rows are null: no order has a place for them.
        """
        null = " OR ".join(f"{ident(name)} IS NULL" for name in self.key.names)
        sql = f"SELECT count(*), count(*) FILTER (WHERE {null}) FROM {self.select}"
        with self._explained(sql):
            row = self._connection.execute(sql.encode()).fetchone()
        assert row is not None
        if row[1]:
            raise self._no_key(f"{row[1]} of {row[0]} rows")
        return int(row[0])

    def _no_key(self, rows: str) -> StoreError:
        hint = "leave those rows out of `select`, or choose another key"
        return StoreError(f"the key {self._named} is null in {rows}", where=self._where, hint=hint)

    def split(self, rows: int) -> list[Json]:
        """See `Filling.split`."""
        order = self.key.columns()
        numbered = f"SELECT {order}, row_number() OVER (ORDER BY {order}) AS rc__number FROM {self.select}"
        sql = (
            f"SELECT {self.key.shown()} FROM ({numbered}) AS rc__numbered"
            f" WHERE rc__number % {int(rows)} = 0 ORDER BY {order}"
        )
        with self._explained(sql):
            found = self._connection.execute(sql.encode()).fetchall()
        return list(self.key.keys(found))

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        """See `Filling.read`."""
        only_keys = self.wanted.statement is not None
        ties = self._connection.info.server_version >= _TIES
        limit = f"FETCH FIRST {int(size)} ROWS WITH TIES" if ties else f"LIMIT {int(size)}"
        tests, given = [], dict[str, str]()
        for word, key, prefix in ((">", after, "after"), ("<=", until, "until")):
            if key is not None:
                test, parameters = self.key.beyond(word, key, prefix)
                tests.append(test)
                given |= parameters
        beyond = f" WHERE {' AND '.join(tests)}" if tests else ""
        shown = self.key.shown(f"{_ROWS}.") + ("" if only_keys else f", {_ROWS}.*")
        order = self.key.columns(f"{_ROWS}.")
        sql = f"SELECT {shown} FROM {self.select}{beyond} ORDER BY {order} {limit}"
        with self._explained(sql):
            cursor = self._connection.cursor() if only_keys else lenient(self._connection.cursor())
            cursor.execute(escaped(sql, given).encode(), given or None)
            names = [column.name for column in cursor.description or ()]
            rows = cursor.fetchall()
        width, keys = len(self.key.names), self.key.keys(rows)
        if any(None in key for key in keys) if self.key.several else None in keys:
            raise self._no_key("a row that has come since it began")
        if only_keys:
            return Batch(keys)
        return Batch(keys, tuple(dict(zip(names[width:], row[width:], strict=True)) for row in rows))

    def ask(self, query: str) -> Json:
        """See `Filling.ask`."""
        with self._explained(query):
            row = self._connection.execute(query.encode()).fetchone()
        if row is None or len(row) != 1:
            raise StoreError("a query has to give one value", where=self._where, hint=f"in: {' '.join(query.split())}")
        return row[0]

    def _keyset(self, names: tuple[str, ...]) -> Keyset:
        """The key with its types, as the server writes them."""
        with self._explained(self.wanted.select):
            cursor = self._connection.execute(f"SELECT * FROM {self.select} LIMIT 0".encode())
        found = {column.name: column.type_code for column in cursor.description or ()}
        if absent := [name for name in names if name not in found]:
            raise StoreError(
                f"`select` gives no column {absent[0]}",
                where=self._where,
                hint=f"`key` is one of {', '.join(found)}, or several: unique, and best with an index",
            )
        # with -1, for `character` and `bit` alone are of length one
        asked = "SELECT format_type(oid, -1) FROM unnest(CAST(%s AS oid[])) WITH ORDINALITY AS t(oid, n) ORDER BY n"
        rows = self._connection.execute(asked, ([found[name] for name in names],)).fetchall()
        key = Keyset(names, tuple(str(row[0]) for row in rows), not isinstance(self.wanted.key, str))
        if key.arrays and self.wanted.statement is not None:
            hint = f"write `key: [{names[0]}]`, and in the statement `{names[0]} IN ($keys)`"
            raise StoreError(
                f"the key {names[0]} is an array, of which there are no lists", where=self._where, hint=hint
            )
        return key

    def _column_types(self) -> dict[str, str]:
        rows = self._connection.execute(COLUMNS, (self._into,)).fetchall()
        found = {str(name): str(type_) for name, type_ in rows}
        if absent := [name for name in self.key.names if name not in found]:
            what = f"the table {self.wanted.into} has no column {absent[0]}" if found else "there is no such table"
            raise StoreError(
                f"into: {what}", where=self._where, hint="`into` names the table whose rows `key` tells apart"
            )
        return found

    # -- writing -----------------------------------------------------------------------------------------------

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        """See `Filling.change`."""
        from reconcile.stores.postgres.transaction import PostgresTransaction

        connection = self._connection
        statement = self.wanted.statement or ""
        with self._explained(statement or f"UPDATE {self.wanted.into}"), connection.transaction():
            olds = self._olds(batch, values)
            if self.wanted.gone:
                count = self._make_again(values or ())
            elif values is None:
                count = self._run(statement, batch.keys)
            else:
                count = sum(self._write(names, own) for names, own in by_fields(values))
            save(PostgresTransaction(self.session, connection), count, olds)
        return count

    def _run(self, statement: str, keys: Sequence[Json]) -> int:
        cursor = self._connection.execute(self.key.statement(statement).encode(), self.key.given(keys))
        return max(cursor.rowcount, 0)

    def _write(self, names: Sequence[str], values: Sequence[Value]) -> int:
        unknown = [name for name in names if name not in self.types]
        if unknown:
            hint = f"it has {', '.join(self.types)}"
            raise StoreError(f"{self.wanted.into} has no column {unknown[0]}", where=self._where, hint=hint)
        columns = ", ".join([*self.key.declared, *(f"{ident(n)} {self.types[n]}" for n in names)])
        sets = ", ".join(f"{ident(n)} = rc__new.{ident(n)}" for n in names)
        still = (
            "" if self.wanted.once else f" AND {self.key.row('t.')} IN (SELECT {self.key.columns()} FROM {self.select})"
        )
        sql = (
            f"UPDATE {self._into} AS t SET {sets} FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb))"
            f" AS rc__new({columns}) WHERE {self.key.same('t.', 'rc__new.')}{still}"
        )
        rows = rows_of_json([{**v.fields, **self.key.sent(v.key)} for v in values])
        return self._connection.execute(escaped(sql, ["rows"]).encode(), {"rows": rows}).rowcount

    def _make_again(self, values: Sequence[Value]) -> int:
        """Rows that were deleted, with their identities; columns that are new since have their defaults."""
        query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND attgenerated = ''"
        known = {str(name) for (name,) in self._connection.execute(query, (self._into,)).fetchall()}
        count = 0
        for names, own in by_fields(values):
            columns = [name for name in names if name in known]
            typed = ", ".join(f"{ident(n)} {self.types[n]}" for n in columns)
            sql = (
                f"INSERT INTO {self._into} ({idents(columns)}) OVERRIDING SYSTEM VALUE SELECT {idents(columns)}"
                f" FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS rc__old({typed}) ON CONFLICT DO NOTHING"
            )
            rows = rows_of_json([value.fields for value in own])
            count += self._connection.execute(escaped(sql, ["rows"]).encode(), {"rows": rows}).rowcount
        return count

    def _olds(self, batch: Batch, values: Sequence[Value] | None) -> list[Value]:
        """What the rows held that are about to be changed, as far as it is kept; they are locked."""
        if self.wanted.keeps is None:
            return []
        names = self.wanted.keeps or tuple(dict.fromkeys(n for v in values or () for n in v.fields))
        keys = [v.key for v in values] if values is not None else list(batch.keys)
        if not names or not keys:
            return []
        row = "to_jsonb(t)" if names == ("*",) else f"to_jsonb((SELECT x FROM (SELECT {idents(names)}) x))"
        sql = (
            f"SELECT {self.key.shown('t.')}, {row} FROM {self._into} AS t WHERE {self.key.among('t.')} FOR UPDATE OF t"
        )
        given = self.key.given(keys)
        rows = self._connection.execute(escaped(sql, given).encode(), given).fetchall()
        return [Value(self.key.key(row[:-1]), row[-1]) for row in rows]

    def end(self) -> None:
        """See `Filling.end`: nothing was."""

    # -- the connection ----------------------------------------------------------------------------------------

    @property
    def _connection(self) -> Connection:
        connection = self.session.connection
        if connection is not self._settled:
            self.session.fix_path()
            self._settled = connection
        return connection

    @property
    def _into(self) -> str:
        return ident(*split(self.wanted.into or ""))

    @property
    def _named(self) -> str:
        return ", ".join(self.key.names)

    @property
    def _where(self) -> str:
        return str(self.wanted.address)

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        from reconcile.stores.postgres.connect import explained

        try:
            yield
        except psycopg.Error as error:
            raise explained(error, self._where, sql) from error
