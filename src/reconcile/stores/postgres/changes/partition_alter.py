"""Tables that become partitions, partitions that become tables, and partitions that move.

See https://www.postgresql.org/docs/current/sql-altertable.html, ATTACH PARTITION and DETACH PARTITION.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconcile.change import Change, Irreversible, Op, Phase, Sql, Step, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, State
from reconcile.stores.postgres import bounds
from reconcile.stores.postgres.changes import table_alter
from reconcile.stores.postgres.changes.common import Alteration, requires, small
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.homes import alike, home, keys_in, taken_over
from reconcile.stores.postgres.changes.index_parts import coming
from reconcile.stores.postgres.changes.part_names import naming, rules_named
from reconcile.stores.postgres.changes.partition import (
    SCAN,
    CreatePartition,
    DropPartition,
    bound_of,
    checked,
    default_is_scanned,
    describe_partition,
    excluded_from_default,
    freed,
    helpers,
    in_default,
    parent_of,
    split,
)
from reconcile.stores.postgres.changes.preconditions import NO_ROWS, preceded
from reconcile.stores.postgres.changes.table import CreateTable, DropTable
from reconcile.stores.postgres.resources import Check, Column, Exclusion, ForeignKey, Index, Key, Table
from reconcile.stores.postgres.sqlpartitions import attach_statement, detach_statement, shown
from reconcile.stores.postgres.sqltext import (
    comment_statement,
    constraint_clause,
    helper_name,
    ident,
    identity_clause,
    relation,
)

_OWN_IDENTITY = (17,)
"""From PostgreSQL 17 on an identity is the whole table's, and what is attached must have none."""
_SETTLED = ("comment", "identity", "identity_options", "default", "not_null")
"""Attributes of a column that are made the parent's when a table is attached."""


