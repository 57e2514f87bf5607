"""What abandoned runs built beside other objects, where only the ledger can tell that it was them. Pure.

An object that is built beside another to replace it has a name like any other. A run that is abandoned after that
leaves it behind; so the run's end is the moment to note whose it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from reconcile.change import Step
from reconcile.facts import Verb
from reconcile.model import Address, Json, Resource, State, declared_only
from reconcile.plan import Plan
from reconcile.stores.base import Live

_KEY = "left "
"""Before the address, in what the ledger knows."""


def left_behind(plan: Plan, journal: Mapping[str, str]) -> dict[str, Json]:
    """Of a run that is given up: what it began to build beside other objects, as entries for the ledger.

    Args:
        journal: of that run.
    """
    by_change: dict[Address, list[Step]] = {}
    for step in plan.steps:
        by_change.setdefault(Address.parse(step.id.rpartition("/")[0]), []).append(step)
    found: dict[str, Json] = {}
    for change in plan.resource_changes:
        own = by_change.get(change.address, [])
        replaced = [a for a in _removed(own) if a.kind == change.address.kind]
        made = [s.address for s in own if s.id in journal and s.address in s.debris]
        for address in made if change.after and replaced else ():
            if address.kind == change.address.kind and address not in (change.address, *replaced):
                entry = {"for": change.address.parts[-1], "beside": str(replaced[0]), "is": change.after}
                found[f"{_KEY}{address}"] = entry
    return found


def _removed(steps: Iterable[Step]) -> Iterator[Address]:
    for step in steps:
        yield from (Address.parse(fact.subject) for fact in step.gives if fact.verb is Verb.NO)


def marked(live: Live, known: Mapping[str, Json]) -> Live:
    """`live` with what abandoned runs left behind marked as such (`Resource.left_for`).

    Not what has changed since, nor what stands alone or under whose name a declared object was applied meanwhile: that
    is the object itself. Kinds that tell their leftovers by themselves are left to that.
    """
    entries = {key: value for key, value in known.items() if key.startswith(_KEY) and value is not None}
    if not entries:
        return live
    homes = set(live.homes.values())
    helpers: list[Resource] = []
    for key, entry in entries.items():
        resource = live.state.get(Address.parse(key.removeprefix(_KEY)))
        if resource is None or resource.address in homes or Address.parse(entry["beside"]) not in live.state:
            continue
        if type(resource).leftover_of is Resource.leftover_of and _alike(resource.attributes(), entry["is"]):
            helpers.append(resource.replace(left_for=entry["for"]))
    return replace(live, state=live.state.add(*helpers)) if helpers else live


def _alike(live: Mapping[str, Json], built: Mapping[str, Json]) -> bool:
    """Whether it is what the run was to build, in whatever order and ready or not."""
    return all(_plain(declared_only(live.get(key), value)) == _plain(value) for key, value in built.items())


def _plain(value: Json) -> Json:
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value


def settled(known: Mapping[str, Json], states: Mapping[str, State]) -> dict[str, Json]:
    """Entries of what is not left behind any more, without their content: to be forgotten."""
    gone: dict[str, Json] = {}
    for key, value in known.items():
        if not key.startswith(_KEY) or value is None:
            continue
        address = Address.parse(key.removeprefix(_KEY))
        resource = states.get(address.store, State()).get(address)
        if resource is None or resource.left_for is None:
            gone[key] = None
    return gone
