"""NOT NULL as a constraint of its own, as PostgreSQL 18 has it: with a name, not valid yet, not inherited, commented.

https://www.postgresql.org/docs/18/sql-altertable.html, ADD table_constraint. Before 18 there is only SET NOT NULL.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.change import Phase, Step, World
from reconcile.facts import Fact, has, ok
from reconcile.hazards import Hazard
from reconcile.stores.postgres.changes.common import PostgresChange
from reconcile.stores.postgres.resources import Column
from reconcile.stores.postgres.sqltables import not_null_calls, not_null_clause, not_null_name
from reconcile.stores.postgres.sqltext import ident, relation


def is_plain(column: Column) -> bool:
    """Whether SET NOT NULL gives it: everything before 18 does."""
    said = (column.not_null_name, column.not_null_comment)
    return column.not_null_valid and not column.not_null_no_inherit and said == (None, None)


def altered_calls(before: Column, after: Column) -> list[str]:
    """Of a column that is and stays NOT NULL: another name, comment, inheritance, or not valid any more."""
    if not (before.not_null and after.not_null):
        return []
    table, calls = f"ALTER TABLE {relation(after.address)}", []
    if before.not_null_valid and not after.not_null_valid:
        calls = [f"{table} ALTER COLUMN {ident(before.name)} DROP NOT NULL"]
        return [*calls, f"{table} ADD {not_null_clause(after)} NOT VALID", *not_null_calls(after)]
    name = not_null_name(before)
    if after.not_null_name is not None and after.not_null_name != name:
        calls.append(f"{table} RENAME CONSTRAINT {ident(name)} TO {ident(after.not_null_name)}")
        name = after.not_null_name
    if before.not_null_no_inherit != after.not_null_no_inherit:
        inherit = "NO INHERIT" if after.not_null_no_inherit else "INHERIT"
        calls.append(f"{table} ALTER CONSTRAINT {ident(name)} {inherit}")
    if before.not_null_comment != after.not_null_comment:
        calls += not_null_calls(after, name)
    return calls


def validate_step(
    change: PostgresChange, world: World, before: Column, after: Column, number: int, needs: frozenset[Fact]
) -> Step:
    """VALIDATE CONSTRAINT in a transaction of its own: rows are read, reads and writes go on."""
    renamed = after.not_null_name if before.not_null and after.not_null_name is not None else None
    name = renamed or not_null_name(before if before.not_null else after)
    return change.step(
        world,
        number,
        "validate",
        [f"ALTER TABLE {relation(after.address)} VALIDATE CONSTRAINT {ident(name)}"],
        needs=needs,
        gives=[has(change.address), ok(change.address)],
        phase=Phase.CONTRACT,
        hazards=[Hazard.DEPENDS_ON_DATA],
        commit_before=True,
        long=True,
    )


def added_steps(
    change: PostgresChange,
    world: World,
    column: Column,
    done: int,
    needs: frozenset[Fact],
    more: Sequence[str] = (),
) -> list[Step]:
    """NOT VALID first, which new rows have to obey at once; then VALIDATE, unless it is declared not valid."""
    gives = [has(change.address), *([] if column.not_null_valid else [ok(change.address)])]
    calls = [
        f"ALTER TABLE {relation(column.address)} ADD {not_null_clause(column)} NOT VALID",
        *not_null_calls(column),
        *more,
    ]
    add = change.step(world, done + 1, "not-null", calls, needs=needs, gives=gives, phase=Phase.CONTRACT)
    if not column.not_null_valid:
        return [add]
    nothing = column.replace(not_null=False)
    assert isinstance(nothing, Column)
    return [add, validate_step(change, world, nothing, column, done + 2, frozenset({has(change.address)}))]
