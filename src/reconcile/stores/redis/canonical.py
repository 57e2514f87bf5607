"""The desired state as the server would spell it. Pure; what it needs to know of keys was asked before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconcile.model import Resource, State
from reconcile.stores.base import Canonical, Live, Receipt
from reconcile.stores.redis import values
from reconcile.stores.redis.resources import Parameter


def canonical(desired: State, live: Live) -> Canonical:
    """Values that the server spells otherwise in its spelling; twice gives the same as once."""
    receipts: list[Receipt] = []
    state = [_spelled(resource, live.state.get(resource.address), receipts) for resource in desired.values()]
    return Canonical(State.of(state), receipts=tuple(receipts), notes=tuple(_notes(state, live.state)))


def _notes(desired: Iterable[Resource], live: State) -> Iterator[str]:
    set_only = [r for r in desired if isinstance(r, Parameter) and not r.rewrite and r != live.get(r.address)]
    if set_only:
        store = set_only[0].address.store
        yield f"{store}: what CONFIG SET sets is gone with a restart of the server, unless `config_file: rewrite`"


def _spelled(wanted: Resource, found: Resource | None, receipts: list[Receipt]) -> Resource:
    if isinstance(wanted, Parameter) and isinstance(found, Parameter) and wanted.value != found.value:
        name = wanted.address.parts[0]
        if values.same(name, wanted.value, found.value):
            receipts.append(Receipt(wanted.address, "value", wanted.value, found.value, "text", wanted.source))
            return wanted.replace(value=found.value, declared=wanted.declared or wanted.attributes())
    return wanted
