"""Views and materialized views on a real server: read, kept equal, seen when changed by hand, named if not modelled."""

from __future__ import annotations

import pytest
from tests.stores.postgres.reading import Store, different

SCHEMA = """
create schema audit;
create table sales (id bigint primary key, owner text, net numeric(10,2), at timestamptz);
create sequence numbers;
create materialized view audit."Totals" with (fillfactor = 90, autovacuum_enabled = off, toast.autovacuum_enabled = off)
  as select owner, sum(net) as total from sales group by owner;
create unique index "Totals_key" on audit."Totals" (owner);
create index totals_half on audit."Totals" ((total / 2) desc) include (owner) where total > 0;
comment on materialized view audit."Totals" is 'Sums';
comment on column audit."Totals".total is 'Net';
comment on index audit."Totals_key" is 'Every owner';
create materialized view later as select * from audit."Totals" where total > 10 with no data;
create view top with (security_barrier) as select l.owner, s.id, s.at from audit."Totals" l join sales s using (owner);
create view plain as select id, owner, at from sales where net > 0 with cascaded check option;
alter view plain alter id set default nextval('numbers'), alter owner set default 'nobody';
alter view plain alter at set default now() - interval '1 day';
comment on column plain.id is 'Number';
create materialized view from_view as select id from plain union select id from top;
create index from_view_id on from_view (id);
create recursive view counted (n) as select 1 union all select n + 1 from counted where n < 5;
create view by_key as select id, owner, count(*) from sales group by id;
"""


@pytest.fixture
def store(postgres_database: str) -> Store:
    found = Store(postgres_database, ("public", "audit"))
    found.execute(SCHEMA)
    return found


def test_what_is_imported_is_equal_without_a_build(store: Store) -> None:
    files = store.imported()
    assert sorted(files) == ["extensions.yaml", "tables.yaml", "views.yaml", "views_audit.yaml"]
    assert "with_data: false" in files["views.yaml"] and "with_data" not in files["views_audit.yaml"]
    result, live, built = store.canonical(store.desired(*files.values()))
    assert (different(result, live), built, result.problems) == ({}, 0, ())


DECLARED = """
store: app
schemas: {audit: {}}
sequences: {numbers: {}}
tables:
  sales: {columns: {id: bigint, owner: text, net: "numeric(10,2)", at: timestamptz}, primary_key: [id]}
materialized_views:
  audit.Totals:
    query: select sales.owner, SUM(net) total from public.sales group by 1
    with: {fillfactor: 90, autovacuum_enabled: false, toast.autovacuum_enabled: "off"}
    comment: Sums
    columns: {total: {comment: Net}}
    indexes:
      Totals_key: {columns: [owner], unique: true, comment: Every owner}
      totals_half: {columns: [{expression: total/2, order: desc}], include: [owner], where: total > 0}
  later: {query: select * from audit."Totals" where total > 10}
  from_view: {query: (select id from plain) union (select id from top), indexes: {from_view_id: {columns: [id]}}}
views:
  top:
    query: select l.owner, s.id, s.at from audit."Totals" as l inner join sales as s using (owner)
    with: {security_barrier: true}
  plain:
    query: select id, owner, at from sales where net > 0
    check_option: cascaded
    columns:
      id: {comment: Number, default: "nextval('numbers')"}
      owner: {default: "'nobody'"}
      at: {default: now() - '24:00'::interval day}
  counted:
    query: with recursive counted(n) as (select 1 union all select n + 1 from counted where n < 5) select n from counted
  by_key: {query: "select id, owner, count(*) from sales group by id"}
"""


def test_spellings_of_people_are_equal(store: Store) -> None:
    declared = DECLARED.replace("now() - '24:00'::interval day", "now()-interval '1 day'")
    result, live, built = store.canonical(declared)
    assert (different(result, live), result.problems, result.unproved, built) == ({}, (), (), 1)
    again, live, built = store.canonical(declared, result.learned)
    assert (different(again, live), built) == ({}, 0)


@pytest.mark.parametrize(
    "statement",
    [
        'alter materialized view audit."Totals" set (fillfactor = 80)',
        'alter materialized view audit."Totals" reset (toast.autovacuum_enabled)',
        "comment on materialized view later is 'x'",
        "comment on column later.total is 'x'",
        'comment on index audit."Totals_key" is null',
        'drop index audit."Totals_key"',
        "alter index audit.totals_half set (fillfactor = 50)",
        "alter view top reset (security_barrier)",
        "alter view plain set (check_option = local)",
        "alter view plain alter id drop default",
        "alter view plain alter at set default now()",
        "comment on column plain.id is 'x'",
        "comment on column plain.at is 'x'",
        "create or replace view counted as select 1 as n",
    ],
)
def test_changes_by_hand_are_seen(store: Store, statement: str) -> None:
    files = store.imported()
    store.execute(statement)
    result, live, _ = store.canonical(store.desired(*files.values()))
    assert len(different(result, live)) == 1


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("alter materialized view later alter owner set statistics 7", "column settings (owner)"),
        ("alter materialized view later alter owner set (n_distinct = 7)", "column settings (owner)"),
        ("alter materialized view later alter owner set storage external", "column settings (owner)"),
        ("alter materialized view later alter owner set compression pglz", "column settings (owner)"),
        ("alter materialized view from_view cluster on from_view_id", "CLUSTER ON an index"),
        ("create rule r as on insert to top do instead nothing", "rule"),
        ("create statistics st on owner, total from later", "extended statistics"),
    ],
)
def test_what_is_not_modelled_is_named(store: Store, statement: str, named: str) -> None:
    store.execute(statement)
    found = [n.what for n in store.live().not_modelled]
    assert found[0] == named and all(named in what for what in found)


def test_a_view_of_everything_shows_columns_added_later(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute("create table a (id bigint); create view v as select * from a; alter table a add more text")
    text = "{store: app, tables: {a: {columns: {id: bigint, more: text}}}, views: {v: {query: select * from a}}}"
    result, live, _ = store.canonical(text)
    assert list(different(result, live)) == ["app.view.public.v"]
