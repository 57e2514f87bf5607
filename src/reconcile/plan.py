"""Changes of all stores become one plan: steps in order, groups, fingerprints, digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from reconcile import filled
from reconcile.change import DELETING, Change, Irreversible, Keeping, Server, Step, World, applied
from reconcile.diff import Difference, Options
from reconcile.errors import PlanError
from reconcile.facts import Fact, Verb, no, ok
from reconcile.model import Address, Json, Resource, State
from reconcile.moments import Hook
from reconcile.order import ALL, Choice, Key, group, parted
from reconcile.waits import waited

ABSENT = "absent"
EMPTY = "#empty"
"""Ends the key of a fingerprint that says whether a table, label or collection was empty."""
DEPENDENTS = "#dependents"
"""Ends the key of a fingerprint of who refers to an address."""
STEPS_PER_GROUP = 500
"""Where a server names no limit of its own (`max_steps_per_group` in its facts)."""


@dataclass(frozen=True)
class StoreView:
    """One store as the planner sees it."""

    name: str
    server: Server
    ranks: Mapping[str, int]
    difference: Difference
    settings: Mapping[str, Json] = field(default_factory=dict)
    empty: Callable[[Address], bool] = lambda address: False
    keeping: Keeping = DELETING


@dataclass(frozen=True)
class ResourceChange:
    """One entry of `resource_changes`: a change as data."""

    address: Address
    actions: tuple[str, ...]
    before: Json
    after: Json
    describe: str
    replace_paths: tuple[tuple[str, ...], ...] = ()
    action_reason: str | None = None
    strategy: str | None = None
    declared: Json = None
    companion_of: Address | None = None
    part_of: Address | None = None
    """The container whose step carries this one out."""
    reversible: bool = True


@dataclass(frozen=True)
class Plan:
    """What an apply executes: complete, without the YAML or the changes it came from."""

    project: str
    environment: str
    options: Options
    complete: bool
    stores: tuple[Server, ...]
    ledger: str | None
    """The store that holds the ledger; None where it is a file."""
    resource_changes: tuple[ResourceChange, ...]
    steps: tuple[Step, ...]
    fingerprints: Mapping[str, str]
    held_changes: tuple[ResourceChange, ...] = ()
    """Changes of which no step runs before its release."""
    held: tuple[Step, ...] = ()
    """Contract steps that wait for it, also of `resource_changes`."""
    hooks: tuple[Hook, ...] = ()
    """Commands that the run calls at its moments."""
    rollback: Json = None
    """Of a rollback: the `runs` it reverses, latest first; `changes`: each `address` as it was declared, its `run`, and
    where it stands `at` afterwards (None: nowhere); `renames`: (address, address afterwards)."""
    observed: Json = field(default_factory=dict)
    """All that depends on the moment: costs, causes, drift, source lines; not part of the digest."""

    @cached_property
    def groups(self) -> tuple[tuple[Step, ...], ...]:
        """Steps by unit of transaction, retry and journal."""
        found: list[list[Step]] = []
        for step in self.steps:
            if step.group is not None and found and found[-1][0].group == step.group:
                found[-1].append(step)
            else:
                found.append([step])
        return tuple(map(tuple, found))


def fingerprint(resource: Resource | None) -> str:
    """`sha256:…` over the comparable attributes, or `absent`."""
    return ABSENT if resource is None else digest_of(resource.attributes())


def dependents_print(names: Iterable[str]) -> str:
    """The fingerprint of the set of live addresses that refer to another."""
    return digest_of(sorted(set(names)))


def digest_of(value: Json) -> str:
    """`sha256:…` over the canonical JSON of `value`."""
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Json) -> str:
    """Sorted keys, no spaces, UTF-8, whole floats without a point, as RFC 8785 asks of the values we have.

    >>> canonical_json({"b": 1.0, "a": [0.99, "ü"]})
    '{"a":[0.99,"ü"],"b":1}'
    """
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


@dataclass(frozen=True)
class Steps:
    """The ordered half of a plan, before it gets its cover."""

    resource_changes: tuple[ResourceChange, ...]
    steps: tuple[Step, ...]
    fingerprints: Mapping[str, str]
    changes: tuple[Change, ...]
    remarks: tuple[str, ...] = ()
    """See `Change.remarks`."""
    held_changes: tuple[ResourceChange, ...] = ()
    held: tuple[Step, ...] = ()


def build(
    views: Sequence[StoreView],
    external: Callable[[Address], bool] = lambda address: False,
    waits: Mapping[Address, Sequence[Address]] = MappingProxyType({}),
    choice: Choice = ALL,
    left: Callable[[Change, Sequence[Step]], Sequence[Step]] = lambda change, own: own,
) -> Steps:
    """Order the changes of all stores.

    Args:
        views: one a store.
        external: whether something outside the project makes an address, so that needing it is fine.
        waits: what each declared address comes after (`waits.waits`).
        choice: which of the steps run; the rest is held, with the changes of which none runs.
        left: the steps of a change without those that are done already, though no store shows it.

    Raises:
        PlanError: see `order.order` and `Change.steps`.
    """
    records: list[ResourceChange] = []
    steps: list[Step] = []
    fingerprints: dict[str, str] = {}
    changes: list[Change] = []
    lives: dict[str, State] = {}
    taken: set[str] = set()
    before = set[Fact]()
    remarks: list[str] = []
    errors: list[PlanError] = []
    written = [w for v in views for own in filled.writings(v.difference.changes).values() for w in own]
    for view in views:
        asked: dict[Address, bool] = {}
        found, causes, world = _with_companions(view, asked, written)
        lives[view.name] = view.difference.live
        there = {change.address for change in found}
        for change in found:
            try:
                every = _unique(change.steps(world), taken)
            except PlanError as error:
                errors.append(error)
                continue
            steps += (own := left(change, every))
            before |= {fact for step in every if step not in own for fact in step.gives}
            records.append(_record(change, every, causes.get(change.address), there, view.difference.removed))
            remarks += change.remarks(world)
        changes += found
        steps = _wait_for_names(steps, found, world)
        fingerprints |= _fingerprints(found, steps, view, world, asked)
    if errors:
        raise errors[0] if len(errors) == 1 else PlanError("\n".join(map(str, errors)))
    steps, added = waited(filled.marked(steps, changes), changes, waits, lives)
    steps = filled.settled(steps)
    limits = {view.name: int(view.server.facts.get("max_steps_per_group", STEPS_PER_GROUP)) for view in views}
    parts = parted(steps, _holds(lives, external, before), _key(views, lives, changes), added, choice)
    runs, held = (tuple(group(part, lambda step: limits[step.address.store])) for part in parts)
    idle = _idle(records, runs, held)
    active, waiting = (tuple(r for r in records if (r.address in idle) is idles) for idles in (False, True))
    return Steps(active, runs, fingerprints, tuple(changes), tuple(remarks), waiting, held)


def _idle(records: Sequence[ResourceChange], runs: Sequence[Step], held: Sequence[Step]) -> set[Address]:
    """The changes that wait whole, with what is carried out in their steps."""
    if not held:
        return set()
    busy = {step.id.rpartition("/")[0] for step in runs}
    busy |= {f.subject for step in runs for f in (*step.gives, ok(step.address))}  # of another's step
    found = {r.address for r in records if r.part_of is None and str(r.address) not in busy}
    return found | {r.address for r in records if r.part_of in found}


def _holds(
    lives: Mapping[str, State], external: Callable[[Address], bool], before: Set[Fact]
) -> Callable[[Fact], bool]:
    """Whether a fact is true now: of a live object, or of one that something outside the project makes.

    Args:
        before: what an earlier run has done.
    """

    def holds(fact: Fact) -> bool:
        if fact.verb is Verb.DONE:
            return fact in before
        address = Address.parse(fact.subject)
        present = address in lives.get(address.store, State())
        return not present if fact.verb is Verb.NO else present or external(address)

    return holds


def _key(views: Sequence[StoreView], lives: Mapping[str, State], changes: Iterable[Change]) -> Key:
    """What goes first of steps that could all run: store by store, new things before what locks existing ones."""
    ranks = {view.name: (i, view.ranks) for i, view in enumerate(views)}
    places = {change.address: change.resource.place for change in changes}

    def key(step: Step) -> tuple[object, ...]:
        number, kinds = ranks[step.address.store]
        live = lives[step.address.store]
        resource = live.get(step.address)
        locks_existing = resource is not None or Address(step.address.store, "", step.address.parts) in live
        rank = kinds.get(step.address.kind, 99)
        return (
            number,
            rank < 0 and no(step.address) in step.gives,
            not step.transactional,
            locks_existing,
            rank,
            step.address.parts[:2],
            places.get(step.address, 0),
            step.address.parts,
            step.address.kind,
            step.id,
        )

    return key


def _with_companions(
    view: StoreView, asked: dict[Address, bool], written: Sequence[filled.Writing]
) -> tuple[list[Change], dict[Address, Address], World]:
    """The view's changes and all that must be made around them, until nothing is added."""

    found = view.difference

    def empty(address: Address) -> bool:
        if address not in asked:
            where = found.raw.get(address, address)
            if found.seen is not None and address in found.live and where not in found.seen:
                return False  # it is brought back first, and then it holds what was kept
            asked[address] = view.empty(where)
        return asked[address]

    def fills(resource: Resource) -> bool:
        return any(writing.concerns(resource) for writing in written)

    changes = list(found.changes)
    causes: dict[Address, Address] = {}
    while True:
        target = applied(changes, found.live)
        world = World(
            view.name,
            view.server,
            found.live,
            target,
            view.settings,
            empty,
            found.raw,
            found.desired,
            view.keeping,
            fills,
        )
        there = {change.address for change in changes}
        more: list[Change] = []
        for change in changes:
            for companion in change.companions(world):
                if companion.address not in there:
                    there.add(companion.address)
                    causes[companion.address] = change.address
                    more.append(companion)
        if not more:
            return changes, causes, world
        changes += more


