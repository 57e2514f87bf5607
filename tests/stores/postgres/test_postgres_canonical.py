"""Declared spellings against the server's: they meet, by the cheapest way, and nothing is left behind."""

# ruff: noqa: E501 - one case a line
from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from tests.stores.postgres.reading import Store, different

from reconcile.stores.postgres.sqltokens import faithful

pytestmark = pytest.mark.older

HEAD = """
store: app
schemas: {audit: , Odd: }
extensions: {vector: {}}
enums: {job_state: [queued, done], audit.kind: [a, b], UserRole: [x, y], order: [a]}
sequences: {no: {}, audit.no2: {}}
"""

TABLES = (
    HEAD
    + r"""
tables:
  t:
    columns:
      id: {type: int8, identity: always}
      a: {type: varchar(10), default: "'draft'"}
      b: {type: text, default: "'it''s'"}
      b2: {type: text, default: "E'a\\nb'"}
      c: {type: "text[]", default: "'{}'"}
      c2: {type: "text[]", default: "array['a','b']"}
      c3: {type: "int[]", default: "'{1,2}'::int[]"}
      d: {type: timestamptz, default: CURRENT_TIMESTAMP}
      d2: {type: timestamptz, default: "now() at time zone 'utc'"}
      d3: {type: timestamptz, default: "'2026-01-01 00:00:00+02'"}
      d4: {type: date, default: "now()::date"}
      e: {type: interval, default: "'1 day 2 hours'"}
      e2: {type: "interval day to second(3)", default: "interval '90 minutes'"}
      f: {type: "numeric(10, 2)", default: 1.10}
      f2: {type: float8, default: 1e3}
      f3: {type: int, default: -1}
      f4: {type: int, default: 1 + 2}
      f5: {type: int, default: "NULL::int"}
      g: {type: job_state, default: "'queued'"}
      g2: {type: audit.kind, default: "'a'::audit.kind"}
      g3: {type: UserRole, default: "'x'"}
      g4: {type: "job_state[]", default: "array[]::job_state[]"}
      g5: {type: '"order"', default: "'a'"}
      h: {type: bool, default: true}
      h2: {type: bool, default: "'no'"}
      i: {type: jsonb, default: "'{\"b\":1,  \"a\":2}'"}
      j: {type: int, default: "nextval('no')"}
      j2: {type: int, default: "nextval('audit.no2'::regclass)"}
      k: {type: uuid, default: gen_random_uuid()}
      m: {type: tsvector, generated: "to_tsvector('english', coalesce(a, '') || ' ' || b)"}
      n: {type: text, generated: lower(a), collation: C}
      o: {type: bytea, default: "'\\xDEAD'"}
      p: {type: bit varying(8), default: "b'101'"}
      q: {type: money, default: "'12.50'"}
      v: {embedding: passages}
      userId: int
      select: int
    primary_key: [id]
    unique: {uu: [userId]}
    foreign_keys: {f: {columns: [userId], references: {table: t, columns: [userId]}}}
    checks:
      c1: a in ('x','y')
      c2: b in ('x','y')
      c3: f between 0 and 10
      c4: a like 'x%' or b not like '%y'
      c5: "g <> 'done'"
      c6: "g2 in ('a','b')"
      c7: '"userId" > 0 and "select" is not null'
      c8: "(f3) > ((0))"
      c9: "d > '2020-01-01' and e < interval '1 year'"
      c10: "case when h then a is not null else true end"
      c11: "a ~ '^[a-z]+$' and char_length(b) <= 100"
      c12: "c && array['x'] or 'y' = any(c)"
      c13: extract(year from d) > 2000
      c14: not (h is true)
      c15: "i ? 'a' and i->>'b' = 'x'"
      c16: "g::text = any(array['queued', 'done'])"
      c17: public.t.f3 > 0
    indexes:
      i1: {columns: [{expression: lower(a)}, {column: b, opclass: text_pattern_ops}]}
      i2: {columns: [{expression: "a || b"}], where: "a in ('x','y') and h"}
      i3: {columns: [{expression: "(i->>'a')"}, {column: b, collation: C, order: desc}]}
      i4: {columns: [f3], where: f3 > 0, unique: true}
      i5: {method: gin, columns: [{column: i, opclass: jsonb_path_ops}]}
      i6: {method: hnsw, columns: [v], embedding: passages, with: {m: 16, ef_construction: 64}}
      i7: {method: hnsw, columns: [{expression: "v::halfvec(384)"}], embedding: passages}
      i8: {method: ivfflat, columns: [{expression: "v::vector(384)", opclass: vector_l2_ops}], with: {lists: 10}}
      i9: {method: brin, columns: [{column: d, opclass: timestamptz_minmax_multi_ops, parameters: {values_per_range: 16}}], with: {pages_per_range: 32, autosummarize: on}}
      i10: {columns: [{expression: "date_trunc('day', d at time zone 'utc')"}]}
      i11: {method: gin, columns: [{expression: "to_tsvector('english', b)"}], with: {fastupdate: off}}
      i12: {columns: [{column: a, opclass: varchar_ops}]}
      i13: {method: hnsw, columns: [{expression: "binary_quantize(v)::bit(384)", opclass: bit_hamming_ops}]}
      i14: {columns: [{expression: "coalesce(a, 'x')"}, {column: userId, nulls: first}]}
  audit.t:
    columns: {id: int, state: job_state, k: audit.kind}
    checks: {c: "state = 'done' or k = 'a'", d: "k = any (array['a'::audit.kind])"}
"""
)

