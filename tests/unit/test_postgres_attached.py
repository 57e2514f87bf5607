"""Triggers and policies without a server: what the YAML may say, the laws of their changes, the order of their steps."""

# ruff: noqa: E501 - one case a line
from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from tests.stores.postgres.writing import (
    at,
    changes,
    column,
    composite,
    domain,
    enum,
    function,
    planned,
    policy,
    sql,
    state,
    table,
    trigger,
    view,
)

from reconcile import wording
from reconcile.change import Irreversible
from reconcile.errors import PlanError
from reconcile.hazards import Hazard
from reconcile.model import Source, State
from reconcile.plan import Steps
from reconcile.stores.base import Context, StoreSpec
from reconcile.stores.postgres import PACKAGE
from reconcile.yamlio import parse as read_yaml


def said(text: str, settings: dict[str, object] | None = None) -> list[str]:
    """All problems of a declaration."""
    spec = StoreSpec(
        "app", "postgres", {"url": "postgresql:///x", **(settings or {})}, Source("reconcile.yaml", 1), Path()
    )
    documents = read_yaml(text, "s.yaml")
    found = [str(p) for d in documents for p in wording.problems(d, PACKAGE.schema)]
    if not found:
        context = Context(spec, {})
        PACKAGE.parse(documents, context)
        found = [str(p) for p in context.problems]
    return found


HEAD = 'store: app\nfunctions:\n  "f()": {definition: "create function f() returns trigger language plpgsql as $$ begin end $$"}\n  "g(text)": {definition: "create function g(text) returns trigger language sql as $$ $$"}\n'
TABLE = HEAD + "tables:\n  o:\n    columns: {b: int}\n  t:\n    columns: {a: int}\n"


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("{when: before, events: [insert], function: f()}", None),
        ("{when: after, events: [update], of: [a], for_each: row, condition: old.a > 1, function: f(), arguments: [1, true, x]}", None),
        ("{constraint: true, when: after, events: [insert], from: o, deferrable: initially_deferred, function: f()}", None),
        ("{when: after, events: [update], old_table: o, new_table: n, function: f()}", None),
        ("{when: before, events: [insert]}", "function"),
        ("{when: before, events: [], function: f()}", "events"),
        ("{when: sometimes, events: [insert], function: f()}", "when"),
        ("{when: before, events: [insert], function: f}", "function"),
        ("{when: before, events: [insert], function: g()}", "declared with arguments only"),
        ("{when: before, events: [insert], function: ff()}", "neither declared nor external"),
        ("{when: before, events: [update], of: [b], function: f()}", "column 'b' of trigger 'x' is not declared in table 'public.t'; there is: a"),
        ("{when: before, events: [insert], of: [a], function: f()}", "add update to events"),
        ("{constraint: true, when: before, events: [insert], function: f()}", "fires after, for each row"),
        ("{constraint: true, when: after, events: [insert], from: p, function: f()}", "from of trigger 'x' names table"),
        ("{when: after, events: [insert], deferrable: initially_deferred, function: f()}", "add constraint: true"),
        ("{when: after, events: [insert], from: o, function: f()}", "add constraint: true"),
        ("{when: after, events: [truncate], for_each: row, function: f()}", "truncate fires for each statement"),
        ("{when: instead_of, events: [insert], for_each: row, function: f()}", "of a view"),
        ("{when: before, events: [update], new_table: n, function: f()}", "fire after"),
        ("{when: after, events: [update, insert], new_table: n, function: f()}", "single event"),
        ("{when: after, events: [insert], old_table: n, function: f()}", "no old rows"),
        ("{when: after, events: [delete], new_table: n, function: f()}", "no new rows"),
        ("{when: after, events: [update], old_table: n, new_table: n, function: f()}", "one name"),
        ("{when: after, events: [insert], for_each: row, condition: 'new.a > 1)', function: f()}", "closes nothing"),
    ],
)  # fmt: skip
def test_what_a_trigger_of_a_table_may_be(trigger: str, expected: str | None) -> None:
    problems = said(TABLE + f"    triggers:\n      x: {trigger}\n")
    assert (problems == []) if expected is None else any(expected in p for p in problems), problems
    assert all(p.startswith("s.yaml:1") for p in problems)


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("{when: instead_of, events: [insert, update], for_each: row, function: f()}", None),
        ("{when: before, events: [insert], function: f()}", None),
        ("{when: instead_of, events: [insert], function: f()}", "for_each: row"),
        ("{when: instead_of, events: [update], of: [a], for_each: row, function: f()}", "neither of nor condition"),
        ("{when: instead_of, events: [update], condition: 'true', for_each: row, function: f()}", "neither of nor condition"),
        ("{when: before, events: [insert], for_each: row, function: f()}", "for each statement"),
        ("{when: after, events: [truncate], function: f()}", "on tables"),
        ("{when: after, events: [insert], enabled: disabled, function: f()}", "tables only"),
        ("{constraint: true, when: after, events: [insert], function: f()}", "no such trigger"),
        ("{when: after, events: [insert], new_table: n, function: f()}", "no such trigger"),
    ],
)  # fmt: skip
def test_what_a_trigger_of_a_view_may_be(trigger: str, expected: str | None) -> None:
    text = TABLE + f"views:\n  v:\n    query: select a from t\n    triggers:\n      x: {trigger}\n"
    problems = said(text)
    assert (problems == []) if expected is None else any(expected in p for p in problems), problems


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("{}", None),
        ("{using: a > 1, check: a > 2, to: [x, y], as: restrictive}", None),
        ("{for: insert, using: a > 1}", "takes no using; write check"),
        ("{for: select, check: a > 1}", "takes no check; write using"),
        ("{for: delete, check: a > 1}", "takes no check; write using"),
        ("{to: [public, x]}", "x in it"),
        ("{to: []}", "to"),
        ("{using: a > (1}", "is not closed"),
        ("{for: merge}", "for"),
    ],
)
def test_what_a_policy_may_be(policy: str, expected: str | None) -> None:
    problems = said(TABLE + f"    policies:\n      x: {policy}\n")
    assert (problems == []) if expected is None else any(expected in p for p in problems), problems


