"""Partitioned tables against a real server: equality, import, what is left alone, what is named, broken-off work."""

from __future__ import annotations

import psycopg
import pytest
from tests.stores.postgres.reading import Store, different
from tests.stores.postgres.writing import Database, sql

from reconcile.change import Sql, Timeouts
from reconcile.diff import Options, diff
from reconcile.errors import PlanError
from reconcile.policy import Policy
from reconcile.stores.postgres import PACKAGE
from reconcile.stores.postgres.resources import Table

TREE = """
store: app
tables:
  events:
    columns: {id: {type: bigint, not_null: true}, at: {type: timestamptz, not_null: true}, kind: text}
    primary_key: [id, at, kind]
    checks: {events_id: id > 0}
    indexes: {events_kind: {columns: [{expression: lower(kind)}]}}
    partition_by: {range: [at]}
    partitions:
      events_2025: {from: ["'2025-01-01'"], to: ["date '2026-01-01'"], indexes: {own: {columns: [kind]}}}
      events_2026:
        from: ["'2026-01-01'"]
        to: [maxvalue]
        partition_by: {list: [kind]}
        partitions: {events_2026_a: {in: ["'a'", "'b'"]}, events_2026_rest: default}
"""


@pytest.fixture
def store(postgres_database: str) -> Store:
    return Store(postgres_database)


def taken_to(store: Store, text: str, prune: str = "all") -> list[str]:
    """Take the database there; the statements. Nothing may be left."""
    result, _, _ = store.canonical(text)
    assert result.problems == ()
    database = Database.at(store.url, schemas=["public"])
    try:
        return sql(database.to(result.state, prune).steps)
    finally:
        database.session.close()


def test_bounds_and_keys_converge_however_they_are_written(store: Store) -> None:
    taken_to(store, TREE)
    result, live, built = store.canonical(TREE)
    assert different(result, live) == {} and built == 1
    _, _, again = store.canonical(TREE, result.learned)
    assert again == 0


def test_import_declares_all_of_a_tree(store: Store) -> None:
    taken_to(store, TREE)
    files = store.imported()
    result, live, built = store.canonical("\n---\n".join(files.values()))
    assert different(result, live) == {} and built == 0
    assert "events_2026_a: {in: [\"'a'\", \"'b'\"]}" in files["tables.yaml"]
    assert "events_2026_rest: default" in files["tables.yaml"]


def test_a_bound_the_server_refuses_is_told_with_its_line(store: Store) -> None:
    result, _, _ = store.canonical(TREE.replace("[maxvalue]", "[\"'2020-01-01'\"]"))
    [problem] = result.problems
    assert "events_2026" in str(problem) and str(problem).startswith("s.yaml:")


@pytest.mark.parametrize("managed", ["listed", "any"])
def test_partitions_nobody_declared(store: Store, managed: str) -> None:
    text = TREE + f"    partitions_managed: {managed}\n"
    taken_to(store, text)
    store.execute("create table made_at_run_time partition of events for values from (minvalue) to ('2025-01-01')")
    result, _, _ = store.canonical(text)
    options = Options(prune="none")
    found = diff(result.state, store.live(), {}, PACKAGE, Policy(), lambda _a, _c: "managed", options)
    extra = [str(x.address) for x in (*found.extra, *found.unmanaged) if isinstance(x, Table)]
    assert extra == (["app.table.public.made_at_run_time"] if managed == "listed" else [])
    assert found.changes == ()


def test_an_index_reaches_partitions_made_at_run_time(store: Store) -> None:
    text = TREE + "    partitions_managed: any\n"
    taken_to(store, text)
    store.execute(
        "create table made_at_run_time partition of events for values from (minvalue) to ('2025-01-01')",
        "insert into events values (1, '2024-02-02', 'a'), (2, '2026-02-02', 'z')",
    )
    more = text.replace("indexes: {events_kind:", "indexes: {events_at: {columns: [at]}, events_kind:")
    statements = taken_to(store, more, prune="none")
    assert any("CONCURRENTLY made_at_run_time_at_idx" in s for s in statements)
    assert store.execute("select indisvalid from pg_index where indexrelid = 'events_at'::regclass") == [(True,)]


