"""The connection to a live database: the only place that sends what may write.

Autocommit outside `transaction()`; settings are fixed at each connect, and the search path at each transaction, since
an extension made a moment ago may have brought a schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors

from reconcile.change import Call, Op, Server, Sql, Step, Timeouts, World
from reconcile.errors import Problem, StoreError
from reconcile.model import Address, Json, State
from reconcile.stores.base import Canonical, Live, Side, StoreSpec
from reconcile.stores.figures import SECONDS, Count
from reconcile.stores.postgres import builders, checks, checks_attached, counting, detaching
from reconcile.stores.postgres.asking import Answering
from reconcile.stores.postgres.backfill import Tell, obstacles
from reconcile.stores.postgres.connect import Connection, connect, explained
from reconcile.stores.postgres.introspect import introspect, settle
from reconcile.stores.postgres.measuring import asks_empty, measure
from reconcile.stores.postgres.operations import OPERATIONS
from reconcile.stores.postgres.outside import dependents
from reconcile.stores.postgres.saving import Saving
from reconcile.stores.postgres.sqltext import relation
from reconcile.stores.postgres.transaction import PostgresTransaction, set_limits, text_of
from reconcile.stores.postgres.violations import violations

if TYPE_CHECKING:
    from reconcile.checkup import Check
    from reconcile.findings import Verified
    from reconcile.stores.filling import Filling, KeyNames, Receiving, Wanted
    from reconcile.stores.postgres.lent import Lent
    from reconcile.stores.rows import Rows
    from reconcile.stores.truncating import Truncating

_SCRATCH_LOCK = "200ms"


_PASSING = frozenset({"53300", "57P01", "57P02", "57P03", "57P05", "25P03"})
"""SQLSTATEs that a new connection may not meet: too many connections, a server that stops or starts, a session ended
for doing nothing. https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class PostgresSession(Saving, Answering):
    """See `stores.base.Session`."""

    def __init__(self, spec: StoreSpec, project: str, environment: str) -> None:
        self.name = spec.name
        self.schemas: tuple[str, ...] = tuple(spec.settings.get("schemas") or ("public",))
        self.equality = str(spec.settings.get("equality") or "auto")
        self._lent: Lent | None = None
        self._spec = spec
        self._application = f"reconcile {project}/{environment}"[:63]
        self._open: Connection | None = None
        self._server: Server | None = None
        self.tell: Tell = lambda detail: None
        """Takes how far an operation has come."""

    @property
    def connection(self) -> Connection:
        """The connection, made at the first use and again after it was lost.

        Raises:
            StoreError: see `connect`.
        """
        if self._open is None or self._open.closed:
            self._open = connect(self._spec, self._application)
        return self._open

    def server(self) -> Server:
        """See `Session.server`."""
        if self._server is None:
            with self._translated():
                self._server = checks.server(self.connection, self.name)
        return self._server

    def introspect(self) -> Live:
        """See `Session.introspect`."""
        with self._translated():
            return introspect(
                self.connection, self.name, self.schemas, another=lambda: connect(self._spec, self._application)
            )

    def canonical(self, desired: State, live: Live, known: Mapping[str, Json]) -> Canonical:
        """See `Session.canonical`."""
        from reconcile.stores.postgres.canonical import canonical

        try:
            with self._translated():
                return canonical(self, desired, live, known)
        finally:
            self._give_back()

    def unsupported(self, desired: State) -> Sequence[Problem]:
        """See `Session.unsupported`."""
        server = self.server()
        with self._translated():
            return [*checks.unsupported(server, desired), *checks_attached.missing(self.connection, server, desired)]

    def preflight(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """See `Session.preflight`."""
        with self._translated():
            found = obstacles(self.connection, steps, f"store {self.name}")
            found += dependents(self.connection, self.schemas, steps)
            return [*found, *violations(self.connection, self.schemas, steps)]

    def dependents(self, steps: Sequence[Step]) -> Sequence[Problem]:
        """See `stores.base.Shared`: what stands in schemas out of the scope."""
        with self._translated():
            return dependents(self.connection, self.schemas, steps)

    def check(self, steps: Sequence[Step]) -> Sequence[Check]:
        """See `Session.check`: two queries."""
        from reconcile.stores.postgres import condition, privileges

        server = self.server()
        with self._translated(), self.connection.transaction():
            settle(self.connection, self.schemas, besides=self.schemas[1:])  # routines are found by their addresses
            wanted = privileges.wanted(self.connection, self.schemas, steps)
            found = privileges.checks(server, steps, privileges.asked(self.connection, server, wanted))
            return [*found, *condition.checks(self.connection, server, self._spec.settings, steps, wanted)]

    def end_idle(self, steps: Sequence[Step]) -> Iterator[str]:
        """See `stores.base.Ends`."""
        from reconcile.stores.postgres import condition, privileges

        with self._translated():
            self.fix_path()  # names without a schema mean what they will mean in the run
            wanted = privileges.wanted(self.connection, self.schemas, steps)
            yield from condition.end_idle(self.connection, self._spec.settings, steps, wanted)

    def grants(self, steps: Sequence[Step], prefix: str, ledger: str | None) -> Mapping[str, str]:
        """See `Session.grants`."""
        from reconcile.stores.postgres.grants import of_commands

        server = self.server()
        with self._translated():
            self.fix_path()
            return of_commands(
                self.connection, server, self.schemas, self._spec.settings.get("role"), steps, prefix, ledger
            )

    def refresh(self, steps: Sequence[Step]) -> Sequence[str]:
        """See `stores.refreshing.Refreshes`: ANALYZE."""
        from reconcile.stores.postgres.analyzing import refresh

        with self._translated():
            return refresh(self.connection, [step.address for step in steps])

    def verify(self, chosen: State, sample: int, declared: State) -> Verified:
        """See `stores.base.Verifies`: constraints the server does not enforce on all rows, sizes of vectors."""
        from reconcile.stores.postgres.verifying import verify

        del declared
        live, server = self.introspect().state, self.server()
        with self._translated():
            return verify(self.connection, self.schemas, World(self.name, server, live, live), chosen, sample)

    def ids(self, side: Side) -> Iterator[str | None]:
        """See `stores.base.Verifies`: the values of a column."""
        from reconcile.stores.postgres import mirrored

        try:
            with self._translated():
                yield from mirrored.ids(self.connection, side)
        except StoreError as error:
            raise mirrored.missing(error, side) from error.__cause__

    def is_empty(self, address: Address) -> bool:
        """See `Session.is_empty`, and whether a column of a small table has no values; False where it cannot be
        shown: absent, or rows that may be hidden.
        """
        if address.kind not in ("table", "column"):
            return False
        try:
            with self._translated(), self.connection.transaction():
                set_limits(self.connection, Timeouts(lock="2s", statement="10s"), local=True)
                row = self.connection.execute(asks_empty(address).encode()).fetchone()
        except StoreError as error:
            if isinstance(
                error.__cause__,
                errors.UndefinedTable | errors.UndefinedColumn | errors.InsufficientPrivilege | errors.WrongObjectType,
            ):
                return False
            raise
        return bool(row and row[0])

    def measure(self, addresses: Iterable[Address]) -> Mapping[Address, Mapping[str, int]]:
        """See `Session.measure` and `measuring.measure`."""
        with self._translated():
            return measure(self.connection, self.server().numbers, addresses)

    def size(self) -> Mapping[str, int]:
        """See `stores.figures.Sized`."""
        with self._translated():
            return counting.size(self.connection)

    def counts(self, addresses: Iterable[Address], seconds: float = SECONDS) -> Mapping[str, Count]:
        """See `stores.figures.Sized`."""
        with self._translated():
            return counting.counts(self.connection, self.server().numbers, addresses, seconds)

    @contextmanager
    def transaction(self, steps: Sequence[Step]) -> Iterator[PostgresTransaction]:
        """See `Session.transaction`."""
        del steps
        connection = self.connection
        with self._translated(), connection.transaction():
            settle(connection, self.schemas)
            yield PostgresTransaction(self, connection)

    def run(self, call: Call, timeouts: Timeouts) -> None:
        """See `Session.run`.

        A concurrent build sends no messages to the client (`client_min_messages = error`): one that outlives its
        client then still ends with a valid index. What is there already, valid, counts as done: a run that broke
        between the build and the journal finds it so, and the verification at the end compares it.
        """
        if isinstance(call, Op) and call.op in OPERATIONS:
            with self._translated():
                self.fix_path()
                OPERATIONS[call.op](self.connection, call.args, timeouts, self.tell)
            return
        sql, connection = text_of(call, self.name), self.connection
        concurrent = builders.CONCURRENT.match(sql)
        with self._translated(sql, timeouts.wall):
            self.fix_path()
            set_limits(connection, timeouts, local=False)
            if concurrent:
                if self._attached(sql):
                    return
                connection.execute("SET client_min_messages = error")
            try:
                connection.execute(sql.encode())
            except (errors.DuplicateTable, errors.UndefinedObject) as error:
                if not (concurrent and self._is_done(sql, error)):
                    raise
            except (errors.UndefinedTable, errors.ObjectNotInPrerequisiteState):
                if not detaching.finish(connection, sql):
                    raise
            finally:
                if not connection.closed:
                    connection.execute(
                        "SET client_min_messages = warning; SET lock_timeout = '10s'; SET statement_timeout = 0"
                    )

    def fix_path(self) -> None:
        """Settings of the session as `transaction` has them: unqualified names mean the same in both."""
        with self.connection.transaction():
            settle(self.connection, self.schemas)
            names = ("search_path", "TimeZone", "DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits")
            fixed = ", ".join(f"set_config('{name}', current_setting('{name}'), false)" for name in names)
            self.connection.execute(f"SELECT {fixed}".encode())

    def _attached(self, sql: str) -> bool:
        """Whether somebody else was building that very index and the build has ended well: nothing is left to do."""
        index = builders.index_of(sql)
        if index is None or builders.builder(self.connection, index) is None:
            return False
        before = builders.state(self.connection, index)
        ours = builders.builder(self.connection, index)
        builders.wait(self.connection, index, self.name)
        after = builders.state(self.connection, index)
        if before is None or after is None or not after.valid:
            return False
        own = ours is not None and ours[1] == self._application
        return not before.valid or (own and after.oid != before.oid)

    def _is_done(self, sql: str, error: psycopg.Error) -> bool:
        if isinstance(error, errors.UndefinedObject):
            return sql.startswith("DROP INDEX")
        index = builders.index_of(sql)
        found = None if index is None else builders.state(self.connection, index)
        return found is not None and found.valid

    def filling(self, wanted: Wanted) -> Filling:
        """See `stores.filling.Fills`."""
        from reconcile.stores.postgres.backfills import PostgresFilling

        with self._translated():
            return PostgresFilling(self, wanted)

    def rows(self, declared: Sequence[Rows], live: State) -> Sequence[Rows]:
        """See `stores.rows.HoldsRows`."""
        from reconcile.stores.postgres.rows import live_rows

        with self._translated():
            self.fix_path()
            return live_rows(self.connection, declared, live)

    def truncating(self, place: Address) -> Truncating:
        """See `stores.truncating.Truncates`."""
        from reconcile.stores.postgres.truncating import PostgresTruncating

        return PostgresTruncating(self, place)

    def receiving(self, into: Address, key: KeyNames | None) -> Receiving:
        """See `stores.filling.Receives`."""
        from reconcile.stores.postgres.receiving import PostgresReceiving

        with self._translated():
            return PostgresReceiving(self, into, key)

    def note(self, steps: Sequence[Step]) -> str:
        """See `Session.note`: the process that runs them, and the OIDs of the indexes they build."""
        with self._translated():
            return builders.note(self.connection, [s.address for s in steps if s.address.kind == "index"])

    def progress(self, steps: Sequence[Step]) -> Mapping[str, str]:
        """See `stores.base.Watches`: of builds of indexes."""
        with self._translated():
            indexes = {s.id: s.address for s in steps if s.address.kind == "index"}
            found = {step: builders.progress(self.connection, index) for step, index in indexes.items()}
        return {step: text for step, text in found.items() if text is not None}

    def ended(self, step: Step, noted: str) -> bool:
        """See `Session.ended`: a REINDEX shows by the index's OID alone."""
        if step.address.kind != "index" or step.transactional:
            return False
        with self._translated():
            builders.wait(self.connection, step.address, self.name)
            rebuilds = any(isinstance(c, Sql) and c.sql.startswith("REINDEX") for c in step.calls)
            return rebuilds and builders.rebuilt(self.connection, step.address, noted)

    def clean(self, debris: Sequence[Address]) -> None:
        """See `Session.clean`: invalid indexes only, after their builder, if it still lives, has ended.

        Raises:
            StoreError: the builder did not end in six hours.
        """
        with self._translated():
            for address in debris:
                if address.kind == "index" and self._invalid(address):
                    builders.wait(self.connection, address, self.name)
                    if self._invalid(address):
                        set_limits(self.connection, Timeouts(lock="0", statement="0"), local=False)
                        self.connection.execute(f"DROP INDEX CONCURRENTLY {relation(address)}".encode())

    def _invalid(self, address: Address) -> bool:
        found = builders.state(self.connection, address)
        return found is not None and not found.valid

    def transient(self, error: BaseException) -> bool:
        """See `Session.transient`."""
        found: BaseException | None = error
        while found is not None:
            if isinstance(found, errors.LockNotAvailable | errors.DeadlockDetected | errors.SerializationFailure):
                return True
            if isinstance(found, psycopg.OperationalError):
                state = found.sqlstate
                return state is None or state[:2] == "08" or state in _PASSING
            found = found.__cause__
        return False

    @contextmanager
    def scratch(self, *, lent: bool = False) -> Iterator[Connection]:
        """The connection inside a transaction that is always rolled back, for building what is to be read back.

        Locks are given up on after 200 ms; the caller makes its schema and settles the search path in it.

        Args:
            lent: in an empty database of the sandbox's instead, which ends with `canonical`.

        Raises:
            NotLent: there is none.
        """
        connection = self._borrowed().connection if lent else self.connection
        try:
            with self._translated(), connection.transaction(force_rollback=True):
                connection.execute(
                    f"SET LOCAL lock_timeout = '{_SCRATCH_LOCK}'; SET LOCAL check_function_bodies = off;"
                    " SET LOCAL client_min_messages = error"
                )
                yield connection
        finally:
            if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()

    def _borrowed(self) -> Lent:
        from reconcile.stores.postgres.lent import Lent

        if self._lent is None or self._lent.connection.closed:
            self._lent = Lent(self.connection)
        return self._lent

    def _give_back(self) -> None:
        lent, self._lent = self._lent, None
        if lent is not None:
            lent.close()

    def mark(self, content: Mapping[str, str] | None) -> Mapping[str, str]:
        """See `Session.mark`: the ledger, or the other stores' marks, say whose this is."""
        del content
        return {}

    def close(self) -> None:
        """See `Session.close`."""
        self._give_back()
        if self._open is not None:
            self._open.close()
            self._open = None

    @contextmanager
    def _translated(self, sql: str | None = None, limit: str | None = None) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explained(error, f"store {self.name}", sql, limit) from error
