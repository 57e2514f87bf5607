"""How the server is before a run: health, load, who would block the steps, memory and disk. One query; reads only."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from reconcile import machine, units
from reconcile.change import Server, Sql, Step
from reconcile.checkup import Check, Topic, Verdict, limited, share
from reconcile.model import Json
from reconcile.references import masked
from reconcile.stores.postgres.advice import outdated
from reconcile.stores.postgres.names import identifier, literal
from reconcile.stores.postgres.needs import Need

TRANSACTION, IDLE = "5min", "1min"
"""Age from which a transaction, and one that does nothing, is told: `limits:` of the store may say otherwise."""
TERMINATE = "--terminate-blockers idle-in-transaction"
_OLD = (15,)
_SHOWN = 5

_ASK = """
WITH touched AS (
  SELECT coalesce(i.indrelid, c.oid) AS rel FROM unnest(%s::text[], %s::text[]) w(s, n)
  JOIN pg_namespace s ON s.nspname = w.s JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = w.n
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
), locked AS (
  SELECT l.pid, l.virtualtransaction AS virtual, min(l.relation::regclass::text) AS name,
    bool_or(l.mode NOT IN ('AccessShareLock', 'RowShareLock')) AS writes
  FROM pg_locks l WHERE l.granted AND l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.relation IN (SELECT rel FROM touched) GROUP BY 1, 2
)
SELECT jsonb_build_object(
  'invalid', (SELECT jsonb_agg(format('%%I.%%I', n.nspname, c.relname) ORDER BY 1) FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT (i.indisvalid AND i.indisready) AND n.nspname = ANY (%s)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index b WHERE b.index_relid = i.indexrelid)),
  'unproved', (SELECT jsonb_agg(format('%%I of %%s', k.conname, k.conrelid::regclass) ORDER BY 1) FROM pg_constraint k
    JOIN pg_namespace n ON n.oid = k.connamespace
    WHERE NOT k.convalidated AND k.contype IN ('c', 'f', 'n') AND k.conrelid <> 0 AND n.nspname = ANY (%s)
      AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)),
  'sessions', (SELECT jsonb_agg(jsonb_build_object('pid', a.pid, 'user', a.usename, 'application', a.application_name,
      'state', a.state, 'query', left(a.query, 2000),
      'age', extract(epoch FROM clock_timestamp() - a.xact_start),
      'idle', CASE WHEN a.state LIKE 'idle in transaction%%' THEN extract(epoch FROM clock_timestamp() - a.state_change)
        END, 'locks', k.name, 'writes', k.writes) ORDER BY a.xact_start)
    FROM pg_stat_activity a LEFT JOIN locked k ON k.pid = a.pid
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND (k.pid IS NOT NULL
      OR (a.backend_type = 'client backend' AND a.xact_start < clock_timestamp() - %s * interval '1 second'))),
  'prepared', (SELECT jsonb_agg(jsonb_build_object('gid', p.gid, 'owner', p.owner,
      'age', extract(epoch FROM clock_timestamp() - p.prepared), 'locks', k.name, 'writes', k.writes)
      ORDER BY p.prepared)
    FROM pg_prepared_xacts p LEFT JOIN locked k ON k.pid IS NULL AND k.virtual = '-1/' || p.transaction::text
    WHERE p.database = current_database()),
  'builds', (SELECT jsonb_agg(jsonb_build_object('pid', b.pid, 'table', b.relid::regclass::text, 'command', b.command,
      'phase', b.phase) ORDER BY b.pid) FROM pg_stat_progress_create_index b
    WHERE b.datname = current_database() AND b.relid IN (SELECT rel FROM touched)),
  'active', (SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()),
  'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'lag', (SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication),
  'replicas', (SELECT count(*) FROM pg_stat_replication),
  'sees_all', pg_has_role('pg_read_all_stats', 'USAGE'),
  'bytes', pg_database_size(current_database()),
  'data', (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
  'settings', (SELECT jsonb_object_agg(name, current_setting(name)) FROM unnest(ARRAY['shared_buffers', 'work_mem',
    'maintenance_work_mem', 'max_wal_size', 'wal_level', 'max_locks_per_transaction']) s(name))
)
"""
"""`to_jsonb(k) ->> 'conenforced'`: constraints that are not enforced came with PostgreSQL 18."""


def checks(
    connection: psycopg.Connection[TupleRow],
    server: Server,
    settings: Mapping[str, Json],
    steps: Sequence[Step],
    wanted: Iterable[Need],
) -> list[Check]:
    """All that the server tells of itself, held against `limits:` of its store.

    Args:
        wanted: what the steps need, which says what they touch.
    """
    limits: Mapping[str, Json] = settings.get("limits") or {}
    found = _looked(connection, settings, wanted)
    local = connection.info.hostaddr in machine.HERE or (connection.info.host or "/").startswith("/")
    return [
        *_about(server, connection),
        *_sight(server, found),
        *outdated(server),
        *_health(found),
        *_blockers(found, limits, steps),
        *_load(found, limits, int(server.facts["max_connections"])),
        *(_space(found, limits, local)),
        Check(Topic.SETTINGS, Verdict.GOOD, ", ".join(f"{k} = {v}" for k, v in sorted(found["settings"].items()))),
    ]


def _looked(
    connection: psycopg.Connection[TupleRow], settings: Mapping[str, Json], wanted: Iterable[Need]
) -> Mapping[str, Any]:
    limits: Mapping[str, Json] = settings.get("limits") or {}
    schemas = list(settings.get("schemas") or ("public",))
    touched = sorted({n.name for n in wanted if n.kind in ("relation", "rows")})
    since = machine.seconds_of(str(limits.get("transaction_age", TRANSACTION)))
    names = ([n[0] for n in touched], [n[1] for n in touched])
    row = connection.execute(_ASK, (*names, schemas, schemas, since)).fetchone()
    return row[0] if row else {}


def end_idle(
    connection: psycopg.Connection[TupleRow],
    settings: Mapping[str, Json],
    steps: Sequence[Step],
    wanted: Iterable[Need],
) -> Iterator[str]:
    """End the sessions that would stop an apply by doing nothing, each told as it is ended; see `stores.base.Ends`.

    Whether one still does nothing is asked once more by the statement that ends it.
    """
    limits: Mapping[str, Json] = settings.get("limits") or {}
    limit = _idle_limit(limits)
    for session in _looked(connection, settings, wanted)["sessions"] or ():
        stops = _stops(session, session["idle"], limit, steps)
        if stops and connection.execute(_END, (session["pid"], limit)).fetchone():
            yield f"ended {_session(session)}"
            _gone(connection, session["pid"])


def _gone(connection: psycopg.Connection[TupleRow], pid: int) -> None:
    until = time.monotonic() + _END_SECONDS
    while time.monotonic() < until:
        if connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is None:
            return
        time.sleep(0.05)


def _idle_limit(limits: Mapping[str, Json]) -> float:
    return machine.seconds_of(str(limits.get("idle_in_transaction", IDLE)))


def _stops(holder: Mapping[str, Any], idle: float | None, limit: float, steps: Sequence[Step]) -> bool:
    """Whether one that does nothing holds what the steps need: beside a mere reader most of them can go on."""
    if idle is None or not holder["locks"] or idle < limit:
        return False
    sql = (call.sql for step in steps for call in step.calls if isinstance(call, Sql))
    return bool(holder["writes"]) or any(_EXCLUSIVE.match(text) for text in sql)


def _about(server: Server, connection: psycopg.Connection[TupleRow]) -> Iterator[Check]:
    facts, info = server.facts, connection.info
    tls = "TLS" if info.pgconn.ssl_in_use else "no TLS"
    who = f"{facts['user']}{' (superuser)' if facts['is_superuser'] else ''}"
    what = f"PostgreSQL {server.version}, database {facts['database']}, as {who}, {tls}"
    if server.numbers < _OLD:
        yield Check(Topic.CONNECTION, Verdict.WARNING, what, "PostgreSQL 15 or later is what this tool is tested on")
    else:
        yield Check(Topic.CONNECTION, Verdict.GOOD, what)
    if facts["in_recovery"]:
        told, hint = "this is a standby, which takes no changes", "use the primary's address"
        yield Check(Topic.CONNECTION, Verdict.STOPS, told, hint)
    elif facts["read_only"]:
        hint = "see default_transaction_read_only of the role"
        yield Check(Topic.CONNECTION, Verdict.STOPS, "transactions are read-only here", hint)


def _sight(server: Server, found: Mapping[str, Any]) -> Iterator[Check]:
    if not found["sees_all"]:
        yield Check(
            Topic.SIGHT,
            Verdict.UNKNOWN,
            "what sessions of other roles do is hidden from this one: who blocks a step may be missing below",
            f"GRANT pg_read_all_stats TO {identifier(str(server.facts['user']))}",
        )


def _health(found: Mapping[str, Any]) -> Iterator[Check]:
    invalid, unproved = found["invalid"] or [], found["unproved"] or []
    if invalid:
        what = f"{_counted(invalid, 'invalid index', 'es')}: {_few(invalid)}"
        yield Check(
            Topic.HEALTH, Verdict.WARNING, what, "a broken build left it: drop it, or REINDEX INDEX CONCURRENTLY"
        )
    if unproved:
        what = f"{_counted(unproved, 'constraint')} not validated: {_few(unproved)}"
        yield Check(Topic.HEALTH, Verdict.WARNING, what, "ALTER TABLE … VALIDATE CONSTRAINT …, once all rows fit")
    if not invalid and not unproved:
        yield Check(Topic.HEALTH, Verdict.GOOD, "all indexes valid, all constraints validated")


def _blockers(found: Mapping[str, Any], limits: Mapping[str, Json], steps: Sequence[Step]) -> Iterator[Check]:
    """Who holds a lock on what the steps touch, or a transaction that index builds wait for.

    One that does nothing goes on doing nothing: it stops an apply. Others may end before a step gives up waiting.
    """
    limit = _idle_limit(limits)
    waits = any("CONCURRENTLY" in c.sql for s in steps for c in s.calls if isinstance(c, Sql))
    quiet, hidden = True, list[Any]()
    for session in found["sessions"] or ():
        if session["locks"] and session["state"] is None and session["user"] is not None and session["age"] is None:
            hidden.append(session)
            continue
        what = _session(session)
        if _stops(session, session["idle"], limit, steps):
            quiet = False
            hint = f"end it: SELECT pg_terminate_backend({session['pid']}); or reconcile apply {TERMINATE}"
            yield Check(Topic.BLOCKERS, Verdict.STOPS, what, hint)
        elif (session["locks"] and (session["age"] or 0) >= 1) or (not session["locks"] and waits):
            quiet = False
            yield Check(Topic.BLOCKERS, Verdict.WARNING, what, "the steps wait for it, and give up after lock_timeout")
    if hidden:
        quiet = False
        pids, tables = sorted(str(s["pid"]) for s in hidden), sorted({s["locks"] for s in hidden})
        what = f"{_counted(hidden, 'session')} of other roles hold locks on {_few(tables)}: pid {_few(pids)}"
        yield Check(Topic.BLOCKERS, Verdict.WARNING, what, "what they do is hidden from this role")
    for one in found["prepared"] or ():
        quiet = False
        locks = f", holds a lock on {one['locks']}" if one["locks"] else ""
        what = f"prepared transaction {one['gid']!r} of {one['owner']}, {units.duration(one['age'])} old{locks}"
        verdict = Verdict.STOPS if _stops(one, one["age"], limit, steps) else Verdict.WARNING
        gid = literal(one["gid"])
        yield Check(Topic.BLOCKERS, verdict, what, f"finish it: COMMIT PREPARED {gid} or ROLLBACK PREPARED {gid}")
    for build in found["builds"] or ():
        quiet = False
        what = f"pid {build['pid']} runs {build['command']} on {build['table']}: {build['phase']}"
        yield Check(Topic.BLOCKERS, Verdict.WARNING, what, "steps on that table wait until it has ended")
    if quiet:
        yield Check(Topic.BLOCKERS, Verdict.GOOD, "none" if found["sees_all"] else "none that this role sees")


_EXCLUSIVE = re.compile(
    r"ALTER TABLE (?!.*(?:VALIDATE CONSTRAINT|FOREIGN KEY))|DROP (?!INDEX CONCURRENTLY)|(?:CREATE|ALTER) POLICY", re.S
)
"""Statements that wait for readers too, about: the lock each takes is in its page of the manual."""
_END = """
WITH idle AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE pid = %s AND state LIKE 'idle in transaction%%'
  AND state_change <= clock_timestamp() - %s * interval '1 second')
