"""What is called: functions, procedures, aggregates."""

from __future__ import annotations

from dataclasses import field

from reconcile.stores.postgres.resources.base import PostgresResource


class Routine(PostgresResource):
    """`definition_` is one CREATE statement; once canonical, the server's own (pg_get_functiondef).

    The address is (schema, "name(argument types)"), types as format_type spells them, those of a call only:
    IN, INOUT and VARIADIC.
    """

    definition_: str = field(default="", metadata={"json": "definition"})

    needed_by: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Live: what is not modelled and built on it (operators, casts, …), in the server's words: it cannot be dropped."""

    @property
    def routine(self) -> str:
        """The name without argument types."""
        return self.address.parts[1].partition("(")[0]

    @property
    def namespace(self) -> tuple[str, ...] | None:
        """Functions, procedures and aggregates share one in each schema, argument types included."""
        return ("routine", self.schema)


class Function(Routine):
    """Also a window function."""


class Procedure(Routine):
    """CALLed."""


class Aggregate(Routine):
    """The server has no text for it: `definition_` is CREATE AGGREGATE as the catalog says it, in one fixed form."""
