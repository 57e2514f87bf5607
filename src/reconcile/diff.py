"""Desired against live: match by address, then by definition; who owns the rest; what changes.

Works on one store at a time and asks its package for identity and changes; never looks into a resource.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile.change import Change
from reconcile.errors import PlanError
from reconcile.looking import Classify
from reconcile.model import Address, Json, Resource, State
from reconcile.narrow import Options, select
from reconcile.policy import Policy
from reconcile.stores.base import Live, Package

if TYPE_CHECKING:
    from reconcile.ledger_rows import Applied

__all__ = ["Difference", "Options", "diff"]


@dataclass(frozen=True)
class Difference:
    """What `diff` found in one store."""

    changes: tuple[Change, ...]
    live: State
    """Live resources in scope, those matched by definition under their declared address."""
    raw: Mapping[Address, Address]
    """Where an address of `live` stands in the store itself, if elsewhere (matched by definition, renamed)."""
    removed: frozenset[Address] = frozenset()
    """Applied before and no longer declared, with what is nested in them."""
    equal: tuple[Address, ...] = ()
    """Declared and live alike: what an apply records."""
    extra: tuple[Resource, ...] = ()
    unmanaged: tuple[Resource, ...] = ()
    unknown: tuple[Address, ...] = ()
    """Declared, not seen, in a store that cannot be seen whole."""
    kept: tuple[Address, ...] = ()
    """Drift left alone under `on_drift: keep`."""
    notes: tuple[str, ...] = ()
    complete: bool = True
    found: tuple[Change, ...] = ()
    """All changes there are; `changes` are those that were asked for."""
    seen: State | None = None
    """The store as it was read, under its own addresses and texts; None where that is `live`."""
    rolled: tuple[Address, ...] = ()
    """Changes left out since a rollback put their addresses back, with those that need them."""
    desired: State = field(default_factory=State)
    """What is declared, with its own words (`Resource.declared`) beside the server's."""

    def fingerprinted(self, address: Address) -> Resource | None:
        """What stands in the store where `address` of `live` is: what a later reading is compared with."""
        return self.live.get(address) if self.seen is None else self.seen.get(self.raw.get(address, address))


def diff(
    desired: State,
    live: Live,
    applied: Mapping[Address, Applied],
    package: Package,
    policy: Policy,
    classify: Classify,
    options: Options,
    same: Set[Address] = frozenset(),
) -> Difference:
    """The changes that turn `live` into `desired`, and what is left alone.

    Args:
        desired: one store's resources in the server's spelling.
        live: what introspection saw, already in `scope`.
        applied: the ledger's rows for this store; decides only which undeclared objects count as removed.
        same: addresses where the two are known to be equal.

    Raises:
        PlanError: a declared object is live in a form this version cannot describe, or a rename is ambiguous.
    """
    _refuse_not_modelled(desired, live, options)
    state, renames, notes = _renames(desired, live.state, package)
    state, matched = _match(desired, state, live.homes)
    raw = raw_addresses(renames, live.state, state, matched)
    compared = _compare(desired, state, live, applied, package, policy, same if state is live.state else frozenset())
    changes: list[Change] = [*(change for change, _, _ in renames), *compared.changes]
    removed, extra, unmanaged = _ownership(desired, state, _followed(applied, desired), classify)
    taken = {address for change in changes for address in change.takes(state)}
    removed, extra, unmanaged = ([r for r in found if r.address not in taken] for found in (removed, extra, unmanaged))
    helpers = [*extra, *(r for r in unmanaged if r.left_for is not None or _becomes(r) in desired)]
    leftovers = _leftovers(helpers, changes)
    extra = [r for r in extra if r.leftover_of is None]
    unmanaged = [r for r in unmanaged if r not in leftovers]
    doomed = [] if live.partial else [*removed, *leftovers]
    doomed += extra if options.prune in ("extra", "all") else []
    doomed += [*unmanaged, *_undeclared(state, desired, classify)] if options.prune == "all" else []
    changes += _drops(doomed, state, desired, package)
    selected = select(changes, options)
    return Difference(
        tuple(selected),
        state,
        raw,
        frozenset(r.address for r in removed),
        tuple(compared.equal),
        tuple(r for r in extra if options.prune == "none"),
        tuple(r for r in unmanaged if options.prune != "all"),
        tuple(compared.unknown),
        tuple(compared.kept),
        tuple(notes),
        len(selected) == len(changes) and not (options.only or options.exclude),
        tuple(changes),
        live.state,
        desired=desired,
    )


@dataclass
class _Compared:
    """What came of comparing every declared object with its live one."""

    changes: list[Change] = field(default_factory=list)
    equal: list[Address] = field(default_factory=list)
    unknown: list[Address] = field(default_factory=list)
    kept: list[Address] = field(default_factory=list)


