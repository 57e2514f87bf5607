"""What other schemas have on an object keeps it: told by the plan, never found out in the middle of an apply."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.projects import Folder

from reconcile.errors import PlanError

BEFORE: dict[str, Any] = {
    "enums": {"mood": ["sad", "glad"], "other": ["a"]},
    "domains": {"age": {"type": "integer"}},
    "sequences": {"numbers": {}},
    "tables": {
        "t": {
            "columns": {"id": "bigint", "name": "text", "at": "date"},
            "primary_key": ["id"],
            "unique": {"t_name": ["name"]},
        },
    },
    "views": {"v": {"query": "select id from t"}},
    "functions": {
        "f(integer)": {"definition": "create function f(integer) returns int language sql as 'select 1'"},
        "g(text, integer[])": {
            "definition": "create function g(text, variadic integer[]) returns int language sql as 'select 1'"
        },
    },
    "aggregates": {
        "middle(double precision ORDER BY anyelement)": {
            "definition": "create aggregate middle(double precision order by anyelement)"
            " (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra)"
        }
    },
}
CASES = {
    "table": ("tables/t + views/v", "CREATE VIEW o.x AS SELECT 1 AS n FROM t", "view o.x stands on it"),
    "row type": (
        "tables/t + views/v",
        "CREATE FUNCTION o.x(t) RETURNS int LANGUAGE sql AS 'select 1'",
        "function o.x(",
    ),
    "view": ("views/v", "CREATE VIEW o.x AS SELECT * FROM v", "view o.x"),
    "key": (
        "tables/t/primary_key",
        "CREATE TABLE o.x (t bigint CONSTRAINT x_t REFERENCES t)",
        "constraint x_t on table o.x",
    ),
    "unique": (
        "tables/t/unique",
        "CREATE TABLE o.x (t text CONSTRAINT x_t REFERENCES t (name))",
        "constraint x_t on table o.x",
    ),
    "column": ("tables/t/columns/at", "CREATE VIEW o.x AS SELECT at FROM t", "view o.x"),
    "enum": ("enums/mood", "CREATE TABLE o.x (m mood)", "table o.x stands on it"),
    "enum in a view": ("enums/other", "CREATE VIEW o.x AS SELECT 'a'::other AS n", "view o.x"),
    "domain": ("domains/age", "CREATE DOMAIN o.x AS age", "type o.x"),
    "variadic function": ("functions/g(text, integer[])", "CREATE VIEW o.x AS SELECT g('sad', 1) AS n", "view o.x"),
    "ordered-set aggregate": (
        "aggregates/middle(double precision ORDER BY anyelement)",
        "CREATE VIEW o.x AS SELECT middle(0.5) WITHIN GROUP (ORDER BY id) AS n FROM t",
        "view o.x",
    ),
    "sequence": (
        "sequences/numbers",
        "CREATE TABLE o.x (n bigint DEFAULT nextval('numbers'))",
        "default value for column n of table o.x",
    ),
    "function": (
        "functions/f(integer)",
        "CREATE TABLE o.x (n int CHECK (f(n) > 0))",
        "constraint x_n_check on table o.x",
    ),
}
"""What is no longer declared, what somebody made in a schema out of the scope, and what is said of it."""


def without(gone: str = "") -> str:
    """`BEFORE` less what is at these paths."""
    left = deepcopy(BEFORE)
    for path in filter(None, gone.split(" + ")):
        *outer, last = path.split("/")
        inner = left
        for part in outer:
            inner = inner[part]
        del inner[last]
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in left.items())


def test_what_other_schemas_stand_on_is_not_dropped(postgres_database: str, tmp_path: Path) -> None:
    settings = {"ledger": {"file": "ledger.db"}}
    folder = Folder(tmp_path, {"s": {"kind": "postgres", "url": postgres_database, "schemas": ["public"]}}, settings)
    folder.declare(s=without()).apply("all")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        for name, (gone, sql, said) in CASES.items():
            connection.execute("CREATE SCHEMA o")
            connection.execute(sql.encode())
            folder.declare(s=without(gone))
            with pytest.raises(PlanError) as caught:
                folder.plan(allow=("all",))
            assert said in str(caught.value), name
            connection.execute("SET client_min_messages = error; DROP SCHEMA o CASCADE")
            assert folder.plan(allow=("all",)).steps != (), name
