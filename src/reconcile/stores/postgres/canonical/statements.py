"""What makes each kind in a scratch schema: only what its spelling depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.canonical.texts import texts as texts_of
from reconcile.stores.postgres.canonical.type_statements import (
    built_collation,
    collation,
    composite,
    domain,
    domain_texts,
    range_type,
)
from reconcile.stores.postgres.sqlattached import policy_statement, trigger_statement
from reconcile.stores.postgres.sqlpartitions import partition_by_clause
from reconcile.stores.postgres.sqlroutines import statement
from reconcile.stores.postgres.sqlstatistics import statistics_statement
from reconcile.stores.postgres.sqltext import column_clause, constraint_clause, ident, index_statement, literal

_Attached = TypeVar("_Attached", r.Policy, r.Trigger)


class Names(Protocol):
    """How things are called in the scratch schemas."""

    def home(self, schema: str, name: str) -> tuple[str, str]:
        """Scratch schema and name of what a schema holds."""

    def name(self, address: Address) -> str:
        """The quoted scratch name of what a schema holds."""

    def sql(self, text: str) -> str:
        """`text` with the schemas of what is built replaced."""


def enum(names: Names, x: r.Enum) -> str:
    """With its values: a default may cast to one."""
    return f"CREATE TYPE {names.name(x.address)} AS ENUM ({', '.join(literal(v) for v in x.values)})"


def sequence(names: Names, x: r.Sequence) -> str:
    """Just the name."""
    return f"CREATE SEQUENCE {names.name(x.address)}"


def view(names: Names, x: r.View) -> str:
    """The query."""
    return f"CREATE VIEW {names.name(x.address)} AS {names.sql(x.query)}"


def view_defaults(names: Names, x: r.View) -> str:
    """Defaults of its columns, which may call anything."""
    clauses = (f"ALTER COLUMN {ident(name)} SET DEFAULT {names.sql(sql)}" for name, sql in x.column_defaults)
    return f"ALTER TABLE {names.name(x.address)} {', '.join(clauses)}"


def materialized_view(names: Names, x: r.MaterializedView) -> str:
    """The query, which is not run."""
    return f"CREATE MATERIALIZED VIEW {names.name(x.address)} AS {names.sql(x.query)} WITH NO DATA"


def routine(names: Names, x: r.Routine, *, replace: bool = False) -> str:
    """The statement under its scratch name; a body in quotes stays as it is."""
    moved = names.sql(statement(x.definition_, x.schema, x.routine))
    return statement(moved, *names.home(x.schema, x.routine), replace=replace)


def check(names: Names, x: r.Check) -> str:
    """Added to its table."""
    constraint = f"CONSTRAINT {ident(x.address.parts[-1])} CHECK ({names.sql(x.expression)})"
    return f"ALTER TABLE {names.name(x.table)} ADD {constraint}"


def index(names: Names, x: r.Index) -> str:
    """With keys and condition rewritten."""
    moved = Address(x.address.store, "index", names.home(x.schema, x.address.parts[1]))
    table = Address(x.address.store, "table", names.home(x.schema, x.table.parts[1]))
    items = tuple(
        replace(
            i,
            expression=None if i.expression is None else names.sql(i.expression),
            collation=built_collation(names, i.collation),
            opclass=None if i.opclass is None else names.sql(i.opclass),  # of an extension that is to move
        )
        for i in x.columns
    )
    where = None if x.where is None else names.sql(x.where)
    copy = replace(x, address=moved, container=table, columns=items, where=where, declared=None)
    return index_statement(copy, concurrently=False)


def exclusion(names: Names, x: r.Exclusion) -> str:
    """Added to its table, with keys and condition rewritten."""
    items = tuple(replace(i, expression=None if i.expression is None else names.sql(i.expression)) for i in x.columns)
    where = None if x.where is None else names.sql(x.where)
    copy = replace(x, columns=items, where=where, comment=None, declared=None, live_name=None)
    return f"ALTER TABLE {names.name(x.table)} ADD {constraint_clause(copy)}"


def statistics(names: Names, x: r.Statistics) -> str:
    """Of the scratch table, with expressions rewritten."""
    items = tuple(replace(i, expression=None if i.expression is None else names.sql(i.expression)) for i in x.columns)
    return statistics_statement(replace(x, columns=items, declared=None), names.name(x.address), names.name(x.table))


def column(names: Names, x: r.Column, *, with_text: bool) -> str:
    """The clause of a column; default and expression only where they are asked for."""
    return column_clause(
        replace(
            x,
            type=names.sql(x.type),
            collation=built_collation(names, x.collation),
            default=names.sql(x.default) if with_text and x.default is not None else None,
            generated=names.sql(x.generated) if with_text and x.generated is not None else None,
            identity=None,
            not_null=False,
            declared=None,
        )
    )


def policy(names: Names, x: r.Policy) -> str:
    """For everybody: a role's name is in no text."""
    return policy_statement(replace(_moved(names, x), to=("public",), live_name=None))


def trigger(names: Names, x: r.Trigger) -> str:
    """With a function of the server's own: the condition does not depend on which one is called."""
    return trigger_statement(
        replace(_moved(names, x), function=_ANY, arguments=(), from_=None, deferrable=None, constraint=False)
    )


_ANY = ("pg_catalog", "suppress_redundant_updates_trigger()")


def _moved(names: Names, x: _Attached) -> _Attached:
    """The same in the scratch schema, its texts rewritten."""
    texts: dict[str, Any] = {field: names.sql(text) for field, text in texts_of(x) if text is not None}
    return replace(x, address=_part_of(names, x.address), live_name=None, declared=None, **texts)


def _part_of(names: Names, part: Address) -> Address:
    """The scratch address of what is part of a table."""
    schema, table, *rest = part.parts
    return Address(part.store, part.kind, (*names.home(schema, table), *rest))


def table(names: Names, x: r.Table, columns: str, *, partitioned: bool) -> str:
    """With its columns, or as a partition; on request with PARTITION BY."""
    of = f"PARTITION OF {names.name(x.parent)} " if x.parent is not None else ""
    body = names.sql(x.bound or "DEFAULT") if of else f"({columns})"
    by = partition_by_clause(x.partition_by, names.sql) if partitioned else ""
    return f"CREATE TABLE {names.name(x.address)} {of}{body}{by}"


OBJECTS: Mapping[type[Resource], Callable[[Names, Any], str]] = {
    r.Enum: enum,
    r.Sequence: sequence,
    r.Collation: collation,
    r.Domain: domain,
    r.Composite: composite,
    r.Range: range_type,
    r.View: view,
    r.MaterializedView: materialized_view,
    **dict.fromkeys((r.Function, r.Procedure, r.Aggregate), routine),
}
"""What stands by itself, but tables: made in the order in which they need each other."""

PARTS: Mapping[type[Resource], Callable[[Names, Any], str]] = {
    r.Check: check,
    r.Exclusion: exclusion,
    r.Statistics: statistics,
    r.Index: index,
}
"""What is added to its table as soon as that is there."""

LATE: Mapping[type[Resource], Callable[[Names, Any], str | Sequence[str]]] = {
    r.View: view_defaults,
    r.Policy: policy,
    r.Trigger: trigger,
    r.Domain: domain_texts,
}
"""What hangs on a table or view and may name anything else: made when all objects are there.
Of a view the defaults of its columns, where it has any; of a domain its default and checks, which may call functions
that take the domain."""
