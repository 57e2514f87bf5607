"""For all tests. The servers come from our own pytest plugin, as they do for users.

What is about PostgreSQL alone runs on the major versions that RECONCILE_TEST_POSTGRES="18 16 15" names, else on the
latest: 18 and 16 come with the wheel, others with Debian's packages. A server given by URL is the only one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconcile.sandbox import PREFIX
from reconcile.sandbox.postgres import IN_WHEEL, LATEST
from reconcile.sandbox.scratch import Scratch, postgres_database

pytest_plugins = ["pytester"]

_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Markers."""
    config.addinivalue_line("markers", "pgvector: needs the extension vector, which only the wheel's servers have")
    config.addinivalue_line("markers", "since(major): needs what came with that version, or its way of spelling")


def postgres_versions() -> tuple[str, ...]:
    """Major versions to test with; "given" for a server named by URL."""
    if os.environ.get(f"{PREFIX}POSTGRES_URL"):
        return ("given",)
    return tuple(os.environ.get("RECONCILE_TEST_POSTGRES", LATEST).split())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the PostgreSQL package once a version; all others on the latest."""
    own = metafunc.definition.path.is_relative_to(_HERE / "stores" / "postgres")
    if own and "postgres_version" in metafunc.fixturenames:
        metafunc.parametrize("postgres_version", postgres_versions(), indirect=True, scope="session")


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
    return not old and (version in IN_WHEEL or item.get_closest_marker("pgvector") is None)


@pytest.fixture(scope="session")
def postgres_version(request: pytest.FixtureRequest) -> str:
    """The major version that this test runs on, or "given"."""
    return str(getattr(request, "param", LATEST))


@pytest.fixture(scope="session")
def postgres_servers(reconcile_sandbox: Scratch) -> Iterator[Callable[[str], Scratch]]:
    """The servers of a version, started when first asked for."""
    others: dict[str, Scratch] = {}
    with ExitStack() as stack:

        def of_version(version: str) -> Scratch:
            if version in ("given", LATEST):
                return reconcile_sandbox
            if version not in others:
                others[version] = Scratch({f"{PREFIX}POSTGRES_VERSION": version})
                stack.callback(others[version].close)
            return others[version]

        yield of_version


@pytest.fixture
def make_postgres_database(
    postgres_version: str, postgres_servers: Callable[[str], Scratch]
) -> Iterator[Callable[[], str]]:
    """As the plugin's, on the version that the test runs on."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(postgres_database(postgres_servers(postgres_version).postgres_url))
