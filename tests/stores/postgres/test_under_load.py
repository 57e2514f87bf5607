"""Tables that are worked on while they change: no statement of anybody fails or waits longer than the lock timeout.

The clients have a `lock_timeout` of their own, as long as the store's default: the server cancels a statement that
waits longer for a lock, and that is an error. How long they really waited is what `bench/load.py` prints.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow
from tests.projects import Folder
from tests.stores.postgres.load import Load
from tests.stores.postgres.strategies import STRATEGIES, Strategy, items, parents, reads, rows_sql, writes

from reconcile import workflow
from reconcile.apply import Event
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres.session import PostgresSession

DEFAULT = "2s"
"""`lock_timeout` of a store that has none of its own."""
TOOL, CLIENTS = "1s", "5s"
"""Where a step has to give up: several times one after another a client may wait."""


def folder(path: Path, url: str, before: str, lock_timeout: str = TOOL) -> Folder:
    """A project whose tables are there and filled."""
    found = Folder(path, {"app": {"kind": "postgres", "url": url, "lock_timeout": lock_timeout}})
    found.declare(app=before).apply("all")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(rows_sql().encode())
    return found


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(
            s,
            id=s.name,
            marks=[pytest.mark.since(s.since), *([pytest.mark.pgvector] if "vector" in s.before else [])],
        )
        for s in STRATEGIES
    ],
)
def test_clients_go_on_while_the_table_changes(strategy: Strategy, tmp_path: Path, postgres_database: str) -> None:
    project = folder(tmp_path, postgres_database, strategy.before, DEFAULT)
    if strategy.setup:
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            connection.execute(strategy.setup.encode())
    project.declare(app=strategy.after)
    with Load(postgres_database, (writes, writes, reads, *strategy.work), DEFAULT) as load:
        outcome = project.apply("all")
    assert outcome.steps_done
    assert load.errors == []
    assert all(len(met.seconds) > 1 for met in load.met), "every client worked all the time"


def test_a_step_behind_a_long_transaction_gives_up_and_tries_again(tmp_path: Path, postgres_database: str) -> None:
    project = folder(tmp_path, postgres_database, items()).declare(app=items(extra="text"))
    plan = project.plan(allow=("all",))
    retries: list[str] = []
    with psycopg.connect(postgres_database) as reader:
        reader.execute("SELECT count(*) FROM items")  # holds its lock until the transaction ends

        def on_event(event: Event) -> None:
            if event.kind == "retry":
                retries.append(event.detail)
                if len(retries) == 2:
                    reader.rollback()

        with Load(postgres_database, (writes, writes, reads), CLIENTS) as load:
            workflow.apply(project.load(), plan, on_event)
    assert len(retries) >= 2 and all("lock" in r for r in retries)
    assert load.errors == [], "they stood behind it no longer than its lock timeout, each time"


def test_locks_waited_for_in_one_transaction_add_up_to_no_more_than_one_timeout(
    tmp_path: Path, postgres_database: str
) -> None:
    """Who waits behind the first table must not wait for the locks on all the others."""
    project = folder(tmp_path, postgres_database, items())
    project.declare(app=items(extra="text").replace("label: text}", "label: text, extra: text}"))
    plan = project.plan(allow=("all",))
    group = {s.group for s in plan.steps}
    assert len(group) == 1, "both columns are added in one transaction"
    released = threading.Event()
    with psycopg.connect(postgres_database) as one, psycopg.connect(postgres_database) as two:
        one.execute("SELECT count(*) FROM items")
        two.execute("SELECT count(*) FROM parents")

        def on_event(event: Event) -> None:
            if event.kind == "retry" and not released.is_set():
                released.set()
                one.rollback()
                two.rollback()

        with Load(postgres_database, (writes, reads, parents), CLIENTS) as load:
            workflow.apply(project.load(), plan, on_event)
    assert released.is_set() and load.errors == []


class Watching(PostgresSession):
    """Notes which relations of the scope a scratch build has locked, and how."""

    def __init__(self, spec: StoreSpec) -> None:
        super().__init__(spec, "tests", "default")
        self.locks: list[tuple[str, str]] = []
        self.built = 0

    @contextmanager
    def scratch(self, *, lent: bool = False) -> Iterator[psycopg.Connection[TupleRow]]:
        with super().scratch(lent=lent) as connection:
            yield connection
            self.built += 1
            self.locks += connection.execute(
                "SELECT relation::regclass::text, mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                " WHERE pid = pg_backend_pid() AND c.relnamespace = 'public'::regnamespace"
            ).fetchall()


def test_a_plan_waits_for_no_writer_and_locks_nothing_of_theirs(tmp_path: Path, postgres_database: str) -> None:
    """The desired state is built in a scratch schema while every table is locked against all but readers."""
    project = folder(tmp_path, postgres_database, items(rest=VIEW))
    project.declare(
        app=items(
            table="checks: {items_kind_check: \"kind between 0 and 100 or code in ('a', 'b')\"}\n"
            'indexes: {items_lower: {columns: [{expression: lower(name)}], where: "size in (1, 2)"}}\n'
            "foreign_keys: {items_parent_fkey: {columns: [parent_id], references: parents}}",
            rest=VIEW.replace("100", "200"),
            size="{type: bigint, default: 1 + 1}",
        )
    )
    with psycopg.connect(postgres_database) as writer:
        writer.execute("UPDATE items SET kind = 1 WHERE id = 1")
        writer.execute("LOCK TABLE items, parents, small IN EXCLUSIVE MODE")
        loaded = project.load()
        session = Watching(loaded.stores["app"])
        try:
            live = session.introspect()
            found = session.canonical(loaded.desired(), live, {})
        finally:
            session.close()
        assert project.plan().steps
    assert session.built == 1 and not found.unproved and not found.problems
    assert session.locks == []


VIEW = 'views: {small: {query: "select id, kind from items where size < 100"}}'
