"""What YAML values are made of: empty ones left out, short forms, SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from reconcile.model import Resource
from reconcile.stores.postgres.names import join

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})\Z")


def shown_name(first: str, *parts: str) -> str:
    """A name as the YAML has it: without schema where that is the first one."""
    return join(*parts[1:]) if parts[0] == first else join(*parts)


def key_of(x: Resource, first: str) -> str:
    """The YAML key of what a schema holds."""
    return shown_name(first, *x.address.parts[:2])


def without_empty(values: Mapping[str, Any], keep: tuple[str, ...] = ()) -> dict[str, Any]:
    """Only what says something; and `keep`."""
    return {k: v for k, v in values.items() if (v is not None and v != {} and v != []) or k in keep}


def short(values: Mapping[str, Any], only: str) -> Any:
    """The value of `only` where nothing else is to be said."""
    found = without_empty(values)
    return found[only] if set(found) == {only} else found


def sql(text: str | None) -> Any:
    """An SQL value; whole numbers and booleans as such."""
    if text is None:
        return None
    if text in ("true", "false"):
        return text == "true"
    return int(text) if _NUMBER.match(text) and text != "-0" else text


def options(pairs: Iterable[tuple[str, str]]) -> dict[str, Any] | None:
    """Options as a mapping; None where there are none."""
    return {k: sql(v) for k, v in pairs} or None


def numbers(pairs: Iterable[tuple[str, str]]) -> dict[str, Any] | None:
    """Options whose values are all numbers."""
    return {k: int(v) if _NUMBER.match(v) else float(v) for k, v in pairs} or None


def dedented(query: str) -> str:
    """The query without the server's trailing blanks, which keep YAML from writing it as a block."""
    return "\n".join(line.rstrip() for line in query.strip().splitlines())
