"""Triggers, policies and row-level security on a real server: read, compared, changed by hand, taken along."""

# ruff: noqa: E501 - one case a line
from __future__ import annotations

import json

import psycopg
import pytest
from tests.stores.postgres.reading import Store, at, different
from tests.stores.postgres.writing import Database

from reconcile.errors import PlanError
from reconcile.model import State
from reconcile.stores.base import Context, Live
from reconcile.stores.postgres import PACKAGE
from reconcile.stores.postgres.introspect import READERS
from reconcile.yamlio import parse as read_yaml

SCHEMA = r"""
create schema audit;
create function touch() returns trigger language plpgsql as 'begin return new; end';
create function audit.log() returns trigger language plpgsql as 'begin return null; end';
create type kind as enum ('public', 'private');
create table users (id int primary key, tenant varchar(20), kind kind, "Größe" int, seen timestamptz);
create table audit."Members" ("user" int references users, role text);
create view v as select id, tenant from users;
alter table users enable row level security;
alter table audit."Members" enable row level security, force row level security;
create policy seen on users for select to pg_read_all_settings, pg_monitor using (
  tenant = current_setting('app.tenant') or kind in ('public') or id in (select m."user" from audit."Members" m where m.role = any ('{a,b}'::text[])));
create policy "Not.null" on audit."Members" as restrictive for insert with check (role is not null);
create policy nothing on users for delete;
comment on policy seen on users is 'P';
create trigger t1 before insert or update of tenant, "Größe" on users for each row when (new.tenant <> 'it''s WHEN (' and new.kind = 'private') execute function touch('a', 'b''\c', 1, '');
create trigger t2 after update on users referencing old table as "Old" new table as n for each statement execute function audit.log();
create constraint trigger t3 after insert or delete on users from audit."Members" deferrable initially deferred for each row execute function audit.log();
create trigger t4 instead of insert on v for each row execute function touch();
create trigger t5 after truncate on audit."Members" execute function audit.log();
create trigger t6 before update on users for each row when (old.* is distinct from new.*) execute function suppress_redundant_updates_trigger();
create constraint trigger t7 after update on users deferrable for each row when (old.seen < new.seen - interval '1 day') execute function audit.log();
alter table users disable trigger t2; alter table users enable always trigger t3;
alter table users enable replica trigger t6;
comment on trigger t1 on users is 'T';
"""


@pytest.fixture
def store(postgres_database: str) -> Store:
    found = Store(postgres_database, ("public", "audit"))
    found.execute(SCHEMA)
    return found


def test_everything_that_is_modelled(store: Store) -> None:
    live = store.live()
    assert (live.not_modelled, live.partial) == ((), ())
    found = {str(a)[4:]: x.attributes() for a, x in live.state.items() if a.kind in ("policy", "trigger")}
    seen = found.pop("policy.public.users.seen")
    assert seen.pop("using").startswith("((tenant)::text = current_setting('app.tenant'::text)) OR")
    assert seen == {"for": "select", "to": ["pg_monitor", "pg_read_all_settings"], "comment": "P"}
    log, touch = ["audit", "log()"], ["public", "touch()"]
    assert found == {
        'policy.audit.Members."Not.null"': {"for": "insert", "permissive": False, "check": "role IS NOT NULL"},
        "policy.public.users.nothing": {"for": "delete"},
        "trigger.public.users.t1": {
            "when": "before",
            "events": ["insert", "update"],
            "of": ["tenant", "Größe"],
            "for_each": "row",
            "condition": "((new.tenant)::text <> 'it''s WHEN ('::text) AND (new.kind = 'private'::kind)",
            "function": touch,
            "arguments": ["a", "b'\\c", "1", ""],
            "comment": "T",
        },
        "trigger.public.users.t2": {"events": ["update"], "function": log, "old_table": "Old", "new_table": "n", "enabled": "disabled"},
        "trigger.public.users.t3": {
            "events": ["insert", "delete"],
            "for_each": "row",
            "function": log,
            "constraint": True,
            "deferrable": "initially_deferred",
            "from": ["audit", "Members"],
            "enabled": "always",
        },
        "trigger.public.v.t4": {"when": "instead_of", "events": ["insert"], "for_each": "row", "function": touch},
        "trigger.audit.Members.t5": {"events": ["truncate"], "function": log},
        "trigger.public.users.t6": {
            "when": "before",
            "events": ["update"],
            "for_each": "row",
            "condition": "old.* IS DISTINCT FROM new.*",
            "function": ["pg_catalog", "suppress_redundant_updates_trigger()"],
            "enabled": "replica",
        },
        "trigger.public.users.t7": {
            "events": ["update"],
            "for_each": "row",
            "condition": "old.seen < (new.seen - '1 day'::interval)",
            "function": log,
            "constraint": True,
            "deferrable": "initially_immediate",
        },
    }  # fmt: skip
    security = {a.parts[1]: getattr(x, "row_level_security", None) for a, x in live.state.items() if a.kind == "table"}
    assert security == {"users": "enabled", "Members": "forced"}


