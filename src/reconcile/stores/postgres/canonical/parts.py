"""Texts inside the parts of a resource: conditions of a domain, types of a composite type's fields. By part name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconcile.model import Json, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.sqltokens import same

_Part = r.DomainCheck | r.Attribute
_PARTS: Mapping[type, tuple[str, tuple[str, ...]]] = {
    r.Domain: ("checks", ("expression",)),
    r.Composite: ("fields", ("type", "collation")),
}
"""The field that holds the parts, and which of their fields are SQL."""


def part_texts(x: Resource) -> Iterator[tuple[str, str | None]]:
    """(path, SQL): `checks.email_at.expression`, `fields.zip.type`."""
    if type(x) in _PARTS:
        name, texts = _PARTS[type(x)]
        for part in getattr(x, name):
            for text in texts:
                yield f"{name}.{part.name}.{text}", getattr(part, text)


def taken_parts(x: Resource, y: Resource) -> dict[str, Any]:
    """The parts of `x` with `y`'s spelling wherever that says the same, as a change of fields; {} for none."""
    if type(x) not in _PARTS or type(x) is not type(y):
        return {}
    theirs = {p.name: p for p in getattr(y, _PARTS[type(x)][0])}

    def spelled(part: _Part, text: str) -> str | None:
        ours, live = getattr(part, text), getattr(theirs.get(part.name), text, None)
        return live if same(ours, live) else ours

    return _with(x, spelled)


def parts_json(x: Resource) -> dict[str, Json]:
    """The texts by part, for the ledger."""
    if type(x) not in _PARTS:
        return {}
    name, texts = _PARTS[type(x)]
    return {name: {part.name: [getattr(part, text) for text in texts] for part in getattr(x, name)}}


def parts_from(x: Resource, spelled: Mapping[str, Json]) -> dict[str, Any]:
    """What `parts_json` noted, as a change of fields."""
    if type(x) not in _PARTS:
        return {}
    name, texts = _PARTS[type(x)]
    known = spelled.get(name, {})
    return _with(x, lambda part, text: dict(zip(texts, known.get(part.name, ()), strict=False)).get(text))


def _with(x: Resource, spelled: Callable[[_Part, str], str | None]) -> dict[str, Any]:
    name, texts = _PARTS[type(x)]
    before = getattr(x, name)
    after = tuple(replace(part, **{text: spelled(part, text) for text in texts}) for part in before)
    return {name: after} if after != before else {}
