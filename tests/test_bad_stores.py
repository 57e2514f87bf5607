"""What a user meets when a store, a file or a terminal is not as it should be: a clear error, nothing changed.

Everything runs through the command line. No case may end in a traceback, in *this is a bug*, or show a secret.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import sql

from reconcile.cli import run
from reconcile.exits import Exit
from reconcile.planfile import digest
from reconcile.render import FORMATS
from reconcile.sandbox.scratch import Neo4jDatabase, Scratch
from tests.projects import Folder

SECRET = "Xy-hidden_42"
NOTES = "tables:\n  notes:\n    columns: {id: bigint, body: text}\n"
GRAPH = "constraints:\n  note_id: {label: Note, unique: [id]}\n"
VECTORS = "collections:\n  notes: {vector: {embedding: passages}}\n"

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Runs a command: its exit code, and all it printed."""
    monkeypatch.setattr(sys, "stdin", None)

    def command(*arguments: object) -> tuple[int, str]:
        code = run([str(a) for a in arguments])
        printed = capfd.readouterr()
        text = printed.out + printed.err
        assert "Traceback" not in text
        assert "bug in reconcile" not in text
        assert SECRET not in text
        return code, text

    return command


def bare(tmp_path: Path, kind: str, **settings: Any) -> Folder:
    """A project of one store that declares one thing, its ledger in a file."""
    name = {"postgres": "app", "neo4j": "graph", "qdrant": "vectors"}[kind]
    content = {"app": NOTES, "graph": GRAPH, "vectors": VECTORS}[name]
    folder = Folder(tmp_path, {name: {"kind": kind, **settings}}, {"ledger": {"file": "ledger.db"}})
    return folder.declare(**{name: content})


# ---------------------------------------------------------------------------------------------------------------
# No connection.

