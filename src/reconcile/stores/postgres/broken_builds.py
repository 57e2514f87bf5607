"""What a CREATE INDEX CONCURRENTLY or REINDEX … CONCURRENTLY of a migration has left that was killed.

A build outlives its client or ends with it; then an index is there that is ready, or one that is not valid and that
every write goes on paying for. Which one is ours is told by the indexes that were there before it began.
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from reconcile.errors import StoreError
from reconcile.stores.postgres.builders import WAIT_SECONDS
from reconcile.stores.postgres.connect import Connection
from reconcile.stores.postgres.scripts import Piece, scan, significant
from reconcile.stores.postgres.sqltext import ident

_HELPER = re.compile(r"(.+)_cc(?:new|old)\d*")
"""How REINDEX CONCURRENTLY names what it builds, and what it replaces."""
_LOOK = 0.5
_THERE = """
SELECT c.oid::bigint, n.nspname, c.relname, i.indisvalid, i.indisunique, pg_get_indexdef(c.oid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = %s::oid ORDER BY c.oid
"""


@dataclass(frozen=True)
class Build:
    """A statement that builds indexes of one table without locking it."""

    name: str | None
    """Of the index; None: the server chooses one, or it is a REINDEX."""
    table: str
    """Quoted where it has to be; of REINDEX INDEX the index."""
    unique: bool
    rest: str | None
    """What comes after the table; None: it is a REINDEX."""


@dataclass(frozen=True)
class _Index:
    oid: int
    schema: str
    name: str
    valid: bool
    unique: bool
    definition: str

    @property
    def what(self) -> tuple[bool, str]:
        """What tells whether two indexes do the same."""
        return self.unique, self.definition.partition(" USING ")[2]


def build(text: str) -> Build | None:
    """What a statement builds; None for any other statement, and REINDEX of a schema or a database.

    >>> build("CREATE UNIQUE INDEX CONCURRENTLY ON a.b (c)")
    Build(name=None, table='a.b', unique=True, rest='(c)')
    >>> build("REINDEX (VERBOSE, CONCURRENTLY) TABLE b").table
    'b'
    """
    tokens = significant(list(scan(text)))
    words = [t.word for t in tokens]
    if "CONCURRENTLY" not in words:
        return None
    if words[0] == "REINDEX":
        kind = next((i for i, word in enumerate(words) if word in ("TABLE", "INDEX")), None)
        if kind is None:
            return None
        begin = kind + 1 + (words[kind + 1] == "CONCURRENTLY")
        return Build(None, _written(tokens[begin : _end(words, begin)]), False, None)
    if words[0] != "CREATE" or "ON" not in words:
        return None
    on = words.index("ON")
    begin = on + 1 + (words[on + 1] == "ONLY")
    end = _end(words, begin)
    name = None if words[on - 1] == "CONCURRENTLY" else tokens[on - 1].name
    rest = text[tokens[end].at :] if end < len(tokens) else ""
    return Build(name, _written(tokens[begin:end]), "UNIQUE" in words[:on], rest)


def _end(words: Sequence[str], begin: int) -> int:
    return begin + 3 if words[begin + 1 : begin + 2] == ["."] else begin + 1


def _written(tokens: Sequence[Piece]) -> str:
    return "".join(t.text for t in tokens)


def there(connection: Connection, asked: Build) -> dict[str, str]:
    """The indexes of the table, names by OID: to be kept before a build."""
    return {str(i.oid): i.name for i in _indexes(connection, asked)}


def settled(connection: Connection, asked: Build, before: Mapping[str, str], store: str) -> bool:
    """After a build was killed: wait until the server has ended it, drop what it left unusable.

    Args:
        before: `there`, before it began.

    Returns:
        Whether the index is built.

    Raises:
        StoreError: it does not end, or nobody can tell whether an index is its own.
    """
    _wait(connection, asked, store)
    found = _indexes(connection, asked)
    if asked.rest is None:
        names = {i.name for i in found}
        left = [i for i in found if _replaced(i, names) and before.get(str(i.oid)) != i.name]
    elif asked.name is not None:
        left = [i for i in found if i.name == asked.name]
    else:
        new = [i for i in found if str(i.oid) not in before]
        wanted = _definition(connection, asked, new, store) if new else None
        left = [i for i in new if i.what == wanted]
    for index in left:
        if not index.valid:
            connection.execute(f"DROP INDEX CONCURRENTLY {ident(index.schema)}.{ident(index.name)}".encode())
    return asked.rest is not None and any(i.valid for i in left)


def _replaced(index: _Index, names: set[str]) -> bool:
    match = _HELPER.fullmatch(index.name)
    return not index.valid and match is not None and any(name.startswith(match[1]) for name in names - {index.name})


def _relation(connection: Connection, asked: Build) -> int | None:
    row = connection.execute(
        "SELECT coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%(n)s)), to_regclass(%(n)s))"
        "::oid::bigint",
        {"n": asked.table},
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _indexes(connection: Connection, asked: Build) -> list[_Index]:
    table = _relation(connection, asked)
    return [] if table is None else [_Index(*row) for row in connection.execute(_THERE, (table,)).fetchall()]


def _wait(connection: Connection, asked: Build, store: str) -> None:
    """Wait for builds on the table: the statement itself would."""
    until = time.monotonic() + WAIT_SECONDS
    while pid := connection.execute(
        "SELECT pid FROM pg_stat_progress_create_index"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND relid = %s::oid",
        (_relation(connection, asked),),
    ).fetchone():
        if time.monotonic() > until:
            raise StoreError(
                f"an index of {asked.table} is still being built by process {pid[0]}",
                where=f"store {store}",
                hint=f"wait for it, or end it: SELECT pg_terminate_backend({pid[0]})",
            )
        time.sleep(_LOOK)


def _definition(connection: Connection, asked: Build, new: Sequence[_Index], store: str) -> tuple[bool, str]:
    """What the statement makes, in the server's own words: of a table like it that is gone again at once."""
    try:
        with connection.transaction(force_rollback=True):
            unique = "UNIQUE " if asked.unique else ""
            connection.execute(f"CREATE TEMP TABLE reconcile_like (LIKE {asked.table})".encode())
            connection.execute(f"CREATE {unique}INDEX ON pg_temp.reconcile_like {asked.rest}".encode())
            row = connection.execute(_THERE, (_relation(connection, Build(None, "pg_temp.reconcile_like", False, "")),))
            return _Index(*row.fetchall()[0]).what
    except psycopg.Error as error:
        names = ", ".join(f"{i.schema}.{i.name} ({'' if i.valid else 'not '}valid)" for i in new)
        raise StoreError(
            f"a build on {asked.table} was killed, and nobody can tell which index is its own: {names}: {error}",
            where=f"store {store}",
            hint="drop it if it is not valid, and apply again",
        ) from error
