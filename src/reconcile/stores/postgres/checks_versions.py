"""What came with a version of PostgreSQL, and so cannot be declared for an older one.

What expressions and routines call is not looked at here: the scratch build has the server read those while it plans.
Versions are those of the release notes: https://www.postgresql.org/docs/release/.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from reconcile.change import Server
from reconcile.errors import Problem
from reconcile.model import Resource, State
from reconcile.stores.postgres.resources import (
    Check,
    Collation,
    Column,
    EventTrigger,
    Exclusion,
    ForeignKey,
    Function,
    Index,
    PostgresResource,
    PrimaryKey,
    Procedure,
    Range,
    Statistics,
    Table,
    Trigger,
    Unique,
    View,
)
from reconcile.stores.postgres.resources import Sequence as Sequence_
from reconcile.stores.postgres.sqltokens import folded

OLDEST, NEWEST = 12, 18

_PARAMETERS = {
    "deduplicate_items": 13,
    "autovacuum_vacuum_insert_threshold": 13,
    "autovacuum_vacuum_insert_scale_factor": 13,
    "autovacuum_vacuum_max_threshold": 18,
    "vacuum_max_eager_freeze_failure_rate": 18,
}
"""Storage parameters of tables, with `toast.` before them too, and of indexes."""

VERSIONED = (
    "check",
    "collation",
    "column",
    "event_trigger",
    "exclusion",
    "foreign_key",
    "function",
    "index",
    "primary_key",
    "procedure",
    "range",
    "sequence",
    "statistics",
    "table",
    "trigger",
    "unique",
    "view",
)
"""Kinds that `needs` looks at."""

Need = tuple[int, str, bool]
"""(version, what needs it, whether it is declared)."""


def needs(resource: Resource, desired: State) -> list[tuple[int, str]]:
    """(version, what needs it) of everything that one resource declares and that `OLDEST` lacks."""
    found: list[Need] = []
    match resource:
        case Column():
            found += _column(resource)
        case Check():
            found.append((18, "enforced: false", not resource.enforced))
        case ForeignKey():
            found.append((18, "enforced: false", not resource.enforced))
            found.append((15, "the column list of on_delete", bool(resource.on_delete_columns)))
        case Unique() | Index():
            found.append((15, "nulls_not_distinct", resource.nulls_not_distinct))
        case Statistics():
            found.append((13, "the target of statistics", resource.target is not None))
            found.append((14, "statistics of expressions", any(c.expression for c in resource.columns)))
        case View():
            found.append((15, "security_invoker", "security_invoker" in dict(resource.with_)))
        case Sequence_():
            found.append((15, "an unlogged sequence", resource.unlogged))
        case Range():
            found.append((14, "multirange", resource.multirange is not None))
        case Collation():
            found.append((17, "provider: builtin", resource.provider == "builtin"))
            found.append((16, "rules", resource.rules is not None))
        case Function() | Procedure():
            found.append((14, "a body that is no string (RETURN, BEGIN ATOMIC)", _has_sql_body(resource.definition_)))
        case EventTrigger():
            found.append((17, "the event login", resource.event == "login"))
    if isinstance(resource, Table | Index | Unique | PrimaryKey | Exclusion):
        for name, _ in resource.with_:
            version = _PARAMETERS.get(name.removeprefix("toast."), OLDEST)
            found.append((version, f"the storage parameter {name}", True))
    if isinstance(resource, Index):
        found.append((13, "a parameter of an operator class", any(c.parameters for c in resource.columns)))
        found.append((14, "include of an spgist index", resource.method == "spgist" and bool(resource.include)))
    found += _of_partitioned(resource, desired)
    return [(version, what) for version, what, declared in found if declared and version > OLDEST]


def _has_sql_body(definition: str) -> bool:
    """Whether RETURN or BEGIN ATOMIC stands outside every string of a CREATE FUNCTION or PROCEDURE."""
    words = folded(definition)
    return "return" in words or ("begin", "atomic") in pairwise(words)


def _column(column: Column) -> Iterable[Need]:
    own = column.not_null_name or column.not_null_comment or not column.not_null_valid or column.not_null_no_inherit
    yield 18, "a virtual generated column (stored: false)", not column.stored
    yield 18, "a NOT NULL constraint with a name, a comment or options", bool(own)
    yield 14, "compression", column.compression is not None


def _of_partitioned(resource: Resource, desired: State) -> Iterable[Need]:
    """What came to partitioned tables later than to others."""
    table = desired.get(resource.container) if resource.container is not None else None
    if isinstance(table, Table) and table.partition_by is not None:
        match resource:
            case Exclusion():
                yield 17, "an exclusion constraint on a partitioned table", True
            case ForeignKey():
                yield 18, "not_valid of a foreign key of a partitioned table", resource.not_valid
            case Trigger():
                before = resource.when == "before" and resource.for_each == "row"
                yield 13, "a row trigger before the event on a partitioned table", before


def version_problems(server: Server, resource: Resource, desired: State) -> list[Problem]:
    """What the server is too old for, each with its YAML line."""
    if not isinstance(resource, PostgresResource) or server.numbers >= (NEWEST,):
        return []
    return [
        Problem(
            f"{resource.address}: {what} needs PostgreSQL {version}; {server.name} is {server.version}",
            where=resource.source or str(resource.address),
        )
        for version, what in needs(resource, desired)
        if server.numbers < (version,)
    ]
