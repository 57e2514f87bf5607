"""What of a plan still holds: whether the stores moved since it was made, and which steps of a broken run are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconcile.facts import Fact, Verb
from reconcile.model import Address, State, declared_only
from reconcile.plan import ABSENT, DEPENDENTS, EMPTY, Plan, dependents_print, fingerprint


def stale(plan: Plan, lives: Mapping[str, State], empty: Callable[[Address], bool]) -> list[str]:
    """What moved since the plan was made, one line each; empty where the plan still holds.

    Only what the plan touches, needs or depends on is looked at: unrelated changes do not void an approval.
    """
    users = _users(lives) if any(subject.endswith(DEPENDENTS) for subject in plan.fingerprints) else {}
    lines = (_moved(subject, was, lives, users, empty) for subject, was in plan.fingerprints.items())
    return [line for line in lines if line is not None]


def _users(lives: Mapping[str, State]) -> dict[str, list[str]]:
    """Address -> addresses of the live resources that refer to it."""
    found: dict[str, list[str]] = {}
    for resource in (r for state in lives.values() for r in state.values()):
        for target in resource.refers:
            found.setdefault(str(target), []).append(str(resource.address))
    return found


def _moved(
    subject: str,
    was: str,
    lives: Mapping[str, State],
    users: Mapping[str, list[str]],
    empty: Callable[[Address], bool],
) -> str | None:
    """What moved of one fingerprint, or None."""
    if subject.endswith(DEPENDENTS):
        name = subject.removesuffix(DEPENDENTS)
        names = sorted(users.get(name, ()))
        same = dependents_print(names) == was
        return None if same else f"{name}: others refer to it than when planned, now {', '.join(names) or 'nothing'}"
    address = Address.parse(subject.removesuffix(EMPTY))
    live = lives[address.store].get(address)
    if subject.endswith(EMPTY):
        now = str(empty(address)).lower() if live is not None else ABSENT
        return None if now == was else f"{address}: was {'empty' if was == 'true' else 'not empty'} when planned"
    now = fingerprint(live)
    if now == was:
        return None
    return f"{address}: {'is there now' if was == ABSENT else 'is gone' if now == ABSENT else 'has changed'}"


def holds(fact: Fact, plan: Plan, lives: Mapping[str, State]) -> bool:
    """Whether a fact is true of the live stores: the probe of a step whose journal entry is missing."""
    if fact.verb is Verb.DONE:
        return False
    address = Address.parse(fact.subject)
    live = lives[address.store].get(address)
    if fact.verb is Verb.NO:
        return live is None
    if fact.verb is Verb.HAS or live is None:
        return live is not None
    wanted = [c.after for c in plan.resource_changes if c.address == address and c.after is not None]
    if not wanted:
        return True
    # unset keys of some kinds are left as the server has them; of others an index that is not valid says so
    found = live.attributes()
    return bool((declared_only(found, wanted[-1]) if live.unset_is_unmanaged else found) == wanted[-1])


def remaining(plan: Plan, journal: Mapping[str, str], lives: Mapping[str, State]) -> set[str]:
    """Ids of the steps of an unfinished run that still have to run."""
    left = set()
    for steps in plan.groups:
        if all(journal.get(s.id) == "done" for s in steps):
            continue
        begun = any(s.id in journal for s in steps)
        proved = not any(s.journalled for s in steps) and all(holds(f, plan, lives) for s in steps for f in s.gives)
        if not (begun and proved):
            left |= {s.id for s in steps if journal.get(s.id) != "done"}
    return left
