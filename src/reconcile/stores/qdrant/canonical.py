"""Desired state in the server's spelling: unset keys filled from the live resource, physical names decided.

An unset key means *left as the server has it*, so it can never differ. Nothing is asked of the server.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Iterator, Mapping
from typing import Any

from reconcile.errors import Problem
from reconcile.model import Address, Json, Resource, State
from reconcile.stores.base import Canonical, Live, Receipt
from reconcile.stores.qdrant import settings
from reconcile.stores.qdrant.readback import same
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex
from reconcile.stores.qdrant.settings import Path, Setting


def canonical(desired: State, live: Live, taken: Names[str] = ()) -> Canonical:
    """Fill and name; twice gives the same as once.

    Args:
        taken: physical names in use, those that are ignored included: a new generation avoids them.
    """
    state: dict[Address, Resource] = {}
    receipts: list[Receipt] = []
    problems: list[Problem] = []
    for resource in desired.of_kind("collection"):
        assert isinstance(resource, Collection)
        made = _collection(resource, live.state, taken, receipts)
        problems += _unsharded(made, live.state.get(resource.address))
        state[resource.address] = made
    for resource in desired.values():
        match resource:
            case PayloadIndex():
                state[resource.address] = _payload_index(resource, live.state.get(resource.address), receipts)
            case Alias():
                target = state.get(resource.target) or live.state.get(resource.target)
                if resource.own and isinstance(target, Collection) and target.generation is None:
                    continue  # a plain collection carries its name itself
                if target is None:
                    state[resource.address] = resource
                    continue
                declared = resource.declared or {"collection": resource.target.parts[-1]}
                state[resource.address] = resource.replace(collection=target.name, declared=declared)
    ordered = {a: state[a] for a in desired if a in state}
    notes = tuple(_notes(desired, live.state))
    return Canonical(State(ordered), problems=tuple(problems), receipts=tuple(receipts), notes=notes)


def _unsharded(wanted: Collection, found: Resource | None) -> Iterator[Problem]:
    """A new generation has no shard keys, and a copy would have to know which one each point is written with."""
    if not isinstance(found, Collection) or not any(fixed_paths(found, wanted)):
        return
    hint = "take the change back, or make and fill a collection of another name with your own means"
    if wanted.on_change == "copy" and "custom" in (wanted.sharding_method, found.sharding_method):
        yield Problem(
            f"{wanted.address}: points of a collection with custom sharding are not copied: each would need its shard"
            " key, and the new generation its keys",
            where=wanted.source,
            hint=hint,
        )
    elif found.shard_keys is not None:
        keys = f"keys {', '.join(found.shard_keys)} are" if found.shard_keys else "keys are"
        yield Problem(
            f"{wanted.address}: its shard {keys} the application's, and a collection made anew would have none: whoever"
            " writes to it would be refused",
            where=wanted.source,
            hint=hint,
        )


def _notes(desired: State, live: State) -> Iterator[str]:
    """Retired generations that stay."""
    for found in live.of_kind("collection"):
        if isinstance(found, Collection) and found.stage == "retired" and found.container is not None:
            current = desired.get(found.container)
            if not isinstance(current, Collection):
                continue
            what = f"{found.address}: retired generation of {found.of} since {found.since}, kept"
            if current.retired == "keep":
                yield f"{what} (`retired: keep`)"
            elif found.pointed:
                yield (
                    f"{what}: alias {', '.join(found.pointed)} points at it; declare it for the collection that it"
                    " belongs to, or delete it"
                )


def _collection(wanted: Collection, live: State, taken: Names[str], receipts: list[Receipt]) -> Collection:
    name, found = wanted.address.parts[-1], live.get(wanted.address)
    # What the YAML says is kept, since the filled form no longer shows it; generation and name follow from live.
    declared = wanted.declared
    if declared is None:
        declared = {k: v for k, v in wanted.attributes().items() if k != "generation"}
    if not isinstance(found, Collection):
        plain = wanted.versioned is False
        generation = None if plain else 1
        while generation is not None and f"{name}__v{generation}" in taken:
            generation += 1  # somebody else's collection: recognised by metadata, never by name
        return wanted.replace(generation=generation, physical=_physical(name, generation), declared=declared)
    filled = _fill(wanted, found, receipts).replace(names_in_place=found.names_in_place)
    plain = wanted.versioned is False or (wanted.versioned is None and found.generation is None)
    generation, physical = found.generation, found.physical
    becomes_plain = plain and found.generation is not None
    anew = any(fixed_paths(found, filled.replace(generation=None if plain else generation or 1)))
    if becomes_plain:
        generation = physical = None
    elif not plain and anew:
        generation = _next(wanted, filled, found, live, taken)
        physical = _physical(name, generation)
    return filled.replace(generation=generation, physical=physical, declared=declared)


def _next(wanted: Collection, filled: Collection, found: Collection, live: State, taken: Names[str]) -> int:
    """The number of the next generation: of one that is being filled for this very purpose, or a new one."""
    begun = live.get(Address(wanted.address.store, "collection", (found.copying or "",)))
    if isinstance(begun, Collection) and wanted.on_change == "copy" and found.copying_writes == wanted.writes:
        asked = _fill(filled, begun, []).replace(generation=None)
        if begun.attributes() == asked.attributes():
            return found.copying_generation
    number = found.last_generation + 1
    while f"{wanted.address.parts[-1]}__v{number}" in taken:
        number += 1
    return number


def _physical(name: str, generation: int | None) -> str | None:
    return None if generation is None else f"{name}__v{generation}"


def _fill(wanted: Collection, found: Collection, receipts: list[Receipt]) -> Collection:
    fields: dict[str, Any] = {}
    unset: list[str] = []
    for key in settings.SECTIONS:
        fields[key] = _section(getattr(wanted, key), getattr(found, key))
    for key in settings.SCALARS:
        fields[key] = _either(getattr(wanted, key), getattr(found, key))
    if wanted.metadata or found.metadata:
        there = found.metadata or {}
        both = {**there, **(wanted.metadata or {})}  # PATCH replaces a key whole; null takes it away, if it is there
        fields["metadata"] = {k: v for k, v in both.items() if v is not None or k in there} or None
    fields["quantization"] = _quantization(wanted.quantization, found.quantization)
    if wanted.vector is None and wanted.vectors is None:
        fields |= {"vector": found.vector, "vectors": found.vectors}
    elif wanted.vector is not None:
        fields["vector"] = _vector(wanted.vector, found.vector)
    else:
        live = found.vectors or {}
        fields["vectors"] = {n: _vector(v, live.get(n)) for n, v in (wanted.vectors or {}).items()}
        if not (fields["vectors"] or found.all_vectors):
            fields["vectors"] = None  # none wanted and none there
    if not wanted.sparse_vectors and not (wanted.sparse_vectors == {} and found.sparse_vectors):
        fields["sparse_vectors"] = found.sparse_vectors  # unset; or none wanted and none there
    else:
        live_sparse = found.sparse_vectors or {}
        fields["sparse_vectors"] = {
            n: merge(v, live_sparse.get(n, settings.defaults(settings.SPARSE)))
            for n, v in (wanted.sparse_vectors or {}).items()
        }
    for key, value in fields.items():
        if getattr(wanted, key) is None and value is not None:
            unset.append(key)
    if unset:
        receipts.append(Receipt(wanted.address, ", ".join(unset), "(not set)", "left as the server has it", "unset"))
    return wanted.replace(**fields)


def _vector(wanted: Mapping[str, Json], found: Mapping[str, Json] | None) -> dict[str, Json]:
    if found is None:
        return dict(wanted)
    result = {**found, **wanted}
    if "hnsw" in found or "hnsw" in wanted:
        result["hnsw"] = merge(wanted.get("hnsw"), found.get("hnsw"))
    if "quantization" in found or "quantization" in wanted:
        result["quantization"] = _quantization(wanted.get("quantization"), found.get("quantization"))
    return result


def _quantization(wanted: Json, found: Json) -> Json:
    """Another variant replaces the live one whole; the same one is filled key by key."""
    if wanted is None:
        return found
    if wanted == "none" or not isinstance(found, Mapping) or set(wanted) != set(found):
        if isinstance(wanted, Mapping):
            return {v: {**settings.defaults(settings.QUANTIZATION[v]), **keys} for v, keys in wanted.items()}
        return wanted
    return merge(wanted, found)


def _section(wanted: Mapping[str, Json] | None, found: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    """Settings by name: those that are set override, each whole, since PATCH replaces a map of limits whole."""
    if wanted is None or found is None:
        return found if wanted is None else wanted
    return {**found, **{k: found[k] if k in found and same(v, found[k]) else v for k, v in wanted.items()}}


def merge(wanted: Json, found: Json) -> Json:
    """`found` overridden by `wanted`, key by key at every depth; a number the server keeps shorter is its own."""
    if wanted is None:
        return found
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return dict(wanted)
        return {k: merge(wanted.get(k), found.get(k)) for k in [*found, *(k for k in wanted if k not in found)]}
    return found if found is not None and same(wanted, found) else wanted


def _either(wanted: Json, found: Json) -> Json:
    return found if wanted is None else wanted


def _payload_index(wanted: PayloadIndex, found: Resource | None, receipts: list[Receipt]) -> PayloadIndex:
    declared = wanted.declared if wanted.declared is not None else wanted.attributes()
    if not isinstance(found, PayloadIndex) or found.type != wanted.type:
        return wanted.replace(declared=declared)
    keys = [k for k in settings.INDEX[wanted.type] if getattr(wanted, k) is None]
    filled = {k: getattr(found, k) for k in keys if getattr(found, k) is not None}
    if filled:
        receipts.append(Receipt(wanted.address, ", ".join(filled), "(not set)", "left as the server has it", "unset"))
    return wanted.replace(**filled, declared=declared)


def fixed_paths(before: Collection, after: Collection) -> Iterator[Path]:
    """What differs that no PATCH can change (the server answers 200 and ignores it): needs a new collection."""
    if (before.generation is None) != (after.generation is None):
        yield ("versioned",)
    in_place = before.names_in_place or after.names_in_place
    for name in sorted({*before.all_vectors, *after.all_vectors}):
        old, new = before.all_vectors.get(name), after.all_vectors.get(name)
        where = ("vectors", name) if name else ("vector",)
        if old is not None and new is not None:
            yield from _fixed(settings.VECTOR, old, new, where)
        elif not (name and in_place):
            yield where
    was, now = before.sparse_vectors or {}, after.sparse_vectors or {}
    for name in sorted({*was, *now}):
        where = ("sparse_vectors", name)
        if name in was and name in now:
            yield from _fixed(settings.SPARSE, was[name], now[name], where)
        elif not (name and in_place):
            yield where
    yield from _fixed(settings.COLLECTION, before.settings(), after.settings())


def _fixed(
    rows: tuple[Setting, ...], old: Mapping[str, Json], new: Mapping[str, Json], where: Path = ()
) -> Iterator[Path]:
    for row in rows:
        if not row.in_place and _meant(row, old) != _meant(row, new):
            yield (*where, *row.path)


def _meant(row: Setting, values: Mapping[str, Json]) -> Json:
    found = row.of(values)
    return row.absent if found is None else found
