"""Statements that leave a database as `CREATE DATABASE` does: what a restore sends first where it may replace all.

An extension that somebody else owns, most often a superuser, stays with the schema it is in; all else in that goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconcile.stores.postgres.connect import Connection
from reconcile.stores.postgres.contents import NOT_OF_EXTENSION, OURS
from reconcile.stores.postgres.sqltext import ident

_THERE = f"""
SELECT 1, 'EVENT TRIGGER', evtname::text FROM pg_event_trigger
UNION ALL SELECT 2, 'PUBLICATION', pubname::text FROM pg_publication
UNION ALL SELECT 3, 'EXTENSION', extname::text FROM pg_extension
  WHERE oid >= 16384 AND pg_has_role(extowner, 'USAGE')
UNION ALL SELECT 4, 'FOREIGN DATA WRAPPER', fdwname::text FROM pg_foreign_data_wrapper WHERE oid >= 16384
UNION ALL SELECT 5, 'SCHEMA', nspname::text FROM pg_namespace n WHERE {OURS.replace("%", "%%")} AND nspname <> ALL (%s)
ORDER BY 1, 3
"""
_STAYING = """
SELECT DISTINCT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.oid >= 16384 AND NOT pg_has_role(e.extowner, 'USAGE') AND n.nspname <> 'pg_catalog'
"""
_INSIDE = f"""
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
  WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.oid::regclass::text
FROM pg_class c WHERE c.relnamespace = ANY (%(schemas)s::text[]::regnamespace[]) AND {NOT_OF_EXTENSION}
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i' AND c.relkind = 'S')
UNION ALL
SELECT 'ROUTINE', p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = ANY (%(schemas)s::text[]::regnamespace[]) AND NOT EXISTS (SELECT FROM pg_depend d
  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'TYPE', t.oid::regtype::text FROM pg_type t
WHERE t.typtype IN ('e', 'd', 'r') AND t.typnamespace = ANY (%(schemas)s::text[]::regnamespace[])
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT 'COLLATION', o.oid::regcollation::text FROM pg_collation o
WHERE o.collnamespace = ANY (%(schemas)s::text[]::regnamespace[]) AND NOT EXISTS (SELECT FROM pg_depend d
  WHERE d.classid = 'pg_collation'::regclass AND d.objid = o.oid AND d.deptype = 'e')
"""
_LARGE = "SELECT lo_unlink(oid) FROM pg_largeobject_metadata;\n"
_LOCKS = "SET LOCAL lock_timeout = '30s';\n"
"""Whoever still reads would keep the restore waiting, and everybody else behind it."""


@dataclass(frozen=True)
class Emptied:
    """What to send, and what stays."""

    statements: str
    staying: frozenset[str] = frozenset()
    """Schemas: what would make them is left out of a restore."""


def emptied(connection: Connection, public: bool) -> Emptied:
    """What drops all there is now.

    Args:
        public: whether the schema `public` is to be there afterwards, as in a new database.
    """
    staying = frozenset(str(row[0]) for row in connection.execute(_STAYING).fetchall())
    rows = connection.execute(_THERE.encode(), (sorted(staying),)).fetchall()
    text = _LOCKS + "".join(
        f"DROP {word} IF EXISTS {ident(name)}{'' if word in ('EVENT TRIGGER', 'PUBLICATION') else ' CASCADE'};\n"
        for _, word, name in rows
    )
    if staying:
        with connection.transaction():
            connection.execute("SET LOCAL search_path = pg_catalog")  # names come with their schemas
            quoted = [ident(name) for name in sorted(staying)]
            inside = connection.execute(_INSIDE.encode(), {"schemas": quoted}).fetchall()
        text += "".join(f"DROP {word} IF EXISTS {name} CASCADE;\n" for word, name in inside)
    text += _LARGE
    if public and "public" not in staying:
        text += _public(connection.info.server_version)
    return Emptied(text, staying)


def _public(version: int) -> str:
    """The schema as initdb makes it: from 14 on another's, from 15 on one that nobody else may create in."""
    text = "CREATE SCHEMA public;\nCOMMENT ON SCHEMA public IS 'standard public schema';\n"
    if version >= 150000:
        text += "GRANT USAGE ON SCHEMA public TO PUBLIC;\n"
    else:
        text += "GRANT ALL ON SCHEMA public TO PUBLIC;\n"
    return text + ("ALTER SCHEMA public OWNER TO pg_database_owner;\n" if version >= 140000 else "")
