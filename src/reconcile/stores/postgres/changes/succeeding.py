"""What takes the name of something that goes: a table in place of a view, a function with other arguments.

What stands on the one that goes says the same as before, and means the other: it is made again in between.
"""

from __future__ import annotations

from reconcile.change import World
from reconcile.model import Address, Resource
from reconcile.stores.postgres.resources import ROUTINES, ROW_TYPES

_Key = tuple[str, str, str]


def _key(address: Address) -> _Key | None:
    """(space, schema, name) of what others refer to by name alone."""
    if address.kind in ROW_TYPES:
        return ("relation", *address.parts)  # type: ignore[return-value]
    if address.kind in ROUTINES:
        return "routine", address.parts[0], address.parts[1].partition("(")[0]
    return None


def successors(world: World, address: Address) -> list[Address]:
    """What this plan makes under the name of a relation or routine that it drops; of a column, of its table."""
    if address.kind == "column":
        address = Address(address.store, "table", address.parts[:2])
    key = _key(address)
    if key is None or not world.drops(address):
        return []

    def looked_up() -> dict[_Key, list[Address]]:
        found: dict[_Key, list[Address]] = {}
        for kind in (*ROW_TYPES, *ROUTINES):
            for x in world.target.of_kind(kind):
                if x.address not in world.live and (of := _key(x.address)) is not None:
                    found.setdefault(of, []).append(x.address)
        return found

    return world.once("new by name", None, looked_up).get(key, [])


def preceding(world: World, routine: Address) -> list[Address]:
    """The routines that go and whose name this one, the first of those that do, takes."""

    def looked_up() -> dict[Address, list[Address]]:
        found: dict[Address, list[Address]] = {}
        for x in world.live.of_kind(*ROUTINES):
            if new := successors(world, x.address):
                found.setdefault(new[0], []).append(x.address)
        return found

    return world.once("routines that go", None, looked_up).get(routine, [])


def succeeded(world: World, address: Address) -> bool:
    """Whether something takes its name."""
    return bool(successors(world, address))


def resettled(world: World, resource: Resource) -> Resource:
    """`resource` standing on what takes the names of what it stood on."""
    if not any(succeeded(world, a) for a in resource.refers):
        return resource
    found = dict.fromkeys(b for a in resource.refers for b in successors(world, a) or [a])
    return resource.replace(refers=tuple(found))


def displaced(world: World, before: Resource, after: Resource) -> bool:
    """Whether it goes over from what is dropped to what is made, and one has to be gone before the other can come."""
    gone = {_table(a) for a in before.refers if world.drops(a)}
    made = {_table(a) for a in after.refers if world.creates(a)} if gone else set()
    if not made:
        return False
    held = {name for a in gone for x in world.live.inside(a) for name in x.occupies}
    held |= {name for a in gone if (x := world.live.get(a)) is not None for name in x.occupies}
    inside = (x for a in made for x in (world.target.get(a), *world.target.inside(a)) if x is not None)
    return any(name in held for x in inside for name in x.occupies)


def _table(address: Address) -> Address:
    return Address(address.store, "table", address.parts[:2]) if address.kind == "column" else address
