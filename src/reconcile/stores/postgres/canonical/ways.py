"""Where something can be built to be read back: in the live database, or in one of the sandbox's.

Tried in this order, until what has to be compared is spelled: schemas of the build's own, which a role with CREATE
may make; a server of the same major version in the sandbox. What none of them can spell is told as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from reconcile.model import Address, Resource
from reconcile.stores.base import Live
from reconcile.stores.postgres.canonical.closure import Closure
from reconcile.stores.postgres.canonical.scratch import Built, Scratch
from reconcile.stores.postgres.sqltext import ident

if TYPE_CHECKING:
    from reconcile.stores.postgres.canonical import Connected

_POSSIBLE = """
select pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
       has_database_privilege(current_database(), 'CREATE'),
       array(select array[evtname, evtenabled::text] from pg_event_trigger
             where evtenabled <> 'D' and evtevent <> 'login' order by evtname)
"""
"""Event triggers of logins have fired when this is asked."""

STANDBY = "the server is a standby: nothing can be built there to compare with"
READ_ONLY = "transactions of this role are read-only: nothing can be built there to compare with"
TRIGGERS = "the database has event triggers, which a scratch build by this role would fire"
NO_CREATE = "the role may not CREATE in this database: nothing can be built there to compare with"
TEXT = "equality: text is set, so the server is not asked for its spelling"


def build(
    session: Connected, closure: Closure, live: Live, wanted: Sequence[Resource], compared: Iterable[Address]
) -> Built:
    """Make `wanted` and what they need somewhere, read them back, roll back.

    Args:
        session: its `equality` chooses the way: "auto" for all in turn, "text" for none.
        wanted: what is to be spelled; new objects too, so that the server can say what is wrong with them.
        compared: those that are live: for them alone it is worth the while to start a server.
    """
    way = session.equality
    if way == "text":
        return Built(impossible=TEXT)
    result = Built()
    if way in ("auto", "server"):
        result = _in_live(session, closure, live, wanted)
    left = set(compared) - result.found.keys() if result.impossible or way == "sandbox" else set()
    if way in ("auto", "sandbox") and left:
        result = _in_sandbox(session, closure, live, wanted, result.impossible)
    return result


def _in_live(session: Connected, closure: Closure, live: Live, wanted: Sequence[Resource]) -> Built:
    with session.scratch() as connection:
        reason = _impossible(connection)
        if reason is not None:
            return Built(impossible=reason)
        return Scratch(session, connection, closure, live, wanted).run()


def _in_sandbox(
    session: Connected, closure: Closure, live: Live, wanted: Sequence[Resource], before: str | None
) -> Built:
    from reconcile.stores.postgres.canonical.borrowed import Borrowed
    from reconcile.stores.postgres.lent import NotLent

    why = f"{before}; " if before else ""
    try:
        with session.scratch(lent=True) as connection:
            result = Borrowed(session, connection, closure, live, wanted).run()
    except NotLent as error:
        return Built(impossible=f"{why}no sandbox: {error}")
    except psycopg.OperationalError as error:
        if connection.closed:
            return Built(impossible=f"{why}the sandbox's PostgreSQL ended: {str(error).splitlines()[0]}")
        raise
    result.how = "sandbox"
    result.note = (
        f"expressions were compared as the sandbox's PostgreSQL spells them{f', since {before}' if why else ''}"
    )
    return result


def _impossible(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute(_POSSIBLE).fetchone()
    assert row is not None
    standby, read_only, may_create, triggers = row
    if standby or read_only:
        return STANDBY if standby else READ_ONLY
    if triggers and not _silenced(connection, triggers):
        return TRIGGERS
    return None if may_create else NO_CREATE


def _silenced(connection: psycopg.Connection[Any], enabled: Sequence[tuple[str, str]]) -> bool:
    """Keep event triggers, (name, how it is enabled), from firing until the end of this transaction, if possible.

    `event_triggers` came with 17; as a replica, a session fires only those that are enabled for replicas or always.
    Both settings are a superuser's, or of whom they were granted to. Before 17 the others are disabled, which fires
    nothing, locks nothing of a user's, and is rolled back with the build.
    """
    disable = [f"ALTER EVENT TRIGGER {ident(name)} DISABLE" for name, how in enabled if how != "O"]
    ways = [["SET LOCAL session_replication_role = replica", *disable]]
    if connection.info.server_version >= 170000:
        ways.insert(0, ["SET LOCAL event_triggers = off"])
    for way in ways:
        connection.execute("SAVEPOINT reconcile_silence")
        try:
            for statement in way:
                connection.execute(statement.encode())
        except (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.InternalError_):
            # the last: another plan has just disabled them, "tuple concurrently updated"
            connection.execute("ROLLBACK TO SAVEPOINT reconcile_silence")
        else:
            connection.execute("RELEASE SAVEPOINT reconcile_silence")
            return True
    return False
