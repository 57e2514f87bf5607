"""The table `schema_migrations`: ours, or one that another tool made, understood as far as it can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.errors import RefusedError, StoreError
from reconcile.stores.migrating import Entry, Row
from reconcile.stores.postgres import tracking_others as others
from reconcile.stores.postgres.sqltext import ident
from reconcile.stores.postgres.tracking_others import Form

Connection = psycopg.Connection[TupleRow]

NAMES = {
    "number": ("number", "version", "migration_number", "num", "version_num", "version_id", "id"),
    "name": ("name", "filename", "migration_name", "migration", "file_name", "script", "script_name", "file"),
    "executed_at": (
        "executed_at",
        "applied_at",
        "run_at",
        "installed_on",
        "executed_on",
        "migrated_at",
        "created_at",
        "tstamp",
    ),
    "checksum": ("checksum", "hash", "sha256", "sha1", "md5", "content_hash", "file_hash"),
    "description": ("description", "comment", "notes"),
    "execution_time_ms": ("execution_time_ms", "execution_time", "duration_ms", "execution_ms", "elapsed_ms"),
}  # fmt: skip
"""By what we call a column, what it may be called, the likeliest first."""
_OUTCOMES = {
    "success": True,
    "succeeded": True,
    "successful": True,
    "is_applied": True,
    "dirty": False,
    "failed": False,
}
"""Columns that say how it ended, and what they say of what went well."""
_NEXT = ("batch", "installed_rank", "rank", "orderexecuted")
"""Columns that count."""
_WHO = ("applied_by", "executed_by", "installed_by", "created_by", "run_by", "username", "db_user")

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull,
  a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
  CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 4 THEN a.atttypmod - 4 END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Column:
    """A column as it stands."""

    name: str
    type: str
    required: bool
    """NOT NULL without a default."""
    width: int | None
    defaulted: bool = False

    @property
    def integer(self) -> bool:
        """Whether it takes whole numbers alone."""
        return self.type in ("integer", "bigint", "smallint")


@dataclass(frozen=True)
class Table:
    """The tracking table: `columns` by what we call them."""

    schema: str
    name: str
    columns: Mapping[str, Column]
    told: tuple[str, ...]
    foreign: tuple[Column, ...]
    """Columns that must be given and that we know nothing for."""
    said: Mapping[str, str] = field(default_factory=dict)
    """By column what else a new row says, as SQL."""
    outcome: str | None = None
    """The column that says how a migration ended."""
    form: Form = Form.OTHER

    @property
    def quoted(self) -> str:
        """As statements name it."""
        return f"{ident(self.schema)}.{ident(self.name)}"

    @property
    def progress(self) -> str:
        """The table beside it in which the progress of what cannot be one transaction is kept."""
        return f"{ident(self.schema)}.{ident(self.name + '_progress')}"


def placed(table: str, schemas: Sequence[str]) -> tuple[str, str]:
    """Schema and name: in the first schema of the store where none is written."""
    schema, _, name = table.rpartition(".")
    return schema or (schemas[0] if schemas else "public"), name


def read(connection: Connection, schema: str, name: str) -> Table | None:
    """The table, understood; None where there is none.

    Raises:
        StoreError: it is another tool's in a form that keeps no history, or has neither number nor name.
    """
    found = [
        Column(str(n), str(t), bool(needed) and not default, width, bool(default))
        for n, t, needed, default, width in connection.execute(_COLUMNS, (schema, name)).fetchall()
    ]
    if not found:
        return None
    by_name = {c.name.lower(): c for c in found}
    if "dirty" in by_name and "version" in by_name and len(by_name) == 2:
        raise StoreError(
            "holds the last version alone (columns version, dirty), not which migrations ran",
            where=f"table {schema}.{name}",
            hint="name another with `table:` of the folder, and record what ran: reconcile migrate baseline N",
        )
    if by_name.keys() == {"version_num"}:
        raise StoreError(
            "is Alembic's, which holds the last revision alone, not which ran",
            where=f"table {schema}.{name}",
            hint="name another with `table:` of the folder, and record what ran: reconcile migrate baseline N",
        )
    columns: dict[str, Column] = {}
    for ours, theirs in NAMES.items():
        column = next((by_name[t] for t in theirs if t in by_name and by_name[t] not in columns.values()), None)
        if column is not None and not (ours == "number" and column.name.lower() == "id" and _serial(found, column)):
            columns[ours] = column
    if "number" not in columns and "name" not in columns:
        raise StoreError(
            f"has no column for a number or a name of migrations: {', '.join(c.name for c in found)}",
            where=f"table {schema}.{name}",
            hint="name another table with `table:` of the folder",
        )
    told = [f"{ours} is its column {c.name}" for ours, c in columns.items() if c.name != ours]
    if lacking := [ours for ours in NAMES if ours not in columns]:
        told.append(f"it has no {', '.join(lacking)}: not recorded there")
    known = list(columns.values())
    said = dict(_said([c for c in found if c not in known], f"{ident(schema)}.{ident(name)}"))
    form = others.form(by_name, columns["checksum"].type if "checksum" in columns else None)
    if form is Form.FLYWAY:
        said[by_name["type"].name] = "'SQL'"
    foreign = tuple(c for c in found if c.required and c not in known and c.name not in said)
    outcome = next((c.name for c in found if c.type == "boolean" and c.name.lower() in _OUTCOMES), None)
    return Table(schema, name, columns, tuple(told), foreign, said, outcome, form)


def _said(found: Sequence[Column], table: str) -> Iterator[tuple[str, str]]:
    """What a row of another tool's table says besides, where we know it."""
    for column in found:
        name, text = column.name.lower(), column.type.startswith(("text", "character"))
        if column.type == "boolean" and name in _OUTCOMES:
            yield column.name, str(_OUTCOMES[name]).lower()
        elif column.integer and name in _NEXT and not column.defaulted:
            yield column.name, f"(SELECT coalesce(max({ident(column.name)}), 0) + 1 FROM {table})"
        elif text and name in _WHO and not column.defaulted:
            yield column.name, "current_user"


