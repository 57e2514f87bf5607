"""What holds a backfill back: load, rates, limits of a run and of a day; and errors that pass, on a real server."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import stores, workflow
from reconcile.apply import Event
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import DONE, Progress
from reconcile.backfills.running import Around, Running
from reconcile.errors import ReconcileError
from reconcile.ledger_file import open_file
from reconcile.model import Address, Json, Source
from reconcile.stores.base import StoreSpec
from reconcile.stores.filling import Batch, Filling, Save, Value
from reconcile.workflow.filling import near_limits
from tests.counting import TABLE, counted
from tests.projects import Folder

PASSING = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id = 120 AND nextval('tries') = 1 THEN RAISE EXCEPTION 'chosen' USING ERRCODE = 'deadlock_detected'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail_once BEFORE UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION fail_once();
"""
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_it_waits_while_the_store_is_busy_and_goes_on_after_errors_that_pass(
    tmp_path: Path, postgres_database: str
) -> None:
    """Sessions begin after its first batch: it waits until they end. Then a deadlock, and a connection that is cut."""
    limits = {"limits": {"active_sessions": 15}}
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database, **limits}})
    folder.declare(app=TABLE).apply()
    said: list[str] = []
    threads: list[threading.Thread] = []
    with psycopg.connect(postgres_database, autocommit=True) as admin:
        admin.execute("INSERT INTO documents SELECT n FROM generate_series(1, 500) n")
        admin.execute(PASSING)

        def watch(event: Event) -> None:
            said.append(f"{event.kind} {event.detail}")
            if event.kind != "progress":
                return
            if not threads:
                threads.extend(threading.Thread(target=sleeping, args=(postgres_database,)) for _ in range(16))
                for thread in threads:
                    thread.start()
                while admin.execute(f"SELECT count(*) {OURS} AND query = 'SELECT pg_sleep(600)'").fetchone() != (16,):
                    pass
            if event.detail.startswith("waits"):
                admin.execute(f"SELECT pg_cancel_backend(pid) {OURS} AND query = 'SELECT pg_sleep(600)'")
                where = "application_name LIKE 'reconcile%' AND application_name <> 'reconcile ledger'"
                admin.execute(f"SELECT pg_terminate_backend(pid) {OURS} AND {where}".encode())

        workflow.apply(folder.declare(app=TABLE + counted("rate: 150")).load(), folder.plan(), watch)
        for thread in threads:
            thread.join()
        assert admin.execute("SELECT n, count(*) FROM documents GROUP BY n").fetchall() == [(1, 500)]
    waits = [line for line in said if line.startswith("progress waits")]
    assert re.match(r"progress waits: \d+ active sessions; the limit is 15", waits[0])
    tried = [line for line in said if line.startswith("progress tried again")]
    assert len(tried) >= 2 and any("chosen" in line for line in tried)
    assert folder.plan().steps == ()


def sleeping(url: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(600)")


@dataclass
class Watched:
    """The work of a backfill whose batches take a second each, by a clock; `begins` is called with each."""

    filling: Filling
    clock: Clock
    begins: Callable[[int], None]
    began: list[float] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.filling, name)

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        self.began.append(self.clock.now)
        self.begins(len(self.began))
        return self.filling.read(after, size, until)

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        self.clock.sleep(1)
        return self.filling.change(batch, values, save)


