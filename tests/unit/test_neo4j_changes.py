"""Neo4j changes without a server: the laws, the steps, the order, the refusals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.change_classes import concrete

from reconcile.change import Action, Change, Cypher, Irreversible, Phase, Server, Step, World
from reconcile.errors import PlanError, Unchecked
from reconcile.facts import Fact, no, ok
from reconcile.hazards import Hazard
from reconcile.leftovers import left_behind, marked, settled
from reconcile.model import Address, Resource, State
from reconcile.narrow import Options
from reconcile.order import group, order
from reconcile.plan import Plan, ResourceChange
from reconcile.stores.base import Live
from reconcile.stores.neo4j import PACKAGE, checks, cypher, introspect, privileges
from reconcile.stores.neo4j.canonical import canonical
from reconcile.stores.neo4j.resources import Check, Constraint, Index, SchemaObject, constraint_address, index_address

COMMUNITY = Server("graph", "neo4j", "5.26.12", "community")
ENTERPRISE = Server("graph", "neo4j", "5.26.12", "enterprise")


def unique(name: str, *properties: str, label: str = "P", kind: str = "unique", **more: object) -> Constraint:
    return Constraint(
        address=constraint_address("graph", name),
        labels=(label,),
        properties=properties,
        kind=kind,
        **more,  # type: ignore[arg-type]
    )


def ranged(name: str, *properties: str, label: str = "P", **more: object) -> Index:
    return Index(address=index_address("graph", name), labels=(label,), properties=properties, **more)  # type: ignore[arg-type]


def world(
    live: Iterable[Resource], target: Iterable[Resource], empty: bool = False, server: Server = COMMUNITY
) -> World:
    return World("graph", server, State.of(live), State.of(target), {}, lambda _: empty)


def planned(live: list[Resource], desired: list[Resource], empty: bool = False) -> list[Step]:
    """The steps of all changes, ordered and grouped."""
    before, after = State.of(live), State.of(desired)
    changes = [PACKAGE.change(before.get(a), after.get(a)) for a in {**before, **after}]
    found = world(live, desired, empty)
    steps = [s for c in changes if c for s in c.steps(found)]

    def holds(fact: Fact) -> bool:
        address = Address.parse(fact.subject)
        return (address in before) != (fact.verb == "no")

    return group(order(steps, holds, lambda s: (PACKAGE.ranks[s.address.kind], str(s.address))), lambda _: 100)


def ids(steps: Iterable[Step]) -> list[str]:
    return [f"{s.id.removeprefix('graph.')} {s.group}" for s in steps]


OBJECTS: list[SchemaObject] = [
    unique("u", "a"),
    unique("u", "a", "b"),
    unique("u", "a", label="Q"),
    unique("u", "a", kind="key"),
    unique("u", "a", kind="exists"),
    unique("u", "a", kind="type", type="DATE"),
    unique("u", "a", kind="type", type="STRING"),
    Constraint(address=constraint_address("graph", "u"), relationships=("R",), properties=("a",), kind="unique"),
    ranged("i", "a"),
    ranged("i", "a", "b"),
    ranged("i", "a", kind="text"),
    ranged("i", "a", kind="point", spatial={"wgs-84": {"min": (0.0, 0.0)}}),
    ranged("i", "a", kind="fulltext", analyzer="english"),
    ranged("i", "a", kind="fulltext", analyzer="german"),
    ranged("i", "a", "b", kind="fulltext", analyzer="english"),
    ranged("i", "a", "b", kind="fulltext", analyzer="german"),
    ranged("i", "a", "b", kind="fulltext", analyzer="german", replace_how="in_place"),
    ranged("i", "e", kind="vector", dimensions=4, similarity="cosine"),
    ranged("i", "e", "year", kind="vector", dimensions=4, similarity="cosine"),
    ranged("i", "a", kind="vector", dimensions=3, similarity="cosine"),
    ranged("i", "a", kind="vector", dimensions=3, similarity="cosine", hnsw={"m": 8}),
    ranged("i", "a", state="failed", failure="too long"),
]
PAIRS = [
    (b, a)
    for b in [None, *OBJECTS]
    for a in [None, *(o for o in OBJECTS if not (isinstance(o, Index) and o.state == "failed"))]
    if (b or a) is not None and (b is None or a is None or b.address == a.address)
]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_laws_of_every_change(before: SchemaObject | None, after: SchemaObject | None) -> None:
    change = PACKAGE.change(before, after)
    if before == after:
        assert change is None
        return
    assert change is not None
    live, target = State.of([before] if before else []), State.of([after] if after else [])
    assert dict(change.apply_to(live)) == dict(target)
    assert change.describe()
    found = world([before] if before else [], [after] if after else [], empty=True, server=ENTERPRISE)
    steps = change.steps(found)
    assert steps
    assert all(s.id.startswith(f"{change.address}/") for s in steps)
    assert len({s.id for s in steps}) == len(steps)
    assert all(s.transactional for s in steps)
    assert not any("IF NOT EXISTS" in c.cypher for s in steps for c in s.calls if isinstance(c, Cypher))
    back = change.reverse()
    if isinstance(back, Irreversible):
        assert isinstance(before, Index)
        assert before.state == "failed"
    elif not (isinstance(before, Index) and before.state == "failed"):
        assert dict(back.apply_to(target)) == dict(live)


@pytest.mark.parametrize("before", [unique("c", "a"), ranged("c", "a")])
def test_a_rename_and_its_reverse(before: Resource) -> None:
    declared = before.address.__class__("graph", before.address.kind, ("wanted",))
    found = before.replace(address=declared, live_name="c")
    change = PACKAGE.rename(found, before.replace(address=declared))
    assert change.action is Action.RENAME
    assert change.describe() == "c → wanted"
    back = change.reverse()
    assert isinstance(back, Change)
    assert back.describe() == "wanted → c"
    steps = change.steps(world([found], [before.replace(address=declared)]))
    texts = [c.params["name"] for s in steps for c in s.calls if isinstance(c, Cypher)]
    assert texts == ["c", "wanted"]
    apart = isinstance(before, Constraint)
    assert [s.commit_before for s in steps] == ([False, True] if apart else [False])


FULL = ranged("f", "title", "body", kind="fulltext", label="Doc", analyzer="english")


def calls(steps: Iterable[Step]) -> list[tuple[str, str]]:
    """(first two words, name) of each statement."""
    texts = [c for s in steps for c in s.calls if isinstance(c, Cypher)]
    return [(c.cypher.split(" INDEX")[0], c.params["name"]) for c in texts]


def test_a_full_text_index_is_built_beside_in_another_order_and_the_old_one_goes_in_contract() -> None:
    after = FULL.replace(analyzer="german")
    change = PACKAGE.change(FULL, after)
    assert change is not None
    assert change.action is Action.CREATE_DELETE
    assert change.strategy is not None
    assert "f__v2" in change.strategy
    steps = planned([FULL], [after])
    assert calls(steps) == [("CREATE FULLTEXT", "f__v2"), ("DROP", "f")]
    create = steps[0].calls[0]
    assert isinstance(create, Cypher)
    assert "ON EACH [n.`body`, n.`title`]" in create.cypher
    assert [s.phase for s in steps] == [Phase.EXPAND, Phase.CONTRACT]
    assert steps[0].after_commit, "the old one goes when the new one is ONLINE"
    assert [s.hazards for s in steps] == [{Hazard.BUILDS_INDEX}, {Hazard.BREAKS_CLIENTS}]
    assert steps[0].group != steps[1].group


def test_what_was_built_beside_before_is_gone_on_with() -> None:
    after = FULL.replace(analyzer="german")
    made = ranged("f__v2", "body", "title", kind="fulltext", label="Doc", analyzer="german")
    for found, expected in (
        (made, [("DROP", "f")]),
        (made.replace(state="failed"), [("DROP", "f"), ("CREATE FULLTEXT", "f")]),
        (
            made.replace(state="failed", left_for="f"),
            [("DROP", "f__v2"), ("CREATE FULLTEXT", "f__v2"), ("DROP", "f")],
        ),
        (made.replace(analyzer="french"), [("DROP", "f"), ("CREATE FULLTEXT", "f")]),
    ):
        (declared,) = canonical(State.of([after]), Live(State.of([FULL, found])), list).state.values()
        change = PACKAGE.change(FULL, declared)
        assert change is not None
        steps = change.steps(world([FULL, found], [declared, found]))
        assert calls(steps) == expected
        made_anew = [c.cypher for c in steps[0].calls if isinstance(c, Cypher) and "f__v2" in c.params["name"]]
        assert all("n.`body`, n.`title`" in text for text in made_anew if text.startswith("CREATE"))
        assert list(change.takes(State.of([found]))) == ([found.address] if expected[-1] == ("DROP", "f") else [])


def test_what_is_pruned_makes_way_for_the_one_built_beside() -> None:
    made = ranged("f__v2", "body", "title", kind="fulltext", label="Doc", analyzer="french")
    steps = planned([FULL, made], [FULL.replace(analyzer="german")])
    assert calls(steps) == [("DROP", "f__v2"), ("CREATE FULLTEXT", "f__v2"), ("DROP", "f")]


def test_what_an_abandoned_run_left_is_known_by_the_ledger_alone() -> None:
    after = FULL.replace(analyzer="german")
    steps = tuple(planned([FULL], [after]))
    change = ResourceChange(FULL.address, ("create", "delete"), FULL.attributes(), after.attributes(), "")
    plan = Plan("p", "e", Options(), True, (), None, (change,), steps, {})
    assert left_behind(plan, {}) == {}, "not begun"
    known = left_behind(plan, {"graph.index.f/0-build": "begun"})
    assert list(known) == ["left graph.index.f__v2"]
    helper = ranged(
        "f__v2", "body", "title", kind="fulltext", label="Doc", analyzer="german", eventually_consistent=True
    )

    def leftovers(*live: Resource, homes: dict[Address, Address] | None = None) -> list[str]:
        found = marked(Live(State.of(live), homes=homes or {}), known).state
        return [r.name for r in found.values() if r.leftover_of == "f"]

    assert leftovers(FULL, helper) == ["f__v2"]
    assert leftovers(FULL, helper.replace(state="failed")) == ["f__v2"]
    assert leftovers(FULL, helper.replace(analyzer="czech")) == [], "made by somebody since"
    assert leftovers(helper) == [], "what it was to replace is gone: it has taken its place"
    assert leftovers(FULL, helper, homes={FULL.address: helper.address}) == [], "applied meanwhile"
    assert settled(known, {"graph": State.of([FULL])}) == {"left graph.index.f__v2": None}
    other = Step(id="graph.index.f/3-x", address=constraint_address("graph", "y"), phase=Phase.EXPAND, calls=())
    plan = Plan("p", "e", Options(), True, (), None, (change,), (*steps, other), {})
    assert left_behind(plan, {"graph.index.f/3-x": "done"}) == {}, "of its own kind only"


def test_the_next_one_beside_takes_the_declared_name() -> None:
    change = PACKAGE.change(FULL.replace(live_name="f__v2"), FULL.replace(analyzer="german"))
    assert change is not None
    assert calls(change.steps(world([FULL], [FULL]))) == [("CREATE FULLTEXT", "f"), ("DROP", "f__v2")]


@pytest.mark.parametrize(
    ("before", "after", "beside"),
    [
        (FULL, FULL.replace(analyzer="german", replace_how="in_place"), False),
        (FULL, FULL.replace(labels=("Doc", "Note")), True),
        (FULL.replace(properties=("t",)), FULL.replace(properties=("t",), analyzer="german"), False),
        (
            FULL.replace(properties=("t",), labels=("A", "B")),
            FULL.replace(properties=("t",), labels=("A", "B"), eventually_consistent=True),
            True,
        ),
        (FULL.replace(state="failed"), FULL.replace(analyzer="german"), False),
        (FULL, FULL.replace(kind="range", analyzer=None), False),
    ],
)
def test_which_way_an_index_is_replaced(before: Index, after: Index, beside: bool) -> None:
    change = PACKAGE.change(before, after)
    assert change is not None
    assert (change.action is Action.CREATE_DELETE) == beside


def test_beside_is_refused_where_the_server_has_no_room_or_the_policy_wants_the_name() -> None:
    before = ranged("v", "e", kind="vector", dimensions=4, hnsw={"m": 8})
    after = before.replace(hnsw={"m": 16}, replace_how="beside")
    change = PACKAGE.change(before, after)
    assert change is not None
    with pytest.raises(PlanError, match=r"no second vector index on \(:P\)\.e"):
        change.steps(world([before], [after], empty=True))
    renamed = PACKAGE.change(FULL, FULL.replace(analyzer="german"))
    assert renamed is not None
    enforced = World("graph", COMMUNITY, State.of([FULL]), State.of([FULL]), {"names": "enforce"})
    with pytest.raises(PlanError, match="names: enforce"):
        renamed.steps(enforced)


def test_the_gap_is_estimated_in_seconds() -> None:
    before = VECTOR.replace(dimensions=1000)
    after = before.replace(hnsw={"m": 32})
    change = PACKAGE.change(before, after)
    assert change is not None
    (step,) = change.steps(world([before], [after]))
    assert change.estimate(step, {"rows": 5000}, {}, COMMUNITY) == {"gap_seconds": 50}
    assert change.estimate(step, {"rows": 0}, {}, COMMUNITY) == {}
    beside = PACKAGE.change(FULL, FULL.replace(analyzer="german"))
    assert beside is not None
    for step in beside.steps(world([FULL], [FULL.replace(analyzer="german")])):
        assert beside.estimate(step, {"rows": 5000}, {}, COMMUNITY) == {}


def test_a_lookup_index_is_matched_where_it_is_declared_and_made_where_it_is_gone() -> None:
    live = Index(address=index_address("graph", "index_343aff4e"), kind="lookup", entity="nodes", system=True)
    wanted = Index(address=index_address("graph", "by_label"), kind="lookup", entity="nodes")
    assert live.definition() == wanted.definition()
    assert PACKAGE.change(live.replace(address=wanted.address), wanted) is None
    create = PACKAGE.change(None, wanted)
    assert create is not None
    (step,) = create.steps(world([], [wanted]))
    assert [c.cypher for c in step.calls if isinstance(c, Cypher)] == [
        "CREATE LOOKUP INDEX $name FOR (n) ON EACH labels(n)"
    ]
    types_ = wanted.replace(entity="relationships")
    assert cypher.create(types_, "x", COMMUNITY).cypher.endswith("FOR ()-[n]-() ON EACH type(n)")
    assert types_.definition() != wanted.definition()


def test_names_matched_by_definition_stay_when_an_option_changes() -> None:
    live = ranged("mine", "a", kind="fulltext", analyzer="english", live_name="index_1f")
    change = PACKAGE.change(live, ranged("mine", "a", kind="fulltext", analyzer="german"))
    assert change is not None
    (step,) = change.steps(world([live], [change.after]))  # type: ignore[list-item]
    assert [c.params["name"] for c in step.calls if isinstance(c, Cypher)] == ["index_1f", "index_1f"]
    assert change.describe() == "analyzer english → german"
    assert change.replace_paths == (("analyzer",),)
    assert Hazard.INDEX_GAP in step.hazards


def test_an_index_becomes_a_constraint_in_two_transactions_with_the_gap_named() -> None:
    steps = planned([ranged("i", "a")], [unique("c", "a")])
    assert ids(steps) == ["index.i/1-drop g1", "constraint.c/1-create g2"]
    assert Hazard.INDEX_GAP in steps[0].hazards


def test_under_one_name_too() -> None:
    steps = planned([ranged("x", "a")], [unique("x", "a")])
    assert ids(steps) == ["index.x/1-drop g1", "constraint.x/1-create g2"]


def test_a_constraint_becomes_an_index_with_the_gap_named() -> None:
    steps = planned([unique("c", "a")], [ranged("i", "a")])
    assert ids(steps) == ["constraint.c/1-drop g1", "index.i/1-create g1"]
    assert Hazard.INDEX_GAP in steps[1].hazards
    assert steps[1].phase is Phase.CONTRACT


def test_two_constraints_swap_places_in_two_transactions() -> None:
    steps = planned([unique("a", "x"), unique("b", "y")], [unique("a", "y"), unique("b", "x")], empty=True)
    found = ids(steps)
    assert found[:2] == ["constraint.a/1-drop g1", "constraint.b/1-drop g1"]
    assert [s.commit_before for s in steps] == [False, False, True, True]
    assert all(s.journalled for s in steps[:2])


def test_two_indexes_swap_places_in_one_transaction() -> None:
    steps = planned([ranged("a", "x"), ranged("b", "y")], [ranged("a", "y"), ranged("b", "x")])
    assert {s.group for s in steps} == {"g1"}
    order_of = [s.id.removeprefix("graph.index.") for s in steps]
    assert max(order_of.index("a/1-drop"), order_of.index("b/1-drop")) < min(
        order_of.index("a/2-create"), order_of.index("b/2-create")
    )


def test_a_chain_of_indexes_moves_up() -> None:
    steps = planned([ranged("a", "x"), ranged("b", "y")], [ranged("a", "y"), ranged("b", "z")])
    found = [s.id.removeprefix("graph.index.") for s in steps]
    assert found.index("b/1-drop") < found.index("a/1-replace")


def test_the_same_index_behind_another_kind_needs_two_transactions() -> None:
    steps = planned([unique("c", "a")], [unique("c", "a", kind="key")])
    assert ids(steps) == ["constraint.c/1-drop g1", "constraint.c/2-create g2"]
    assert Hazard.INDEX_GAP in steps[0].hazards


def test_what_stays_in_the_way_is_refused_with_the_way_out() -> None:
    with pytest.raises(PlanError, match=r"graph\.index\.i is already on \(:P\)\.a(.|\n)*--prune"):
        PACKAGE.change(None, unique("c", "a")).steps(world([ranged("i", "a")], [ranged("i", "a"), unique("c", "a")]))  # type: ignore[union-attr]
    with pytest.raises(PlanError, match=r"the name x is taken by graph\.constraint\.x"):
        PACKAGE.change(None, ranged("x", "b")).steps(world([unique("x", "a")], [unique("x", "a"), ranged("x", "b")]))  # type: ignore[union-attr]
    with pytest.raises(PlanError, match="constraint c has that index already"):
        PACKAGE.change(None, ranged("x", "a")).steps(world([unique("c", "a")], [unique("c", "a"), ranged("x", "a")]))  # type: ignore[union-attr]


def test_the_lookup_index_is_never_touched() -> None:
    lookup = Index(address=index_address("graph", "index_343aff4e"), kind="lookup", system=True)
    for after in (None, ranged("index_343aff4e", "a")):
        change = PACKAGE.change(lookup, after)
        assert change is not None
        with pytest.raises(PlanError, match="token lookup index"):
            change.steps(world([lookup], [after] if after else []))


def test_a_constraint_on_a_label_in_use_is_contract_and_alone() -> None:
    change = PACKAGE.change(None, unique("c", "a"))
    assert change is not None
    for empty, phase in ((True, Phase.EXPAND), (False, Phase.CONTRACT)):
        (step,) = change.steps(world([], [unique("c", "a")], empty=empty))
        assert (step.phase, step.commit_before) == (phase, not empty)
        assert step.hazards == {Hazard.DEPENDS_ON_DATA, Hazard.BUILDS_INDEX}
        assert step.gives == {ok(step.address)}


def test_dropping_an_index_that_queries_name_breaks_clients() -> None:
    for kind, hazards in (("range", set()), ("fulltext", {Hazard.BREAKS_CLIENTS}), ("vector", {Hazard.BREAKS_CLIENTS})):
        index = ranged("i", "a", kind=kind)
        change = PACKAGE.change(index, None)
        assert change is not None
        (step,) = change.steps(world([index], []))
        assert step.hazards == hazards
        assert step.gives == {no(index.address)}


VECTOR = ranged("v", "e", kind="vector", label="Chunk", dimensions=4, similarity="cosine", hnsw={"m": 16})


@pytest.mark.parametrize("change", [{"dimensions": 8}, {"similarity": "euclidean"}])
def test_another_contract_over_stored_vectors_is_refused_with_the_next_generation(change: dict[str, object]) -> None:
    after = VECTOR.replace(embedding="passages", **change)
    found = PACKAGE.change(VECTOR, after)
    assert found is not None
    with pytest.raises(PlanError) as error:
        found.steps(world([VECTOR], [after]))
    text = str(error.value)
    assert "v:    {kind: vector, label: Chunk, properties: [e], dimensions: 4, similarity: cosine}" in text
    assert "v_v2: {kind: vector, label: Chunk, properties: [e_v2], embedding: passages}" in text
    assert found.steps(world([VECTOR], [after], empty=True)), "nothing stored: in place"


def test_other_options_of_a_vector_index_are_no_new_contract() -> None:
    after = VECTOR.replace(hnsw={"m": 32})
    found = PACKAGE.change(VECTOR, after)
    assert found is not None
    assert found.steps(world([VECTOR], [after]))


def test_a_failed_index_is_built_anew() -> None:
    failed = ranged("i", "a", state="failed", failure="Property value is too large")
    change = PACKAGE.change(failed, ranged("i", "a"))
    assert change is not None
    assert (change.action, change.reason) == (Action.DELETE_CREATE, "rebuild_because_invalid")
    assert "Property value is too large" in change.describe()
    (step,) = change.steps(world([failed], [ranged("i", "a")]))
    assert Hazard.INDEX_GAP not in step.hazards, "it answers nothing now"


def test_unset_options_are_those_of_the_live_index() -> None:
    live = VECTOR.replace(quantization=False, hnsw={"m": 24, "ef_construction": 100})
    declared = VECTOR.replace(hnsw={"ef_construction": 100})
    found = canonical(State.of([declared]), Live(State.of([live])), list)
    assert found.state[declared.address] == live
    assert found.state[declared.address].declared == declared.attributes()
    assert {(r.path, r.live, r.how) for r in found.receipts} == {
        ("hnsw.m", "24", "unset"),
        ("quantization", "False", "unset"),
    }
    again = canonical(found.state, Live(State.of([live])), list)
    assert dict(again.state) == dict(found.state), "normalised twice is normalised once"


def test_unset_options_are_found_under_another_name_too() -> None:
    live = ranged("generated", "a", kind="fulltext", analyzer="german")
    declared = ranged("mine", "a", kind="fulltext")
    found = canonical(State.of([declared]), Live(State.of([live])), list)
    assert found.state[declared.address].attributes()["analyzer"] == "german"


def test_labels_and_filters_of_a_vector_index_are_sets() -> None:
    live = VECTOR.replace(labels=("A", "B"), properties=("e", "lang", "year"))
    declared = live.replace(labels=("B", "A"), properties=("e", "year", "lang"))
    found = canonical(State.of([declared]), Live(State.of([live])), list)
    assert PACKAGE.change(live, found.state[live.address]) is None


def test_an_unknown_analyzer_is_told_with_its_line() -> None:
    def analyzers() -> list[str]:
        return ["english", "german"]

    declared = ranged("i", "a", kind="fulltext", analyzer="englsh")
    (problem,) = canonical(State.of([declared]), Live(State()), analyzers).problems
    assert 'no full-text analyzer "englsh"; did you mean "english"?' in str(problem)


def test_enterprise_constraints_are_refused_on_community_only() -> None:
    desired = State.of(
        [unique(k, "a", kind=k, type="DATE" if k == "type" else None) for k in ("key", "exists", "type")]
    )
    assert len(checks.unsupported(desired, COMMUNITY)) == 3
    assert checks.unsupported(desired, ENTERPRISE) == []
    assert "Enterprise Edition" in str(checks.unsupported(desired, COMMUNITY)[0])


@pytest.mark.parametrize(
    ("resource", "version", "refused"),
    [
        (ranged("i", "a", kind="vector", dimensions=3, similarity="cosine"), "5.14.0", True),
        (ranged("i", "a", kind="vector", dimensions=3, similarity="cosine"), "5.15.0", False),
        (ranged("i", "a", kind="vector", dimensions=3, similarity="cosine", quantization=True), "5.22.0", True),
        (ranged("i", "a", kind="vector", dimensions=3, similarity="cosine", quantization=True), "5.23.0", False),
        (ranged("i", "a", kind="vector", similarity="cosine"), "5.22.0", True),
        (ranged("i", "a", kind="vector", similarity="cosine"), "2025.06.1", False),
        (ranged("i", "a", "b", kind="vector", dimensions=3, similarity="cosine"), "2025.12.0", True),
        (ranged("i", "a", "b", kind="vector", dimensions=3, similarity="cosine"), "2026.01.0", False),
        (ranged("i", "a", "b", kind="vector", dimensions=3, similarity="cosine"), "5.27-aura", False),
        (ranged("i", "a", kind="vector", dimensions=4096, similarity="cosine"), "5.17.0", True),
        (unique("c", "a").replace(labels=(), relationships=("R",)), "5.6.0", True),
        (unique("c", "a").replace(labels=(), relationships=("R",)), "5.7.0", False),
    ],
)
def test_options_of_newer_servers_are_refused(resource: Index, version: str, refused: bool) -> None:
    assert bool(checks.unsupported(State.of([resource]), Server("graph", "neo4j", version, "community"))) == refused


def test_statements_name_their_cypher_where_the_server_knows_two() -> None:
    texts = {
        version: cypher.create(ranged("i", "a"), "i", Server("graph", "neo4j", version)).cypher
        for version in ("5.26.12", "2025.05.0", "2025.06.0", "2026.01.1", "5.27.0", "5.27-aura")
    }
    assert {v for v, text in texts.items() if text.startswith("CYPHER 5 ")} == {"2025.06.0", "2026.01.1", "5.27-aura"}


def test_what_came_with_cypher_25_is_written_in_it() -> None:
    newer = Server("graph", "neo4j", "2026.01.1", "community")
    index = Index(
        address=index_address("graph", "v"),
        kind="vector",
        labels=("A", "B"),
        properties=("e", "year"),
        dimensions=3,
        similarity="cosine",
    )
    assert cypher.create(index, "v", newer).cypher == (
        "CYPHER 25 CREATE VECTOR INDEX $name FOR (n:`A`|`B`) ON (n.`e`) WITH [n.`year`] OPTIONS $options"
    )
    problems = [str(p) for p in checks.unsupported(State.of([index]), COMMUNITY)]
    assert len(problems) == 2
    assert "filter properties of vector indexes came with Neo4j 2026.01" in problems[1]


@pytest.mark.parametrize(
    ("resource", "version", "says"),
    [
        (unique("c", "a", kind="type", type="LIST<FLOAT NOT NULL>"), "5.9.0", "lists in property type"),
        (unique("c", "a", kind="type", type="STRING | INTEGER"), "5.10.0", "unions in property type"),
        (unique("c", "a", kind="type", type="STRING"), "5.8.0", "property type constraints"),
        (unique("c", "a", kind="type", type="VECTOR<FLOAT NOT NULL>(3)"), "2025.09.0", "vectors in property type"),
        (unique("c", "a", kind="key").replace(labels=(), relationships=("R",)), "5.6.0", "keys of relationships"),
        (Check(address=Address("graph", "check", ("c",)), labels=("A",), properties=("a",), kind="type", type="DATE"),
         "5.8.0", "looking at property types"),
    ],
)  # fmt: skip
def test_versions_hold_on_enterprise_too(resource: Resource, version: str, says: str) -> None:
    (problem,) = checks.unsupported(State.of([resource]), Server("graph", "neo4j", version, "enterprise"))
    assert says in problem.what
    assert checks.unsupported(State.of([resource]), Server("graph", "neo4j", "2026.01.0", "enterprise")) == []


def test_a_vector_type_is_written_in_cypher_25() -> None:
    """As the manual has it; not run: it needs the Enterprise Edition."""
    constraint = unique("c", "a", kind="type", type="VECTOR<FLOAT32 NOT NULL>(3)")
    call = cypher.create(constraint, "c", Server("graph", "neo4j", "2025.10.1", "enterprise"))
    assert call.cypher == (
        "CYPHER 25 CREATE CONSTRAINT $name FOR (n:`P`) REQUIRE (n.`a`) IS :: VECTOR<FLOAT32 NOT NULL>(3)"
    )
    required = cypher.read_constraint(call)
    assert required is not None
    assert required.type == constraint.type


names = st.text(st.sampled_from("aB`\\u005C0 .\n\"'é😀]-()"), min_size=1, max_size=12)


@given(names)
def test_a_quoted_name_reads_back(name: str) -> None:
    quoted = cypher.quote(name)
    assert cypher.unquote(quoted) == name
    assert "`" not in quoted[1:-1].replace("``", "")


@given(st.booleans(), names, st.lists(names, min_size=1, max_size=3), st.sampled_from(["unique", "key", "exists"]))
def test_a_constraint_reads_back_from_its_statement(nodes: bool, owner: str, properties: list[str], kind: str) -> None:
    place = {"labels": (owner,)} if nodes else {"relationships": (owner,)}
    constraint = Constraint(
        address=constraint_address("graph", "c"),
        kind=kind,
        properties=tuple(properties),
        **place,  # type: ignore[arg-type]
    )
    found = cypher.read_constraint(cypher.create(constraint, "c", COMMUNITY))
    assert found is not None
    assert (found.label, found.relationship) == ((owner, None) if nodes else (None, owner))
    assert (found.kind, found.properties, found.name) == (kind, tuple(properties), "c")


def test_other_statements_are_no_constraints() -> None:
    assert cypher.read_constraint(cypher.create(ranged("i", "a"), "i", COMMUNITY)) is None
    assert cypher.read_constraint(cypher.drop(unique("c", "a"), "c", COMMUNITY)) is None


def test_data_that_cannot_be_looked_through_stops_nothing() -> None:
    change = PACKAGE.change(None, unique("c", "a"))
    assert change is not None
    steps = change.steps(world([], [unique("c", "a")]))
    (problem,) = checks.violations(steps, lambda statement: None, COMMUNITY)
    assert isinstance(problem, Unchecked)
    assert checks.violations(steps, lambda statement: [], COMMUNITY) == []


@pytest.mark.parametrize(
    ("kind", "says"),
    [("exists", "3 nodes have no P.a"), ("type", "3 nodes have a P.a that is no DATE")],
)
def test_violations_of_enterprise_constraints_are_counted(kind: str, says: str) -> None:
    constraint = unique("c", "a", kind=kind, type="DATE" if kind == "type" else None)
    change = PACKAGE.change(None, constraint)
    assert change is not None
    steps = change.steps(world([], [constraint], server=ENTERPRISE))
    (problem,) = checks.violations(steps, lambda statement: [{"rows": 3, "id": "4:x:1"}], ENTERPRISE)
    assert problem.what == says


def test_what_is_shown_by_halves_is_noticed() -> None:
    constraint = {"name": "c", "ownedIndex": "c"}
    index = {"name": "c", "owningConstraint": "c"}
    plain = {"name": "i", "owningConstraint": None}
    assert introspect.unseen([constraint], [index, plain]) == ()
    assert introspect.unseen([], [index]) == ("constraint c is not shown, but its index is",)
    assert introspect.unseen([constraint], [plain]) == ("index c is not shown, but its constraint is",)


def test_privileges_that_statements_need_are_held_or_not() -> None:
    """As the manual has them; not run: only the Enterprise Edition has such privileges."""
    needs = privileges.needed(
        [("a", "CYPHER 5 CREATE VECTOR INDEX $name FOR (n:`A`)"), ("b", "DROP CONSTRAINT $name"), ("c", "MATCH (n)")]
    )
    assert [(need.said, step) for need, step in needs.items()] == [("CREATE INDEX", "a"), ("DROP CONSTRAINT", "b")]
    index, constraint = needs

    def row(access: str, action: str, graph: str = "neo4j") -> dict[str, str]:
        return {"access": access, "action": action, "graph": graph, "resource": "database", "segment": "database"}

    for rows, held in (
        ([], False),
        ([row("GRANTED", "create_index")], True),
        ([row("GRANTED", "index", "*")], True),
        ([row("GRANTED", "database_actions")], True),
        ([row("GRANTED", "create_index", "other")], False),
        ([row("GRANTED", "drop_index")], False),
        ([row("GRANTED", "index"), row("DENIED", "create_index")], False),
    ):
        assert privileges.held(rows, index, "neo4j") == held, rows
    assert privileges.held([row("GRANTED", "drop_constraint")], constraint, "neo4j")


def test_privileges_that_hide_data_are_noticed() -> None:
    """As the manual has them; not run: only the Enterprise Edition has such privileges."""

    def row(text: str) -> dict[str, str]:
        return dict(zip(("access", "action", "resource", "graph", "segment"), text.split(" "), strict=True))

    reader = [row("GRANTED match all_properties * NODE(*)"), row("GRANTED match all_properties * RELATIONSHIP(*)")]
    access = row("GRANTED access database HOME database")
    both = [row(f"GRANTED {action} {of} neo4j {segment}") for action, of in (("traverse", "graph"),
            ("read", "all_properties")) for segment in ("NODE(*)", "RELATIONSHIP(*)")]  # fmt: skip
    for rows, hidden in (
        ([access, *reader], False),
        (both, False),
        ([row("GRANTED graph_actions graph * NODE(*)")], False),
        ([access], True),
        (reader[:1], True),
        ([*reader, row("DENIED traverse graph neo4j NODE(Person)")], True),
        ([*reader, row("DENIED traverse graph other NODE(Person)")], False),
        ([row("GRANTED match property(id) * NODE(*)"), reader[1]], True),
        ([row("GRANTED match all_properties other NODE(*)"), reader[1]], True),
    ):
        assert privileges.hides(rows, "neo4j") == hidden, rows


def test_the_store_is_known_without_its_driver() -> None:
    import subprocess
    import sys

    code = "import sys, reconcile.stores.neo4j; sys.exit('neo4j' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_change_class_is_used_here() -> None:
    used = {type(change).__name__ for before, after in PAIRS if (change := PACKAGE.change(before, after))}
    assert used | {"RenameConstraint", "RenameIndex"} == concrete("neo4j")


def test_what_a_newer_server_shows_is_named_and_never_half_compared() -> None:
    """Kinds of constraint and index, a property type, and places of an index, that no server here has."""
    row: dict[str, Any] = {
        "name": "x",
        "entityType": "NODE",
        "labelsOrTypes": ["A"],
        "properties": ["p"],
        "propertyType": None,
    }
    constraints = [
        {**row, "type": "NODE_LABEL_EXISTENCE", "ownedIndex": None},
        {**row, "name": "y", "type": "NODE_PROPERTY_TYPE", "propertyType": "TENSOR", "ownedIndex": None},
    ]
    index = {**row, "state": "ONLINE", "options": {}, "owningConstraint": None, "failureMessage": None}
    indexes = [
        {**index, "name": "z", "type": "SPARSE_VECTOR"},
        {**index, "name": "t", "type": "TEXT", "properties": ["p", "q"]},
        {**index, "name": "r", "type": "RANGE", "labelsOrTypes": ["A", "B"]},
    ]
    found = introspect.live("graph", constraints, indexes)
    assert not found.state
    assert {str(n.address): n.what for n in found.not_modelled} == {
        "graph.constraint.x": "constraint of type NODE_LABEL_EXISTENCE",
        "graph.constraint.y": "constraint of property type TENSOR",
        "graph.index.z": "index of type SPARSE_VECTOR",
        "graph.index.t": "text index over several labels, types or properties",
        "graph.index.r": "range index over several labels, types or properties",
    }
