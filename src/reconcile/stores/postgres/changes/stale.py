"""What keeps the results of a function that is replaced: the server computes none of it again.

Who declares a function IMMUTABLE promises that its results never change, and CREATE OR REPLACE does not ask
(https://www.postgresql.org/docs/current/xfunc-volatility.html). It may be meant so: the plan says what to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from reconcile.change import World
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    Domain,
    Exclusion,
    Index,
    MaterializedView,
    PostgresResource,
    Routine,
    Table,
)
from reconcile.stores.postgres.sqltext import ident, relation


def stale(world: World, routine: Routine) -> Iterator[str]:
    """A sentence for each object that stays as it is and holds results of `routine`, with what makes them anew."""
    for x in sorted(_users(world, routine), key=lambda x: str(x.address)):
        if world.target.get(x.address) == x and (what_to_do := _renewal(x)) is not None:
            yield f"{x.address} was made with {routine.routine}() as it was; to bring it up to date: {what_to_do}"


def _users(world: World, routine: Routine) -> list[PostgresResource]:
    """What is built on it, also through functions whose body the server has parsed."""
    found: dict[object, PostgresResource] = {}
    todo: list[PostgresResource] = [routine]
    while todo:
        for y in world.dependents(todo.pop().address):
            x = cast(PostgresResource, y)
            if x.address not in found:
                found[x.address] = x
                todo += [x] if isinstance(x, Routine) else []
    return list(found.values())


def _renewal(x: PostgresResource) -> str | None:
    match x:
        case Index():
            return f"REINDEX INDEX CONCURRENTLY {relation(x.address)}"
        case Exclusion():
            return f"REINDEX INDEX {ident(x.address.parts[0], x.address.parts[-1])}"
        case Column(generated=str(), stored=True):
            # it is computed anew only where a column it is made from is written to
            used = next((a for a in x.refers if a.kind == "column"), None)
            name = ident(used.parts[-1]) if used is not None else "a column"
            return f"UPDATE {relation(x.table)} SET {name} = {name}"
        case MaterializedView():
            return f"REFRESH MATERIALIZED VIEW {relation(x.address)}"
        case Check():
            return f"count the rows that break it: SELECT count(*) FROM {relation(x.table)} WHERE NOT ({x.expression})"
        case Domain():
            return "look for values that break its checks in the columns of that type"
        case Table():
            return "look for rows that belong to another partition now"
    return None
