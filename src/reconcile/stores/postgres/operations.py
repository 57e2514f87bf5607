"""Named operations of the session: what steps ask for that is no single statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from reconcile.change import Timeouts
from reconcile.model import Json
from reconcile.stores.postgres.backfill import Tell, backfill

Operation = Callable[[psycopg.Connection[Any], Mapping[str, Json], Timeouts, Tell], None]


def _backfill(connection: psycopg.Connection[Any], args: Mapping[str, Json], timeouts: Timeouts, tell: Tell) -> None:
    backfill(connection, args, timeouts.lock or "2s", tell)


OPERATIONS: Mapping[str, Operation] = {"backfill": _backfill}
"""By the name in the plan."""
