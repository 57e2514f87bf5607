"""What a ledger holds: its tables and their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from reconcile.model import Address, Json

TABLES = (
    "CREATE TABLE {t}meta (key text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE {t}stores (store text NOT NULL, target text NOT NULL DEFAULT '', identity text NOT NULL,"
    " PRIMARY KEY (store, target))",
    "CREATE TABLE {t}lock (id integer PRIMARY KEY, run text, holder text, epoch bigint NOT NULL,"
    " expires double precision NOT NULL)",
    "INSERT INTO {t}lock (id, epoch, expires) VALUES (1, 0, 0)",
    "CREATE TABLE {t}runs (id text PRIMARY KEY, number bigint NOT NULL, digest text NOT NULL, plan text NOT NULL,"
    " who text NOT NULL, started double precision NOT NULL, finished double precision, outcome text NOT NULL,"
    " message text NOT NULL DEFAULT '')",
    "CREATE TABLE {t}journal (run text NOT NULL, step text NOT NULL, state text NOT NULL,"
    " at double precision NOT NULL, seconds double precision, detail text NOT NULL DEFAULT '',"
    " PRIMARY KEY (run, step))",
    "CREATE TABLE {t}applied (address text NOT NULL, target text NOT NULL DEFAULT '', live text NOT NULL,"
    " declared text NOT NULL, canonical text NOT NULL, fingerprint text NOT NULL, run text NOT NULL,"
    " at double precision NOT NULL, PRIMARY KEY (address, target))",
    "CREATE TABLE {t}known (key text PRIMARY KEY, value text NOT NULL)",
)
"""What makes the first version of them; `{t}` stands for what goes before every name."""

UPGRADES = {
    2: ("CREATE TABLE {t}reports (run text PRIMARY KEY, report text NOT NULL)",),
}
"""By version of the ledger's schema: what makes it of the one before. The last is the one that is written."""

BACKFILL_ROWS = (
    "CREATE TABLE {t}backfill_rows (backfill text NOT NULL, key text NOT NULL, state text NOT NULL,"
    " content text NOT NULL, at double precision NOT NULL, PRIMARY KEY (backfill, key, state))"
)
"""What makes the table of rows that backfills keep: `old` values, rows `archived` before they are deleted, and those
`set_aside` with their error. Made when the first of them is kept."""


class Applied(NamedTuple):
    """What an address was when it was last applied or found equal.

    The forms are kept as the ledger has them, as JSON text: there is a row of each resource, and few are looked into.
    """

    address: Address
    declared_text: str
    canonical_text: str
    fingerprint: str
    """Of the live resource; written for who looks into the ledger, not read back."""
    live: Address
    """Where it stands in the store (differs under `names: accept`)."""
    run: str

    @classmethod
    def of(
        cls, address: Address, declared: Json, canonical: Json, fingerprint: str, live: Address, run: str
    ) -> Applied:
        """A row of the forms themselves."""
        return cls(address, json.dumps(declared), json.dumps(canonical), fingerprint, live, run)

    @property
    def declared(self) -> Json:
        """The attributes as the YAML has them."""
        return _json(self.declared_text)

    @property
    def canonical(self) -> Json:
        """The attributes in the server's spelling, restricted to what was declared."""
        return _json(self.canonical_text)


_json = cache(json.loads)
"""Most tables have columns that other tables have."""


@dataclass(frozen=True)
class World:
    """Which project, environment and stores a ledger belongs to."""

    project: str
    environment: str
    stores: Mapping[str, str]
    """Store name -> identity."""


@dataclass(frozen=True)
class Run:
    """One apply of one plan. Times are UTC seconds since 1970."""

    id: str
    number: int
    digest: str
    who: str
    started: float
    finished: float | None
    outcome: str
    """`running`, `done`, `stopped` (part-way), `paused` (between phases, as asked), `undone` (failed before anything
    changed), `abandoned`; of hand-written migrations alone also `migrating` (under way) and `partly` (some ran, or a
    part of one; no run has to go on with it, the next that migrates does)."""
    message: str
    plan: Json = None


@dataclass(frozen=True)
class Lock:
    """The lock as it stands; `epoch` grows with each taking."""

    run: str | None
    holder: str | None
    epoch: int
    expired: bool


def run_of(row: Sequence[object]) -> Run:
    """A run from id, number, digest, who, started, finished, outcome, message and, where it was asked for, plan."""
    run, number, digest, who, started, finished, outcome, message, *plan = row
    return Run(
        str(run),
        int(str(number)),
        str(digest),
        str(who),
        float(str(started)),
        None if finished is None else float(str(finished)),
        str(outcome),
        str(message),
        json.loads(str(plan[0])) if plan else None,
    )
