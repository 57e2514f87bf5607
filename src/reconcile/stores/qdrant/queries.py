"""Whether the application's searches work with a state of the collections: the names they use are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconcile.expectations import Refused
from reconcile.model import Address, State
from reconcile.stores.asking import Ask, Foreseen
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex


def foreseen(ask: Ask, now: State, target: State) -> Foreseen:
    """Collection or alias, named vector, and the payload indexes of the filter's fields: those that are there now."""
    found = _collection(ask.text, target)
    if found is None:
        return _lacks(f"there will be no collection or alias {ask.text}", *_at(ask.text, now))
    using = str(ask.options.get("using") or "")
    vectors = {*(found.vectors or {}), *(found.sparse_vectors or {}), *([""] if found.vector else [])}
    if using not in vectors:
        named = f'vector "{using}"' if using else "unnamed vector"
        return _lacks(f"{ask.text} will have no {named}; it has {', '.join(sorted(vectors)) or 'none'}", found.address)
    before = _collection(ask.text, now)
    lost = [
        index.address
        for key in dict.fromkeys(_keys(ask.options.get("filter")))
        if before is not None and (index := _index(before, key, now)) is not None and not _index(found, key, target)
    ]
    if lost:
        fields = ", ".join(address.parts[-1] for address in lost)
        return _lacks(f"it filters by {fields}, whose payload index will not be there", *lost)
    return Foreseen()


def _lacks(what: str, *gone: Address) -> Foreseen:
    return Foreseen(Refused(("NotFound",), what), gone)


def _at(name: str, state: State) -> list[Address]:
    return [a for a in state if a.kind in ("collection", "alias") and a.parts[0] == name]


def _collection(name: str, state: State) -> Collection | None:
    for address in _at(name, state):
        found = state[address]
        if isinstance(found, Alias):
            found = state.get(found.target) or found
        if isinstance(found, Collection):
            return found
    return None


def _index(collection: Collection, key: str, state: State) -> PayloadIndex | None:
    found = state.get(Address(collection.address.store, "payload_index", (*collection.address.parts, key)))
    return found if isinstance(found, PayloadIndex) else None


def _keys(filter_: Any) -> Iterator[str]:
    """Every field that a filter names."""
    if isinstance(filter_, dict):
        if isinstance(filter_.get("key"), str):
            yield filter_["key"]
        for inner in filter_.values():
            yield from _keys(inner)
    elif isinstance(filter_, list):
        for inner in filter_:
            yield from _keys(inner)
