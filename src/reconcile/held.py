"""Contract steps that wait for their release: what the ledger keeps of them. Pure.

Under `contract: held` every plan is made whole, and its contract steps are set apart: whether one waits follows from
the plan, not from the ledger. What the ledger adds is since when, by which run, how the stores looked then (a change
that is half carried out is no drift), and which steps were done that no catalog can show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass

from reconcile.change import Phase, Step
from reconcile.facts import Verb
from reconcile.model import Address, Json, State
from reconcile.plan import Plan, digest_of, fingerprint
from reconcile.planfile import call_to_json

_KEY = "held "
"""Before the address of the change, in what the ledger knows."""


@dataclass(frozen=True)
class Held:
    """A change whose contract steps wait."""

    run: str
    """The apply that held them back first."""
    since: float
    """When that ended, UTC seconds since 1970."""
    wanted: str
    """Of what the change leads to: another wish is another change."""
    live: Mapping[str, str]
    """Fingerprints after that apply of what the steps touch, by address."""
    done: tuple[Json, ...]
    """Each step of it that is done; see `_told`."""
    steps: tuple[str, ...]
    """Ids of the steps that wait."""
    describe: str
    hazards: tuple[str, ...] = ()
    prune: str = "none"
    """The `--prune` that planned it: without that no plan has it, and it waits all the same."""


def read(known: Mapping[str, Json]) -> dict[str, Held]:
    """What waits, by the address of the change."""
    return {
        key.removeprefix(_KEY): Held(
            **{
                **entry,
                "done": tuple(entry["done"]),
                "steps": tuple(entry["steps"]),
                "hazards": tuple(entry["hazards"]),
            }
        )
        for key, entry in known.items()
        if key.startswith(_KEY) and entry is not None
    }


def kept(
    plan: Plan,
    run: str,
    now: float,
    before: Mapping[str, Held],
    lives: Mapping[str, State],
    unsettled: Set[str] = frozenset(),
) -> dict[str, Held]:
    """What waits once the steps of a plan are done.

    Args:
        before: what waited before it.
        lives: the stores after it.
        unsettled: addresses that are not as declared after it. One whose own steps are all done waits for a step of
            another change, which finishes both.
    """
    own, waiting = _by_change(plan.steps), _by_change(plan.held)
    changes = {str(c.address): c for c in (*plan.resource_changes, *plan.held_changes)}
    waiting |= {a: [] for a in unsettled if plan.held and a in own and a not in waiting}
    waiting |= {a: [] for a in map(str, (c.address for c in plan.held_changes)) if a in before and a not in waiting}
    found = {
        a: row
        for a, row in before.items()
        if a not in own and a not in waiting and (not plan.complete or _unasked(a, row, plan, lives))
    }
    for address, steps in waiting.items():
        change, old, early = changes[address], before.get(address), own.get(address, ())
        if old is not None and old.wanted != digest_of(change.after):
            old = None
        if old is not None and not early:
            found[address] = old  # how it looks now may be somebody's doing
            continue
        touched = {Address.parse(f.subject) for s in (*steps, *early) for f in (*s.needs, *s.gives)
                   if f.verb is not Verb.DONE}  # fmt: skip
        there = {a: lives[a.store].get(a) for a in sorted({change.address, *touched})}
        live = {str(a): fingerprint(r) for a, r in there.items() if r is not None}
        found[address] = Held(
            run=old.run if old else run,
            since=old.since if old else now,
            wanted=digest_of(change.after),
            live={**(old.live if old else {}), **live},
            done=(*(old.done if old else ()), *map(_told, early)),
            steps=tuple(s.id for s in steps),
            describe=change.describe,
            hazards=tuple(sorted({h for s in steps for h in s.hazards})),
            prune=plan.options.prune if change.action_reason == "delete_because_pruned" else "none",
        )
    return found


PRUNES = ("none", "extra", "all")
"""Each removes more than those before it."""


def _unasked(address: str, row: Held, plan: Plan, lives: Mapping[str, State]) -> bool:
    """Whether a plan has not got it only because it was not asked for such removals."""
    where = Address.parse(address)
    return PRUNES.index(row.prune) > PRUNES.index(plan.options.prune) and where in lives.get(where.store, State())


def _told(step: Step) -> Json:
    """What a step that is done is known again by: its calls; of one that makes something, what it makes."""
    made = sorted(str(f) for f in step.gives if f.verb in (Verb.HAS, Verb.OK))
    return {"calls": [call_to_json(c) for c in step.calls], "made": made}


def entries(before: Mapping[str, Held], after: Mapping[str, Held]) -> dict[str, Json]:
    """What the ledger is to know then, as far as it does not; null for what waits no more."""
    gone: dict[str, Json] = {f"{_KEY}{a}": None for a in before if a not in after}
    return gone | {f"{_KEY}{a}": asdict(row) for a, row in after.items() if before.get(a) != row}


def left(own: Sequence[Step], wanted: Json, row: Held, lives: Mapping[str, State]) -> Sequence[Step]:
    """The steps of a change without those that an earlier apply has done.

    What it built is as it left it, or only its journal shows it. If anything else has to be done before the contract,
    that is worth nothing any more, and all of it is done again.

    Args:
        wanted: what the change leads to.
    """
    early = [s for s in own if s.phase is not Phase.CONTRACT]
    if row.wanted != digest_of(wanted) or not all(_done(s, row, lives) for s in early):
        return own
    return [s for s in own if s.phase is Phase.CONTRACT]


def _done(step: Step, row: Held, lives: Mapping[str, State]) -> bool:
    told = _told(step)
    if step.journalled:
        key = "calls" if step.calls else "made"  # without calls it waits for what was made
        return any(done[key] == told[key] for done in row.done)
    made = [Address.parse(f.subject) for f in step.gives if f.verb in (Verb.HAS, Verb.OK)]
    same = bool(made) and all(as_held(lives[a.store], a, (row,)) for a in made)
    return same and any(done["made"] == told["made"] for done in row.done)


def as_held(live: State, address: Address, rows: Iterable[Held]) -> bool:
    """Whether what stands at an address is as an apply left it whose contract steps wait."""
    resource = live.get(address)
    now = "" if resource is None else fingerprint(resource)
    return any(row.live.get(str(address)) == now for row in rows)


def _by_change(steps: Iterable[Step]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.id.rpartition("/")[0], []).append(step)
    return found


def owners(steps: Iterable[Step]) -> Iterator[str]:
    """The addresses of their changes, each once."""
    yield from _by_change(steps)
