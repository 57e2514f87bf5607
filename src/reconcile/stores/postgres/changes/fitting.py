"""Which values a type refuses: as a condition that the server can be asked, where there is one."""

from __future__ import annotations

from reconcile.stores.postgres.changes.types import Type, is_vector
from reconcile.stores.postgres.sqltext import literal

_INPUT_IS_VALID = (16,)
"""pg_input_is_valid() came with PostgreSQL 16."""
STRINGS = frozenset({"text", "character varying", "character"})
_INTEGERS = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}
_FRACTIONS = frozenset({"numeric", "real", "double precision"})
_REAL = "3.4028235677973366e38"
"""What is more than this is no longer rounded to the largest real."""


def misfit(name: str, old: str, new: str, version: tuple[int, ...]) -> str | None:
    """SQL that is true of values that do not fit; None where every value does, or nothing is known.

    Args:
        name: the column, quoted.
        version: of the server, as numbers.
    """
    before, after = Type.of(old), Type.of(new)
    if before.array != after.array:
        return None
    if not before.array:
        return _misfit(name, before, after, new, version)
    element = _misfit("v", before, after, new.rstrip("[] "), version)
    return f"EXISTS (SELECT FROM unnest({name}) AS v WHERE {element})" if element else None


def _misfit(name: str, before: Type, after: Type, new: str, version: tuple[int, ...]) -> str | None:
    if is_vector(new):
        fixed = before.base == after.base and not before.args and after.args
        return f"vector_dims({name}) <> {after.args[0]}" if fixed else None
    if after.base in STRINGS:
        # what is beyond the length is cut where it is spaces, else refused
        length = after.args[0] if after.args else 1
        limited = after.args or after.base == "character"
        return f"rtrim(substr({name}::text, {length + 1}), ' ') <> ''" if limited else None
    if before.base in STRINGS:
        return as_text_misfit(name, new, version)
    if before.base in _INTEGERS or before.base in _FRACTIONS:
        return _number(name, before, after)
    if {before.base, after.base} <= {"bit", "bit varying"}:
        length = after.args[0] if after.args else 1
        if after.base == "bit":
            return f"length({name}) <> {length}"
        return f"length({name}) > {length}" if after.args else None
    return None


def as_text_misfit(name: str, new: str, version: tuple[int, ...]) -> str | None:
    """SQL that is true of values whose text the new type refuses; None where the server cannot be asked."""
    known = version >= _INPUT_IS_VALID
    return f"{name} IS NOT NULL AND NOT pg_input_is_valid({name}::text, {literal(new)})" if known else None


def _number(name: str, before: Type, after: Type) -> str | None:
    if after.base in _INTEGERS:
        least, most = _INTEGERS[after.base]
        if before.base in _INTEGERS:
            return None if _INTEGERS[before.base][1] <= most else f"{name} NOT BETWEEN {least} AND {most}"
        # both roundings, of numeric away from zero and of floats to even, stay within these
        return f"NOT (round({name}::numeric) BETWEEN {least} AND {most})"
    if after.base == "numeric" and after.args:
        precision, scale = (*after.args, 0)[:2]
        return f"abs(round({name}::numeric, {scale})) >= 1e{precision - scale} AND {name}::text <> 'NaN'"
    if after.base == "real" and before.base in ("numeric", "double precision"):
        return f"abs({name}) >= {_REAL} AND {name}::text NOT IN ('NaN', 'Infinity', '-Infinity')"
    return None