POSTGRES: list[tuple[str, dict[str, str], str]] = [
    (
        "nobody listens",
        {"url": f"postgresql://u:{SECRET}@127.0.0.1:1/d"},
        "cannot reach PostgreSQL at 127.0.0.1:1: Connection refused",
    ),
    (
        "no such host",
        {"url": f"postgresql://u:{SECRET}@no.such.host.invalid/d"},
        "the host no.such.host.invalid is not known",
    ),
    (
        "wrong password",
        {"url": "postgresql://postgres@{postgres}/postgres", "password": SECRET},
        "is not accepted\n  see `url:` or `password:` of store app",
    ),
    ("no such database", {"url": "{postgres_url}_none"}, 'create it: CREATE DATABASE "postgres_none"'),
    ("TLS against plain", {"url": "{postgres_url}?sslmode=require"}, "does not speak TLS"),
    ("no such option", {"url": "{postgres_url}?nonsense=1"}, "invalid URI query parameter"),
    ("no such role", {"url": "{postgres_url}", "role": "no_such_role"}, 'role "no_such_role" does not exist'),
    ("a slash in the password", {"url": f"postgresql://u:{SECRET}@x/{SECRET}@h/d"}, "must be percent-encoded"),
    (
        "Supabase's API",
        {"url": "https://abcd.supabase.co"},
        "write it as postgresql://postgres:PASSWORD@db.abcd.supabase.co:5432/postgres",
    ),
    (
        "another database",
        {"url": f"mysql://root:{SECRET}@h/d"},
        "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE",
    ),
    ("no scheme", {"url": f"host=h password={SECRET}"}, "url has no scheme"),
    ("Neo4j's port", {"url": f"postgresql://u:{SECRET}@{{neo4j}}/d"}, "does not speak PostgreSQL, or hung up"),
    ("Qdrant's port", {"url": f"postgresql://u:{SECRET}@{{qdrant}}/d"}, "does not speak PostgreSQL, or hung up"),
    (
        "variable not set",
        {"url": "${RECONCILE_TEST_NOT_SET}"},
        'yaml:6:10: store "app": url needs the environment variable RECONCILE_TEST_NOT_SET',
    ),
]
NEO4J: list[tuple[str, dict[str, str], str]] = [
    ("nobody listens", {"url": "bolt://127.0.0.1:1", "user": "neo4j", "password": SECRET}, "connection refused"),
    (
        "no such host",
        {"url": "bolt://no.such.host.invalid", "user": "neo4j", "password": SECRET},
        "the host name is not known",
    ),
    (
        "wrong password",
        {"url": "bolt://{neo4j}", "user": "nobody", "password": SECRET},
        "the server does not accept user and password",
    ),
    ("no password", {"url": "bolt://{neo4j}"}, "the server does not accept user and password"),
    (
        "no such database",
        {"url": "bolt://{neo4j}", "user": "{neo4j_user}", "password": "{neo4j_password}", "database": "nope"},
        "there is no such database",
    ),
    (
        "TLS against plain",
        {"url": "bolt+s://{neo4j}", "user": "neo4j", "password": SECRET},
        "a server without encryption is bolt://",
    ),
    (
        "a page of Aura",
        {"url": "https://0a1b.databases.neo4j.io/query", "user": "neo4j", "password": SECRET},
        "write it as neo4j+s://0a1b.databases.neo4j.io",
    ),
    ("HTTP", {"url": "http://{neo4j}", "user": "neo4j", "password": SECRET}, "write it as bolt://127.0.0.1:7687"),
    ("PostgreSQL's port", {"url": "bolt://{postgres}", "user": "neo4j", "password": SECRET}, "cannot be reached"),
    ("Qdrant's port", {"url": "bolt://{qdrant}", "user": "neo4j", "password": SECRET}, "speaks HTTP, not Bolt"),
]
QDRANT: list[tuple[str, dict[str, str], str]] = [
    ("nobody listens", {"url": "http://127.0.0.1:1", "api_key": SECRET}, "Connection refused"),
    ("no such host", {"url": "http://no.such.host.invalid:6333", "api_key": SECRET}, "cannot connect to"),
    ("TLS against plain", {"url": "https://{qdrant}", "api_key": SECRET}, "write the URL with http://"),
    ("another scheme", {"url": "qdrant://{qdrant}", "api_key": SECRET}, "write it as http://"),
    ("no scheme", {"url": "{qdrant}", "api_key": SECRET}, "write it as http://127.0.0.1"),
    ("a path", {"url": "http://{qdrant}/some/path", "api_key": SECRET}, "answers, but not as Qdrant does"),
    ("Neo4j's port", {"url": "http://{neo4j}", "api_key": SECRET}, "answers, but not as Qdrant does"),
    ("PostgreSQL's port", {"url": "http://{postgres}", "api_key": SECRET}, "REST port is 6333"),
    ("a key no header can carry", {"url": "http://{qdrant}", "api_key": f"{SECRET}\n"}, "no HTTP header can carry"),
    ("no such port", {"url": "http://127.0.0.1:99999", "api_key": SECRET}, "url cannot be read"),
]


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        pytest.param(kind, settings, words, id=f"{kind}: {name}")
        for kind, cases in (("postgres", POSTGRES), ("neo4j", NEO4J), ("qdrant", QDRANT))
        for name, settings, words in cases
    ],
)
def test_a_store_that_cannot_be_opened(
    kind: str,
    settings: dict[str, str],
    words: str,
    tmp_path: Path,
    sandbox: Scratch,
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is wrong, where, what to do; the same of every command, and with the traceback asked for no secret."""
    known = {
        "postgres": urlsplit(sandbox.postgres_url).netloc.rpartition("@")[2],
        "postgres_url": sandbox.postgres_url,
        "neo4j": urlsplit(sandbox.neo4j_url).netloc,
        "neo4j_user": sandbox.neo4j_user,
        "neo4j_password": sandbox.neo4j_password,
        "qdrant": urlsplit(sandbox.qdrant_url).netloc,
    }

    def filled(value: str) -> str:
        return value if value.startswith("${") else value.format(**known)

    folder = bare(tmp_path, kind, **{key: filled(value) for key, value in settings.items()})
    for command in ("plan", "drift"):
        code, text = said("-C", folder.path, command)
        assert (code, words in text) == (Exit.ERROR, True), text
        assert text.startswith("Error: ")
    assert said("-C", folder.path, "apply", "--auto-approve")[0] == Exit.ERROR
    assert not (tmp_path / "ledger.db").exists() or not _runs(tmp_path / "ledger.db")
    monkeypatch.setenv("RECONCILE_TRACEBACK", "1")
    run(["-C", str(folder.path), "plan"])


def _runs(ledger: Path) -> list[Any]:
    with suppress(sqlite3.OperationalError):
        return sqlite3.connect(ledger).execute("SELECT * FROM runs").fetchall()
    return []


class Proxy:
    """Between the tool and a server: passes on the server's first `limit` bytes, then hangs up; `limit` None passes
    all, and with no server it accepts and never answers."""

    def __init__(self, server: str | None, limit: int | None = None) -> None:
        self.server, self.limit, self.passed = server, limit, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            self.open.append(client)
            if self.server is None:
                continue
            host, _, port = self.server.rpartition(":")
            there = socket.create_connection((host, int(port)))
            self.open.append(there)
            threading.Thread(target=self._pass, args=(client, there, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(there, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if counted and self.limit is not None:
                    data = data[: max(self.limit - self.passed, 0)]
                    self.passed += len(data)
                target.sendall(data)
                if counted and self.limit is not None and self.passed >= self.limit:
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and refuse from now on."""
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """Makes proxies, all closed at the end."""
    made: list[Proxy] = []

    def make(server: str | None, limit: int | None = None) -> Proxy:
        made.append(Proxy(server, limit))
        return made[-1]

    yield make
    for each in made:
        each.close()


def settings(kind: str, sandbox: Scratch, address: str | None = None, database: str = "") -> dict[str, str]:
    """A store of `kind` as it should be declared, at another address if one is given."""
    if kind == "postgres":
        parts = urlsplit(database or sandbox.postgres_url)
        user = parts.netloc.rpartition("@")[0]
        return {"url": parts._replace(netloc=f"{user}@{address}").geturl() if address else parts.geturl()}
    if kind == "neo4j":
        url = f"bolt://{address}" if address else sandbox.neo4j_url
        return {"url": url, "user": sandbox.neo4j_user, "password": sandbox.neo4j_password or "none"}
    return {"url": f"http://{address}" if address else sandbox.qdrant_url}


def host(kind: str, sandbox: Scratch) -> str:
    url = {"postgres": sandbox.postgres_url, "neo4j": sandbox.neo4j_url, "qdrant": sandbox.qdrant_url}[kind]
    return urlsplit(url).netloc.rpartition("@")[2]


@pytest.mark.parametrize("kind", ["postgres", "neo4j", "qdrant"])
@pytest.mark.parametrize("limit", [1, 30, 300, 900, 2500])
def test_a_server_that_hangs_up_in_the_middle_of_a_plan(
    kind: str, limit: int, tmp_path: Path, sandbox: Scratch, said: Said, proxy: Callable[..., Proxy]
) -> None:
    """Wherever it stops, an error names the store; a server that has said all by then gives a plan."""
    between = proxy(host(kind, sandbox), limit)
    folder = bare(tmp_path, kind, **settings(kind, sandbox, between.address))
    code, text = said("-C", folder.path, "plan")
    assert code == Exit.ERROR or between.passed < limit
    if code == Exit.ERROR:
        assert next(iter(folder.stores)) in text


def test_servers_that_never_answer(tmp_path: Path, sandbox: Scratch, said: Said, proxy: Callable[..., Proxy]) -> None:
    """All three are told at once, each after its own limit."""
    kinds = {"app": "postgres", "graph": "neo4j", "vectors": "qdrant"}
    stores = {name: {"kind": kind, **settings(kind, sandbox, proxy(None).address)} for name, kind in kinds.items()}
    folder = Folder(tmp_path, stores, {"ledger": {"file": "ledger.db"}})
    folder.declare(app=NOTES, graph=GRAPH, vectors=VECTORS)
    code, text = said("-C", folder.path, "plan")
    assert code == Exit.ERROR
    assert all(f"store {name}: " in text for name in kinds), text


def test_a_store_that_is_gone_when_a_plan_is_applied(
    tmp_path: Path,
    sandbox: Scratch,
    said: Said,
    proxy: Callable[..., Proxy],
    postgres_database: str,
    qdrant_server: str,
) -> None:
    """Nothing is changed in the others either: all are opened first."""
    del qdrant_server  # emptied
    between = proxy(host("qdrant", sandbox))
    folder = Folder(
        tmp_path,
        {
            "app": {"kind": "postgres", "url": postgres_database},
            "vectors": {"kind": "qdrant", "url": f"http://{between.address}"},
        },
    ).declare(app=NOTES, vectors=VECTORS)
    assert said("-C", folder.path, "plan", "--out", tmp_path / "plan.json")[0] == Exit.CLEAN
    between.close()
    code, text = said("-C", folder.path, "apply", tmp_path / "plan.json")
    assert (code, "store vectors: cannot connect to" in text) == (Exit.ERROR, True), text
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("SELECT to_regclass('notes'), to_regnamespace('reconcile')").fetchone() == (
            None,
            None,
        )


# ---------------------------------------------------------------------------------------------------------------
# A connection that may or can too little.


@pytest.fixture
def reader(postgres_database: str) -> Iterator[tuple[str, str]]:
    """A role that may connect and nothing else: its name, and the URL as it; its password has odd characters."""
    name = "reader_" + urlsplit(postgres_database).path[-12:]
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        role, password = sql.Identifier(name), sql.Literal(ODD)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
        address = urlsplit(postgres_database).netloc.rpartition("@")[2]
        try:
            yield name, urlsplit(postgres_database)._replace(netloc=f"{name}:{quote(ODD, safe='')}@{address}").geturl()
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


ODD = f"{SECRET} %41/@:?#[]&'\"\\$ü"


def execute(database: str, *statements: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_schema_that_cannot_be_seen_is_not_planned_as_missing(
    tmp_path: Path, postgres_database: str, reader: tuple[str, str], said: Said
) -> None:
    """Its objects are unknown, the plan does not claim that all is as declared, import says what it left out."""
    execute(postgres_database, "CREATE SCHEMA hidden", f"GRANT USAGE ON SCHEMA public TO {reader[0]}")
    folder = bare(tmp_path, "postgres", url=reader[1], schemas=["public", "hidden"])
    folder.declare(app="tables:\n  hidden.notes: {columns: {id: bigint}}\n")
    code, text = said("-C", folder.path, "plan", "--detailed-exitcode")
    assert code == Exit.CLEAN
    assert "?  app.table.hidden.notes      unknown: the store cannot be seen whole" in text
    assert "GRANT USAGE ON SCHEMA hidden to the role that connects" in text
    assert "No changes. What can be seen is as declared" in text
    code, text = said("-C", folder.path, "import", "--out", "there")
    assert (code, "not seen whole: store app: no USAGE on schema hidden" in text) == (Exit.FINDINGS, True)


def test_a_role_that_may_only_read_plans_and_is_told_what_it_lacks(
    tmp_path: Path, postgres_database: str, reader: tuple[str, str], said: Said
) -> None:
    """Apply stops before the first step; what has to be built to be compared is said to be unproved."""
    execute(
        postgres_database,
        "CREATE TABLE a (id int CHECK (id IN (1, 2)))",
        f"GRANT USAGE ON SCHEMA public TO {reader[0]}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader[0]}",
    )
    folder = bare(tmp_path, "postgres", url=reader[1])
    code, text = said("-C", folder.path, "apply", "--auto-approve")
    assert (code, f"{reader[0]} may not create in schema public" in text) == (Exit.ERROR, True), text
    assert 'GRANT CREATE ON SCHEMA "public" TO' in text
    folder.declare(app="tables:\n  a: {columns: {id: integer}, checks: {a_id_check: 'id in (1,2)'}}\n")
    code, text = said("-C", folder.path, "plan")
    assert (code, "No changes" in text, "compared in temporary objects" in text) == (Exit.CLEAN, True, True), text
    folder.stores["app"]["equality"] = "server"
    folder.declare()
    code, text = said("-C", folder.path, "plan")
    assert (code, "cannot prove equal: expression: the role may not CREATE" in text) == (Exit.CLEAN, True), text
    assert "Blocked: 1 change cannot be proved to be one" in text
    assert said("-C", folder.path, "apply", "--auto-approve")[0] == Exit.ERROR


def test_a_ledger_that_may_not_be_read(
    tmp_path: Path, postgres_database: str, reader: tuple[str, str], said: Said
) -> None:
    """A role for planning needs it: the grants are there to paste, and they suffice."""
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}}).declare(app=NOTES)
    assert said("-C", folder.path, "apply", "--auto-approve")[0] == Exit.CLEAN
    folder.stores["app"]["url"] = reader[1]
    folder.declare()
    code, text = said("-C", folder.path, "plan")
    assert (code, "the ledger is there, but may not be read" in text) == (Exit.ERROR, True)
    grants = 'GRANT USAGE ON SCHEMA "reconcile" TO …; GRANT SELECT ON ALL TABLES IN SCHEMA "reconcile" TO …'
    assert grants in text
    execute(postgres_database, grants.replace("…", reader[0]))
    code, text = said("-C", folder.path, "plan")
    assert (code, "No changes. The stores are as declared." in text) == (Exit.CLEAN, True), text


