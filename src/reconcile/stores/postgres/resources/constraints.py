"""Keys, checks, exclusions and foreign keys."""

from __future__ import annotations

from dataclasses import field

from reconcile.stores.postgres.resources.base import Pairs, PostgresResource, compared
from reconcile.stores.postgres.resources.indexes import IndexItem


class Key(PostgresResource):
    """What a primary key and a unique constraint share."""

    columns: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    with_: Pairs = field(default=(), metadata={"json": "with"})
    deferrable: str | None = None
    """None, "initially_immediate" or "initially_deferred"."""
    index_comment: str | None = None
    """Of its index, which is an object of its own to COMMENT ON."""

    def definition(self) -> tuple[object, ...]:
        """Table, kind and every compared attribute but the comment."""
        return (self.container, self.address.kind, *compared(self))


class PrimaryKey(Key):
    """At most one a table; its address name is the constraint's."""


class Unique(Key):
    """A unique constraint."""

    nulls_not_distinct: bool = False


class Check(PostgresResource):
    """A check constraint of a table."""

    expression: str
    no_inherit: bool = False
    not_valid: bool = False
    enforced: bool = True

    def definition(self) -> tuple[object, ...]:
        """Table and condition; valid or not is an attribute, not an identity."""
        return (self.container, self.address.kind, self.expression, self.no_inherit, self.enforced)


class Exclusion(PostgresResource):
    """An exclusion constraint: keys as of an index, each with its operator."""

    method: str = "gist"
    columns: tuple[IndexItem, ...] = ()
    operators: tuple[str, ...] = ()
    """One a key: `&&`, or with its schema `public.&&&` where it is not found without."""
    include: tuple[str, ...] = ()
    where: str | None = None
    with_: Pairs = field(default=(), metadata={"json": "with"})
    deferrable: str | None = None
    index_comment: str | None = None

    def definition(self) -> tuple[object, ...]:
        """Table and every compared attribute but the comment."""
        return (self.container, self.address.kind, *compared(self))


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
    enforced: bool = True
    index: str | None = field(default=None, compare=False)
    """Live: the index of the target that it hangs on; there may be several over the same columns."""

    def definition(self) -> tuple[object, ...]:
        """Table, columns, target and actions; valid or not is an attribute, not an identity."""
        return (self.container, self.address.kind, *compared(self.replace(not_valid=False)))
