"""What differs between two states of an object, by attribute and in words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from reconcile.model import Resource, to_json


def only_comment_differs(before: Resource, after: Resource) -> bool:
    """Whether comments, its own and that of a constraint's index, are all that is to be changed."""
    found = differing(before, after)
    return bool(found) and set(found) <= {"comment", "index_comment"}


def differing(before: Resource | None, after: Resource | None) -> tuple[str, ...]:
    """Names of the attributes that differ, in the order of the dataclass; none for a companion."""
    if before is None or after is None:
        return ()
    left, right = before.attributes(), after.attributes()
    return tuple(key for key in (left | right) if left.get(key) != right.get(key))


def describe_difference(before: Resource | None, after: Resource | None, *, spelled_out: bool = False) -> str:
    """`m 16 → 32, comment 'x' → 'y'`; "unchanged" for a companion.

    Args:
        spelled_out: say what the default is, instead of "none".
    """
    if before is None or after is None:
        return (after or before or _nothing()).address.kind
    left, right = (_spelled_out(x) if spelled_out else x.attributes() for x in (before, after))
    parts = []
    for key in differing(before, after):
        if key in ("with", "options", "identity_options"):
            parts += _options_difference(dict(left.get(key, ())), dict(right.get(key, ())))
        elif key in _OF_COLUMNS:
            pairs = _options_difference(dict(left.get(key, ())), dict(right.get(key, ())), "none")
            parts += [f"{_OF_COLUMNS[key]} of {pair}" for pair in pairs]
        elif isinstance(left.get(key), bool) or isinstance(right.get(key), bool):
            parts.append(f"{_words(key)} {_truth(before, key)} → {_truth(after, key)}")
        else:
            parts.append(f"{_words(key)} {shown(left.get(key))} → {shown(right.get(key))}")
    return ", ".join(parts) or "unchanged, made again"


def _spelled_out(resource: Resource) -> dict[str, Any]:
    values = {f.metadata.get("json", f.name): getattr(resource, f.name) for f in fields(resource) if f.compare}
    return {key: value for key, value in values.items() if value not in (None, ())}


def _truth(resource: Resource, key: str) -> str:
    """Also of what is true by default, and so not among the attributes."""
    return str(bool(getattr(resource, key))).lower()


def _nothing() -> Resource:
    raise ValueError("a change has a before or an after")


_OF_COLUMNS = {"column_comments": "comment", "column_defaults": "default"}


def _options_difference(left: dict[str, str], right: dict[str, str], absent: str = "default") -> list[str]:
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    return [f"{key} {shown(left.get(key, absent))} → {shown(right.get(key, absent))}" for key in keys]


def _words(key: str) -> str:
    return key.replace("_", " ")


def shown(value: Any, width: int = 60) -> str:
    """A value on one line, cut."""
    text = "none" if value is None else value if isinstance(value, str) else _listed(to_json(value))
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(map(_listed, value)) + ")"
    if isinstance(value, dict):
        return " ".join(str(v) for v in value.values())
    return str(value)