VIEWS = """
views:
  v1: {query: "select * from t where id > 1"}
  v2: {query: "select id, count(*) n, a from public.t group by id"}
  v3: {query: "with x as (select * from audit.t) select x.id, t.a from x join t using (id) order by 1"}
  audit.v4: {query: "select n, (select max(id) from audit.t) as m from v2 where a ilike 'x%'"}
  v5: {query: "select a as \\"A b\\", case g when 'done' then 1 else 0 end as s from t where g2 = 'b' union all select 'x', 2"}
  Odd.v6: {query: "select v <=> '[1,2,3]'::vector(3) as distance, u.k from t, \\"audit\\".t u"}
"""


@pytest.fixture
def store(postgres_database: str) -> Store:
    return Store(postgres_database, ("public", "audit", "Odd"))


def snapshot(store: Store) -> list[tuple[object, ...]]:
    return store.execute("select oid, relname, relnamespace from pg_class where oid >= 16384 order by 1")


@pytest.mark.pgvector
def test_every_spelling_meets_the_servers(store: Store) -> None:
    """First on an empty server: then made, read, compared; then from what was learned, without a build."""
    first, _, built = store.canonical(TABLES + VIEWS)
    assert (first.problems, first.unproved, built, snapshot(store)) == ((), (), 1, [])
    store.make(first.state)
    before = snapshot(store)
    second, live, built = store.canonical(TABLES + VIEWS)
    assert (different(second, live), second.problems, second.unproved, built) == ({}, (), (), 1)
    assert snapshot(store) == before
    assert {r.how for r in second.receipts} == {"text", "server"}
    learned = json.loads(json.dumps(second.learned))  # as the ledger keeps it
    third, live, built = store.canonical(TABLES + VIEWS, learned)
    assert (different(third, live), built, third.learned) == ({}, 0, {})
    assert {r.how for r in third.receipts} == {"text", "known"}
    assert third.state == second.state
    assert [x.declared for x in third.state.values()] == [x.declared for x in second.state.values()]


@pytest.mark.pgvector
def test_what_is_spelled_needs_no_second_spelling(store: Store) -> None:
    """Normalising twice is normalising once, and the server's own spelling needs no build."""
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    once, live, _ = store.canonical(TABLES + VIEWS)
    twice, live, built = store.canonical(once.state)
    assert (twice.state, built, different(twice, live)) == (once.state, 0, {})


@pytest.mark.pgvector
def test_import_then_nothing_differs_and_nothing_is_built(store: Store) -> None:
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    files = store.imported()
    assert sorted(files) == [
        "extensions.yaml",
        "tables.yaml",
        "tables_audit.yaml",
        "views.yaml",
        "views_audit.yaml",
        "views_odd.yaml",
    ]
    desired = store.desired(*files.values())
    result, live, built = store.canonical(desired)
    assert (different(result, live), built, result.problems) == ({}, 0, ())
    undeclared = [str(a) for a, x in live.items() if a not in desired and not (x.system or x.only_declared)]
    assert undeclared == []


@pytest.mark.pgvector
def test_an_import_builds_the_same_elsewhere(store: Store, make_postgres_database: object) -> None:
    """What the server wrote is read back as it wrote it, casts of IN lists over varchar included."""
    assert callable(make_postgres_database)
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    live = store.live().state
    other = Store(make_postgres_database(), store.schemas)
    spelled = other.canonical(other.desired(*store.imported().values()))[0]
    assert spelled.problems == ()
    assert {
        str(a): (x.attributes(), live[a].attributes())
        for a, x in spelled.state.items()
        if x != live[a] and a.kind != "extension"
    } == {}


