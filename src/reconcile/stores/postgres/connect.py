"""Connections: where to, as whom, and what it means when there is none."""

from __future__ import annotations

import re
import time
from typing import Any

import psycopg
from psycopg import conninfo, errors, sql
from psycopg.rows import TupleRow

from reconcile.errors import StoreError
from reconcile.references import database_url, masked, without_secrets
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres.names import identifier

Connection = psycopg.Connection[TupleRow]

_FORM = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
_FORMS = {
    r"https?://([a-z0-9-]+)\.supabase\.(?:co|com)": (
        r"postgresql://postgres:PASSWORD@db.\1.supabase.co:5432/postgres (Project Settings, Database)"
    ),
    r"https?://([^/]*neon\.tech)": r"postgresql://USER:PASSWORD@\1/DATABASE?sslmode=require",
}
_PARTS = {"host": "host", "port": "port", "user": "user", "password": "password", "database": "dbname"}
_FIXED = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
SETTINGS = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET row_security = off;"
    " SET standard_conforming_strings = on; SET check_function_bodies = off; SET client_min_messages = warning;"
    " SET lock_timeout = '10s'"
)
"""What the server's spelling, and what a row count means, depend on. `row_security = off` makes a hidden row an
error instead of an absence. The lock timeout is for reading: pg_get_viewdef and its like wait for whoever holds an
exclusive lock on the table; steps set their own."""


