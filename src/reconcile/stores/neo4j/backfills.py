"""Backfills of a graph: what a MATCH selects, by the server's ids, each batch in a transaction of its own.

There is no index on what is absent, and none on ids either that a range of them could be read by: going on after a key
would look at all that is before it, each time. So the ids are read once, and each batch finds its elements by theirs,
and looks whether they are still selected. An id is kept by its element as long as that lives. To count is to look at
all of them too (of 200,000: a fifth of the whole work): who has counted has the ids, and the first batch uses them.
"""

from __future__ import annotations

import re
import uuid
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconcile.errors import RefusedError, StoreError
from reconcile.model import Address, Json
from reconcile.stores.filling import Batch, KeyNames, Save, Value, Wanted
from reconcile.stores.neo4j import cypher

if TYPE_CHECKING:
    import neo4j

    from reconcile.stores.neo4j.session import Neo4jSession

MARK = "`__ReconcileBackfill`"
"""The label of the node that has the last key of a backfill whose rows stay selected, written with each batch, and
who goes on with it; also of a range that a worker does."""
_KEY = "rc__key"
_AT_ONCE = 10_000


class Neo4jFilling:
    """See `stores.filling.Filling`."""

    def __init__(self, session: Neo4jSession, wanted: Wanted) -> None:
        self.session, self.wanted = session, wanted
        if wanted.gone:
            hint = "labels, properties and relationships of each are in the ledger's backfill_rows"
            raise StoreError("elements that are gone are not made again", where=str(wanted.address), hint=hint)
        self.head = cypher.prefix(session.server())
        if not isinstance(wanted.key, str):
            what = "`key` is the variable of the node or relationship"
            raise StoreError(what, where=str(wanted.address), hint="the server's id of it is what it is told apart by")
        self.name, self.bare = cypher.quote(wanted.key), wanted.key
        self.select = wanted.select.strip().rstrip(";")
        self.fields = ", ".join(f"{cypher.quote(n)}: {e}" for n, e in wanted.fields.items())
        self._ids: array[int] | None = None
        self._counted: array[int] | None = None
        self._last: int | None = None
        self._marks = wanted.once or wanted.part is not None
        self._owner, self._owns = uuid.uuid4().hex, False
        self.again = f"UNWIND $keys AS {_KEY} {self._element} WITH {self.name}, {_KEY}\n{self.select}\n"

    @property
    def _mark(self) -> str:
        part = self.wanted.part
        return str(self.wanted.address) if part is None else f"{self.wanted.address} {part}"

    @property
    def relationship(self) -> bool:
        """Whether the key is one: `select` has it in brackets."""
        names = f"{re.escape(self.bare)}|{re.escape(self.name)}"
        return re.search(rf"\[\s*(?:{names})\s*(?:[:\]*{{|]|(?i:WHERE)\b)", self.select) is not None

    @property
    def _element(self) -> str:
        """The MATCH of an element by its id: of a relationship, if `select` has the key in brackets."""
        pattern = f"()-[{self.name}]->()" if self.relationship else f"({self.name})"
        return f"MATCH {pattern} WHERE id({self.name}) = {_KEY}"

    def count(self) -> int:
        """See `Filling.count`."""
        self._counted = self._all()
        return len(self._counted)

    def split(self, rows: int) -> list[Json]:
        """See `Filling.split`."""
        counted, self._counted = self._counted, None
        return (self._all() if counted is None else counted)[rows - 1 :: rows].tolist()

    def read(self, after: Json, size: int, until: Json = None) -> Batch:
        """See `Filling.read`."""
        if self._ids is None or after is None:
            if self.wanted.part is not None:
                self._ids = self._all(after, until)
            else:
                self._ids, self._counted = self._all() if self._counted is None else self._counted, None
            marked = self._claimed() if self._marks and self.wanted.stamp else None  # a look claims nothing
            self._last = marked if self.wanted.once else None
        known = [key for key in (after, self._last if self.wanted.once else None) if key is not None]
        start = bisect_right(self._ids, max(known)) if known else 0
        while start < len(self._ids):
            keys = self._ids[start : start + size].tolist()
            start += size
            if self.wanted.statement is not None:
                return Batch(tuple(keys))
            rows = self.session.read(
                f"{self.again}RETURN id({self.name}) AS {_KEY}, {{{self.fields}}} AS row", keys=keys
            )
            if rows:  # else all of them went meanwhile
                found = {row[_KEY]: row["row"] for row in rows}
                ordered = [key for key in keys if key in found]
                return Batch(tuple(ordered), tuple(found[key] for key in ordered))
        return Batch(())

    def _all(self, after: Json = None, until: Json = None) -> array[int]:
        """The ids of all that is selected, or of what is within a range, in order."""
        import neo4j

        tests = [
            f"id({self.name}) {word}" for word, key in (("> $after", after), ("<= $until", until)) if key is not None
        ]
        range_ = f"WITH {self.name} WHERE {' AND '.join(tests)}\n" if tests else ""
        query = f"{self.head}{self.select}\n{range_}RETURN DISTINCT id({self.name}) AS key"
        found = array("q")
        with self.session.translated(), self.session.open_session(fetch_size=_AT_ONCE) as session:
            for record in session.run(neo4j.Query(query), after=after, until=until):
                found.append(record[0])
        return array("q", sorted(found))

    def _claimed(self) -> int | None:
        """The last key that is done; whoever went on with it before is refused from now on."""
        query = (
            f"{self.head}MERGE (m:{MARK} {{backfill: $backfill}}) SET m.owner = $owner,"
            " m.after = CASE WHEN m.stamp = $stamp THEN m.after END, m.stamp = $stamp RETURN m.after AS after"
        )
        given = {"backfill": self._mark, "owner": self._owner, "stamp": self.wanted.stamp}
        with self.session.translated(), self.session.open_session() as session:
            found = session.execute_write(lambda tx: tx.run(query, given).single(strict=True)["after"])
        self._owns = True
        return None if found is None else int(found)

    def _hold(self, transaction: neo4j.Transaction, last: Json) -> None:
        """Write the last key of a batch first: the mark's lock keeps others from going on with it meanwhile.

        Raises:
            RefusedError: another one has claimed it.
        """
        query = (
            f"{self.head}MATCH (m:{MARK} {{backfill: $backfill}}) SET m.held = true"
            " WITH m WHERE m.owner = $owner SET m.after = $after RETURN count(m) AS there"
        )
        given = {"backfill": self._mark, "owner": self._owner, "after": last}
        if not transaction.run(query, given).single(strict=True)["there"]:
            raise RefusedError("another process goes on with it", where=self._mark, hint="see: reconcile status")

    def change(self, batch: Batch, values: Sequence[Value] | None, save: Save) -> int:
        """See `Filling.change`."""
        with self.session.translated(), self.session.open_session() as session:
            if self._marks and not self._owns:
                self._claimed()
            transaction = session.begin_transaction(metadata={"app": "reconcile"})
            with transaction:
                if self._marks:
                    self._hold(transaction, batch.keys[-1])
                olds = self._olds(transaction, batch, values)
                if values is None:
                    count = self._run(transaction, f"{self.again}{self.wanted.statement}", keys=list(batch.keys))
                else:
                    count = self._write(transaction, values)
                save(transaction, count, olds)
                transaction.commit()
        return count

    def _write(self, transaction: neo4j.Transaction, values: Sequence[Value]) -> int:
        rows = [{"key": v.key, "fields": dict(v.fields)} for v in values]
        still = "" if self.wanted.once else f"WITH {self.name}, rc__row\n{self.select}\n"
        found = self._element.replace(_KEY, "rc__row.key")
        return self._run(
            transaction,
            f"UNWIND $rows AS rc__row {found} {still}WITH DISTINCT {self.name}, rc__row"
            f" SET {self.name} += rc__row.fields RETURN count(*) AS rc__count",
            rows=rows,
        )

    def _olds(self, transaction: neo4j.Transaction, batch: Batch, values: Sequence[Value] | None) -> list[Value]:
        """What the elements held that are about to be changed, as far as it is kept."""
        if self.wanted.keeps is None:
            return []
        names = self.wanted.keeps or tuple(dict.fromkeys(n for v in values or () for n in v.fields))
        keys = [v.key for v in values] if values is not None else list(batch.keys)
        shown = (
            self._whole
            if names == ("*",)
            else "{" + ", ".join(f"{cypher.quote(n)}: {self.name}.{cypher.quote(n)}" for n in names) + "}"
        )
        query = f"{self.head}UNWIND $keys AS {_KEY} {self._element} RETURN {_KEY} AS key, {shown} AS row"
        return [Value(r["key"], r["row"]) for r in transaction.run(query, keys=keys)]

    @property
    def _whole(self) -> str:
        """All that goes with it: of a node its labels and relationships too, of a relationship type and ends."""
        if self.relationship:
            ends = f"start: id(startNode({self.name})), end: id(endNode({self.name}))"
            return f"{{type: type({self.name}), properties: properties({self.name}), {ends}}}"
        joined = (
            "type: type(rc__r), properties: properties(rc__r), start: id(startNode(rc__r)), end: id(endNode(rc__r))"
        )
        relationships = f"[({self.name})-[rc__r]-() | {{{joined}}}]"
        return f"{{labels: labels({self.name}), properties: properties({self.name}), relationships: {relationships}}}"

    def _run(self, transaction: neo4j.Transaction, statement: str, **parameters: Any) -> int:
        """Run one; how many rows it says it changed, or how many things the server counted."""
        result = transaction.run(self.head + statement, parameters)
        rows: list[Mapping[str, Any]] = [dict(record) for record in result]
        if rows and "rc__count" in rows[0]:
            return int(rows[0]["rc__count"])
        counters = result.consume().counters
        return max(
            counters.properties_set,
            counters.labels_added + counters.labels_removed,
            counters.nodes_created + counters.nodes_deleted,
            counters.relationships_created + counters.relationships_deleted,
        )

    def ask(self, query: str) -> Json:
        """See `Filling.ask`."""
        rows = self.session.read(query)
        if len(rows) != 1 or len(rows[0]) != 1:
            where = str(self.wanted.address)
            raise StoreError("a query has to give one value", where=where, hint=f"in: {' '.join(query.split())}")
        return next(iter(rows[0].values()))

    def end(self) -> None:
        """See `Filling.end`: the node that has the last key."""
        if self._marks:
            with self.session.translated(), self.session.open_session() as session:
                query = f"MATCH (m:{MARK} {{backfill: $backfill}}) WHERE m.owner = $owner OR m.stamp <> $stamp DELETE m"
                given = {"backfill": self._mark, "owner": self._owner, "stamp": self.wanted.stamp}
                session.execute_write(lambda tx: tx.run(query, given).consume())