def test_a_constraint_trigger_has_a_constraint_s_name() -> None:
    text = (
        TABLE
        + "    checks: {x: a > 1}\n    triggers:\n      x: {constraint: true, when: after, events: [insert], function: f()}\n"
    )
    assert "has the name of the check" in said(text)[0]


# -- laws ------------------------------------------------------------------------------------------------------

READS = (at("column", "a", "x"),)
AFTER: dict[str, Any] = {"events": ("insert",), "function": ("public", "f()")}
UPDATE: dict[str, Any] = {"when": "before", "events": ("update",), "for_each": "row", "function": ("public", "f()")}


def first() -> State:
    return state(
        function("f()", "RETURNS trigger\nAS $function$x$function$"),
        table("a", row_level_security="enabled"),
        column("a", "x", "integer"),
        policy("a", "altered", using="x > 1", refers=READS),
        policy("a", "command", for_="select", using="x > 1", refers=READS),
        policy("a", "gone", permissive=False, using="x > 1", refers=READS),
        policy("a", "said", using="true"),
        trigger("a", "altered", **UPDATE, of=("x",), refers=READS),
        trigger("a", "deferred", **AFTER, constraint=True, for_each="row"),
        trigger("a", "gone", **AFTER),
        trigger("a", "said", **AFTER),
        view("v", "SELECT x FROM a", [("x", "integer")], [at("table", "a"), *READS]),
        trigger("v", "written", on="view", when="instead_of", events=("insert",), for_each="row", function=("public", "f()")),
    )  # fmt: skip


