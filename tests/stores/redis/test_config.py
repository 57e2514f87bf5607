"""Parameters on a real server: what is refused, what is read back, what the server's file says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import Folder
from tests.stores.redis.server import Commands

from reconcile.errors import ReconcileError

Make = Callable[..., Folder]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{databases: 4}", 'schema/cache.yaml:2:10: "databases" is 16 and cannot be set at run time'),
        ("{maxmemry: 1gb}", '2:10: Redis 8.2.3 has no parameter "maxmemry"; did you mean "maxmemory"?'),
        ("{requirepass: x}", '2:10: "requirepass" is a secret, which no schema file declares'),
        ("{MaxMemory: 1gb}", '2:10: "MaxMemory": parameters are in lower case; write maxmemory'),
        ("{save: [1, 2]}", "expected a text, a number, true or false"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(project: Make, cache: Commands, config: str, message: str) -> None:
    before = cache.client.config_get()
    folder = project().declare(cache=f"config: {config}")
    with pytest.raises(ReconcileError, match=re.escape(message)):
        folder.plan()
    assert cache.client.config_get() == before, "asking what cannot be set sets nothing"


@pytest.mark.usefixtures("cache")
def test_what_is_as_declared_needs_no_run_time(project: Make) -> None:
    assert project().declare(cache="config: {databases: 16, hz: 10, appendonly: false}").plan().steps == ()


@pytest.mark.usefixtures("cache")
def test_a_value_that_the_server_bends_stops_the_run(project: Make) -> None:
    folder = project().declare(cache="config: {hz: 700}")
    with pytest.raises(ReconcileError, match="hz was set to 700, and the server made 500 of it"):
        folder.apply()


def test_the_file_is_rewritten_only_where_declared(project: Make, cache: Commands) -> None:
    file = Path(cache("INFO", "server")["config_file"])
    folder = project().declare(cache="config: {timeout: 77}")
    assert any("is gone with a restart" in note for note in folder.plan().observed["notes"])
    folder.apply("all")
    assert "timeout 77" not in file.read_text()

    folder.declare(cache="config_file: rewrite\nconfig: {timeout: 78}")
    plan = folder.plan()
    assert not any("restart" in note for note in plan.observed["notes"])
    folder.apply("all")
    assert "timeout 78" in file.read_text()
    assert folder.plan().steps == ()

    cache.reset()
    cache("CONFIG", "REWRITE")


def test_what_is_no_longer_declared_stays(project: Make, cache: Commands) -> None:
    folder = project().declare(cache="config: {timeout: 77, slowlog-log-slower-than: 5}")
    folder.apply("all")
    plan = folder.declare(cache="config: {slowlog-log-slower-than: 5}").plan(prune="all")
    assert plan.steps == () and cache.config("timeout") == "77"
