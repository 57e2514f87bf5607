"""Live schema as YAML in the format's look: what `import` writes, and what messages show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from reconcile.change import Server
from reconcile.model import Address, Json
from reconcile.stores.base import Live, StoreSpec
from reconcile.stores.neo4j import options
from reconcile.stores.neo4j.resources import (
    EXISTS,
    FAILED,
    FULLTEXT,
    RANGE,
    TYPE,
    VECTOR,
    Constraint,
    Index,
    SchemaObject,
)

_ALWAYS = (("dimensions",), ("similarity",))
"""Options that say what an index is: written even at their default."""


def dump(live: Live, server: Server, spec: StoreSpec, only: Callable[[Address], bool]) -> Mapping[str, str]:
    """One file that declares `live`; its plan is empty, unless an index had failed, which a comment says.

    Names are the live ones, generated or not. Options at the shipped default are left out.
    """
    del server  # the defaults have not changed between the versions that are known
    from reconcile.yamldump import dump as write

    chosen = [r for a, r in live.state.items() if isinstance(r, SchemaObject) and not r.system and only(a)]
    comments = [
        f"index {r.name} has failed, plan rebuilds it: {r.failure}"
        for r in chosen
        if isinstance(r, Index) and r.state == FAILED
    ]
    comments += [
        f"not modelled: {n.address.kind} {n.address.name}: {n.what}" for n in live.not_modelled if only(n.address)
    ]
    document: dict[str, Json] = {"store": spec.name}
    for key, kind in (("constraints", Constraint), ("indexes", Index)):
        entries = _entries(r for r in chosen if isinstance(r, kind))
        if entries:
            document[key] = entries
    if len(document) == 1 and not comments:
        return {}
    return {f"{_file_name(spec.name)}.yaml": write(document, comments)}


def _entries(resources: Iterable[SchemaObject]) -> dict[str, Json]:
    return {r.name: as_yaml(r) for r in resources}


def _file_name(store: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "_", store.lower()) or "graph"


def as_yaml(resource: SchemaObject) -> dict[str, Json]:
    """The declaration of a resource, options that are unset or at the shipped default left out."""
    plural = isinstance(resource, Index) and (resource.kind == FULLTEXT or len(resource.tokens) > 1)
    word = ("label" if resource.on_nodes else "relationship") + ("s" if plural else "")
    place: dict[str, Json] = {word: list(resource.tokens) if plural else resource.tokens[0]}
    if isinstance(resource, Constraint):
        if resource.kind == TYPE:
            return {**place, "property": resource.properties[0], "type": resource.type}
        if resource.kind == EXISTS:
            return {**place, EXISTS: resource.properties[0]}
        return {**place, resource.kind: list(resource.properties)}
    assert isinstance(resource, Index)
    found = {} if resource.kind == RANGE else {"kind": resource.kind}
    chosen = {
        option.path: [_whole(n) for n in value] if isinstance(value, tuple) else value
        for option, value in notable(resource)
    }
    properties = list(resource.properties)
    if resource.kind == VECTOR and len(properties) > 1:
        return {**found, **place, "properties": properties[:1], "filter": properties[1:], **options.fields(chosen)}
    return {**found, **place, "properties": properties, **options.fields(chosen)}


def notable(index: Index) -> list[tuple[options.Option, Json]]:
    """Options that are set and not at the shipped default, and those that say what the index is."""
    found = ((option, options.value(index, option)) for option in options.of_kind(index.kind))
    return [(o, v) for o, v in found if v is not None and (v != o.default or o.path in _ALWAYS)]


def _whole(number: float) -> float:
    """Without a fraction that says nothing: -180.0 is -180."""
    return int(number) if number.is_integer() else number
