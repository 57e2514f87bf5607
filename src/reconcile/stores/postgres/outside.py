"""What in other schemas stands on what a plan drops: asked of the server, which would refuse in the middle of an apply.

Introspection reads the schemas of the scope; whatever stands on their objects from elsewhere is looked for here, at a
cost in proportion to the drops: https://www.postgresql.org/docs/current/catalog-pg-depend.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import psycopg
from psycopg.rows import TupleRow

from reconcile.change import Sql, Step
from reconcile.errors import Problem
from reconcile.stores.postgres import needs
from reconcile.stores.postgres.introspect import settle
from reconcile.stores.postgres.introspect.routines import SIGNATURE
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.privilege_rules import DROP
from reconcile.stores.postgres.resources import OWN_SCHEMA

_Q = r'"(?:[^"]|"")+"'
_ALTERED = re.compile(rf"ALTER TABLE (?:ONLY )?(?P<table>{_Q}\.{_Q}) ")
_PART = re.compile(rf"DROP (?P<kind>COLUMN|CONSTRAINT) (?P<name>{_Q})")
_ASKED = f"""
WITH RECURSIVE asked AS (
  SELECT w.*, n.oid AS namespace
  FROM unnest(%(kinds)s::text[], %(schemas_of)s::text[], %(names)s::text[], %(parts)s::text[], %(steps)s::text[])
       w(kind, schema, name, part, step) JOIN pg_namespace n ON n.nspname = w.schema
), gone AS (
  SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 0 AS sub, step FROM asked
  JOIN pg_class c ON kind = 'relation' AND relnamespace = namespace AND relname = name
  UNION SELECT 'pg_type'::regclass, t.oid, 0, step FROM asked
  JOIN pg_type t ON kind = 'type' AND typnamespace = namespace AND typname = name
  UNION SELECT 'pg_collation'::regclass, k.oid, 0, step FROM asked
  JOIN pg_collation k ON kind = 'collation' AND collnamespace = namespace AND collname = name
  UNION SELECT 'pg_proc'::regclass, p.oid, 0, step FROM asked
  JOIN pg_proc p ON kind = 'routine' AND pronamespace = namespace AND proname = split_part(name, '(', 1)
                AND name = proname || '(' || array_to_string({SIGNATURE}, ', ') || ')'
  UNION SELECT 'pg_class'::regclass, attrelid, attnum::int, step FROM asked
  JOIN pg_class c ON kind = 'COLUMN' AND relnamespace = namespace AND relname = name
  JOIN pg_attribute ON attrelid = c.oid AND attname = part AND NOT attisdropped
  UNION SELECT 'pg_constraint'::regclass, o.oid, 0, step FROM asked
  JOIN pg_class c ON kind = 'CONSTRAINT' AND relnamespace = namespace AND relname = name
  JOIN pg_constraint o ON conrelid = c.oid AND conname = part
), whole AS (
  SELECT * FROM gone
  UNION
  SELECT d.classid, d.objid, d.objsubid, w.step FROM whole w JOIN pg_depend d
  ON d.refclassid = w.class AND d.refobjid = w.id AND w.sub IN (0, d.refobjsubid) AND d.deptype IN ('i', 'a', 'P', 'S')
), around AS (
  SELECT d.classid, d.objid, d.objsubid, d.deptype, w.step FROM whole w JOIN pg_depend d
  ON d.refclassid = w.class AND d.refobjid = w.id AND w.sub IN (0, d.refobjsubid)
)
SELECT DISTINCT step, CASE WHEN r.rulename = '_RETURN' THEN pg_describe_object('pg_class'::regclass, r.ev_class, 0)
                      ELSE pg_describe_object(classid, objid, 0) END FROM around
