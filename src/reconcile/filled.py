"""Rules over rows that a change of data of the same plan writes come after it, and are asked about only then. Pure.

A NOT NULL of a column that a backfill fills would be refused, were its NULLs counted before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconcile.change import Op, Phase, Step
from reconcile.facts import Fact, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource

if TYPE_CHECKING:
    from reconcile.change import Change

_WORD = re.compile(r"\w+")


def words(*texts: object) -> frozenset[str]:
    """The words of some texts, in lower case."""
    return frozenset(word.lower() for text in texts if text is not None for word in _WORD.findall(str(text)))


@dataclass(frozen=True)
class Writing:
    """Rows that a change of data writes, as far as its text tells: rather too many than too few."""

    store: str
    places: frozenset[str]
    """Words among which is the name of what has the rows."""
    fields: frozenset[str] | None
    """Words among which are the names of the fields it sets; None: any may be."""

    def concerns(self, resource: Resource) -> bool:
        """Whether a rule, or a column, is about rows that it writes."""
        places, fields = resource.about
        if resource.address.store != self.store or not any(words(place) <= self.places for place in places):
            return False
        return self.fields is None or not fields or any(words(field) <= self.fields for field in fields)


def writings(changes: Iterable[Change]) -> dict[Address, tuple[Writing, ...]]:
    """By the address of a change of data what it writes."""
    found = {change.address: tuple(change.writes()) for change in changes}
    return {address: own for address, own in found.items() if own}


def marked(steps: Sequence[Step], changes: Sequence[Change]) -> list[Step]:
    """The steps, with `asked_after` where rows decide about them that a change of data writes."""
    written = writings(changes)
    if not written:
        return list(steps)
    after: dict[str, tuple[Address, ...]] = {}
    for change in changes:
        own = tuple(a for a, some in written.items() if any(w.concerns(change.resource) for w in some))
        if own and change.address not in written:
            after[str(change.address)] = own
    return [
        replace(step, asked_after=after[owner])
        if (owner := step.id.rpartition("/")[0]) in after and _depends_on_rows(step)
        else step
        for step in steps
    ]


def _depends_on_rows(step: Step) -> bool:
    return Hazard.DEPENDS_ON_DATA in step.hazards or any(getattr(c, "op", "") == "no_rows" for c in step.preconditions)


def settled(steps: Sequence[Step]) -> list[Step]:
    """The steps, with what is asked after a change of data waiting for that; but nothing that it waits for itself."""
    if not any(step.asked_after for step in steps):
        return list(steps)
    givers: dict[Fact, list[Step]] = {}
    for step in steps:
        for fact in step.gives:
            givers.setdefault(fact, []).append(step)
    before: dict[Address, frozenset[str]] = {}
    for step in steps:
        for address in step.asked_after:
            if address not in before:
                before[address] = _needed(givers.get(ok(address), ()), givers)
    return [_waiting(step, before) for step in steps]


def _waiting(step: Step, before: Mapping[Address, frozenset[str]]) -> Step:
    after = tuple(address for address in step.asked_after if step.id not in before[address])
    return replace(step, asked_after=after, needs=step.needs | {ok(a) for a in after}) if step.asked_after else step


def _needed(start: Iterable[Step], givers: Mapping[Fact, Sequence[Step]]) -> frozenset[str]:
    """Ids of these steps and of all that they need."""
    found, todo = set[str](), list(start)
    while todo:
        if (step := todo.pop()).id not in found:
            found.add(step.id)
            todo += [giver for fact in step.needs for giver in givers.get(fact, ())]
    return frozenset(found)


def now_asked(steps: Iterable[Step]) -> list[Step]:
    """Steps that are to run, asked about their rows as soon as nothing of what they come after is still to run."""
    own = list(steps)
    pending = {fact for step in own for fact in step.gives}
    return [
        replace(step, asked_after=tuple(a for a in step.asked_after if ok(a) in pending)) if step.asked_after else step
        for step in own
    ]


def run_once(address: Address, call: Op, hazards: Iterable[Hazard], needs: Iterable[Fact] = ()) -> Step:
    """The one step of what changes data: never repeated, transactions of its own; only a journal knows it is done."""
    return Step(
        id=f"{address}/1-run",
        address=address,
        calls=(call,),
        phase=Phase.MIGRATE,
        needs=frozenset(needs),
        gives=frozenset({ok(address)}),
        transactional=False,
        journalled=True,
        hazards=frozenset(hazards),
        retry=False,
    )
