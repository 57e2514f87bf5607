"""Rows that would break a step, counted before anything is changed. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from reconcile.change import Op, Step
from reconcile.errors import Problem, Unchecked
from reconcile.stores.postgres.introspect import settle

LIMIT = 1000
"""Rows counted; more are "1000+"."""
SECONDS = 30
"""How long one query may take; then it is said that it was not checked, and the step decides."""
_SAMPLES = 5
_WIDTH = 40


def violations(
    connection: psycopg.Connection[TupleRow], schemas: Iterable[str], steps: Sequence[Step]
) -> list[Problem]:
    """A problem for each precondition that rows break: how many, a few of them, how to see and to mend them.

    An `Unchecked` where the query could not be answered: too slow, no privilege, or it needs what the plan makes.
    """
    problems: list[Problem] = []
    paths = tuple(schemas)
    for step in steps:
        for call in step.preconditions:
            if isinstance(call, Op) and call.op == "no_rows":
                problems += _ask(connection, paths, step, call)
    return problems


def _ask(connection: psycopg.Connection[TupleRow], schemas: tuple[str, ...], step: Step, call: Op) -> Iterable[Problem]:
    sql, what = str(call.args["sql"]), str(call.args["what"])
    try:
        with connection.transaction():
            connection.execute(
                f"SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '{SECONDS}s'"
            )
            settle(connection, schemas)
            cursor = connection.execute(f"SELECT * FROM (\n{sql}\n) broken LIMIT {LIMIT + 1}".encode())
            rows, names = cursor.fetchall(), [c.name for c in cursor.description or ()]
    except (errors.ConnectionException, errors.AdminShutdown):
        raise
    except psycopg.Error as error:
        if connection.closed:
            raise
        slow = isinstance(error, errors.QueryCanceled)
        why = f"it took more than {SECONDS} s" if slow else str(error.diag.message_primary or error)
        yield Unchecked(f"not checked before: {what}: {why}", where=str(step.address), hint=f"to check it: {sql}")
        return
    if rows:
        unit = str(call.args["unit"])
        count = f"{LIMIT}+ {unit}s" if len(rows) > LIMIT else f"{len(rows)} {unit}{'s' if len(rows) > 1 else ''}"
        sample = "; ".join(_row(names, row) for row in rows[:_SAMPLES])
        yield Problem(
            f"{what}: {count} ({sample}{'; …' if len(rows) > _SAMPLES else ''})",
            where=str(step.address),
            hint=f"to see {'it' if len(rows) == 1 else 'them'}:\n    {sql}\n  to fix: {call.args['fix']}",
        )


def _row(names: Sequence[str], row: Sequence[Any]) -> str:
    return ", ".join(
        f"{value} times" if name == "times" else f"{name} = {_value(value)}"
        for name, value in zip(names, row, strict=True)
    )


def _value(value: Any) -> str:
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
