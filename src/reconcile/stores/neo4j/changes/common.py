"""What the changes of constraints and indexes share: who is in the way, and the pieces of steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconcile.change import Change, Op, Step, Timeouts, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, done, no
from reconcile.model import Address, Resource, State
from reconcile.stores.neo4j.parse import slots
from reconcile.stores.neo4j.resources import FULLTEXT, Constraint, Index, SchemaObject

TIMEOUTS = Timeouts(lock="3s", wall="2h")
"""`lock`: a schema statement waits for open transactions that have written to the label, or read it by an index
(measured on 5.26), and makes all later ones on the label wait behind it.
`wall`: for the wait until an index is ONLINE; it goes on being built after that."""


def own(resource: Resource | None) -> SchemaObject:
    """A resource of this store, typed."""
    assert isinstance(resource, SchemaObject)
    return resource


@dataclass(frozen=True)
class _Occupied:
    """Who stands on a name or on a slot (see `parse.slots`) in a state."""

    state: State
    names: Mapping[str, SchemaObject]
    slots: Mapping[object, list[SchemaObject]] = field(default_factory=dict)


_last: list[_Occupied] = []


def _occupied(state: State) -> _Occupied:
    """Computed once for each of the two states of a plan: changes ask it one by one."""
    for known in _last:
        if known.state is state:
            return known
    names: dict[str, SchemaObject] = {}
    by_slot: dict[object, list[SchemaObject]] = {}
    for resource in state.values():
        if isinstance(resource, SchemaObject):
            names[resource.name] = resource
            for slot in slots(resource):
                by_slot.setdefault(slot, []).append(resource)
    found = _Occupied(state, names, by_slot)
    _last[:] = [*_last[-3:], found]
    return found


def in_the_way(resource: SchemaObject, name: str, world: World) -> list[SchemaObject]:
    """Live objects that must be gone before `resource` can be made under `name`: same name, or same slot."""
    live = _occupied(world.live)
    others = [live.names[name]] if name in live.names else []
    for slot in slots(resource):
        others += live.slots.get(slot, ())
    found = {
        o.address: o for o in others if o.address != resource.address and (o.name == name or not apart(o, resource))
    }
    return list(found.values())


def apart(one: SchemaObject, other: SchemaObject) -> bool:
    """Whether the server keeps two objects of one definition: full-text indexes in another order (measured on 5.26)."""
    both = isinstance(one, Index) and isinstance(other, Index) and one.kind == other.kind == FULLTEXT
    return both and typed(one).written != typed(other).written


def typed(resource: Resource | None) -> Index:
    """An index, typed."""
    assert isinstance(resource, Index)
    return resource


def wanted_by_another(before: SchemaObject, world: World) -> bool:
    """Whether another object of the plan takes the slot or the name that `before` frees by being replaced."""
    target = _occupied(world.target)
    others: list[SchemaObject] = []
    for slot in slots(before):
        others += target.slots.get(slot, ())
    if before.name in target.names:
        others.append(target.names[before.name])
    return any(o.address != before.address and not _stays(o, world) for o in others)


def promoted(before: Index, world: World) -> bool:
    """Whether a constraint on a label in use takes the place of an index that goes."""
    target = _occupied(world.target)
    found = [o for slot in slots(before) for o in target.slots.get(slot, ())]
    return any(isinstance(o, Constraint) and not _stays(o, world) and not world.empty(o.address) for o in found)


def _stays(target: SchemaObject, world: World) -> bool:
    """Whether the object is there now as it will be, under the name it will have."""
    live = world.live.get(target.address)
    return live == target and own(live).name == target.name


def makes_way(resource: SchemaObject, name: str, world: World) -> tuple[frozenset[Fact], bool]:
    """What creating `resource` has to wait for, and whether in a transaction of its own.

    The server refuses to drop a constraint and to create one over the same index in one transaction. An index it
    takes; but if that transaction is rolled back (its client is killed, a duplicate was written), the index stays
    listed as ONLINE and every query that uses it fails with IndexNotFound until it is made again (measured on 5.26).

    Raises:
        PlanError: something is in the way and stays.
    """
    needs: set[Fact] = set()
    apart = False
    for other in in_the_way(resource, name, world):
        target = world.target.get(other.address)
        if target is None:
            needs.add(no(other.address))
        elif _moves(other, own(target), resource, name):
            needs.add(done(f"{other.address}/1-drop"))
        else:
            raise PlanError(_refusal(resource, name, other), where=resource.source, hint=_way_out(resource, other))
        if isinstance(resource, Constraint):
            apart = apart or bool(set(slots(other)) & set(slots(resource)))
    return frozenset(needs), apart


def _moves(other: SchemaObject, target: SchemaObject, resource: SchemaObject, name: str) -> bool:
    """Whether the plan replaces or renames `other`, and what comes after it is no longer in the way."""
    if target.name == name and other.name == name:
        return False
    return apart(target, resource) or not set(slots(target)) & set(slots(resource))


def _refusal(resource: SchemaObject, name: str, other: SchemaObject) -> str:
    if other.name == name and not set(slots(other)) & set(slots(resource)):
        return (
            f"{resource.address} cannot be made: the name {name} is taken by {other.address}, and names of"
            " constraints and indexes are one namespace"
        )
    alias = "" if other.name == other.address.parts[0] else f" (live name {other.name})"
    return f"{resource.address} cannot be made: {other.address}{alias} is already on {other.says()}"


def _way_out(resource: SchemaObject, other: SchemaObject) -> str:
    if isinstance(resource, Constraint) and isinstance(other, Index):
        return (
            f"the constraint brings that index: remove {other.name} from the YAML, or, where it is not declared,"
            " plan with --prune"
        )
    if isinstance(resource, Index) and isinstance(other, Constraint):
        return f"constraint {other.name} has that index already: remove index {resource.address.parts[0]}"
    return "choose another name, or remove the other one first (where it is not declared: plan with --prune)"


def wait(name: str) -> Op:
    """Wait until the index called `name` is ONLINE; after the commit, since it is not built before."""
    return Op("wait_online", {"name": name})


def step(change: Change, word: str, **parts: object) -> Step:
    """A step of `change` with the timeouts all steps here have; `word`: "1-create"."""
    return Step(id=f"{change.address}/{word}", address=change.address, timeouts=TIMEOUTS, **parts)  # type: ignore[arg-type]


def phrase(values: Iterable[str]) -> str:
    """Parts of a description on one line."""
    return " ".join(v for v in values if v)


def shown(value: object) -> str:
    """A value in a description: lists and mappings as YAML has them."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "unset" if value is None else str(value)


def place_differences(before: SchemaObject, after: SchemaObject) -> Iterator[tuple[str, str]]:
    """(field, "old → new") of labels, relationships and properties."""
    for name in ("labels", "relationships", "properties"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield name, f"{name} {shown(old)} → {shown(new)}"


def address_of(resource: Resource) -> Address:
    """Where the live object stands in the store itself."""
    return Address(resource.address.store, resource.address.kind, (resource.name,))
