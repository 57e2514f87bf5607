"""Live -> YAML in the format's look: what differs from the server's shipped defaults, nothing that is derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconcile.change import Server
from reconcile.model import Address, Json
from reconcile.stores.base import Live, StoreSpec
from reconcile.stores.qdrant import options, settings, wire
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex, collection_address

FILE = "collections.yaml"
_DISTANCES = {word: str(name) for name, word in options.DISTANCES.items()}


def dump(live: Live, server: Server, spec: StoreSpec, only: Callable[[Address], bool]) -> Mapping[str, str]:
    """`collections.yaml`, or nothing where nothing is chosen. What is not modelled stands as comments on top."""
    from reconcile.yamldump import dump as to_yaml

    defaults = settings.shipped(settings.COLLECTION, server.numbers)
    collections: dict[str, Json] = {}
    aliases: dict[str, Json] = {}
    for address, resource in live.state.items():
        if not only(address):
            continue
        match resource:
            case Collection() if resource.stage:
                pass  # goes by itself, with a later plan
            case Collection():
                entry = collections.setdefault(address.parts[0], {})
                indexes = entry.pop("payload_indexes", None)
                entry.update(_collection(resource, defaults))
                if indexes:
                    entry["payload_indexes"] = indexes
            case PayloadIndex() if _passing(live, address):
                pass
            case PayloadIndex():
                entry = collections.setdefault(address.parts[0], {})
                entry.setdefault("payload_indexes", {})[resource.path] = _payload_index(resource)
            case Alias() if not (resource.own and _versioned(live, resource)):
                aliases[address.parts[-1]] = resource.target.parts[-1]
            case _:
                pass
    comments = [f"not modelled: {n.address}  {n.what}" for n in live.not_modelled if only(n.address)]
    if not (collections or aliases or comments):
        return {}
    document: dict[str, Json] = {"store": spec.name}
    if collections:
        document["collections"] = collections
    if aliases:
        document["aliases"] = aliases
    return {FILE: to_yaml(document, comments)}


def _passing(live: Live, index: Address) -> bool:
    """Whether its collection is a generation that is retired or being filled."""
    found = live.state.get(Address(index.store, "collection", index.parts[:1]))
    return isinstance(found, Collection) and bool(found.stage)


def _versioned(live: Live, alias: Alias) -> bool:
    target = live.state.get(collection_address(alias.address.store, alias.address.parts[-1]))
    return isinstance(target, Collection) and target.generation is not None


def _collection(found: Collection, defaults: Mapping[str, Json]) -> dict[str, Json]:
    entry: dict[str, Json] = {}
    if found.generation is None:
        entry["versioned"] = False
    if found.vector is not None:
        entry["vector"] = _vector(found.vector)
    if found.vectors is not None:
        entry["vectors"] = {name: _vector(v) for name, v in found.vectors.items()}
    if found.sparse_vectors:
        known = settings.shipped(settings.SPARSE, ())
        entry["sparse_vectors"] = {name: beyond(v, known) for name, v in found.sparse_vectors.items()}
    for key in settings.FIELDS:
        value = getattr(found, key)
        if value is None:
            continue
        match key:
            case "quantization":
                kept = _quantization(value)
            case "metadata":
                kept = value
            case _:
                kept = beyond(value, defaults.get(key))
        if kept not in ({}, None) and kept != defaults.get(key):
            entry[key] = kept
    return entry


def _vector(vector: Mapping[str, Json]) -> dict[str, Json]:
    entry: dict[str, Json] = {
        "dimensions": vector["size"],
        "distance": _DISTANCES.get(vector["distance"], vector["distance"]),
    }
    rest = {k: v for k, v in vector.items() if k not in ("size", "distance")}
    known = settings.shipped(settings.VECTOR, ())
    kept = beyond({**rest, "quantization": _quantization(rest.get("quantization", "none"))}, known)
    return {**entry, **(kept or {})}


def _quantization(value: Json) -> Json:
    if not isinstance(value, Mapping):
        return value
    return {
        variant: {k: v for k, v in keys.items() if settings.defaults(settings.QUANTIZATION[variant]).get(k) != v}
        for variant, keys in value.items()
    }


def _payload_index(index: PayloadIndex) -> Json:
    keys = {
        name: wire.shortened(name, value)
        for name, parameter in settings.INDEX[index.type].items()
        if (value := getattr(index, name)) is not None and value != parameter.absent
    }
    return {"type": index.type, **keys} if keys else index.type


def beyond(value: Json, default: Json) -> Json:
    """What of `value` is not in `default`, at every depth of mappings."""
    if isinstance(value, Mapping):
        base = default if isinstance(default, Mapping) else {}
        kept = {k: beyond(v, base.get(k)) for k, v in value.items() if v != base.get(k)}
        return {k: v for k, v in kept.items() if v is not None}
    return None if value == default else value
