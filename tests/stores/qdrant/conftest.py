from __future__ import annotations

from pathlib import Path

import pytest
from tests.stores.qdrant.store import Store


@pytest.fixture
def store(tmp_path: Path, qdrant_server: str) -> Store:
    """A project over the empty server."""
    return Store(tmp_path, qdrant_server)
