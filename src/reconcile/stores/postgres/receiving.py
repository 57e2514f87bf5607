"""Rows put into a table, made or replaced by a key that is unique there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from reconcile.errors import StoreError
from reconcile.model import Address, Json
from reconcile.stores.filling import KeyNames, Value
from reconcile.stores.postgres.keyset import Keyset, by_fields, escaped, rows_of_json
from reconcile.stores.postgres.sqltext import ident, idents

if TYPE_CHECKING:
    from reconcile.stores.postgres.session import PostgresSession

COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
    " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)


class PostgresReceiving:
    """See `stores.filling.Receiving`."""

    def __init__(self, session: PostgresSession, into: Address, key: KeyNames | None) -> None:
        self.where = str(into)
        if into.kind != "table" or key is None:
            hint = "into: STORE.table.SCHEMA.NAME, with `into_key`"
            raise StoreError("rows become rows of a table, told apart by a column", where=self.where, hint=hint)
        self.session, self.table = session, ident(*into.parts)
        rows = session.connection.execute(COLUMNS, (self.table,)).fetchall()
        self.types = {str(name): str(type_) for name, type_ in rows}
        names = (key,) if isinstance(key, str) else key
        self._known(names)
        self.key = Keyset(names, tuple(self.types[name] for name in names), not isinstance(key, str))

    def put(self, values: Sequence[Value]) -> int:
        """See `Receiving.put`."""
        from reconcile.stores.postgres.connect import explained

        connection = self.session.connection
        try:
            with connection.transaction():
                for names, own in by_fields(values):
                    self._known(names)
                    rows = rows_of_json([{**v.fields, **self._sent(v.key)} for v in own])
                    connection.execute(self._insert(names).encode(), {"rows": rows})
                there = f"SELECT count(*) FROM {self.table} WHERE {self.key.among()}"
                given = self.key.given([v.key for v in values])
                row = connection.execute(escaped(there, given).encode(), given).fetchone()
        except psycopg.Error as error:
            raise explained(error, self.where) from error
        assert row is not None
        return int(row[0])

    def _sent(self, key: Json) -> dict[str, str]:
        if len(self.key.parts(key)) != len(self.key.names):
            hint = "`into_key` has a column for each one of `key`"
            raise StoreError(f"the key {key} has other parts than {self.key.columns()}", where=self.where, hint=hint)
        return self.key.sent(key)

    def _insert(self, names: Sequence[str]) -> str:
        rest = [name for name in names if name not in self.key.names]
        columns = [*self.key.names, *rest]
        typed = ", ".join([*self.key.declared, *(f"{ident(n)} {self.types[n]}" for n in rest)])
        shown = ", ".join([*self.key.received, *(ident(n) for n in rest)])
        sets = ", ".join(f"{ident(n)} = EXCLUDED.{ident(n)}" for n in rest)
        sql = (
            f"INSERT INTO {self.table} ({idents(columns)}) OVERRIDING SYSTEM VALUE SELECT {shown}"
            f" FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS rc__new({typed})"
            f" ON CONFLICT ({self.key.columns()}) DO {f'UPDATE SET {sets}' if sets else 'NOTHING'}"
        )
        return escaped(sql, ["rows"])

    def _known(self, names: Sequence[str]) -> None:
        if not self.types:
            raise StoreError("into: there is no such table", where=self.where)
        for name in names:
            if name not in self.types:
                hint = f"it has {', '.join(self.types)}"
                raise StoreError(f"there is no column {name}", where=self.where, hint=hint)