def _compare(
    desired: State,
    state: State,
    live: Live,
    applied: Mapping[Address, Applied],
    package: Package,
    policy: Policy,
    same: Set[Address],
) -> _Compared:
    found, there = _Compared(), state.resources
    for address, after in desired.items():
        if address in same:
            found.equal.append(address)
            continue
        if after.only_verified:
            continue
        before = there.get(address)
        if before is None and live.partial:
            found.unknown.append(address)
            continue
        if before is None and policy.on_drift == "keep" and address in applied:
            found.kept.append(address)
            continue
        if before is not None and before.live_name and policy.names == "enforce":
            found.changes.append(package.rename(before, after))
            before = before.replace(live_name=None)
        if before is not None and policy.on_drift == "keep" and address in applied:
            after, left = _keep_drift(before, after, applied[address].canonical)
            found.kept += [address] if left else []
        if before is not None:
            after = after.with_names_of(before) if policy.names == "accept" else after.under_its_name()
        change = package.change(before, after)
        if change is not None:
            found.changes.append(change)
        elif before is not None and not (before.live_name and policy.names == "enforce"):
            found.equal.append(address)
    return found


def _refuse_not_modelled(desired: State, live: Live, options: Options) -> None:
    lines = [
        f"{desired[n.address].source}: {n.address} exists as something this version does not model: {n.what}"
        for n in live.not_modelled
        if n.address in desired
    ]
    if lines:
        raise PlanError("\n".join(lines), hint="take it out of the YAML, or list it under the store's `ignore:`")
    staying = [n for n in live.not_modelled if n.of is None or n.of in desired]
    if options.prune == "all" and staying:
        names = "\n".join(f"  {n.address}  {n.what}" for n in staying)
        raise PlanError(
            f"--prune cannot remove what this version does not model:\n{names}",
            hint="drop them by hand, list them under the store's `ignore:`, or use --prune=extra",
        )


def _renames(
    desired: State, live: State, package: Package
) -> tuple[State, list[tuple[Change, Address, Address]], list[str]]:
    """Apply `renamed_from`, containers first, so that what they contain is found under its new address."""
    renames: list[tuple[Change, Address, Address]] = []
    notes, problems = [], []
    for old, new, resource in _declared_renames(desired):
        begun = new in live and live[new].leftover_of is not None
        if old in live and ((new in live and not begun) or old in desired):
            problems.append(f"{resource.source}: renamed_from: both {old} and {new} exist")
        elif old in live:
            change, live = package.renamed(live, old, resource)
            renames.append((change, old, new))
        elif new in live:
            notes.append(f"{resource.source}: renamed_from of {new} is done; delete it once every environment has it")
    if problems:
        raise PlanError("\n".join(problems), hint="remove renamed_from, or drop the one that is not wanted")
    plain = Resource.renames_parts_of
    for address, resource in desired.items():
        if type(resource).renames_parts_of is plain or address not in live:
            continue
        if resource.renames_parts_of(live[address]):
            change, live = package.renamed(live, address, resource)
            renames.append((change, address, address))
    return live, renames, notes


def _declared_renames(desired: State) -> list[tuple[Address, Address, Resource]]:
    """(old, new, resource) of every `renamed_from`, containers first."""
    found = [(r.address, r, name) for r in desired.values() if (name := vars(r).get("renamed_from")) is not None]
    return [
        (Address(new.store, new.kind, (*new.parts[:-1], name)), new, resource)
        for new, resource, name in sorted(found, key=lambda entry: len(entry[0].parts))
    ]


def _match(desired: State, live: State, homes: Mapping[Address, Address]) -> tuple[State, dict[Address, Address]]:
    """Re-address unmatched live objects that have the definition of an unmatched declared one.

    Of several, one that is as declared, then the one it stood in before (`Live.homes`), then the first.
    """
    candidates: dict[object, list[Resource]] = defaultdict(list)
    for resource in _without(live, desired):
        if resource.leftover_of is None and (key := _definition(resource)) is not None:
            candidates[key].append(resource)
    matched: dict[Address, Address] = {}
    for resource in _without(desired, live):
        if (key := _definition(resource)) is None:
            continue
        there = candidates.get(key, [])
        if not there:
            continue
        best = there[0] if len(there) == 1 else min(there, key=_nearness(resource, homes))
        matched[best.address] = resource.address
        there.remove(best)
    if not matched:
        return live, matched
    return State.of(
        r.replace(address=matched[r.address], live_name=r.name) if r.address in matched else r for r in live.values()
    ), matched


def _nearness(wanted: Resource, homes: Mapping[Address, Address]) -> Callable[[Resource], tuple[bool, bool, Address]]:
    home = homes.get(wanted.address)
    return lambda r: (r.replace(address=wanted.address) != wanted, r.address != home, r.address)


def _without(state: State, other: State) -> list[Resource]:
    """What of `state` has no counterpart in `other`, in order."""
    there = other.resources
    return [r for a, r in state.resources.items() if a not in there]


