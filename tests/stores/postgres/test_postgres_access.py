"""Owners, grants and default privileges on a real server: read, kept equal, seen when changed by hand, kept."""

# ruff: noqa: E501 - one case a line
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stores.postgres.reading import Store, different
from tests.stores.postgres.roles import MAKE

from reconcile import workflow
from reconcile.errors import ReconcileError
from reconcile.project import Project

SCHEMA = """
create schema audit authorization case_owner;
grant usage on schema audit to case_reader;
create table a (id bigint, n bigint, "Odd c" text);
grant select on a to case_reader, "Odd ""role" with grant option;
grant insert, update (n, "Odd c") on a to case_writer;
grant all on a to public;
create table audit.b (id bigint);
alter table audit.b owner to case_owner;
create table plain (id bigint);
create sequence s;
grant usage on sequence s to case_writer;
create view v as select id from a;
grant select (id) on v to case_reader;
create materialized view m as select id from a;
alter materialized view m owner to case_writer;
create function f(int, text) returns int language sql as 'select 1';
revoke execute on function f from public;
create function g() returns int language sql as 'select 1';
create procedure p() language sql as 'select 1';
grant execute on procedure p() to case_reader with grant option;
create aggregate total(int) (sfunc = int4pl, stype = int);
revoke all on function total(int) from public;
create type mood as enum ('a');
revoke usage on type mood from public;
create domain email as text;
alter domain email owner to case_owner;
alter default privileges for role case_owner grant select on tables to case_reader;
alter default privileges for role case_owner in schema audit grant all on sequences to case_writer;
alter default privileges for role case_writer revoke execute on functions from public;
"""


@pytest.fixture
def store(postgres_database: str) -> Store:
    found = Store(postgres_database, ("public", "audit"))
    found.execute(MAKE, SCHEMA)
    return found


def test_what_is_imported_is_equal_without_a_build(store: Store) -> None:
    files = store.imported()
    result, live, built = store.canonical(store.desired(*(t for f, t in files.items() if f.endswith(".yaml"))))
    assert (different(result, live), built, result.problems) == ({}, 0, ())
    text = "\n".join(files.values())
    assert "owner: case_owner" in text and "with_grant_option" in text and "public: [all]" in text
    assert "plain:\n    columns:" in text, "what has the default has no grants"


@pytest.mark.parametrize(
    "statement",
    [
        "grant delete on a to case_writer",
        "revoke select on a from case_reader",
        "revoke grant option for select on a from case_reader",
        "grant insert on a to case_writer with grant option",
        "grant update (id) on a to case_writer",
        "revoke update (n) on a from case_writer",
        "revoke truncate on a from public",
        "revoke insert on a from current_user",
        "revoke all on a from current_user",
        "grant all on schema audit to case_reader",
        "alter schema audit owner to case_writer",
        "revoke usage on sequence s from case_writer",
        "revoke select (id) on v from case_reader",
        "alter materialized view m owner to case_owner",
        "grant execute on function f to public",
        "revoke grant option for execute on procedure p() from case_reader",
        "grant execute on function total(int) to case_reader",
        "grant usage on type mood to case_reader",
        "alter domain email owner to case_writer",
        "alter default privileges for role case_owner grant insert on tables to case_reader",
        "alter default privileges for role case_owner in schema audit revoke all on sequences from case_writer",
        "alter default privileges for role case_writer grant execute on functions to public",
    ],
)
def test_changes_by_hand_are_seen_and_undone(store: Store, tmp_path: Path, statement: str) -> None:
    project = declared(store, tmp_path, store.imported())
    store.execute(statement)
    plan = workflow.plan(project, workflow.Options(allow=("all",)))
    assert [c.address.kind for c in plan.resource_changes] == [
        "default_privileges" if "default" in statement else "grant"
    ]
    workflow.apply(project, plan)
    assert workflow.plan(project, workflow.Options()).steps == ()


def declared(store: Store, folder: Path, files: dict[str, str], **settings: Any) -> Project:
    for name, text in files.items():
        (folder / "schema").mkdir(exist_ok=True)
        (folder / "schema" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "schema" / name).write_text(text)
    more = "".join(f", {key}: {value}" for key, value in settings.items())
    (folder / "reconcile.yaml").write_text(
        f"version: 1\nname: access\nledger: {{file: ledger.db}}\nstores:\n"
        f'  app: {{kind: postgres, url: "{store.url}", schemas: [public, audit]{more}}}\n'
    )
    return Project.load(folder)


def acl(store: Store) -> list[tuple[Any, ...]]:
    """Who may do what with every object and column, grantors left out."""
    return store.execute(
        "select x.name, x.owner, g.grantee, g.privilege_type, g.is_grantable from ("
        " select c.relname::text as name, pg_get_userbyid(c.relowner) as owner, c.relacl as acl from pg_class c"
        " where c.relnamespace::regnamespace::text in ('public', 'audit')"
        " union all select c.relname || '.' || a.attname, '', a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " where c.relnamespace::regnamespace::text in ('public', 'audit') and a.attacl is not null and not a.attisdropped"
        " union all select p.proname, pg_get_userbyid(p.proowner), p.proacl from pg_proc p"
        " where p.pronamespace::regnamespace::text in ('public', 'audit')"
        " union all select t.typname, pg_get_userbyid(t.typowner), t.typacl from pg_type t"
        " where t.typnamespace::regnamespace::text in ('public', 'audit')"
        ") x left join lateral aclexplode(x.acl) g on true order by 1, 2, 3, 4, 5"
    )