def test_what_they_refer_to(store: Store) -> None:
    state = store.live().state
    refers = {a.parts[2]: {str(t)[4:] for t in x.refers} for a, x in state.items() if a.kind in ("policy", "trigger")}
    users = "column.public.users."
    assert refers["seen"] == {f"{users}{c}" for c in ("id", "tenant", "kind")} | {
        "table.audit.Members", "column.audit.Members.user", "column.audit.Members.role", "enum.public.kind",
    }  # fmt: skip
    assert refers["t1"] == {f"{users}{c}" for c in ("Größe", "tenant", "kind")} | {
        "enum.public.kind", "function.public.touch()",
    }  # fmt: skip
    assert refers["t3"] == {"table.audit.Members", "function.audit.log()"}
    declared = store.desired(*store.imported().values())
    for address in ("policy.public.users.seen", "trigger.public.users.t1", "trigger.public.users.t3"):
        assert set(state[at(address)].refers) <= set(declared[at(address)].refers), address


def test_what_is_imported_is_equal_without_a_scratch_build(store: Store) -> None:
    result, live, built = store.canonical("\n---\n".join(store.imported().values()))
    assert (different(result, live), result.problems, built) == ({}, (), 0)


@pytest.mark.parametrize(
    "by_hand",
    [
        "alter table users disable row level security",
        "alter table users force row level security",
        'alter table audit."Members" no force row level security',
        "alter policy seen on users to pg_monitor",
        "alter policy seen on users using (true)",
        "drop policy seen on users; create policy seen on users for all to pg_monitor, pg_read_all_settings using (false)",
        'alter policy "Not.null" on audit."Members" with check (role > \'\')',
        "comment on policy seen on users is null",
        "alter policy seen on users rename to watched",
        "create policy more on users",
        "drop policy nothing on users",
        "drop policy nothing on users; create policy nothing on users as restrictive for delete",
        "drop policy nothing on users; create policy nothing on users for update",
        "create or replace trigger t1 after insert or update of tenant, \"Größe\" on users for each row when (new.tenant <> 'it''s WHEN (' and new.kind = 'private') execute function touch('a', 'b''\\c', 1, '')",
        "create or replace trigger t4 instead of insert or update on v for each row execute function touch()",
        "create or replace trigger t4 instead of insert on v for each row execute function audit.log()",
        'create or replace trigger t5 after truncate on audit."Members" execute function audit.log(1)',
        "create or replace trigger t2 after update on users referencing old table as o new table as n for each statement execute function audit.log()",
        "create or replace trigger t2 after update on users for each statement execute function audit.log()",
        "create or replace trigger t6 before update on users for each row execute function suppress_redundant_updates_trigger()",
        "create or replace trigger t6 before update of id on users for each row when (old.* is distinct from new.*) execute function suppress_redundant_updates_trigger()",
        "alter table users enable trigger t2",
        "alter table users enable trigger t3",
        "alter table users disable trigger t6",
        "alter table users disable trigger user",
        "comment on trigger t1 on users is null",
        "alter trigger t1 on users rename to t0",
        "drop trigger t3 on users; create constraint trigger t3 after insert or delete on users deferrable initially deferred for each row execute function audit.log()",
        "drop trigger t7 on users; create constraint trigger t7 after update on users for each row when (old.seen < new.seen - interval '1 day') execute function audit.log()",
        "drop trigger t7 on users; create trigger t7 after update on users for each row when (old.seen < new.seen - interval '1 day') execute function audit.log()",
    ],
)  # fmt: skip
def test_what_is_changed_by_hand_is_seen(store: Store, by_hand: str) -> None:
    if "or replace" in by_hand and store.execute("show server_version_num")[0][0] < "140000":
        by_hand = f"drop trigger {by_hand.split()[4]} on {by_hand.partition(' on ')[2].split()[0]}; " + by_hand.replace(
            "or replace ", "", 1
        )
    declared = "\n---\n".join(store.imported().values())
    store.execute(by_hand)
    result, live, _ = store.canonical(declared)
    extra = [a for a in live if a not in result.state and a.kind in ("policy", "trigger")]
    assert different(result, live) or extra


