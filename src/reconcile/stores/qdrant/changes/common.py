"""What the changes of several kinds share: physical names, requests, words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from reconcile.change import Http, World
from reconcile.model import Address, Json, State
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex
from reconcile.stores.qdrant.settings import COLLECTION

Path = tuple[str, ...]


def collection_of(state: State, address: Address | None) -> Collection | None:
    """The collection at `address`, if it is there."""
    found = state.get(address) if address is not None else None
    return found if isinstance(found, Collection) else None


def physical(world: World, address: Address | None) -> str:
    """The name that requests use for a collection: after the plan, else as it is live, else as written."""
    found = collection_of(world.target, address) or collection_of(world.live, address)
    if found is not None:
        return found.name
    return address.parts[-1] if address is not None else ""


def anew(world: World, address: Address | None) -> bool:
    """Whether this plan makes a collection at `address` that is not the live one: new, or another generation.

    Its own step then makes the payload indexes with it.
    """
    if address is None:
        return False
    before, after = collection_of(world.live, address), collection_of(world.target, address)
    return after is not None and (before is None or replaces(before, after))


def replaces(before: Collection, after: Collection) -> bool:
    """Whether `after` cannot be reached from `before` in place."""
    from reconcile.stores.qdrant.canonical import fixed_paths

    return any(fixed_paths(before, after))


def indexes_of(state: State, address: Address) -> list[PayloadIndex]:
    """The payload indexes of a collection, in order."""
    return [r for r in state.children(address) if isinstance(r, PayloadIndex)]


def aliases_of(state: State, address: Address) -> list[Alias]:
    """The aliases that point at a collection, in order."""
    return [r for r in state.values() if isinstance(r, Alias) and r.target == address]


def moved_aliases(world: World, address: Address) -> list[Alias]:
    """Live aliases of a collection that this plan points elsewhere: to be done before the collection goes."""
    return [
        alias
        for alias in aliases_of(world.live, address)
        if isinstance(after := world.target.get(alias.address), Alias) and after.target != address
    ]


def create_calls(collection: Collection, indexes: Sequence[PayloadIndex], copy: Json = None) -> list[Http]:
    """PUT of a collection with its payload indexes, each read back. `copy`: see `wire.create_body`."""
    name = collection.name
    path = wire.collection_path(name)
    body = wire.create_body(collection, copy)
    calls = [Http("PUT", path, body, path, wire.created(body))]
    late = {
        s.path[-1]: value for s in COLLECTION if s.put is None and (value := s.of(collection.settings())) is not None
    }
    if late:  # PUT drops these
        calls.append(patch(name, {"params": late}))
    return [*calls, *(index_call(name, index) for index in indexes)]


def patch(name: str, body: Mapping[str, Json], expect: Json = None) -> Http:
    """One PATCH of one group of settings: several in one would not be atomic.

    `expect`: what GET has to show of `config`, where the rows of a collection do not say it.
    """
    path = wire.collection_path(name)
    shown = wire.expected(COLLECTION, body, patched=True) if expect is None else expect
    return Http("PATCH", path, dict(body), path, {"config": shown})


def index_call(name: str, index: PayloadIndex) -> Http:
    """PUT of a payload index. Without `timeout`, which 1.16 cannot read here; the session keeps the time."""
    body = wire.index_body(index)
    schema = body["field_schema"]
    params = {k: v for k, v in schema.items() if k != "type"}
    shown = {"data_type": index.type, **({"params": params} if params else {})}
    expect = {"payload_schema": {index.path: shown}}
    return Http("PUT", wire.collection_path(name, "/index?wait=true"), body, wire.collection_path(name), expect)


def alias_call(targets: Mapping[str, str]) -> Http:
    """Point aliases (alias -> physical name), re-pointing those that exist: each is one atomic action."""
    actions = [{"create_alias": {"collection_name": c, "alias_name": a}} for a, c in targets.items()]
    shown = [{"alias_name": a, "collection_name": c} for a, c in targets.items()]
    return Http("POST", "/collections/aliases", {"actions": actions}, "/aliases", {"aliases": shown})


def drop_call(name: str) -> Http:
    """DELETE by physical name; through an alias the server would answer false and do nothing."""
    return Http(
        "DELETE",
        wire.collection_path(name),
        read=wire.collection_path(name, "/exists"),
        expect={"exists": False},
    )


def differences(before: Json, after: Json, path: Path = ()) -> Iterator[tuple[Path, Json, Json]]:
    """Where two attribute trees differ: (path, old, new); another quantization variant counts as one."""
    mappings = isinstance(before, Mapping) and isinstance(after, Mapping)
    if mappings and not (path[-1:] == ("quantization",) and set(before) != set(after)):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), (*path, key))
    elif before != after:
        yield path, before, after


def shown(value: Json) -> str:
    """A value for people: "scalar int8", "16", "true", "unset".

    >>> shown({"scalar": {"type": "int8", "always_ram": False}}), shown(None), shown(True)
    ('scalar int8', 'unset', 'true')
    """
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        if len(value) == 1 and isinstance(inner := next(iter(value.values())), Mapping):
            detail = " ".join(str(v) for v in inner.values() if isinstance(v, str) and v != "default")
            return f"{next(iter(value))} {detail}".strip()
        return ", ".join(f"{k} {shown(v)}" for k, v in value.items())
    return str(value)


def quoted_field(path: str) -> str:
    """A payload field in the path of a URL."""
    return quote(path, safe="")