def test_an_extension_that_is_not_there(tmp_path: Path, postgres_database: str, said: Said) -> None:
    """With its line in the YAML, before anything is changed."""
    folder = bare(tmp_path, "postgres", url=postgres_database)
    folder.declare(app="extensions: {no_such_extension: {}}\n" + NOTES)
    for command in (["plan"], ["apply", "--auto-approve"]):
        code, text = said("-C", folder.path, *command)
        assert code == Exit.ERROR
        assert text.startswith("schema/app.yaml:2:14: ")
        assert 'extension "no_such_extension" is not available' in text


def test_constraints_of_the_enterprise_edition_on_community(
    tmp_path: Path, sandbox: Scratch, neo4j_database: Neo4jDatabase, said: Said
) -> None:
    """Each with its line, and what every edition has instead; the one that could be made is not made either."""
    folder = bare(tmp_path, "neo4j", **settings("neo4j", sandbox))
    folder.declare(
        graph="constraints:\n  fine: {label: A, unique: [id]}\n"
        "  there: {label: A, exists: id}\n  key: {label: A, key: [code]}\n"
    )
    for command in (["plan"], ["apply", "--auto-approve"]):
        code, text = said("-C", folder.path, *command)
        assert code == Exit.ERROR
        assert 'schema/graph.yaml:4:3: constraint "there": existence constraints need Neo4j Enterprise' in text
        assert 'schema/graph.yaml:5:3: constraint "key": key constraints need Neo4j Enterprise' in text
        assert "use `unique:`" in text
    assert "graph.constraint.fine" not in folder.declare(graph="{}".replace("{}", "constraints: {}\n")).live()
    del neo4j_database


