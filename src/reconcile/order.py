"""The order of steps, from what they need and give. Near-linear; pure."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconcile.change import Step
from reconcile.errors import PlanError
from reconcile.facts import Fact, Verb

Key = Callable[[Step], tuple[Any, ...]]


def order(steps: Sequence[Step], holds: Callable[[Fact], bool], key: Key) -> list[Step]:
    """Steps in the order they can run, phases raised to those of what they wait for.

    Args:
        steps: of all stores; those of one change stand together and keep their order.
        holds: whether a fact is true of the live stores now.
        key: ranks steps that could run next; the smallest goes first, after its phase.

    Raises:
        PlanError: a need that nothing satisfies, or a cycle; names both ends.
    """
    after = _edges(steps, holds)
    indegree = [0] * len(steps)
    for targets in after:
        for target in targets:
            indegree[target] += 1
    phases = [step.phase for step in steps]
    ready = [i for i, n in enumerate(indegree) if n == 0]
    seen, left = list(ready), list(indegree)
    for i in seen:  # phases first: a step is in no earlier phase than what it waits for
        for target in after[i]:
            phases[target] = max(phases[target], phases[i], key=lambda p: p.rank)
            left[target] -= 1
            if left[target] == 0:
                seen.append(target)
    if len(seen) < len(steps):
        raise _cycle(steps, after, set(range(len(steps))) - set(seen))
    heap = [(phases[i].rank, key(steps[i]), i) for i in ready]
    heapq.heapify(heap)
    result = []
    while heap:
        _, _, i = heapq.heappop(heap)
        result.append(steps[i] if phases[i] is steps[i].phase else replace(steps[i], phase=phases[i]))
        for target in after[i]:
            indegree[target] -= 1
            if indegree[target] == 0:
                heapq.heappush(heap, (phases[target].rank, key(steps[target]), target))
    return result


def _edges(steps: Sequence[Step], holds: Callable[[Fact], bool]) -> list[list[int]]:
    """For each step, those that must wait for it."""
    givers: Mapping[Fact, list[int]] = defaultdict(list)
    for i, step in enumerate(steps):
        for fact in step.gives:
            givers[fact].append(i)
            if fact.verb is Verb.OK and Fact(Verb.HAS, fact.subject) not in step.gives:
                givers[Fact(Verb.HAS, fact.subject)].append(i)
    after: list[set[int]] = [set() for _ in steps]
    for i, step in enumerate(steps):
        if i and _change(steps[i - 1]) == _change(step):
            after[i - 1].add(i)
        removes = any(f.verb is Verb.NO for f in step.gives)
        for need in sorted(step.needs):
            if need in step.gives:
                continue
            if Fact(Verb.NO, need.subject) in step.gives and holds(need):
                continue  # it removes the one that is there now, whoever makes another
            sources = [g for g in givers.get(need, ()) if g != i]
            removers = [g for g in givers.get(Fact(Verb.NO, need.subject), ()) if g != i]
            if need.verb in (Verb.HAS, Verb.OK) and removers and (removes or not sources):
                for g in removers:  # it needs the object that goes
                    after[i].add(g)
            elif sources:
                for g in sources:
                    if _change(steps[g]) != _change(step) or g < i:
                        after[g].add(i)
            elif not holds(need):
                raise PlanError(
                    f"step {step.id} needs `{need}`, which the store does not have and no step of this plan gives",
                    hint="declare it, or list it under the store's `external:` if something else makes it",
                )
    return [sorted(targets) for targets in after]


def _change(step: Step) -> str:
    return step.id.rpartition("/")[0]


def _cycle(steps: Sequence[Step], after: Sequence[Sequence[int]], rest: set[int]) -> PlanError:
    """Walk inside `rest` (each of whose members waits for another) until a step comes again."""
    before = {t: i for i in sorted(rest) for t in after[i] if t in rest}
    path = [min(rest)]
    while (previous := before[path[-1]]) not in path:
        path.append(previous)
    ring = [*path[path.index(previous) :], previous]
    return PlanError(
        "these steps wait for each other: " + " → ".join(steps[i].id for i in reversed(ring)),
        hint="declare them in two changes, one apply after the other",
    )


def group(steps: Sequence[Step], limit: Callable[[Step], int]) -> list[Step]:
    """Give neighbouring transactional steps of one store and phase a common group: one transaction each.

    Args:
        limit: how many steps a transaction of this step's store may hold.
    """
    result: list[Step] = []
    number, size, current = 0, 0, None
    for step in steps:
        place: Hashable = (step.address.store, step.phase)
        if not step.transactional:
            current = None
            result.append(replace(step, group=None))
            continue
        if place != current or step.commit_before or size >= limit(step):
            number, size, current = number + 1, 0, place
        size += 1
        result.append(replace(step, group=f"g{number}"))
    return result