def _serial(found: Sequence[Column], column: Column) -> bool:
    """An `id` that counts rows is no number of a migration: it has a default, and others name the migration."""
    return not column.required or any(c.name.lower() in NAMES["name"] for c in found if c is not column)


def make(connection: Connection, schema: str, name: str) -> None:
    """Make the table as ours."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {ident(schema)}.{ident(name)} (name text PRIMARY KEY, number text NOT NULL,"
        " executed_at timestamptz NOT NULL DEFAULT now(), checksum text, description text,"
        " execution_time_ms bigint)".encode()
    )


def rows(connection: Connection, table: Table) -> list[Row]:
    """All rows, in the order in which they were recorded where that is known."""
    columns = table.columns
    chosen = ", ".join(ident(c.name) for c in columns.values())
    outcome = ident(table.outcome) if table.outcome is not None and table.form is not Form.GOOSE else "NULL"
    says = ident(others.SAYS[table.form]) if table.form in others.SAYS else "NULL"
    order = ident(columns["executed_at"].name) if "executed_at" in columns else "1"
    order = ident(others.ORDER[table.form]) if table.form in others.ORDER else order
    query = f"SELECT {chosen}, {outcome}, {says} FROM {table.quoted} ORDER BY {order}"
    found = [dict(zip((*columns, "outcome", "says"), v, strict=True)) for v in connection.execute(query.encode())]
    return [
        _row(table, found[n]) for n in others.counting(table.form, [(_text(f.get("number")), f["says"]) for f in found])
    ]


def _row(table: Table, by: Mapping[str, Any]) -> Row:
    at, took, checksum = by.get("executed_at"), by.get("execution_time_ms"), by.get("checksum")
    if isinstance(took, int | float) and table.form is Form.SQLX:
        took /= _NANOSECONDS
    return Row(
        _text(by.get("number")),
        _text(by.get("name")),
        at if isinstance(at, datetime) else None,
        checksum.hex() if isinstance(checksum, bytes) else _text(checksum),
        _text(by.get("description")),
        round(float(took)) if isinstance(took, int | float) else None,
        _failed(table, by["outcome"]),
    )


def _failed(table: Table, value: object) -> str | None:
    if table.outcome is None or value is None or value is _OUTCOMES[table.outcome.lower()]:
        return None
    return f"{table.outcome} is {str(value).lower()}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def insert(connection: Connection, table: Table, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
    """Record a migration, in the forms in which `like` names its own.

    Raises:
        StoreError: the table cannot take it.
    """
    values = _values(table, entry, like)
    names = ", ".join(ident(name) for name in (*(table.columns[key].name for key in values), *table.said))
    places = ", ".join([*("now()" if value is _NOW else "%s" for value in values.values()), *table.said.values()])
    given = [value for value in values.values() if value is not _NOW]
    connection.execute(f"INSERT INTO {table.quoted} ({names}) VALUES ({places})".encode(), given)


_NOW = object()
_NANOSECONDS = 1_000_000
"""In a millisecond."""


def _values(table: Table, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> dict[str, object]:
    """What goes into which column.

    Raises:
        StoreError: a column takes no such value, or one must be given that we know nothing for.
    """
    if table.foreign:
        raise StoreError(
            f"its columns {', '.join(c.name for c in table.foreign)} must be given and are none that we know",
            where=f"table {table.schema}.{table.name}",
            hint="give them a default, or name another table with `table:` of the folder",
        )
    forms = like[1] if like is not None else {}
    full: dict[str, object] = {
        "number": forms.get("number", entry.number),
        "name": forms.get("name", entry.name),
        "executed_at": _NOW,
        "checksum": forms.get("checksum", next(iter(entry.checksums.values()))),
        "description": entry.description or None,
        "execution_time_ms": entry.execution_time_ms,
    }
    full |= _as_theirs(table, entry, forms)
    values = {k: full[k] for k, c in table.columns.items() if full[k] is not None or not c.defaulted}
    for key, instead in (("description", entry.title), ("execution_time_ms", 0)):
        if key in values and values[key] is None and table.columns[key].required:
            values[key] = instead
    number = table.columns.get("number")
    if number is not None and number.integer:
        digits = str(full["number"]).lstrip("Vv")
        if not digits.isdigit():
            raise StoreError(
                f"its column {number.name} takes whole numbers, and {entry.number} is none",
                where=f"table {table.schema}.{table.name}",
                hint="name another table with `table:` of the folder",
            )
        values["number"] = int(digits)
    for key, column in ((k, table.columns[k]) for k in values):
        if column.width is not None and isinstance(values[key], str) and len(str(values[key])) > column.width:
            if key == "checksum":
                fitting = (v for v in entry.checksums.values() if len(v) <= (column.width or 0))
                values[key] = next(fitting, str(values[key])[: column.width])
            elif key == "description":
                values[key] = str(values[key])[: column.width]
            else:
                raise StoreError(
                    f'its column {column.name} takes {column.width} characters, too few for "{values[key]}"',
                    where=f"table {table.schema}.{table.name}",
                    hint="widen the column, or name another table with `table:` of the folder",
                )
    return values


def _as_theirs(table: Table, entry: Entry, forms: Mapping[str, str]) -> dict[str, object]:
    """What Flyway and sqlx would have written themselves, so that they go on from it."""
    if table.form is Form.SQLX:
        took = entry.execution_time_ms or 0
        return {
            "checksum": bytes.fromhex(entry.checksums["sha384 of the bytes"]),
            "execution_time_ms": took * _NANOSECONDS,
            "description": entry.title.replace("_", " "),
        }
    if table.form is Form.FLYWAY:
        number = str(forms.get("number", entry.number)).lstrip("Vv").replace("_", ".")
        return {
            "number": number,
            "name": entry.filename,
            "checksum": int(entry.checksums["crc32 of the lines"]),
            "description": entry.title.replace("_", " "),
        }
    return {}


def check(table: Table, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
    """Whether `entry` can be recorded.

    Raises:
        StoreError: it cannot.
    """
    _values(table, entry, like)


def lock(connection: Connection, table: Table, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
    """Keep others from recording meanwhile; readers go on.

    Raises:
        RefusedError: the migration is recorded already: somebody else took the lock of the ledger over.
    """
    try:
        connection.execute(f"LOCK TABLE {table.quoted} IN SHARE ROW EXCLUSIVE MODE".encode())
    except errors.LockNotAvailable:
        raise RefusedError(
            f"table {table.schema}.{table.name} is locked by another session", hint="try again"
        ) from None
    key = "name" if "name" in table.columns else "number"
    value = _values(table, entry, like)[key]
    if table.form in others.SAYS:  # one that was taken back is there, and is to run again
        there = any(getattr(row, key) == str(value) for row in rows(connection, table))
    else:
        query = f"SELECT 1 FROM {table.quoted} WHERE {ident(table.columns[key].name)} = %s"
        there = connection.execute(query.encode(), (value,)).fetchone() is not None
    if there:
        raise RefusedError(f"migration {entry.name} was recorded by somebody else meanwhile", hint="nothing is to do")


def delete(connection: Connection, table: Table, row: Row) -> None:
    """Take a row out."""
    key = "name" if row.name is not None and "name" in table.columns else "number"
    value = row.name if key == "name" else row.number
    column = ident(table.columns[key].name)
    connection.execute(f"DELETE FROM {table.quoted} WHERE {column}::text = %s".encode(), (value,))
