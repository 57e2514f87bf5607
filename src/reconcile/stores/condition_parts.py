"""Parts of a condition: what is called, listed, cast, and constants as values. Pure."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

LISTED = 20
"""Elements of a list that are looked at: a row that is in it, and one that is not, are found among them."""


class UnlikeError(Exception):
    """A row that cannot be: a number where a text stands."""


def called(node: exp.Expr) -> str:
    """The name of a function, in upper case."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    return node.sql_name() if isinstance(node, exp.Func) else ""


def is_foreign(node: exp.Expr) -> bool:
    """Whether it is not of the row: the same for all of them."""
    return isinstance(node, exp.Placeholder | exp.Parameter | exp.Subquery | exp.Select) or (
        isinstance(node, exp.Func) and not isinstance(node, exp.And | exp.Or | exp.Xor | exp.Cast | exp.Coalesce)
    )


def listed_in(node: exp.Expr) -> list[exp.Expr] | None:
    """The elements in `x = ANY (ARRAY[…])` and `x <> ALL ('{…}')`."""
    array = node.args.get("expression")
    if isinstance(node, exp.EQ) and isinstance(array, exp.Any):
        inside = array.this.unnest()
    elif isinstance(node, exp.NEQ) and isinstance(array, exp.Anonymous) and called(array) == "ALL":
        inside = array.expressions[0].unnest()
    else:
        return None
    inside = inside.this.unnest() if isinstance(inside, exp.Cast) else inside
    if isinstance(inside, exp.Array) and inside.find(exp.Select) is None:
        return list(inside.expressions)
    if isinstance(inside, exp.Literal) and re.fullmatch(r"\{[^{}\"\\]*\}", inside.this):
        return [_constant(e.strip()) for e in inside.this[1:-1].split(",")[:LISTED] if e.strip()]
    return None


def _constant(text: str) -> exp.Expr:
    return exp.Literal.number(text) if re.fullmatch(r"-?\d+(?:\.\d+)?", text) else exp.Literal.string(text)


def number(text: str) -> int | float:
    """A constant as a number."""
    return int(text) if re.fullmatch(r"[+-]?\d+", text.strip()) else float(text)


def alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Two values that may be compared: a constant in quotes is of the other's type.

    Raises:
        UnlikeError: they are of different kinds.
    """
    if isinstance(left, str) is not isinstance(right, str):
        try:
            left, right = (number(v) if isinstance(v, str) else v for v in (left, right))
        except ValueError:
            raise UnlikeError from None
    if isinstance(left, str) and isinstance(right, str):
        return _endless(left), _endless(right)
    return left, right


def _endless(text: str) -> str:
    return {"infinity": "~", "-infinity": " "}.get(text.lower(), text)


def cast_kind(node: exp.Cast) -> str | None:
    """Of what kind a cast makes something; None where that is not known."""
    kind = node.to
    if kind.is_type(*exp.DataType.TEXT_TYPES):
        return "text"
    if kind.is_type(*exp.DataType.NUMERIC_TYPES):
        return "number"
    if kind.is_type(*exp.DataType.TEMPORAL_TYPES):
        return "date"
    return "truth" if kind.is_type(exp.DataType.Type.BOOLEAN) else None
