"""Schemas, extensions, sequences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.dump.context import Context
from reconcile.stores.postgres.dump.values import shown_name, without_empty
from reconcile.stores.postgres.names import join


def schema(context: Context, x: r.Schema) -> dict[str, Any] | None:
    """None where there is nothing to declare."""
    del context
    return None if x.system and x.comment is None else without_empty({"comment": x.comment})


def extension(context: Context, x: r.Extension) -> dict[str, Any] | None:
    """None for what the server brings. The schema always: absent is wherever it is, and here it is known."""
    del context
    return None if x.system else without_empty({"schema": x.in_schema, "comment": x.comment})


def sequence(context: Context, x: r.Sequence) -> dict[str, Any]:
    """What is not the default."""
    del context
    owner = None
    if x.owned_by:
        schema, *column = x.owned_by
        owner = join(*column) if schema == x.schema else join(schema, *column)
    return without_empty(
        {
            "type": x.type if x.type != "bigint" else None,
            "start": x.start,
            "increment": x.increment if x.increment != 1 else None,
            "min": x.min,
            "max": x.max,
            "cache": x.cache if x.cache != 1 else None,
            "cycle": x.cycle or None,
            "unlogged": x.unlogged or None,
            "owned_by": owner,
            "comment": x.comment,
        }
    )


def routine(context: Context, x: r.Routine) -> dict[str, Any]:
    """The server's own statement: a long one in a file beside."""
    name = x.routine if x.schema == context.first else f"{x.schema}_{x.routine}"
    lines = x.definition_.split("\n")
    file = context.beside(name, x.definition_ + ";\n") if len(lines) > _SHORT or not readable(lines) else None
    return without_empty({"file": file, "definition": None if file else x.definition_, "comment": x.comment})


_SHORT = 8
"""Lines of a statement that stands in the YAML itself."""


def readable(lines: Iterable[str]) -> bool:
    """Whether YAML can hold the lines as they are: neither tabs nor blanks at the end."""
    return all(line == line.rstrip() and line.isprintable() for line in lines)


def event_trigger(context: Context, x: r.EventTrigger) -> dict[str, Any]:
    """What is not the default."""
    return without_empty(
        {
            "event": x.event,
            "tags": list(x.tags),
            "function": shown_name(context.first, *x.function[:1], x.function[1].removesuffix("()")) + "()",
            "enabled": x.enabled if x.enabled != "origin" else None,
            "comment": x.comment,
        }
    )
