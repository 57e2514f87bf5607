"""What is called: functions, procedures, aggregates."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconcile.stores.postgres.resources.base import PostgresResource


@dataclass(frozen=True, kw_only=True)
class Routine(PostgresResource):
    """`definition_` is one CREATE statement; once canonical, the server's own (pg_get_functiondef).

    The address is (schema, "name(argument types)"), types as format_type spells them.
    """

    definition_: str = field(default="", metadata={"json": "definition"})
    returns: str | None = field(default=None, compare=False)
    """The result type as the server shows it (with OUT arguments), once known: another one needs DROP and CREATE."""
    arguments: str | None = field(default=None, compare=False)
    """Argument names, modes and defaults, once known: renaming one or dropping a default needs DROP and CREATE."""

    @property
    def routine(self) -> str:
        """The name without argument types."""
        return self.address.parts[1].partition("(")[0]


@dataclass(frozen=True, kw_only=True)
class Function(Routine):
    """Also a window function."""


@dataclass(frozen=True, kw_only=True)
class Procedure(Routine):
    """CALLed."""


@dataclass(frozen=True, kw_only=True)
class Aggregate(Routine):
    """The server has no text for it: `definition_` is CREATE AGGREGATE as the catalog says it, in one fixed form."""