@pytest.mark.pgvector
def test_what_is_made_of_the_server_s_words_is_the_same(store: Store, make_postgres_database: object) -> None:
    """As a rollback makes again what a run dropped."""
    assert callable(make_postgres_database)
    store.make(store.canonical(TABLES)[0].state)
    live = store.live().state
    other = Store(make_postgres_database(), store.schemas)
    other.make(live)
    again = other.live().state
    assert {
        str(a): (x.attributes(), again[a].attributes())
        for a, x in live.items()
        if not x.system and a.kind != "extension" and x != again[a]
    } == {}


@pytest.mark.parametrize(
    "text",
    [
        "(ARRAY['x'::character varying, 'y,]'::character varying])::text[]",
        "a = ANY ((ARRAY['x'::character varying])::text[])",
        "ARRAY[(a)::text, (b)::text]",
        "(ARRAY[1, 2])::bigint[]",
    ],
)
def test_a_cast_array_is_read_as_it_was_written(text: str) -> None:
    assert faithful(faithful(text)) == faithful(text)


@pytest.mark.pgvector
def test_only_what_differs_is_built(store: Store) -> None:
    store.make(store.canonical(TABLES + VIEWS)[0].state)
    learned = store.canonical(TABLES + VIEWS)[0].learned
    changed = TABLES.replace("f between 0 and 10", "f between 0 and 11") + VIEWS
    result, live, built = store.canonical(changed, learned)
    assert (built, len(result.learned)) == (1, 1)
    assert different(result, live) == {
        "app.check.public.t.c3": (
            {"expression": "(f >= (0)::numeric) AND (f <= (11)::numeric)"},
            {"expression": "(f >= (0)::numeric) AND (f <= (10)::numeric)"},
        )
    }


def test_a_new_type_of_a_column_changes_what_is_known_of_its_checks(store: Store) -> None:
    text = "store: app\ntables: {t: {columns: {a: TYPE}, checks: {c: \"a in ('x', 'y')\"}}}"
    varchar = store.canonical(text.replace("TYPE", "varchar"))[0]
    result = store.canonical(text.replace("TYPE", "text"), varchar.learned)[0]
    assert [x.attributes()["expression"] for x in result.state.of_kind("check")] == [
        "a = ANY (ARRAY['x'::text, 'y'::text])"
    ]


