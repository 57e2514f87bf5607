"""How many rows tables have, counted as far as a time allows; of the others, the planner's estimate."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.model import Address
from reconcile.stores.figures import Count
from reconcile.stores.postgres.measuring import measure
from reconcile.stores.postgres.sqltext import ident


def size(connection: psycopg.Connection[TupleRow]) -> Mapping[str, int]:
    """Of the database; https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-DBSIZE"""
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return {"bytes": int(row[0])} if row else {}


def counts(
    connection: psycopg.Connection[TupleRow], version: tuple[int, ...], addresses: Iterable[Address], seconds: float
) -> Mapping[str, Count]:
    """By address of a table that is there; the smallest are counted first.

    Raises:
        psycopg.Error: the server does not answer.
    """
    estimates = measure(connection, version, {a for a in addresses if a.kind == "table"})
    end = time.monotonic() + seconds
    found: dict[str, Count] = {}
    for address, measured in sorted(estimates.items(), key=lambda pair: pair[1].get("bytes", 0)):
        number = _counted(connection, address, end - time.monotonic())
        if number is not None:
            found[str(address)] = Count(number, True)
        elif "rows" in measured:
            found[str(address)] = Count(measured["rows"], False)
    return found


def _counted(connection: psycopg.Connection[TupleRow], address: Address, seconds: float) -> int | None:
    """All rows of a table, its partitions' included; None where that takes too long or may not be seen."""
    if seconds <= 0.01:
        return None
    schema, name = address.parts[:2]
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = {int(seconds * 1000)}")
            row = connection.execute(f"SELECT count(*) FROM {ident(schema)}.{ident(name)}".encode()).fetchone()
    except (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.QueryCanceled, errors.UndefinedTable):
        return None
    return int(row[0]) if row else None