def test_triggers_of_foreign_keys_that_were_switched_off_are_named(store: Store) -> None:
    store.execute('alter table audit."Members" disable trigger all')
    named = [n for n in store.live().not_modelled if n.address.kind == "trigger"]
    assert len(named) == 2 and all("here disabled by hand" in n.what for n in named)


DECLARED = """
store: app
schemas: {audit: {}}
enums: {kind: [public, private]}
functions:
  "f()": {definition: "create function f() returns trigger language plpgsql as $$ begin return new; end $$"}
  "own(text)": {definition: "create function own(t text) returns boolean language sql as $$ select t = 'a' $$"}
  "audit.own(text)": {definition: "create function audit.own(t text) returns boolean language sql as $$ select t = 'a' $$"}
tables:
  t:
    columns: {id: int, name: varchar(10), at: timestamptz, kind: kind, tags: "text[]", "Odd": text}
    row_level_security: enabled
    policies:
      P1
    triggers:
      T1
  audit.events:
    columns: {t: int, name: text, at: timestamptz}
views:
  v: {query: select id from t}
"""


@pytest.mark.parametrize(
    "condition",
    [
        "name='a'",
        "name in ('a','b')",
        "name = any ('{a,b}')",
        "id between 1 and 10",
        "name::text = current_setting('app.name', true)",
        "at > now() - interval '90 minutes'",
        "at > '2026-01-01 00:00:00+02'",
        "kind = 'public' and kind <> 'private'::public.kind",
        "own(name)",
        "public.own(name) or audit.own(name)",
        "'x' = any(tags)",
        "exists (select 1 from audit.events e where e.t = id and e.name = t.name)",
        "exists (select from v where v.id = t.id)",
        "id in (select t from audit.events)",
        "(select count(*) from t as other where other.id = t.id) > 0",
        '"Odd" = current_user and CURRENT_USER <> session_user',
        "t.id > 0 and public.t.id < 9",
        "case when id > 0 then true end",
        "name not like 'a%' and name ~ '^b' and name is not null",
        "(((id > 0)))",
        "true",
    ],
)
def test_conditions_of_policies_meet(postgres_database: str, condition: str) -> None:
    store = Store(postgres_database, ("public", "audit"))
    store.execute(
        "create schema audit; create type kind as enum ('public', 'private');"
        "create function own(t text) returns boolean language sql as $$ select t = 'a' $$;"
        "create function audit.own(t text) returns boolean language sql as $$ select t = 'a' $$;"
        'create table t (id int, name varchar(10), at timestamptz, kind kind, tags text[], "Odd" text);'
        "create table audit.events (t int, name text, at timestamptz); create view v as select id from t;"
        "create function f() returns trigger language plpgsql as $$ begin return new; end $$;"
        "alter table t enable row level security",
        f"create policy p on t using ({condition}) with check ({condition})",
    )
    quoted = json.dumps(condition)
    policy = f"p: {{using: {quoted}, check: {quoted}}}"
    text = DECLARED.replace("P1", policy).replace("    triggers:\n      T1\n", "")
    result, live, built = store.canonical(text)
    assert (different(result, live), result.problems, result.unproved) == ({}, (), ())
    again, live, built = store.canonical(text, result.learned)
    assert (different(again, live), built) == ({}, 0)


