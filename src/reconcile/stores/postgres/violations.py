"""Rows that would break a step, counted before anything is changed. Reads only."""

from __future__ import annotations

import shutil
import time
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
ALTOGETHER = 300
"""Seconds for all queries of a plan: what is left when they are over is not asked."""
_HERE = ("127.0.0.1", "::1")
_SAMPLES = 5
_WIDTH = 40


def violations(
    connection: psycopg.Connection[TupleRow], schemas: Iterable[str], steps: Sequence[Step]
) -> list[Problem]:
    """A problem for each precondition that rows break: how many, a few of them, how to see and to mend them.

    An `Unchecked` where the query could not be answered: too slow, no privilege, or it needs what the plan makes.
    """
    problems: list[Problem] = []
    paths, until = tuple(schemas), time.monotonic() + ALTOGETHER
    asked: set[str] = set()
    for step in steps:
        for call in step.preconditions:
            if isinstance(call, Op) and call.op == "no_rows":
                if step.asked_after:
                    continue
                if (sql := str(call.args["sql"])) in asked:  # a check that changes with the type of its column
                    continue
                asked.add(sql)
                problems += _ask(connection, paths, step, call, min(SECONDS, until - time.monotonic()))
            elif isinstance(call, Op) and call.op == "free_disk":
                problems += _free_disk(connection, step, int(call.args["bytes"]))
    return problems


def _free_disk(connection: psycopg.Connection[TupleRow], step: Step, wanted: int) -> Iterable[Problem]:
    """PostgreSQL cannot tell; where its data folder is on this machine, the file system can."""
    free = None
    if (connection.info.hostaddr or connection.info.host or "/")[0] == "/" or connection.info.hostaddr in _HERE:
        try:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
            free = None if row is None else shutil.disk_usage(row[0]).free
        except (errors.InsufficientPrivilege, OSError):
            free = None
    need = f"`build: {{min_free_disk}}` asks for {wanted / 2**30:.1f} GiB"
    if free is None:
        yield Unchecked(f"not checked before: {need}, and the server cannot tell", where=str(step.address))
    elif free < wanted:
        yield Problem(
            f"{need}, {free / 2**30:.1f} GiB are free where the data is",
            where=str(step.address),
            hint="make room, or lower min_free_disk",
        )


def _ask(
    connection: psycopg.Connection[TupleRow], schemas: tuple[str, ...], step: Step, call: Op, seconds: float
) -> Iterable[Problem]:
    sql, what = str(call.args["sql"]), str(call.args["what"])
    if seconds <= 0:
        why = f"the queries before it took {ALTOGETHER} s"
        yield Unchecked(f"not checked before: {what}: {why}", where=str(step.address), hint=f"to check it: {sql}")
        return
    try:
        with connection.transaction():
            connection.execute(
                "SET TRANSACTION READ ONLY; SET LOCAL lock_timeout = '2s';"
                f" SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"
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
        why = f"it took more than {seconds:.0f} s" if slow else str(error.diag.message_primary or error)
        yield Unchecked(f"not checked before: {what}: {why}", where=str(step.address), hint=f"to check it: {sql}")
        return
    if rows:
        unit = str(call.args["unit"])
        count = f"{LIMIT}+ {unit}s" if len(rows) > LIMIT else f"{len(rows)} {unit}{'s' if len(rows) > 1 else ''}"
        sample = "; ".join(row_shown(names, row) for row in rows[:_SAMPLES])
        yield Problem(
            f"{what}: {count} ({sample}{'; …' if len(rows) > _SAMPLES else ''})",
            where=str(step.address),
            hint=f"to see {'it' if len(rows) == 1 else 'them'}:\n    {sql}\n  to fix: {call.args['fix']}",
        )


def row_shown(names: Sequence[str], row: Sequence[Any]) -> str:
    """`id = 17, name = 'a'`, values cut to what a line holds."""
    return ", ".join(
        f"{value} times" if name == "times" else f"{name} = {_value(value)}"
        for name, value in zip(names, row, strict=True)
    )


def _value(value: Any) -> str:
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
