"""A column's type changed in place: one transaction, and what it costs on this table.

A change that writes no row can still be felt. The server reads every row again for a check on the column, and builds
every index again that has an expression or a condition, all under the exclusive lock (PostgreSQL 18.4:
`ATPostAlterTypeCleanup`, `CheckIndexCompatible`). So checks are added again as not valid and validated afterwards, and
indexes that would be built are told as hazards.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconcile.change import Op, Phase, Step, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Resource
from reconcile.stores.postgres.changes.casting import cast_of
from reconcile.stores.postgres.changes.column import refuse_held, used
from reconcile.stores.postgres.changes.column_identity import alter_statement, fits_first, identity_calls
from reconcile.stores.postgres.changes.common import PostgresChange, comments, requires, small
from reconcile.stores.postgres.changes.constraint import add_statement, drop_statement, unchecked, validate_statement
from reconcile.stores.postgres.changes.describing import differing
from reconcile.stores.postgres.changes.named import keys_to
from reconcile.stores.postgres.changes.preconditions import broken, conflicts, duplicates, misfits, preceded
from reconcile.stores.postgres.changes.publishing import around as republished
from reconcile.stores.postgres.changes.publishing import republishable
from reconcile.stores.postgres.changes.remaking import comes_again, generated_from, is_made_again, standing_on, users
from reconcile.stores.postgres.changes.types import TypeChange, type_change
from reconcile.stores.postgres.resources import Check, Column, Exclusion, ForeignKey, Index, Key, PostgresResource
from reconcile.stores.postgres.sqltext import as_written, dotted


def compared_with(world: World, column: Column) -> list[PostgresResource]:
    """Live indexes and constraints that use the column, foreign keys to it included, also of its own table."""
    name, near = column.address.parts[-1], users(world, column)
    there = {u.address for u in near}
    far = [k for k in keys_to(world, column.table) if name in k.references_columns and k.address not in there]
    return [*near, *far]


def users_away(world: World, column: Column) -> frozenset[Fact]:
    """What uses a column and is dropped or made again in this plan may not fit its new type: gone before it."""
    found = [u for u in compared_with(world, column) if u.address not in world.target or comes_again(world, u)]
    inside = [u for u in found if u.container is None or not world.drops(u.container)]
    readers = generated_from(world, column)
    gone = [g.address for g in readers if world.drops(g.address) or is_made_again(world, g.address)]
    still = [g.address for g in readers if g.address not in gone]
    above = [x.address for x in standing_on(world, [column.address], dropped=True)]
    return frozenset({*(no(u.address) for u in inside), *map(no, [*gone, *above]), *map(ok, still)})


def retype_steps(
    change: PostgresChange,
    world: World,
    before: Column,
    after: Column,
    quick: list[str],
    needs: Iterable[Fact],
    *,
    done: int,
) -> list[Step]:
    """One transaction: default away, type, default back. Views over it, and indexes of another opclass, are gone.

    Checks on it are validated in a transaction of their own.

    Args:
        quick: other statements about the column.
        done: steps of the change that stand before.
    """
    refuse_held(before, "get another type", after.source, republished=republishable(world, before))
    judged = type_change(before.type, after.type) if before.type != after.type else None
    clause = f"TYPE {as_written(after, 'type')}"
    if after.collation:
        clause += f" COLLATE {dotted(after.collation)}"
    if judged is not None and judged.using:
        clause += f" USING {cast_of(world.server, before, after)}"
    calls = [alter_statement(before, "DROP DEFAULT")] if before.default is not None else []
    if before.identity is not None and after.identity is None:
        gone = quick.index(alter_statement(before, "DROP IDENTITY")) + 1
        calls += quick[:gone]
        quick = quick[gone:]
    elif fits_first(before, after):
        early = identity_calls(world, before, after, set(differing(before, after)))
        calls, quick = [*calls, *early], [call for call in quick if call not in early]
    calls.append(alter_statement(before, clause))
    if after.default is not None:
        calls.append(alter_statement(before, f"SET DEFAULT {as_written(after, 'default')}"))
    again = checks_read(world, before, judged)
    for check in again:
        calls = [drop_statement(check), *calls, add_statement(check, not_valid=True), *comments(check)]
    step = change.step(
        world,
        done + 1,
        "type",
        republished(before, [*calls, *quick]),
        needs={*needs, *_named(world, again)} | users_away(world, before) | requires(world, used(after)),
        gives=[has(change.address), ok(change.address)],
        phase=Phase.CONTRACT,
        hazards=_type_hazards(world, before, judged),
        long=judged is None or judged.rewrites or bool(indexes_built(world, before, judged)),
    )
    steps = [step, *_validated(change, world, again, done + 2)]
    if judged is None or judged.wider or small(world, before.table):
        return steps
    return preceded(steps, [*misfits(world, before, after), *rules_broken(world, before)])


def rules_broken(world: World, column: Column) -> list[Op]:
    """Rows that hold what the new type takes, but not in its spelling: 0.4 is an integer, and 0 no longer over 0."""
    found: list[Op] = []
    for rule in compared_with(world, column):
        wanted = world.target.get(rule.address)
        if comes_again(world, rule) or wanted is None:
            continue
        if isinstance(wanted, Key) or (isinstance(wanted, Index) and wanted.unique):
            found += duplicates(world, wanted)
        elif isinstance(wanted, Check | ForeignKey):
            found += broken(world, wanted)
        elif isinstance(wanted, Exclusion):
            found += conflicts(world, wanted)
    return found


def _validated(change: PostgresChange, world: World, checks: list[Check], number: int) -> list[Step]:
    """Those that stay as they are; others are replaced by what they shall be."""
    same = [c for c in checks if world.target.get(c.address) == c]
    if not same:
        return []
    return [
        change.step(
            world,
            number,
            "validate",
            map(validate_statement, same),
            address=same[0].address,
            needs=[has(change.address)],
            gives=[ok(c.address) for c in same],
            phase=Phase.CONTRACT,
            commit_before=True,
            long=True,
        )
    ]


def _named(world: World, checks: Iterable[Check]) -> frozenset[Fact]:
    """A check has one name before its own rename and another after: it goes first."""
    return frozenset(ok(c.address) for c in checks if world.live[c.address].live_name != c.live_name)


def checks_read(world: World, column: Column, judged: TypeChange | None) -> list[Check]:
    """Checks for which the server would read all rows under its lock, though it writes none."""
    if judged is None or judged.rewrites or small(world, column.table):
        return []
    found = [u for u in users(world, column) if isinstance(u, Check) and not unchecked(u) and _stays(world, u)]
    names = {c.address: world.target[c.address].live_name for c in found}
    return [c.replace(live_name=names[c.address]) for c in found]


def indexes_built(world: World, column: Column, judged: TypeChange | None) -> list[PostgresResource]:
    """Indexes and keys that the server builds again under its lock, though it writes no row."""
    if judged is None or judged.rewrites or small(world, column.table):
        return []
    return [u for u in users(world, column) if _stays(world, u) and _built(u, column, judged)]


def _built(rule: PostgresResource, column: Column, judged: TypeChange) -> bool:
    if isinstance(rule, Index | Exclusion):
        if rule.where is not None or any(i.expression for i in rule.columns):
            return True
        return column.name in {i.column for i in rule.columns} and not judged.keeps(rule.method)
    return isinstance(rule, Key) and column.name in rule.columns and not judged.keeps("btree")


def _stays(world: World, rule: Resource) -> bool:
    return rule.address in world.target and not comes_again(world, rule)


def _type_hazards(world: World, before: Column, judged: TypeChange | None) -> list[Hazard]:
    if small(world, before.table):
        return [] if judged is not None and judged.wider else [Hazard.BREAKS_CLIENTS]
    if judged is None:  # a collation: indexes on the column are built again under the same lock
        return [Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES, Hazard.BUILDS_INDEX]
    hazards = []
    if judged.rewrites:
        hazards += [Hazard.REWRITES_TABLE, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]
    elif indexes_built(world, before, judged):
        hazards += [Hazard.BUILDS_INDEX, Hazard.BLOCKS_READS, Hazard.BLOCKS_WRITES]
    if not judged.wider:
        hazards += [Hazard.BREAKS_CLIENTS, *([Hazard.DEPENDS_ON_DATA] if judged.rewrites else [])]
    if judged.loses:
        hazards.append(Hazard.DELETES_DATA)
    return hazards
