"""What a database has beside tables: schemas, extensions, sequences, collations, event triggers."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconcile.stores.postgres.resources.base import PostgresResource


@dataclass(frozen=True, kw_only=True)
class Extension(PostgresResource):
    """`comment` is never compared: extensions bring their own."""

    in_schema: str | None = field(default=None, metadata={"json": "schema"})
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Schema(PostgresResource):
    """A schema that is itself declared."""


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
    unlogged: bool = False


@dataclass(frozen=True, kw_only=True)
class Collation(PostgresResource):
    """CREATE COLLATION; `version` is never compared."""

    provider: str = "libc"
    """"libc", "icu" or "builtin"."""
    locale: str = ""
    deterministic: bool = True
    rules: str | None = None


@dataclass(frozen=True, kw_only=True)
class EventTrigger(PostgresResource):
    """Fires a function at DDL; address (name). `function` is (schema, "name()")."""

    event: str = ""
    tags: tuple[str, ...] = ()
    function: tuple[str, str] = ("", "")
    enabled: str = "origin"
    """"origin", "replica", "always" or "disabled"."""
