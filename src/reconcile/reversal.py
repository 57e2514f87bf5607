"""Runs undone: from what they changed and what was there before, the changes that put it back. Pure.

The end is what is live now with the runs' addresses as they were; nothing else is looked at, so that what others did
since stays as it is. How to get there is the business of the ordinary planner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from reconcile.change import Change
from reconcile.diff import Difference, moved, raw_addresses
from reconcile.errors import PlanError
from reconcile.facts import Verb
from reconcile.frozen import frozen, thawed
from reconcile.ledger_rows import Applied, Run
from reconcile.model import Address, Json, Resource, State
from reconcile.plan import Plan, ResourceChange
from reconcile.planfile import from_json
from reconcile.stores.base import Keeps, Package

Pair = tuple[Address, Address]


@dataclass(frozen=True)
class Past:
    """One change of a run, as the ledger has it."""

    address: Address
    """As it was declared."""
    action: tuple[str, ...]
    at: Address
    """Where it stood before; of what was not there, the address."""
    was: Resource | None
    """What stood there; None: nothing."""
    reversible: bool = True
    recorded: bool = True
    """Whether it was applied before, and not only removed as undeclared."""


def remembered(plan: Plan, lives: Mapping[str, State], applied: Mapping[Address, Applied]) -> dict[str, Json]:
    """For the ledger, before a plan is carried out: what its changes begin with, by address.

    Args:
        applied: the ledger's rows, for where an address stands under another name.
    """
    names = renames(plan)
    known = {Address.parse(a): Address.parse(at) for a, at in plan.observed.get("places", {}).items()}
    found: dict[str, Json] = {}
    for change in (*plan.resource_changes, *plan.held_changes):
        address, live = change.address, lives.get(change.address.store, State())
        row = applied.get(address)
        places = [known.get(address, address), back(address, names), row.live if row is not None else address, address]
        there = next((p for p in places if p in live and (change.before is not None or p == address)), None)
        if there is not None and str(address) not in found:
            found[str(address)] = {"at": str(there), "is": frozen(live[there])}
    return found


def renames(plan: Plan) -> list[Pair]:
    """(new, old) of each rename, containers first."""
    found = []
    for change in plan.resource_changes:
        if change.actions == ("rename",):
            steps = [s for s in plan.steps if s.id.rpartition("/")[0] == str(change.address)]
            gone = [Address.parse(f.subject) for s in steps for f in s.gives if f.verb is Verb.NO]
            places = plan.observed.get("places", {})
            found_at = [Address.parse(at)] if (at := places.get(str(change.address))) else []  # it had another name
            candidates = (a for a in (*gone, *found_at) if a.kind == change.address.kind and a != change.address)
            old = next(candidates, None)
            found += [(change.address, old)] if old is not None else []
    return sorted(found, key=lambda pair: len(pair[0].parts))


def back(address: Address, names: Sequence[Pair]) -> Address:
    """An address as it was called before the renames."""
    for new, old in reversed(names):
        if len(address.parts) > 1:
            address = moved(address, new, old)
    return address


def pasts(run: Run) -> list[Past]:
    """What a run was to change.

    Raises:
        PlanError: it was made by a version of the tool that kept too little.
    """
    plan = from_json(run.plan)
    if plan.observed.get("was") is None and any(c.before is not None for c in _changes(plan)):
        raise PlanError(
            f"the ledger does not know what was there before run {run.id}: an older version of the tool carried it out",
            hint="declare what you want instead, and apply that",
        )
    return pasts_of(plan)


def _changes(plan: Plan) -> list[ResourceChange]:
    return [c for c in plan.resource_changes if c.address.kind != "kept"]  # what was purged is gone


def pasts_of(plan: Plan) -> list[Past]:
    """What a plan that remembers what was there (`remembered`) is to change."""
    was, found = plan.observed.get("was"), []
    for change in _changes(plan):
        entry = (was or {}).get(str(change.address))
        if entry is None and change.before is not None:
            continue  # it was there, nobody knows as what: never taken for something that the run made
        at = Address.parse(entry["at"]) if entry else change.address
        resource = thawed(entry["is"]) if entry else None
        if resource is not None and change.actions == ("rename",):
            resource = resource.with_parts_renamed(change.before, change.after)
        pruned = change.action_reason == "delete_because_pruned"
        found.append(Past(change.address, change.actions, at, resource, change.reversible, not pruned))
    return found


@dataclass
class Undone:
    """One store on its way back: `state` has the renames undone, `target` everything."""

    live: State
    package: Package
    state: State
    target: State
    renamed: list[tuple[Change, Address, Address]] = field(default_factory=list)
    brought: list[tuple[Change, str]] = field(default_factory=list)
    """What comes back with its data, and the name it was kept under."""
    touched: dict[Address, None] = field(default_factory=dict)
    made: set[Address] = field(default_factory=set)
    """What the runs made and is to go."""
    desired: State = field(default_factory=State)
    """What is declared: how to change it."""

    @classmethod
    def of(cls, live: State, package: Package, desired: State) -> Undone:
        """Nothing of it undone yet."""
        return cls(live, package, live, live, desired=desired)

    def undo(
        self,
        run: Sequence[Past],
        names: Sequence[Pair],
        places: Mapping[Address, Address],
        kept: Mapping[Address, str] = MappingProxyType({}),
    ) -> None:
        """Take one run back; the latest first.

        Args:
            names: its renames.
            places: where an address stands under another name.
            kept: what of it is kept with its data, and under which name.
        """
        for gone in run:
            if gone.was is not None and gone.at in kept and gone.at not in self.state:
                self._bring_back(gone.was, run, kept[gone.at])
        for new, old in reversed(names):
            past = next((p for p in run if p.address == new), None)
            if past is not None and past.was is not None and new in self.state:
                self._rename(new, Address(new.store, new.kind, (*new.parts[:-1], old.parts[-1])), past.was)
        self._rename_parts(run)
        ends: dict[Address, Resource | None] = {}
        for past in run:
            stands = back(places.get(past.address, past.address), names)
            here = stands if past.was is None else past.at
            if past.was is not None and past.reversible and stands not in (here, past.address) and stands in self.state:
                self.touched[stands], ends[stands] = None, None  # what the run built beside it, in its place
                self.made.add(stands)
            if past.was is None or past.reversible:
                was = None if past.was is None else past.was.as_it_was(self.desired.get(past.address))
                self.touched[here], ends[here] = None, was
                (self.made.add if past.was is None else self.made.discard)(here)
        self.target = self.target.filter(lambda r: r.address not in ends)
        self.target = self.target.add(*(was for was in ends.values() if was is not None))

    def _bring_back(self, was: Resource, run: Sequence[Past], name: str) -> None:
        assert isinstance(self.package, Keeps)
        there = {p.at: p.was for p in run if p.was is not None}
        inside = [part for part in there.values() if any(in_or_of(part, w) for w in _around(part, was, there))]
        change, self.state = self.package.restored(self.state, [was, *inside], name)
        self.brought.append((change, name))

    def clear(self, helpers: Iterable[Address]) -> None:
        """Take away what a run that stopped part-way built beside others, as far as it is there."""
        for address in helpers:
            there = self.state.get(address)
            if there is not None and there.leftover_of is not None:
                self.touched[address] = None
                self.target = State({a: r for a, r in self.target.items() if a != address})
                self.made.add(address)

    def _rename_parts(self, run: Sequence[Past]) -> None:
        """Parts that are no resources and got other names (values of an enum): data has them as well."""
        for past in run:
            now = self.state.get(past.at)
            if past.was is not None and past.reversible and now is not None and past.was.renames_parts_of(now):
                change, self.state = self.package.renamed(self.state, past.at, past.was)
                _, self.target = self.package.renamed(self.target, past.at, past.was)
                self.renamed.append((change, past.at, past.at))

    def _rename(self, new: Address, old: Address, was: Resource) -> None:
        now = self.state[new]
        wanted = was.replace(address=old, container=now.container)
        if "renamed_from" in was.__dataclass_fields__:
            change, self.state = self.package.renamed(self.state, new, wanted)
            _, self.target = self.package.renamed(self.target, new, wanted)
        else:  # it was given its declared name
            change = self.package.rename(now.replace(address=old, live_name=new.parts[-1]), wanted)
            there = now.replace(address=old, live_name=new.parts[-1])
            self.state = State({a: r for a, r in self.state.items() if a != new}).add(there)
            self.target = State({a: r for a, r in self.target.items() if a != new}).add(now.replace(address=old))
        self.renamed.append((change, new, old))

    def difference(self, canonical: State) -> Difference:
        """What leads back.

        Args:
            canonical: `target` as the store's package wants what is desired.

        Raises:
            PlanError: something that the runs made holds what is not theirs.
        """
        self._refuse_strangers()
        changes = [*(change for change, _ in self.brought), *(change for change, _, _ in self.renamed)]
        for address in self.touched:
            now, then = self.state.get(address), canonical.get(address)
            if now is not None and then is None and now.only_declared and now.container in self.made:
                continue  # goes along without a word
            if now is not None and then is not None:
                then = then.under_its_name()  # built beside it would not stand where it stood
            if now is not None:
                now = now.replace(live_name=None)  # what has another name has its rename
            change = self.package.change(now, then) if (now, then) != (None, None) else None
            changes += [change] if change is not None else []
        renamed = [(change, old, new) for change, new, old in self.renamed]
        raw = raw_addresses([(c, n, o) for c, o, n in renamed], self.live, self.state, {}) if renamed else {}
        if isinstance(self.package, Keeps):
            raw |= {c.address: self.package.kept_at(c.address, name) for c, name in self.brought}
        return Difference(
            tuple(changes), self.state, raw, found=tuple(changes), seen=self.live, desired=canonical, complete=False
        )

    def _refuse_strangers(self) -> None:
        lines = []
        for address in self.made:
            if address in self.state and address.kind in self.package.containers:
                strangers = (
                    r
                    for r in self.state.inside(address)
                    if r.address not in self.made and not r.only_declared and not r.system and r.leftover_of is None
                )
                lines += [f"  {r.address} is in {address}, which would be dropped, and the run did not make it"
                          for r in strangers]  # fmt: skip
        if lines:
            raise PlanError(
                "this cannot be rolled back without removing what others made:\n" + "\n".join(dict.fromkeys(lines)),
                hint="remove or move it, or leave its container as it is: --only takes what to roll back",
            )


def overlaps(run: Iterable[Past], later: Iterable[Past]) -> Iterator[Address]:
    """What of a later run is about what an earlier one changed, or in something that it made."""
    own = {a: None for past in run for a in (past.address, past.at)}
    made = [past.address for past in run if past.was is None]
    for past in later:
        if past.address in own or past.at in own or any(_inside(past.address, whole) for whole in made):
            yield past.address


def _inside(address: Address, whole: Address) -> bool:
    return address.store == whole.store and len(whole.parts) < len(address.parts) and (
        address.parts[: len(whole.parts)] == whole.parts
    )  # fmt: skip


def in_or_of(part: Resource, whole: Address) -> bool:
    """Whether it was nested in something, or went with it (a sequence that a column owns)."""
    return part.container == whole or any(a == whole or _inside(a, whole) for a in part.falls_with)


def _around(part: Resource, whole: Resource, there: Mapping[Address, Resource]) -> list[Address]:
    """`whole`, and what of it a part is nested in: a partition."""
    found, around = [whole.address], part.container
    while around is not None and around in there and around != whole.address:
        around = there[around].container
    if around == whole.address and part.container is not None:
        found.append(part.container)
    return found


def whole_of(address: Address, desired: State, changed: Mapping[Address, Past]) -> Address:
    """The outermost container that the same run made or dropped: it is held together with what is in it."""
    found, now = address, desired.get(address)
    while now is not None and now.container is not None:
        past = changed.get(now.container)
        if past is not None and past.action in (("create",), ("delete",)):
            found = now.container
        now = desired.get(now.container)
    return found
