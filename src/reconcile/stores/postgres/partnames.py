"""What the server calls the index that a partition gets from a table above it. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reconcile.stores.postgres.names import generated
from reconcile.stores.postgres.resources import Exclusion, Index, IndexItem, Key, PrimaryKey, Table
from reconcile.stores.postgres.sqltokens import tokens

Rule = Index | Key | Exclusion
RULES = (Index, Key, Exclusion)
"""What has an index, and hands it down to partitions."""
_CALLED = re.compile(r'(?:"?[\w$]+"?\.)*"?([\w$]+)"?\(', re.I)
_TYPES = {
    "integer": "int4", "int": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "real": "float4",
    "double": "float8", "decimal": "numeric", "character": "bpchar", "char": "bpchar",
}  # fmt: skip
"""What the server calls types whose names are key words, by the first of them."""
_WORDS = frozenset({"case", "array", "row"})
"""What the server calls an expression that begins so."""


def label(items: Iterable[IndexItem], include: Sequence[str] = ()) -> str:
    """The middle of a generated name: the columns, and functions for expressions (ChooseIndexColumnNames)."""
    names: list[str] = []
    for item in items:
        name = item.column or _of_expression(item.expression or "")
        found, count = name, 0
        while found in names:
            count += 1
            found = f"{name}{count}"
        names.append(found)
    return "_".join([*names, *include])


def _of_expression(text: str) -> str:
    """As FigureIndexColname: the column, function or type that an expression is made of on top.

    >>> _of_expression("lower(title)"), _of_expression("((a || b))"), _of_expression("(a)::date")
    ('lower', 'expr', 'a')
    >>> _of_expression("((c ->> 'n'))::integer"), _of_expression("(x)::character varying(3)[]")
    ('int4', 'x')
    """
    return _figured([t.text for t in tokens(text) if t.kind != "space"])[0] or "expr"


def _figured(words: list[str]) -> tuple[str | None, bool]:
    """The name, and whether it is more than a type's."""
    while len(words) > 1 and words[0] == "(" and _end_of_call(words) == len(words) - 1:
        words = words[1:-1]
    cast = _last_cast(words)
    if cast is not None:
        inside, strong = _figured(words[:cast])
        return (inside, True) if strong else (_type(words[cast + 1 :]), False)
    if len(words) == 1 and re.fullmatch(r'[A-Za-z_][\w$]*|"[^"]+"', words[0]):
        return words[0].strip('"'), True
    if words and words[0].lower() in _WORDS:
        return words[0].lower(), True
    match = _CALLED.match("".join(words))
    if match and _end_of_call(words) == len(words) - 1:
        return match[1].lower(), True
    return None, False


def _end_of_call(words: list[str]) -> int | None:
    """Where the first parenthesis is closed."""
    depth = 0
    for place, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == ")" and depth == 0:
            return place
    return None


def _last_cast(words: list[str]) -> int | None:
    """Where the type of all that stands before begins; None where it is no cast as a whole."""
    depth, found = 0, None
    for place, word in enumerate(words):
        depth += (word in "([") - (word in ")]")
        if depth == 0 and word == "::":
            found = place
        elif depth == 0 and word not in ")]" and _is_operator(word):
            return None
    return found


def _is_operator(word: str) -> bool:
    return not re.match(r"[\w\"'.$]", word)


def _type(words: list[str]) -> str:
    first = words[0].lower() if words else ""
    if first == "character" and "varying" in words:
        return "varchar"
    if first == "bit" and "varying" in words:
        return "varbit"
    if first in ("timestamp", "time") and "with" in words:
        return f"{first}tz"
    names = [w for w in words if re.match(r'[\w"$]', w)]
    dotted = names[1] if len(words) > 1 and words[1] == "." and len(names) > 1 else first
    return _TYPES.get(first, dotted.strip('"'))


def usual(partition: Table, rule: Rule) -> str:
    """The name the server gives if it is free: `PARTITION_COLUMNS_idx`."""
    table = partition.address.parts[1]
    match rule:
        case PrimaryKey():
            return generated(table, None, "pkey")
        case Key():
            return generated(table, label([IndexItem(column=c) for c in rule.columns], rule.include), "key")
        case Exclusion():
            return generated(table, label(rule.columns, rule.include), "excl")
    return generated(table, label(rule.columns, rule.include), "idx")