class Neo4jReceiving:
    """See `stores.filling.Receiving`: nodes of a label by a property, which a constraint should make unique."""

    def __init__(self, session: Neo4jSession, into: Address, key: KeyNames | None) -> None:
        self.session, self.where = session, str(into)
        if into.kind != "label" or key is None:
            hint = "into: STORE.label.NAME, with `into_key`"
            raise StoreError("rows become nodes of a label, told apart by a property", where=str(into), hint=hint)
        self.names = (key,) if isinstance(key, str) else key
        label = cypher.quote(into.parts[-1])
        same = ", ".join(f"{cypher.quote(name)}: row.key[{n}]" for n, name in enumerate(self.names))
        self.statement = (
            f"{cypher.prefix(session.server())}UNWIND $rows AS row MERGE (n:{label} {{{same}}})"
            f" SET n += row.fields RETURN count(DISTINCT n) AS there"
        )

    def put(self, values: Sequence[Value]) -> int:
        """See `Receiving.put`."""
        rows = [{"key": v.key if isinstance(v.key, tuple) else (v.key,), "fields": dict(v.fields)} for v in values]
        if odd := [row["key"] for row in rows if len(row["key"]) != len(self.names)]:
            hint = "`into_key` has a property for each one of `key`"
            raise StoreError(f"the key {odd[0]} has other parts than {self.names}", where=self.where, hint=hint)
        with self.session.translated(), self.session.open_session() as session:
            return int(session.execute_write(lambda tx: tx.run(self.statement, rows=rows).single(strict=True)["there"]))
