"""A function is replaced: the plan names what keeps its results, and what it says to run renews them."""

from __future__ import annotations

from pathlib import Path

import psycopg
from tests.projects import Folder

BEFORE = """
functions:
  norm(text): {definition: "create function norm(t text) returns text immutable language sql as 'select lower(t)'"}
  twice(text): {definition: "create function twice(t text) returns text immutable return norm(t) || norm(t)"}
  other(text): {definition: "create function other(t text) returns text immutable cost 5 return t"}
tables:
  t:
    columns:
      a: text
      low: {type: text, generated: norm(a)}
      double: {type: text, generated: twice(a)}
    checks: {c: "norm(a) <> 'X'"}
    indexes:
      i: {columns: [{expression: norm(a)}]}
      j: {columns: [{expression: other(a)}]}
views: {v: {query: "select norm(a) as a from t"}}
materialized_views: {m: {query: "select norm(a) as a from t"}}
"""


def test_what_keeps_old_results_is_named(tmp_path: Path, postgres_database: str) -> None:
    project = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    project.declare(app=BEFORE).apply("all")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("insert into t (a) values ('x'), ('y'); refresh materialized view m")
        project.declare(app=BEFORE.replace("select lower(t)", "select upper(t)").replace("cost 5", "cost 6"))
        plan = project.plan(allow=("all",))
        said = {n.split(" ")[0]: n.partition("; to bring it up to date: ")[2] for n in plan.observed["notes"]}
        assert said == {
            "app.check.public.t.c": 'count the rows that break it: SELECT count(*) FROM "public"."t"'
            " WHERE NOT (norm(a) <> 'X'::text)",
            "app.column.public.t.double": 'UPDATE "public"."t" SET "a" = "a"',
            "app.column.public.t.low": 'UPDATE "public"."t" SET "a" = "a"',
            "app.index.public.i": 'REINDEX INDEX CONCURRENTLY "public"."i"',
            "app.materialized_view.public.m": 'REFRESH MATERIALIZED VIEW "public"."m"',
        }
        assert plan.observed["notes"][3].startswith(
            "app.index.public.i was made with norm() as it was; to bring it up to date: "
        )
        project.apply("all")
        assert project.plan().steps == ()
        found = "select low, double, (select count(*) from m where a = 'Y') from t where a = 'y'"
        assert connection.execute(found.encode()).fetchone() == ("y", "yy", 0)
        broken = said.pop("app.check.public.t.c").partition(": ")[2]
        assert connection.execute(broken.encode()).fetchone() == (1,)
        connection.execute("delete from t where a = 'x'")
        for statement in said.values():
            connection.execute(statement.encode())
        assert connection.execute(found.encode()).fetchone() == ("Y", "YY", 1)
