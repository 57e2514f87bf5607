"""Tables and columns that hold data and go: kept under another name, out of everybody's way, and brought back.

A table moves to the tool's own schema with its columns, keys, checks and indexes; foreign keys, triggers, policies and
statistics go, for they would bind others or need them. Its grants stay and give nothing: nobody may look into that
schema. What it was published in it stays published in. A column stays in its table, where it binds nobody any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import cast

from reconcile.change import Change, Irreversible, Op, Phase, Sql, Step, Timeouts, World
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.changes.common import Renaming, in_schema, sequences_owned
from reconcile.stores.postgres.names import identity_sequence
from reconcile.stores.postgres.resources import (
    OWN_SCHEMA,
    Check,
    Column,
    Exclusion,
    ForeignKey,
    Index,
    Key,
    Policy,
    PostgresResource,
    Statistics,
    Table,
    Trigger,
)
from reconcile.stores.postgres.resources import Sequence as Sequence_
from reconcile.stores.postgres.sqlattached import drop_policy, drop_trigger
from reconcile.stores.postgres.sqltext import NAME_BYTES, ident, literal, object_name, relation

STAYING = (Column, Key, Check, Exclusion, Index)
"""What a kept table keeps."""
INDEXED = (Key, Exclusion, Index)
"""What has a name of its schema, which the next table of that name may want."""

OWN = (
    f"DO $reconcile$ BEGIN IF to_regnamespace({literal(ident(OWN_SCHEMA))}) IS NULL THEN"
    f" CREATE SCHEMA {ident(OWN_SCHEMA)}; END IF; END $reconcile$"
)


def kept_as(stamp: str, name: str) -> str:
    """`kept_STAMP_NAME`, cut at a character where it is too long for a name.

    >>> kept_as("1a2b3c4d", "notes")
    'kept_1a2b3c4d_notes'
    """
    prefix = f"kept_{stamp}_"
    return prefix + name.encode()[: NAME_BYTES - len(prefix)].decode(errors="ignore")


def _stamp(*what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _free(world: World, address: Address, parts: Iterable[Resource]) -> str:
    """The name it is kept under: it follows from what it is; where that is taken, the next one."""
    said = [[str(r.address), r.attributes()] for r in parts]
    number = 0
    while (name := kept_as(_stamp(str(address), said, number), address.parts[-1])) in world.keeping.taken:
        number += 1
    return name


def _part(name: str, part: str) -> str:
    """What an index or sequence of something kept is called meanwhile."""
    return kept_as(_stamp(name, part), part)


def table_name(world: World, table: Table) -> str | None:
    """What a table that goes is kept as; None where its rows may go, or where something in it needs what goes too."""
    address = table.address
    if world.keeping.deletes(address) or table.leftover_of is not None or world.empty(address):
        return None
    if table.partition_by is not None or table.partition_of is not None:
        return None
    parts = [table, *staying(world, address)]
    inside = {r.address for r in (*parts, *sequences_owned(world, *(p.address for p in parts)))}
    if any(world.drops(a) for r in parts for a in r.refers if a not in inside and a.kind != "schema"):
        return None
    return _free(world, address, parts)


def column_name(world: World, column: Column) -> str | None:
    """What a column that goes is kept as; None as of a table, and where it could not be left out of an INSERT."""
    if world.keeping.deletes(column.address) or column.leftover_of is not None or world.empty(column.table):
        return None
    if column.generated is not None or column.identity or column.held_by or column.published:
        return None
    table = world.live.get(column.table)
    if not isinstance(table, Table) or table.partition_by is not None or table.partition_of is not None:
        return None
    types = [world.live.get(a) for a in column.refers if a.kind == "domain"]
    if any(world.drops(a) for a in column.refers) or any(getattr(t, "not_null", False) for t in types):
        return None
    if sequences_owned(world, column.address):
        return None
    return _free(world, column.address, [column])


def staying(world: World, table: Address) -> list[PostgresResource]:
    """What of a table stays in it when it is kept."""
    return [r for r in world.live.children(table) if isinstance(r, STAYING)]


def keep_table(world: World, table: Table, name: str, apart: Container[Address]) -> list[str]:
    """The statements that put it away.

    Args:
        apart: what of it goes by steps of its own.
    """
    children = [r for r in world.live.children(table.address) if r.address not in apart]
    calls = [OWN]
    for part in children:
        if isinstance(part, ForeignKey):
            calls.append(f"ALTER TABLE {relation(table.address)} DROP CONSTRAINT {ident(part.name)}")
        elif isinstance(part, Trigger):
            calls.append(drop_trigger(part))
        elif isinstance(part, Policy):
            calls.append(drop_policy(part))
        elif isinstance(part, Statistics):
            calls.append(f"DROP STATISTICS {object_name(part)}")
    owned = sequences_owned(world, *(r.address for r in children))
    calls += [
        f"ALTER {kind} {ident(table.schema, old)} RENAME TO {ident(_part(name, old))}"
        for kind, old in _named((*children, *owned))
    ]
    calls.append(f"ALTER TABLE {relation(table.address)} RENAME TO {ident(name)}")
    return [*calls, f"ALTER TABLE {ident(table.schema, name)} SET SCHEMA {ident(OWN_SCHEMA)}"]


def _named(parts: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    """(INDEX or SEQUENCE, name) of what has a name of the schema."""
    for part in parts:
        if isinstance(part, INDEXED):
            yield "INDEX", part.name
        elif isinstance(part, Sequence_):
            yield "SEQUENCE", part.name
        elif isinstance(part, Column) and part.identity:
            given = dict(part.identity_options).get("sequence_name")
            yield "SEQUENCE", given or identity_sequence(part.address.parts[1], part.address.parts[2])


def keep_column(column: Column, name: str) -> list[str]:
    """The statements that put it out of the way: the name last, so that they can be read."""
    alter = f"ALTER TABLE {relation(column.table)} ALTER COLUMN {ident(column.name)}"
    return [
        *([f"{alter} DROP DEFAULT"] if column.default is not None else []),
        *([f"{alter} DROP NOT NULL"] if column.not_null else []),
        f"ALTER TABLE {relation(column.table)} RENAME COLUMN {ident(column.name)} TO {ident(name)}",
    ]


class RestoreTable(Renaming):
    """A kept table comes back with what stayed in it; what was taken off it is made again by changes of its own."""

    before: None
    after: Table
    parts: tuple[PostgresResource, ...] = ()
    name: str = ""

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"brought back with its rows, from {OWN_SCHEMA}.{self.name}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        schema = self.after.schema
        calls = [
            f"ALTER TABLE {ident(OWN_SCHEMA, self.name)} SET SCHEMA {ident(schema)}",
            f"ALTER TABLE {ident(schema, self.name)} RENAME TO {ident(self.after.name)}",
        ]
        calls += [
            f"ALTER {kind} {ident(schema, _part(self.name, old))} RENAME TO {ident(old)}"
            for kind, old in _named(self.parts)
        ]
        inside = [self.address, *(p.address for p in self.parts)]
        needs = in_schema(world, self.after)
        gives = [*map(has, inside), *map(ok, inside)]
        return [self.step(world, 1, "restore", calls, needs=needs, gives=gives)]

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return Irreversible("it would be kept again")

    def apply_to(self, state: State) -> State:
        """See `Change.apply_to`."""
        return state.add(*(r for r in (self.after, *self.parts) if r.address not in state))


class RestoreColumn(Renaming):
    """A kept column has its name again; NOT NULL and its default follow."""

    before: None
    after: Column
    name: str = ""

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"brought back with its values, from {self.name}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        table = relation(self.after.table)
        call = f"ALTER TABLE {table} RENAME COLUMN {ident(self.name)} TO {ident(self.after.name)}"
        needs = {has(self.after.table)}
        return [self.step(world, 1, "restore", [call], needs=needs, gives=[has(self.address)], phase=Phase.EXPAND)]

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return Irreversible("it would be kept again")

    def apply_to(self, state: State) -> State:
        """See `Change.apply_to`."""
        return state if self.address in state else state.add(self.after)


def restored(live: State, parts: Sequence[Resource], name: str) -> tuple[Change, State]:
    """What brings a kept table or column back, and `live` as it is then.

    Args:
        parts: it, and what was in it, as they were.
    """
    first = parts[0]
    change: Change
    if isinstance(first, Column):
        bare = first.replace(default=None, not_null=False, not_null_name=None, not_null_comment=None,
                                          not_null_no_inherit=False, not_null_valid=True)  # fmt: skip
        change = RestoreColumn(None, bare, name)
    else:
        inside = tuple(cast(PostgresResource, p) for p in parts[1:] if isinstance(p, (*STAYING, Sequence_)))
        change = RestoreTable(None, cast(Table, first), inside, name)
    return change, change.apply_to(live)


def guards(address: Address) -> list[Op]:
    """What is looked at before a table or column is dropped by hand: whether it holds anything.

    >>> [op.args["sql"] for op in guards(Address("app", "column", ("public", "notes", "body")))]
    ['SELECT * FROM "public"."notes" WHERE "body" IS NOT NULL']
    """
    if address.kind not in ("table", "column"):
        return []
    held = f" WHERE {ident(address.parts[-1])} IS NOT NULL" if address.kind == "column" else ""
    return [Op("holds_nothing", {"sql": f"SELECT * FROM {relation(address)}{held}", "what": f"{address} holds rows"})]


def purged(address: Address, name: str) -> Step:
    """The step that deletes something kept."""
    call = f"DROP TABLE IF EXISTS {ident(OWN_SCHEMA, name)}"
    if address.kind == "column":
        call = f"ALTER TABLE {relation(address)} DROP COLUMN IF EXISTS {ident(name)}"
    there = Address(address.store, "kept", (address.kind, name))
    return Step(
        id=f"{there}/1-purge",
        address=address,
        calls=(Sql(call),),
        phase=Phase.CONTRACT,
        journalled=True,
        gives=frozenset({no(there)}),
        hazards=frozenset({Hazard.DELETES_DATA, Hazard.IRREVERSIBLE}),
        timeouts=Timeouts(lock="2s", statement="60s"),
    )
