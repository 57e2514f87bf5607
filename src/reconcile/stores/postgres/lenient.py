"""Values that Python has no type for: read as the server's text, where psycopg would fail on the whole row."""

from __future__ import annotations

from functools import cache
from typing import Any

import psycopg
from psycopg.abc import Buffer, Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow

_TYPES = ("date", "timestamp", "timestamptz", "interval", "time", "timetz")
"""Of which some values are infinite, BC, or 24:00."""


def lenient(cursor: psycopg.Cursor[TupleRow]) -> psycopg.Cursor[TupleRow]:
    """The cursor, whose rows have the text of such values."""
    for name in _TYPES:
        found = cursor.adapters.types[name]
        base = cursor.adapters.get_loader(found.oid, Format.TEXT)
        assert base is not None
        cursor.adapters.register_loader(found.oid, _lenient(base))
    return cursor


@cache
def _lenient(base: type[Loader]) -> type[Loader]:
    class Lenient(psycopg.adapt.Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self.strict = base(oid, context)

        def load(self, data: Buffer) -> Any:
            if not any(byte in b"0123456789" for byte in bytes(data)):
                return bytes(data).decode()  # of an infinite interval psycopg 3.3 makes none at all
            try:
                return self.strict.load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return Lenient
