"""What `verify` finds in PostgreSQL: rules that the server does not hold rows to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.projects import Folder

from reconcile import workflow
from reconcile.stores.base import Verifies
from reconcile.stores.postgres import verifying
from reconcile.survey import reading


@pytest.fixture
def folder(tmp_path: Path, make_postgres_database: Callable[[], str]) -> Folder:
    return Folder(tmp_path, {"app": {"kind": "postgres", "url": make_postgres_database()}})


def sql(folder: Folder, statement: str) -> None:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        connection.execute(statement.encode())


def found(folder: Folder, sample: int = 10) -> list[tuple[str, str, int, list[str]]]:
    report = workflow.verify(folder.load(), sample=sample)
    return [(f["address"], f["what"], f["count"], f["sample"]) for f in report["findings"]]


@pytest.mark.since(16)
def test_checks_of_a_domain(folder: Folder) -> None:
    """A check that was added NOT VALID says nothing of values that are there."""
    folder.declare(
        app="domains: {size: {type: integer, checks: {positive: {expression: value > 0, not_valid: true}}}}\n"
        "tables: {t: {columns: {id: {type: bigint, not_null: true}, n: size}, primary_key: [id]}}"
    )
    sql(folder, "CREATE DOMAIN size AS integer; CREATE TABLE t (id bigint PRIMARY KEY, n size)")
    sql(folder, "INSERT INTO t VALUES (1, 1), (2, -1), (3, NULL)")
    folder.apply()
    assert found(folder) == [
        ("app.domain.public.size", "rows: n of public.t breaks a check of domain public.size", 1, ["id = 2"])
    ]


def test_quoted_names_no_key_and_parts_of_a_key(folder: Folder) -> None:
    """Names with blanks, dots and quotes; a row without a key by its place; of two columns, both."""
    folder.declare(
        app="tables:\n"
        "  '\"a.b\"':\n"
        "    columns: {'x \"y': integer}\n"
        "    checks: {'c d': {expression: '\"x \"\"y\" > 0', not_valid: true}}\n"
        "  k:\n"
        "    columns: {a: integer, b: text, secret: text}\n"
        "    primary_key: [a, b]\n"
        "    checks: {no: {expression: a > 0, not_valid: true}}\n"
    )
    sql(folder, """CREATE TABLE "a.b" ("x ""y" integer); INSERT INTO "a.b" VALUES (0), (1), (NULL)""")
    sql(folder, "CREATE TABLE k (a integer, b text, secret text, PRIMARY KEY (a, b))")
    sql(folder, "INSERT INTO k VALUES (0, 'p', 's')")
    folder.apply()
    assert found(folder) == [
        ('app.check.public."a.b"."c d"', 'rows: "x ""y" > 0 does not hold in public.a.b', 1, ["ctid = '(0,1)'"]),
        ("app.check.public.k.no", "rows: a > 0 does not hold in public.k", 1, ["a = 0, b = 'p'"]),
    ]  # fmt: skip


def test_what_takes_too_long_is_said(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a clean report: exit 2, and why."""
    folder.declare(
        app="tables: {t: {columns: {id: integer}, checks: {slow: {expression: 'length(pg_sleep(2)::text) > 9', "
        "not_valid: true}}}}"
    )
    sql(folder, "CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    sql(folder, "ALTER TABLE t ADD CONSTRAINT slow CHECK (length(pg_sleep(2)::text) > 9) NOT VALID")
    folder.apply()
    monkeypatch.setattr(verifying, "SECONDS", 1)
    report = workflow.verify(folder.load())
    (query,) = report["not_looked_at"]
    assert (report["findings"], report["clean"]) == ([], False)
    assert query["address"] == "app.check.public.t.slow"
    assert query["what"].startswith("whether length((pg_sleep")
    assert "statement timeout" in query["why"]


def test_a_role_that_row_level_security_hides_rows_from_is_told(folder: Folder) -> None:
    """What cannot be seen is not missing: the side is not compared, instead of compared with a part."""
    folder.settings["mirrors"] = {"t": [{"store": "app", "table": "t"}, {"store": "app", "table": "u"}]}
    folder.declare(
        app="tables:\n"
        "  t: {columns: {id: bigint}, primary_key: [id], row_level_security: enabled}\n"
        "  u: {columns: {id: bigint}, primary_key: [id]}\n"
    ).apply()
    sql(folder, "INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)")
    assert found(folder) == []
    sql(folder, "DO $$ BEGIN CREATE ROLE reconcile_hidden LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    url = folder.stores["app"]["url"]
    password = urlsplit(url).password or "unused"
    sql(folder, f"ALTER ROLE reconcile_hidden PASSWORD '{password}'; GRANT SELECT ON t, u TO reconcile_hidden")
    folder.stores["app"]["url"] = url.replace("://postgres", "://reconcile_hidden")
    folder.declare()
    report = workflow.verify(folder.load())
    assert not report["clean"]
    assert "row-level security" in report["mirrors"][0]["sides"][0]["problem"]


def test_ids_are_streamed(folder: Folder) -> None:
    """One at a time, however many; giving up in the middle leaves the connection usable."""
    folder.settings["mirrors"] = {"t": [{"store": "app", "table": "t"}, {"store": "app", "view": "v", "key": "id"}]}
    folder.declare(
        app="tables: {t: {columns: {id: bigint}, primary_key: [id]}}\nviews: {v: {query: select id from t}}"
    ).apply()
    sql(folder, "INSERT INTO t SELECT generate_series(1, 30000)")
    from reconcile.mirrors import resolved

    project = folder.load()
    (mirror,) = resolved(project, project.desired(), [])
    with reading(project) as look:
        session = look.stores["app"].session
        assert isinstance(session, Verifies)
        begun = session.ids(mirror.sides[0])
        assert (next(begun) or "").isdigit()
        begun.close()  # type: ignore[attr-defined]  # it is a generator
        assert sum(1 for _ in session.ids(mirror.sides[1])) == 30000
