"""The order of steps, from what they need and give. Near-linear; pure."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from reconcile.change import Step
from reconcile.errors import PlanError, UnmetError
from reconcile.facts import Fact, Verb

Key = Callable[[Step], tuple[Any, ...]]


def order(
    steps: Sequence[Step],
    holds: Callable[[Fact], bool],
    key: Key,
    waits: Mapping[str, Set[Fact]] = MappingProxyType({}),
) -> list[Step]:
    """Steps in the order they can run, phases raised to those of what they wait for.

    Args:
        steps: of all stores; those of one change stand together and keep their order.
        holds: whether a fact is true of the live stores now.
        key: ranks steps that could run next; the smallest goes first, after its phase.
        waits: by step, which of its needs mean what the plan makes, even if the step removes something: `after:`.

    Raises:
        PlanError: a need that nothing satisfies, or a cycle; names both ends.
    """
    return parted(steps, holds, key, waits)[0]


@dataclass(frozen=True)
class Choice:
    """Which steps of a plan run. A step that waits keeps back all that come after it."""

    waits: Callable[[Step], bool] = lambda step: False
    """Whether a step, in the phase it has by what it waits for, is kept back."""
    chosen: Callable[[Step], bool] | None = None
    """Whether a step was asked for: it runs with the changes that it waits for, and nothing else does."""


ALL = Choice()


def parted(
    steps: Sequence[Step],
    holds: Callable[[Fact], bool],
    key: Key,
    waits: Mapping[str, Set[Fact]] = MappingProxyType({}),
    choice: Choice = ALL,
) -> tuple[list[Step], list[Step]]:
    """`order`, parted into what runs and what does not, by `choice`; each in order.

    Raises:
        PlanError: see `order`.
    """
    after = _edges(steps, holds, waits)
    found, result = _ordered(steps, after, key)
    if choice.chosen is None:
        kept = _following(after, [i for i, step in enumerate(found) if choice.waits(step)])
        runs = set(range(len(steps))) - kept
    else:
        runs = _needed(found, after, [i for i, step in enumerate(found) if choice.chosen(step)])
    return [found[i] for i in result if i in runs], [found[i] for i in result if i not in runs]


def _following(after: Sequence[Sequence[int]], start: Iterable[int]) -> set[int]:
    """These and all that comes after them."""
    found, todo = set[int](), list(start)
    while todo:
        if (i := todo.pop()) not in found:
            found.add(i)
            todo += after[i]
    return found


def _needed(steps: Sequence[Step], after: Sequence[Sequence[int]], start: Iterable[int]) -> set[int]:
    """These, all that must run before them, and the rest of the changes that those belong to."""
    before, own = defaultdict(list), defaultdict(list)
    for i, targets in enumerate(after):
        own[_change(steps[i])].append(i)
        for target in targets:
            before[target].append(i)
    found, todo = set[int](), list(start)
    while todo:
        if (i := todo.pop()) not in found:
            found.add(i)
            todo += [*before[i], *own[_change(steps[i])]]
    return found


def _ordered(steps: Sequence[Step], after: Sequence[Sequence[int]], key: Key) -> tuple[list[Step], list[int]]:
    """The steps with their phases raised, and the order they can run in."""
    indegree = [0] * len(steps)
    for targets in after:
        for target in targets:
            indegree[target] += 1
    phases = [step.phase for step in steps]
    ready = [i for i, n in enumerate(indegree) if n == 0]
    seen, left = list(ready), list(indegree)
    for i in seen:  # phases first: a step is in no earlier phase than what it waits for
        for target in after[i]:
            if phases[i].rank > phases[target].rank:
                phases[target] = phases[i]
            left[target] -= 1
            if left[target] == 0:
                seen.append(target)
    if len(seen) < len(steps):
        raise _cycle(steps, after, set(range(len(steps))) - set(seen))
    heap = [(phases[i].rank, key(steps[i]), i) for i in ready]
    heapq.heapify(heap)
    result: list[int] = []
    while heap:
        _, _, i = heapq.heappop(heap)
        result.append(i)
        for target in after[i]:
            indegree[target] -= 1
            if indegree[target] == 0:
                heapq.heappush(heap, (phases[target].rank, key(steps[target]), target))
    found = [step if phases[i] is step.phase else replace(step, phase=phases[i]) for i, step in enumerate(steps)]
    if _torn([found[i] for i in result]):
        result = _drawn_together(found, after, result)
    return found, result


def _again(steps: Sequence[Step]) -> dict[int, int]:
    """Where an object is dropped and where the same change makes it again, in transactions both: index by index."""
    dropped: dict[tuple[str, str], int] = {}
    pairs: dict[int, int] = {}
    for i, step in enumerate(steps):
        if not step.transactional:
            continue
        for fact in step.needs:
            if fact.verb is Verb.NO and (drop := dropped.get((_change(step), fact.subject))) is not None:
                pairs.setdefault(drop, i)
        for fact in step.gives:
            if fact.verb is Verb.NO:
                dropped[_change(step), fact.subject] = i
    return pairs


_LONG = 100
"""Steps between a drop and what undoes it, from which on the limit of a transaction might fall between them."""


def _torn(steps: Sequence[Step]) -> bool:
    """Whether a commit would come, or might, between a drop and the making again."""
    pairs = _again(steps)
    if not pairs:
        return False
    commits = list(accumulate(step.commit_before or not step.transactional for step in steps))
    return any(commits[a] != commits[b] or b - a > _LONG for a, b in pairs.items())


def _drawn_together(steps: Sequence[Step], after: Sequence[Sequence[int]], sequence: Sequence[int]) -> list[int]:
    """`sequence` with drops as late as what waits for them lets them be, and the making again as early as it can.

    Without a policy others see rows they should not, or none; without a view they fail: no commit should fall into
    that time. A step moves within its phase and store only.
    """
    place = {i: (n, 0) for n, i in enumerate(sequence)}
    pairs = {sequence[a]: sequence[b] for a, b in _again([steps[i] for i in sequence]).items()}

    def near(i: int, other: int) -> bool:
        return (steps[i].address.store, steps[i].phase) == (steps[other].address.store, steps[other].phase)

    for i in reversed(sequence):
        if i in pairs and after[i]:
            first = min(after[i], key=place.__getitem__)
            if near(i, first):
                place[i] = (place[first][0], place[first][1] - 1)
    made, before = set(pairs.values()), defaultdict(list)
    for i, targets in enumerate(after):
        for target in targets:
            before[target].append(i)
    for i in sequence:
        if i in made:
            last = max(before[i], key=place.__getitem__)
            if near(i, last):
                place[i] = (place[last][0], place[last][1] + 1)
    return sorted(sequence, key=place.__getitem__)


def _edges(steps: Sequence[Step], holds: Callable[[Fact], bool], waits: Mapping[str, Set[Fact]]) -> list[list[int]]:
    """For each step, those that must wait for it."""
    givers: Mapping[Fact, list[int]] = defaultdict(list)
    made = {fact.subject for step in steps for fact in step.gives if fact.verb is Verb.HAS}
    for i, step in enumerate(steps):
        for fact in step.gives:
            givers[fact].append(i)
            if fact.verb is Verb.OK and fact.subject not in made:  # else it is there before it is as declared
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
            if sources and need in waits.get(step.id, ()):
                for g in sources:
                    after[g].add(i)
            elif need.verb in (Verb.HAS, Verb.OK) and removers and (removes or not sources):
                for g in removers:  # it needs the object that goes
                    after[i].add(g)
            elif sources:
                for g in sources:
                    if _change(steps[g]) != _change(step) or g < i:
                        after[g].add(i)
            elif not holds(need):
                raise UnmetError(
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
    groups: list[int | None] = []
    number, size, current = 0, 0, None
    pairs = _again(steps)
    for i, step in enumerate(steps):
        place: Hashable = (step.address.store, step.phase)
        if not step.transactional:
            current = None
            groups.append(None)
            continue
        if place != current or step.commit_before or size >= limit(step):
            taken = _dropped_just_before(pairs, i, size) if place == current else 0
            number, size, current = number + 1, taken, place
            groups[i - taken :] = [number] * taken
        size += 1
        groups.append(number)
    return [replace(s, group=None if g is None else f"g{g}") for s, g in zip(steps, groups, strict=True)]


def _dropped_just_before(pairs: Mapping[int, int], i: int, size: int) -> int:
    """How many steps right before step `i`, less than `size`, drop what is made again only after it."""
    count = 0
    while count + 1 < size and pairs.get(i - count - 1, -1) >= i:
        count += 1
    return count
