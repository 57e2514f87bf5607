"""Live -> resources, from the answers of GET. Pure: `session.py` asks, this reads.

A collection that our metadata marks as generation N of NAME stands under NAME, if it is the current one; every
other collection stands under its physical name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
from reconcile.stores.qdrant.settings import ANY, NAMED_IN_PLACE, Version
from reconcile.stores.qdrant.snapshots import restored_from


@dataclass(frozen=True)
class Naming:
    """Which logical name each physical collection has."""

    logical: Mapping[str, str]
    generation: Mapping[str, int]
    """Of current ones only."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Logical name -> its other generations, oldest first."""
    last: Mapping[str, int] = field(default_factory=dict)


def naming(infos: Mapping[str, Json], aliases: Mapping[str, str], whole: bool = True) -> Naming:
    """Choose the current generation of each versioned collection.

    It is the one the alias of the name points at; without one, the highest generation that is neither being filled nor
    retired, one with the expected physical name before a copy under another (a restored snapshot keeps the metadata).
    Where not the whole store is seen, one that is being filled or retired is never taken for it.
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
            ready = not wire.stage_of(physical, infos[physical]["config"])
            return (aliases.get(name) == physical, ready, physical == f"{name}__v{number}", number, physical)

        ordered = sorted(members, key=rank)
        current = ordered[-1]
        if whole or not wire.stage_of(current, infos[current]["config"]):
            logical[current] = name
            generation[current] = marked[current][1]
            ordered.pop()
        others[name] = tuple(sorted(ordered, key=lambda p: marked[p][1]))
        last[name] = max(marked[p][1] for p in members)
    return Naming(logical, generation, others, last)


def introspect(
    store: str,
    infos: Mapping[str, Json],
    aliases: Mapping[str, str],
    partial: Iterable[str] = (),
    version: Version = ANY,
) -> Live:
    """All collections, payload indexes and aliases.

    Args:
        infos: physical name -> `result` of GET /collections/NAME, without the tool's own collection; what is kept of
            removals is not looked at.
        aliases: alias -> physical name.
        partial: why not all can be seen.
        version: the server's.
    """
    partial, infos = tuple(partial), {name: info for name, info in infos.items() if not wire.kept(info["config"])}
    names = naming(infos, aliases, not partial)
    targets = set(aliases.values())
    filled = _filled(infos)
    pointed = {p: tuple(sorted(a for a, target in aliases.items() if target == p)) for p in targets}
    resources: list[Resource] = []
    unmodelled: list[NotModelled] = []
    for physical, info in sorted(infos.items()):
        name = names.logical[physical]
        address = collection_address(store, name)
        fields, unknown = wire.read_config(info["config"])
        if unknown:
            unmodelled.append(NotModelled(address, f"collection settings {', '.join(unknown)}"))
            continue
        spare = [p for p in names.others.get(name, ()) if p not in targets and _left_over(p, infos[p])]
        current = physical in names.generation
        fields |= _stage(store, physical, info["config"], current) | filled.get(physical, {})
        fields |= _restored(info["config"], infos)
        resources.append(
            Collection(
                address=address,
                physical=physical if physical != name else None,
                generation=names.generation.get(physical),
                leftovers=tuple(spare) if current else (),
                last_generation=names.last.get(name, 0) if current else 0,
                pointed=pointed.get(physical, ()) if fields.get("stage") == "retired" else (),
                names_in_place=version >= NAMED_IN_PLACE,
                shard_keys=_shard_keys(info),
                **fields,
            )
        )
        if (keys := _shard_keys(info)) is not None:
            unmodelled.append(_keyed(address, keys))
        for path, schema in sorted((info.get("payload_schema") or {}).items()):
            found = _payload_index(address, path, schema, version)
            if isinstance(found, NotModelled):
                unmodelled.append(found)
            else:
                resources.append(found)
    resources += (_alias(store, names, *pair) for pair in sorted(aliases.items()))
    return Live(State.of(resources), tuple(unmodelled), partial)


def _left_over(physical: str, info: Json) -> bool:
    """Whether it is empty and nothing of ours that is under way."""
    return not info.get("points_count") and not wire.stage_of(physical, info["config"])


def _alias(store: str, names: Naming, alias: str, physical: str) -> Alias:
    target = collection_address(store, names.logical.get(physical, physical))
    return Alias(
        address=alias_address(store, alias),
        collection=physical,
        container=target,
        refers=(target,),
        own=target.parts[-1] == alias,
    )


def _keyed(collection: Address, keys: Sequence[str]) -> NotModelled:
    """The shard keys of a collection, none of them where the server does not show them."""
    what = f"shard key{'s' * (len(keys) != 1)} {', '.join(keys)}" if keys else "shard keys, which are not shown"
    return NotModelled(Address(collection.store, "shard_keys", collection.parts), what, of=collection)


def _stage(store: str, physical: str, config: Mapping[str, Json], current: bool) -> dict[str, Json]:
    """What a generation is that is not, or not yet quite, the current one."""
    entry = wire.stage_of(physical, config)
    if not entry:
        return {}
    copy = entry.get("copy") or {}
    if current:
        return {"unfinished": copy.get("from")} if copy else {}
    return {
        "stage": "copying" if copy else "retired",
        "of": entry["name"],
        "container": collection_address(store, entry["name"]),
        "since": "" if copy else str(entry["retired"]),
    }


def _restored(config: Mapping[str, Json], infos: Mapping[str, Json]) -> dict[str, Json]:
    """Of a snapshot that was restored to be compared: whose it was."""
    source = restored_from(config)
    if source is None:
        return {}
    mark = wire.ours(infos[source]["config"]) if source in infos else None
    return {"stage": "restored", "of": mark[0] if mark is not None else source}


def _shard_keys(info: Mapping[str, Json]) -> tuple[str, ...] | None:
    """Of a collection with custom sharding, if it has any; () where the server does not show them."""
    keys = info.get("shard_keys", ())
    return () if keys is None else tuple(sorted(map(str, keys))) or None  # a set, in any order


def _filled(infos: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Physical name -> which generation is being filled from that collection: the newest, if there are several."""
    found: dict[str, dict[str, Json]] = {}
    for name, info in infos.items():
        copy = wire.stage_of(name, info["config"]).get("copy")
        if not copy:
            continue
        number = (wire.ours(info["config"]) or ("", 0))[1]
        fields = {"copying": name, "copying_generation": number, "copying_writes": copy.get("writes")}
        if number > found.get(str(copy.get("from")), {}).get("copying_generation", 0):
            found[str(copy.get("from"))] = fields
    return found


def _payload_index(
    collection: Address, path: str, schema: Mapping[str, Json], version: Version
) -> PayloadIndex | NotModelled:
    address = collection.child("payload_index", path)
    kind, parameters, unknown = wire.read_index(schema, version)
    if unknown:
        return NotModelled(address, f"payload index with {', '.join(unknown)}")
    return PayloadIndex(address=address, container=collection, refers=(collection,), type=kind, **parameters)
