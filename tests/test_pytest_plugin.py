"""The fixtures we offer, used as a user's test suite would: by a pytest of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconcile.sandbox import PREFIX

_EXAMPLE = Path(__file__).parents[1] / "examples" / "rag-platform"
PROJECT = """\
version: 1
name: shop
stores:
  app: {kind: postgres, url: "${SHOP_DATABASE_URL}"}
"""
SCHEMA = """\
store: app
tables:
  items:
    columns:
      id: {type: bigint, identity: always}
      name: {type: text, not_null: true}
    primary_key: [id]
"""


@pytest.fixture(autouse=True)
def only_own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever servers the environment names, these tests start their own."""
    for key in os.environ:
        if key.startswith(PREFIX) and key != PREFIX + "CACHE":
            monkeypatch.delenv(key)


def test_a_fresh_database_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import psycopg, pytest

        seen = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_it(postgres_database, time):
            seen.append(postgres_database)
            assert len(set(seen)) == time
            with psycopg.connect(postgres_database) as connection:
                connection.execute("CREATE TABLE t ()")

        def test_they_are_gone(sandbox):
            with psycopg.connect(sandbox.postgres_url) as connection:
                left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'reconcile%'"
                assert connection.execute(left).fetchone() == (0,)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_qdrant_is_empty_and_a_prefix_is_cleaned_up(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from qdrant_client import QdrantClient, models

        vectors = models.VectorParams(size=2, distance=models.Distance.DOT)

        def names(url):
            return {c.name for c in QdrantClient(url).get_collections().collections}

        def test_prefix(sandbox, qdrant_prefix):
            client = QdrantClient(sandbox.qdrant_url)
            client.create_collection("mine", vectors)
            client.create_collection(qdrant_prefix + "x", vectors)
            assert len(names(sandbox.qdrant_url)) == 2

        def test_cleaned(sandbox):
            assert names(sandbox.qdrant_url) == {"mine"}

        def test_empty(qdrant_server):
            assert names(qdrant_server) == set()
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_stores_with_a_project_applied(pytester: pytest.Pytester) -> None:
    deploy = pytester.mkdir("deploy")
    (deploy / "reconcile.yaml").write_text(PROJECT)
    (deploy / "schema").mkdir()
    (deploy / "schema" / "app.yaml").write_text(SCHEMA)
    pytester.makepyfile(
        """
        import os, psycopg

        def test_the_application(reconcile_stores):
            stores = reconcile_stores("deploy")
            with psycopg.connect(os.environ["SHOP_DATABASE_URL"]) as connection:
                connection.execute("INSERT INTO items (name) VALUES ('a')")
            assert stores["app"].url == os.environ["SHOP_DATABASE_URL"]

        def test_it_ends_with_the_test():
            assert "SHOP_DATABASE_URL" not in os.environ

        def test_a_wrong_project(reconcile_stores):
            reconcile_stores("elsewhere")
        """
    )
    ran = pytester.runpytest_subprocess()
    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(["there is no reconcile.yaml in elsewhere*"])
    assert "Traceback" not in ran.stdout.str()


def test_the_example_in_all_three_stores(pytester: pytest.Pytester) -> None:
    """Nothing is left for threads to import: `ast.parse` of Python 3.11, which pytest imports with, bears only one."""
    pytester.makeconftest(
        """
        import importlib.abc, sys, threading

        class MainThreadOnly(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.startswith("reconcile.stores.") and threading.current_thread() is not threading.main_thread():
                    raise AssertionError(f"{name} is imported in a thread")

        sys.meta_path.insert(0, MainThreadOnly())
        """
    )
    pytester.makepyfile(
        f"""
        import os, neo4j, psycopg
        from qdrant_client import QdrantClient

        def test_the_application(reconcile_stores):
            stores = reconcile_stores({str(_EXAMPLE)!r})
            with psycopg.connect(stores["app"].url) as connection:
                assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)
            graph = stores["graph"]
            assert graph.password == os.environ["NEO4J_PASSWORD"] and graph.password not in repr(graph)
            with neo4j.GraphDatabase.driver(graph.url, auth=(graph.user, graph.password)) as driver:
                found = driver.execute_query("SHOW INDEXES YIELD state RETURN collect(DISTINCT state)")
                assert found.records[0].value() == ["ONLINE"]
            assert QdrantClient(stores["vectors"].url).collection_exists("passages")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize("fixture", ["neo4j_database", "qdrant_server", "redis_server"])
def test_a_given_server_is_not_emptied(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fixture: str
) -> None:
    monkeypatch.setenv(PREFIX + "NEO4J_URL", "bolt://graph.example")
    monkeypatch.setenv(PREFIX + "QDRANT_URL", "http://vectors.example")
    monkeypatch.setenv(PREFIX + "REDIS_URL", "redis://cache.example")
    pytester.makepyfile(f"def test_it({fixture}): pass")
    ran = pytester.runpytest_subprocess()
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*did not start*", f"*{PREFIX}DISPOSABLE=1*"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_the_session_however_it_ends(pytester: pytest.Pytester, number: signal.Signals) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, time

        def test_it(postgres_database, sandbox):
            pathlib.Path("folder").write_text(str(sandbox._sandbox.folder))
            pathlib.Path("ready").touch()
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=pytester.path,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait(lambda: (pytester.path / "ready").exists())
    folder = Path((pytester.path / "folder").read_text())
    assert folder.is_dir()
    os.killpg(process.pid, number)  # the whole group, as a terminal and a CI runner do
    process.wait()
    wait(lambda: not folder.exists())
    wait(lambda: not [pid for pid in Path("/proc").glob("[0-9]*/cmdline") if mentions(pid, str(folder))])


def mentions(command_line: Path, text: str) -> bool:
    try:
        return text.encode() in command_line.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_plugin_is_near_free_when_unused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.startswith("reconcile.")}
            assert ours <= {"reconcile.sandbox", "reconcile.sandbox.pytest_plugin", "reconcile.errors",
                            "reconcile.exits", "reconcile.model", "reconcile.record"}
            assert not {"psycopg", "neo4j", "qdrant_client"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
