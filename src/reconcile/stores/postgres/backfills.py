"""Backfills of a database: keyset batches of a query's rows, each changed in a transaction of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from reconcile.errors import StoreError
from reconcile.model import Address, Json
from reconcile.stores.filling import Batch, Save, Value, Wanted
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.sqltext import ident, idents

if TYPE_CHECKING:
    from reconcile.stores.postgres.connect import Connection
    from reconcile.stores.postgres.session import PostgresSession

_KEYS = re.compile(r"\$keys\b")
_ROWS = "rc__rows"
COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
    " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)
_TIES = 130000
"""FETCH FIRST … WITH TIES came with PostgreSQL 13."""


class PostgresFilling:
    """See `stores.filling.Filling`."""

    def __init__(self, session: PostgresSession, wanted: Wanted) -> None:
        self.session, self.wanted = session, wanted
        self._settled: Connection | None = None
        self.select = f"({wanted.select.strip().rstrip(';')}\n) AS {_ROWS}"  # a comment may end the query
        self.key = wanted.key or ""
        self.key_type = self._key_type()
        self.types = self._column_types() if wanted.into is not None else {}

    # -- reading -----------------------------------------------------------------------------------------------

    def count(self) -> int:
        """See `Filling.count`."""
        return int(self._one(f"SELECT count(*) FROM {self.select}"))

    def split(self, rows: int) -> list[Json]:
        """See `Filling.split`."""
        key = ident(self.key)
        numbered = f"SELECT {key}, row_number() OVER (ORDER BY {key}) AS rc__number FROM {self.select}"
        sql = f"SELECT {key} FROM ({numbered}) AS rc__numbered WHERE rc__number % {int(rows)} = 0 ORDER BY {key}"
        with self._explained(sql):
            found = self._connection.execute(sql.encode()).fetchall()
        return [_plain(row[0]) for row in found]

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        """See `Filling.read`."""
        key, only_keys = ident(self.key), self.wanted.statement is not None
        ties = self._connection.info.server_version >= _TIES
        limit = f"FETCH FIRST {int(size)} ROWS WITH TIES" if ties else f"LIMIT {int(size)}"
        bounds = {"after": (">", after), "until": ("<=", until)}
        given = {name: str(value) for name, (_, value) in bounds.items() if value is not None}
        tests = [f"{key} {bounds[name][0]} CAST(%({name})s AS {self.key_type})" for name in given]
        beyond = f" WHERE {' AND '.join(tests)}" if tests else ""
        sql = f"SELECT {key if only_keys else '*'} FROM {self.select}{beyond} ORDER BY {key} {limit}"
        with self._explained(sql):
            cursor = self._connection.execute(_escaped(sql, *(f"%({name})s" for name in given)).encode(), given or None)
            names = [column.name for column in cursor.description or ()]
            rows = cursor.fetchall()
        place = names.index(self.key)
        keys = tuple(_plain(row[place]) for row in rows)
        if None in keys:
            raise StoreError(
                f"the key {self.key} is null in some of the rows",
                where=self._where,
                hint="leave those rows out of `select`, or choose another key",
            )
        return Batch(keys, () if only_keys else tuple(dict(zip(names, row, strict=True)) for row in rows))

    def ask(self, query: str) -> Json:
        """See `Filling.ask`."""
        return self._one(query)

    def _one(self, sql: str) -> Any:
        with self._explained(sql):
            row = self._connection.execute(sql.encode()).fetchone()
        if row is None or len(row) != 1:
            raise StoreError("a query has to give one value", where=self._where, hint=f"in: {' '.join(sql.split())}")
        return row[0]

    def _key_type(self) -> str:
        """The type of the key, as the server writes it."""
        with self._explained(self.wanted.select):
            cursor = self._connection.execute(f"SELECT * FROM {self.select} LIMIT 0".encode())
        found = {column.name: column.type_code for column in cursor.description or ()}
        if self.key not in found:
            raise StoreError(
                f"`select` gives no column {self.key}",
                where=self._where,
                hint=f"`key` is one of {', '.join(found)}: unique, and best with an index",
            )
        row = self._connection.execute("SELECT format_type(%s, NULL)", (found[self.key],)).fetchone()
        assert row is not None
        return str(row[0])

    def _column_types(self) -> dict[str, str]:
        rows = self._connection.execute(COLUMNS, (self._into,)).fetchall()
        found = {str(name): str(type_) for name, type_ in rows}
        if self.key not in found:
            what = f"the table {self.wanted.into} has no column {self.key}" if found else "there is no such table"
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
                count = sum(self._write(names, own) for names, own in _by_fields(values))
            save(PostgresTransaction(self.session, connection), count, olds)
        return count

    def _run(self, statement: str, keys: Sequence[Json]) -> int:
        given = f"CAST(%(keys)s AS {self.key_type}[])"
        sql = _KEYS.sub(lambda _: given, statement.replace("%", "%%"))
        cursor = self._connection.execute(sql.encode(), {"keys": list(keys)})
        return max(cursor.rowcount, 0)

    def _write(self, names: Sequence[str], values: Sequence[Value]) -> int:
        unknown = [name for name in names if name not in self.types]
        if unknown:
            hint = f"it has {', '.join(self.types)}"
            raise StoreError(f"{self.wanted.into} has no column {unknown[0]}", where=self._where, hint=hint)
        key = ident(self.key)
        columns = ", ".join(f"{ident(n)} {self.types[n]}" for n in dict.fromkeys((self.key, *names)))
        sets = ", ".join(f"{ident(n)} = rc__new.{ident(n)}" for n in names)
        still = "" if self.wanted.once else f" AND t.{key} IN (SELECT {key} FROM {self.select})"
        sql = (
            f"UPDATE {self._into} AS t SET {sets} FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb))"
            f" AS rc__new({columns}) WHERE t.{key} = rc__new.{key}{still}"
        )
        rows = json.dumps([{**v.fields, self.key: v.key} for v in values], default=str)
        return self._connection.execute(_escaped(sql, "%(rows)s").encode(), {"rows": rows}).rowcount

    def _make_again(self, values: Sequence[Value]) -> int:
        """Rows that were deleted, with their identities; columns that are new since have their defaults."""
        query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND attgenerated = ''"
        known = {str(name) for (name,) in self._connection.execute(query, (self._into,)).fetchall()}
        count = 0
        for names, own in _by_fields(values):
            columns = [name for name in names if name in known]
            typed = ", ".join(f"{ident(n)} {self.types[n]}" for n in columns)
            sql = (
                f"INSERT INTO {self._into} ({idents(columns)}) OVERRIDING SYSTEM VALUE SELECT {idents(columns)}"
                f" FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS rc__old({typed}) ON CONFLICT DO NOTHING"
            )
            rows = json.dumps([dict(value.fields) for value in own])
            count += self._connection.execute(_escaped(sql, "%(rows)s").encode(), {"rows": rows}).rowcount
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
            f"SELECT t.{ident(self.key)}, {row} FROM {self._into} AS t"
            f" WHERE t.{ident(self.key)} = ANY (CAST(%(keys)s AS {self.key_type}[])) FOR UPDATE"
        )
        rows = self._connection.execute(_escaped(sql, "%(keys)s").encode(), {"keys": keys}).fetchall()
        return [Value(_plain(key), fields) for key, fields in rows]

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
    def _where(self) -> str:
        return str(self.wanted.address)

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        from reconcile.stores.postgres.connect import explained

        try:
            yield
        except psycopg.Error as error:
            raise explained(error, self._where, sql) from error


def _plain(key: Any) -> Json:
    return key if key is None or isinstance(key, int) else str(key)


def _escaped(sql: str, *placeholders: str) -> str:
    """SQL of the user's with placeholders of ours, if any: its own percent signs are none."""
    if placeholders:
        sql = sql.replace("%", "%%")
    for placeholder in placeholders:
        sql = sql.replace(f"%{placeholder}", placeholder)
    return sql


