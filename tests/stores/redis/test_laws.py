"""The laws of changes, without a server: apply_to reaches the goal, nothing of nothing, reverse undoes, steps hold."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from tests.change_classes import concrete

from reconcile.change import Change, Irreversible, Server, World
from reconcile.diff import Difference, Options, diff
from reconcile.embeddings import Distance, Embedding
from reconcile.facts import Verb
from reconcile.ledger_rows import Applied
from reconcile.model import Source, State
from reconcile.plan import StoreView, build
from reconcile.policy import Policy
from reconcile.stores.base import Context, Live, StoreSpec
from reconcile.stores.redis import PACKAGE
from reconcile.stores.redis.canonical import canonical
from reconcile.yamlio import parse

STATES = {
    "plain": """
config: {maxmemory: 100mb, maxmemory-policy: allkeys-lru, timeout: 0, hz: 10}
indexes:
  docs: {fields: {title: text, embedding: {embedding: passages}}}
  gone: {prefixes: ["g:"], fields: {x: tag}}
""",
    "tuned": """
config_file: rewrite
config: {maxmemory: 64mb, maxmemory-policy: allkeys-lru, timeout: 60, hz: 10}
indexes:
  docs: {fields: {title: text, embedding: {embedding: passages}, year: {type: numeric, sortable: true}}}
families: {a: {pattern: "a:{x}", renamed_from: "b:{x}"}, c: {pattern: "c:*"}}
""",
    "other": """
config: {maxmemory: 0, maxmemory-policy: noeviction, timeout: 60, hz: 20}
indexes:
  docs: {language: german, fields: {title: {type: text, weight: 2}, embedding: {embedding: passages, algorithm: flat}}}
  new: {"on": json, fields: {a: {type: tag, path: $.a}}}
families: {c: {pattern: "c:*", renamed_from: "d:*"}}
""",
}
PAIRS = list(permutations(STATES, 2))


def declared(name: str) -> State:
    (document,) = parse(f"store: s\n{STATES[name]}", "s.yaml")
    source = Source("reconcile.yaml", 1)
    embedding = Embedding("passages", "m", 3, Distance.COSINE)
    context = Context(StoreSpec("s", "redis", {}, source, Path()), {"passages": embedding})
    state = State.of(PACKAGE.parse([document], context))
    assert context.problems == []
    return state


def live_of(name: str) -> Live:
    """What the state would be like live; there are no families in a store."""
    state = declared(name).filter(lambda r: r.address.kind != "family")
    return Live(State.of(r.replace(declared=None, source=None) for r in state.values()))


def wanted(name: str, live: Live) -> State:
    return canonical(declared(name), live, lambda pattern: True).state


def differ(desired: State, live: Live) -> Difference:
    before = {a: Applied.of(a, {}, {}, "", a, "r") for a in live.state}  # all of it was applied before
    return diff(desired, live, before, PACKAGE, Policy(), lambda a, c: "managed", Options(prune="all"))


def world(live: State, changes: tuple[Change, ...]) -> World:
    target = live
    for change in changes:
        target = change.apply_to(target)
    return World("s", Server("s", "redis", "8.2.3"), live, target, empty=lambda a: True)


@pytest.mark.parametrize("name", STATES)
def test_a_state_against_itself_is_empty(name: str) -> None:
    live = live_of(name)
    assert differ(canonical(declared(name), live, lambda pattern: False).state, live).changes == ()


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_changes_reach_the_goal_and_reverse_undoes_them(old: str, new: str) -> None:
    live = live_of(old)
    desired = wanted(new, live)
    assert dict(canonical(desired, live, lambda pattern: True).state) == dict(desired), "twice is once"
    changes = differ(desired, live).changes
    assert changes
    state = world(live.state, changes).target
    planned = desired.filter(lambda r: not r.only_verified)
    assert dict(state.filter(lambda r: r.address in desired)) == dict(planned)
    for change in reversed(changes):
        back = change.reverse()
        if isinstance(back, Irreversible):
            assert back.reason
            state = state.without(change.address) if change.before is None else state.add(change.before)
        else:
            state = back.apply_to(state)
    assert dict(state) == dict(live.state)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_steps_are_ordered_and_give_what_is_promised(old: str, new: str) -> None:
    live = live_of(old)
    found = differ(wanted(new, live), live)
    view = StoreView("s", Server("s", "redis", "8.2.3"), PACKAGE.ranks, found, empty=lambda a: True)
    steps = build([view]).steps
    given = {f for s in steps for f in s.gives}
    for change in found.changes:
        assert change.describe()
        verb = Verb.NO if change.after is None else Verb.OK
        assert any(f.verb is verb and f.subject == str(change.address) for f in given), str(change.address)
    assert all(s.id.startswith(str(s.address)) and not s.transactional for s in steps)


def test_every_change_class_is_used_here() -> None:
    used = {type(c).__name__ for old, new in PAIRS for c in differ(wanted(new, live_of(old)), live_of(old)).changes}
    assert used == concrete("redis")
