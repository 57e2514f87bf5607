"""`reconcile check` on real PostgreSQL: each privilege missing in turn, who blocks, what is not healthy, limits."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from tests.catalog import objects
from tests.projects import Folder
from tests.stores.postgres.rights import Rights

from reconcile import planfile, workflow
from reconcile.change import Server
from reconcile.errors import ReconcileError
from reconcile.exits import Exit
from reconcile.render import check as render
from reconcile.stores.postgres.needs import Need
from reconcile.stores.postgres.privileges import asked
from reconcile.survey import open_ledger

SETUP = """
CREATE SCHEMA ref;
CREATE TABLE ref.countries (id bigint PRIMARY KEY, name text);
CREATE TYPE ref.mood AS ENUM ('ok', 'sad');
CREATE FUNCTION ref.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE documents (id bigint PRIMARY KEY, country bigint);
CREATE TABLE notes (id bigint PRIMARY KEY, size int);
CREATE PUBLICATION {database} FOR TABLE notes (id, size);
CREATE VIEW old AS SELECT id FROM documents;
REVOKE EXECUTE ON FUNCTION ref.touch() FROM PUBLIC;
REVOKE USAGE ON TYPE ref.mood FROM PUBLIC;
REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC
"""
DECLARED = """
schemas: {audit: {}}
tables:
  documents:
    columns: {id: {type: bigint, not_null: true}, country: bigint, mood: ref.mood, body: text}
    primary_key: {columns: [id], name: documents_pkey}
    foreign_keys: {documents_country: {columns: [country], references: {table: ref.countries, columns: [id]}}}
    indexes: {documents_body: {columns: [body]}}
    triggers: {touched: {when: before, events: [update], function: ref.touch()}}
  notes:
    columns: {id: {type: bigint, not_null: true}, size: bigint}
    primary_key: {columns: [id], name: notes_pkey}
    comment: Short ones
  fresh: {columns: {id: bigint}}
  audit.events: {columns: {id: bigint}}
