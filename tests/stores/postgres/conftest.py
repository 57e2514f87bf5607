"""What tests of PostgreSQL begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.stores.postgres.rights import Rights, a_role


@pytest.fixture
def rights(make_postgres_database: Callable[[], str], tmp_path: Path) -> Iterator[Rights]:
    """A database of a superuser, and a role that may do nothing."""
    with a_role(make_postgres_database, tmp_path) as made:
        yield made
