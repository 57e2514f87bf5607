"""Where nothing may be built in the database: the same spellings, by another way, or told as not provable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import TupleRow
from tests.projects import Folder
from tests.stores.postgres.reading import Store, different
from tests.stores.postgres.test_postgres_canonical import TABLES, VIEWS

from reconcile.sandbox import processes
from reconcile.sandbox.postgres import Postgres
from reconcile.stores.postgres import lent
from reconcile.stores.postgres.canonical import Work
from reconcile.stores.postgres.canonical.texts import as_json
from reconcile.stores.postgres.canonical.ways import build
from reconcile.stores.postgres.session import PostgresSession

SCHEMAS = ("public", "audit", "Odd")
TWO = "store: app\ntables: {t: {columns: {a: {type: text, default: \"'x'\"}, b: {type: text, default: \"'y'::text\"}}}}"
MADE = "create table t (a text default 'x', b text default 'y')"


@pytest.fixture
def sandbox_given(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test is the sandbox's too, by URL: none has to be started."""
    url = urlsplit(postgres_database)._replace(path="/postgres").geturl()
    monkeypatch.setenv("RECONCILE_SANDBOX_POSTGRES_URL", url)


@contextmanager
def reader(store: Store, *grants: str) -> Iterator[Store]:
    """The store as a role of its own sees it, that owns nothing and may do what PUBLIC may."""
    role = f"r_{urlsplit(store.url).path[1:]}"
    store.execute(f"create role {role} login", *(g.replace("ROLE", role) for g in grants))
    try:
        yield replace(store, settings={**store.settings, "role": role})
    finally:
        store.execute(f"drop owned by {role}", f"drop role {role}")


def read_only(store: Store) -> None:
    store.execute(f"alter database {urlsplit(store.url).path[1:]} set default_transaction_read_only = on")


def unproved(store: Store, text: str = TWO) -> list[tuple[str, ...]]:
    result, _, _ = store.canonical(text)
    assert result.problems == ()
    return [(str(u.address), u.path, u.declared, u.live, u.how) for u in result.unproved]


def make_two(store: Store) -> None:
    store.execute(MADE)


@pytest.mark.pgvector
@pytest.mark.usefixtures("sandbox_given")
def test_every_spelling_meets_the_servers_in_the_sandbox(postgres_database: str) -> None:
    store = Store(postgres_database, SCHEMAS)
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    read_only(store)
    result, live, built = store.canonical(TABLES + VIEWS)
    assert (different(result, live), result.problems, result.unproved, built) == ({}, (), (), 2)
    assert {r.how for r in result.receipts} == {"text", "sandbox"}
    assert result.notes == (
        "store app: expressions were compared in a server of the sandbox's, since transactions of this role"
        " are read-only",
    )
    again = store.canonical(TABLES + VIEWS, result.learned)
    assert (different(again[0], live), again[2], again[0].notes) == ({}, 0, ())