def connect(spec: StoreSpec, application: str) -> Connection:
    """An autocommit connection with fixed settings, in the declared role; references are resolved anew.

    Raises:
        StoreError: unreachable, refused, unknown database, or a pooler that does not keep sessions; says what to do.
        ReconcileError: a reference cannot be resolved, or the URL is none of a database.
    """
    url, parts = _asked(spec)
    try:
        info = conninfo.make_conninfo(url or "", **(parts | {"application_name": application}))
        known = conninfo.conninfo_to_dict(info)
        fixed = {key: value for key, value in _FIXED.items() if key not in known}
        connection = psycopg.connect(conninfo.make_conninfo(info, **fixed), autocommit=True, prepare_threshold=None)
    except psycopg.ProgrammingError as error:
        raise StoreError(
            f"the connection settings cannot be read: {masked(_first(error))}", where=f"store {spec.name}"
        ) from None
    except psycopg.OperationalError as error:
        raise _explained(error, spec, parts, url) from None
    try:
        connection.execute(SETTINGS)
        _refuse_transaction_pooler(connection, lambda: psycopg.connect(info, autocommit=True), spec)
        role = spec.resolve("role")
        if role:
            connection.execute(f"SET ROLE {sql.Identifier(role).as_string(None)}")
    except psycopg.Error as error:
        connection.close()
        raise explained(error, f"store {spec.name}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _asked(spec: StoreSpec) -> tuple[str | None, dict[str, str]]:
    """The URL, and what is set beside it, by libpq's names."""
    url = database_url(spec, ("postgresql", "postgres"), _FORM, _FORMS)
    return url, {libpq: value for key, libpq in _PARTS.items() if (value := spec.resolve(key))}


def parameters(spec: StoreSpec) -> dict[str, Any]:
    """How to connect, by libpq's names, the password included.

    Raises:
        ReconcileError: see `connect`.
    """
    url, parts = _asked(spec)
    try:
        return conninfo.conninfo_to_dict(url or "") | parts
    except psycopg.ProgrammingError as error:
        what = f"the connection settings cannot be read: {masked(_first(error))}"
        raise StoreError(what, where=f"store {spec.name}") from None


def _refuse_transaction_pooler(connection: Connection, another: Any, spec: StoreSpec) -> None:
    """Between us and the server may stand a pooler; one that gives each transaction another session breaks locks,
    settings and concurrent builds.

    The process id of the start-up packet is then the pooler's invention, which costs nothing to see. Whether it
    keeps sessions shows when a second connection, inside a transaction, is given the first one's server process.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row is None or row[0] == connection.info.backend_pid:
        return
    time.sleep(0.05)  # the pooler takes its server connection back after our answer has left it
    with another() as second, second.transaction():
        theirs = second.execute("SELECT pg_backend_pid()").fetchone()
        ours = connection.execute("SELECT pg_backend_pid(), current_setting('row_security')").fetchone()
    if ours is None or theirs is None or theirs[0] == row[0] or ours[0] != row[0] or ours[1] != "off":
        raise StoreError(
            "a connection pooler in transaction mode stands before the database: settings and locks do not last",
            where=f"store {spec.name}",
            hint="use the direct address of the database, or the pooler's port in session mode",
        )


def _explained(error: psycopg.OperationalError, spec: StoreSpec, parts: dict[str, str], url: str | None) -> StoreError:
    """A failed connection in terms of what to do."""
    try:
        known = conninfo.conninfo_to_dict(url or "") | parts
    except psycopg.ProgrammingError:
        known = dict(parts)
    host, port = known.get("host") or "the local socket", known.get("port") or "5432"
    user, database = known.get("user") or "the current user", known.get("dbname") or known.get("user") or "?"
    text = _failure(error)
    lowered = str(error).lower()
    if "password authentication failed" in lowered or "no password supplied" in lowered:
        missing = "no password supplied" in lowered
        what = f"no password is given for user {user}" if missing else f"the password of user {user} is not accepted"
        hint = f"see `url:` or `password:` of store {spec.name}; {host}:{port} was asked"
    elif "does not support ssl" in lowered:
        what, hint = f"{host}:{port} does not speak TLS", "take sslmode out of the URL, or turn TLS on in the server"
    elif "invalid response to ssl" in lowered or "expected authentication" in lowered or "unexpectedly" in lowered:
        what = f"what answers at {host}:{port} does not speak PostgreSQL, or hung up: {text}"
        hint = "are host and port right? PostgreSQL's port is 5432 unless configured otherwise"
    elif "no pg_hba.conf entry" in lowered or ("ssl" in lowered and "required" in lowered):
        what, hint = f"{host}:{port} refuses this way of connecting: {text}", "try ?sslmode=require in the URL"
    elif "certificate" in lowered or "ssl error" in lowered:
        what, hint = f"TLS with {host}:{port} fails: {text}", "see sslmode and sslrootcert in the URL"
    elif re.search(r'database ".*" does not exist', lowered):
        what, hint = f"there is no database {database} at {host}:{port}", f'create it: CREATE DATABASE "{database}"'
    elif re.search(r'role ".*" does not exist', lowered):
        what, hint = f"there is no user {user} at {host}:{port}", f"see `url:` or `user:` of store {spec.name}"
    elif "permission denied for database" in lowered:
        what = f"{user} lacks CONNECT on database {database} at {host}:{port}"
        hint = f"GRANT CONNECT ON DATABASE {identifier(str(database))} TO {identifier(str(user))}"
    elif "too many clients" in lowered or "remaining connection slots" in lowered:
        what, hint = f"{host}:{port} has no connection left", "try again later, or raise max_connections"
    elif "starting up" in lowered or "shutting down" in lowered:
        what, hint = f"{host}:{port} is starting or stopping: {text}", "try again in a moment"
    elif any(w in lowered for w in ("could not translate host", "resolve host", "name or service", "nodename")):
        what, hint = f"the host {host} is not known", f"see `url:` or `host:` of store {spec.name}"
    elif any(w in lowered for w in ("refused", "timeout", "timed out", "no such file", "unreachable", "no route")):
        what, hint = (
            f"cannot reach PostgreSQL at {host}:{port}: {text}",
            "is it running, and may this machine reach it?",
        )
    else:
        what, hint = f"cannot connect to {host}:{port}: {text}", f"see `url:` of store {spec.name}"
    return StoreError(what, where=f"store {spec.name}", hint=hint)


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _failure(error: BaseException) -> str:
    """Why there is no connection: of libpq's lines the one that says so, without what we say ourselves."""
    lines = [line.strip() for line in str(error).splitlines() if " failed: " in line] or [_first(error)]
    return masked(lines[-1].rpartition(" failed: ")[2].removeprefix("FATAL:").strip())


_HINTS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.LockNotAvailable, "another session holds a lock; see pg_stat_activity, or raise `lock_timeout`"),
    (errors.QueryCanceled, "it took longer than its limit, or somebody cancelled it"),
    (errors.InsufficientPrivilege, "grant the privilege, or set `role:` of the store to the owner"),
    (errors.DiskFull, "free disk space on the server"),
    (errors.ReadOnlySqlTransaction, "this is a standby or a read-only database: use the primary's address"),
    (errors.DependentObjectsStillExist, "nothing is dropped by CASCADE: remove what depends on it first"),
    (errors.ActiveSqlTransaction, "see the documentation of CONCURRENTLY"),
    (errors.DeadlockDetected, "another session waited for the same locks; it is tried again"),
)


_READ = 4000
"""Characters of a statement that are looked at to show it."""


def explained(error: psycopg.Error, where: str, statement: str | None = None, limit: str | None = None) -> StoreError:
    """What the server said, the statement it was about, and what to do.

    Args:
        limit: how long it was allowed to take, where a setting says that.
    """
    diagnosis = error.diag
    text = diagnosis.message_primary or _first(error)
    detail = f" ({diagnosis.message_detail})" if diagnosis.message_detail else ""
    shown = f"\n  in: {_short(without_secrets(statement[:_READ]))}" if statement else ""
    hint = diagnosis.message_hint or next((h for kind, h in _HINTS if isinstance(error, kind)), None)
    if limit is not None and isinstance(error, errors.QueryCanceled):
        hint = f"it may take {limit} (`build: {{max_duration}}` of the index or the store), or somebody cancelled it"
    if error.sqlstate is None:
        hint = "the connection was lost; reconcile apply --resume goes on where it stopped"
    return StoreError(masked(f"{text}{detail}{shown}"), where=where, hint=hint)


def _short(statement: str, width: int = 300) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= width else line[: width - 1] + "…"
