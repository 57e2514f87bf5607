"""The values of a column as values of its new type: as an expression."""

from __future__ import annotations

from reconcile.change import Server
from reconcile.stores.postgres.changes.fitting import STRINGS
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


def cast_of(server: Server, before: Column, after: Column, name: str | None = None) -> str:
    """Where the server has no cast, as from an enum or between an array and what is none, it goes through text.

    Args:
        name: what the column is called now, quoted; by default as `before` is.
    """
    name, new = name or ident(before.name), str(as_written(after, "type"))
    left, right = Type.of(before.type), Type.of(after.type)
    if right.base in _UNLIMITED:
        new = f"{_UNLIMITED[right.base]}{'[]' if right.array else ''}"
    apart = left.array != right.array or not castable(server, before, after)
    if apart and not is_vector(after.type):
        return f"{name}::text{'[]' if left.array and right.array else ''}::{new}"
    return f"{name}::{new}"


def castable(server: Server, before: Column, after: Column) -> bool:
    """Whether the server casts the type of one to that of the other; of an extension yet to be made only texts are.

    A domain is cast as what it is made from, a row is not looked at: the server is left to judge these.
    """
    left, right = Type.of(before.type).base, Type.of(after.type).base
    casts, kinds = server.facts.get("casts"), {a.kind for a in after.refers}
    if any(a.kind == "enum" for a in before.refers):
        return False
    if left == right or not {left, right}.isdisjoint(STRINGS) or casts is None or kinds & _JUDGED:
        return True
    if "enum" not in kinds and any(a.kind in _JUDGED for a in before.refers):
        return True
    return (bare(left), bare(right)) in casts


_JUDGED = frozenset({"domain", "composite", "table", "view", "materialized_view"})


def bare(type_: str) -> str:
    """The name of a type without its schema."""
    return type_.rpartition(".")[2].strip('"')


def fitted(server: Server, before: Column, after: Column, name: str | None = None) -> str:
    """The cast, and an error where a value is too long; see `cast_of`."""
    to = Type.of(after.type)
    if to.base not in _FITTED or to.array or not (to.args or to.base in ("character", "bit")):
        return cast_of(server, before, after, name)
    function, more = _FITTED[to.base]
    return f"{function}({cast_of(server, before, after, name)}, {(*to.args, 1)[0] + more}, false)"
