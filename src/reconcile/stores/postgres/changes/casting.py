"""The values of a column as values of its new type: as an expression."""

from __future__ import annotations

from reconcile.stores.postgres.changes.types import Type, is_vector
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltext import as_written, ident

_UNLIMITED = {"character varying": "character varying", "character": "bpchar", "bit": "bit varying"}
_UNLIMITED["bit varying"] = "bit varying"
"""Types without their length: an explicit cast to one with a length cuts values off without a word, and what the
server does with the result, an assignment, does not."""
_FITTED = {"character varying": ('pg_catalog."varchar"', 4), "character": ("pg_catalog.bpchar", 4)}
_FITTED |= {"bit": ('pg_catalog."bit"', 0), "bit varying": ("pg_catalog.varbit", 0)}
"""Functions that make a value of a length, or fail; what is added to it for the type modifier."""


def cast_of(before: Column, after: Column, name: str | None = None) -> str:
    """There is no cast from an enum to another type, nor between an array and what is none, but through text.

    Args:
        name: what the column is called now, quoted; by default as `before` is.
    """
    name, new = name or ident(before.name), str(as_written(after, "type"))
    left, right = Type.of(before.type), Type.of(after.type)
    if right.base in _UNLIMITED:
        new = f"{_UNLIMITED[right.base]}{'[]' if right.array else ''}"
    enums = any(a.kind == "enum" for a in before.refers)
    if not is_vector(after.type) and (enums or left.array != right.array):
        return f"{name}::text{'[]' if left.array and right.array else ''}::{new}"
    return f"{name}::{new}"


def fitted(before: Column, after: Column, name: str | None = None) -> str:
    """The cast, and an error where a value is too long; see `cast_of`."""
    to = Type.of(after.type)
    if to.base not in _FITTED or to.array or not (to.args or to.base in ("character", "bit")):
        return cast_of(before, after, name)
    function, more = _FITTED[to.base]
    return f"{function}({cast_of(before, after, name)}, {(*to.args, 1)[0] + more}, false)"