SELECT pg_terminate_backend(pid) FROM idle
"""
_END_SECONDS = 10.0
"""How long a session may take to end: it rolls back first."""
_LITERAL = re.compile(r"'(?:[^']|'')*'?")


def _session(session: Mapping[str, Any]) -> str:
    """pid, who, since when, doing what; literals of the query may be anybody's secrets."""
    query = " ".join(_LITERAL.sub("'…'", masked(session["query"] or "")).split())
    state = session["state"] or "state hidden"
    age = "" if session["age"] is None else f", transaction {units.duration(session['age'])} old"
    idle = "" if session["idle"] is None else f" for {units.duration(session['idle'])}"
    locks = f", holds a lock on {session['locks']}" if session["locks"] else ""
    application = f" ({session['application']})" if session["application"] else ""
    last = f"; last query: {query[:80]}{'…' * (len(query) > 80)}" if query else ""
    who = session["user"] or "a worker of the server"
    return f"pid {session['pid']}, {who}{application}, {state}{idle}{age}{locks}{last}"


def _load(found: Mapping[str, Any], limits: Mapping[str, Json], most: int) -> Iterator[Check]:
    active, lag = int(found["active"]), found["lag"]
    if found["sees_all"]:
        what = f"{active} active session{'s' * (active != 1)}"
        over = active > int(limits.get("active_sessions", most))
        yield limited(Topic.LOAD, what, over, "active_sessions", limits, used=share(active))
    elif "active_sessions" in limits:
        yield Check(Topic.LOAD, Verdict.UNKNOWN, "how many sessions are active is hidden from this role")
    used = int(found["connections"])
    if used > 0.9 * most:
        hint = "the run needs three connections; raise max_connections or close some"
        yield Check(Topic.LOAD, Verdict.WARNING, f"{used} of {most} connections are in use", hint)
    else:
        yield Check(Topic.LOAD, Verdict.GOOD, f"{used} of {most} connections")
    if lag is not None:
        over = "replication_lag" in limits and lag > machine.seconds_of(str(limits["replication_lag"]))
        what = f"replicas are {units.duration(lag)} behind"
        of = lambda limit: lag / max(machine.seconds_of(str(limit)), 1e-9)  # noqa: E731
        yield limited(Topic.LOAD, what, over, "replication_lag", limits, used=of)
    elif "replication_lag" in limits:
        seen = found["sees_all"]
        what = "no replica is connected" if seen else "how far replicas are behind is hidden from this role"
        yield Check(Topic.LOAD, Verdict.GOOD if seen and not found["replicas"] else Verdict.UNKNOWN, what)


def _space(found: Mapping[str, Any], limits: Mapping[str, Json], local: bool) -> Iterator[Check]:
    free = machine.free_disk(found["data"]) if local and found["data"] else None
    size = f"the database has {units.size(int(found['bytes']))}"
    yield from machine.checks(limits, machine.look(free is not None), free, size)


def _counted(items: Sequence[str], noun: str, plural: str = "s") -> str:
    return f"{len(items)} {noun}{plural if len(items) != 1 else ''}"


def _few(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