def test_it_slows_down_near_a_limit_and_recovers(tmp_path: Path, postgres_database: str) -> None:
    """36 sessions of at most 40 are active for three batches: rests between these, and none before or after."""
    settings = {"url": postgres_database, "limits": {"active_sessions": 40}}
    spec = StoreSpec("app", "postgres", settings, Source("x.yaml", 1), tmp_path)
    session, ledger, clock = stores.package("postgres").connect(spec, "p", "e"), open_file(tmp_path / "l.db"), Clock()
    ledger.ensure()
    ledger.lock("r")
    said: list[str] = []
    threads = [threading.Thread(target=sleeping, args=(postgres_database,)) for _ in range(36)]
    with psycopg.connect(postgres_database, autocommit=True) as admin:
        admin.execute("CREATE TABLE documents (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0)")
        admin.execute("INSERT INTO documents SELECT n FROM generate_series(1, 90) n")

        def begins(batch: int) -> None:
            if batch == 3:
                for thread in threads:
                    thread.start()
                while admin.execute(f"SELECT count(*) {OURS} AND query = 'SELECT pg_sleep(600)'").fetchone() != (36,):
                    pass
            if batch == 6:
                admin.execute(f"SELECT pg_cancel_backend(pid) {OURS} AND query = 'SELECT pg_sleep(600)'")
                for thread in threads:
                    thread.join()

        definition = Definition.of(Address("app", "backfill", ("x",)), {**ENTRY, "cost": 0.0})
        filling = Watched(session.filling(definition.wanted), clock, begins)  # type: ignore[attr-defined]
        around = Around(
            ledger,
            tmp_path,
            tell=lambda text, figures: said.append(text),
            load=near_limits([(session, spec)]),
            now=clock,
            sleep=clock.sleep,
        )
        try:
            assert Running(definition, filling, Progress("sha256:x", "r"), around).run().state == DONE
        finally:
            session.close()
            ledger.close()
    took = [round(b - a, 3) for a, b in pairwise(filling.began)]
    assert took[:3] == [1, 1, 1] and took[6:] == [1] * (len(took) - 6)
    assert all(1.8 <= seconds <= 10 for seconds in took[3:5]), took
    assert any(re.search(r"; slowed down to \d+%: 3\d active sessions; the limit is 40", text) for text in said)


class Clock:
    """A clock that goes on while somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


ENTRY: dict[str, Any] = {
    "select": "SELECT id FROM documents WHERE n = 0",
    "key": "id",
    "batch": 10,
    "cost": 0.5,
    "statement": "UPDATE documents SET n = 1 WHERE id = ANY ($keys)",
}


def test_limits_of_runs_and_days_and_rates(tmp_path: Path, postgres_database: str) -> None:
    """Cost of a day: it stops, and goes on when the day is over. Rows of a run: with the next run. A rate is kept."""
    spec = StoreSpec("app", "postgres", {"url": postgres_database}, Source("x.yaml", 1), tmp_path)
    session, ledger, clock = stores.package("postgres").connect(spec, "p", "e"), open_file(tmp_path / "l.db"), Clock()
    ledger.ensure()
    ledger.lock("r")
    progress = Progress("sha256:x", "r")
    around = Around(ledger, tmp_path, session.transient, now=clock, sleep=clock.sleep)

    def run(entry: dict[str, Any]) -> Progress:
        nonlocal progress
        definition = Definition.of(Address("app", "backfill", ("x",)), {**ENTRY, **entry})
        filling = session.filling(definition.wanted)  # type: ignore[attr-defined]
        running = Running(definition, filling, progress, around)
        try:
            return running.run()
        finally:
            progress = running.progress

    try:
        with psycopg.connect(postgres_database, autocommit=True) as admin:
            admin.execute("CREATE TABLE documents (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0)")
            admin.execute("INSERT INTO documents SELECT n FROM generate_series(1, 100) n")

            def done() -> object:
                return admin.execute("SELECT count(*) FROM documents WHERE n = 1").fetchone()

            a_day = {"limits": {"day": {"cost": 12.5}}}
            with pytest.raises(ReconcileError, match=r"its limit of 12\.5 in cost a day is reached: 25 rows are done"):
                run(a_day)
            clock.sleep(3600)
            with pytest.raises(ReconcileError, match="a day is reached: 25 rows"):
                run(a_day)
            clock.sleep(24 * 3600)
            with pytest.raises(ReconcileError, match="a day is reached: 50 rows"):
                run(a_day)
            assert done() == (50,)
            with pytest.raises(ReconcileError, match="its limit of 15 rows a run is reached: 65 rows are done"):
                run({"limits": {"run": {"rows": 15}}})
            began = clock.now
            assert run({"rate": 5}).state == DONE
            assert done() == (100,) and clock.now - began == pytest.approx(35 / 5)
    finally:
        session.close()
        ledger.close()