materialized_views: {names: {query: select name from ref.countries}}
functions: {one(): {definition: "create function one() returns int language plpgsql as 'begin return 1; end'"}}
"""


NEEDED: dict[str, tuple[str, str, str]] = {
    "GRANT CONNECT ON DATABASE {database} TO {role}": (
        "REVOKE CONNECT ON DATABASE {database} FROM {role}",
        "{role} lacks CONNECT on database {database}",
        'GRANT CONNECT ON DATABASE "{database}" TO "{role}"',
    ),
    "GRANT CREATE ON DATABASE {database} TO {role}": (
        "REVOKE CREATE ON DATABASE {database} FROM {role}",
        "{role} may not create schemas in database {database}",
        'GRANT CREATE ON DATABASE "{database}" TO "{role}"',
    ),
    "GRANT CREATE ON SCHEMA public TO {role}": (
        "REVOKE CREATE ON SCHEMA public FROM {role}",
        "{role} may not create in schema public",
        'GRANT CREATE ON SCHEMA "public" TO "{role}"',
    ),
    "GRANT USAGE ON SCHEMA ref TO {role}": (
        "REVOKE USAGE ON SCHEMA ref FROM {role}",
        "{role} lacks USAGE on schema ref",
        'GRANT USAGE ON SCHEMA "ref" TO "{role}"',
    ),
    "GRANT REFERENCES ON ref.countries TO {role}": (
        "REVOKE REFERENCES ON ref.countries FROM {role}",
        "{role} lacks REFERENCES on ref.countries",
        'GRANT REFERENCES ON TABLE "ref"."countries" TO "{role}"',
    ),
    "GRANT SELECT ON ref.countries TO {role}": (
        "REVOKE SELECT ON ref.countries FROM {role}",
        "{role} lacks SELECT on ref.countries",
        'GRANT SELECT ON TABLE "ref"."countries" TO "{role}"',
    ),
    "GRANT EXECUTE ON FUNCTION ref.touch() TO {role}": (
        "REVOKE EXECUTE ON FUNCTION ref.touch() FROM {role}",
        "{role} lacks EXECUTE on ref.touch()",
        'GRANT EXECUTE ON ROUTINE "ref"."touch"() TO "{role}"',
    ),
    "GRANT USAGE ON TYPE ref.mood TO {role}": (
        "REVOKE USAGE ON TYPE ref.mood FROM {role}",
        "{role} lacks USAGE on type ref.mood",
        'GRANT USAGE ON TYPE "ref"."mood" TO "{role}"',
    ),
    "GRANT USAGE ON LANGUAGE plpgsql TO {role}": (
        "REVOKE USAGE ON LANGUAGE plpgsql FROM {role}",
        "{role} lacks USAGE on language plpgsql",
        'GRANT USAGE ON LANGUAGE "plpgsql" TO "{role}"',
    ),
    "GRANT {owner} TO {role}": (
        "REVOKE {owner} FROM {role}",
        "{role} does not own public.documents, {owner} does: it cannot be altered",
        'GRANT {owner} TO "{role}"; or set `role: {owner}` of store app',
    ),
    "ALTER TABLE notes OWNER TO {owner}": (
        "ALTER TABLE notes OWNER TO postgres",
        "{role} does not own public.notes, postgres does: it cannot be altered",
        'ALTER TABLE "public"."notes" OWNER TO "{role}"',
    ),
    "ALTER PUBLICATION {database} OWNER TO {role}": (
        "ALTER PUBLICATION {database} OWNER TO postgres",
        "{role} does not own publication {database}, postgres does: it cannot be altered",
        'ALTER PUBLICATION "{database}" OWNER TO "{role}"',
    ),
    "GRANT USAGE ON SCHEMA reconcile TO {role}": (
        "REVOKE USAGE ON SCHEMA reconcile FROM {role}",
        "the ledger is there, but may not be read",
        "GRANT USAGE ON SCHEMA",
    ),
    "GRANT SELECT ON ALL TABLES IN SCHEMA reconcile TO {role}": (
        "REVOKE SELECT ON reconcile.applied FROM {role}",
        "the ledger cannot be read: permission denied for table applied",
        'GRANT SELECT ON ALL TABLES IN SCHEMA "reconcile" TO "{role}"',
    ),
    "GRANT INSERT ON ALL TABLES IN SCHEMA reconcile TO {role}": (
        "REVOKE INSERT ON reconcile.journal FROM {role}",
        "{role} lacks INSERT on tables of the ledger: journal",
        'GRANT INSERT ON "reconcile"."journal" TO "{role}"',
    ),
    "GRANT UPDATE ON ALL TABLES IN SCHEMA reconcile TO {role}": (
        "REVOKE UPDATE ON reconcile.lock, reconcile.runs FROM {role}",
        "{role} lacks UPDATE on tables of the ledger: lock, runs",
        'GRANT UPDATE ON "reconcile"."lock", "reconcile"."runs" TO "{role}"',
    ),
    "GRANT DELETE ON reconcile.applied TO {role}": (
        "REVOKE DELETE ON reconcile.applied FROM {role}",
        "{role} lacks DELETE on tables of the ledger: applied",
        'GRANT DELETE ON "reconcile"."applied" TO "{role}"',
    ),
}
"""Each privilege: what takes it away, what is then said, what there is to paste."""


def test_each_privilege_missing_in_turn_is_named_before_anything_changes(rights: Rights) -> None:
    rights.run(SETUP)
    rights.run("ALTER TABLE documents OWNER TO {owner}; ALTER VIEW old OWNER TO {owner}")
    rights.run("REVOKE CREATE, USAGE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {role}, {owner}")
    rights.run("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    _ledger_of_somebody_else(rights)
    for grant in NEEDED:
        rights.run(grant)
    rights.folder.declare(app=DECLARED)
    made = planfile.from_json(planfile.to_json(rights.folder.plan(allow=("all",))))
    assert len(made.steps) > 8
    assert rights.stops(made) == []
    url = rights.url
    for grant, (revoke, what, paste) in NEEDED.items():
        rights.run(revoke)
        before, runs = objects(url), rights.ledger()
        names = {"role": rights.role, "owner": rights.owner, "database": rights.database}
        said = "\n".join(rights.stops(made))
        assert what.format(**names) in said and paste.format(**names) in said, (revoke, said)
        with pytest.raises(ReconcileError) as refused:
            workflow.apply(rights.folder.load(), made)
        assert refused.value.exit is Exit.ERROR
        assert what.format(**names) in str(refused.value) and paste.format(**names) in str(refused.value)
        assert (objects(url), rights.ledger()) == (before, runs), revoke
        rights.run(grant)
    assert workflow.apply(rights.folder.load(), made).steps_done == len(made.steps)
    assert not rights.folder.plan().steps


OF_OTHERS = """
CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN small AS int; CREATE TYPE pair AS (a int);
CREATE SEQUENCE numbers; CREATE COLLATION words (provider = libc, locale = 'C');
CREATE TABLE parted (id int, at int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);
CREATE TABLE looked (id int, other int); CREATE INDEX looked_other ON looked (other);
CREATE STATISTICS looked_both ON id, other FROM looked;
CREATE TABLE told (id int); CREATE TABLE gone (id int);
CREATE VIEW seen AS SELECT 1 AS one; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE act() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int); CREATE TYPE span AS RANGE (subtype = int)
"""
"""Of the kinds whose steps take to own what they change, one each."""
OF_OURS = """
enums: {mood: [ok, sad]}
domains: {small: {type: integer, not_null: true}}
composites: {pair: {fields: {a: integer, b: integer}}}
sequences: {numbers: {increment: 2}}
tables:
  parted:
    columns: {id: integer, at: integer, more: text}
    partition_by: {range: [id]}
    partitions: {parted_1: {from: [0], to: [9]}}
  looked: {columns: {id: integer, other: integer}}
  told:
    columns: {id: integer}
    row_level_security: enabled
    grants: {pg_monitor: [insert]}
