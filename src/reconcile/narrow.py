"""`--only` and `--exclude`: which of the changes there are a plan has, in one store and across stores. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reconcile.change import Change
from reconcile.model import Address, Resource, State
from reconcile.waits import covers


@dataclass(frozen=True)
class Options:
    """What the command line narrows or widens a plan by. Globs are matched against whole addresses."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prune: str = "none"
    """`none`, `extra` (inside managed tables and collections) or `all` (everything unmanaged in scope)."""
    allow: tuple[str, ...] = ()


def select(changes: list[Change], options: Options) -> list[Change]:
    """Narrow by `--only` (with what the chosen need, never removals) and `--exclude` (with what needs them)."""
    by_address: dict[Address, list[Change]] = defaultdict(list)
    for change in changes:
        by_address[change.address].append(change)
    chosen = set(by_address)
    if options.only:
        chosen = closure(
            {a for a in by_address if _named(by_address[a][0].resource, options.only)},
            lambda a: (n for n in needs_of(by_address[a][0]) if n in by_address and by_address[n][0].after is not None),
        )
    if options.exclude:
        users: dict[Address, set[Address]] = defaultdict(set)
        for address, found in by_address.items():
            for need in needs_of(found[0]):
                users[need].add(address)
        chosen -= closure(
            {a for a in by_address if _named(by_address[a][0].resource, options.exclude)}, lambda a: users[a]
        )
    return [c for c in changes if c.address in chosen]


def needs_of(change: Change) -> tuple[Address, ...]:
    """What must be there for what it is about to be there."""
    resource = change.resource
    return (*resource.refers, *((resource.container,) if resource.container else ()))


def _named(resource: Resource, globs: tuple[str, ...]) -> bool:
    names = [str(resource.address), *([str(resource.container)] if resource.container else [])]
    return any(fnmatchcase(name, glob) for name in names for glob in globs)


def closure(start: set[Address], more: Callable[[Address], Iterable[Address]]) -> set[Address]:
    """These and all that each of them brings."""
    found, todo = set(start), list(start)
    while todo:
        new = set(more(todo.pop())) - found
        found |= new
        todo += new
    return found


@dataclass(frozen=True)
class Followed:
    """What `after:` adds to a choice made store by store, or takes from it."""

    chosen: frozenset[Address]
    notes: tuple[str, ...]


def follow(
    found: Sequence[Change], chosen: Iterable[Address], waits: Mapping[Address, Sequence[Address]], options: Options
) -> Followed:
    """Across stores: `--only` brings what the chosen wait for, `--exclude` takes along who waits for what is left out.

    Args:
        found: all changes of all stores.
        chosen: addresses of those that the stores' own choice leaves.
        waits: what each declared address comes after.
    """
    by_address: dict[Address, Change] = {change.address: change for change in found}
    state = State.of(change.resource for change in found)
    inside: dict[Address, list[Address]] = defaultdict(list)
    users: dict[Address, list[Address]] = defaultdict(list)
    for address, change in by_address.items():
        for cover in covers(change.resource, state):
            inside[cover].append(address)
        for need in needs_of(change):
            users[need].append(address)

    def needs(address: Address) -> list[Address]:
        needed = [*(a for t in waits.get(address, ()) for a in inside[t]), *needs_of(by_address[address])]
        return [a for a in needed if a in by_address and by_address[a].after is not None]

    wanted, out = set(chosen), set[Address]()
    asked = closure(wanted, needs) if options.only else wanted
    notes: dict[str, None] = {}
    if options.exclude:
        more = {a for a, change in by_address.items() if _named(change.resource, options.exclude)}
        while more:
            out |= closure(more, lambda a: users[a])
            more = set()
            for address in by_address.keys() - out:
                for target in waits.get(address, ()):
                    if not out.isdisjoint(inside[target]):
                        more.add(address)
                        if address in asked:
                            notes[f"{address} is left out: it comes after {target}, whose change is excluded"] = None
    result = wanted - out
    return Followed(frozenset(closure(result, needs) if options.only else result), tuple(sorted(notes)))