# ---------------------------------------------------------------------------------------------------------------
# Secrets.


def _everything(folder: Folder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that reads or changes stores, then the same with a failure and its traceback."""
    arguments = [f"--write={format_}={folder.path}/plan.{format_}" for format_ in FORMATS]
    arguments.append(f"--out={folder.path}/plan.json")
    monkeypatch.setenv("RECONCILE_TRACEBACK", "1")
    here = ["-C", str(folder.path)]
    assert run([*here, "plan", *arguments]) == Exit.CLEAN
    assert run([*here, "apply", str(folder.path / "plan.json")]) == Exit.CLEAN
    for command in (["drift"], ["status"], ["status", "--format", "json"], ["history"], ["import", "--out", "other"]):
        assert run([*here, *command]) in (Exit.CLEAN, Exit.FINDINGS), command
    folder.declare(app=NOTES.replace("bigint", "no_such_type"), vectors=VECTORS.replace("notes", "more"))
    assert run([*here, "plan"]) == Exit.ERROR
    folder.declare(app=NOTES)
    for store, key, value in (
        ("app", "url", folder.stores["app"]["url"] + "&nonsense=1"),
        ("graph", "url", "http://h"),
        ("graph", "url", folder.stores["graph"]["url"] + "?x=y"),
        ("vectors", "url", "http://127.0.0.1:1"),
        ("vectors", "api_key", ODD + "\n"),
    ):
        kept = folder.stores[store][key]
        folder.stores[store][key] = value
        folder.declare()
        assert run([*here, "plan"]) == Exit.ERROR, (store, value)
        folder.stores[store][key] = kept
    shown = capfd.readouterr()
    assert "Traceback" in shown.err
    assert SECRET not in shown.out + shown.err
    for path in folder.path.rglob("*"):
        if path.is_file() and path != folder.path / "reconcile.yaml":
            assert SECRET.encode() not in path.read_bytes(), path


def test_secrets_are_nowhere(
    tmp_path: Path,
    postgres_database: str,
    neo4j_database: Neo4jDatabase,
    qdrant_server: str,
    reader: tuple[str, str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Passwords and a key with odd characters, through everything that prints or writes, failures included."""
    import neo4j

    user, database = reader[0], urlsplit(postgres_database).path[1:]
    execute(
        postgres_database, f"GRANT CREATE ON SCHEMA public TO {user}; GRANT CREATE ON DATABASE {database} TO {user}"
    )
    auth = (neo4j_database.user, neo4j_database.password) if neo4j_database.password else None
    with neo4j.GraphDatabase.driver(neo4j_database.url, auth=auth) as driver:
        driver.execute_query("CREATE USER $user SET PASSWORD $password CHANGE NOT REQUIRED", user=user, password=ODD)
        try:
            folder = Folder(
                tmp_path,
                {
                    "app": {"kind": "postgres", "url": f"{reader[1]}?application_name=x"},
                    "graph": {"kind": "neo4j", "url": neo4j_database.url, "user": user, "password": ODD},
                    "vectors": {"kind": "qdrant", "url": qdrant_server, "api_key": ODD.removesuffix("ü")},
                },
            ).declare(app=NOTES, graph=GRAPH, vectors=VECTORS)
            _everything(folder, capfd, monkeypatch)
        finally:
            driver.execute_query("DROP USER $user", user=user)
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'reconcile'").fetchall()
        assert tables
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM reconcile.{} t").format(sql.Identifier(table)))
            assert SECRET not in str(rows.fetchall())


# ---------------------------------------------------------------------------------------------------------------
# Files and options.


@pytest.fixture
def notes(tmp_path: Path, postgres_database: str) -> Folder:
    """A project of one table, not applied."""
    return bare(tmp_path, "postgres", url=postgres_database)


def _digested(document: dict[str, Any]) -> bytes:
    return json.dumps({**document, "digest": digest(document)}).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a plan file"),
        (b"\xff\xfe\x00", "not a plan file"),
        (b"version: 1", "not a plan file"),
        (b"[1]", "it has no format_version"),
        (b'{"name": "x", "dependencies": {}}', "it has no format_version"),
        (b'{"format_version": "9.0"}', "the plan has format 9.0; this version reads 1.0"),
        (b'{"format_version": "1.0"}', "the plan was changed after it was written"),
        (_digested({"format_version": "1.0", "steps": 5}), "a part of the plan is malformed"),
        (_digested({"format_version": "1.0", "resource_changes": [{}], "observed": {}}), "malformed"),
        (None, "Is a directory"),
    ],
)
def test_a_file_that_is_no_plan(content: bytes | None, words: str, notes: Folder, said: Said) -> None:
    """Whatever it is given to."""
    path = notes.path / "some.json"
    path.mkdir() if content is None else path.write_bytes(content)
    for command in (["show", path], ["graph", path], ["apply", path]):
        code, text = said("-C", notes.path, *command)
        assert (code, words in text) == (Exit.ERROR, True), text