class AttachPartition(Alteration):
    """ATTACH PARTITION, after a validated check that spares the scan under an exclusive lock."""

    before: Table
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"becomes a {describe_partition(self.after)}"

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "checked first, then attached"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: its columns are others than its parent's.
        """
        table, parent = self.after, parent_of(self.after)
        whole = split(world, parent)
        settle = _settled_calls(world, self.before, table)
        missing = _missing_checks(world, table)
        rows = bounds.condition(whole.partition_by, table.bound or "") if whole.partition_by else None
        phase, gone = Phase.CONTRACT, [c.address for c in world.live.children(self.address) if isinstance(c, Column)]
        gives = [has(self.address), ok(self.address), *map(no, gone)]
        needs = {has(self.address)} | requires(world, [parent]) | freed(world, table) | coming(world, table)
        needs |= rules_named(world, table)
        hazards = [Hazard.BREAKS_CLIENTS]
        steps: list[Step] = []
        undo: list[str] = []
        if not small(world, self.address):
            helper = self.address.child("check", helper_name(table.address.parts[-1], "bound"))
            if rows is not None and whole.partition_by is not None and bounds.provable(whole.partition_by):
                steps += checked(self, world, helper, rows, phase, more=missing, valid=_not_valid(world, table))
                undo.append(f"ALTER TABLE {relation(self.address)} DROP CONSTRAINT {ident(helper.parts[-1])}")
                missing = []
            else:
                hazards += SCAN
            excluded, restore, more = excluded_from_default(self, world, table, done=len(steps))
            steps += excluded
            undo += restore
            hazards += more
        alter = f"ALTER TABLE {relation(self.address)}"
        calls = [*settle, *(f"{alter} ADD {constraint_clause(c)}" for c in missing)]
        if not steps:
            calls += [f"{alter} VALIDATE CONSTRAINT {ident(n)}" for n in _not_valid(world, table)]
        calls += [attach_statement(parent, table), *undo]
        inside = [t for t in world.target.inside(self.address) if isinstance(t, Table)]
        calls += [sql for part in (table, *inside) for sql in naming(world, part)]
        calls += _rest_calls(world, self.before, table)
        final = self.step(
            world,
            len(steps) + 1,
            "attach",
            calls,
            needs=needs | {ok(a) for a in helpers(steps)},
            gives=[*gives, *(no(a) for a in helpers(steps))],
            phase=phase,
            hazards=hazards,
            commit_before=bool(steps),
            long=not small(world, self.address),
        )
        found = [*in_default(world, table), *outside(world, self.before, table)]
        return preceded([*steps, final], found)

    def apply_to(self, state: State) -> State:
        """Without columns of its own."""
        columns = [c.address for c in state.children(self.address) if isinstance(c, Column)]
        return state.without(*columns).add(self.after)


def outside(world: World, before: Table, table: Table) -> list[Op]:
    """Rows of the table that would not belong to it as a partition."""
    by = split(world, parent_of(table)).partition_by
    rows = bounds.condition(by, table.bound or "") if by else None
    if rows is None or small(world, table.address):
        return []
    there = relation(world.where(before.address))
    sql = f"SELECT * FROM {there} WHERE ({rows}) IS NOT TRUE"
    what = f"rows of {'.'.join(table.address.parts)} do not belong to a {describe_partition(table)}"
    return [
        Op(NO_ROWS, {"sql": sql, "what": what, "unit": "row", "fix": "move or delete them, or declare a wider bound"})
    ]


def _not_valid(world: World, table: Table) -> list[str]:
    """Names of its checks that are also those of the tables above, and not validated yet."""
    above = {c.name for c in keys_in(world.target, parent_of(table)) if isinstance(c, Check)}
    own = [c for c in world.live.children(table.address) if isinstance(c, Check)]
    return [c.name for c in own if c.name in above and c.not_valid]


def _missing_checks(world: World, table: Table) -> list[Check]:
    """Checks of the tables above, which it has to have before."""
    own = {c.address.parts[-1] for c in world.live.children(table.address) if isinstance(c, Check)}
    above = [c for c in keys_in(world.target, parent_of(table)) if isinstance(c, Check)]
    return [
        c.replace(address=table.address.child("check", c.name), container=table.address, comment=None)
        for c in above
        if c.name not in own
    ]


def _settled_calls(world: World, before: Table, table: Table) -> list[str]:
    """Makes what its columns have of their own the parent's: default, NOT NULL, comment, identity.

    Raises:
        PlanError: names or types differ.
    """
    top = home(world, parent_of(table))
    theirs = {c.address.parts[-1]: c for c in world.target.children(top) if isinstance(c, Column)}
    mine = {c.address.parts[-1]: c for c in world.live.children(before.address) if isinstance(c, Column)}
    wrong = sorted(theirs.keys() ^ mine.keys())
    for name in theirs.keys() & mine.keys():
        changed = set(differing(mine[name], theirs[name])) - set(_SETTLED)
        wrong += [f"{name} ({', '.join(sorted(changed))})"] if changed else []
    if wrong:
        raise PlanError(
            f"{before.address} cannot become a partition of {parent_of(table)}: other columns: {', '.join(wrong)}",
            where=table.source,
            hint="declare it as a table with the same columns first, and as a partition in a later apply",
        )
    calls = []
    alter = f"ALTER TABLE {relation(table.address)} ALTER COLUMN"
    for name, column in mine.items():
        there, quoted = theirs[name], ident(name)
        if column.identity:
            calls.append(f"{alter} {quoted} DROP IDENTITY")
        if column.default != there.default and not there.identity:
            what = f"SET DEFAULT {there.default}" if there.default is not None else "DROP DEFAULT"
            calls.append(f"{alter} {quoted} {what}")
        if column.not_null != there.not_null:
            calls.append(f"{alter} {quoted} {'SET' if there.not_null else 'DROP'} NOT NULL")
        if column.comment is not None:
            calls.append(comment_statement(replace(column, comment=None)))
    return calls


class DetachPartition(Alteration):
    """DETACH PARTITION; it keeps its rows and, as its own, what it had from its parent and is declared."""

    before: Table
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        return f"is no longer a {describe_partition(self.before)}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: its declared columns are others than those it has.
        """
        table, parent = self.before, parent_of(self.before)
        columns = [c for c in world.target.children(self.address) if isinstance(c, Column)]
        _same_columns(world, table, columns)
        alter = f"ALTER TABLE {relation(self.address)} ALTER COLUMN"
        calls = [detach_statement(parent, self.address, "FINALIZE" if table.detaching else "")]
        calls += [f"{alter} {ident(c.name)} ADD {identity_clause(c)}" for c in columns if c.identity]
        calls += [comment_statement(c) for c in columns if c.comment is not None]
        calls += [*_let_go(world, table), *_rest_calls(world, table, self.after)]
        kept = [r for r in world.target.children(self.address) if taken_over(world, r)]
        gives = [fact(r.address) for r in kept for fact in (has, ok)]
        return [
            self.step(
                world,
                1,
                "detach",
                calls,
                needs={has(self.address)},
                gives=[has(self.address), ok(self.address), no(bound_of(self.address)), *gives],
                phase=Phase.CONTRACT,
                hazards=[Hazard.BREAKS_CLIENTS],
            )
        ]


def _let_go(world: World, table: Table) -> list[str]:
    """Takes away what it had from its parent and is not declared of it as a table."""
    alter, calls = f"ALTER TABLE {relation(table.address)}", []
    declared = world.target.children(table.address)
    names = {_whole(world, table, name): name for name, _ in table.inherited}
    for rule in keys_in(world.live, parent_of(table)):
        if any(alike(own, rule) for own in declared):
            continue
        if isinstance(rule, Index) and rule.name in names:
            calls.append(f"DROP INDEX {ident(table.schema, names[rule.name])}")
        elif isinstance(rule, Key | Exclusion) and rule.name in names:
            calls.append(f"{alter} DROP CONSTRAINT {ident(names[rule.name])}")
        elif isinstance(rule, Check | ForeignKey):
            calls.append(f"{alter} DROP CONSTRAINT {ident(rule.name)}")
    return calls


def _whole(world: World, table: Table, name: str) -> str:
    """The name, on top of the tree, of the index that a partition's belongs to."""
    above = dict(table.inherited).get(name)
    parent = world.live.get(table.parent) if table.parent else None
    if above is None:
        return name
    return _whole(world, parent, above) if isinstance(parent, Table) else above


