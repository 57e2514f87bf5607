"""Live -> resources, from the answers of GET. Pure: `session.py` asks, this reads.

A collection that our metadata marks as generation N of NAME stands under NAME, if it is the current one; every
other collection stands under its physical name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconcile.model import Address, Json, Resource, State
from reconcile.stores.base import Live, NotModelled
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.resources import (
    Alias,
    Collection,
    PayloadIndex,
    alias_address,
    collection_address,
)


@dataclass(frozen=True)
class Naming:
    """Which logical name each physical collection has."""

    logical: Mapping[str, str]
    generation: Mapping[str, int]
    """Of current ones only."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Logical name -> its other generations, oldest first."""
    last: Mapping[str, int] = field(default_factory=dict)


def naming(infos: Mapping[str, Json], aliases: Mapping[str, str]) -> Naming:
    """Choose the current generation of each versioned collection.

    It is the one the alias of the name points at; without one, the highest generation, one with the expected
    physical name before a copy under another (a restored snapshot keeps the metadata).
    """
    marked = {name: mark for name, info in infos.items() if (mark := wire.ours(info["config"])) is not None}
    groups: dict[str, list[str]] = defaultdict(list)
    for physical, (name, _) in marked.items():
        if name not in infos:  # a plain collection of that name is what the name means
            groups[name].append(physical)
    logical = {name: name for name in infos}
    generation: dict[str, int] = {}
    others: dict[str, tuple[str, ...]] = {}
    last: dict[str, int] = {}

    for name, members in groups.items():

        def rank(physical: str, name: str = name) -> tuple[object, ...]:
            number = marked[physical][1]
            return (aliases.get(name) == physical, physical == f"{name}__v{number}", number, physical)

        ordered = sorted(members, key=rank)
        current = ordered[-1]
        logical[current] = name
        generation[current] = marked[current][1]
        others[name] = tuple(sorted(ordered[:-1], key=lambda p: marked[p][1]))
        last[name] = max(marked[p][1] for p in members)
    return Naming(logical, generation, others, last)


def introspect(
    store: str,
    infos: Mapping[str, Json],
    aliases: Mapping[str, str],
    partial: Iterable[str] = (),
) -> Live:
    """All collections, payload indexes and aliases.

    Args:
        infos: physical name -> `result` of GET /collections/NAME, without the tool's own collection.
        aliases: alias -> physical name.
        partial: why not all can be seen.
    """
    names = naming(infos, aliases)
    targets = set(aliases.values())
    resources: list[Resource] = []
    unmodelled: list[NotModelled] = []
    for physical, info in sorted(infos.items()):
        name = names.logical[physical]
        address = collection_address(store, name)
        fields, unknown = wire.read_config(info["config"])
        if unknown:
            unmodelled.append(NotModelled(address, f"collection settings {', '.join(unknown)}"))
            continue
        spare = [p for p in names.others.get(name, ()) if p not in targets and not infos[p].get("points_count")]
        current = physical in names.generation
        resources.append(
            Collection(
                address=address,
                physical=physical if physical != name else None,
                generation=names.generation.get(physical),
                leftovers=tuple(spare) if current else (),
                last_generation=names.last.get(name, 0) if current else 0,
                **fields,
            )
        )
        for path, schema in sorted((info.get("payload_schema") or {}).items()):
            found = _payload_index(address, path, schema)
            if isinstance(found, NotModelled):
                unmodelled.append(found)
            else:
                resources.append(found)
    for alias, physical in sorted(aliases.items()):
        target = collection_address(store, names.logical.get(physical, physical))
        resources.append(
            Alias(
                address=alias_address(store, alias),
                collection=physical,
                container=target,
                refers=(target,),
                own=target.parts[-1] == alias,
            )
        )
    return Live(State.of(resources), tuple(unmodelled), tuple(partial))


def _payload_index(collection: Address, path: str, schema: Mapping[str, Json]) -> PayloadIndex | NotModelled:
    address = collection.child("payload_index", path)
    kind, parameters, unknown = wire.read_index(schema)
    if unknown:
        return NotModelled(address, f"payload index with {', '.join(unknown)}")
    return PayloadIndex(address=address, container=collection, refers=(collection,), type=kind, **parameters)