def test_a_plan_of_another_project_or_of_a_yaml_that_moved_on(notes: Folder, said: Said) -> None:
    """The first is refused; the second is what was reviewed, and runs."""
    plan = notes.path / "plan.json"
    assert said("-C", notes.path, "plan", "--out", plan)[0] == Exit.CLEAN
    notes.settings["name"] = "other"
    notes.declare()
    code, text = said("-C", notes.path, "apply", plan)
    assert (code, "the plan is for project trial, environment default; this is other" in text) == (Exit.ERROR, True)
    del notes.settings["name"]
    notes.declare(app=NOTES.replace("body: text", "body: text, more: text"))
    assert said("-C", notes.path, "apply", plan)[0] != Exit.PARTIAL
    code, text = said("-C", notes.path, "apply", plan)
    assert (code, "the plan is stale" in text) == (Exit.REFUSED, True), text


@pytest.mark.parametrize("option", ["--out={}", "--write=json={}", "--write=markdown={}"])
@pytest.mark.parametrize("path", ["/proc/no/such", ".", "a file/below it"])
def test_a_place_that_cannot_be_written(option: str, path: str, notes: Folder, said: Said) -> None:
    """Named, with the reason."""
    (notes.path / "a file").touch()
    target = notes.path / path
    code, text = said("-C", notes.path, "plan", option.format(target))
    assert (code, str(target) in text, "cannot write" in text) == (Exit.ERROR, True, True), text