def test_a_key_is_built_on_each_partition(store: Store) -> None:
    bare = TREE.replace("    primary_key: [id, at, kind]\n", "").replace(
        "kind: text}", "kind: {type: text, not_null: true}}"
    )
    taken_to(store, bare)
    store.execute("insert into events values (1, '2025-02-02', 'a'), (2, '2026-02-02', 'z')")
    statements = taken_to(store, TREE)
    assert sum("CREATE UNIQUE INDEX CONCURRENTLY" in s for s in statements) == 3
    assert not any("CONCURRENTLY" in s and " ON public.events " in s for s in statements)


def test_rows_of_the_default_partition_are_looked_at_before(store: Store) -> None:
    taken_to(store, TREE)
    store.execute("insert into events values (1, '2026-02-02', 'c')")
    wider = TREE.replace("events_2026_rest: default", "events_2026_c: {in: [\"'c'\"]}, events_2026_rest: default")
    result, _, _ = store.canonical(wider)
    database = Database.at(store.url, schemas=["public"])
    try:
        steps = database.plan(result.state).steps
        [problem] = database.session.preflight(steps)
    finally:
        database.session.close()
    assert "rows of the default partition public.events_2026_rest belong to public.events_2026_c" in str(problem)


def test_a_detach_that_has_lost_its_client_is_gone_on_with(store: Store) -> None:
    taken_to(store, TREE)
    store.execute("insert into events values (1, '2025-02-02', 'a')")
    detach = 'ALTER TABLE "public"."events" DETACH PARTITION "public"."events_2025" CONCURRENTLY'
    with psycopg.connect(store.url) as reader, psycopg.connect(store.url, autocommit=True) as other:
        reader.execute("select * from events_2025")
        other.execute("set statement_timeout = '500ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            other.execute(detach.encode())
        reader.rollback()
    found = {x.name: x for x in store.live().state.of_kind("table")}
    partition = found["events_2025"]
    assert isinstance(partition, Table) and partition.detaching
    with store.session() as session:
        session.run(Sql(detach), Timeouts())  # finalized
        session.run(Sql(detach), Timeouts())  # done already
    found = {x.name: x for x in store.live().state.of_kind("table")}
    table = found["events_2025"]
    assert isinstance(table, Table) and table.partition_of is None


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("alter table events_2025 alter kind set default 'z'", "column.public.events_2025.kind"),
        ("alter table events_2025 alter kind set statistics 5", "column.public.events_2025.kind"),
        ("comment on column events_2025.kind is 'x'", "column.public.events_2025.kind"),
        ("comment on constraint events_id on events_2025 is 'x'", "constraint.public.events_2025.events_id"),
        ("comment on index events_2025_lower_idx is 'x'", "index.public.events_2025_lower_idx"),
        ("alter index events_2025_lower_idx set (fillfactor = 50)", "index.public.events_2025_lower_idx"),
        ("create schema s2; alter table events_2025 set schema s2", "table.public.events"),
        ("alter table only events add constraint u unique (at, kind)", "unique.public.events.u"),
    ],
)
def test_what_a_partition_has_otherwise_is_named(store: Store, statement: str, named: str) -> None:
    taken_to(store, TREE)
    assert store.live().not_modelled == ()
    store.execute(*statement.split("; "))
    assert named in {str(n.address).removeprefix("app.") for n in store.live().not_modelled}


def test_details_of_a_partition_do_not_keep_it_from_being_dropped(store: Store) -> None:
    taken_to(store, TREE)
    store.execute("comment on index events_2025_lower_idx is 'odd'")
    fewer = "\n".join(line for line in TREE.split("\n") if "events_2025:" not in line)

    def pruned(text: str) -> list[str]:
        found = diff(
            store.canonical(text)[0].state,
            store.live(),
            {},
            PACKAGE,
            Policy(),
            lambda _a, _c: "managed",
            Options(prune="all"),
        )
        return [str(c.address) for c in found.changes if c.address.kind == "table"]

    assert pruned(fewer) == ["app.table.public.events_2025"]
    with pytest.raises(PlanError, match="events_2025_lower_idx"):
        pruned(TREE)
