"""Functions, procedures, aggregates and event triggers: read, compared, written; what is wrong in YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.projects import Folder
from tests.stores.postgres.reading import Store, at, different

from reconcile import wording, workflow
from reconcile.checkup import stopping
from reconcile.diff import Options, diff
from reconcile.plan import StoreView, build
from reconcile.policy import Policy
from reconcile.stores.base import Context
from reconcile.stores.postgres import PACKAGE
from reconcile.yamlio import parse as read_yaml

pytestmark = pytest.mark.older

TABLES = (
    "store: app\nenums: {mood: [sad, ok]}\ntables: {docs: {columns: {id: bigint, path: text}, primary_key: [id]}}\n"
)
FUNCTIONS = {
    "norm(text)": "create function norm(text) returns text language internal immutable strict as 'lower'",
    "f()": "create function f() returns int language sql as 'select 1'",
    "f(int)": 'create function f(a int) returns int language sql as $$ select a; -- "x" public.f() $$',
    "f(numeric(10,2), varchar, timestamptz)": "create function f(a numeric(10,2), varchar(3),"
    " timestamptz default now()) returns setof text language sql as 'select ''x'''",
    "g(int, text[])": "create function g(inout a int, out b text, variadic c text[] default '{}')"
    " language plpgsql strict as $$begin end$$",
    "t()": 'create function t() returns table (a int, "B c" text[]) rows 7 cost 3 language sql stable'
    " parallel restricted as 'select 1, null'",
    "w()": "create function w() returns trigger language plpgsql security definer set search_path to public, pg_temp"
    " set work_mem = '4MB' as 'begin return new; end'",
    '"Odd, name"(float8)': 'create function "Odd, name"("Größe" double precision) returns double precision leakproof'
    ' immutable return "Größe" * 2',
    "r(docs)": "create function r(docs) returns setof docs language sql as 'select $1'",
    'arr(docs[], mood, char, "char", bit, interval)': 'create function arr(docs[], mood, character, "char", bit(3),'
    " interval) returns mood language sql as 'select null::mood'",
    "late()": "create function late() returns text language sql as 'select a from not_there_yet'",
    "any_(anyelement, anyarray)": "create function any_(anyelement, anyarray default '{}'::int[]) returns anyelement"
    " language sql as 'select $1'",
    "docs_of(docs)": "create function docs_of(docs) returns bigint begin atomic select $1.id; end",
    "calls()": "create function calls() returns text return (select norm(max(path)) from docs)",
    'my_step(text, text, variadic "any")': 'create function my_step(text, text, variadic "any") returns text'
    " language internal as 'textcat'",
    'my_end(text, text, "any")': 'create function my_end(text, text, variadic "any") returns text'
    " language internal as 'textcat'",
    "ddl()": "create function ddl() returns event_trigger language plpgsql as 'begin end'",
}
PROCEDURES = {
    "p(date, int)": "create procedure p(in a date, inout b int, out c int) language plpgsql as $$begin commit; end$$",
    "p()": "create procedure p() begin atomic insert into docs (id) values (1); delete from docs; end",
}
AGGREGATES = {
    "total(int)": "create aggregate total(int) (sfunc = int4pl, stype = int4, initcond = '0')",
    "counted(*)": "create aggregate counted(*) (sfunc = int8inc, stype = int8, initcond = '0', parallel = safe)",
    'many(text, "any")': 'create aggregate many(text, variadic "any") (sfunc = my_step, stype = text,'
    " finalfunc = my_end, finalfunc_extra, sspace = 99)",
    "mid(float8, float8)": "create aggregate mid(float8 order by float8) (sfunc = ordered_set_transition,"
    " stype = internal, finalfunc = percentile_disc_final, finalfunc_extra, finalfunc_modify = shareable)",
    'hyp("any")': 'create aggregate hyp(variadic "any" order by variadic "any") (sfunc = ordered_set_transition_multi,'
    " stype = internal, finalfunc = rank_final, finalfunc_extra, hypothetical)",
    "moving(numeric)": "create aggregate moving(numeric) (sfunc = numeric_accum, stype = internal,"
    " finalfunc = numeric_avg, combinefunc = numeric_combine, serialfunc = numeric_serialize,"
    " deserialfunc = numeric_deserialize, msfunc = numeric_accum, minvfunc = numeric_accum_inv, mstype = internal,"
    " mfinalfunc = numeric_avg, mfinalfunc_modify = read_write, msspace = 128)",
    "biggest(int)": "create aggregate biggest(int) (sfunc = int4larger, stype = int4,"
    " sortop = operator(pg_catalog.>), combinefunc = int4larger)",
}


def declared() -> str:
    """All of it in YAML (JSON is YAML)."""
    sections = {"functions": FUNCTIONS, "procedures": PROCEDURES, "aggregates": AGGREGATES}
    written: dict[str, Any] = {
        k: {key: {"definition": text} for key, text in found.items()} for k, found in sections.items()
    }
    events = {"x": {"event": "ddl_command_end", "tags": ["create table"], "function": "ddl()", "enabled": "replica"}}
    written["event_triggers"] = events
    return TABLES + "".join(f"{key}: {json.dumps(value)}\n" for key, value in written.items())


def made(url: str) -> Store:
    """A store that has all of it, made by hand."""
    store = Store(url)
    store.execute(
        "create type mood as enum ('sad', 'ok')",
        "create table docs (id bigint primary key, path text)",
        "set check_function_bodies = off",
        *FUNCTIONS.values(),
        *PROCEDURES.values(),
        *AGGREGATES.values(),
        "create event trigger x on ddl_command_end when tag in ('CREATE TABLE') execute function ddl()",
        "alter event trigger x enable replica",
    )
    return store


def test_imported_text_is_equal_at_once(postgres_database: str) -> None:
    store = made(postgres_database)
    live = store.live()
    assert live.not_modelled == ()
    kinds = [a.kind for a in live.state]
    counts = [kinds.count(k) for k in ("function", "procedure", "aggregate", "event_trigger")]
    assert counts == [len(FUNCTIONS), len(PROCEDURES), len(AGGREGATES), 1]
    result, state, built = store.canonical(store.desired(*store.imported().values()))
    assert (different(result, state), result.problems, built) == ({}, (), 0)
    assert [a for a in state if a not in result.state and not (state[a].system or state[a].only_declared)] == []


def test_statements_as_people_write_them_are_equal_to_what_they_made(postgres_database: str) -> None:
    store = made(postgres_database)
    result, state, built = store.canonical(declared())
    assert (different(result, state), result.problems, result.unproved, built) == ({}, (), (), 1)
    assert store.canonical(declared(), result.learned)[2] == 0


def test_long_statements_are_imported_beside(postgres_database: str, tmp_path: Path) -> None:
    store = Store(postgres_database)
    body = "begin\n" + "\tperform 1;  \n" * 3 + "  perform '${x}';\r\nend"
    store.execute(
        f"create function f() returns void language plpgsql as $$ {body} $$",
        f"create function f(int) returns void language plpgsql as $$ {body} $$",
        f'create function "F/ü"() returns void language plpgsql as $$ {body} $$',
        "create function s() returns text language sql as 'select ''${x}'''",
    )
    with store.session() as session:
        live = session.introspect()
        place = lambda file: str(tmp_path / file)  # noqa: E731
        files = PACKAGE.dump(live, session.server(), store.spec, lambda _: True, place)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, newline="")
    assert sorted(f for f in files if "/" in f) == ["sql/f.sql", "sql/f_2.sql", "sql/f_3.sql"]
    written = [text.replace("$${", "${") for file, text in files.items() if file.endswith(".yaml")]
    result, state, built = store.canonical(store.desired(*written))
    assert (different(result, state), built) == ({}, 0)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("function.public.f(integer)", "alter function f(int) stable"),
        ("function.public.f(integer)", "alter function f(int) strict"),
        ("function.public.f(integer)", "alter function f(int) security definer"),
        ("function.public.f(integer)", "alter function f(int) leakproof"),
        ("function.public.f(integer)", "alter function f(int) parallel safe"),
        ("function.public.f(integer)", "alter function f(int) cost 7"),
        ("function.public.t()", "alter function t() rows 8"),
        ("function.public.f(integer)", "alter function f(int) support generate_series_int4_support"),
        ("function.public.f(integer)", "alter function f(int) set search_path to public"),
        ("function.public.w()", "alter function w() reset work_mem"),
        ("function.public.f()", "create or replace function f() returns int language sql as 'select 2'"),
        ("function.public.f()", "create or replace function f() returns int language sql as 'select  1'"),
        ("function.public.f()", "create or replace function f() returns int return 1"),
        ("function.public.f()", "create or replace function f() returns int language plpgsql as 'select 1'"),
        ("function.public.f(integer)", "create or replace function f(a int default 1) returns int language sql as 'x'"),
        ("procedure.public.p()", "create or replace procedure p() begin atomic delete from docs; end"),
        ("procedure.public.p(date, integer)", "alter procedure p(date, int) security definer"),
        ("aggregate.public.total(integer)", "create or replace aggregate total(int) (sfunc = int4mi, stype = int4)"),
        ("aggregate.public.moving(numeric)", "update pg_aggregate set aggmtransspace = 5 where aggmtransspace = 128"),
        ("aggregate.public.total(integer)", "update pg_aggregate set aggfinalmodify = 's' where aggfinalmodify = 'r'"),
        ("event_trigger.x", "alter event trigger x disable"),
        ("event_trigger.x", "drop event trigger x; create event trigger x on sql_drop execute function ddl()"),
        ("event_trigger.x", "drop event trigger x; create event trigger x on ddl_command_end execute function ddl()"),
    ],
)
def test_every_attribute_changed_by_hand_is_seen(postgres_database: str, kind: str, change: str) -> None:
    store = made(postgres_database)
    before = store.live().state
    store.execute("set check_function_bodies = off; " + change)
    live = store.live()
    assert live.not_modelled == ()
    changed = {str(a): x for a, x in live.state.items() if x != before.get(a)}
    assert f"app.{kind}" in changed
    result, state, _ = store.canonical(declared())
    assert f"app.{kind}" in different(result, state)


def test_comments_and_what_they_need_are_read(postgres_database: str) -> None:
    store = made(postgres_database)
    store.execute(
        "comment on function f(int) is 'F'; comment on procedure p() is 'P'; comment on aggregate counted(*) is 'C';"
        "comment on event trigger x is 'X'",
        "create function eq(int, int) returns bool return $1 = $2",
        "create operator === (leftarg = int, rightarg = int, function = eq)",
        "alter table docs alter path set default norm('X'), add check (norm(path) <> 'y')",
        "create view v as select norm(path) from docs",
        "create index i on docs (norm(path))",
    )
    state = store.live().state
    names = ("function.public.f(integer)", "procedure.public.p()", "aggregate.public.counted(*)", "event_trigger.x")
    assert [getattr(state[at(name)], "comment", None) for name in names] == ["F", "P", "C", "X"]
    norm = at("function.public.norm(text)")
    users = ("column.public.docs.path", "check.public.docs.docs_path_check", "view.public.v", "index.public.i")
    assert all(norm in state[at(user)].refers for user in users)
    assert at("table.public.docs") in state[at("function.public.r(docs)")].refers
    assert (
        at("enum.public.mood")
        in state[at('function.public.arr(docs[], mood, character, "char", bit, interval)')].refers
    )
    assert at("function.public.norm(text)") in state[at("function.public.calls()")].refers
    assert state[at("function.public.eq(integer, integer)")].needed_by == ("operator ===(integer,integer)",)  # type: ignore[attr-defined]


def problems(text: str) -> list[str]:
    """What is wrong with a document."""
    documents = read_yaml("store: app\n" + text, "s.yaml")
    found = [str(p) for d in documents for p in wording.problems(d, PACKAGE.schema)]
    if found:
        return found
    store = Store("postgresql:///x")
    context = Context(store.spec, {})
    PACKAGE.parse(documents, context)
    return [str(p) for p in context.problems]


@pytest.mark.parametrize(
    ("key", "statement", "expected"),
    [
        ("f", "create function f() returns int return 1", "has no argument types: write name(type, …)"),
        ("f()", "select 1", "it does not begin with CREATE"),
        ("f()", "create view f as select 1", "it is no CREATE FUNCTION, PROCEDURE or AGGREGATE"),
        ("f()", "create function f() returns int return 1; drop table x", "it is more than one statement"),
        ("f()", "create function g() returns int return 1", "the statement creates public.g"),
        ("f()", "create function audit.f() returns int return 1", "the statement creates audit.f"),
        ("f(text)", "create function f(a int) returns int return 1", 'key it "f(integer)"'),
        ("f()", "create procedure f() begin atomic end", "declare it under `procedures:`"),
        ("f()", "create function f() returns int as 'x", "a quote is not closed"),
        ("f()", "create function f() begin atomic select 1;", "BEGIN ATOMIC is not ended"),
        ("f()", "create function f returns int", "not followed by arguments"),
        ("f()", "create function f() returns int set search_path from current return 1", "SET name TO value"),
        ("audit.f()", "create function audit.f() returns int return 1", "not in the scope of store 'app'"),
    ],
)
def test_a_statement_that_is_not_what_its_key_says_is_refused(key: str, statement: str, expected: str) -> None:
    [problem, *_] = problems(f"functions: {json.dumps({key: {'definition': statement}})}")
    assert expected in problem and problem.startswith("s.yaml:2:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("functions: {f(): {}}", "needs either file or definition"),
        ("functions: {f(): {file: gone.sql}}", "file 'gone.sql' of 'f()' cannot be read: No such file"),
        ("event_triggers: {x: {event: sql_drop, function: f()}}", "calls function 'f', which is neither declared nor"),
        (
            "event_triggers: {x: {event: sql_drop, function: f}}\n"
            "functions: {f(int): {definition: create function f(int) returns int return 1}}",
            "declared with arguments only",
        ),
        ("event_triggers: {x: {event: drop, function: f()}}", "event"),
        (
            "aggregates: {m(int): {definition: 'create aggregate m (basetype = int, sfunc = int4pl, stype = int)'}}",
            "its arguments are missing",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, expected: str) -> None:
    assert expected in problems(text)[0]


def test_a_body_that_its_language_cannot_read_is_reported_with_its_line(postgres_database: str) -> None:
    store = Store(postgres_database)
    text = (
        "store: app\nfunctions:\n"
        "  f(): {definition: create function f() returns int language plpgsql as 'begin retrun 1; end'}\n"
        "  g(): {definition: create function g() returns int language sql as 'selec 1'}\n"
        "  h(): {definition: create function h() returns int language sql as 'select * from not_there_yet'}\n"
        "  i(): {definition: create function i() returns int language plpgsql as 'declare x not_there; begin end'}\n"
        "  j(): {definition: create function j() returns int language sql as 'delete from public.soon returning n'}\n"
    )
    store.execute("create view soon as select 1 as n group by 1")
    result, _, _ = store.canonical(text)
    assert [str(p).splitlines()[0] for p in result.problems] == [
        's.yaml:3:3: function public.f(): PostgreSQL says: syntax error at or near "retrun"',
        's.yaml:4:3: function public.g(): PostgreSQL says: syntax error at or near "selec"',
    ]


def test_a_live_overload_is_not_taken_for_a_declared_one(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute(
        "create type mood as enum ('sad')",
        "create function usual(mood default 'sad') returns mood language sql as 'select $1'",
        "create table t (a mood default usual('sad'))",
    )
    text = (
        "store: app\nenums: {mood: [sad]}\ntables: {t: {columns: {a: {type: mood, default: \"usual('sad')\"}}}}\n"
        "functions: {usual(mood): {definition: \"create function usual(mood default 'sad') returns mood"
        " language sql as 'select $1'\"}}"
    )
    result, live, built = store.canonical(text)
    assert (different(result, live), result.problems, built) == ({}, (), 1)


def test_who_may_not_is_told_before_anything_is_changed(postgres_database: str) -> None:
    name = postgres_database.rsplit("/", 1)[1]
    store = Store(postgres_database)
    store.execute("create function f() returns int language sql as 'select 1'", f"create role r_{name} login")
    try:
        limited = Store(postgres_database, settings={"role": f"r_{name}"})
        text = (
            "store: app\nfunctions: {f(): {definition: create function f() returns int language sql as 'select 2'},"
            " g(): {definition: create function g() returns int language sql as 'select 2'},"
            " e(): {definition: create function e() returns event_trigger language plpgsql as 'begin end'}}\n"
            "event_triggers: {x: {event: sql_drop, function: e()}}"
        )
        with limited.session() as session:
            live = session.introspect()
            found = diff(
                limited.desired(text), live, {}, PACKAGE, Policy(), lambda _a, _c: "managed", Options(prune="none")
            )
            view = StoreView("app", session.server(), PACKAGE.ranks, found)
            said = [c.what for c in stopping(session.check(build([view]).steps))]
        assert [line for line in said if "may not create in schema public" in line]
        assert [line for line in said if "does not own public.f(), postgres does" in line]
        assert [line for line in said if "no superuser, which event trigger x needs" in line]
    finally:
        store.execute(f"drop role r_{name}")


def test_a_procedure_gives_way_to_one_of_the_same_name_that_only_writes(tmp_path: Path, postgres_database: str) -> None:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    text = "procedures: {%s: {definition: create procedure q(%s a int) language plpgsql as 'begin end'}}"
    for pair in (("q(int)", "inout"), ("q()", "out"), ("q(int)", "inout")):
        plan = folder.declare(app=text % pair).plan(prune="all", allow=("all",))
        workflow.apply(folder.load(), plan)
        assert folder.plan(prune="all").steps == ()
