"""Settings of tables and columns that have statements of their own: storage parameters, marks, targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconcile.stores.postgres.names import generated
from reconcile.stores.postgres.resources import Column, IndexItem, Pairs, Table
from reconcile.stores.postgres.sqltext import do_block, ident, literal, options, relation

INDEX = "index "
"""What `Table.replica_identity` begins with where it names one."""


def identity_index(table: Table) -> str | None:
    """The index that replica identity names."""
    return table.replica_identity.removeprefix(INDEX) if table.replica_identity.startswith(INDEX) else None


def table_options(table: Table) -> str:
    """` WITH (fillfactor = 90)`, or nothing."""
    return f" WITH ({options(table.with_)})" if table.with_ else ""


def option_calls(what: str, before: Pairs, after: Pairs) -> list[str]:
    """SET and RESET of what differs; `what` is the statement up to there: `ALTER TABLE "t"`."""
    left, right = dict(before), dict(after)
    gone, new = [k for k in left if k not in right], [p for p in after if left.get(p[0]) != p[1]]
    calls = [f"{what} SET ({options(new)})"] if new else []
    return calls + ([f"{what} RESET ({', '.join(gone)})"] if gone else [])


def cluster_calls(before: Table, after: Table) -> list[str]:
    """CLUSTER ON, which orders nothing by itself."""
    del before
    on = f"CLUSTER ON {ident(after.cluster_on)}" if after.cluster_on else "SET WITHOUT CLUSTER"
    return [f"ALTER TABLE {relation(after.address)} {on}"]


def identity_calls(before: Table | None, after: Table) -> list[str]:
    """REPLICA IDENTITY."""
    del before
    index = identity_index(after)
    to = f"USING INDEX {ident(index)}" if index is not None else after.replica_identity.upper()
    return [f"ALTER TABLE {relation(after.address)} REPLICA IDENTITY {to}"]


def marks(table: object, index: str) -> list[str]:
    """What the table of an index says about it, to be said again once that has been made anew."""
    if not isinstance(table, Table):
        return []
    name, calls = relation(table.address), []
    if table.cluster_on == index:
        calls.append(f"ALTER TABLE {name} CLUSTER ON {ident(index)}")
    if identity_index(table) == index:
        calls.append(f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX {ident(index)}")
    return calls


def column_calls(before: Column | None, after: Column, server: tuple[int, ...] = ()) -> list[str]:
    """Storage, compression, statistics target and n_distinct, where they differ from `before` or the default.

    A column that gets another type loses storage and compression: hand in `before` without them.
    """
    alter = f"ALTER TABLE {relation(after.address)} ALTER COLUMN {ident(after.name)}"
    calls = []
    if after.storage != (before.storage if before else None):
        calls.append(f"{alter} SET STORAGE {after.storage.upper()}" if after.storage else _no_storage(after, server))
    if after.compression != (before.compression if before else None):
        calls.append(f"{alter} SET COMPRESSION {after.compression or 'default'}")
    if after.statistics != (before.statistics if before else None):
        calls.append(f"{alter} SET STATISTICS {-1 if after.statistics is None else after.statistics}")
    calls += option_calls(alter, before.options if before else (), after.options)
    if before is None and after.not_null:
        late = f"ALTER TABLE {relation(after.address)} ADD {not_null_clause(after)} NOT VALID"
        calls += [*([] if after.not_null_valid else [late]), *not_null_calls(after)]
    return calls


def _no_storage(column: Column, server: tuple[int, ...]) -> str:
    """The storage of its type; SET STORAGE DEFAULT came with PostgreSQL 16."""
    alter = f"ALTER TABLE {relation(column.address)} ALTER COLUMN {ident(column.name)} SET STORAGE"
    if server >= (16,):
        return f"{alter} DEFAULT"
    return do_block(f"""
BEGIN
  EXECUTE {literal(alter)} || (
    SELECT CASE t.typstorage WHEN 'p' THEN ' PLAIN' WHEN 'e' THEN ' EXTERNAL' WHEN 'm' THEN ' MAIN' ELSE ' EXTENDED' END
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = {literal(relation(column.address))}::regclass AND a.attname = {literal(column.name)});
END
""")


def without_statistics(items: Iterable[IndexItem]) -> tuple[IndexItem, ...]:
    """Keys of an index without the one thing of them that can be altered."""
    return tuple(replace(i, statistics=None) for i in items)


def column_statistics_calls(index: str, before: Sequence[IndexItem], after: Sequence[IndexItem]) -> list[str]:
    """SET STATISTICS of the expressions of an index; its columns have no names there, only numbers."""
    left = [i.statistics for i in before] + [None] * (len(after) - len(before))
    return [
        f"ALTER INDEX {index} ALTER COLUMN {n} SET STATISTICS {-1 if item.statistics is None else item.statistics}"
        for n, (item, was) in enumerate(zip(after, left, strict=False), 1)
        if item.statistics != was
    ]


def not_null_name(column: Column) -> str:
    """What the NOT NULL constraint is called (PostgreSQL 18), or will be."""
    given = column.not_null_name or column.not_null_constraint
    return given or generated(column.table.parts[1], column.address.parts[-1], "not_null")


def not_null_clause(column: Column) -> str:
    """`CONSTRAINT "n" NOT NULL "c" NO INHERIT`: as a constraint of the table."""
    inherit = " NO INHERIT" if column.not_null_no_inherit else ""
    return f"CONSTRAINT {ident(not_null_name(column))} NOT NULL {ident(column.name)}{inherit}"


def not_null_calls(column: Column, name: str | None = None) -> list[str]:
    """Its comment; of one that is to be called `name` also that it has none any more."""
    if column.not_null_comment is None and name is None:
        return []
    text = "NULL" if column.not_null_comment is None else literal(column.not_null_comment)
    shown = ident(name or not_null_name(column))
    return [f"COMMENT ON CONSTRAINT {shown} ON {relation(column.address)} IS {text}"]


def all_column_calls(columns: Iterable[Column]) -> Sequence[str]:
    """`column_calls` of new columns."""
    return [sql for c in columns for sql in column_calls(None, c)]
