"""Tables and views as sides of mirrors: which column is the id, and all ids in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconcile.errors import StoreError
from reconcile.model import State
from reconcile.stores.base import Context, Side
from reconcile.stores.postgres.parse.scope import Scope
from reconcile.stores.postgres.resources import Column, PrimaryKey
from reconcile.stores.sides import is_external, same_form, undeclared
from reconcile.suggest import meant

if TYPE_CHECKING:
    from reconcile.stores.postgres.connect import Connection
    from reconcile.yamlio import Map

_AT_ONCE = 10_000
"""Rows a round trip: what is held of them at a time is about a megabyte."""
_EXACT = ("uuid", "int2", "int4", "int8", "oid")
"""Types whose text is the form in which ids are compared."""


def side(kind: str, entry: Map, desired: State, context: Context) -> Side | None:
    """See `stores.base.Mirroring.side`."""
    scope = Scope(context)
    name, where = entry[kind], entry.value_at(kind)
    address = scope.address(kind, *scope.name(name, where))
    key = entry.get("key")
    if address not in desired:
        if not is_external(address, context):
            known = [_shown(r.address.parts, scope) for r in desired.of_kind(kind)]
            undeclared(kind, entry, known, context)
            return None
    elif kind == "table":
        columns = [r.address.parts[-1] for r in desired.children(address) if isinstance(r, Column)]
        if key is None:
            keys = [r for r in desired.children(address) if isinstance(r, PrimaryKey)]
            key = keys[0].columns[0] if keys and len(keys[0].columns) == 1 else None
        elif key not in columns:
            context.problem(entry.value_at("key"), f'table "{name}" has no column "{key}"', meant(key, columns))
            return None
    if key is None:
        said = "has no primary key of one column" if kind == "table" and address in desired else "needs a key"
        context.problem(where, f'{kind.replace("_", " ")} "{name}" {said}', "say which column is the id: key: NAME")
        return None
    return Side(address, key, where)


def _shown(parts: tuple[str, ...], scope: Scope) -> str:
    return parts[-1] if parts[0] == scope.first else ".".join(parts)


def ids(connection: Connection, side: Side) -> Iterator[str | None]:
    """See `stores.base.Verifies.ids`: a cursor of the server, in a transaction that only reads.

    Raises:
        psycopg.Error: as the server says; the session makes it a StoreError.
    """
    from psycopg import sql

    key, relation = sql.Identifier(side.key or ""), sql.Identifier(*side.address.parts)
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = 0")
        looked = connection.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(key, relation))
        described = looked.description
        type_ = connection.adapters.types.get(described[0].type_code) if described else None
        name = type_.name if type_ is not None else ""
        text = sql.SQL("trim_scale({})::text" if name == "numeric" else "{}::text").format(key)
        with connection.cursor(name="reconcile_ids") as cursor:
            cursor.execute(sql.SQL("SELECT {} FROM {}").format(text, relation))
            while rows := cursor.fetchmany(_AT_ONCE):
                if name in _EXACT:
                    yield from (row[0] for row in rows)
                else:
                    yield from (None if row[0] is None else same_form(row[0]) for row in rows)


def missing(error: StoreError, side: Side) -> StoreError:
    """What a refused side means to who declared it."""
    from psycopg import errors

    cause = error.__cause__
    if isinstance(cause, errors.UndefinedTable | errors.InvalidSchemaName):
        what = f"{side.address.kind.replace('_', ' ')} {'.'.join(side.address.parts)} is not there"
    elif isinstance(cause, errors.UndefinedColumn):
        what = f"{'.'.join(side.address.parts)} has no column {side.key}"
    else:
        return error
    return StoreError(what, where=error.where, hint="make it first: `reconcile plan` shows what is declared and absent")
