"""Statements that leave a database as `CREATE DATABASE` does: what a restore sends first where it may replace all."""

from __future__ import annotations

from reconcile.stores.postgres.connect import Connection
from reconcile.stores.postgres.sqltext import ident

_THERE = r"""
SELECT 1, 'EVENT TRIGGER', evtname::text FROM pg_event_trigger
UNION ALL SELECT 2, 'PUBLICATION', pubname::text FROM pg_publication
UNION ALL SELECT 3, 'EXTENSION', extname::text FROM pg_extension WHERE oid >= 16384
UNION ALL SELECT 4, 'FOREIGN DATA WRAPPER', fdwname::text FROM pg_foreign_data_wrapper WHERE oid >= 16384
UNION ALL SELECT 5, 'SCHEMA', nspname::text FROM pg_namespace
  WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
ORDER BY 1, 3
"""
_LARGE = "SELECT lo_unlink(oid) FROM pg_largeobject_metadata;\n"
_LOCKS = "SET LOCAL lock_timeout = '30s';\n"
"""Whoever still reads would keep the restore waiting, and everybody else behind it."""


def emptied(connection: Connection, public: bool) -> str:
    """What drops all there is now.

    Args:
        public: whether the schema `public` is to be there afterwards, as in a new database.
    """
    rows = connection.execute(_THERE.encode()).fetchall()
    text = _LOCKS + "".join(
        f"DROP {word} IF EXISTS {ident(name)}{'' if word in ('EVENT TRIGGER', 'PUBLICATION') else ' CASCADE'};\n"
        for _, word, name in rows
    )
    return text + _LARGE + (_public(connection.info.server_version) if public else "")


def _public(version: int) -> str:
    """The schema as initdb makes it: from 14 on another's, from 15 on one that nobody else may create in."""
    text = "CREATE SCHEMA public;\nCOMMENT ON SCHEMA public IS 'standard public schema';\n"
    if version >= 150000:
        text += "GRANT USAGE ON SCHEMA public TO PUBLIC;\n"
    else:
        text += "GRANT ALL ON SCHEMA public TO PUBLIC;\n"
    return text + ("ALTER SCHEMA public OWNER TO pg_database_owner;\n" if version >= 140000 else "")
