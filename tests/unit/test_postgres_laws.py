"""The laws that need no server, over states that between them use every change class."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.stores.postgres.writing import (
    at,
    changes,
    check,
    collation,
    column,
    composite,
    default_privileges,
    domain,
    enum,
    event_trigger,
    exclusion,
    extension,
    foreign_key,
    function,
    grant,
    index,
    materialized_view,
    partition,
    planned,
    primary_key,
    range_type,
    schema,
    sequence,
    sql,
    state,
    statistics,
    table,
    unique,
    view,
)

from reconcile.change import Change, Irreversible
from reconcile.errors import PlanError
from reconcile.model import Resource, State
from reconcile.stores.postgres import PACKAGE
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.changes.column import volatile
from reconcile.stores.postgres.changes.types import type_change
from reconcile.stores.postgres.resources import IndexItem
from reconcile.stores.postgres.sqltext import NAME_BYTES, helper_name

READS = [at("table", "a"), at("column", "a", "x")]


def exclusions(method: str, operator: str, fillfactor: str) -> list[Resource]:
    return [
        column("b", "s", "int4range"),
        exclusion("b", "b_excl", [("s", operator)], method=method, with_=(("fillfactor", fillfactor),)),
    ]


def first() -> State:
    return state(
        schema("audit", comment="1"),
        extension("vector", version="0.8.0"),
        enum("mood", "sad", "ok"),
        collation("sorted", "C"),
        domain("positive", "integer", checks={"positive_check": "VALUE > 0"}),
        domain("short", "text"),
        composite("place", street="text", nr="integer"),
        range_type("lengths", "integer"),
        sequence("s"),
        function("f(integer)", "RETURNS integer\nAS $function$1$function$", arguments="a integer"),
        function("h(integer)", "RETURNS integer\nAS $function$1$function$", arguments="a integer", comment="1"),
        function("e()", "RETURNS event_trigger\nAS $function$1$function$"),
        event_trigger("x", "ddl_command_end", "e()"),
        event_trigger("y", "ddl_command_end", "e()"),
        table("a", comment="1"),
        column("a", "id", "bigint", not_null=True),
        column("a", "x", "integer"),
        column("a", "d", "text"),
        column("a", "n", "integer"),
        column("a", "g", "text", generated="lower(d)"),
        primary_key("a", "a_pkey", "id"),
        unique("a", "a_key", "x"),
        check("a", "a_check", "id > 0"),
        check("a", "a_loose", "id > 1", not_valid=True),
        index("a", "a_idx", "x", with_=(("fillfactor", "70"),)),
        index("a", "a_other", "x"),
        table("b"),
        column("b", "a", "bigint"),
        foreign_key("b", "b_fkey", ["a"], "a", ["id"]),
        grant("table", "a", owner="o", grants=[("reader", "select"), ("writer", "update", ("d",))]),
        default_privileges("o", "", "tables", ("reader", "select")),
        materialized_view("m", "SELECT x FROM a", [("x", "integer")], READS),
        materialized_view("n", "SELECT d FROM a", [("d", "text")], [at("table", "a"), at("column", "a", "d")]),
        table("c", with_=(("fillfactor", "70"),)),
        *exclusions("gist", "&&", "80"),
        statistics("b", "b_stat", "a", "s", kinds=("mcv",)),
        statistics("b", "b_more", "a", "s", kinds=("mcv",)),
        foreign_key("b", "b_late", ["a"], "a", ["id"], deferrable="initially_deferred"),
        unique("b", "b_key", "a", with_=(("fillfactor", "70"),)),
        unique("b", "b_again", "a", with_=(("deduplicate_items", "off"),)),
        index("b", "b_gin", "a", method="gin", with_=(("fastupdate", "on"),)),
        view("v", "SELECT x FROM a", [("x", "integer")], READS),
        view("w", "SELECT x FROM a", [("x", "integer")], READS),
        table("p", partition_by=r.PartitionBy("range", (IndexItem(column="x"),))),
        column("p", "x", "integer"),
        partition("p1", "p", "FOR VALUES FROM (1) TO (5)"),
        index("p", "p_half", "x", valid=False, partitioned=True),
        partition("p_gone", "p", "FOR VALUES FROM (10) TO (15)"),
        partition("p_alone", "p", "FOR VALUES FROM (20) TO (25)"),
        table("p_joins"),
        column("p_joins", "x", "integer"),
        view("u", "SELECT d FROM a", [("d", "text")], [at("table", "a"), at("column", "a", "d")]),
    )


def second() -> State:
    return state(
        schema("audit", comment="2"),
        extension("vector", version="0.8.5"),
        enum("mood", "ok", "sad"),
        collation("sorted", "POSIX"),
        domain("positive", "integer", checks={"positive_check": "VALUE > 1"}, default="2", not_null=True),
        domain("short", "character varying(5)"),
        composite("place", street="text", zip="text"),
        range_type("lengths", "bigint"),
        sequence("s", increment=2, min=2, unlogged=True),
        function("f(integer)", "RETURNS bigint\nAS $function$1$function$", arguments="a integer"),
        function("h(integer)", "RETURNS integer\nAS $function$2$function$", arguments="a integer"),
        function("e()", "RETURNS event_trigger\nAS $function$2$function$"),
        event_trigger("x", "ddl_command_end", "e()", enabled="disabled"),
        event_trigger("y", "sql_drop", "e()"),
        table("a", comment="2"),
        column("a", "id", "bigint", not_null=True, identity="always"),
        column("a", "x", "bigint"),
        column("a", "d", "text", default="'x'::text", not_null=True),
        column("a", "n", "bigint", strategy="online"),
        column("a", "g", "text", generated="upper(d)"),
        primary_key("a", "a_pkey", "id", include=("d",)),
        unique("a", "a_key", "x", nulls_not_distinct=True),
        check("a", "a_check", "id > 5"),
        check("a", "a_loose", "id > 1"),
        index("a", "a_idx", "x", with_=(("fillfactor", "80"),)),
        index("a", "a_other", IndexItem(expression="lower(d)")),
        table("b"),
        column("b", "a", "bigint"),
        foreign_key("b", "b_fkey", ["a"], "a", ["id"], on_delete="cascade"),
        grant("table", "a", owner="p", grants=[("o", "select", (), True), ("writer", "update")]),
        default_privileges("o", "", "tables", ("reader", "insert")),
        materialized_view("m", "SELECT x + 1 AS x FROM a", [("x", "bigint")], READS),
        materialized_view(
            "n",
            "SELECT d FROM a",
            [("d", "text")],
            [at("table", "a"), at("column", "a", "d")],
            with_=(("fillfactor", "70"),),
        ),
        table("c", unlogged=True, replica_identity="full"),
        *exclusions("spgist", "=", "80"),
        statistics("b", "b_stat", "a", "s", kinds=("ndistinct",)),
        statistics("b", "b_more", "a", "s", kinds=("mcv",), target=9),
        foreign_key("b", "b_late", ["a"], "a", ["id"]),
        unique("b", "b_key", "a", with_=(("fillfactor", "80"),)),
        unique("b", "b_again", "a"),
        index("b", "b_gin", "a", method="gin", with_=(("fastupdate", "off"),)),
        view("v", "SELECT x, d FROM a", [("x", "bigint"), ("d", "text")], READS),
        view("w", "SELECT d FROM a", [("d", "text")], READS),
        table("p", partition_by=r.PartitionBy("range", (IndexItem(column="x"),))),
        column("p", "x", "integer"),
        partition("p1", "p", "FOR VALUES FROM (1) TO (9)"),
        index("p", "p_half", "x", partitioned=True),
        partition("p_new", "p", "FOR VALUES FROM (15) TO (20)"),
        table("p_alone"),
        column("p_alone", "x", "integer"),
        partition("p_joins", "p", "FOR VALUES FROM (30) TO (35)"),
        view("u", "SELECT d, id FROM a", [("d", "text"), ("id", "bigint")], [at("table", "a"), at("column", "a", "d")]),
    )


STATES = {
    "nothing": state(),
    "first": first(),
    "second": second(),
    "mood": first().add(enum("mood", "sad", "ok", "up")),
}
PAIRS = list(permutations(STATES, 2))


def applied(found: list[Change], to: State) -> State:
    for change in found:
        to = change.apply_to(to)
    return to


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_changes_turn_one_state_into_the_other(before: str, after: str) -> None:
    found = changes(STATES[before], STATES[after])
    assert dict(applied(found, STATES[before])) == dict(STATES[after])


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_reverse_undoes_or_says_why_not(before: str, after: str) -> None:
    for change in changes(STATES[before], STATES[after]):
        back = change.reverse()
        if isinstance(back, Irreversible):
            assert back.reason
            continue
        assert (back.before, back.after) == (change.after, change.before)
        there = change.apply_to(State.of([change.before] if change.before else []))
        assert dict(back.apply_to(there)) == dict(State.of([change.before] if change.before else []))


@pytest.mark.parametrize("name", STATES)
def test_a_state_against_itself_is_no_change(name: str) -> None:
    assert changes(STATES[name], STATES[name]) == []


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_plans_are_ordered_and_the_same_each_time(before: str, after: str, empty: bool) -> None:
    try:
        plan = planned(STATES[before], STATES[after], empty=empty)
    except PlanError as error:
        assert "no column" not in str(error)
        pytest.fail(str(error))
    assert plan.steps == planned(STATES[before], STATES[after], empty=empty).steps
    ids = [step.id for step in plan.steps]
    assert len(ids) == len(set(ids))
    for change in plan.changes:
        assert change.describe() and "\n" not in change.describe()


def test_every_change_class_is_used_here() -> None:
    used = {type(c).__name__ for pair in PAIRS for c in changes(STATES[pair[0]], STATES[pair[1]])}
    assert {
        "AlterStatistics", "CreateStatistics", "DropStatistics", "ReplaceStatistics",
        "AddExclusion", "AlterForeignKey", "AlterIndex", "AlterKeyOptions", "DropExclusion", "RebuildKey",
        "ReplaceExclusion",
        "AlterComposite", "AlterDomain", "CreateCollation", "DropCollation", "ReplaceCollation", "ReplaceDomain",
        "AddCheck", "AddColumn", "AddEnumValues", "AddForeignKey", "AddPrimaryKey", "AddUnique", "AlterColumn",
        "AlterColumnOnline",
        "AlterColumnExpression", "AlterColumnType", "AlterExtension", "AlterSequence", "AlterTable", "ChangeComment",
        "CreateType",
        "AlterEventTrigger", "CreateEventTrigger", "CreateRoutine", "DropEventTrigger",
        "DropRoutine", "RecreateRoutine", "ReplaceEventTrigger", "ReplaceRoutine",
        "CreateExtension", "CreateIndex", "CreateSchema", "CreateSequence", "CreateTable", "CreateView", "DropCheck",
        "DropColumn", "DropType", "DropExtension", "DropForeignKey", "DropIndex", "DropPrimaryKey", "DropSchema",
        "DropSequence", "DropTable", "DropUnique", "DropView", "RebuildIndex", "RecreateView", "ReplaceCheck",
        "ReplaceType", "ReplaceForeignKey", "ReplaceIndex", "ReplacePrimaryKey", "ReplaceUnique", "ReplaceView",
        "ValidateConstraint",
        "AttachPartition", "CompleteIndex", "CreatePartition", "DetachPartition", "DropPartition", "MovePartition",
        "AlterMaterializedView", "CreateMaterializedView", "DropMaterializedView", "ReplaceMaterializedView",
        "ChangeAccess", "GiveAccess", "SetDefaultPrivileges", "TakeAccess",
    } <= used  # fmt: skip


def test_expression_of_an_older_server_is_changed_by_making_the_column_again() -> None:
    before, after = (state(table("a"), column("a", "d", "text"), column("a", "g", "text", generated=g)) for g in "de")
    new = sql(planned(before, after, version="17.0").steps)
    assert new == ["ALTER TABLE public.a ALTER COLUMN g SET EXPRESSION AS (e)"]
    old = sql(planned(before, after, version="16.3").steps)
    assert [s.partition(" COLUMN ")[0] for s in old] == ["ALTER TABLE public.a DROP", "ALTER TABLE public.a ADD"]


def test_a_rename_online_is_undone_by_another() -> None:
    before = state(table("a"), column("a", "d", "text"), index("a", "a_idx", "d"))
    wanted = column("a", "e", "text", renamed_from="d", strategy="online")
    change, after = PACKAGE.renamed(before, at("column", "a", "d"), wanted)
    assert type(change).__name__ == "RenameColumnOnline"
    assert dict(change.apply_to(before)) == dict(after) == dict(change.apply_to(after))
    back = change.reverse()
    assert isinstance(back, Change) and dict(back.apply_to(after)) == dict(before)


def test_declared_words_go_into_statements() -> None:
    lang = column(
        "a", "lang", "text", not_null=True, default="'en'::text", declared={"type": "text", "default": "'en'"}
    )
    before = state(table("a"), column("a", "id", "bigint"))
    assert sql(planned(before, before.add(lang)).steps) == [
        "ALTER TABLE public.a ADD COLUMN lang text DEFAULT 'en' NOT NULL"
    ]
    change = PACKAGE.change(None, lang)
    assert change is not None and change.describe() == "text not null default 'en'"


def test_names_are_quoted() -> None:
    odd = state(table('o"d d'), column('o"d d', "Größe", "text", comment="it's \\ %s"))
    [step] = planned(state(), odd).steps
    calls = [getattr(c, "sql", "") for c in step.calls]
    assert calls[0].startswith('CREATE TABLE "public"."o""d d"')
    assert calls[1] == 'COMMENT ON COLUMN "public"."o""d d"."Größe" IS E\'it\'\'s \\\\ %s\''


def test_helper_names_fit_and_differ() -> None:
    names = [helper_name("ü" * 30 + x, "not_null") for x in ("abc", "abd", "")]
    assert len(set(names)) == 3 and all(len(n.encode()) <= NAME_BYTES for n in names)


@pytest.mark.parametrize(
    ("old", "new", "rewrites", "using", "wider", "loses"),
    [
        ("character varying(5)", "character varying(9)", False, False, True, False),
        ("character varying(9)", "character varying(5)", True, False, False, False),
        ("text", "integer", True, True, False, False),
        ("integer", "text", True, False, False, False),
        ("integer", "bigint", True, False, True, False),
        ("bigint", "integer", True, False, False, False),
        ("numeric(10,2)", "numeric(12,2)", False, False, True, False),
        ("numeric(10,2)", "numeric(12,1)", True, False, False, True),
        ("double precision", "integer", True, False, False, True),
        ("timestamp with time zone", "date", True, False, False, True),
        ("timestamp(6) with time zone", "timestamp(3) with time zone", True, False, False, True),
        ("text[]", "character varying(3)[]", True, False, False, False),
        ("text", "text[]", True, True, False, False),
        ("vector(3)", "vector", False, False, True, False),
        ("public.halfvec(3)", "vector(3)", True, False, False, True),
    ],
)
def test_type_changes(old: str, new: str, rewrites: bool, using: bool, wider: bool, loses: bool) -> None:
    judged = type_change(old, new)
    assert (judged.rewrites, judged.using, judged.wider, judged.loses) == (rewrites, using, wider, loses)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (None, False),
        ("'random()'::text", False),
        ("now()", False),
        ("CURRENT_TIMESTAMP", False),
        ("('now'::text)::date", False),
        ("random()", True),
        ("nextval('s'::regclass)", True),
        ("public.my_function(1)", True),
    ],
)
def test_volatile_defaults(expression: str | None, expected: bool) -> None:
    assert volatile(expression) is expected