@pytest.mark.parametrize("out", ["/proc/no/such", "reconcile.yaml"])
def test_a_place_that_import_cannot_write(out: str, notes: Folder, said: Said) -> None:
    """Even with --force."""
    code, text = said("-C", notes.path, "import", "--force", "--out", out)
    assert (code, "cannot write" in text) == (Exit.ERROR, True), text


def test_the_import_of_empty_stores_leaves_a_project_that_plans_empty(
    tmp_path: Path,
    sandbox: Scratch,
    postgres_database: str,
    neo4j_database: Neo4jDatabase,
    qdrant_server: str,
    said: Said,
) -> None:
    """Of all three, and of each alone."""
    del neo4j_database, qdrant_server
    kinds = {"app": "postgres", "graph": "neo4j", "vectors": "qdrant"}
    stores = {n: {"kind": k, **settings(k, sandbox, database=postgres_database)} for n, k in kinds.items()}
    for number, chosen in enumerate([[*kinds], *([name] for name in kinds)]):
        folder = Folder(tmp_path / str(number), {n: stores[n] for n in chosen}, {"ledger": {"file": "ledger.db"}})
        folder.declare()
        code, text = said("-C", folder.path, "import")
        assert (code, "0 objects written" in text) == (Exit.CLEAN, True), text
        code, text = said("-C", folder.path, "plan")
        assert (code, "No changes. The stores are as declared." in text) == (Exit.CLEAN, True), text