@pytest.mark.since(16)
def test_a_view_of_all_columns_follows_the_order_the_table_will_have(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute("create table t (b int, a int)", "create view v as select * from t")
    text = 'store: app\ntables: {t: {columns: {a: int, n: int, b: int}}}\nviews: {v: {query: "select * from t"}}'
    result, _, _ = store.canonical(text)
    view = next(iter(result.state.of_kind("view")))
    assert view.attributes() == {"query": "SELECT b,\n    a,\n    n\n   FROM t"}
    assert getattr(view, "columns", None) == (("b", "integer"), ("a", "integer"), ("n", "integer"))


def test_renamed_tables_and_columns_are_compared_with_what_they_were(postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute("create table was (id int, x text default 'q'::text, constraint c check (id > 0))")
    text = """store: app
tables: {t: {renamed_from: was, columns: {id: int, y: {type: text, renamed_from: x, default: "'q'::text"}}, checks: {c: id > 0}}}"""
    result, _, built = store.canonical(text)
    assert (built, result.problems) == (0, ())


@pytest.mark.pgvector
def test_functions_and_unmodelled_types_in_use_are_the_live_ones(postgres_database: str) -> None:
    store = Store(postgres_database, ("public", "audit"))
    store.execute(
        "create schema audit",
        "create function positive(int) returns bool immutable language sql as 'select $1 > 0'",
        "create function audit.small(int) returns bool immutable language sql as 'select $1 < 9'",
        "create domain email as text",
        "create table parts (id int) partition by range (id)",
    )
    text = """
store: app
tables:
  t: {columns: {a: int, e: {type: email, default: "'x'"}}, checks: {c: "positive(a) and audit.small(a) and public.positive(a)"}}
views:
  v: {query: "select p.id from parts p join t on t.a = p.id"}
"""
    first = store.canonical(text)[0]
    assert first.problems == ()
    store.make(first.state)
    second, live, _ = store.canonical(text)
    assert different(second, live) == {}


@pytest.mark.pgvector
def test_an_extension_that_is_to_be_made_lends_its_types(store: Store) -> None:
    text = "store: app\nextensions: {vector: {}}\ntables: {t: {columns: {v: extensions_are_off}}}".replace(
        "extensions_are_off", "vector(3)"
    )
    result = store.canonical(text + "\nviews: {v: {query: \"select v <-> '[1,2,3]' as d from t\"}}")[0]
    assert (result.problems, store.execute("select extname from pg_extension where extname = 'vector'")) == ((), [])
    assert [x.attributes()["query"] for x in result.state.of_kind("view")] == [
        "SELECT (v <-> '[1,2,3]'::vector) AS d\n   FROM t"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tables: {t: {columns: {a: {type: int, default: \"'x'\"}}}}", 'column public.t.a: PostgreSQL says: invalid input syntax for type integer: "x"'),
        ("tables: {t: {columns: {a: txt}}}", 'column public.t.a: PostgreSQL says: type "txt" does not exist'),
        ("tables: {t: {columns: {a: int}, checks: {c: b > 0}}}", 'check public.t.c: PostgreSQL says: column "b" does not exist'),
        ("tables: {t: {columns: {a: int}, checks: {c: a > nope(1)}}}", "check public.t.c: PostgreSQL says: function nope(integer) does not exist"),
        ("tables: {t: {columns: {a: int, g: {type: text, generated: now()::text}}}}", "column public.t.g: PostgreSQL says: generation expression is not immutable"),
        ("tables: {t: {columns: {a: point}, indexes: {i: {columns: [a]}}}}", 'index public.i: PostgreSQL says: data type point has no default operator class for access method "btree"'),
        ("tables: {t: {columns: {a: int}, indexes: {i: {columns: [a], where: now() > now()}}}}", "index public.i: PostgreSQL says: functions in index predicate must be marked IMMUTABLE"),
        ("tables: {t: {columns: {a: {type: text, collation: nope}}}}", 'column public.t.a: PostgreSQL says: collation "nope" for encoding "UTF8" does not exist'),
        ('views: {v: {query: "select x from nowhere"}}', 'view public.v: PostgreSQL says: relation "nowhere" does not exist'),
        ('views: {v: {query: "selec 1"}}', 'view public.v: PostgreSQL says: syntax error at or near "selec"'),
    ],
)  # fmt: skip
def test_what_the_server_rejects_is_told_with_its_line(postgres_database: str, text: str, problem: str) -> None:
    """And what is right beside it is spelled all the same."""
    store = Store(postgres_database)
    right = "tables: {other: {columns: {a: {type: text, default: \"'x'\"}}}}"
    both = f"store: app\n{text}\n---\nstore: app\n{right}\n"
    result, _, _ = store.canonical(both)
    assert [str(p).split("; ")[0].split(": ", 1)[1] for p in result.problems] == [problem]
    assert str(result.problems[0]).startswith("s.yaml:2:")
    other = next(x for a, x in result.state.items() if str(a) == "app.column.public.other.a")
    assert other.attributes()["default"] == "'x'::text"


def test_what_hangs_on_a_broken_object_is_not_told_as_well(postgres_database: str) -> None:
    store = Store(postgres_database)
    text = 'store: app\ntables: {t: {columns: {a: txt}, checks: {c: a > 0}}}\nviews: {v: {query: "select a from t"}}'
    assert len(store.canonical(text)[0].problems) == 1


def test_no_text_can_end_the_scratch_transaction(postgres_database: str) -> None:
    """The texts here never pass `parse`; a state may also come from elsewhere."""
    store = Store(postgres_database)
    desired = store.desired("store: app\ntables: {t: {columns: {a: int}, checks: {c: a > 0}}}")
    check = next(iter(desired.of_kind("check")))
    evil = desired.add(check.replace(expression="a > 0); commit; create table evil (a int); --"))
    result = store.canonical(evil)[0]
    assert [str(p).split("; ")[0] for p in result.problems] == [
        "s.yaml:2:42: check public.t.c: PostgreSQL says: cannot insert multiple commands into a prepared statement"
    ]
    assert snapshot(store) == []


TWO = "store: app\ntables: {t: {columns: {a: {type: text, default: \"'x'\"}, b: {type: text, default: \"'y'::text\"}}}}"


def unproved(store: Store) -> list[tuple[str, ...]]:
    result, _, _ = store.canonical(TWO)
    assert result.problems == ()
    return [(str(u.address), u.path, u.declared, u.live, u.how) for u in result.unproved]


@pytest.mark.parametrize("enabled", ["enable", "enable replica", "enable always"])
def test_event_triggers_are_never_fired_by_a_plan(enabled: str, postgres_database: str) -> None:
    store = Store(postgres_database)
    store.execute("create table t (a text default 'x', b text default 'y')")
    store.execute(
        "create table log (a text)",
        "create function e() returns event_trigger language plpgsql as 'begin insert into public.log values (tg_tag); end'",
        "create event trigger x on ddl_command_end execute function e()",
        "create event trigger y on ddl_command_end execute function e()",
        f"alter event trigger x {enabled}",
    )
    before = store.execute("select evtname, evtenabled from pg_event_trigger order by 1")
    assert unproved(store) == []
    assert store.execute("select evtname, evtenabled from pg_event_trigger order by 1") == before
    name = postgres_database.rsplit("/", 1)[1]
    store.execute(f"create role r_{name} login", f"grant create on database {name} to r_{name}")
    try:
        limited = Store(postgres_database, settings={"role": f"r_{name}", "equality": "server"})
        reason = "the database has event triggers, which a scratch build by this role would fire"
        assert unproved(limited) == [("app.column.public.t.a", "default", "'x'", "'x'::text", reason)]
    finally:
        store.execute(f"drop owned by r_{name}", f"drop role r_{name}")
    assert store.execute("select * from log where a not in ('GRANT', 'DROP OWNED')") == []


def test_a_database_that_cannot_be_written_proves_nothing(postgres_database: str) -> None:
    store = Store(postgres_database, settings={"equality": "server"})
    store.execute("create table t (a text default 'x', b text default 'y')")
    store.execute(f"alter database {postgres_database.rsplit('/', 1)[1]} set default_transaction_read_only = on")
    reason = "transactions of this role are read-only: nothing can be built there to compare with"
    assert unproved(store) == [("app.column.public.t.a", "default", "'x'", "'x'::text", reason)]


def test_a_role_that_may_not_create_proves_nothing(postgres_database: str) -> None:
    name = postgres_database.rsplit("/", 1)[1]
    store = Store(postgres_database)
    store.execute("create table t (a text default 'x', b text default 'y')", f"create role r_{name} login")
    try:
        limited = Store(postgres_database, settings={"role": f"r_{name}", "equality": "server"})
        reason = "the role may not CREATE in this database: nothing can be built there to compare with"
        assert unproved(limited) == [("app.column.public.t.a", "default", "'x'", "'x'::text", reason)]
    finally:
        store.execute(f"drop role r_{name}")


def test_no_lock_of_a_users_object_is_waited_for(postgres_database: str) -> None:
    """Not even of the table that a foreign key refers to, while somebody writes to it."""
    store = Store(postgres_database)
    store.execute("create table u (id int primary key)", "create table t (a int)")
    text = """store: app
tables:
  u: {columns: {id: int}, primary_key: [id]}
  t: {columns: {a: {type: int, default: "1 + 1"}}, foreign_keys: {f: {columns: [a], references: u}}}
views: {v: {query: "select id from u"}}"""
    with psycopg.connect(postgres_database) as holder:
        holder.execute("lock table u, t in row exclusive mode")
        result, _, _ = store.canonical(text)
        assert (result.problems, result.unproved) == ((), ())
        holder.rollback()


@pytest.mark.pgvector
def test_settings_that_are_left_open_are_filled_in(postgres_database: str) -> None:
    store = Store(postgres_database, settings={"external": ["auth.*"]})
    store.execute(
        "create extension vector",
        "create schema auth",
        "create table auth.users (id int primary key)",
        "create table t (a int references auth.users, b tsvector)",
        "create index i on t using gin (b) with (fastupdate = off)",
        "create view v with (security_barrier) as select 1 as a",
    )
    result, live, built = store.canonical(
        """
store: app
extensions: {vector: }
tables:
  t:
    columns: {a: int, b: tsvector}
    foreign_keys: {t_a_fkey: {columns: [a], references: auth.users}}
    indexes: {i: {method: gin, columns: [b], with: {fastupdate: false}}}
views: {v: {query: "SELECT 1 AS a", with: {security_barrier: on}}}
""".replace("security_barrier: on", "security_barrier: true")
    )
    assert (different(result, live), built) == ({}, 0)


def test_a_view_in_a_file(postgres_database: str, tmp_path: Path) -> None:
    (tmp_path / "v.sql").write_text("select 1 as a;\n")
    store = Store(postgres_database)
    result, _, _ = store.canonical(f"store: app\nviews: {{v: {{file: {tmp_path}/v.sql}}}}")
    assert [x.attributes() for x in result.state.of_kind("view")] == [{"query": "SELECT 1 AS a"}]
