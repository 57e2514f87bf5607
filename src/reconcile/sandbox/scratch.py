"""Servers for one test session, and fresh places in them for one test.

What wipes a whole server is done only on servers that this session started, or that the user declared
disposable: these fixtures also run where RECONCILE_SANDBOX_…_URL names something that matters.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconcile.errors import ReconcileError
from reconcile.sandbox import NAMES, PREFIX, Sandbox

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

DISPOSABLE = PREFIX + "DISPOSABLE"


class Scratch:
    """The servers of a test session: each is started when it is first asked for.

    Their data is in a temporary folder; `close` stops them and deletes it, and a guard process does so if
    this process ends without calling it.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        """`given` are the variables that name servers and versions; by default those of the environment."""
        self._given = given
        self._sandbox: Sandbox | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def postgres_url(self) -> str:
        """A superuser's URL of PostgreSQL with pgvector."""
        return self._variable("POSTGRES_URL")

    @property
    def neo4j_url(self) -> str:
        """The Bolt URL of Neo4j."""
        return self._variable("NEO4J_URL")

    @property
    def neo4j_user(self) -> str:
        """Its user."""
        return self._variable("NEO4J_USER", "neo4j")

    @property
    def neo4j_password(self) -> str:
        """Its password; empty for a given server without authentication."""
        return self._variable("NEO4J_PASSWORD", "")

    @property
    def qdrant_url(self) -> str:
        """The HTTP URL of Qdrant."""
        return self._variable("QDRANT_URL")

    @property
    def redis_url(self) -> str:
        """The URL of Redis, its password in it."""
        return self._variable("REDIS_URL")

    def start(self) -> None:
        """Start all of them now, at the same time, rather than one by one when they are asked for."""
        self._up(NAMES)

    def wipeable(self, name: str) -> None:
        """Prove that all data of a server may be deleted.

        Raises:
            ReconcileError: it was given by URL and not declared disposable.
        """
        if self._own().given(name) is not None and os.environ.get(DISPOSABLE) != "1":
            raise ReconcileError(
                f"this fixture empties the whole server, and {PREFIX}{name.upper()}_URL names one "
                "that these tests did not start",
                where=name,
                hint=f"unset the variable, and a server is started for the tests; or, if all that the server "
                f"holds may be deleted, set {DISPOSABLE}=1",
            )

    def close(self) -> None:
        """Stop and delete what was started."""
        if self._sandbox and self._guard:
            self._sandbox.down(delete=True)
            from reconcile.sandbox.guard import release

            release(self._guard)
        self._sandbox = self._guard = None

    def _own(self) -> Sandbox:
        if self._sandbox is None:
            folder = Path(tempfile.gettempdir(), f"reconcile-sandbox-{secrets.token_hex(6)}")
            self._sandbox = Sandbox(folder, self._given)
        return self._sandbox

    def _up(self, names: Iterable[str]) -> Sandbox:
        sandbox = self._own()
        ours = [name for name in names if sandbox.given(name) is None]
        if ours and self._guard is None:
            from reconcile.sandbox.guard import start

            # not mkdtemp: other users must be able to enter it; what is inside protects itself
            sandbox.folder.mkdir(mode=0o711)
            self._guard = start(sandbox.folder)
        if any(sandbox.servers[name].pid() is None for name in ours):
            sandbox.up(ours)
        return sandbox

    def _variable(self, name: str, default: str | None = None) -> str:
        server = name.partition("_")[0].lower()
        variables = self._up([server]).variables(server)
        return variables[PREFIX + name] if default is None else variables.get(PREFIX + name, default)


def create_postgres_database(
    connection: psycopg.Connection[Any], name: str, template: str, options: sql.Composable | None = None
) -> None:
    """CREATE DATABASE, in the way that takes the server least time."""
    from psycopg import sql

    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    # copying files takes two checkpoints: half the time of writing all to the log, but only where nothing is synced
    row = connection.execute("SELECT current_setting('fsync')").fetchone()
    copied = row == ("off",) and connection.info.server_version >= 150000
    connection.execute(create + (options or sql.SQL("")) + sql.SQL(" STRATEGY file_copy" if copied else ""))


