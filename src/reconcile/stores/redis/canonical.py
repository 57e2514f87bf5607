"""The desired state as the server would spell it. Pure but for the one question it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from reconcile.model import Resource, State
from reconcile.stores.base import Canonical, Live, Receipt
from reconcile.stores.redis import values
from reconcile.stores.redis.families import Families
from reconcile.stores.redis.patterns import Pattern
from reconcile.stores.redis.resources import Family, Parameter, RenamedFamily
from reconcile.stores.redis.sampling import Sample
from reconcile.stores.redis.verify import strange

AnyLeft = Callable[[Pattern], bool | None]
"""Whether there is a key of a pattern; None where it could not be found out in time."""


def canonical(desired: State, live: Live, any_left: AnyLeft, sample: Sample | None = None) -> Canonical:
    """Values that the server spells otherwise in its spelling; twice gives the same as once.

    A family whose keys are under old names, all or some, becomes one that is to be renamed.
    """
    receipts: list[Receipt] = []
    notes: list[str] = []
    state = []
    for resource in desired.values():
        if isinstance(resource, Family) and resource.old is not None:
            state.append(_renamed(resource, any_left, notes))
        else:
            state.append(_spelled(resource, live.state.get(resource.address), receipts))
    notes += _restarts(state, live.state)
    if sample is not None:
        notes += _strangers(state, sample)
    return Canonical(State.of(state), receipts=tuple(receipts), notes=tuple(notes))


def _spelled(wanted: Resource, found: Resource | None, receipts: list[Receipt]) -> Resource:
    if isinstance(wanted, Parameter) and isinstance(found, Parameter) and wanted.value != found.value:
        name = wanted.address.parts[0]
        if values.same(name, wanted.value, found.value):
            receipts.append(Receipt(wanted.address, "value", wanted.value, found.value, "text", wanted.source))
            return wanted.replace(value=found.value, declared=wanted.declared or wanted.attributes())
    return wanted


def _renamed(family: Family, any_left: AnyLeft, notes: list[str]) -> Resource:
    old = str(family.old)
    left = any_left(Pattern(old))
    if left is False:
        notes.append(
            f"{family.source}: renamed_from of {family.address} is done: no key is of {old};"
            " delete it once every environment has it"
        )
        return family
    if left is None:
        notes.append(
            f"{family.source}: whether keys are of {old} was not found out in time, so that renaming them is planned:"
            " raise `sample: {seconds: …}` of the store, or delete renamed_from"
        )
    return RenamedFamily(**vars(family))


def _restarts(state: Iterable[Resource], live: State) -> Iterator[str]:
    set_only = [r for r in state if isinstance(r, Parameter) and not r.rewrite and r != live.get(r.address)]
    if set_only:
        store = set_only[0].address.store
        yield f"{store}: what CONFIG SET sets is gone with a restart of the server, unless `config_file: rewrite`"


def _strangers(state: Iterable[Resource], sample: Sample) -> Iterator[str]:
    """Keys of no family, where families are declared; those under old names are of theirs."""
    families = [r for r in state if isinstance(r, Family)]
    if not families:
        return
    old = [family.replace(pattern=family.old) for family in families if family.old is not None]
    found = strange(sample, Families([*families, *old]))
    if count := sum(p.count for p in found):
        store = families[0].address.store
        few = ", ".join(p.pattern for p in found[:3]) + (", …" if len(found) > 3 else "")
        looked = f"{count} of {len(sample.keys)} keys"
        if not sample.whole:
            looked += f" that were looked at (there are {sample.of})"
        yield f"{store}: {looked} are of no family: {few}; reconcile verify names them"