@pytest.mark.parametrize(
    "condition",
    [
        "new.name='a'",
        "OLD.name IS DISTINCT FROM NEW.name",
        "new.* is distinct from old.*",
        "new.name in ('a', 'b') and new.id between 1 and 2",
        "pg_trigger_depth() < 1",
        "own(new.name)",
        "new.kind = 'public'",
        "new.at > old.at + interval '1 hour'",
        'new."Odd" is null',
    ],
)
def test_conditions_of_triggers_meet(postgres_database: str, condition: str) -> None:
    store = Store(postgres_database, ("public", "audit"))
    quoted = json.dumps(condition)
    store.execute(
        "create schema audit; create type kind as enum ('public', 'private');"
        "create function own(t text) returns boolean language sql as $$ select t = 'a' $$;"
        'create table t (id int, name varchar(10), at timestamptz, kind kind, tags text[], "Odd" text);'
        "create function f() returns trigger language plpgsql as $$ begin return new; end $$;"
        "alter table t enable row level security",
        f"create trigger g before update on t for each row when ({condition}) execute function f()",
    )
    trigger = f"g: {{when: before, events: [update], for_each: row, condition: {quoted}, function: f()}}"
    text = DECLARED.replace("T1", trigger).replace("    policies:\n      P1\n", "")
    result, live, _ = store.canonical(text)
    left = {k: v for k, v in different(result, live).items() if ".trigger." in k}
    assert (left, result.problems, result.unproved) == ({}, (), ())


def problems(store: Store, text: str) -> list[str]:
    """What parsing and the server say of a declaration."""
    context = Context(store.spec, {})
    found = PACKAGE.parse(read_yaml(text, "s.yaml"), context)
    assert not context.problems
    with store.session() as session:
        return [str(p) for p in session.unsupported(State.of(found))]


def test_functions_and_roles_that_are_not_there_are_named_with_their_line(postgres_database: str) -> None:
    store = Store(postgres_database, settings={"external": ["public.*where", "public.there"]})
    store.execute("create function there() returns trigger language plpgsql as 'begin return new; end'")
    text = """store: app
tables:
  t:
    columns: {id: int}
    policies:
      p: {to: [nobody_at_all, pg_monitr]}
    triggers:
      a: {when: before, events: [insert], function: there()}
      b: {when: before, events: [insert], function: elsewhere()}
      c: {when: before, events: [insert], function: pg_catalog.suppress_redundant_updates_trigger()}
"""
    assert problems(store, text) == [
        "s.yaml:9:7: app.trigger.public.t.b calls public.elsewhere(), which is neither declared nor on app; declare it under `functions:`",
        's.yaml:6:7: app.policy.public.t.p is to the role nobody_at_all, which app does not have; create it first: CREATE ROLE "nobody_at_all"',
        's.yaml:6:7: app.policy.public.t.p is to the role pg_monitr, which app does not have; did you mean "pg_monitor"?',
    ]  # fmt: skip


@pytest.mark.pgvector
def test_a_version_of_an_extension_that_the_server_cannot_make_is_told_with_its_line(postgres_database: str) -> None:
    store = Store(postgres_database)
    text = "store: app\nextensions:\n  vector: {version: '%s'}\n"
    [problem] = problems(store, text % "9.9")
    assert problem.startswith("s.yaml:3:3: app.extension.vector: app has no version 9.9 of it; ")
    with psycopg.connect(store.url, autocommit=True) as connection:
        row = connection.execute("select default_version from pg_available_extensions where name = 'vector'").fetchone()
        assert row is not None
        assert problems(store, text % row[0]) == []
        connection.execute("create extension vector")
        assert problems(store, text % row[0]) == []
        connection.execute("update pg_extension set extversion = '0.0.1' where extname = 'vector'")
        [problem] = problems(store, text % row[0])
        assert f"app has no way from version 0.0.1 of it, which is there, to {row[0]}" in problem
        connection.execute("update pg_extension set extversion = '0.8.0' where extname = 'vector'")
        assert problems(store, text % row[0]) == [], "the scripts from one version to the next lead there"


def test_a_wrong_condition_is_told_with_its_line(postgres_database: str) -> None:
    store = Store(postgres_database)
    text = """store: app
tables:
  t:
    columns: {id: int}
    policies:
      p: {using: nobody > 1}
    triggers:
      g: {when: before, events: [insert], for_each: row, condition: old.id > 1, function: pg_catalog.suppress_redundant_updates_trigger()}
"""
    result, _, _ = store.canonical(text)
    assert [str(p) for p in result.problems] == [
        's.yaml:6:7: policy public.t.p: PostgreSQL says: column "nobody" does not exist',
        "s.yaml:8:7: trigger public.t.g: PostgreSQL says: INSERT trigger's WHEN condition cannot reference OLD values",
    ]


