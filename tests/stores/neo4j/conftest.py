from __future__ import annotations

from pathlib import Path

import pytest
from tests.stores.neo4j.graph import Graph

from reconcile.sandbox.scratch import Neo4jDatabase


@pytest.fixture
def graph(tmp_path: Path, neo4j_database: Neo4jDatabase) -> Graph:
    """A project over the empty database."""
    return Graph(tmp_path, neo4j_database)