def second() -> State:
    return state(
        function("f()", "RETURNS trigger\nAS $function$x$function$"),
        table("a", row_level_security="forced"),
        column("a", "x", "integer"),
        policy("a", "added", using="x > 1", refers=READS),
        policy("a", "altered", using="x > 2", to=("b", "c"), refers=READS, comment="New"),
        policy("a", "command", for_="update", using="x > 1", refers=READS),
        policy("a", "said", using="true", comment="New"),
        trigger("a", "added", **AFTER),
        trigger("a", "altered", **UPDATE, condition="old.x > 1", refers=READS, comment="New"),
        trigger("a", "deferred", **AFTER, constraint=True, for_each="row", deferrable="initially_deferred"),
        trigger("a", "said", **AFTER, enabled="always"),
        view("v", "SELECT x FROM a", [("x", "integer")], [at("table", "a"), *READS]),
    )


def retyped(old: State) -> State:
    """With a column of another type, and everything that stands on it as it was."""
    return old.add(
        column("a", "x", "bigint"), view("v", "SELECT x FROM a", [("x", "bigint")], [at("table", "a"), *READS])
    )


STATES = {
    "nothing": state(),
    "first": first(),
    "second": second(),
    "retyped": retyped(first()),
    "other": retyped(second()),
}
PAIRS = list(permutations(STATES, 2))


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_changes_turn_one_state_into_the_other_and_back(before: str, after: str) -> None:
    found = changes(STATES[before], STATES[after])
    state_ = STATES[before]
    for change in found:
        state_ = change.apply_to(state_)
    assert dict(state_) == dict(STATES[after])
    for change in found:
        back = change.reverse()
        assert isinstance(back, Irreversible) or (back.before, back.after) == (change.after, change.before)


@pytest.mark.parametrize("version", ["18.4", "13.2"])
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_plans_are_ordered_and_the_same_each_time(before: str, after: str, version: str) -> None:
    plan = planned(STATES[before], STATES[after], version=version)
    assert plan.steps == planned(STATES[before], STATES[after], version=version).steps
    for change in plan.changes:
        assert change.describe() and "\n" not in change.describe()


def test_every_change_class_is_used_here() -> None:
    used = {type(c).__name__ for pair in PAIRS for c in planned(STATES[pair[0]], STATES[pair[1]]).changes}
    assert {
        "AlterPolicy", "AlterTable", "AlterTrigger", "ChangeComment", "CreatePolicy", "CreateTrigger", "DropPolicy",
        "DropTrigger", "RecreatePolicy", "RecreateTrigger",
    } <= used  # fmt: skip


# -- order -----------------------------------------------------------------------------------------------------


def statements(plan: Steps) -> list[str]:
    return [s.replace("public.", "") for s in sql(plan.steps)]


def test_policies_stand_before_row_level_security_is_turned_on_and_go_after_it_is_off() -> None:
    off = state(table("a"), column("a", "x", "integer"))
    on = off.add(table("a", row_level_security="enabled"), policy("a", "p", using="x > 1", refers=READS))
    assert statements(planned(off, on)) == [
        "CREATE POLICY p ON a USING (x > 1)", "ALTER TABLE a ENABLE ROW LEVEL SECURITY"
    ]  # fmt: skip
    assert statements(planned(on, off)) == ["ALTER TABLE a DISABLE ROW LEVEL SECURITY", "DROP POLICY p ON a"]


def test_a_new_table_is_never_open() -> None:
    plan = planned(
        state(),
        state(
            table("a", row_level_security="forced"),
            column("a", "x", "integer"),
            policy("a", "p", using="x > 1", refers=READS),
        ),
    )
    [made, policies] = plan.steps
    assert made.group == policies.group
    assert [c.partition(" ")[2] for c in sql([made])][1:] == [
        "TABLE public.a ENABLE ROW LEVEL SECURITY",
        "TABLE public.a FORCE ROW LEVEL SECURITY",
    ]
    assert not made.hazards | policies.hazards