LEFT JOIN pg_rewrite r ON classid = 'pg_rewrite'::regclass AND r.oid = objid
LEFT JOIN pg_attrdef d ON classid = 'pg_attrdef'::regclass AND d.oid = objid
LEFT JOIN pg_trigger t ON classid = 'pg_trigger'::regclass AND t.oid = objid
LEFT JOIN pg_policy p ON classid = 'pg_policy'::regclass AND p.oid = objid
LEFT JOIN pg_constraint n ON classid = 'pg_constraint'::regclass AND n.oid = objid
LEFT JOIN pg_proc f ON classid = 'pg_proc'::regclass AND f.oid = objid
LEFT JOIN pg_type y ON classid = 'pg_type'::regclass AND y.oid = objid AND y.typtype IN ('d', 'r')
LEFT JOIN pg_class c ON c.oid = coalesce(r.ev_class, d.adrelid, t.tgrelid, p.polrelid,
                                         CASE classid WHEN 'pg_class'::regclass THEN objid END)
JOIN pg_namespace s ON s.oid = coalesce(c.relnamespace, n.connamespace, f.pronamespace, y.typnamespace)
WHERE s.nspname <> ALL (%(schemas)s) AND s.nspname NOT IN ('pg_toast', 'pg_catalog', 'information_schema')
  AND NOT s.nspname LIKE 'pg\\_toast\\_temp\\_%%' AND NOT EXISTS (
    SELECT FROM whole w WHERE (w.class, w.id) = (classid, objid) AND deptype IN ('i', 'S'))
ORDER BY 1, 2
"""
"""Names are looked up in the catalogs, as in `privileges`: to_regprocedure and its like fail, instead of finding
nothing, where a schema may not be used, and know no ordered-set aggregates."""
_KINDS = frozenset({"relation", "type", "routine", "collation"})
MANY = 5
"""Up to how many dependents of one step are named."""


def dependents(
    connection: psycopg.Connection[TupleRow], schemas: Iterable[str], steps: Sequence[Step]
) -> list[Problem]:
    """A problem for each step that drops what an object outside of `schemas` stands on. Reads only.

    Raises:
        psycopg.Error: the server does not answer.
    """
    asked = [(*drop, step.id) for step in steps for drop in _drops(step)]
    if not asked:
        return []
    scope = list(schemas)
    own = [OWN_SCHEMA] if any(schema == OWN_SCHEMA for _, schema, *_ in asked) else []  # of what is kept there
    names = ("kinds", "schemas_of", "names", "parts", "steps")
    values = dict(zip(names, map(list, zip(*asked, strict=True)), strict=True))
    with connection.transaction():
        settle(connection, scope, besides=scope[1:])  # routines are found by their addresses
        rows = connection.execute(_ASKED.encode(), {**values, "schemas": [*scope, *own]}).fetchall()
    found: dict[str, list[str]] = {}
    for step, what in rows:
        found.setdefault(step, []).append(what)
    steps_by_id = {step.id: step for step in steps}
    return [_problem(steps_by_id[step], outside) for step, outside in found.items()]


def _problem(step: Step, outside: list[str]) -> Problem:
    more = f" and {len(outside) - MANY} more" if len(outside) > MANY else ""
    verb = "stands" if len(outside) == 1 else "stand"
    return Problem(
        f"step {step.id} drops it, but {', '.join(outside[:MANY])}{more} {verb} on it, out of the store's `schemas:`",
        where=str(step.address),
        hint="drop or change that by hand before, or take its schema into `schemas:` and declare it",
    )


def _drops(step: Step) -> Iterator[tuple[str, str, str, str]]:
    """(kind, schema, name, part) of what it drops: relations, types, routines, collations; parts of a table by name."""
    if step.keeps is not None:  # what stands on it would go on with what was put aside
        place, of, *column = step.address.parts
        yield "COLUMN" if column else "relation", place, of, "".join(column)
    for call in step.calls:
        if not isinstance(call, Sql) or "DROP " not in call.sql:
            continue
        for need in needs.statement(call.sql):
            if need.privilege == DROP and need.kind in _KINDS:
                schema, name = need.name
                yield need.kind, schema, name, ""
        if table := _ALTERED.match(call.sql):
            schema, name = split(table["table"])
            for part in _PART.finditer(call.sql):
                yield part["kind"], schema, name, split(part["name"])[0]
