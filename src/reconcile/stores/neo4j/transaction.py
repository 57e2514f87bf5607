"""A group of schema statements in one transaction, with limits on waiting, and without stumbling over what is done."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from reconcile.change import Call, Cypher, Op, Timeouts
from reconcile.errors import StoreError, UnsupportedError
from reconcile.stores.neo4j import cypher, faults, guard, violations

if TYPE_CHECKING:
    import neo4j

    from reconcile.stores.neo4j.session import Neo4jSession

T = TypeVar("T")

_SHOW = "SHOW TRANSACTIONS YIELD transactionId, status, metaData, username, clientAddress, elapsedTime"


class Neo4jTransaction:
    """A group of schema statements. One that turns out to be done already is left out, the others are sent again.

    An error ends a transaction of Neo4j, so going on after one means to begin anew. The statements are all
    schema statements, and the server has taken back what was sent.
    """

    def __init__(self, session: Neo4jSession, timeouts: Timeouts) -> None:
        self._owner = session
        self._timeouts = timeouts
        self._sent: list[tuple[Cypher, Timeouts]] = []
        self._session: neo4j.Session | None = None
        self._open: neo4j.Transaction | None = None
        self._token = ""
        self._others: dict[str, Mapping[str, Any]] = {}

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """Execute one call.

        Raises:
            StoreError: the server refused it.
        """
        if isinstance(call, Op):
            self._owner.run(call, timeouts)
            return
        if not isinstance(call, Cypher):
            raise ValueError(f"Neo4j runs Cypher, not {type(call).__name__}")
        pending = [(call, timeouts)]
        while pending:
            current, limits = pending.pop(0)
            try:
                self._send(current, limits)
                self._sent.append((current, limits))
            except StoreError as error:
                if not self._already_done(current, error):
                    self._explain(current, error)
                    raise
                pending = [*self._sent, *pending]
                self._sent = []

    def _send(self, call: Cypher, timeouts: Timeouts) -> None:
        transaction = self._begun()
        query: Any = call.cypher  # the driver's types ask for a literal
        self._limited(lambda: transaction.run(query, dict(call.params)).consume(), timeouts)

    def _begun(self) -> neo4j.Transaction:
        if self._open is None:
            self._token = uuid.uuid4().hex  # tells this transaction from all others in SHOW TRANSACTIONS
            with self._owner.translated():
                self._session = self._owner.open_session()
                self._open = self._session.begin_transaction(metadata={"app": "reconcile", "token": self._token})
        return self._open

    def _already_done(self, call: Cypher, error: StoreError) -> bool:
        """Somebody else, or a broken try whose end was not journalled, has done just this."""
        code = faults.code_of(error)
        if code != faults.EQUIVALENT and code not in faults.DROP_FAILED:
            return False
        self.close()
        there = str(call.params.get("name")) in self._owner.names()
        return there if code == faults.EQUIVALENT else not there

    def _explain(self, call: Cypher, error: StoreError) -> None:
        """Give an error about data that breaks a constraint the query that shows it."""
        required = cypher.read_constraint(call)
        if required is None or faults.code_of(error) != faults.CONSTRAINT_FAILED or isinstance(error, UnsupportedError):
            return
        error.hint = f"see them, and merge or change them first:  {violations.duplicates_query(required, exact=True)}"
        error.args = (str(error),)

    def commit(self) -> None:
        """Commit what was sent, if anything."""
        if self._open is not None:
            self._limited(self._open.commit, self._timeouts)
            self._open = None

    def close(self) -> None:
        """Take back what is not committed; never raises."""
        if self._open is not None:
            with suppress(Exception):  # the connection may be what failed
                self._open.close()
            self._open = None
        if self._session is not None:
            with suppress(Exception):
                self._session.close()
            self._session = None

    # -- limits ------------------------------------------------------------------------------------------------

    def _limited(self, call: Callable[[], T], timeouts: Timeouts) -> T:
        watch = guard.Watch(self._blocked, self._terminate, self._expired)
        with self._owner.translated():
            return guard.limited(call, watch, guard.seconds(timeouts.lock), guard.seconds(timeouts.wall))

    def _own(self) -> Mapping[str, Any] | None:
        rows = self._owner.read(_SHOW)
        self._others = {row["transactionId"]: row for row in rows}
        return next((row for row in rows if row["metaData"].get("token") == self._token), None)

    def _blocked(self) -> str | None:
        """The transactions this one waits for, described."""
        own = self._own()
        status = own["status"] if own is not None else ""
        if not status.startswith("Blocked by"):
            return None
        names = [n.strip() for n in status.partition("[")[2].rstrip("]").split(",")]
        return "; ".join(self._described(name) for name in names if name) or None

    def _described(self, name: str) -> str:
        row = self._others.get(name)
        if row is None:
            return name
        user = f"user {row['username']}, " if row["username"] else ""
        elapsed = row["elapsedTime"]
        running = elapsed.hours_minutes_seconds_nanoseconds if elapsed is not None else None
        since = f", open for {_clock(running)}" if running else ""
        return f"{name} ({user}client {row['clientAddress']}{since})"

    def _terminate(self) -> None:
        """End this transaction from outside; where that fails, its connection."""
        try:
            own = self._own()
            if own is not None:
                self._owner.read("TERMINATE TRANSACTION $id YIELD message", id=own["transactionId"])
        except StoreError:
            self._owner.close()  # a broken connection gives up the lock as well

    def _expired(self, by: str | None, limit: float) -> Exception:
        where = self._owner.place
        if by is None:
            return StoreError(f"the statement ran longer than {limit:.0f} s and was ended", where=where)
        blockers = [part.partition(" ")[0] for part in by.split("; ")]
        return faults.LockWaitError(
            f"waited {limit:.0f} s for open transactions that have written to the label, or read it by an index: {by}",
            where=where,
            hint="try again when they have ended, or end them:  "
            + "  ".join(f"TERMINATE TRANSACTION '{name}';" for name in blockers),
        )


def _clock(parts: tuple[int, int, int, int]) -> str:
    hours, minutes, seconds, _ = parts
    return f"{hours}:{minutes:02}:{seconds:02}"
