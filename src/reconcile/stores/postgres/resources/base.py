"""What PostgreSQL resources of every kind have."""

from __future__ import annotations

import dataclasses
from dataclasses import field

from reconcile.model import Address, Resource

# Addresses. Per database: schema, extension, event_trigger (name); per schema: domain, enum, composite, range,
# collation, sequence, table, view, materialized_view, index, statistics (schema, name); function, procedure, aggregate
# (schema, "name(argument types)"); per table: column, primary_key, unique, check, exclusion, foreign_key, trigger,
# policy (schema, table, name); grant (kind, *parts of what it is about); default_privileges (role, schema or "", kind).

HELPERS = {
    "index": ("new",),
    "materialized_view": ("new",),
    "foreign_key": ("new",),
    "check": ("new", "not_null", "bound"),
    **dict.fromkeys(("enum", "domain", "composite", "range"), ("old", "old2")),
}
"""Suffixes of what is built or put beside, by kind: `NAME__rc_new`."""
RELATIONS = frozenset(
    {"table", "view", "materialized_view", "sequence", "index", "primary_key", "unique", "exclusion", "composite"}
)
"""Kinds that share one name space in each schema."""
TYPES = frozenset({"domain", "enum", "composite", "range"})
"""Kinds that are types and nothing else; tables and views are types too."""
ROW_TYPES = frozenset({"table", "view", "materialized_view"})
"""Kinds whose rows have a type of the same name."""
ROUTINES = frozenset({"function", "procedure", "aggregate"})
"""Kinds that are called."""

OWN_SCHEMA = "reconcile"
"""The ledger's default schema, that of what is kept and of helpers that need one: never looked into."""

Pairs = tuple[tuple[str, str], ...]
"""Options as (name, value as text), sorted by name."""


class PostgresResource(Resource):
    """What all kinds here have."""

    comment: str | None = None
    helper_of: str | None = field(default=None, compare=False, repr=False)
    """Live: the name of the column whose change under way made this; see `leftover_of`."""
    helper_in: Address | None = field(default=None, compare=False, repr=False)
    """Live: the table of that column; see `leftover_in`."""

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
        if self.helper_of is not None:
            return self.helper_of
        base, _, suffix = self.address.parts[-1].rpartition("__rc_")
        return base if suffix in HELPERS.get(self.address.kind, ()) else None

    @property
    def leftover_in(self) -> Address | None:
        """See `Resource.leftover_in`."""
        return self.helper_in

    @property
    def occupies(self) -> tuple[tuple[str, ...], ...]:
        """See `Resource.occupies`: in each schema relations share one space, types and types of rows, and routines."""
        kind = self.address.kind
        found = [("relation", self.schema, self.name)] if kind in RELATIONS else []
        found += [("type", self.schema, self.name)] if kind in TYPES or kind in ROW_TYPES else []
        found += [("routine", self.schema, self.name)] if kind in ROUTINES else []
        return tuple(found)


def compared(resource: Resource) -> tuple[object, ...]:
    """Every compared attribute but address and comments."""
    return tuple(
        getattr(resource, f.name)
        for f in dataclasses.fields(resource)
        if f.compare and f.name not in ("address", "comment", "index_comment")
    )


def table_address(store: str, schema: str, table: str) -> Address:
    """The address of a table."""
    return Address(store, "table", (schema, table))
