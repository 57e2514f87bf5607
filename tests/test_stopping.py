"""Ctrl-C and SIGTERM while steps run: the run stops at a boundary, or at once when asked twice; --resume goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError
from tests.gated import GATED
from tests.projects import Folder

INDEXES = """
    indexes:
      a_first: {columns: [id, n]}
      b_gated: {columns: [{expression: gated(n)}]}
      c_last: {columns: [n]}
"""
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"


@pytest.fixture
def gate(tmp_path: Path, postgres_database: str) -> Iterator[tuple[Folder, psycopg.Connection[tuple[int]]]]:
    """A plan of three steps; the middle one goes on once this connection lets go of its lock."""
    stores = {"s": {"kind": "postgres", "url": postgres_database}}
    folder = Folder(tmp_path, stores, {"ledger": {"file": "ledger.db"}})
    folder.declare(s=GATED).apply("all")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO items SELECT n, n FROM generate_series(1, 3) n")
        connection.execute("SELECT pg_advisory_lock(7)")
        yield folder.declare(s=GATED + INDEXES), connection


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("signals", "opened", "done", "said"),
    [
        ((signal.SIGTERM,), True, 2, "stopped by SIGTERM, before s.index.public.c_last/1-create"),
        ((signal.SIGINT,), True, 2, "stopped by Ctrl-C, before s.index.public.c_last/1-create"),
        ((signal.SIGINT, signal.SIGTERM), False, 1, "interrupted"),
        ((signal.SIGTERM, None), False, 1, "interrupted"),
    ],
    ids=["SIGTERM", "Ctrl-C", "both", "grace is over"],
)
def test_a_run_that_is_asked_to_stop(
    signals: tuple[signal.Signals | None, ...],
    opened: bool,
    done: int,
    said: str,
    gate: tuple[Folder, psycopg.Connection[tuple[int]]],
) -> None:
    folder, connection = gate
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored in the background of a shell
    try:
        grace = "0.3s" if None in signals else "5min"
        process = folder.start("apply", "--auto-approve", "--allow", "all", "--grace", grace)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        until(lambda: connection.execute(WAITS).fetchone() == (1,))
        shown = folder.command("status").stdout
        assert "1 of 3 steps done" in shown and "under way for " in shown
        assert "s: s.index.public.b_gated/1-create\n        building index" in shown
        for number in signals:
            if number is not None:
                os.kill(process.pid, number)
                time.sleep(0.2)
        if opened:
            assert process.poll() is None, "the step under way goes on"
            connection.execute("SELECT pg_advisory_unlock(7)")
        text, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 3, text
    assert said in text and f"done ({done})" in text and "reconcile apply --resume" in text and "Traceback" not in text
    status = workflow.status(folder.load())
    assert status["lock"] is None and status["unfinished"]["outcome"] == "stopped"
    half = "begun, perhaps half done: s.index.public.b_gated/1-create" in folder.command("status").stdout
    assert half == (not opened)
    if not opened:
        connection.execute("SELECT pg_advisory_unlock(7)")
    assert workflow.resume(folder.load()).steps_done == 3 - done
    assert folder.plan().steps == ()


def test_an_interruption_between_two_groups(gate: tuple[Folder, psycopg.Connection[tuple[int]]]) -> None:
    """Where it comes while nothing runs it says as well what is done."""
    folder, connection = gate
    connection.execute("SELECT pg_advisory_unlock(7)")
    asked = iter([None, KeyboardInterrupt()])

    def stop() -> str | None:
        if (found := next(asked)) is not None:
            raise found
        return None

    with pytest.raises(PartialError, match="stopped part-way: interrupted") as caught:
        workflow.apply(folder.load(), folder.plan(allow=("all",)), stop=stop)
    assert "done (1)" in str(caught.value)
    workflow.resume(folder.load())
    assert folder.plan().steps == ()


def test_before_the_first_step_nothing_is_changed(gate: tuple[Folder, psycopg.Connection[tuple[int]]]) -> None:
    """A group that ends after the signal has come ends; one that has not begun does not begin."""
    folder, _ = gate
    plan = folder.plan(allow=("all",))
    with pytest.raises(ReconcileError, match=r"stopped by SIGTERM, before s.index.*a_first/1-create") as caught:
        workflow.apply(folder.load(), plan, stop=lambda: "SIGTERM")
    assert "nothing was changed" in str(caught.value)
    assert workflow.status(folder.load())["unfinished"] is None
    assert folder.plan(allow=("all",)).steps == plan.steps
