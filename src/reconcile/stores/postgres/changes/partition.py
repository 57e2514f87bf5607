"""Partitions: made beside their table and attached, so that nobody waits; detached before they are dropped.

See https://www.postgresql.org/docs/current/sql-altertable.html, ATTACH PARTITION and DETACH PARTITION.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconcile.change import Op, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres import bounds
from reconcile.stores.postgres.changes import keeping
from reconcile.stores.postgres.changes.common import (
    Creation,
    PostgresChange,
    Removal,
    comments,
    dependents_settled,
    goes_first,
    in_schema,
    requires,
)
from reconcile.stores.postgres.changes.homes import homes, settings_of_partition
from reconcile.stores.postgres.changes.index_parts import coming
from reconcile.stores.postgres.changes.part_names import naming, rules_named
from reconcile.stores.postgres.changes.preconditions import NO_ROWS, preceded
from reconcile.stores.postgres.changes.table import create_statement, dropped_apart, gone_along, made_marks, marked
from reconcile.stores.postgres.resources import TYPES, Check, Key, PostgresResource, Table
from reconcile.stores.postgres.sqlattached import security_statements
from reconcile.stores.postgres.sqlpartitions import (
    attach_statement,
    detach_statement,
    partition_by_clause,
    shown,
    shown_bound,
)
from reconcile.stores.postgres.sqltext import as_written, constraint_clause, helper_name, ident, relation

_CONCURRENTLY = (14,)
"""DETACH PARTITION … CONCURRENTLY came with PostgreSQL 14."""


def bound_of(table: Address) -> Address:
    """The place a partition takes among its siblings; `no` of it: the place is free."""
    return Address(table.store, "bound", table.parts)


def parent_of(table: Table) -> Address:
    """The partitioned table; of a partition only."""
    assert table.parent is not None, f"{table.address} is no partition"
    return table.parent


def partitions(state: State, table: Address) -> list[Table]:
    """The partitions of a table, not theirs."""
    return [r for r in state.children(table) if isinstance(r, Table)]


def default_of(state: State, parent: Address) -> Table | None:
    """The default partition, if there is one."""
    return next((p for p in partitions(state, parent) if p.bound == "DEFAULT"), None)


def split(world: World, parent: Address) -> Table:
    """The partitioned table, as it shall be."""
    found = world.target.get(parent) or world.live.get(parent)
    assert isinstance(found, Table), f"{parent} is a table"
    return found


def freed(world: World, table: Table) -> frozenset[Fact]:
    """The places that this plan frees and that the partition may need; the types whose values its bound names."""
    found = set(requires(world, _key_types(world, table)))
    for other in partitions(world.live, parent_of(table)):
        near = other.bound == "DEFAULT" or bounds.may_overlap(other.bound or "", table.bound or "")
        if other.address != table.address and near and _leaves(world, other):
            found.add(no(bound_of(other.address)))
    return frozenset(found)


def _key_types(world: World, table: Table) -> list[Address]:
    by = split(world, parent_of(table)).partition_by
    names = [k.column for k in by.keys if k.column is not None] if by is not None else []
    columns = (world.target.get(c) for c in homes(world, parent_of(table), names))
    return [a for c in columns if c is not None for a in c.refers if a.kind in TYPES]


def _leaves(world: World, partition: Table) -> bool:
    after = world.target.get(partition.address)
    return not isinstance(after, Table) or (after.parent, after.bound) != (partition.parent, partition.bound)


def _own(world: World, table: Table) -> list[PostgresResource]:
    """Keys and checks that only the partition has: made with it."""
    return [r for r in world.target.children(table.address) if isinstance(r, Key | Check) and not _apart(r)]


def _apart(resource: PostgresResource) -> bool:
    return isinstance(resource, Check) and resource.not_valid


def describe_partition(table: Table) -> str:
    """`partition of events, from ('2026-01-01') to ('2027-01-01'), partitioned by list (kind)`."""
    of = table.partition_of[1] if table.partition_of else ""
    text = f"partition of {of}, {shown_bound(str(as_written(table, 'bound')))}"
    return f"{text}, partitioned by {shown(table.partition_by)}" if table.partition_by else text


class CreatePartition(Creation):
    """With a new table PARTITION OF; else made like the table and attached, under a weaker lock."""

    before: None
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_partition(self.after)

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        table, parent = self.after, parent_of(self.after)
        own = _own(world, table)
        inside = [self.address, *(c.address for c in own)]
        refers = [a for r in (table, *own) for a in r.refers if a not in inside and a.kind != "column"]
        needs = (
            {no(self.address)}
            | in_schema(world, table)
            | requires(world, refers)
            | freed(world, table)
            | coming(world, table)
            | rules_named(world, table)
        )
        gives = [fact(a) for a in sorted(inside) for fact in (has, ok)]
        more = [f"ALTER TABLE {relation(self.address)} ADD {constraint_clause(c)}" for c in own]
        more += settings_of_partition(world, table)
        more += [*security_statements("disabled", table), *(sql for r in (table, *own) for sql in comments(r))]
        more += made_marks(world, table, [a for a in marked(world, table) if a in inside])
        by = partition_by_clause(table.partition_by)
        if world.creates(parent):
            make = create_statement(table, f"PARTITION OF {relation(parent)} {table.bound}{by}")
            calls = [make, *more, *naming(world, table)]
            return [self.step(world, 1, "create", calls, needs=needs, gives=gives)]
        like = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE"
        like += " INCLUDING COMPRESSION" if world.server.numbers >= (14,) else ""
        make = create_statement(table, f"(LIKE {relation(parent)} {like}){by}")
        excluded, undo, hazards = excluded_from_default(self, world, table)
        calls = [make, *more, attach_statement(parent, table), *naming(world, table), *undo]
        needs |= {ok(a) for a in helpers(excluded)}
        final = self.step(
            world,
            len(excluded) + 1,
            "create",
            calls,
            needs=needs,
            gives=[*gives, *(no(a) for a in helpers(excluded))],
            hazards=hazards,
            commit_before=bool(excluded),
            long=bool(hazards),
        )
        return preceded([*excluded, final], in_default(world, table))


def helpers(steps: Iterable[Step]) -> list[Address]:
    """What steps make that the last one takes away."""
    return list(dict.fromkeys(s.address for s in steps))


def in_default(world: World, table: Table) -> list[Op]:
    """Rows of the default partition that would belong to the new one."""
    default = default_of(world.live, parent_of(table))
    by = split(world, parent_of(table)).partition_by
    if default is None or by is None or not default_is_scanned(world, table) or table.bound is None:
        return []
    rows = bounds.condition(by, table.bound)
    if rows is None:
        return []
    there = relation(world.where(default.address))
    what = f"rows of the default partition {'.'.join(default.address.parts)} belong to {'.'.join(table.address.parts)}"
    fix = f"move them: WITH moved AS (DELETE FROM {there} WHERE {rows} RETURNING *) INSERT INTO … SELECT * FROM moved"
    return [Op(NO_ROWS, {"sql": f"SELECT * FROM {there} WHERE {rows}", "what": what, "unit": "row", "fix": fix})]


SCAN = [Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES, Hazard.DEPENDS_ON_DATA]
"""Of rows looked at under an exclusive lock."""


def default_is_scanned(world: World, table: Table) -> bool:
    """Whether there is a default partition with rows, which may not belong to it any more."""
    default = default_of(world.live, parent_of(table))
    if default is None or default.address == table.address or _leaves(world, default):
        return False
    return not world.empty(default.address)


def excluded_from_default(
    change: PostgresChange, world: World, table: Table, done: int = 0
) -> tuple[list[Step], list[str], list[Hazard]]:
    """A validated check that spares the default partition a scan under an exclusive lock; what removes it again.

    While it is there, the default partition refuses the rows that are to go into the new one.
    Where PostgreSQL would not see what the check says, the scan and its hazards remain.
    """
    parent = split(world, parent_of(table))
    default = default_of(world.live, parent.address)
    if default is None or parent.partition_by is None or not default_is_scanned(world, table):
        return [], [], []
    rows = bounds.condition(parent.partition_by, table.bound or "")
    if rows is None or not bounds.provable(parent.partition_by):
        return [], [], SCAN
    helper = default.address.child("check", helper_name(table.address.parts[-1], "bound"))
    first, second = checked(change, world, helper, f"NOT ({rows})", Phase.EXPAND, done=done)
    steps = [replace(first, hazards=first.hazards | {Hazard.BREAKS_CLIENTS}), second]  # refuses such rows meanwhile
    drop = f"ALTER TABLE {relation(default.address)} DROP CONSTRAINT {ident(helper.parts[-1])}"
    return steps, [drop], []


def checked(
    change: PostgresChange,
    world: World,
    helper: Address,
    expression: str,
    phase: Phase,
    *,
    done: int = 0,
    more: Sequence[Check] = (),
    valid: Sequence[str] = (),
) -> list[Step]:
    """A helper check of a table, added NOT VALID and validated; an older one of that name goes first.

    Args:
        done: steps of the change that stand before.
        more: other checks treated alike.
        valid: names of checks that are there, to be validated along.
    """
    table, name = relation(helper), ident(helper.parts[-1])
    add = [f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({expression}) NOT VALID"]
    needs = {has(Address(helper.store, "table", helper.parts[:2]))}
    if world.drops(helper):
        needs.add(no(helper))
    elif helper in world.live:
        add.insert(0, f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    add += [f"ALTER TABLE {table} ADD {constraint_clause(c)} NOT VALID" for c in more]
    validate = f"ALTER TABLE {table} VALIDATE CONSTRAINT"
    return [
        change.step(world, done + 1, "check", add, address=helper, needs=needs, gives=[has(helper)], phase=phase),
        change.step(
            world,
            done + 2,
            "validate",
            [f"{validate} {n}" for n in (name, *map(ident, [*(c.name for c in more), *valid]))],
            address=helper,
            needs=[has(helper)],
            gives=[ok(helper)],
            phase=phase,
            hazards=[Hazard.DEPENDS_ON_DATA],
            commit_before=True,
            long=True,
        ),
    ]


class DropPartition(Removal):
    """DETACH PARTITION, CONCURRENTLY where the server can, then kept or DROP TABLE; nothing where its table goes."""

    before: Table
    after: None

    def describe(self) -> str:
        """See `Change.describe`."""
        return describe_partition(self.before)

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "detached first"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`."""
        table, parent = self.before, parent_of(self.before)
        if world.drops(parent):
            return []
        children = gone_along(world, self.address)
        waits = dependents_settled(world, self.address, also=[c.address for c in children])
        apart = {c.address for c in children if dropped_apart(world, c)}
        inside = [self.address, *(c.address for c in children if c.address not in apart)]
        refers = {a for c in children if c.address not in apart for a in c.refers} - set(inside)
        needs = (
            {has(self.address), *map(no, apart)} | waits | goes_first(world, [a for a in refers if a.kind != "column"])
        )
        needs |= requires(world, [parent])
        kept, gone = keeping.table_name(world, table), [no(a) for a in inside]
        hazards = [Hazard.BREAKS_CLIENTS, *([] if kept or world.empty(self.address) else [Hazard.DELETES_DATA])]
        drop, word = [f"DROP TABLE {relation(self.address)}"], "drop"
        if kept:
            drop, word = [keeping.settle_detached(world, table), *keeping.keep_table(world, table, kept, apart)], "keep"
        free = no(bound_of(self.address))
        phase = Phase.CONTRACT
        if detaches_concurrently(world, table):
            detach = detach_statement(parent, self.address, "CONCURRENTLY")
            return [
                self.concurrent_step(1, "detach", [detach], needs=needs, gives=[free], phase=phase, hazards=hazards),
                replace(self.step(world, 2, word, drop, needs={has(self.address), free}, gives=gone, phase=phase),
                        keeps=kept),
            ]  # fmt: skip
        detach = detach_statement(parent, self.address, "FINALIZE" if table.detaching else "")
        calls, gives = [detach, *drop], [free, *gone]
        step = self.step(world, 1, word, calls, needs=needs, gives=gives, phase=phase, hazards=hazards)
        return [replace(step, keeps=kept)]

    def remarks(self, world: World) -> Iterable[str]:
        """See `Change.remarks`."""
        return () if world.drops(parent_of(self.before)) else keeping.of_table(world, self.before)


def detaches_concurrently(world: World, table: Table) -> bool:
    """Whether DETACH … CONCURRENTLY is possible: not with a default partition, nor worth it where it is empty."""
    parent = parent_of(table)
    if world.server.numbers < _CONCURRENTLY or table.detaching or world.empty(parent):
        return False
    return default_of(world.live, parent) is None and default_of(world.target, parent) is None