def test_an_import_beside_what_declares_it_says_so(notes: Folder, said: Said) -> None:
    """Rather than promise a plan without changes."""
    assert said("-C", notes.path, "apply", "--auto-approve")[0] == Exit.CLEAN
    code, text = said("-C", notes.path, "import", "app.table.*")
    assert (code, "1 object written.\n" in text) == (Exit.FINDINGS, True), text
    assert "declared before: app.table.public.notes at schema/app.yaml:3:3: keep one of the two" in text


def test_an_import_of_everything_leaves_what_other_files_declare(notes: Folder, said: Said) -> None:
    """So that nothing is declared twice; what was asked for by name is written, to be moved."""
    assert said("-C", notes.path, "apply", "--auto-approve")[0] == Exit.CLEAN
    with psycopg.connect(notes.stores["app"]["url"]) as connection:
        connection.execute("CREATE TABLE tags (id bigint PRIMARY KEY)")
    code, text = said("-C", notes.path, "import")
    assert (code, "left where it is declared: app.table.public.notes at schema/app.yaml:3:3" in text) == (0, True), text
    assert "notes" not in (notes.path / "schema" / "tables.yaml").read_text()
    assert "No changes. The stores are as declared" in said("-C", notes.path, "plan")[1]
    assert said("-C", notes.path, "import", "--force")[0] == Exit.CLEAN


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "--allow", "delete-data"], 'did you mean "deletes-data"'),
        (["plan", "--allow", "="], 'unknown hazard ""'),
        (["plan", "--prune=most"], "'none', 'extra', 'all'"),
        (["plan", "--write", "pdf=x"], "FORMAT=FILE"),
        (["apply", "--expect", "12"], "at least the 12 characters"),
        (["apply"], "there is no terminal to ask on, and nothing was changed"),
        (["apply", "--resume"], "no run is unfinished"),
        (["apply", "--abandon", "nonsense"], "run nonsense is not unfinished"),
        (["forget", "nonsense"], "nothing applied matches nonsense"),
        (["import", "nonsense"], "nothing live matches nonsense"),
        (["import", "--store", "nonsense"], "one of: app"),
        (["-e", "nonsense", "plan"], 'there is no environment "nonsense"'),
        (["-C", "/no/such", "plan"], "there is no folder /no/such"),
        (["-C", "/dev/null", "plan"], "/dev/null is no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_sense(arguments: list[str], words: str, notes: Folder, said: Said) -> None:
    """1, with what would."""
    code, text = said("-C", notes.path, *arguments)
    assert (code, words in text) == (Exit.ERROR, True), text


@pytest.mark.parametrize("include", [["nothing/*.yaml"], ["schema"], ["["], ["reconcile.yaml"]])
def test_patterns_that_match_no_file(include: list[str], notes: Folder, said: Said) -> None:
    """A mistyped pattern must not look like a wish to drop everything."""
    notes.settings["include"] = include
    notes.declare()
    code, text = said("-C", notes.path, "plan")
    assert (code, f"no file matches {include[0]}; write one, or have `reconcile import` write it" in text) == (1, True)


# ---------------------------------------------------------------------------------------------------------------
# Terminals and pipes.


def shell(command: str, folder: Folder, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell line in which `reconcile` is the command, in the project's folder."""
    program = f'reconcile() {{ "{sys.executable}" -m reconcile "$@"; }}; set -o pipefail; {command}'
    return subprocess.run(
        ["bash", "-c", program],
        cwd=folder.path,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("reconcile plan | head -n 1", 0, ""),
        ("reconcile plan | true; true", 0, ""),
        ("reconcile plan >&-", 0, ""),
        ("reconcile plan 2>&-", 0, ""),
        ("reconcile plan > /dev/full", 1, "Error: cannot write the output: No space left on device"),
    ],
)
def test_output_that_nobody_takes(command: str, code: int, words: str, notes: Folder) -> None:
    """No traceback, and no complaint where none is due."""
    done = shell(command, notes)
    assert (done.returncode, done.stderr.strip()) == (code, words)


@pytest.mark.parametrize("target", ["| true", ">&-", "> /dev/full"])
def test_an_apply_goes_on_when_nobody_reads_it(target: str, notes: Folder, said: Said) -> None:
    """Its output is lost; what it does is not left half done."""
    assert said("-C", notes.path, "plan", "--out", notes.path / "plan.json")[0] == Exit.CLEAN
    done = shell(f"reconcile apply plan.json {target}", notes)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No changes. The stores are as declared.\n" in shell("reconcile plan", notes).stdout


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_names_that_the_locale_has_no_letters_for(environment: dict[str, str], notes: Folder) -> None:
    """Printed as far as it goes; files are UTF-8 all the same."""
    name = "größe `|` @me <b>"
    notes.declare(app=f'tables:\n  "{name}": {{columns: {{"日本": bigint}}, comment: "```"}}\n')
    done = shell(
        "reconcile plan --write markdown=plan.md --out plan.json && reconcile apply plan.json", notes, **environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f'app.table.public."{name}"' in (notes.path / "plan.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("keys", "words"), [(b"\x03", "Interrupted"), (b"\x04", "Interrupted"), (b"no\n", "Nothing was changed")]
)
def test_who_does_not_say_yes_is_left_in_peace(keys: bytes, words: str, notes: Folder) -> None:
    """Ctrl-C, Ctrl-D and no at the question: 1, nothing changed, no traceback."""
    code, text = typed(notes, keys)
    assert (code, words in text, "Traceback" in text) == (1, True, False), text
    assert "1 to add" in shell("reconcile plan", notes).stdout


def typed(folder: Folder, keys: bytes) -> tuple[int, str]:
    """`reconcile apply` on a terminal of its own, with these keys pressed at the question."""
    import pty

    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background of a shell inherit that it is ignored
        os.execv(sys.executable, folder.line("apply"))
    text = b""
    end = time.monotonic() + 120
    with suppress(OSError):  # the end of a terminal reads as an error
        while True:
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                break
            if select.select([terminal], [], [], 0.5)[0]:
                if not (data := os.read(terminal, 4096)):
                    break
                text += data
            elif b"goes on" in text:  # again, where the terminal dropped what came while its mode was changed
                os.write(terminal, keys)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), text.decode()
