"""ANALYZE of what a run left without statistics: a column of another type, a new one, a materialized view.

A changed type throws the statistics of its column away, and autovacuum looks for changed rows only.
https://www.postgresql.org/docs/current/sql-altertable.html ("it is usually a good idea to run ANALYZE")
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import errors

from reconcile.model import Address
from reconcile.stores.postgres.sqltext import idents

_LIMITS = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10min'"
_LACKING = """
select n.nspname::text, c.relname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname || '.' || c.relname = any(%s) and c.relkind in ('r', 'm') and pg_relation_size(c.oid) > 0
  and exists (
    select from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and coalesce(a.attstattarget, -1) <> 0
      and not exists (
        select from pg_stats s
        where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
      )
  )
order by 1, 2
"""
"""Relations with rows and a column of which nothing is known. `attstattarget` is null by default from 17 on."""
_ON_RELATIONS = frozenset(("table", "column", "materialized_view"))


def refresh(connection: psycopg.Connection[Any], touched: Iterable[Address]) -> list[str]:
    """See `stores.refreshing.Refreshes`; indexes are analyzed by the steps that build them."""
    names = sorted({f"{a.parts[0]}.{a.parts[1]}" for a in touched if a.kind in _ON_RELATIONS})
    if not names:
        return []
    left = []
    for relation in connection.execute(_LACKING, (names,)).fetchall():
        statement = f"ANALYZE {'.'.join(idents([part]) for part in relation)}"
        try:
            with connection.transaction():
                connection.execute(_LIMITS)
                connection.execute(statement.encode())
        except (errors.LockNotAvailable, errors.QueryCanceled, errors.InsufficientPrivilege) as error:
            left.append(f"statistics are missing ({error.diag.message_primary}); run {statement}")
    return left