views: {seen: {query: select 2 as one}}
materialized_views: {kept: {query: select 2 as one}}
functions: {two(): {definition: "create function two() returns int language sql as 'select 2'"}}
procedures: {act(): {definition: "create procedure act() language sql as 'select 2'"}}
aggregates: {total(integer): {definition: "create aggregate total(int) (sfunc=int4mul, stype=int)"}}
ranges: {span: {subtype: bigint}}
default_privileges: [{role: OWNER, on: tables, grants: {pg_monitor: [select]}}]
"""
OWNED = {
    "type public.mood": "altered",
    "type public.small": "altered",
    "type public.pair": "altered",
    "public.numbers": "altered",
    "public.parted": "altered",
    "public.parted_1": "altered",
    "public.looked_other": "dropped",
    "statistics public.looked_both": "dropped",
    "collation public.words": "dropped",
    "public.told": "altered",
    "public.gone": "dropped",
    "public.seen": "altered",
    "public.kept": "dropped",
    "public.two()": "altered",
    "public.act()": "altered",
    "public.total(integer)": "altered",
    "type public.span": "altered",
}
"""By what is somebody else's what cannot be done to it."""


def test_what_belongs_to_others_is_named_kind_by_kind_before_anything_changes(rights: Rights) -> None:
    rights.run("GRANT CREATE, USAGE ON SCHEMA public TO {owner}; GRANT CREATE ON DATABASE {database} TO {role}")
    rights.run("GRANT USAGE ON SCHEMA public TO {role}; SET ROLE {owner}")
    rights.run(OF_OTHERS)
    rights.run("RESET ROLE; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    folder = rights.folder
    folder.declare(app=OF_OURS.replace("OWNER", rights.owner))
    made = folder.plan(allow=("all",), prune="all")
    said, url = "\n".join(rights.stops(made)), rights.url
    wanted = {
        what: f"{rights.role} does not own {what}, {rights.owner} does: it cannot be {v}" for what, v in OWNED.items()
    }
    wanted |= {
        "a grant": f"{rights.role} lacks INSERT WITH GRANT OPTION on public.told",
        "default privileges": f"{rights.role} is no member of role {rights.owner}",
    }
    assert not {what for what, line in wanted.items() if line not in said}, said
    before = objects(url)
    with pytest.raises(ReconcileError) as refused:
        workflow.apply(folder.load(), made)
    assert refused.value.exit is Exit.ERROR and not {w for w, line in wanted.items() if line not in str(refused.value)}
    assert objects(url) == before
    rights.run("GRANT {owner} TO {role}")
    for line in rights.stops(made):  # the server's own: constructors of a range belong to its first superuser
        rights.run(line.partition(" | ")[2].partition(";")[0])
    assert rights.stops(made) == []
    assert workflow.apply(folder.load(), made).steps_done == len(made.steps)


def test_roles_made_by_check_grants_plan_apply_and_look_for_drift(rights: Rights) -> None:
    rights.run(SETUP)
    rights.run("ALTER TABLE documents OWNER TO {owner}; ALTER VIEW old OWNER TO {owner}")
    rights.run("REVOKE CREATE, USAGE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {owner}")
    rights.run("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; INSERT INTO notes VALUES (1)")
    folder, settings = rights.folder, rights.folder.stores["app"]
    folder.stores["app"] = {**settings, "url": rights.url}
    folder.declare(app=DECLARED)
    prefix = f"trial_{secrets.token_hex(4)}"
    ((_, texts),) = workflow.grants(folder.load(), prefix).items()
    roles = {command: f"{prefix}_{command}" for command in ("apply", "plan", "drift")}
    try:
        for command, role in roles.items():
            rights.admin.execute(texts[command].encode())
            rights.admin.execute(f"ALTER ROLE {role} PASSWORD 'pw'".encode())
        wanted = folder.plan(allow=("all",))

        def become(command: str) -> Folder:
            parts = urlsplit(rights.url)
            url = parts._replace(netloc=f"{roles[command]}:pw@{parts.netloc.rpartition('@')[2]}").geturl()
            folder.stores["app"] = {**settings, "url": url}
            return folder.declare()

        saved = become("plan").plan(allow=("all",))
        assert [step.id for step in saved.steps] == [step.id for step in wanted.steps]
        with pytest.raises(ReconcileError, match="may not create in schema public"):
            folder.apply("all")
        assert become("drift").command("drift").returncode == Exit.CLEAN
        assert become("apply").command("check", "--allow", "all").returncode == Exit.CLEAN
        assert workflow.apply(folder.load(), saved).steps_done == len(saved.steps)
        assert not become("plan").plan().steps
        rights.run("ALTER TABLE notes ADD COLUMN by_hand int; COMMENT ON TABLE fresh IS 'by hand'")
        found = workflow.drift(become("drift").load())
        assert [entry["address"] for entry in found["drift"]] == ["app.table.public.fresh"]
        assert [entry["address"] for entry in found["extra"]] == ["app.column.public.notes.by_hand"]
    finally:
        for role in reversed(roles.values()):
            rights.admin.execute(f"DROP OWNED BY {role} CASCADE".encode())
            rights.admin.execute(f"DROP ROLE {role}".encode())


def _ledger_of_somebody_else(rights: Rights) -> None:
    """Made before, by a superuser: each right on it can then be taken away."""
    settings = rights.folder.stores["app"]
    rights.folder.stores["app"] = {**settings, "url": rights.url}
    ledger = open_ledger(rights.folder.declare(app="tables: {}\n").load())
    ledger.ensure()
    ledger.close()
    rights.folder.stores["app"] = settings


@pytest.fixture
def mine(postgres_database: str, tmp_path: Path) -> Iterator[tuple[Folder, psycopg.Connection[Any]]]:
    """A project that adds an index and a column to a table with a row, and the database."""
    admin = psycopg.connect(postgres_database, autocommit=True)
    admin.execute("CREATE TABLE notes (id bigint, body text); INSERT INTO notes VALUES (1, 'x')")
    stores = {"app": {"kind": "postgres", "url": postgres_database}}
    text = "tables: {notes: {columns: {id: bigint, body: text, at: date}, indexes: {notes_id: {columns: [id]}}}}\n"
    yield Folder(tmp_path, stores).declare(app=text), admin
    admin.close()


@dataclass
class Told:
    """What a check said: how many things stop, of the first store by topic and verdict, and as text."""

    stops: int
    store: dict[tuple[str, str], list[Any]]
    text: str


def told(folder: Folder, **options: Any) -> Told:
    report = workflow.check(folder.load(), workflow.Options(**options))
    found: dict[tuple[str, str], list[Any]] = {}
    for check in report["stores"][0]["checks"]:
        found.setdefault((check["topic"], check["verdict"]), []).append(check)
    return Told(report["stops"], found, render.render(report))


def test_who_would_block_the_steps_is_named(mine: tuple[Folder, psycopg.Connection[Any]]) -> None:
    folder, admin = mine
    holder = psycopg.connect(folder.stores["app"]["url"], application_name="a worker")
    holder.execute("UPDATE notes SET body = 'a secret'")
    pid = holder.info.backend_pid
    try:
        assert told(folder).stops == 0
        folder.stores["app"]["limits"] = {"idle_in_transaction": "1s"}
        folder.declare()
        admin.execute("SELECT pg_sleep(1.1)")
        found = told(folder)
        (blocker,) = found.store["blockers", "stops"]
        assert found.stops == 1
        for words in (
            f"pid {pid}, postgres (a worker), idle in transaction for",
            "holds a lock on notes",
            "SET body = '…'",
        ):
            assert words in blocker["what"]
        assert f"SELECT pg_terminate_backend({pid})" in found.text and "a secret" not in found.text
        with pytest.raises(ReconcileError, match=f"pid {pid}"):
            folder.apply()
        assert admin.execute("SELECT to_regclass('reconcile.runs')").fetchall() == [(None,)]
        done = folder.command("apply", "--auto-approve", "--terminate-blockers", "idle-in-transaction")
        assert done.returncode == Exit.CLEAN, done.stderr
        assert f"! store app: ended pid {pid}, postgres (a worker), idle in transaction for" in done.stdout
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    finally:
        holder.close()
    assert told(folder).stops == 0


def asleep(connection: psycopg.Connection[Any]) -> None:
    """Active until it is cancelled."""
    with suppress(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(60)")


def test_a_reader_that_does_nothing_stops_only_what_waits_for_readers(
    mine: tuple[Folder, psycopg.Connection[Any]],
) -> None:
    folder, admin = mine
    folder.stores["app"]["limits"] = {"idle_in_transaction": "0s"}
    folder.declare()
    with psycopg.connect(folder.stores["app"]["url"]) as reader:
        reader.execute("SELECT FROM notes")
        assert [c["topic"] for c in told(folder).store["blockers", "stops"]]
        folder.declare(
            app="tables: {notes: {columns: {id: bigint, body: text}, indexes: {notes_id: {columns: [id]}}}}\n"
        )
        assert told(folder).stops == 0
        admin.execute("SELECT pg_sleep(1)")
        assert (
            f"pid {reader.info.backend_pid}, postgres, idle in" in told(folder).store["blockers", "warning"][0]["what"]
        )


def test_what_is_not_healthy_and_what_is_over_a_limit(mine: tuple[Folder, psycopg.Connection[Any]]) -> None:
    folder, admin = mine
    admin.execute("INSERT INTO notes VALUES (1, 'y'); ALTER TABLE notes ADD CONSTRAINT c CHECK (id > 1) NOT VALID")
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON notes (id)")
    found = told(folder)
    health = [check["what"] for check in found.store["health", "warning"]]
    assert health == ["1 invalid index: public.broken", "1 constraint not validated: c of notes"]
    assert "!  health" in found.text and "Nothing would stop an apply (" in found.text
    folder.stores["app"]["limits"] = {"free_disk": "100000TB", "active_sessions": 0, "replication_lag": "1s"}
    folder.declare()
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as other:
        busy = threading.Thread(target=asleep, args=(other,))
        busy.start()
        try:
            found = told(folder)
        finally:
            other.cancel_safe()
            busy.join()
    (disk,) = found.store["disk", "stops"]
    assert disk["what"].endswith("; the limit is 100000TB") and "the database has " in disk["what"]
    assert any("active session" in c["what"] for c in found.store["load", "stops"])
    assert "no replica is connected" in found.text


def test_a_store_that_is_not_reached_does_not_hide_the_others(mine: tuple[Folder, psycopg.Connection[Any]]) -> None:
    folder, _ = mine
    folder.stores["gone"] = {"kind": "postgres", "url": "postgresql://u:a-secret@127.0.0.1:1/d"}
    folder.settings["ledger"] = {"store": "app"}
    folder.declare(gone="tables: {}\n")
    shown = folder.command("check")
    assert shown.returncode == Exit.FINDINGS
    assert "✓  connection   PostgreSQL " in shown.stdout and "✓  ledger" in shown.stdout
    assert "✗  connection   cannot reach PostgreSQL at 127.0.0.1:1" in shown.stdout
    assert "a-secret" not in shown.stdout
    report = json.loads(folder.command("check", "--format", "json").stdout)
    assert report["stops"] == 1 and report["plan"]["steps"] is None


def test_what_the_planner_refuses_is_a_check_too(mine: tuple[Folder, psycopg.Connection[Any]]) -> None:
    folder, _ = mine
    folder.declare(app="extensions: {no_such: {}}\n")
    found = told(folder)
    assert found.stops == 1
    assert 'app.yaml:2:14: app.extension.no_such: extension "no_such" is not available on app' in found.text
    folder.declare(app="tables: {notes: {columns: {id: bigint}}}\n")
    found = told(folder, prune="all")
    assert found.stops == 1 and "to allow them, add:" in found.text
    assert told(folder, prune="all", allow=("all",)).stops == 0


@pytest.mark.parametrize("name", ["trusted", "other"])
def test_an_extension_takes_create_on_the_database_or_a_superuser(
    mine: tuple[Folder, psycopg.Connection[Any]], name: str
) -> None:
    _, connection = mine
    server = Server("s", "postgres", "18.0", facts={"trusted_extensions": {"trusted": True}, "database": "d"})
    role = f"asks_{secrets.token_hex(4)}"
    connection.execute(f"CREATE ROLE {role}".encode())
    found = []
    try:
        for who in (role, "NONE"):
            connection.execute(f"SET ROLE {who}".encode())
            found += asked(connection, server, {Need("extension", (name,), "CREATE"): ["step"]})
    finally:
        connection.execute(f"RESET ROLE; DROP ROLE {role}".encode())
    assert [(answer.there, answer.held) for answer in found] == [(True, False), (True, True)]


@pytest.mark.pgvector
def test_a_member_of_a_services_role_may_try_what_a_superuser_may(tmp_path: Path, postgres_database: str) -> None:
    """As on Amazon RDS: plan and check pass it, and the statement decides."""
    login, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    parts = urlsplit(postgres_database)
    url = urlunsplit(parts._replace(netloc=f"{login}:{password}@{parts.hostname}:{parts.port}"))
    folder = Folder(tmp_path, {"s": {"kind": "postgres", "url": url}}, {"ledger": {"file": "ledger.db"}})
    folder.declare(s="extensions: {vector: {}}\n")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE rds_superuser; CREATE ROLE {login} LOGIN PASSWORD '{password}'")
        try:
            with pytest.raises(ReconcileError, match="have a member of rds_superuser run"):
                folder.plan()
            connection.execute(f"GRANT rds_superuser TO {login}")
            assert [step.id for step in folder.plan().steps] == ["s.extension.vector/1-create"]
            with pytest.raises(ReconcileError, match='permission denied to create extension "vector"'):
                folder.apply()
        finally:
            connection.execute(f"DROP OWNED BY {login}; DROP ROLE {login}; DROP ROLE rds_superuser")