def _by_fields(values: Sequence[Value]) -> Iterator[tuple[tuple[str, ...], list[Value]]]:
    """Values that set the same columns together."""
    found: dict[tuple[str, ...], list[Value]] = {}
    for value in values:
        found.setdefault(tuple(sorted(value.fields)), []).append(value)
    yield from found.items()


class PostgresReceiving:
    """See `stores.filling.Receiving`: rows of a table by a column that is unique."""

    def __init__(self, session: PostgresSession, into: Address, key: str | None) -> None:
        if into.kind != "table" or key is None:
            hint = "into: STORE.table.SCHEMA.NAME, with `into_key`"
            raise StoreError("rows become rows of a table, told apart by a column", where=str(into), hint=hint)
        self.session, self.key, self.table = session, key, ident(*into.parts)
        rows = session.connection.execute(COLUMNS, (self.table,)).fetchall()
        self.types = {str(name): str(type_) for name, type_ in rows}
        self.where = str(into)

    def put(self, values: Sequence[Value]) -> int:
        """See `Receiving.put`."""
        from reconcile.stores.postgres.connect import explained

        connection, count = self.session.connection, 0
        try:
            with connection.transaction():
                for names, own in _by_fields(values):
                    columns = tuple(dict.fromkeys((self.key, *names)))
                    unknown = [name for name in columns if name not in self.types]
                    if unknown:
                        raise StoreError(f"there is no column {unknown[0]}", where=self.where)
                    typed = ", ".join(f"{ident(n)} {self.types[n]}" for n in columns)
                    sets = ", ".join(f"{ident(n)} = EXCLUDED.{ident(n)}" for n in columns)
                    sql = (
                        f"INSERT INTO {self.table} ({idents(columns)}) SELECT {idents(columns)}"
                        f" FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS rc__new({typed})"
                        f" ON CONFLICT ({ident(self.key)}) DO UPDATE SET {sets}"
                    )
                    rows = json.dumps([{**v.fields, self.key: v.key} for v in own], default=str)
                    count += connection.execute(_escaped(sql, "%(rows)s").encode(), {"rows": rows}).rowcount
        except psycopg.Error as error:
            raise explained(error, self.where) from error
        return count
