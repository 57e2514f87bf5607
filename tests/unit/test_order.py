"""The order of steps: facts make edges, phases propagate, groups are runs of neighbours."""

from dataclasses import replace

import pytest

from reconcile.change import Phase, Sql, Step
from reconcile.errors import PlanError
from reconcile.facts import Fact
from reconcile.model import Address
from reconcile.order import Choice, group, order, parted


def step(name: str, needs: str = "", gives: str = "", phase: Phase = Phase.EXPAND, **options: object) -> Step:
    """A step `s.table.NAME/1`; needs and gives as `has a, ok b` about tables of store s."""

    def facts(text: str) -> frozenset[Fact]:
        return frozenset(
            Fact.parse(f"{verb} s.table.{subject}")
            for verb, subject in (f.split() for f in text.split(",") if f.strip())
        )

    address = Address("s", "table", (name,))
    return Step(f"{address}/1", address, (Sql("SELECT 1"),), phase, facts(needs), facts(gives), **options)  # type: ignore[arg-type]


def names(steps: list[Step], live: str = "") -> list[str]:
    present = set(live.split())

    def holds(fact: Fact) -> bool:
        there = fact.subject.rpartition(".")[2] in present
        return not there if fact.verb == "no" else there

    return [s.address.parts[0] for s in order(steps, holds, lambda s: (s.address.parts, s.id))]


def test_a_need_waits_for_its_giver() -> None:
    assert names([step("a", needs="has b"), step("b", gives="has b, ok b")]) == ["b", "a"]


def test_ok_implies_has() -> None:
    assert names([step("a", needs="has b"), step("b", gives="ok b")]) == ["b", "a"]


def test_a_remover_that_needs_the_old_object_runs_before_its_removal() -> None:
    drop_table = step("a", needs="has a", gives="no a")
    drop_view = step("b", needs="has a, has b", gives="no b")
    assert names([drop_table, drop_view], live="a b") == ["b", "a"]


def test_a_reader_of_an_object_that_goes_runs_before_its_removal() -> None:
    assert names([step("a", gives="no a"), step("z", needs="has a", gives="ok z")], live="a") == ["z", "a"]


def test_a_replaced_object_serves_old_users_before_and_new_users_after() -> None:
    steps = [
        step("a1", needs="has a", gives="no a"),
        step("a2", needs="no a", gives="ok a"),
        step("new_user", needs="ok a", gives="ok new_user"),
        step("old_user", needs="has a", gives="no old_user"),
    ]
    assert names(steps, live="a old_user") == ["old_user", "a1", "a2", "new_user"]


def test_steps_of_one_change_keep_their_order() -> None:
    address = Address("s", "table", ("a",))
    steps = [Step(f"{address}/{n}", address, ()) for n in ("9-first", "1-second")]
    assert [s.id for s in order(steps, lambda f: True, lambda s: (s.id,))] == [s.id for s in steps]


def test_a_step_is_in_no_earlier_phase_than_what_it_waits_for() -> None:
    steps = [step("a", needs="ok b"), step("b", gives="ok b", phase=Phase.CONTRACT), step("c")]
    ordered = order(steps, lambda f: False, lambda s: s.address.parts)
    assert [(s.address.parts[0], s.phase) for s in ordered] == [
        ("c", Phase.EXPAND),
        ("b", Phase.CONTRACT),
        ("a", Phase.CONTRACT),
    ]


def test_a_need_nobody_satisfies_names_both_ends() -> None:
    with pytest.raises(PlanError, match=r"step s\.table\.a/1 needs `has s\.table\.b`"):
        names([step("a", needs="has b")])


def test_a_need_the_live_store_satisfies_makes_no_edge() -> None:
    assert names([step("a", needs="has b")], live="b") == ["a"]


def test_a_cycle_names_its_members_only() -> None:
    steps = [
        step("a", needs="ok b", gives="ok a"),
        step("b", needs="ok a", gives="ok b"),
        step("c", needs="ok a", gives="ok c"),
    ]
    with pytest.raises(PlanError, match="wait for each other") as caught:
        names(steps)
    assert "s.table.c" not in str(caught.value)
    assert str(caught.value).count("→") == 2


def test_many_steps_are_ordered_quickly_and_stably() -> None:
    steps = [step(f"t{i:05}", needs=f"ok t{i - 1:05}" if i else "", gives=f"ok t{i:05}") for i in range(5000)]
    assert names(list(reversed(steps))) == [f"t{i:05}" for i in range(5000)]


