"""For all tests. The servers come from our own pytest plugin, as they do for users.

What is about PostgreSQL alone runs on the major versions that RECONCILE_TEST_POSTGRES="18 16 15" names: 18 and 16 come
with the wheel, others with Debian's packages. Where it names none, all runs on the latest, and what is marked `older`
on those of 16 and 15 that are here too. A server given by URL is the only one, and is asked for its version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile.sandbox import PREFIX
from reconcile.sandbox.applied import import_whole
from reconcile.sandbox.postgres import IN_WHEEL, LATEST, installed
from reconcile.sandbox.scratch import Scratch, postgres_database
from reconcile.sandbox.scratch import wipe_qdrant as clear_qdrant
from reconcile.stores import kinds
from tests.databases import keep
from tests.everywhere import begun
from tests.projects import Folder
from tests.temporary import in_memory

pytest_plugins = ["pytester"]

_HERE = Path(__file__).parent
# before pytest and the servers look where temporary files go
in_memory(os.environ)


def pytest_configure(config: pytest.Config) -> None:
    """Markers."""
    config.addinivalue_line("markers", "older: runs on older versions of PostgreSQL too, without being asked to")
    config.addinivalue_line("markers", "pgvector: needs the extension vector, which only the wheel's servers have")
    config.addinivalue_line("markers", "since(major): needs what came with that version, or its way of spelling")
    import_whole(kinds())


OLDER = ("16", "15")
FAULTS = "fault points"
"""Of a test's report: how many faults it tried, and inside which kinds of steps, by store."""
_GIVEN = os.environ.get(f"{PREFIX}POSTGRES_URL")


@cache
def _given(url: str) -> tuple[str, bool]:
    """Of a server named by URL: its major version, and whether it has pgvector."""
    asked = (
        "SELECT current_setting('server_version_num')::int / 10000,"
        " EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(asked).fetchone()
    assert row is not None
    return str(row[0]), row[1]


def postgres_versions(*, older: bool = False) -> tuple[str, ...]:
    """Major versions to test with.

    Args:
        older: whether to add older ones where nobody says which.
    """
    if _GIVEN:
        return (_given(_GIVEN)[0],)
    if asked := os.environ.get("RECONCILE_TEST_POSTGRES", "").split():
        return tuple(asked)
    return (LATEST, *(v for v in OLDER if older and v in installed()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults were tried, and which older versions nothing was tested on, for want of a server."""
    passed = terminalreporter.stats.get("passed", [])
    faults = [value for report in passed for name, value in report.user_properties if name == FAULTS]
    if faults:
        told = f"Fault points: {sum(number for number, _ in faults)} in {len(faults)} tests; after each the same end"
        terminalreporter.write_line(told)
        for name in sorted({name for _, kinds in faults for name in kinds}):
            inside = sorted({kind for _, kinds in faults for kind in kinds.get(name, ())})
            terminalreporter.write_line(f"  killed inside of {name}, {len(inside)} kinds: {', '.join(inside)}")
    if not (_GIVEN or os.environ.get("RECONCILE_TEST_POSTGRES")):
        for version in set(OLDER) - set(installed()):
            hint = f"apt-get install postgresql-{version}"
            terminalreporter.write_line(f"Not tested on PostgreSQL {version}, which is not here: {hint}")


def _has_pgvector(version: str) -> bool:
    return _given(_GIVEN)[1] if _GIVEN else version in IN_WHEEL


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the PostgreSQL package once a version; all others on the latest."""
    own = metafunc.definition.path.is_relative_to(_HERE / "stores" / "postgres")
    if own and "postgres_version" in metafunc.fixturenames:
        older = metafunc.definition.get_closest_marker("older") is not None
        metafunc.parametrize("postgres_version", postgres_versions(older=older), indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a version cannot do."""
    gone = [item for item in items if not _possible(item)]
    items[:] = [item for item in items if item not in set(gone)]
    config.hook.pytest_deselected(items=gone)


def _possible(item: pytest.Item) -> bool:
    version = (
        str(item.callspec.params.get("postgres_version", ""))
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else ""
    )
    if not version.isdigit():
        return True
    since = item.get_closest_marker("since")
    old = since is not None and int(version) < since.args[0]
    return not old and (_has_pgvector(version) or item.get_closest_marker("pgvector") is None)


@pytest.fixture(scope="session")
def postgres_version(request: pytest.FixtureRequest) -> str:
    """The major version that this test runs on."""
    return str(getattr(request, "param", LATEST))


@pytest.fixture(scope="session")
def postgres_servers(reconcile_sandbox: Scratch) -> Iterator[Callable[[str], Scratch]]:
    """The servers of a version, started when first asked for."""
    others: dict[str, Scratch] = {}
    with ExitStack() as stack:

        def of_version(version: str) -> Scratch:
            if _GIVEN or version == LATEST:
                return reconcile_sandbox
            if version not in others:
                others[version] = Scratch({f"{PREFIX}POSTGRES_VERSION": version})
                stack.callback(others[version].close)
            return others[version]

        yield of_version


@pytest.fixture
def make_postgres_database(
    postgres_version: str, postgres_servers: Callable[[str], Scratch]
) -> Iterator[Callable[..., str]]:
    """As the plugin's, on the version that the test runs on; of a database's name, it makes a copy of that."""
    with ExitStack() as stack:

        def make(template: str = "template0") -> str:
            server = postgres_servers(postgres_version).postgres_url
            return stack.enter_context(postgres_database(server, template=template))

        yield make


@pytest.fixture
def fault_points(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Adds to the faults that the run of the suite tells at its end: their number, and by store kinds of steps."""
    return lambda number, **kinds: request.node.user_properties.append((FAULTS, (number, kinds)))


@pytest.fixture
def everywhere(
    tmp_path: Path, make_postgres_database: Callable[..., str], neo4j_database: Any, wipe_qdrant: Any, sandbox: Any
) -> Callable[..., Folder]:
    """Makes a project over three fresh stores, the old state applied and the new one declared; see `begun`.

    Made again it is the same project, in the stores as they were.
    """
    made: list[tuple[Folder, Callable[[], None]]] = []

    def make(through: Callable[[str], str] = str) -> Folder:
        neo4j_database.wipe()
        if not made:
            wipe_qdrant()
            url = make_postgres_database()
            folder = begun(tmp_path, url, neo4j_database, sandbox.qdrant_url, through)
            made.append((folder, keep(url, make_postgres_database)))
            return make()
        folder, back = made[0]
        back()
        clear_qdrant(sandbox.qdrant_url, "passages")  # not the mark: the ledger knows the store by it
        return folder

    return make
