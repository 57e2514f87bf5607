"""`after:` between declared objects of any stores: what is wrong with it, and who waits for what.

An object that comes after another waits until that, and all that is in it, is as declared; and so does all that is
in the one that waits. It is an order, and no dependency: who has nothing to change is waited for by nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from reconcile.change import Change, Step
from reconcile.errors import Problem
from reconcile.facts import Fact, ok
from reconcile.model import Address, Resource, State, Wait
from reconcile.suggest import meant


class _Node(NamedTuple):
    """A moment in the making of an address: its `start`, `own` for itself, its `end`, with all that is in it."""

    moment: str
    address: Address


_Parents = dict[_Node, _Node]


def check(desired: State, stores: Collection[str], external: Callable[[Address], bool]) -> list[Problem]:
    """Unknown addresses and cycles, each with its place and what may have been meant.

    Args:
        desired: of all stores.
        stores: the names there are.
        external: whether somebody else makes an address, so that it may be named and is never waited for.
    """
    waiting = [r for r in desired.values() if r.comes_after]
    problems = []
    for resource in waiting:
        for wait in resource.comes_after:
            if (problem := _wrong(resource, wait, desired, stores, external)) is not None:
                problems.append(problem)
    return problems or list(_cycles(waiting, desired))


def _wrong(
    resource: Resource, wait: Wait, desired: State, stores: Collection[str], external: Callable[[Address], bool]
) -> Problem | None:
    target, here = wait.address, resource.address
    if target.store not in stores:
        what = f'{wait.key}: {here} comes after {target}, and there is no store "{target.store}"'
        return Problem(what, where=wait.source, hint=meant(target.store, stores))
    if target not in desired:
        if external(target):
            return None
        known = {str(a) for a in desired if a.store == target.store}
        hint = meant(str(target), known) or "addresses are STORE.KIND.NAME, as plans print them"
        return Problem(f"{wait.key}: {here} comes after {target}, which is not declared", where=wait.source, hint=hint)
    if target == here:
        return Problem(f"{wait.key}: {here} cannot come after itself", where=wait.source, hint="leave it out")
    if target in _containers(resource, desired):
        return Problem(
            f"{wait.key}: {here} is part of {target}", where=wait.source, hint="leave it out: it comes after it"
        )
    if here in _containers(desired[target], desired):
        what = f"{wait.key}: {target} is part of {here}, and comes after it"
        return Problem(what, where=wait.source, hint="leave it out, or let only a part of it wait")
    return None


def _containers(resource: Resource | None, state: State) -> Iterator[Address]:
    """What it is in, from the inside out."""
    while resource is not None and resource.container is not None:
        yield resource.container
        resource = state.get(resource.container)


def covers(resource: Resource, *states: State) -> list[Address]:
    """The address of a resource, and of all that it is in."""
    found = [resource.address]
    container = resource.container
    while container is not None and container not in found:
        found.append(container)
        parent = next((r for state in states if (r := state.get(container)) is not None), None)
        container = parent.container if parent is not None else None
    return found


def waits(desired: State) -> dict[Address, tuple[Address, ...]]:
    """What each declared object waits for, by itself or because what it is in does."""
    found: dict[Address, dict[Address, None]] = {}
    for resource in desired.values():
        if resource.comes_after:
            targets = dict.fromkeys(wait.address for wait in resource.comes_after)
            for address in (resource.address, *(r.address for r in desired.inside(resource.address))):
                found[address] = {**found.get(address, {}), **targets}
    return {address: tuple(targets) for address, targets in found.items()}


def _cycles(waiting: Iterable[Resource], desired: State) -> Iterator[Problem]:
    """Each ring once, told at one of its entries with the places of the others."""
    waiting, told = list(waiting), set[frozenset[Wait]]()
    tangled = _tangled(waiting, desired)
    for resource in waiting:
        for wait in resource.comes_after:
            if _Node("start", resource.address) not in tangled or _Node("end", wait.address) not in tangled:
                continue
            parents = _reached(_Node("end", wait.address), desired)
            goal = _Node("start", resource.address)
            if goal not in parents:
                continue
            ring = [(resource.address, wait), *_entries(goal, parents, desired)]
            if (key := frozenset(w for _, w in ring)) in told:
                continue
            told.add(key)
            others = ", and ".join(f"{a} comes after {w.address} ({w.source})" for a, w in ring[1:])
            what = f"{wait.key}: {resource.address} cannot come after {wait.address}: {others or 'that needs it'}"
            yield Problem(what, where=wait.source, hint="take one of them out")


def _tangled(waiting: Iterable[Resource], desired: State) -> set[_Node]:
    """What is in a ring, or waits for one: all that is left when what waits for nothing is taken away, and again."""
    before: dict[_Node, set[_Node]] = {}
    todo = [_Node("start", resource.address) for resource in waiting]
    for node in todo:  # grows meanwhile
        if node not in before:
            before[node] = set(_before(node, desired))
            todo += before[node]
    users: dict[_Node, list[_Node]] = defaultdict(list)
    for node, needed in before.items():
        for other in needed:
            users[other].append(node)
    left = {node: len(needed) for node, needed in before.items()}
    free = [node for node, count in left.items() if count == 0]
    for node in free:  # grows meanwhile
        for user in users[node]:
            left[user] -= 1
            if left[user] == 0:
                free.append(user)
    return left.keys() - set(free)


def _reached(start: _Node, desired: State) -> Mapping[_Node, _Node]:
    """All that has to be there before `start`, each with who asks for it."""
    parents: _Parents = {start: start}
    todo = [start]
    for node in todo:  # grows meanwhile
        for before in _before(node, desired):
            if before not in parents:
                parents[before] = node
                todo.append(before)
    return parents


def _before(node: _Node, desired: State) -> Iterator[_Node]:
    resource = desired.get(node.address)
    if resource is None:
        return
    container = resource.container
    if node.moment == "start":
        yield from (_Node("end", wait.address) for wait in resource.comes_after)
        if container is not None:
            yield _Node("start", container)
    elif node.moment == "own":
        yield _Node("start", node.address)
        yield from (_Node("own", a) for a in (*resource.refers, *([container] if container is not None else [])))
    else:
        yield _Node("own", node.address)
        yield from (_Node("end", child.address) for child in desired.children(node.address))


def _entries(goal: _Node, parents: Mapping[_Node, _Node], desired: State) -> list[tuple[Address, Wait]]:
    """The entries of `after:` on the way to `goal`, from its beginning."""
    found, node = [], goal
    while parents[node] != node:
        asking = parents[node]
        if asking.moment == "start" and node.moment == "end":
            wait = next(w for w in desired[asking.address].comes_after if w.address == node.address)
            found.append((asking.address, wait))
        node = asking
    return found[::-1]


def waited(
    steps: list[Step],
    changes: Sequence[Change],
    waits: Mapping[Address, Sequence[Address]],
    lives: Mapping[str, State],
) -> tuple[list[Step], dict[str, frozenset[Fact]]]:
    """`after:` as needs: the first step of who waits needs what the last of the others give.

    Returns:
        the steps, and by step the needs that were added.
    """
    if not waits:
        return steps, {}
    own: dict[Address, list[Step]] = {}
    for step in steps:
        own.setdefault(Address.parse(step.id.rpartition("/")[0]), []).append(step)
    states = [State.of(c.after for c in changes if c.after is not None), *lives.values()]
    covered: dict[Address, dict[Address, None]] = {}
    maker: dict[Address, Address] = {}
    for change in changes:
        around = covers(change.resource, *states)
        maker[change.address] = next((a for a in around if a in own), change.address)
        for address in around:
            covered.setdefault(address, {})[maker[change.address]] = None
    given = {fact for step in steps for fact in step.gives}
    added: dict[str, frozenset[Fact]] = {}
    for address, targets in waits.items():
        if address not in maker or maker[address] not in own:
            continue
        first = own[maker[address]][0]
        for target in targets:
            for other in covered.get(target, ()):
                if other in own and other != maker[address]:
                    found = _finished(other, own[other], given, maker[address])
                    added[first.id] = added.get(first.id, frozenset()) | found
    return [replace(s, needs=s.needs | added[s.id]) if s.id in added else s for s in steps], added


def _finished(address: Address, own: Sequence[Step], given: Set[Fact], waiting: Address) -> frozenset[Fact]:
    """What holds once the steps of a change are done: that the address is as declared, else what the last one gives.

    Of a change whose later steps come after the one that waits, only the steps before those are meant.
    """
    sooner = list(takewhile(lambda step: waiting not in step.asked_after, own))
    if 0 < len(sooner) < len(own):
        return sooner[-1].gives
    ready = ok(address)
    return frozenset({ready}) if ready in given else own[-1].gives