def _unique(own: Sequence[Step], taken: set[str]) -> list[Step]:
    """Two changes of one address (a rename, then an alteration) must not share step ids."""
    named = [replace(step, id=f"{step.id}-2") if step.id in taken else step for step in own]
    taken |= {step.id for step in named}
    return named


def _wait_for_names(steps: list[Step], changes: Sequence[Change], world: World) -> list[Step]:
    """Who takes a name that another object still has waits for that one's removal.

    Raises:
        PlanError: the other object stays.
    """
    taken = {
        name: c.after
        for c in changes
        if c.after
        for name in c.after.occupies
        if not c.before or name not in c.before.occupies
    }
    waits: dict[Address, set[Fact]] = {}
    for holder, name in ((r, name) for r in world.live.values() if taken for name in r.occupies if name in taken):
        after, later = taken[name], world.target.get(holder.address)
        if holder.address == after.address:
            continue
        if later is None or name not in later.occupies:
            maker = after.container if after.container and world.creates(after.container) else after.address
            for address in {maker, after.address} if later is None or not after.makes_room(holder) else ():
                waits.setdefault(address, set()).add(no(holder.address) if later is None else ok(holder.address))
        elif holder.only_declared:
            fallen = {no(a) for a in holder.falls_with if world.drops(a)}
            waits.setdefault(after.address, set()).update(fallen)
        elif name[-1] == after.name:
            raise PlanError(
                f"{after.source}: {after.address} cannot take the name {after.name}: {holder.address} has it",
                hint="choose another name, or remove or rename the other first",
            )
    if not waits:
        return steps
    return [
        replace(step, needs=step.needs | waits[owner])
        if (owner := Address.parse(step.id.rpartition("/")[0])) in waits
        else step
        for step in steps
    ]