def test_a_scratch_build_leaves_the_live_table_alone(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute("create table t (id int)")
    text = "store: app\ntables: {t: {columns: {id: int}, policies: {p: {using: id > 1}}}}"
    with psycopg.connect(postgres_database) as other, store.session() as session:
        other.execute("lock table t in access exclusive mode")
        result = session.canonical(store.desired(text), Live(State()), {})
    assert not result.problems and not result.unproved


@pytest.mark.parametrize(
    ("by_hand", "named", "since"),
    [
        ("create rule r as on update to t where new.a > 1 do instead nothing", "rule r on table t", 12),
        ("create schema other; create view other.v as select a from t", "view other.v", 12),
        ("create schema other; create table other.t (); create policy p on other.t using (exists (select a from t))", "policy p on table other.t", 12),
    ],
)  # fmt: skip
def test_what_is_not_modelled_and_uses_a_column_keeps_it_as_it_is(
    postgres_database: str, by_hand: str, named: str, since: int
) -> None:
    database = Database.at(postgres_database)
    database.execute("create table t (a int, b text)")
    if database.session.server().numbers < (since,):
        return
    database.execute(by_hand.format(p="attached"))
    live = database.live()
    dropped = live.filter(lambda x: x.address.parts[-1] != "a")
    retyped = live.add(live[at("column.public.t.a")].replace(type="bigint"))
    for desired, what in ((dropped, "be dropped"), (retyped, "get another type")):
        with pytest.raises(PlanError) as caught:
            database.plan(desired)
        assert f"cannot {what}: it is used by" in str(caught.value) and named.format(p="attached") in str(caught.value)
    database.to(live.add(live[at("column.public.t.b")].replace(type="character varying(9)")))


@pytest.mark.since(15)
def test_publications_let_a_table_go_while_a_column_they_name_gets_another_type(postgres_database: str) -> None:
    database = Database.at(postgres_database)
    database.execute(
        'create table t (a int, "B" text, c int); create table other (a int);'
        'create publication one for table t (a, "B"), other; create publication two for table t where (a > 1 and c = 2)'
    )
    asked = "select pubname, attnames::text, rowfilter from pg_publication_tables order by pubname, tablename"
    before, live = database.execute(asked), database.live()
    for gone in ("a", "B"):
        with pytest.raises(PlanError, match="cannot be dropped: it is used by publication one"):
            database.plan(live.filter(lambda x: x.address.parts[-1] != gone))  # noqa: B023
    renamed = live[at("column.public.t.c")].replace(address=at("column.public.t.d"), renamed_from="c")
    retyped = live.add(live[at("column.public.t.a")].replace(type="numeric"))
    with pytest.raises(PlanError, match="cannot get another type: it is used by publication one, publication two"):
        database.plan(retyped.without(at("column.public.t.c")).add(renamed))
    database.to(retyped)
    after = database.execute(asked)
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert [row[2] for row in after] == [None, None, "((a > (1)::numeric) AND (c = 2))"]


def test_no_two_catalog_queries_have_one_name() -> None:
    names = [name for reader in READERS for name in reader.QUERIES]
    assert len(names) == len(set(names))


def test_triggers_of_partitions_are_their_parent_s(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute(
        "create function f() returns trigger language plpgsql as 'begin return new; end';"
        "create table t (a int) partition by list (a); create table p partition of t for values in (1);"
        "create trigger g after insert on t for each row execute function f();"
        "create trigger own after insert on p for each row execute function f()"
    )
    live = store.live()
    assert {str(a)[4:] for a in live.state if a.kind == "trigger"} == {"trigger.public.t.g", "trigger.public.p.own"}
    store.execute("alter table t disable trigger g")
    assert store.live().not_modelled == live.not_modelled
    store.execute("alter table p enable trigger g")
    named = [f"{n.address.name}: {n.what}" for n in store.live().not_modelled]
    assert named == ["public.p.g: trigger of a partitioned table, here enabled by hand"]
