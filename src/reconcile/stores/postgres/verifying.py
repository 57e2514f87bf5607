"""Rows that disagree with what is declared although the server lets them be. Reads only.

A check or foreign key that is NOT VALID or NOT ENFORCED says nothing of rows that are there, and a vector column
without a size takes vectors of any. https://www.postgresql.org/docs/current/sql-createtable.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg import errors, sql

from reconcile.change import Op, World
from reconcile.findings import Finding, NotRun, Rule, Verified
from reconcile.model import Resource, State
from reconcile.stores.postgres.changes.preconditions import failing, live_column, no_rows, nulls, orphans, shown
from reconcile.stores.postgres.introspect import settle
from reconcile.stores.postgres.resources import Check, Column, Domain, ForeignKey
from reconcile.stores.postgres.sqltext import literal, relation
from reconcile.stores.postgres.violations import row_shown

SECONDS = 1800
"""How long counting the rows of one rule may take; then it is said that there may be more, or that it was not run."""
_CURSOR = "reconcile_verify"
_INPUT_IS_VALID = (16,)
"""pg_input_is_valid(), which asks all checks of a domain, came with PostgreSQL 16."""
_VECTOR = re.compile(r"(?:.*\.)?\"?(vector|halfvec)\"?(?:\((\d+)\))?\Z")


def verify(
    connection: psycopg.Connection[Any], schemas: Iterable[str], world: World, desired: State, sample: int
) -> Verified:
    """A finding for each declared rule that rows break.

    Args:
        world: live is what is there now, target the same.
        sample: how many keys of rows to show of each.
    """
    paths, found = tuple(schemas), list[Finding | NotRun]()
    for resource in desired.values():
        live = world.live.get(resource.address)
        for rule, asked in _asked(world, resource, live):
            finding = _look(connection, paths, resource, rule, asked, sample)
            found += [finding] if finding is not None else []
    return Verified.of(found)


def _asked(world: World, declared: Resource, live: Resource | None) -> Iterator[tuple[Rule, Op]]:
    """What to ask about a declared object, and what kind of finding an answer is."""
    if isinstance(live, Check) and (live.not_valid or not live.enforced):
        what = f"{live.expression} does not hold in {_plain(live)}"
        yield Rule.CONSTRAINT, no_rows(failing(world, live), what, "change or delete these rows, then validate it")
    elif isinstance(live, ForeignKey) and (live.not_valid or not live.enforced):
        yield from ((Rule.CONSTRAINT, op) for op in orphans(world, live))
    elif isinstance(live, Domain) and any(check.not_valid for check in live.checks):
        yield from ((Rule.CONSTRAINT, op) for op in _of_domain(world, live))
    elif isinstance(declared, Column) and isinstance(live, Column):
        if live.not_null and not live.not_null_valid:
            yield from ((Rule.CONSTRAINT, op) for op in nulls(world, [live.address]))
        yield from _sizes(world, declared, live)


def _of_domain(world: World, domain: Domain) -> Iterator[Op]:
    """Values that a domain would not take now, column by column; of arrays and composites of it nothing is asked."""
    if world.server.numbers < _INPUT_IS_VALID:
        return
    for column in world.live.values():
        if not isinstance(column, Column) or domain.address not in column.refers or column.type.endswith("[]"):
            continue
        name, type_ = live_column(world, column.address), literal(relation(domain.address))
        query = f"SELECT {shown(world, column.table)} FROM {relation(column.table)} WHERE {name} IS NOT NULL"
        query += f" AND NOT pg_input_is_valid({name}::text, {type_})"
        what = (
            f"{column.address.parts[-1]} of {_plain(column)} breaks a check of domain {'.'.join(domain.address.parts)}"
        )
        yield no_rows(query, what, "change these values, then validate the check")


def _sizes(world: World, declared: Column, live: Column) -> Iterator[tuple[Rule, Op]]:
    """Vectors of another size than declared, where the column lets them in."""
    wanted, there = _VECTOR.match(declared.type), _VECTOR.match(live.type)
    if wanted is None or there is None or wanted[2] is None or there[2] == wanted[2]:
        return
    name = live_column(world, live.address)
    query = f"SELECT {shown(world, live.table)} FROM {relation(live.table)} WHERE vector_dims({name}) <> {wanted[2]}"
    contract = f" of embedding {declared.embedding}" if declared.embedding else ""
    what = f"{live.address.parts[-1]} of {_plain(live)} does not have the {wanted[2]} dimensions{contract}"
    yield Rule.VECTOR, no_rows(query, what, "embed these rows again, or declare the size they have")


def _plain(resource: Check | Column) -> str:
    return ".".join(resource.table.parts)


def _look(
    connection: psycopg.Connection[Any],
    path: tuple[str, ...],
    declared: Resource,
    rule: Rule,
    asked: Op,
    sample: int,
) -> Finding | NotRun | None:
    """All of its rows counted by the server, a few of them fetched; None where there are none."""
    query, what = str(asked.args["sql"]), f"rows: {asked.args['what']}"
    rows, names, count, bounded = list[Any](), list[str](), 0, False
    try:
        with connection.transaction():
            connection.execute(
                f"SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '{SECONDS}s'"
            )
            settle(connection, path)
            with connection.cursor(name=_CURSOR) as cursor:
                cursor.execute(query.encode())
                rows = cursor.fetchmany(max(sample, 1))
                names, count = [c.name for c in cursor.description or ()], len(rows)
                if rows:
                    moved = connection.execute(sql.SQL("MOVE FORWARD ALL FROM {}").format(sql.Identifier(_CURSOR)))
                    count += moved.rowcount
    except (errors.QueryCanceled, errors.LockNotAvailable) as error:
        if not rows:
            why = error.diag.message_primary or str(error)
            return NotRun(declared.address, f"whether {asked.args['what']}", why, declared.source)
        bounded = True
    if not count:
        return None
    shown_rows = tuple(row_shown(names, row) for row in rows[:sample])
    fix = str(asked.args["fix"])
    return Finding(declared.address, rule, what, count, shown_rows, query, declared.source, fix, bounded)
