"""What hangs on a table: triggers and policies."""

from __future__ import annotations

from dataclasses import field

from reconcile.stores.postgres.resources.base import PostgresResource


class Trigger(PostgresResource):
    """A trigger of a table or view."""

    when: str = "after"
    """"before", "after" or "instead_of"."""
    events: tuple[str, ...] = ()
    """In the order insert, delete, update, truncate."""
    of: tuple[str, ...] = ()
    """Columns of UPDATE OF, in the order in which the server shows them: as they were given."""
    for_each: str = "statement"
    """"row" or "statement"."""
    condition: str | None = None
    function: tuple[str, str] = ("", "")
    """(schema, "name()")"""
    arguments: tuple[str, ...] = ()
    constraint: bool = False
    deferrable: str | None = None
    """None, "initially_immediate" or "initially_deferred"."""
    from_: tuple[str, str] | None = field(default=None, metadata={"json": "from"})
    """(schema, table) of FROM, of a constraint trigger."""
    old_table: str | None = None
    new_table: str | None = None
    enabled: str = "origin"
    """"origin", "replica", "always" or "disabled"."""


class Policy(PostgresResource):
    """A row-level security policy."""

    for_: str = field(default="all", metadata={"json": "for"})
    """"all", "select", "insert", "update", "delete"."""
    permissive: bool = True
    to: tuple[str, ...] = ("public",)
    """Roles, sorted; "public" alone for everybody."""
    using: str | None = None
    check: str | None = None
