"""Settings of a table: storage parameters and marks in place; logged or unlogged by writing it anew.

https://www.postgresql.org/docs/current/sql-altertable.html says which lock each takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconcile.change import World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.postgres.changes.common import small
from reconcile.stores.postgres.changes.table import marked, persistence_changes
from reconcile.stores.postgres.resources import ForeignKey, Table
from reconcile.stores.postgres.sqltables import option_calls
from reconcile.stores.postgres.sqltext import relation

_REWRITE = (Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES)


def options_differ(before: Table, after: Table) -> list[str]:
    """Storage parameters, those of the TOAST table included: no row is touched."""
    return option_calls(f"ALTER TABLE {relation(after.address)}", before.with_, after.with_)


def indexes_there(world: World, before: Table, after: Table) -> frozenset[Fact]:
    """The indexes that the table is to name."""
    del before
    found = marked(world, after)
    return frozenset(ok(a) if world.live.get(a) != world.target.get(a) else has(a) for a in found)


def persistence(before: Table, after: Table) -> list[str]:
    """SET LOGGED or SET UNLOGGED."""
    del before
    return [f"ALTER TABLE {relation(after.address)} SET {'UNLOGGED' if after.unlogged else 'LOGGED'}"]


def rewritten(world: World, before: Table, after: Table) -> Iterable[Hazard]:
    """Every row is written again, to the write-ahead log too."""
    del before
    return () if small(world, after.address) else _REWRITE


def narrows(world: World, before: Table, after: Table) -> Iterable[Hazard]:
    """Without a replica identity, UPDATE and DELETE of a published table are refused."""
    del world, before
    return (Hazard.BREAKS_CLIENTS,) if after.replica_identity == "nothing" else ()


def others_first(world: World, before: Table, after: Table) -> frozenset[Fact]:
    """Tables that change along: a logged one may refer to logged ones only."""
    del before
    keys = [k for k in world.live.of_kind("foreign_key") if isinstance(k, ForeignKey) and k.table != _target(k)]
    keys = [k for k in keys if after.address in (k.table, _target(k))]
    ends = [
        (k.table, _target(k)) if after.unlogged else (_target(k), k.table) for k in keys if not world.drops(k.address)
    ]
    waits = {ok(other) for other, own in ends if own == after.address and persistence_changes(world, other)}
    return frozenset(waits | {no(k.address) for k in keys if world.drops(k.address)})


def _target(key: ForeignKey) -> Address:
    return Address(key.address.store, "table", key.references)
