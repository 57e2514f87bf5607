"""Data that a plan keeps when what holds it goes: what the ledger knows of it, and that nothing else sees it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from reconcile.change import Step
from reconcile.model import Address, Json, Resource

if TYPE_CHECKING:
    from reconcile.plan import Plan
    from reconcile.stores.base import Live

_PREFIX = "kept "
"""Before the store and the name, in what the ledger knows."""


@dataclass(frozen=True)
class Kept:
    """A table, column or collection that went, and its data."""

    address: str
    name: str
    """In its store."""
    run: str
    since: float
    """UTC seconds since 1970."""
    describe: str
    rows: int | None = None
    bytes: int | None = None
    backfill: str = ""
    """The backfill that emptied what it was."""


def key(store: str, name: str) -> str:
    """What the ledger knows something by that a store keeps under a name."""
    return f"{_PREFIX}{store} {name}"


def read(known: Mapping[str, Json]) -> dict[str, Kept]:
    """What is kept, by its key in the ledger."""
    return {k: Kept(**v) for k, v in known.items() if k.startswith(_PREFIX) and v is not None}


def names(known: Mapping[str, Json], store: str) -> frozenset[str]:
    """The names of what a store keeps."""
    return frozenset(row.name for row in read(known).values() if row.address.startswith(f"{store}."))


def entries(plan: Plan, run: str, now: float) -> dict[str, Json]:
    """For the ledger, before a plan is carried out: what it will keep."""
    changes = {c.address: c for c in plan.resource_changes}
    found = {}
    for step in plan.steps:
        if step.keeps is not None:
            change, cost = changes.get(step.address), plan.observed.get("costs", {}).get(step.id, {})
            size = cost.get("rows", cost.get("points"))
            describe = change.describe if change is not None else ""
            row = Kept(str(step.address), step.keeps, run, now, describe, size, cost.get("bytes"))
            found[key(step.address.store, step.keeps)] = asdict(row)
    return found


def not_kept(steps: Iterable[Step], journal: Mapping[str, str]) -> dict[str, Json]:
    """For the ledger, of a run that is given up: what it never came to."""
    return {key(s.address.store, s.keeps): None for s in steps if s.keeps is not None and s.id not in journal}


def over(store: str, kept: Iterable[str]) -> dict[str, Json]:
    """For the ledger: these names are kept no more."""
    return {key(store, name): None for name in kept}


def where(row: Kept) -> Address:
    """What it was."""
    return Address.parse(row.address)


def purged_at(row: Kept) -> Address:
    """What it is in a plan that deletes it."""
    was = where(row)
    own = row.backfill == row.address  # of a backfill, rows of several kinds
    return Address(was.store, "kept", (was.kind, f"{was.parts[-1]} {row.name}" if own else row.name))


def purged(plan: Plan) -> dict[str, Json]:
    """For the ledger: what a plan has deleted of what was kept."""
    gone = [c.address for c in plan.resource_changes if c.address.kind == "kept"]
    return {k: v for a in gone for k, v in over(a.store, [a.parts[-1]]).items()}


def unseen(live: Live, store: str, known: Mapping[str, Json]) -> Live:
    """What a store holds but for what it keeps, which is the tool's own."""
    rows = [r for r in read(known).values() if r.address.startswith(f"{store}.")]
    if not rows:
        return live
    hidden = set()
    for row in rows:
        address = Address.parse(row.address)
        if row.name == address.parts[-1]:
            continue  # a store that has no other name for it tells by itself that it is kept
        hidden.add(Address(address.store, address.kind, (*address.parts[:-1], row.name)))

    def stays(resource: Resource) -> bool:
        return hidden.isdisjoint((resource.address, resource.container, *resource.falls_with))

    return replace(live, state=live.state.filter(stays))
