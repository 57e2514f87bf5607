"""Runs hand-written Cypher: schema statements, data statements and administration each in transactions of their own.

What ran is kept in the graph itself, as nodes that introspection ignores: a data migration and its being recorded are
then one transaction, which no ledger elsewhere could be part of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconcile.change import Server
from reconcile.errors import RefusedError, StoreError
from reconcile.restoring import refuse_half
from reconcile.stores.base import StoreSpec
from reconcile.stores.migrating import Entry, Group, History, Judge, Part, Progress, Row, Statement, StatementError
from reconcile.stores.neo4j import faults
from reconcile.stores.neo4j.cypher import quote
from reconcile.stores.neo4j.introspect import MIGRATION_LABEL
from reconcile.stores.neo4j.scripts import SCHEMA
from reconcile.stores.neo4j.session import Neo4jSession

if TYPE_CHECKING:
    import neo4j

_NODE = f"{quote(MIGRATION_LABEL)} {{table: $table, name: $name}}"
_DONE = (
    faults.EQUIVALENT,
    *faults.DROP_FAILED,
    *faults.TAKEN,
    "Neo.ClientError.Schema.IndexNotFound",
    "Neo.ClientError.Schema.ConstraintNotFound",
)
"""What a schema statement meets that an earlier try has carried out."""


class Neo4jMigrations:
    """See `stores.migrating.Migrates`."""

    def __init__(self, spec: StoreSpec) -> None:
        self.name = spec.name
        self._session = Neo4jSession(spec)

    def server(self) -> Server:
        """See `Migrates`.

        Raises:
            RefusedError: a restore of this store has not come to its end.
        """
        refuse_half(self.name, self._session.mark(None))
        return self._session.server()

    def close(self) -> None:
        """See `Migrates`."""
        self._session.close()

    def history(self, table: str) -> History:
        """See `Migrates`."""
        rows, progress = [], {}
        for found in self._session.read(
            f"MATCH (m:{quote(MIGRATION_LABEL)}) WHERE m.table = $table RETURN properties(m) AS m"
            " ORDER BY m.executed_at, m.name",
            table=table,
        ):
            node = found["m"]
            if node.get("state") != "applied":
                progress[str(node["name"])] = Progress(
                    int(node["done"]), bool(node["begun"]), str(node["checksum"]), str(node.get("head", ""))
                )
                continue
            at = node.get("executed_at")
            took = node.get("execution_time_ms")
            rows.append(
                Row(
                    node.get("number"),
                    node.get("name"),
                    None if at is None else at.to_native(),
                    node.get("checksum"),
                    node.get("description"),
                    None if took is None else int(took),
                )
            )
        return History(tuple(rows), bool(rows or progress), progress)

    def prepare(self, table: str, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
        """See `Migrates`: nodes need no preparation."""

    def record(self, table: str, entry: Entry, like: tuple[Row, Mapping[str, str]] | None) -> None:
        """See `Migrates`."""
        del like
        with self._transaction() as transaction:
            _applied(transaction, table, entry)

    def forget(self, table: str, row: Row | None, name: str) -> None:
        """See `Migrates`."""
        with self._transaction() as transaction:
            for one in {name, *([row.name] if row is not None and row.name else [])}:
                _sent(transaction, f"MATCH (m:{_NODE}) DELETE m", table=table, name=one)

    def carry(self, table: str, part: Part, judge: Judge) -> None:
        """See `Migrates`."""
        group = part.group
        if group is not None and (group.alone or group.kind == SCHEMA):
            with self._transaction() as transaction:
                _noted(transaction, table, part, begun=True)
            self._apart(group, part.again)
            with self._transaction() as transaction:
                _noted(transaction, table, part, begun=False)
            group = None
            if not part.last:
                return
        with self._transaction() as transaction:
            if part.entry is not None:
                _unclaimed(transaction, table, part)
            if group is not None:
                self._run(transaction, group)
            if not part.last:
                _noted(transaction, table, part, begun=False)
                return
            judge(Asking(self, transaction))
            for name in {part.name, *([part.remove.name] if part.remove is not None and part.remove.name else [])}:
                _sent(transaction, f"MATCH (m:{_NODE}) DELETE m", table=table, name=name)
            if part.entry is not None:
                _applied(transaction, table, part.timed(part.entry))

    def _run(self, transaction: neo4j.Transaction, group: Group) -> None:
        if group.code is not None:
            group.code(transaction)
        for statement in group.statements:
            with self._located(statement):
                _sent(transaction, statement.text)

    def _apart(self, group: Group, again: bool) -> None:
        """Schema statements in one transaction; after a broken try one by one, past those that are done."""
        if group.alone:
            with self._located(group.statements[0]), self._session.open_session() as session:
                query: Any = group.statements[0].text
                session.run(query).consume()
        elif not again:
            with self._transaction() as transaction:
                self._run(transaction, group)
        else:
            for statement in group.statements:
                try:
                    with self._transaction() as transaction:
                        self._run(transaction, Group((statement,)))
                except StoreError as error:
                    if faults.code_of(error) not in _DONE:
                        raise

    @contextmanager
    def _transaction(self) -> Iterator[neo4j.Transaction]:
        """Begin; commit on leaving, roll back on an exception."""
        with self._session.translated(), self._session.open_session() as session:
            transaction = session.begin_transaction(metadata={"app": "reconcile"})
            try:
                yield transaction
                transaction.commit()
            finally:
                transaction.close()

    @contextmanager
    def _located(self, statement: Statement) -> Iterator[None]:
        try:
            with self._session.translated():
                yield
        except StoreError as error:
            where = f"store {self.name}"
            raise StatementError(error.what, statement.line, where=where, hint=error.hint) from error

    @contextmanager
    def rehearsing(self) -> Iterator[Callable[[Group], None]]:
        """See `Migrates`: statements on data only, since those on the schema cannot be seen by them anyway."""
        with self._session.translated(), self._session.open_session() as session:
            transaction = session.begin_transaction(metadata={"app": "reconcile"})
            try:
                yield lambda group: self._run(transaction, group)
            finally:
                transaction.close()


def _sent(transaction: neo4j.Transaction, statement: str, **parameters: object) -> None:
    query: Any = statement  # the driver's types ask for a literal
    transaction.run(query, parameters).consume()


def _unclaimed(transaction: neo4j.Transaction, table: str, part: Part) -> None:
    """
    Raises:
        RefusedError: somebody else recorded the migration meanwhile, or carried this part of it out.
    """
    query: Any = f"MATCH (m:{_NODE}) RETURN m.state AS state, m.done AS done LIMIT 1"
    found = transaction.run(query, {"table": table, "name": part.name}).single()
    if found is not None and found["state"] == "applied":
        raise RefusedError(f"migration {part.name} was recorded by somebody else meanwhile", hint="nothing is to do")
    group = part.group
    if found is not None and group is not None and not group.alone and group.kind != SCHEMA and found["done"] > part.at:
        raise RefusedError(f"a part of migration {part.name} ended meanwhile", hint="try again: it goes on there")


def _noted(transaction: neo4j.Transaction, table: str, part: Part, *, begun: bool) -> None:
    """Keep how far a migration is that takes several transactions."""
    _sent(
        transaction,
        f"MERGE (m:{_NODE}) SET m.state = 'running', m.done = $done, m.begun = $begun, m.checksum = $checksum,"
        " m.head = $head",
        table=table,
        name=part.name,
        done=part.at if begun else part.at + 1,
        begun=begun,
        checksum=part.checksum,
        head=part.head,
    )


def _applied(transaction: neo4j.Transaction, table: str, entry: Entry) -> None:
    _sent(
        transaction,
        f"MERGE (m:{_NODE}) SET m.state = 'applied', m.number = $number, m.executed_at = datetime(),"
        " m.checksum = $checksum, m.description = $description, m.execution_time_ms = $took"
        " REMOVE m.done, m.begun, m.head",
        table=table,
        name=entry.name,
        number=entry.number,
        checksum=next(iter(entry.checksums.values())),
        description=entry.description or None,
        took=entry.execution_time_ms,
    )


class Asking:
    """See `stores.migrating.Asker`."""

    def __init__(self, owner: Neo4jMigrations, transaction: neo4j.Transaction) -> None:
        self._owner, self._transaction = owner, transaction

    @property
    def connection(self) -> Asking:
        """What has `rows`, and refuses what writes."""
        return self

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """See `Asker`: the server is asked first whether the query writes."""
        explained: Any = f"EXPLAIN {query}"
        asked: Any = query
        with self._owner._session.translated():
            kind = self._transaction.run(explained).consume().query_type
            if kind != "r":
                raise StoreError(f"a verification may not write: {query}", where=f"store {self._owner.name}")
            return [tuple(record.values()) for record in self._transaction.run(asked)]