def test_new_policies_come_before_old_ones_go() -> None:
    base = state(table("a", row_level_security="enabled"), column("a", "x", "integer"))
    before = base.add(policy("a", "a_old", using="x > 1", refers=READS))
    after = base.add(policy("a", "z_new", permissive=False, using="x > 2", refers=READS))
    plan = planned(before, after)
    assert [s.partition(" POLICY ")[0] for s in statements(plan)] == ["CREATE", "DROP"]
    assert {s.group for s in plan.steps} == {"g1"} and {s.hazards for s in plan.steps} == {
        frozenset({Hazard.CHANGES_ACCESS})
    }


def test_what_stands_on_a_column_is_away_while_it_gets_another_type_and_only_then() -> None:
    plan = planned(first(), retyped(first()))
    order = [s.id.removeprefix("app.") for s in plan.steps]
    middle = order.index("column.public.a.x/1-type")
    for name in ("policy.public.a.altered", "trigger.public.a.altered", "trigger.public.v.written", "view.public.v"):
        assert order.index(f"{name}/1-drop") < middle < order.index(f"{name}/2-create")
    assert not any(name in s for s in order for name in ("policy.public.a.said", "trigger.public.a.said"))
    assert len({s.group for s in plan.steps}) == 1
    assert Hazard.CHANGES_ACCESS not in {h for s in plan.steps for h in s.hazards}


def test_nothing_stands_away_over_a_commit() -> None:
    hard = retyped(first()).add(column("a", "x", "bigint", not_null=True))
    groups = {s.id.removeprefix("app."): s.group for s in planned(first(), hard).steps}
    assert len(set(groups.values())) > 1
    away = [i.rpartition("/")[0] for i in groups if i.endswith("/1-drop")]
    assert len(away) == 6 and all(groups[f"{a}/1-drop"] == groups[f"{a}/2-create"] for a in away)


def test_a_trigger_is_replaced_in_place_where_the_server_can() -> None:
    before, after = (
        state(table("a"), column("a", "x", "integer"), trigger("a", "t", **UPDATE, arguments=(n,))) for n in "12"
    )
    [new] = statements(planned(before, after))
    assert new.startswith("CREATE OR REPLACE TRIGGER")
    assert [s.partition(" TRIGGER")[0] for s in statements(planned(before, after, version="13.9"))] == [
        "DROP",
        "CREATE",
    ]


def test_a_trigger_keeps_the_function_it_calls() -> None:
    live = state(function("f()", "RETURNS trigger\nAS $function$x$function$"), table("a"))
    with pytest.raises(PlanError, match=r"calls app\.function\.public\.f\(\), which this plan drops"):
        planned(live, state(table("a"), trigger("a", "t", **AFTER)))


@pytest.mark.parametrize("kind", ["domain", "composite"])
def test_a_routine_waits_for_its_type_made_anew_for_another_whatever_else_changes_in_it(kind: str) -> None:
    """A comment, or a field that goes, is what nobody else would have to wait for."""

    def taken(*values: str, comment: str | None = None, **more: str) -> State:
        inner, word, outer = at("enum", "inner"), at("domain", "word"), at("composite", "outer")
        given = {"domain": word, "composite": outer}[kind]
        return state(
            enum("inner", *values),
            domain("word", "inner", refers=(inner,), comment=comment),
            composite("outer", field="word", **more).replace(refers=(word,)),
            table("held"),
            column("held", "value", "outer", position=1, refers=(outer,)),
            function("made()", f"RETURNS {given.parts[1]} LANGUAGE sql AS 'select null'", refers=(given,)),
            function("other()", "RETURNS inner LANGUAGE sql AS 'select null'", refers=(inner,)),
        )

    ids = [s.id for s in planned(taken("a", "b", gone="text"), taken("b", "a", comment="noted")).steps]
    name = {"domain": "word", "composite": "outer"}[kind]
    drop, create = (ids.index(f"app.function.public.made()/{part}") for part in ("1-drop", "2-create"))
    assert drop < ids.index(f"app.{kind}.public.{name}/1-replace") < create