@pytest.mark.usefixtures("sandbox_given")
def test_what_the_sandbox_cannot_make_is_not_proved(postgres_database: str) -> None:
    """Live types that are not declared, above all; the rest is compared all the same."""
    store = Store(postgres_database)
    store.execute(
        "create domain email as text",
        "create table t (a email default 'x', b text default 'y', c money)",
    )
    read_only(store)
    text = """store: app
tables: {t: {columns: {a: {type: email, default: "'x'"}, b: {type: text, default: "'y'"}, c: money}}}"""
    assert unproved(store, text) == [
        (
            "app.column.public.t.a",
            "default",
            "'x'",
            "'x'::text",
            'the sandbox\'s PostgreSQL says: type "email" does not exist',
        )
    ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers are started, and none is given."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("RECONCILE_SANDBOX_POSTGRES_URL", raising=False)
    return tmp_path


def test_a_server_is_started_where_none_is_given_and_ended(postgres_database: str, place: Path) -> None:
    store = Store(postgres_database)
    store.execute(MADE)
    read_only(store)
    assert unproved(store) == []
    assert list(place.iterdir()) == []


def test_a_server_ends_with_the_process_it_was_lent_to(place: Path) -> None:
    """However that ends: the pipe closes."""
    lender = "[sys.executable, '-m', 'reconcile.sandbox.lend', '18', 'UTF8']"
    code = f"import subprocess, sys; p = subprocess.Popen({lender}, stdin=subprocess.PIPE); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with psycopg.connect(url) as connection:
            assert connection.info.server_version // 10000 == 18
        process.kill()
    until = time.monotonic() + 60
    while list(place.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(place.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_version_that_is_not_here_proves_nothing(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILE_SANDBOX_POSTGRES_URL", postgres_database)
    monkeypatch.setattr(lent, "_major", lambda _: "9")
    store = Store(postgres_database)
    store.execute(MADE)
    read_only(store)
    [(address, _, _, _, how)] = unproved(store)
    assert address == "app.column.public.t.a"
    assert how.startswith("transactions of this role are read-only: nothing can be built there to compare with; ")
    assert "no sandbox: PostgreSQL 9 is not installed: apt-get install postgresql-9, or" in how


def test_only_what_is_live_is_worth_a_server(postgres_database: str) -> None:
    """Nor is one started where texts tell, or for objects that are not there."""
    store = Store(postgres_database)
    read_only(store)
    result, _, built = store.canonical(TWO)
    assert (built, result.notes, result.unproved) == (1, (), ())


@pytest.mark.pgvector
def test_every_spelling_meets_the_servers_in_temporary_objects(postgres_database: str) -> None:
    store = Store(postgres_database, SCHEMAS, {"equality": "temp"})
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    with reader(store) as limited:
        result, live, built = limited.canonical(TABLES + VIEWS)
    reason = "a query names audit.t, of another schema than public"
    left = {"app.view.public.v3": reason, "app.view.Odd.v6": reason}
    assert {str(u.address): u.how for u in result.unproved} == left
    assert (set(different(result, live)), result.problems, built) == (set(left), (), 1)
    assert {r.how for r in result.receipts} == {"text", "temp"}


STANDBY = "the server is a standby: nothing can be built there to compare with"
NO_CREATE = "the role may not CREATE in this database: nothing can be built there to compare with"
TRIGGERS = "the database has event triggers, which a scratch build by this role would fire"


def compared(store: Store, text: str = TWO) -> tuple[set[str], tuple[str, ...], int]:
    """How it was found equal, what was noted, and what was left unproved."""
    result, live, _ = store.canonical(text)
    assert (different(result, live), result.problems) == ({}, ()) or result.unproved
    return {r.how for r in result.receipts}, result.notes, len(result.unproved)


@pytest.mark.usefixtures("sandbox_given")
def test_a_role_that_may_not_create_schemas(postgres_database: str) -> None:
    """Temporary objects; the sandbox for what cannot be one; nothing where neither is allowed."""
    store = Store(postgres_database)
    store.execute(MADE, "create materialized view m as select a || b as ab from t", "create index i on m (lower(ab))")
    index = "indexes: {i: {columns: [{expression: lower(ab::text)}]}}"
    text = f'{TWO}\nmaterialized_views: {{m: {{query: "select a || b as ab from t", {index}}}}}'
    temp = "store app: expressions were compared in temporary objects, since the role may not CREATE schemas"
    with reader(store) as limited:
        assert compared(limited) == ({"temp"}, (temp,), 0)
        more = "store app: what cannot be temporary was compared in a server of the sandbox's"
        assert compared(limited, text) == ({"temp", "sandbox"}, (temp, more), 0)
        only = replace(limited, settings={**limited.settings, "equality": "temp"})
        assert [u[0:2] + u[4:] for u in unproved(only, text)] == [
            ("app.index.public.i", "columns.0", "a materialized view cannot be temporary")
        ]
        only = replace(limited, settings={**limited.settings, "equality": "server"})
        assert [u[-1] for u in unproved(only)] == [NO_CREATE]


@pytest.mark.usefixtures("sandbox_given")
def test_a_role_that_may_not_make_temporary_tables(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute(MADE, f"revoke temporary on database {urlsplit(postgres_database).path[1:]} from public")
    with reader(store) as limited:
        why = "the role may not CREATE in this database"
        note = f"store app: expressions were compared in a server of the sandbox's, since {why}"
        assert compared(limited) == ({"sandbox"}, (note,), 0)
        only = replace(limited, settings={**limited.settings, "equality": "temp"})
        assert [u[-1].split(":")[0] for u in unproved(only)] == [
            "the role may not make temporary tables in this database"
        ]


EVENTS = ["ddl_command_start", "ddl_command_end", "sql_drop", "table_rewrite"]


@pytest.mark.since(17)
@pytest.mark.usefixtures("sandbox_given")
def test_event_triggers_that_forbid_everything(postgres_database: str) -> None:
    """A superuser's plan silences them; an owner's is compared elsewhere. Those of a login have fired by then."""
    store = Store(postgres_database)
    name = urlsplit(postgres_database).path[1:]
    store.execute(
        MADE,
        "create table logins (who text)",
        "grant insert on logins to public",
        "create function forbid() returns event_trigger language plpgsql as"
        " 'begin raise exception ''no %'', tg_tag; end'",
        "create function note() returns event_trigger language plpgsql as"
        " 'begin insert into public.logins values (session_user); end'",
        "create event trigger l on login execute function note()",
    )
    with reader(store, f"grant create on database {name} to ROLE", "grant create on schema public to ROLE") as owner:
        assert compared(owner) == ({"server"}, (), 0)
        store.execute(*(f"create event trigger {e} on {e} execute function forbid()" for e in EVENTS))
        try:
            note = f"store app: expressions were compared in a server of the sandbox's, since {TRIGGERS}"
            assert compared(owner) == ({"sandbox"}, (note,), 0)
            assert compared(store) == ({"server"}, (), 0)
            only = replace(owner, settings={**owner.settings, "equality": "server"})
            assert [u[-1] for u in unproved(only)] == [TRIGGERS]
        finally:
            store.execute("set event_triggers = off", *(f"drop event trigger {e}" for e in EVENTS))


class Watching(PostgresSession):
    """Notes what the transaction of a scratch build holds of the scope, just before it is rolled back."""

    held: ClassVar[list[tuple[str, str]]] = []

    @contextmanager
    def scratch(self, *, lent: bool = False) -> Iterator[psycopg.Connection[TupleRow]]:
        with super().scratch(lent=lent) as connection:
            yield connection
            self.held.extend(
                connection.execute(
                    "SELECT c.relname::text, mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                    " WHERE pid = pg_backend_pid() AND c.relnamespace = ANY ('{public,audit}'::regnamespace[])"
                ).fetchall()
            )


@pytest.mark.pgvector
@pytest.mark.parametrize("equality", ["server", "temp"])
def test_nothing_of_the_users_is_locked(postgres_database: str, equality: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds all tables exclusively: the build does not wait for them, and holds nothing of theirs itself."""
    monkeypatch.setattr(Watching, "held", [])
    store = Store(postgres_database, SCHEMAS, {"equality": equality})
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    store.execute("create table w (id int)")
    desired = store.desired(TABLES + VIEWS)
    session = Watching(store.spec, "tests", "default")
    try:
        live = session.introspect()
        with psycopg.connect(postgres_database) as holder, psycopg.connect(postgres_database) as writer:
            holder.execute("lock table t, audit.t, v1, v2, v3, v5 in access exclusive mode")
            writer.execute("insert into w values (1)")
            result = session.canonical(desired, live, {})
            writer.execute("set lock_timeout = '1s'; insert into w values (2)")
    finally:
        session.close()
    assert result.problems == () and len(result.unproved) == (2 if equality == "temp" else 0)
    assert Watching.held == []


@pytest.fixture
def standby(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URLs of a primary and of its streaming standby, on loopback."""
    primary, copy = Postgres(tmp_path / "primary"), Postgres(tmp_path / "standby")
    try:
        login = primary.start()
        copy.place()
        make = [
            primary.binaries() / "pg_basebackup",
            "-D",
            copy.folder / "data",
            "-R",
            "--checkpoint=fast",
            "--no-sync",
        ]
        subprocess.run(
            [*map(str, make), "-d", primary.urls(login)["POSTGRES_URL"]],
            check=True,
            cwd=copy.folder,
            **processes.run_as(copy.user),
        )
        shutil.copy(primary.folder / "login.json", copy.folder / "login.json")
        yield primary.urls(login)["POSTGRES_URL"], copy.urls(copy.start(processes.free_port()))["POSTGRES_URL"]
    finally:
        copy.stop(keep_data=False)
        primary.stop(keep_data=False)


def test_a_streaming_standby(standby: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What its primary replays is compared in the sandbox; nothing is left of that in either."""
    primary, there = map(Store, standby)
    monkeypatch.setenv("RECONCILE_SANDBOX_POSTGRES_URL", primary.url)
    primary.execute(MADE)
    until = time.monotonic() + 60
    while there.execute("select to_regclass('t') is not null") != [(True,)]:
        assert time.monotonic() < until
        time.sleep(0.05)
    databases = primary.execute("select datname from pg_database order by 1")
    note = "store app: expressions were compared in a server of the sandbox's, since the server is a standby"
    assert compared(there) == ({"sandbox"}, (note,), 0)
    assert primary.execute("select datname from pg_database order by 1") == databases
    only = replace(there, settings={"equality": "temp"})
    assert [u[-1] for u in unproved(only)] == [STANDBY]


CASES = Path(__file__).parents[2] / "cases" / "postgres"


@pytest.mark.pgvector
@pytest.mark.since(17)
@pytest.mark.usefixtures("sandbox_given")
@pytest.mark.parametrize("way", ["temp", "sandbox"])
@pytest.mark.parametrize(
    "case",
    [
        "create_everything",
        "domain_checks_accept",
        "exclusions",
        "functions_around_type_change",
        "functions_created",
        "materialized_views",
        "partitions_create_and_drop",
        "row_level_security",
        "statistics",
        "triggers",
        "types_create",
        "types_cross",
        "view_columns",
        "virtual_columns",
    ],
)
def test_each_kind_is_spelled_alike_whichever_way(postgres_database: str, case: str, way: str) -> None:
    """What an acceptance case declares, built in a scratch schema and by another way. All but indexes of
    materialized views can be temporary."""
    store = Store(postgres_database, ("public", "audit", "extra"))
    store.execute("create extension vector")
    desired = store.desired((CASES / case / "new.yaml").read_text().replace("store: s\n", "store: app\n"))
    found = []
    for equality in ("server", way):
        with store.session() as session:
            session.equality = equality
            work = Work(session, desired, session.introspect(), {})
            wanted = [x for x in desired.values() if work.settled(x) is None]
            compared = [x.address for x in wanted]
            found.append(build(session, work.closure, work.live, wanted, compared))
    assert [len(b.found) > 0 for b in found] == [True, True]
    expected = {
        str(a): as_json(x)
        for a, x in found[0].found.items()
        if way == "sandbox" or x.container is None or x.container.kind != "materialized_view"
    }
    assert {str(a): as_json(x) for a, x in found[1].found.items()} == expected
    assert set(map(str, found[1].problems)) <= set(map(str, found[0].problems))


SPELLINGS = """
schemas: {audit: }
enums: {state: [queued, done]}
sequences: {no: {}}
functions:
  is_small(int): {definition: "create function is_small(n int) returns bool immutable language sql return n < 100"}
  label(t): {definition: "create function label(row_ t) returns text immutable language sql as 'select $1.b'"}
tables:
  t:
    columns:
      id: {type: int8, default: nextval('no')}
      n: int4
      a: {type: "varchar(9)", default: "'it''s'"}
      b: {type: text, default: "E'a\\nb'"}
      c: {type: "text[]", default: "array['a','b']"}
      d: {type: timestamptz, default: now()}
      e: {type: interval, default: "'90 minutes'"}
      f: {type: timestamptz, default: "'2026-01-01 00:00+02'"}
      g: {type: state, default: "'queued'"}
      h: {type: bool, default: "'no'"}
    primary_key: [id]
    row_level_security: enabled
    policies:
      seen: {using: "is_small(n) and a in ('x', 'y')"}
    checks:
      inside: a in ('x', 'y') or b in ('x', 'y')
      between: n between 0 and 10 and public.is_small(n)
      state: g <> 'done' or e < interval '1 year'
      row: label(t) <> ''
    indexes:
      small: {columns: [{expression: lower(a)}], where: "is_small(n) and g in ('queued')"}
  audit.u: {columns: {id: int, s: state}, checks: {s: "s = any (array['queued'::public.state])"}}
views:
  everything: {query: "select * from t where a like 'x%'"}
  labels: {query: "select label(t), (select max(id) from audit.u) as m from public.t"}
"""


@pytest.mark.usefixtures("sandbox_given")
def test_spellings_converge_after_apply_and_without_a_ledger_whichever_way(
    postgres_database: str, tmp_path: Path
) -> None:
    project = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database, "schemas": ["public", "audit"]}})
    project.settings["ledger"] = {"file": "ledger.db"}
    project.declare(app=SPELLINGS).apply("all")
    assert project.plan().steps == ()
    for equality, ways in (
        ("auto", {"server"}),
        ("server", {"server"}),
        ("temp", {"temp"}),
        ("sandbox", {"sandbox"}),
        ("text", set()),
    ):
        (tmp_path / "ledger.db").unlink(missing_ok=True)
        project.stores["app"]["equality"] = equality
        observed = project.declare(app=SPELLINGS).plan().observed
        assert {e["how"] for e in observed["equal"]} - {"text", "unset", "default"} == ways
        assert bool(observed["unproved"]) == (equality == "text")
        if equality != "text":
            assert project.plan().steps == ()