def _same_columns(world: World, table: Table, columns: Iterable[Column]) -> None:
    top = home(replace(world, target=world.live), table.address)
    theirs = {c.address.parts[-1]: c for c in world.live.children(top) if isinstance(c, Column)}
    mine = {c.address.parts[-1]: c for c in columns}
    wrong = sorted(theirs.keys() ^ mine.keys())
    for name in theirs.keys() & mine.keys():
        changed = set(differing(theirs[name], mine[name])) - {"comment", "identity", "identity_options"}
        wrong += [f"{name} ({', '.join(sorted(changed))})"] if changed else []
    if wrong:
        raise PlanError(
            f"{table.address} keeps the columns of {table.parent} when it is detached; declared otherwise: "
            + ", ".join(wrong),
            where=mine[wrong[0]].source if wrong[0] in mine else table.source,
            hint="declare it with the same columns, and change them in a later apply",
        )


class MovePartition(Alteration):
    """Another bound or parent: detached and attached again, the rows being looked at under an exclusive lock."""

    before: Table
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        old, new = (describe_partition(t) for t in (self.before, self.after))
        same = f"partition of {self.before.partition_of[1]}, " if self.before.partition_of else ""
        return f"{old} → {new.removeprefix(same)}"

    @property
    def strategy(self) -> str | None:
        """See `Change.strategy`."""
        return "detached and attached again in one transaction"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`: all that move in one tree do so together, since one may take the place of another."""
        together = _moving(world, home(world, self.address))
        if together[0][0].address != self.address:
            return []
        detach = [
            detach_statement(parent_of(old), old.address, "FINALIZE" if old.detaching else "") for old, _ in together
        ]
        attach = [attach_statement(parent_of(new), new) for _, new in together]
        needs, gives, hazards, rows = set[Fact](), list[Fact](), list[Hazard](), list[Op]()
        free = {no(bound_of(new.address)) for _, new in together}
        for old, new in together:
            needs |= {has(old.address)} | requires(world, [parent_of(old), parent_of(new)]) | freed(world, new)
            gives += [has(new.address), ok(new.address)]
            hazards += SCAN if not world.empty(old.address) or default_is_scanned(world, new) else []
            rows += [*in_default(world, new), *outside(world, old, new)]
            attach += _rest_calls(world, old, new)
        step = self.step(
            world,
            1,
            "move",
            [*detach, *attach],
            needs=needs - free,
            gives=[*gives, *free],
            phase=Phase.CONTRACT,
            hazards=dict.fromkeys(hazards),
            long=bool(hazards),
        )
        return preceded([step], rows)


def _moving(world: World, root: Address) -> list[tuple[Table, Table]]:
    """Partitions of a tree, as it shall be, that get another bound or parent: (before, after)."""
    found = []
    for after in world.target.inside(root):
        before = world.live.get(after.address)
        if isinstance(after, Table) and isinstance(before, Table) and before.partition_of and moves(before, after):
            found.append((before, after))
    return sorted(found, key=lambda pair: pair[0].address)


class RepartitionTable(Alteration):
    """Another partition key, which no server can change: refused."""

    before: Table
    after: Table

    def describe(self) -> str:
        """See `Change.describe`."""
        old, new = (shown(t.partition_by) if t.partition_by else "not" for t in (self.before, self.after))
        return f"partitioned by {old} → {new}"

    def steps(self, world: World) -> Sequence[Step]:
        """See `Change.steps`.

        Raises:
            PlanError: always.
        """
        del world
        raise PlanError(
            f"{self.address}: {self.describe()}: PostgreSQL cannot change how a table is partitioned",
            where=self.after.source,
            hint="declare a new table partitioned so, move the rows, switch over, and drop the old one; "
            "while it is empty, take it out of the YAML, apply, and declare it again",
        )

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return RepartitionTable(self.after, self.before)


def _rest_calls(world: World, before: Table, after: Table) -> list[str]:
    """What differs besides being a partition."""
    there = before.replace(partition_of=after.partition_of, bound=after.bound, detaching=after.detaching)
    change = None if there == after else table_alter.alter(there, after)
    return [c.sql for s in (change.steps(world) if change else ()) for c in s.calls if isinstance(c, Sql)]


def moves(before: Table, after: Table) -> bool:
    """Whether it becomes a partition, is none any more, or gets another bound or parent."""
    was, now = ((t.partition_of, t.bound, t.detaching) for t in (before, after))
    return was != now


def create(before: None, after: Table) -> Change:
    """The change that makes a table."""
    return CreateTable(before, after) if after.partition_of is None else CreatePartition(before, after)


def drop(before: Table, after: None) -> Change:
    """The change that drops a table."""
    return DropTable(before, after) if before.partition_of is None else DropPartition(before, after)


def alter(before: Table, after: Table) -> Change | None:
    """The change of a table that stays."""
    if before.partition_by != after.partition_by:
        return RepartitionTable(before, after)
    if not moves(before, after):
        return table_alter.alter(before, after)
    if before.partition_of is None:
        return AttachPartition(before, after)
    return DetachPartition(before, after) if after.partition_of is None else MovePartition(before, after)
