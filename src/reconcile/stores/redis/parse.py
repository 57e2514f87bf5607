"""YAML documents -> resources. What the JSON Schema cannot say is checked here, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from reconcile.model import Address, Json, Resource
from reconcile.stores.base import Context
from reconcile.stores.redis.parse_index import indexes
from reconcile.stores.redis.patterns import Pattern, Renaming
from reconcile.stores.redis.resources import Family, Parameter, config_address
from reconcile.stores.redis.values import SECRETS, written

if TYPE_CHECKING:
    from reconcile.yamlio import Map


def parse(documents: Sequence[Map], context: Context) -> list[Resource]:
    """Parameters, families and indexes, in this order; problems go to `context`."""
    parameters = [resource for document in documents for resource in _parameters(document, context)]
    families = [resource for document in documents for resource in _families(document, context)]
    _renames(families, documents, context)
    found = [index for document in documents for index in indexes(document, context)]
    return [*parameters, *found, *families]


def _parameters(document: Map, context: Context) -> Iterator[Resource]:
    block: Map | None = document.get("config")
    for name, value in (block or {}).items():
        assert block is not None
        where = block.at(name)
        if name != name.lower():
            context.problem(where, f'"{name}": parameters are in lower case', f"write {name.lower()}")
        elif name in SECRETS:
            hint = "set it in the server's own configuration, or give users passwords with ACL"
            context.problem(where, f'"{name}" is a secret, which no schema file declares', hint)
        else:
            yield Parameter(
                address=config_address(context.spec.name, name),
                source=where,
                value=written(value),
                rewrite=document.get("config_file") == "rewrite",
            )


def _families(document: Map, context: Context) -> Iterator[Family]:
    block: Map | None = document.get("families")
    for name, body in (block or {}).items():
        assert block is not None
        if _pattern(body, "pattern", context) is None:
            continue
        old = _pattern(body, "renamed_from", context) if body.get("renamed_from") is not None else None
        yield Family(
            address=Address(context.spec.name, "family", (name,)),
            source=block.at(name),
            comes_after=context.after(body),
            pattern=body["pattern"],
            type=body.get("type"),
            ttl=_ttl(body.get("ttl")),
            description=body.get("description"),
            version=body.get("version"),
            old=old.text if old is not None else None,
        )


def _ttl(value: Json) -> str | None:
    longest = value["at_most"] if isinstance(value, Mapping) else value
    return None if longest in (None, "any") else str(longest)


def _pattern(body: Map, key: str, context: Context) -> Pattern | None:
    """A pattern of the YAML; None, reported, where it is none."""
    pattern = Pattern(body[key])
    try:
        pattern.parts  # noqa: B018
    except ValueError as error:
        hint = "`{name}` is one part of a key, `*` is anything; \\{ \\} \\* \\\\ for these signs themselves"
        context.problem(body.value_at(key), str(error), hint)
        return None
    return pattern


def _renames(families: Sequence[Family], documents: Sequence[Map], context: Context) -> None:
    """What would rename keys again and again, or those of others, or two to one name."""
    bodies = {name: body for d in documents for name, body in (d.get("families") or {}).items()}
    for family in families:
        if family.old is None:
            continue
        where = bodies[family.address.parts[0]].value_at("renamed_from")
        old = Pattern(family.old)
        if (problem := Renaming(old, Pattern(family.pattern)).problem()) is not None:
            context.problem(where, f"{family.old} cannot become {family.pattern}: {problem}")
            continue
        for other in families:
            if other is not family and old.overlaps(Pattern(other.pattern)):
                what = f"keys of {family.old} can be of the family {other.address.parts[0]} ({other.pattern}) too"
                context.problem(where, what, "name the old keys more narrowly: those would be renamed with them")
