"""Keys of rows: of several columns, of types that no Python value has; over plan, apply, workers and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconcile import workflow
from reconcile.errors import PartialError, ReconcileError
from tests.projects import Folder

ROWS = 2000
FILL = """
CREATE TABLE "T x" (tenant text, "Id" bigint, at timestamptz, body bytea, v text, c int DEFAULT 0,
                    PRIMARY KEY (tenant, "Id", at));
INSERT INTO "T x" SELECT 't' || n % 7 || chr(252) || '%''"', CASE n WHEN 3 THEN -9223372036854775808 ELSE n / 7 END,
    '2020-01-01'::timestamptz + n * interval '1 us', '\\x00ff' FROM generate_series(1, 1999) n;
INSERT INTO "T x" VALUES ('t', 1, '-infinity', '\\x00ff');
CREATE TABLE odd (k char(12), body bytea, day date, days int[], n int DEFAULT 0);
INSERT INTO odd SELECT 'a' || n, decode(md5(n::text), 'hex'), '0044-03-15 BC'::date + n, ARRAY[n, -n]
    FROM generate_series(1, 300) n
"""
DECLARED = """
tables:
  carried:
    columns:
      a: {type: text, not_null: true}
      b: {type: bigint, not_null: true, identity: always}
      c: {type: timestamptz, not_null: true}
      body: bytea
    primary_key: [a, b, c]
"""
BACKFILLS = """
backfills:
  stated:
    select: SELECT tenant, "Id", at FROM "T x" WHERE c = 0
    key: [tenant, Id, at]
    into: '"T x"'
    batch: 90
    statement: UPDATE "T x" SET c = c + 1 WHERE (tenant, "Id", at) IN ($keys)
    keep: [c]
    down: restore
  called:
    depends_on: [stated]
    select: SELECT tenant, "Id", at FROM "T x" WHERE v IS NULL
    key: [tenant, Id, at]
    into: '"T x"'
    batch: 90
    function: f.py:f
  told:
    depends_on: [called]
    select: SELECT * FROM "T x"
    key: [tenant, Id, at]
    into: '"T x"'
    batch: 900
    command: {run: [python3, c.py]}
    once: true
    down: restore
  shared:
    depends_on: [told]
    select: SELECT * FROM "T x"
    key: [at, tenant]
    batch: 90
    workers: 2
    once: true
    statement: UPDATE "T x" t SET c = c + 10 FROM ($keys) AS k (at, tenant) WHERE t.at = k.at AND t.tenant = k.tenant
  carried:
    select: SELECT * FROM "T x"
    key: [tenant, Id, at]
    into: app.table.public.carried
    into_key: [a, b, c]
    copy: {body: body}
    once: true
    verify: [{query: 'SELECT (SELECT count(*) FROM carried) = (SELECT count(*) FROM "T x")', expect: true}]
"""
FUNCTION = """
failed = False

def f(rows):
    if any(row["Id"] == 200 for row in rows):
        raise ValueError("not this one")
    return [{"key": list(row["key"]), "v": row["tenant"]} for row in rows]
"""
COMMAND = """
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({"key": row["key"], "v": "told " + row["v"]}))
"""


@pytest.fixture
def folder(tmp_path: Path, postgres_database: str) -> Folder:
    folder = Folder(tmp_path, {"app": {"kind": "postgres", "url": postgres_database}})
    sql(folder, FILL)
    return folder


def sql(folder: Folder, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(folder.stores["app"]["url"], autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_a_key_of_several_columns(folder: Folder) -> None:
    """Mixed types and an infinite one: stopped in the middle and resumed, shared by workers, carried, taken back."""
    (folder.path / "f.py").write_text(FUNCTION)
    (folder.path / "c.py").write_text(COMMAND)
    folder.declare(app=DECLARED + BACKFILLS)
    with pytest.raises(PartialError, match=r"the batch of keys .* failed: .*not this one"):
        folder.apply()
    done = sql(folder, 'SELECT count(*) FROM "T x" WHERE v IS NOT NULL')[0][0]
    assert 0 < done < ROWS and done % 90 == 0
    (folder.path / "f.py").write_text(FUNCTION.replace("200", "-1"))
    workflow.resume(folder.load())
    assert sql(folder, 'SELECT c, count(*), count(v) FROM "T x" GROUP BY c') == [(11, ROWS, ROWS)]
    assert sql(folder, "SELECT count(*) FROM \"T x\" WHERE v <> 'told ' || tenant") == [(0,)]
    assert sql(folder, r"SELECT count(*), min(b) FROM carried WHERE body = '\x00ff'") == [(ROWS, -(2**63))]
    assert folder.plan().steps == ()
    assert workflow.down(folder.load(), "told") == ROWS
    assert sql(folder, 'SELECT count(*) FROM "T x" WHERE v <> tenant') == [(0,)]


ONE = "  {name}: {{select: SELECT * FROM odd, key: {key}, once: true, batch: 40, statement: '{statement}'}}\n"
UPDATE = "UPDATE odd SET n = n + 1 WHERE"
ODD = "backfills:\n" + "".join(
    ONE.format(name=name, key=key, statement=f"{UPDATE} {test}")
    for name, key, test in (
        ("fixed", "k", "k = ANY ($keys)"),
        ("bytes", "body", "body = ANY ($keys)"),
        ("early", "day", "day = ANY ($keys)"),
        ("lists", "[days]", "days IN ($keys)"),
    )
)
WRONG = {
    "{select: SELECT days FROM odd, key: days, statement: SELECT 1}": r"write `key: \[days\]`",
    "{select: 'SELECT nullif(k, ''a7'') AS k FROM odd', key: k, statement: SELECT 1}": "null in 1 of 300 rows",
    "{select: SELECT k FROM odd, key: [k, none], statement: SELECT 1}": "`select` gives no column none",
}


def test_keys_of_any_type(folder: Folder) -> None:
    """Each row once; what cannot be a key is told, and nothing is changed."""
    folder.declare(app=ODD).apply()
    assert sql(folder, "SELECT n, count(*) FROM odd GROUP BY n") == [(4, 300)]
    for text, told in WRONG.items():
        folder.declare(app=f"backfills:\n  wrong: {text}\n")
        with pytest.raises(ReconcileError, match=told):
            workflow.preview(folder.load(), "wrong")
