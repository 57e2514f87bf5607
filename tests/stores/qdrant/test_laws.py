"""The laws of changes, without a server: apply_to reaches the goal, nothing of nothing, reverse undoes, steps hold."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.change_classes import concrete
from tests.stores.qdrant.store import context

from reconcile.change import Change, Irreversible, Server, World
from reconcile.diff import Difference, Options, diff
from reconcile.facts import Verb
from reconcile.ledger_rows import Applied
from reconcile.model import Address, State
from reconcile.plan import StoreView, build
from reconcile.policy import Policy
from reconcile.stores.base import Live
from reconcile.stores.qdrant import PACKAGE
from reconcile.stores.qdrant.canonical import canonical
from reconcile.stores.qdrant.resources import Collection, collection_address
from reconcile.yamlio import parse

STATES = {
    "empty": "collections: {}",
    "one": """
collections:
  c:
    vector: {dimensions: 4, distance: dot}
    hnsw: {m: 16, on_disk: false}
    quantization: {scalar: {type: int8}}
    shard_number: 1
    payload_indexes: {k: keyword, n: integer}
aliases: {live: c}
""",
    "tuned": """
collections:
  c:
    vector: {dimensions: 4, distance: dot, on_disk: true, hnsw: {m: 5}}
    sparse_vectors: {}
    hnsw: {m: 32, on_disk: true}
    quantization: {binary: {}}
    shard_number: 1
    payload_indexes: {k: {type: keyword, is_tenant: true}, n: float, t: text}
    metadata: {owner: x}
aliases: {live: c, other: c}
""",
    "sharded": """
collections:
  c:
    vector: {dimensions: 4, distance: dot}
    hnsw: {m: 16, on_disk: false}
    shard_number: 2
    payload_indexes: {k: keyword}
  d: {versioned: false, vectors: {a: {dimensions: 3, distance: cosine}}}
aliases: {live: c, third: d}
""",
    "other": """
collections:
  c: {vectors: {a: {dimensions: 3, distance: cosine}}, sparse_vectors: {s: {}}, shard_number: 1}
  d: {versioned: false, vectors: {a: {dimensions: 5, distance: cosine}}}
aliases: {live: c, second: d}
""",
}
PAIRS = list(permutations(STATES, 2))
STATES["copied"] = STATES["sharded"].replace(
    "shard_number: 2", "shard_number: 3\n    on_change: copy\n    writes: frozen"
)
STATES["adopted"] = STATES["sharded"].replace("versioned: false", "versioned: true, on_change: copy, writes: dual")
STATES["retired"] = STATES["one"]
STATES["later_one"] = """
collections:
  c: {vectors: {a: {dimensions: 3, distance: cosine}}, sparse_vectors: {s: {}}, metadata: {k: 1, l: 2}}
"""
STATES["later_two"] = """
collections:
  c:
    vectors:
      a: {dimensions: 3, distance: cosine, on_disk: true}
      b: {dimensions: 5, distance: dot, datatype: float16, hnsw: {m: 8}}
    sparse_vectors: {s: {}, t: {modifier: idf, index: {on_disk: true, datatype: float16}}}
    metadata: {k: null, l: 3}
"""
PAIRS += [("later_one", "later_two"), ("later_two", "later_one")]
PAIRS += [("sharded", "copied"), ("one", "copied"), ("sharded", "adopted"), ("retired", "one"), ("retired", "tuned")]


def declared(name: str) -> State:
    (document,) = parse(f"store: v\n{STATES[name]}", "v.yaml")
    asked = context()
    state = State.of(PACKAGE.parse([document], asked))
    assert asked.problems == []
    return state


def live_of(name: str) -> Live:
    """What the state would be like live: generations named, nothing left to fill."""
    state = canonical(declared(name), Live(State())).state
    if name == "retired":
        c = collection_address("v", "c")
        old = Address("v", "collection", ("c__v0",))
        state = state.add(Collection(address=old, stage="retired", of="c", container=c))
    return Live(
        State.of(
            r.replace(
                last_generation=r.generation or 0,
                declared=None,
                names_in_place=name.startswith("later"),  # a server that can add and remove named vectors
                metadata={k: v for k, v in (r.metadata or {}).items() if v is not None} or None,
            )
            if isinstance(r, Collection)
            else r
            for r in state.values()
        )
    )


def differ(desired: State, live: Live) -> Difference:
    before = {a: Applied.of(a, {}, {}, "", a, "r") for a in live.state}  # all of it was applied before
    return diff(desired, live, before, PACKAGE, Policy(), lambda a, c: "managed", Options())


def world(live: State, changes: tuple[Change, ...]) -> World:
    target = live
    for change in changes:
        target = change.apply_to(target)
    return World("v", Server("v", "qdrant", "1.16.3"), live, target, empty=lambda a: True)


@pytest.mark.parametrize("name", [name for name in STATES if name != "retired"])
def test_a_state_against_itself_is_empty(name: str) -> None:
    live = live_of(name)
    assert differ(canonical(declared(name), live).state, live).changes == ()


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_canonical_twice_is_once(old: str, new: str) -> None:
    live = live_of(old)
    once = canonical(declared(new), live).state
    twice = canonical(once, live).state
    assert dict(twice) == dict(once)
    assert [(r.name, r.declared) for r in twice.values()] == [(r.name, r.declared) for r in once.values()]


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_changes_reach_the_goal_and_reverse_undoes_them(old: str, new: str) -> None:
    live = live_of(old)
    desired = canonical(declared(new), live).state
    changes = differ(desired, live).changes
    assert changes
    state = world(live.state, changes).target
    assert dict(state) == dict(desired)
    for change in reversed(changes):
        back = change.reverse()
        if isinstance(back, Irreversible):
            assert back.reason
            state = state.add(change.before) if change.before else state
        else:
            state = back.apply_to(state)
    assert dict(state) == dict(live.state)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_steps_are_ordered_and_give_what_is_promised(old: str, new: str) -> None:
    live = live_of(old)
    desired = canonical(declared(new), live).state
    found = differ(desired, live)
    view = StoreView("v", Server("v", "qdrant", "1.16.3"), PACKAGE.ranks, found, empty=lambda a: True)
    steps = build([view]).steps
    given = {f for s in steps for f in s.gives}
    for change in found.changes:
        assert change.describe()
        verb = Verb.NO if change.after is None else Verb.OK
        subject = str(change.address)
        gone_with_target = change.address.kind == "payload_index" and change.after is None
        assert gone_with_target or any(f.verb is verb and f.subject == subject for f in given), str(change.address)
    assert all(s.id.startswith(str(s.address)) and not s.transactional for s in steps)


def test_every_change_class_is_used_here() -> None:
    used = {
        type(change).__name__
        for old, new in PAIRS
        for change in differ(canonical(declared(new), live_of(old)).state, live_of(old)).changes
    }
    assert used | {"RestoreCollection"} == concrete("qdrant")
