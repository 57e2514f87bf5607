"""pytest fixtures: real servers for a session, fresh places in them for a test.

Registered as the plugin `reconcile`; it costs nothing until a fixture is used. Servers named by
RECONCILE_SANDBOX_POSTGRES_URL, …_NEO4J_URL (…_NEO4J_USER, …_NEO4J_PASSWORD) …_QDRANT_URL and …_REDIS_URL are used
instead of starting any; what empties a whole server then needs RECONCILE_SANDBOX_DISPOSABLE=1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from reconcile.sandbox.applied import ScratchStore
    from reconcile.sandbox.scratch import Neo4jDatabase, Scratch


@contextmanager
def _plainly() -> Iterator[None]:
    """An error meant for people fails the test with its text, not with a traceback of ours."""
    from reconcile.errors import ReconcileError

    try:
        yield
    except ReconcileError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def reconcile_sandbox() -> Iterator[Scratch]:
    """The servers of this session, each started when first asked for, stopped at the end whatever happens.

    Attributes: `postgres_url`, `neo4j_url`, `neo4j_user`, `neo4j_password`, `qdrant_url`, `redis_url`.
    """
    from reconcile.sandbox.scratch import Scratch

    servers = Scratch()
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture(scope="session")
def sandbox(reconcile_sandbox: Scratch) -> Scratch:
    """Short for `reconcile_sandbox`."""
    return reconcile_sandbox


@pytest.fixture
def make_postgres_database(reconcile_sandbox: Scratch) -> Iterator[Callable[[], str]]:
    """Makes the URL of a fresh empty PostgreSQL database, as often as it is called; all dropped afterwards."""
    from reconcile.sandbox import scratch

    with ExitStack() as stack:

        def make() -> str:
            with _plainly():
                return stack.enter_context(scratch.postgres_database(reconcile_sandbox.postgres_url))

        yield make


@pytest.fixture
def postgres_database(make_postgres_database: Callable[[], str]) -> str:
    """The URL of a fresh empty PostgreSQL database, of a superuser; dropped afterwards."""
    return make_postgres_database()


@pytest.fixture
def neo4j_database(reconcile_sandbox: Scratch) -> Neo4jDatabase:
    """A Neo4j database without nodes, constraints and indexes: `url`, `user`, `password`, `wipe()`."""
    from reconcile.sandbox.scratch import Neo4jDatabase

    with _plainly():
        servers = reconcile_sandbox
        servers.wipeable("neo4j")
        database = Neo4jDatabase(servers.neo4j_url, servers.neo4j_user, servers.neo4j_password)
        database.wipe()
        return database


@pytest.fixture
def wipe_qdrant(reconcile_sandbox: Scratch) -> Callable[[], None]:
    """Deletes all collections of the Qdrant server when it is called."""
    from reconcile.sandbox import scratch

    with _plainly():
        reconcile_sandbox.wipeable("qdrant")
        url = reconcile_sandbox.qdrant_url
    return lambda: scratch.wipe_qdrant(url)


@pytest.fixture
def qdrant_server(reconcile_sandbox: Scratch, wipe_qdrant: Callable[[], None]) -> str:
    """The URL of a Qdrant server without collections."""
    wipe_qdrant()
    return reconcile_sandbox.qdrant_url


@pytest.fixture
def qdrant_prefix(reconcile_sandbox: Scratch) -> Iterator[str]:
    """A prefix for names of collections; those that have it are deleted afterwards, others are left alone."""
    import secrets

    from reconcile.sandbox import scratch

    prefix = f"test_{secrets.token_hex(6)}_"
    with _plainly():
        url = reconcile_sandbox.qdrant_url
    yield prefix
    scratch.wipe_qdrant(url, prefix)


@pytest.fixture
def wipe_redis(reconcile_sandbox: Scratch) -> Callable[[], None]:
    """Deletes all keys and search indexes of the Redis server when it is called."""
    from reconcile.sandbox import scratch

    with _plainly():
        reconcile_sandbox.wipeable("redis")
        url = reconcile_sandbox.redis_url
    return lambda: scratch.wipe_redis(url)


@pytest.fixture
def redis_server(reconcile_sandbox: Scratch, wipe_redis: Callable[[], None]) -> str:
    """The URL of a Redis server without keys and search indexes."""
    wipe_redis()
    return reconcile_sandbox.redis_url


@pytest.fixture
def reconcile_stores(
    reconcile_sandbox: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Mapping[str, ScratchStore]]]:
    """Scratch stores with a project's desired state applied, for the tests of an application:

    def test_search(reconcile_stores):
        stores = reconcile_stores("deploy/schema", environment="development")
        connection = psycopg.connect(stores["app"].url)
    """
    from reconcile.sandbox.applied import ScratchStores

    with ExitStack() as stack:
        make = ScratchStores(reconcile_sandbox, tmp_path, stack, monkeypatch.setenv)

        def apply(directory: str | Path = ".", environment: str | None = None) -> Mapping[str, ScratchStore]:
            with _plainly():
                return make(directory, environment)

        yield apply
