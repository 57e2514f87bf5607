from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.projects import Folder
from tests.stores.redis.server import Commands


@pytest.fixture
def cache(redis_server: str) -> Iterator[Commands]:
    """The empty server, spoken to by hand; its parameters are put back afterwards."""
    commands = Commands(redis_server)
    commands.reset()
    yield commands
    commands.reset()


@pytest.fixture
def project(tmp_path: Path, redis_server: str) -> Callable[..., Folder]:
    """Makes a project over the server: settings of the store as keywords."""

    def make(**settings: object) -> Folder:
        stores = {"cache": {"kind": "redis", "url": redis_server, **settings}}
        return Folder(tmp_path, stores, {"ledger": {"file": "ledger.db"}})

    return make