def test_groups_are_neighbouring_transactional_steps() -> None:
    steps = [step("a"), step("b"), step("c", transactional=False), step("d"), step("e", commit_before=True)]
    assert [s.group for s in group(steps, lambda s: 100)] == ["g1", "g1", None, "g2", "g3"]


def test_groups_are_cut_at_the_store_limit() -> None:
    assert [s.group for s in group([step(n) for n in "abc"], lambda s: 2)] == ["g1", "g1", "g2"]


def again(name: str, needs: str = "", **options: object) -> list[Step]:
    """Dropped and made again, the second half with further needs."""
    address = Address("s", "table", (name,))
    have, gone = Fact.parse(f"has {address}"), Fact.parse(f"no {address}")
    more = step(name, needs).needs
    drop = Step(f"{address}/1-drop", address, (), Phase.CONTRACT, frozenset({have}), frozenset({gone}))
    make = Step(f"{address}/2-create", address, (), Phase.CONTRACT, frozenset({gone}) | more, frozenset({have}))
    return [drop, replace(make, **options)]  # type: ignore[arg-type]


def ordered(steps: list[Step]) -> list[str]:
    """Ends of ids, a bar between groups."""
    found = group(order(steps, lambda f: f.verb == "has", lambda s: (s.id,)), lambda s: 100)
    shown = [s.id.removeprefix("s.table.") for s in found]
    return [f"{'| ' if i and s.group != found[i - 1].group else ''}{shown[i]}" for i, s in enumerate(found)]


def test_no_commit_comes_between_a_drop_and_the_making_again() -> None:
    slow = [
        step("column", gives="has column", phase=Phase.CONTRACT),
        step("m", "has column", "has m", Phase.CONTRACT, commit_before=True),
    ]
    retype = step("type", "no a,no b,has m", "ok type", Phase.CONTRACT)
    assert ordered([*again("a", "ok type"), *again("b", "ok type"), *slow, retype]) == [
        "column/1", "| m/1", "a/1-drop", "b/1-drop", "type/1", "a/2-create", "b/2-create"
    ]  # fmt: skip


def test_what_has_to_follow_a_commit_takes_the_drops_before_it_along() -> None:
    retype = step("type", "no a", "ok type", Phase.CONTRACT, commit_before=True)
    assert ordered([step("A", phase=Phase.CONTRACT), *again("a", "ok type"), retype]) == [
        "A/1", "| a/1-drop", "type/1", "a/2-create"
    ]  # fmt: skip


def test_what_comes_after_a_replaced_object_waits_for_the_new_one_even_to_remove() -> None:
    """Without `after:` a removal that needs an object means the one that goes."""
    steps = [
        step("x1", gives="no x"),
        step("x2", needs="no x", gives="ok x"),
        step("d", needs="ok x", gives="no d"),
    ]
    steps[1] = replace(steps[1], id="s.table.x1/2")
    assert names(steps, live="x d") == ["d", "x1", "x2"]
    waits = {steps[2].id: frozenset({Fact.parse("ok s.table.x")})}
    found = order(steps, lambda fact: fact.verb != "no", lambda s: (s.address.parts, s.id), waits)
    assert [s.address.parts[0] for s in found] == ["x1", "x2", "d"]


# --- which of them run -----------------------------------------------------------------------------------------------

CHAIN = [
    step("new", gives="ok new"),
    step("drop", needs="ok new, has drop", gives="no drop", phase=Phase.CONTRACT),
    step("after", needs="no drop", gives="ok after"),
    step("last", needs="has last", gives="no last", phase=Phase.CONTRACT),
]


def runs(choice: Choice) -> tuple[list[str], list[str]]:
    there = {"s.table.drop", "s.table.last"}

    def holds(fact: Fact) -> bool:
        return (fact.subject in there) != (fact.verb == "no")

    run, rest = parted(CHAIN, holds, lambda s: (s.address.parts, s.id), choice=choice)
    return [s.address.parts[0] for s in run], [s.address.parts[0] for s in rest]


def test_what_waits_keeps_back_all_that_comes_after_it() -> None:
    assert runs(Choice()) == (["new", "drop", "after", "last"], [])
    assert runs(Choice(waits=lambda s: s.phase is Phase.CONTRACT)) == (["new"], ["drop", "after", "last"])
    assert runs(Choice(waits=lambda s: s.address.parts == ("drop",))) == (["new", "last"], ["drop", "after"])


def test_what_is_chosen_runs_with_what_it_needs_and_nothing_else() -> None:
    assert runs(Choice(chosen=lambda s: s.address.parts == ("last",))) == (["last"], ["new", "drop", "after"])
    assert runs(Choice(chosen=lambda s: s.address.parts == ("drop",))) == (["new", "drop"], ["after", "last"])
