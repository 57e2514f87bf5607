"""Where something can be built to be read back: in the live database, or in one of the sandbox's.

Tried in this order, until what has to be compared is spelled: schemas of the build's own, which a role with CREATE
may make; temporary objects; a server of the same major version in the sandbox. What none of them can spell is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from reconcile.errors import StoreError
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
NO_TEMP = "the role may not make temporary tables in this database: nothing can be built there to compare with"
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
    if session.equality == "text":
        return Built(impossible=TEXT)
    result = Built()
    if session.equality != "sandbox":
        result = _in_live(session, closure, live, wanted)
    if session.equality in ("auto", "sandbox"):
        by_itself = session.equality == "auto" and result.impossible is None and not result.notes
        left = set() if by_itself else set(compared) - result.found.keys()
        if left:
            _in_sandbox(session, closure, live, [x for x in wanted if x.address not in result.found], result)
    return result


def _in_live(session: Connected, closure: Closure, live: Live, wanted: Sequence[Resource]) -> Built:
    """In schemas of its own or, if that may not be, in temporary objects."""
    with session.scratch() as connection:
        may_create, reason = possible(connection)
        if reason is None and session.equality != "temp" and may_create:
            result = Scratch(session, connection, closure, live, wanted).run()
            result.hows = dict.fromkeys(result.found, "server")
            return result
        if reason is not None or session.equality == "server":
            return Built(impossible=reason or NO_CREATE)
        if not _may_temp(connection):
            return Built(impossible=NO_CREATE if session.equality == "auto" else NO_TEMP)
        from reconcile.stores.postgres.canonical.temporary import Temporary

        result = Temporary(session, connection, closure, live, wanted).run()
    result.hows = dict.fromkeys(result.found, "temp")
    if session.equality == "auto":
        result.notes.append("expressions were compared in temporary objects, since the role may not CREATE schemas")
    return result


def _in_sandbox(session: Connected, closure: Closure, live: Live, wanted: Sequence[Resource], result: Built) -> None:
    """What is left; added to `result`."""
    from reconcile.stores.postgres.canonical.borrowed import Borrowed
    from reconcile.stores.postgres.lent import NotLent

    try:
        with session.scratch(lent=True) as connection:
            built = Borrowed(session, connection, closure, live, wanted).run()
    except (NotLent, StoreError) as error:
        no_sandbox = f"no sandbox: {error.what}"
        if result.impossible is None:
            result.reasons = {a: f"{why}; {no_sandbox}" for a, why in result.reasons.items()}
            result.impossible = no_sandbox
        else:
            result.impossible += f"; {no_sandbox}"
        return
    since = f", since {result.impossible.partition(':')[0]}" if result.impossible else ""
    what = "what cannot be temporary was" if result.found else "expressions were"
    result.notes.append(f"{what} compared in a server of the sandbox's{since}")
    result.impossible = None
    result.found.update(built.found)
    result.hows.update(dict.fromkeys(built.found, "sandbox"))
    result.problems += built.problems
    result.reasons = {a: why for a, why in {**result.reasons, **built.reasons}.items() if a not in result.found}


def possible(connection: psycopg.Connection[Any]) -> tuple[bool, str | None]:
    """Whether schemas may be made; why nothing may be made at all."""
    row = connection.execute(_POSSIBLE).fetchone()
    assert row is not None
    standby, read_only, may_create, triggers = row
    if standby or read_only:
        return False, STANDBY if standby else READ_ONLY
    return may_create, TRIGGERS if triggers and not _silenced(connection, triggers) else None


def _may_temp(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT has_database_privilege(current_database(), 'TEMPORARY')").fetchone()
    return bool(row and row[0])


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
