"""What a database has beside tables: schemas, extensions, sequences, collations, event triggers."""

from __future__ import annotations

from dataclasses import field

from reconcile.model import Address, Resource
from reconcile.stores.postgres.resources.base import PostgresResource


class Extension(PostgresResource):
    """`comment` is compared where one is declared: extensions bring their own, and another with each version."""

    in_schema: str | None = field(default=None, metadata={"json": "schema"})
    version: str | None = None
    own_comment: bool = field(default=False, compare=False)
    """Without a comment it is to have its own again."""

    def as_it_was(self, declared: Resource | None) -> Resource:
        """See `Resource.as_it_was`."""
        del declared
        return self.replace(own_comment=True)


class Schema(PostgresResource):
    """A schema that is itself declared."""


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
    unlogged: bool = False

    @property
    def falls_with(self) -> tuple[Address, ...]:
        """See `Resource.falls_with`."""
        return () if self.owned_by is None else (Address(self.address.store, "column", self.owned_by),)

    def makes_room(self, holder: Resource) -> bool:
        """See `Resource.makes_room`: the sequence of an identity, whose value it may go on with."""
        return holder.address.kind == "column"


def sequence_limits(type_: str, increment: int) -> tuple[int, int]:
    """The lowest and highest value where none is set: they follow from the type and the direction.

    >>> sequence_limits("smallint", 1), sequence_limits("smallint", -1)
    ((1, 32767), (-32768, -1))
    """
    limit: int = 2 ** ({"smallint": 16, "integer": 32}.get(type_, 64) - 1)
    return (1, limit - 1) if increment > 0 else (-limit, -1)


class Collation(PostgresResource):
    """CREATE COLLATION; `version` is never compared."""

    provider: str = "libc"
    """"libc", "icu" or "builtin"."""
    locale: str = ""
    deterministic: bool = True
    rules: str | None = None


class EventTrigger(PostgresResource):
    """Fires a function at DDL; address (name). `function` is (schema, "name()")."""

    event: str = ""
    tags: tuple[str, ...] = ()
    function: tuple[str, str] = ("", "")
    enabled: str = "origin"
    """"origin", "replica", "always" or "disabled"."""