def _record(
    change: Change, own: Sequence[Step], cause: Address | None, there: Set[Address], removed: frozenset[Address]
) -> ResourceChange:
    container = change.resource.container
    folded = not own and container is not None and container in there
    reason = change.reason
    if reason is None and cause is not None:
        reason = "companion_of_replacement"
    if reason is None and change.after is None and not folded:
        reason = "delete_because_removed" if change.address in removed else "delete_because_pruned"
    return recorded(change, reason, cause, container if folded else None)


def recorded(
    change: Change, reason: str | None = None, cause: Address | None = None, part_of: Address | None = None
) -> ResourceChange:
    """A change as data.

    Args:
        cause: the address of which it is a companion.
        part_of: the container whose step carries it out.
    """
    return ResourceChange(
        address=change.address,
        actions=tuple(change.action.actions),
        before=None if change.before is None else change.before.attributes(),
        after=None if change.after is None else change.after.attributes(),
        describe=change.describe(),
        replace_paths=change.replace_paths,
        action_reason=reason,
        strategy=change.strategy,
        declared=None if change.after is None else change.after.declared,
        companion_of=cause,
        part_of=part_of,
        reversible=not isinstance(change.reverse(), Irreversible),
    )


def _fingerprints(
    changes: Sequence[Change],
    steps: Sequence[Step],
    view: StoreView,
    world: World,
    asked: Mapping[Address, bool],
) -> dict[str, str]:
    """What a later apply checks: each touched address, each needed, dependents of what goes, emptiness."""
    live, raw = view.difference.live, view.difference.raw
    addresses: dict[Address, None] = {}
    for change in changes:
        addresses[change.address] = None
        if change.before is not None:
            addresses |= dict.fromkeys(r.address for r in world.dependents(change.before.address))
    for step in steps:
        if step.address.store == view.name:
            subjects = [f.subject for f in (*step.needs, *step.gives) if f.verb is not Verb.DONE]
            addresses |= dict.fromkeys(map(Address.parse, subjects))
    found = {}
    for change in changes:
        if change.before is not None and change.moves_dependents:
            names = [str(raw.get(r.address, r.address)) for r in world.dependents(change.before.address)]
            where = raw.get(change.before.address, change.before.address)
            found[f"{where}{DEPENDENTS}"] = dependents_print(names)
    for address in addresses:
        if address.store == view.name:
            where = raw.get(address, address)
            found[str(where)] = fingerprint(view.difference.fingerprinted(address))
            if where != address and where.kind == address.kind and where.parts != address.parts:
                seen = view.difference.seen
                found.setdefault(str(address), fingerprint(None if seen is None else seen.get(address)))
    return found | {f"{raw.get(a, a)}{EMPTY}": str(is_empty).lower() for a, is_empty in asked.items() if a in live}
