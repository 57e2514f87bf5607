"""The session on real servers: connecting, transactions, concurrent builds, debris, facts, checks; the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.stores.postgres.writing import Database, at, column, extension, index, planned, state, table, unique

from reconcile.change import Sql, Timeouts
from reconcile.checkup import stopping
from reconcile.errors import ReconcileError, RefusedError, StoreError
from reconcile.ledger_rows import Applied, World
from reconcile.model import Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres.ledger import open_ledger

BUILD = Timeouts(lock="0", wall="1h")
QUICK = Timeouts(lock="200ms", statement="5s")


@pytest.fixture
def database(postgres_database: str) -> Iterator[Database]:
    opened = Database.at(postgres_database)
    yield opened
    opened.session.close()


@pytest.fixture
def other(postgres_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        yield connection


def spec(url: str, **settings: object) -> StoreSpec:
    return StoreSpec("app", "postgres", {"url": url, **settings}, Source("reconcile.yaml", 3), Path())


def failure(url: str, **settings: object) -> str:
    with pytest.raises(ReconcileError) as error:
        Database.at(url, **settings).session.server()
    return str(error.value)


def test_connection_failures_say_what_to_do(postgres_database: str) -> None:
    head = postgres_database.rpartition("/")[0]
    assert "is it running" in failure("postgresql://app:geheim@127.0.0.1:1/x")
    assert "geheim" not in failure("postgresql://app:geheim@127.0.0.1:1/x")
    assert 'CREATE DATABASE "no_such_db"' in failure(f"{head}/no_such_db")
    assert "is not known" in failure("postgresql://app@no-such-host.invalid/x")
    text = failure("https://abcdef.supabase.co")
    assert "db.abcdef.supabase.co:5432" in text and "is https://" in text
    assert "does not exist" in failure(postgres_database, role="no_such_role")


def test_a_server_without_tls_is_told(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        row = connection.execute("SHOW ssl").fetchone()
    if row == ("off",):
        assert "does not speak TLS" in failure(f"{postgres_database}?sslmode=require")


@pytest.mark.pgvector
def test_unqualified_names_are_found_in_the_first_schema_and_those_of_extensions(database: Database) -> None:
    database.execute("CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions")
    with database.session.transaction([]) as transaction:
        transaction.run(Sql("CREATE TABLE t (v vector(3))"), QUICK)
    database.session.run(Sql("CREATE INDEX CONCURRENTLY i ON t USING hnsw (v vector_l2_ops)"), BUILD)
    assert database.execute("SELECT 'public.i'::regclass::text") == [("i",)]


def test_parts_override_the_url(postgres_database: str) -> None:
    head, _, name = postgres_database.rpartition("/")
    opened = Database.at(f"{head}/postgres", database=name)
    assert opened.session.server().facts["database"] == name
    opened.session.close()
    opened.session.close()


@pytest.mark.pgvector
def test_what_is_known_of_the_server(database: Database) -> None:
    server = database.session.server()
    assert server.numbers >= (12,) and server.identity.endswith(f"/{server.facts['database']}")
    assert server.facts["available_extensions"]["vector"] and server.facts["max_steps_per_group"] >= 1
    assert database.session.server() is server
    [row] = database.execute("SELECT current_setting('application_name'), current_setting('TimeZone')")
    assert row == ("reconcile tests/default", "UTC")


def test_a_failed_group_leaves_nothing(database: Database) -> None:
    refused = pytest.raises(StoreError, match='relation "missing" does not exist')
    with refused as error, database.session.transaction([]) as transaction:
        transaction.run(Sql("CREATE TABLE t (a int)"), QUICK)
        transaction.run(Sql("ALTER TABLE missing ADD a int"), QUICK)
    assert "in: ALTER TABLE missing" in str(error.value)
    assert database.execute("SELECT to_regclass('t')") == [(None,)]


def test_lock_timeout_is_transient(database: Database, other: psycopg.Connection) -> None:
    database.execute("CREATE TABLE t (a int)")
    with other.transaction():
        other.execute("LOCK TABLE t IN ACCESS SHARE MODE")
        with pytest.raises(StoreError) as error, database.session.transaction([]) as transaction:
            transaction.run(Sql("ALTER TABLE t ADD b int"), QUICK)
    assert database.session.transient(error.value)
    with pytest.raises(StoreError) as error:
        database.session.run(Sql("SELECT 1/0"), QUICK)
    assert not database.session.transient(error.value)


def test_a_lost_connection_is_transient_and_made_again(database: Database, other: psycopg.Connection) -> None:
    [(pid,)] = database.execute("SELECT pg_backend_pid()")
    other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(StoreError) as error:
        database.session.run(Sql("SELECT 1"), QUICK)
    assert database.session.transient(error.value)
    database.session.run(Sql("SELECT 1"), QUICK)


def test_limits_end_with_their_call(database: Database) -> None:
    with pytest.raises(StoreError, match="statement timeout"):
        database.session.run(Sql("SELECT pg_sleep(5)"), Timeouts(wall="50ms"))
    settings = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    assert database.execute(settings) == [("10s", "0")], "what reading has"


def test_statements_of_one_transaction_share_the_time_to_wait_for_locks(database: Database) -> None:
    database.execute("CREATE TABLE seen (lock text)")
    ask = Sql("INSERT INTO seen SELECT current_setting('lock_timeout')")
    with database.session.transaction([]) as transaction:
        for call in (ask, ask, Sql("SELECT pg_sleep(2)"), ask):
            transaction.run(call, Timeouts(lock="2s"))
    assert [lock for (lock,) in database.execute("SELECT lock FROM seen")] == ["2s", "500ms", "200ms"]


def test_a_client_is_not_ended_by_a_deadlock_with_a_step(database: Database, other: psycopg.Connection) -> None:
    """A foreign key locks its table and then the other; a client holds the other and waits for the first."""
    database.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int)")
    waiting = threading.Event()

    def client() -> None:
        with other.transaction():
            other.execute("UPDATE a SET id = 1")
            waiting.set()
            time.sleep(0.2)
            other.execute("UPDATE b SET a = 1")

    thread = threading.Thread(target=client)
    thread.start()
    waiting.wait(10)
    add = 'ALTER TABLE "public"."b" ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES a NOT VALID'
    with pytest.raises(StoreError, match="lock"), database.session.transaction([]) as transaction:
        transaction.run(Sql(add), Timeouts(lock="20s"))
    thread.join()
    assert database.execute("SELECT count(*) FROM pg_constraint WHERE conname = 'f'") == [(0,)]


def test_a_broken_build_is_cleaned_up_and_a_good_one_kept(database: Database) -> None:
    database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1); CREATE INDEX good ON t (a)")
    build = Sql('CREATE UNIQUE INDEX CONCURRENTLY "bad" ON "public"."t" USING btree ("a")')
    with pytest.raises(StoreError, match="could not create unique index"):
        database.session.run(build, BUILD)
    assert database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'bad'::regclass") == [(False,)]
    database.session.clean([at("index", "bad"), at("index", "good"), at("index", "absent")])
    assert database.execute("SELECT to_regclass('bad')::text, to_regclass('good')::text") == [(None, "good")]


def test_a_build_that_is_done_already_counts_as_done(database: Database) -> None:
    database.execute("CREATE TABLE t (a int)")
    build = Sql('CREATE INDEX CONCURRENTLY "i" ON "public"."t" USING btree ("a")')
    drop = Sql('DROP INDEX CONCURRENTLY "public"."i"')
    for call in (build, build, drop, drop):
        database.session.run(call, BUILD)
    database.execute("CREATE TABLE i (a int)")
    with pytest.raises(StoreError, match="already exists"):
        database.session.run(build, BUILD)


def test_debris_waits_for_the_builder_that_still_lives(database: Database, postgres_database: str) -> None:
    database.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10)")
    with psycopg.connect(postgres_database) as blocker:
        blocker.execute("INSERT INTO t VALUES (11)")  # the build waits for this transaction
        builder = Database.at(postgres_database)
        call = Sql('CREATE INDEX CONCURRENTLY "i" ON "public"."t" USING btree ("a")')
        building = threading.Thread(target=builder.session.run, args=(call, BUILD))
        building.start()
        while not database.execute("SELECT 1 FROM pg_index WHERE NOT indisvalid"):
            time.sleep(0.05)
        cleaning = threading.Thread(target=database.session.clean, args=([at("index", "i")],))
        cleaning.start()
        cleaning.join(1.5)
        assert cleaning.is_alive(), "it waits for the builder"
        blocker.commit()
    building.join()
    cleaning.join()
    builder.session.close()
    assert database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [(True,)]


def test_emptiness_and_size(database: Database) -> None:
    database.execute("CREATE TABLE t (a int PRIMARY KEY); CREATE VIEW v AS SELECT 1")
    session = database.session
    assert session.is_empty(at("table", "t"))
    database.execute("INSERT INTO t SELECT generate_series(1, 500); ANALYZE t")
    assert not session.is_empty(at("table", "t")) and not session.is_empty(at("table", "absent"))
    measured = session.measure([at("table", "t"), at("index", "t_pkey"), at("table", "absent"), at("view", "v")])
    assert measured[at("table", "t")]["rows"] == measured[at("index", "t_pkey")]["rows"] == 500
    assert set(measured) == {at("table", "t"), at("index", "t_pkey"), at("view", "v")} - {at("view", "v")}


def test_size_before_the_first_analyze(database: Database) -> None:
    """The planner knows no rows yet: those of the first pages are counted, and the others taken to be as full."""
    database.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b text) WITH (autovacuum_enabled = off);"
        "CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)"
        " WITH (autovacuum_enabled = off); CREATE TABLE p2 PARTITION OF p DEFAULT WITH (autovacuum_enabled = off);"
        "INSERT INTO p SELECT generate_series(1, 7); CREATE TABLE secret (a int); INSERT INTO secret VALUES (1)"
    )
    t, key = at("table", "t"), at("index", "t_pkey")
    session = database.session
    for rows, most in ((0, 0), (3, 3), (20_000, 21_000)):
        database.execute(f"TRUNCATE t; INSERT INTO t SELECT n, repeat('x', 40) FROM generate_series(1, {rows}) n")
        measured = session.measure([t, key])
        assert rows * 0.95 <= measured[t]["rows"] == measured[key]["rows"] <= most
    assert session.measure([at("table", "p")])[at("table", "p")]["rows"] == 7
    database.execute("CREATE ROLE nobody_here; SET ROLE nobody_here")
    try:
        assert "rows" not in session.measure([at("table", "secret")])[at("table", "secret")]
    finally:
        database.execute("RESET ROLE; DROP ROLE nobody_here")


def test_scratch_leaves_nothing(database: Database) -> None:
    with database.session.scratch() as connection:
        connection.execute("CREATE SCHEMA scratch; CREATE TABLE scratch.t (a int)")
    with pytest.raises(StoreError), database.session.scratch() as connection:
        connection.execute("CREATE SCHEMA scratch; SELECT 1/0")
    assert database.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'scratch'") == []


@pytest.mark.pgvector
def test_what_the_server_lacks_is_said_with_its_line(database: Database) -> None:
    line = Source("schema/x.yaml", 7)
    desired = state(
        extension("no_such", source=line),
        table("t"),
        column("t", "e", "halfvec(3)", source=line),
        index("t", "i", "e", method="hnsw", source=line),
    )
    problems = [str(p) for p in database.session.unsupported(desired)]
    assert all(p.startswith("schema/x.yaml:7:1: ") for p in problems) and len(problems) == 3
    assert 'extension "no_such" is not available' in problems[0]
    assert "extensions: {vector: {}}" in problems[1]
    with_old = desired.without(at("extension", "no_such")).add(extension("vector", version="0.4.4"))
    first, second, third = map(str, database.session.unsupported(with_old))
    assert first.endswith(" needs pgvector 0.7; app has 0.4.4; upgrade pgvector")
    assert second.endswith(" needs pgvector 0.5; app has 0.4.4; upgrade pgvector")
    assert "app has no version 0.4.4 of it" in third, "its own scripts begin later"
    assert not database.session.unsupported(with_old.add(extension("vector")))


@pytest.fixture
def guest(postgres_database: str, other: psycopg.Connection) -> Iterator[Database]:
    """As a role that may connect and nothing else."""
    name = f"guest_{time.monotonic_ns()}"
    other.execute(f"CREATE ROLE {name} NOLOGIN")
    opened = Database.at(postgres_database, role=name)
    yield opened
    opened.session.close()
    other.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.pgvector
def test_check_names_missing_privileges(guest: Database, other: psycopg.Connection) -> None:
    other.execute("CREATE TABLE t (a int)")
    before = state(table("t"), column("t", "a", "integer"))
    after = before.add(column("t", "b", "integer"), unique("t", "t_key", "a"), table("new"))
    problems = stopping(guest.session.check(planned(before, after, empty=True).steps))
    assert any("may not create in schema public" in c.what for c in problems)
    assert any("does not own public.t" in c.what for c in problems)
    assert any("may not create the extension" in str(p) for p in guest.session.unsupported(state(extension("vector"))))


def test_check_names_missing_schemas(database: Database) -> None:
    steps = planned(
        state(), state(table("t").replace(address=at("table", "x").__class__("app", "table", ("no", "t"))))
    ).steps
    assert ["there is no schema no" in c.what for c in stopping(database.session.check(steps))] == [True]


def test_check_refuses_a_read_only_server(postgres_database: str) -> None:
    opened = Database.at(f"{postgres_database}?options=-c%20default_transaction_read_only%3Don")
    steps = planned(state(), state(table("t"))).steps
    assert ["read-only" in c.what for c in stopping(opened.session.check(steps))] == [True]
    opened.session.close()


def test_the_ledger_is_empty_until_written(postgres_database: str, other: psycopg.Connection) -> None:
    ledger = open_ledger(spec(postgres_database), "reconcile")
    assert ledger.world() is None and ledger.applied() == {} and ledger.known() == {} and not ledger.exists()
    assert other.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'reconcile'").fetchall() == []
    ledger.ensure()
    ledger.stamp(World("p", "e", {"app": "1/x"}))
    row = Applied.of(at("table", "t%s"), {"a": "?"}, {"a": "%s"}, "sha256:0", at("table", "t%s"), "r1")
    ledger.record([row], [], {"k": [1, "?"]})
    again = open_ledger(spec(postgres_database), "reconcile")
    assert again.world() == World("p", "e", {"app": "1/x"})
    assert again.applied() == {row.address: row._replace(fingerprint="")} and again.known() == {"k": [1, "?"]}
    ledger.close()
    again.close()


def test_the_ledger_holds_one_lock(postgres_database: str) -> None:
    first, second = (open_ledger(spec(postgres_database), "reconcile") for _ in range(2))
    first.ensure()
    second.ensure()
    first.lock("r1")
    with pytest.raises(RefusedError, match="r1"):
        second.lock("r2")
    assert first.renew() and not second.renew()
    assert second.unlock("r1")
    second.lock("r2")
    assert not first.renew()
    first.close()
    second.close()


def test_done_is_written_in_the_transaction_of_the_steps(database: Database, postgres_database: str) -> None:
    ledger = open_ledger(spec(postgres_database), "reconcile")
    ledger.ensure()
    ledger.lock("r1")
    with pytest.raises(StoreError), database.session.transaction([]) as transaction:
        inside = ledger.inside(transaction)
        assert inside is not None
        transaction.run(Sql("CREATE TABLE t (a int)"), QUICK)
        inside.write("r1", ["s1"], "done")
        transaction.run(Sql("SELECT 1/0"), QUICK)
    assert ledger.journal("r1") == {}
    with database.session.transaction([]) as transaction:
        inside = ledger.inside(transaction)
        assert inside is not None
        inside.write("r1", ["s1"], "done")
    assert ledger.journal("r1") == {"s1": "done"}
    assert ledger.inside(object()) is None
    ledger.close()


def test_a_ledger_that_may_not_be_read_is_no_empty_one(guest: Database, postgres_database: str) -> None:
    owner = open_ledger(spec(postgres_database), "reconcile")
    owner.ensure()
    role = guest.session._spec.settings["role"]
    with pytest.raises(ReconcileError, match="may not be read"):
        open_ledger(spec(postgres_database, role=role), "reconcile").applied()
    with pytest.raises(ReconcileError, match="cannot be written"):
        open_ledger(spec(postgres_database, role=role), "elsewhere").ensure()
    owner.close()
