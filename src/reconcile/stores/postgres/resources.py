"""PostgreSQL resources as frozen dataclasses. SQL texts are as declared until `canonical.py` has spelled them."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field

from reconcile.model import Address, Resource

# Addresses: schema, extension: (name); enum, view, index, sequence, table: (schema, name);
# column, primary_key, unique, check, foreign_key: (schema, table, name). Container of the latter and of an index
# is the table.


_HELPERS = {"index": ("new",), "foreign_key": ("new",), "check": ("new", "not_null")}
_REINDEXED = re.compile(r"(.+)_cc(?:new|old)[0-9]*")


@dataclass(frozen=True, kw_only=True)
class PostgresResource(Resource):
    """What all kinds here have."""

    comment: str | None = None

    @property
    def schema(self) -> str:
        """The schema it is in (a schema's and an extension's own name)."""
        return self.address.parts[0]

    @property
    def table(self) -> Address:
        """The table it belongs to; of a table, itself."""
        return self.container or self.address

    @property
    def leftover_of(self) -> str | None:
        """See `Resource.leftover_of`: what is built beside, and the check that SET NOT NULL goes through."""
        base, _, suffix = self.address.parts[-1].rpartition("__rc_")
        return base if suffix in _HELPERS.get(self.address.kind, ()) else None

    @property
    def namespace(self) -> tuple[str, ...] | None:
        """Tables, views, sequences, indexes and the keys that have an index share one in each schema."""
        shared = ("table", "view", "sequence", "index", "primary_key", "unique")
        return ("relation", self.schema) if self.address.kind in shared else None


@dataclass(frozen=True, kw_only=True)
class Extension(PostgresResource):
    """`comment` is never compared: extensions bring their own."""

    in_schema: str | None = field(default=None, metadata={"json": "schema"})
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Schema(PostgresResource):
    """A schema that is itself declared."""


@dataclass(frozen=True, kw_only=True)
class Enum(PostgresResource):
    """Values in sort order."""

    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sequence(PostgresResource):
    """None means PostgreSQL's default for the type. `owned_by` is (schema, table, column)."""

    type: str = "bigint"
    start: int | None = None
    increment: int = 1
    min: int | None = None
    max: int | None = None
    cache: int = 1
    cycle: bool = False
    owned_by: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Table(PostgresResource):
    """The container; columns and constraints are resources of their own."""

    renamed_from: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Column(PostgresResource):
    """`type` is format_type's spelling once canonical. `generated` is the expression of a stored generated column."""

    type: str
    not_null: bool = False
    default: str | None = None
    identity: str | None = None
    """"always" or "by_default"."""
    generated: str | None = None
    collation: str | None = None
    embedding: str | None = field(default=None, compare=False)
    renamed_from: str | None = field(default=None, compare=False)
    position: int = field(default=0, compare=False)

    @property
    def place(self) -> int:
        """See `Resource.place`."""
        return self.position


@dataclass(frozen=True, kw_only=True)
class Key(PostgresResource):
    """What a primary key and a unique constraint share."""

    columns: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    deferrable: str | None = None
    """None, "initially_immediate" or "initially_deferred"."""

    def definition(self) -> tuple[object, ...]:
        """Table, kind and every compared attribute but the comment."""
        return (self.container, self.address.kind, *_compared(self))


@dataclass(frozen=True, kw_only=True)
class PrimaryKey(Key):
    """At most one a table; its address name is the constraint's."""


@dataclass(frozen=True, kw_only=True)
class Unique(Key):
    """A unique constraint."""

    nulls_not_distinct: bool = False


@dataclass(frozen=True, kw_only=True)
class Check(PostgresResource):
    """A check constraint of a table."""

    expression: str
    no_inherit: bool = False
    not_valid: bool = False

    def definition(self) -> tuple[object, ...]:
        """Table and condition; valid or not is an attribute, not an identity."""
        return (self.container, self.address.kind, self.expression, self.no_inherit)


@dataclass(frozen=True, kw_only=True)
class ForeignKey(PostgresResource):
    """Compared by parts, never built in a scratch schema."""

    columns: tuple[str, ...] = ()
    references: tuple[str, str] = ("", "")
    """(schema, table)"""
    references_columns: tuple[str, ...] = ()
    """Never empty once canonical (declared without: the target's primary key)."""
    on_delete: str = "no_action"
    on_delete_columns: tuple[str, ...] = ()
    on_update: str = "no_action"
    match: str = "simple"
    deferrable: str | None = None
    not_valid: bool = False

    def definition(self) -> tuple[object, ...]:
        """Table, columns, target and actions; valid or not is an attribute, not an identity."""
        return (self.container, self.address.kind, *_compared(self.replace(not_valid=False)))


@dataclass(frozen=True)
class IndexItem:
    """One key of an index: a column or an expression, never both. None means the default."""

    column: str | None = None
    expression: str | None = None
    opclass: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    order: str = "asc"
    nulls: str | None = None
    """None once canonical where it is the default for `order`."""
    collation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Index(PostgresResource):
    """Any access method. `with_` holds storage parameters as (name, value as text), sorted by name."""

    method: str = "btree"
    unique: bool = False
    columns: tuple[IndexItem, ...] = ()
    include: tuple[str, ...] = ()
    where: str | None = None
    with_: tuple[tuple[str, str], ...] = field(default=(), metadata={"json": "with"})
    nulls_not_distinct: bool = False
    valid: bool = True
    """Live: indisvalid. A declared index is valid."""
    embedding: str | None = field(default=None, compare=False)

    @property
    def leftover_of(self) -> str | None:
        """See `Resource.leftover_of`; also the invalid index that a broken REINDEX CONCURRENTLY leaves."""
        match = None if self.valid else _REINDEXED.fullmatch(self.address.parts[-1])
        return match[1] if match else super().leftover_of

    def definition(self) -> tuple[object, ...]:
        """Schema, table and every compared attribute but the comment and whether it is valid."""
        return (self.schema, self.container, *_compared(self.replace(valid=True)))


@dataclass(frozen=True, kw_only=True)
class View(PostgresResource):
    """`query` is pg_get_viewdef's text once canonical; `columns` the output columns, for CREATE OR REPLACE."""

    query: str
    with_: tuple[tuple[str, str], ...] = field(default=(), metadata={"json": "with"})
    check_option: str | None = None
    columns: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(name, type) in order, live or read back from the scratch build; empty while unknown."""


def _compared(resource: Resource) -> tuple[object, ...]:
    return tuple(
        getattr(resource, f.name)
        for f in dataclasses.fields(resource)
        if f.compare and f.name not in ("address", "comment")
    )


def table_address(store: str, schema: str, table: str) -> Address:
    """The address of a table."""
    return Address(store, "table", (schema, table))