@contextmanager
def postgres_database(server: str, encoding: str = "", template: str = "template0") -> Iterator[str]:
    """The URL of a fresh database, dropped afterwards whoever is connected to it.

    Args:
        server: URL of a role that may create databases.
        encoding: another than the cluster's.
        template: the database that it is a copy of; by default it is empty.
    """
    import psycopg
    from psycopg import sql

    name = f"reconcile_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        options: sql.Composable = sql.SQL("")
        if encoding and encoding != connection.info.parameter_status("server_encoding"):
            # the C locale goes with every encoding; the provider is chosen from 15 on
            provider = " LOCALE_PROVIDER libc" if connection.info.server_version >= 150000 else ""
            options = sql.SQL(f" ENCODING {{}}{provider} LOCALE 'C'").format(sql.Literal(encoding))
        create_postgres_database(connection, name, template, options)
    try:
        yield urllib.parse.urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            force = ""
            if connection.info.server_version >= 130000:
                force = " WITH (FORCE)"
            else:  # DROP DATABASE itself waits up to five seconds for them to end
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            connection.execute(sql.SQL(f"DROP DATABASE IF EXISTS {{}}{force}").format(sql.Identifier(name)))


@dataclass(frozen=True)
class Neo4jDatabase:
    """A graph that tests may empty."""

    url: str
    user: str
    password: str = field(repr=False)

    def wipe(self) -> None:
        """Delete every node, relationship, constraint and index; the two lookup indexes of a new database stay."""
        import neo4j

        auth = (self.user, self.password) if self.password else None
        with neo4j.GraphDatabase.driver(self.url, auth=auth) as driver, driver.session() as session:
            batch = "MATCH (n) WITH n LIMIT 10000 DETACH DELETE n"  # all at once may need more memory than there is
            while session.run(batch).consume().counters.nodes_deleted:
                pass
            for row in session.run("SHOW CONSTRAINTS YIELD name").data():
                session.run("DROP CONSTRAINT $name", name=row["name"]).consume()
            indexes = session.run("SHOW INDEXES YIELD name, type, entityType").data()
            for row in indexes:
                if row["type"] != "LOOKUP":
                    session.run("DROP INDEX $name", name=row["name"]).consume()
            lookups = {row["entityType"] for row in indexes if row["type"] == "LOOKUP"}
            if "NODE" not in lookups:
                session.run("CREATE LOOKUP INDEX FOR (n) ON EACH labels(n)").consume()
            if "RELATIONSHIP" not in lookups:
                session.run("CREATE LOOKUP INDEX FOR ()-[r]-() ON EACH type(r)").consume()


def wipe_qdrant(server: str, prefix: str = "") -> None:
    """Delete the collections whose name starts with `prefix`, their aliases with them."""
    for collection in _qdrant("GET", server, "/collections")["collections"]:
        if collection["name"].startswith(prefix):
            _qdrant("DELETE", server, f"/collections/{urllib.parse.quote(collection['name'], safe='')}")


def _qdrant(method: str, server: str, path: str) -> Any:
    request = urllib.request.Request(server.rstrip("/") + path, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["result"]
    except urllib.error.URLError as error:
        raise ReconcileError(f"Qdrant at {server} does not answer {method} {path}: {error}") from error


def wipe_redis(server: str) -> None:
    """Delete all keys and search indexes; the server keeps its settings."""
    import redis

    with redis.Redis.from_url(server) as client:
        client.flushall()
        modules = client.execute_command("MODULE", "LIST")
        if any(b"search" in map(_bytes, m.values() if isinstance(m, dict) else m) for m in modules):
            for name in client.execute_command("FT._LIST"):
                client.execute_command("FT.DROPINDEX", name)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