def _definition(resource: Resource) -> object:
    definition = resource.definition()
    return None if definition is None else (resource.address.kind, resource.container, definition)


def raw_addresses(
    renames: Iterable[tuple[Change, Address, Address]],
    before: State,
    state: State,
    matched: Mapping[Address, Address],
) -> dict[Address, Address]:
    """Where an address of `state` stands in `before`, if elsewhere.

    Args:
        renames: (change, old, new) that lead from `before` to `state`.
        matched: what has another address in `state` by its definition.
    """
    back = {new: old for old, new in matched.items()}
    if not renames:
        return back
    raw = {}
    for address in state:
        was = back.get(address, address)
        for _, old, new in reversed(list(renames)):
            was = moved(was, new, old)
        if was != address and was in before:
            raw[address] = was
    return raw


def moved(address: Address, old: Address, new: Address) -> Address:
    """`address` where `old`, or what contains it, is called `new`."""
    if address == old:
        return new
    inside = len(address.parts) > len(old.parts) and address.parts[: len(old.parts)] == old.parts
    return Address(address.store, address.kind, (*new.parts, *address.parts[len(old.parts) :])) if inside else address


def _followed(applied: Mapping[Address, Applied], desired: State) -> Set[Address]:
    """Applied addresses, where they stood in the store, and what they are called after every declared rename."""
    renames = _declared_renames(desired)
    elsewhere = [row.live for address, row in applied.items() if row.live is not address and row.live != address]
    if not renames and not elsewhere:
        return applied.keys()
    found = {*applied, *elsewhere}
    for old, new, _ in renames:
        found |= {moved(a, old, new) for a in found}
    return found


def left_alone(before: Resource, after: Resource, applied: Mapping[str, Json]) -> list[str]:
    """The attributes that only the store moved: as applied they are what is declared still."""
    live, wanted = before.attributes(), after.attributes()
    return sorted(
        key for key in {*live, *wanted} if live.get(key) != wanted.get(key) and wanted.get(key) == applied.get(key)
    )


def _keep_drift(before: Resource, after: Resource, applied: Mapping[str, Json]) -> tuple[Resource, bool]:
    """`after` with what is left alone as it is live."""
    keys = left_alone(before, after, applied)
    names = {f.metadata.get("json", name): name for name, f in after.__dataclass_fields__.items()}
    return after.replace(**{names[key]: getattr(before, names[key]) for key in keys}), bool(keys)


def _ownership(
    desired: State, live: State, applied: Set[Address], classify: Classify
) -> tuple[list[Resource], list[Resource], list[Resource]]:
    removed, extra, unmanaged = [], [], []
    for resource in _without(live, desired):
        address = resource.address
        if resource.system or resource.only_declared or classify(address, resource.container) != "managed":
            continue
        container = desired.get(resource.container) if resource.container is not None else None
        if container is not None and container.leaves(resource):
            continue
        if address in applied:
            removed.append(resource)
        elif resource.container in desired:
            extra.append(resource)
        elif resource.container is None:
            unmanaged.append(resource)
    return removed, extra, unmanaged


def _undeclared(live: State, desired: State, classify: Classify) -> list[Resource]:
    """What is managed only where it is declared, of declared objects, and is not: for `--prune=all` alone."""
    return [
        r
        for r in live.values()
        if r.only_declared
        and not r.system
        and r.address not in desired
        and (r.container is None or (r.container in desired and not desired[r.container].system))
        and classify(r.address, r.container) == "managed"
    ]


def _becomes(resource: Resource) -> Address | None:
    """Of a helper object that is in no container: what it was to become."""
    address, name = resource.address, resource.leftover_of
    return None if name is None else Address(address.store, address.kind, (*address.parts[:-1], name))


def _leftovers(extra: Iterable[Resource], changes: Iterable[Change]) -> list[Resource]:
    """Helper objects of broken runs that no change of this plan goes on with."""
    homes: dict[str, set[Address | None]] = {}
    for change in changes:
        homes.setdefault(change.address.parts[-1], set()).add(change.resource.container)

    def goes_on(resource: Resource) -> bool:
        found = homes.get(resource.leftover_of or "")
        return found is not None and (resource.leftover_in is None or resource.leftover_in in found)

    return [r for r in extra if r.left_for is not None or (r.leftover_of is not None and not goes_on(r))]


def _drops(doomed: list[Resource], live: State, desired: State, package: Package) -> list[Change]:
    """Drops, each container with all it contains, so that its reverse is exact; what is declared moves elsewhere."""
    chosen = {d.address for d in doomed}
    parts = {r.address: r for d in doomed for r in (d, *live.inside(d.address))}
    parts = {a: r for a, r in parts.items() if a in chosen or not r.only_declared}
    whole = {a: r for a, r in parts.items() if a not in desired}
    return [change for r in whole.values() if (change := package.change(r, None)) is not None]