def test_owner_and_grants_are_managed_apart(store: Store, tmp_path: Path) -> None:
    project = declared(store, tmp_path, store.imported())
    store.execute("alter table a owner to case_owner; grant select on m to case_reader")
    assert workflow.plan(project, workflow.Options()).steps == ()


def test_what_is_not_declared_is_left_alone(store: Store, tmp_path: Path) -> None:
    project = declared(store, tmp_path, store.imported())
    workflow.apply(project, workflow.plan(project, workflow.Options()))
    before = acl(store)
    for path in (tmp_path / "schema").glob("*.yaml"):
        path.write_text(without_access(path.read_text()))
    plan = workflow.plan(Project.load(tmp_path), workflow.Options())
    assert plan.steps == ()
    workflow.apply(Project.load(tmp_path), plan)
    assert acl(store) == before


def without_access(text: str) -> str:
    """YAML without `owner:` and `grants:`, which are mappings or scalars on the lines below their key."""
    import yaml

    def stripped(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: stripped(v) for k, v in node.items() if k not in ("owner", "grants", "default_privileges")}
        return node

    return yaml.safe_dump(stripped(yaml.safe_load(text)))


def test_prune_takes_what_is_not_declared(postgres_database: str, tmp_path: Path) -> None:
    store = Store(postgres_database)
    store.execute(
        MAKE,
        "create table a (id bigint); grant select on a to case_reader; grant update (id) on a to case_writer",
        "create function f() returns int language sql as 'select 1'; revoke execute on function f() from public",
        "alter default privileges grant insert on tables to case_writer",
    )
    text = """
store: app
tables: {a: {columns: {id: bigint}}, b: {columns: {id: bigint}}}
functions: {f(): {definition: "create function f() returns int language sql as 'select 1'"}}
"""
    project = declared(store, tmp_path, {"s.yaml": text})
    plan = workflow.plan(project, workflow.Options(prune="all", allow=("all",)))
    workflow.apply(project, plan)
    assert {row[2:4] for row in acl(store) if row[2] not in (None, 10)} == {(0, "EXECUTE")}
    assert workflow.plan(project, workflow.Options(prune="all")).steps == ()


def test_missing_roles_are_told_with_their_line(postgres_database: str, tmp_path: Path) -> None:
    store = Store(postgres_database)
    text = """
store: app
tables:
  a:
    owner: case_ownr
    columns: {id: bigint}
    grants: {case_nobody: [select], public: [select]}
default_privileges:
  - {role: case_somebody, on: tables, grants: {case_else: [select]}}
"""
    store.execute(MAKE)
    with pytest.raises(ReconcileError) as error:
        workflow.plan(declared(store, tmp_path, {"s.yaml": text}), workflow.Options())
    lines = str(error.value)
    for where in ("s.yaml:7:", "'case_nobody'", "'case_ownr'", 'did you mean "case_owner"', "s.yaml:9:", "'case_else'"):
        assert where in lines, lines


AGAIN = """
create type mood as enum ('a', 'b');
create table t (id integer, m mood, g integer generated always as (id * 2) stored);
create view v as select id, m from t;
create materialized view w as select id from v;
create function f(integer) returns integer language sql as 'select 1';
grant select on v to case_reader with grant option; grant select (id) on v to case_writer; alter view v owner to case_owner;
grant select on t to case_owner; grant select on v to case_writer;
grant select on w to case_writer; grant select (id) on w to public; alter materialized view w owner to case_writer;
grant all on type mood to case_reader; revoke usage on type mood from public;
grant select (g), update (id) on t to case_writer; grant select (g) on t to case_reader with grant option;
revoke execute on function f from public; grant execute on function f to case_writer; alter function f owner to case_owner;
alter default privileges grant delete on tables to case_writer;
"""
DECLARED = """
store: app
enums: {mood: [b, a]}
tables:
  t: {columns: {id: bigint, m: mood, g: {type: bigint, generated: id * 2}}}
views: {v: {query: "select id, m from t"}}
materialized_views: {w: {query: select id from v}}
functions: {f(integer): {definition: "create function f(integer) returns bigint language sql as 'select 1::bigint'"}}
"""


def test_what_is_made_again_keeps_owner_and_grants(postgres_database: str, tmp_path: Path) -> None:
    store = Store(postgres_database)
    store.execute(MAKE, AGAIN)
    before = acl(store)
    project = declared(store, tmp_path, {"s.yaml": DECLARED})
    plan = workflow.plan(project, workflow.Options(allow=("all",)))
    assert {c.address.kind for c in plan.resource_changes} >= {
        "view",
        "materialized_view",
        "enum",
        "column",
        "function",
    }
    workflow.apply(project, plan)
    assert acl(store) == before


def test_objects_are_made_by_the_role_of_the_store(postgres_database: str, tmp_path: Path) -> None:
    store = Store(postgres_database)
    store.execute(MAKE, "grant create, usage on schema public to case_owner")
    store.execute("do $$ begin execute format('grant create on database %I to case_owner', current_database()); end $$")
    text = """
store: app
tables: {a: {columns: {id: bigint}, grants: {case_reader: [select]}, owner: case_owner}}
views: {v: {query: select id from a}}
"""
    project = declared(store, tmp_path, {"s.yaml": text}, role="case_owner")
    workflow.apply(project, workflow.plan(project, workflow.Options(allow=("all",))))
    assert {row[1] for row in acl(store) if row[0] in ("a", "v")} == {"case_owner"}
    assert workflow.plan(project, workflow.Options()).steps == ()
