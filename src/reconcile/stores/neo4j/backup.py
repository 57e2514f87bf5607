"""A graph into files and back, through Bolt while clients work: nodes, relationships, constraints and indexes.

The Community Edition cannot copy a database that runs, and reads see what others commit meanwhile. So what is written
is counted against the server before and after, and a relationship never points at a node that is not in the files.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from reconcile.backups import Contents
from reconcile.errors import ReconcileError, StoreError
from reconcile.model import Json
from reconcile.stores.backups import Made, Tell
from reconcile.stores.neo4j import cypher, introspect
from reconcile.stores.neo4j.graphlines import decode, digest, encode, line
from reconcile.stores.neo4j.numbers import Numbers

if TYPE_CHECKING:
    import neo4j

NODES, RELATIONSHIPS, SCHEMA = "nodes.jsonl.gz", "relationships.jsonl.gz", "schema.jsonl"
FETCH = 1000
ROWS, BYTES = 5000, 4_000_000
"""The most in a transaction of a restore."""
_LEVEL = 3
_LATE = 100_000
"""So many nodes made after the scan may be the end of a relationship; more, and the graph is too busy."""
_DELETED = 10_000
_PUTTING_BACK = {"reconcile": "restore"}
"""By which transactions of a restore that was killed are known: the server may still be at work on one."""
_SUM = 1 << 64
_MARK = f"`{introspect.MARK_LABEL}`"
_ALL_NODES = (
    f"MATCH (n) WHERE NOT n:{_MARK} RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS properties"
)
_ONE_NODE = _ALL_NODES.replace("WHERE ", "WHERE elementId(n) IN $ids AND ")
_ALL_RELATIONSHIPS = (
    "MATCH (a)-[r]->(b) RETURN elementId(a) AS start, elementId(b) AS end, type(r) AS type, properties(r) AS properties"
)
_COUNTS = (
    f"CALL {{ MATCH (n) RETURN count(n) AS every }} CALL {{ MATCH (m:{_MARK}) RETURN count(m) AS marks }}"
    " CALL { MATCH ()-[r]->() RETURN count(r) AS relationships } RETURN every - marks AS nodes, relationships"
)
_TRANSACTIONS = "SHOW TRANSACTIONS YIELD transactionId AS id, metaData"
_TERMINATE = "TERMINATE TRANSACTIONS $ids YIELD message RETURN message"
_CONSTRAINTS = "SHOW CONSTRAINTS YIELD name, type, entityType, labelsOrTypes, properties, createStatement"
_INDEXES = (
    "SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, options, state, owningConstraint,"
    " createStatement"
)


@dataclass
class _Sums:
    """Counts and hashes while they grow."""

    counts: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, number: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
        self.hashes[what] = (self.hashes.get(what, 0) + number) % _SUM

    def contents(self) -> Contents:
        return Contents(self.counts, {what: f"{number:016x}" for what, number in self.hashes.items()})


def number_of(element: str) -> int:
    """The number in an element id `4:DATABASE:7`."""
    _, _, number = element.rpartition(":")
    if not number.isdigit():
        raise StoreError(f"the server names its elements in a way that is not known: {element}")
    return int(number)


class Walk:
    """All of a graph in one read transaction, each element as a line."""

    def __init__(self, transaction: neo4j.Transaction, tell: Tell) -> None:
        self._run, self._tell = transaction.run, tell
        self.sums = _Sums()
        self._digests = Numbers()
        self._late: list[bytes] = []

    def nodes(self) -> Iterator[bytes]:
        """The nodes there are."""
        for done, row in enumerate(self._run(_ALL_NODES), 1):
            yield self._node(row)
            if done % 100_000 == 0:
                self._tell(f"{done:,} nodes")

    def _node(self, row: Any) -> bytes:
        key, labels = number_of(row["id"]), sorted(row["labels"])
        properties = _properties(row, f"node {row['id']}")
        number = digest(labels, properties)
        self._digests[key] = number
        self.sums.add("nodes", number)
        for label in labels:
            self.sums.add(f"label {label}", number)
        return line({"key": key, "labels": labels, "properties": properties})

    def relationships(self) -> Iterator[bytes]:
        """The relationships; nodes made since `nodes` that they need go to `late`."""
        for done, row in enumerate(self._run(_ALL_RELATIONSHIPS), 1):
            start, end = number_of(row["start"]), number_of(row["end"])
            ends = [self._digests.get(key) for key in (start, end)]
            if None in ends:
                ends = [self._known(row[side]) for side in ("start", "end")]
                if None in ends:
                    continue  # deleted since, with the relationship; or the tool's own node
            properties = _properties(row, f"a relationship {row['type']}")
            number = digest(row["type"], properties, *ends)
            self.sums.add("relationships", number)
            self.sums.add(f"relationship type {row['type']}", number)
            yield line({"type": row["type"], "start": start, "end": end, "properties": properties})
            if done % 100_000 == 0:
                self._tell(f"{done:,} relationships")

    def late(self) -> list[bytes]:
        """Nodes that were made while the others were read."""
        return self._late

    def _known(self, element: str) -> int | None:
        key = number_of(element)
        if self._digests.get(key) is None:
            for row in list(self._run(_ONE_NODE, ids=[element])):
                self._late.append(self._node(row))
        if len(self._late) > _LATE:
            raise StoreError(
                f"more than {_LATE:,} nodes were made while the graph was read",
                hint="back up when less is written, or by a program of yours: `backup: {command: [PROGRAM, …]}`",
            )
        return self._digests.get(key)

    def close(self) -> None:
        """Forget all."""
        self._digests.close()


def _properties(row: Any, what: str) -> dict[str, Json]:
    try:
        return {key: encode(value) for key, value in sorted(row["properties"].items())}
    except ReconcileError as error:
        raise StoreError(f"{what}: {error.what}", hint=error.hint) from error


class Backup:
    """Of one database.

    Args:
        opened: gives a session of the driver, with what is passed to it.
        read: all rows of a statement.
    """

    def __init__(
        self, opened: Callable[..., neo4j.Session], read: Callable[..., list[Mapping[str, Any]]], head: str, place: str
    ) -> None:
        self._opened, self._read, self._head, self._place = opened, read, head, place

    def back_up(self, folder: Path, tell: Tell) -> Made:
        """See `BacksUp.back_up`."""
        import neo4j

        with (
            self._opened(fetch_size=FETCH, default_access_mode=neo4j.READ_ACCESS) as session,
            session.begin_transaction(timeout=0) as transaction,
            closing(Walk(transaction, tell)) as walk,
        ):
            before = self._counts(transaction)
            with _packed(folder / NODES) as nodes:
                _write(nodes, walk.nodes())
                with _packed(folder / RELATIONSHIPS) as relationships:
                    _write(relationships, walk.relationships())
                _write(nodes, iter(walk.late()))
            after = self._counts(transaction)
        found = walk.sums.counts
        written = (found.get("nodes", 0), found.get("relationships", 0))
        notes = []
        if not before == written == after:
            notes.append(
                f"the graph was written to meanwhile: {written[0]:,} nodes and {written[1]:,} relationships are in the"
                f" files, of {before[0]:,} and {before[1]:,} before and {after[0]:,} and {after[1]:,} after"
            )
        schema = self._schema()
        with (folder / SCHEMA).open("wb") as handle:
            handle.writelines(map(line, schema))
        return Made(_with_schema(walk.sums.contents(), schema), {}, tuple(notes))

    def contents(self, tell: Tell) -> Contents:
        """See `BacksUp.contents`."""
        import neo4j

        with (
            self._opened(fetch_size=FETCH, default_access_mode=neo4j.READ_ACCESS) as session,
            session.begin_transaction(timeout=0) as transaction,
            closing(Walk(transaction, tell)) as walk,
        ):
            for _ in walk.nodes():
                pass
            for _ in walk.relationships():
                pass
        return _with_schema(walk.sums.contents(), self._schema())

    def _counts(self, transaction: neo4j.Transaction) -> tuple[int, int]:
        row = transaction.run(_COUNTS).single(strict=True)
        return int(row["nodes"]), int(row["relationships"])

    def _schema(self) -> list[dict[str, Json]]:
        """Constraints, then indexes of their own, by name."""
        found = []
        for kind, statement in (("constraint", _CONSTRAINTS), ("index", _INDEXES)):
            for row in sorted(self._read(statement), key=lambda row: str(row["name"])):
                if row.get("owningConstraint") is None:
                    what = {k: row[k] for k in ("name", "type", "entityType", "labelsOrTypes", "properties")}
                    extra = {"config": (row["options"] or {}).get("indexConfig")} if kind == "index" else {}
                    state = {"state": row["state"]} if kind == "index" else {}
                    found.append({"kind": kind, **what, **extra, **state, "statement": row["createStatement"]})
        return found

    def in_the_way(self) -> list[str]:
        """See `BacksUp.in_the_way`."""
        row = self._read(_COUNTS)[0]
        found = [f"{row[what]:,} {what}" for what in ("nodes", "relationships") if row[what]]
        return found + [f"{s['kind']} {s['name']}" for s in self._schema() if s["type"] != "LOOKUP"]

    def put_back(self, folder: Path, made: Made, replace: bool, tell: Tell) -> list[str]:
        """See `BacksUp.put_back`."""
        self._end_others()
        if replace:
            self._empty(tell)
        with self._opened() as session, closing(Numbers()) as keys:
            writer = _Writer(session, self._head, keys, tell)
            with gzip.open(folder / NODES) as lines:
                for text in lines:
                    writer.node(json.loads(text), len(text))
            writer.flush()
            with gzip.open(folder / RELATIONSHIPS) as lines:
                for text in lines:
                    writer.relationship(json.loads(text), len(text))
            writer.flush()
            self._make_schema(session, [json.loads(text) for text in (folder / SCHEMA).read_bytes().splitlines()], tell)
        del made
        return []

    def _end_others(self) -> None:
        """End what a restore that was killed still does, and wait until nothing of it is left."""
        while True:
            ids = [r["id"] for r in self._read(_TRANSACTIONS) if dict(r["metaData"] or {}) == _PUTTING_BACK]
            if not ids:
                return
            self._read(_TERMINATE, ids=ids)
            time.sleep(0.05)

    def _empty(self, tell: Tell) -> None:
        """The tool's mark stays: it says that a restore is under way."""
        tell("deleting what there is")
        with self._opened() as session:
            for entry in self._schema():
                if entry["type"] != "LOOKUP":
                    word = "CONSTRAINT" if entry["kind"] == "constraint" else "INDEX"
                    _sent(session, f"{self._head}DROP {word} $name IF EXISTS", name=entry["name"])
            statement = f"{self._head}MATCH (n) WHERE NOT n:{_MARK} WITH n LIMIT {_DELETED} DETACH DELETE n"
            while _sent(session, statement).counters.nodes_deleted:
                pass

    def _make_schema(self, session: neo4j.Session, schema: Sequence[Mapping[str, Any]], tell: Tell) -> None:
        """Those lookup indexes that are not as they were go; all else is new."""
        wanted = {e["name"]: e["entityType"] for e in schema}
        there = set()
        for entry in self._schema():
            if entry["type"] == "LOOKUP":
                if wanted.get(entry["name"]) == entry["entityType"]:
                    there.add(entry["name"])
                else:
                    _sent(session, f"{self._head}DROP INDEX $name", name=entry["name"])
        for made in schema:
            if made["name"] not in there:
                tell(f"{made['kind']} {made['name']}")
                _sent(session, str(made["statement"]))
        _sent(session, f"{self._head}CALL db.awaitIndexes(86400)")


def _sent(session: neo4j.Session, statement: str, **parameters: Any) -> neo4j.ResultSummary:
    import neo4j

    query = neo4j.Query(statement, metadata=_PUTTING_BACK)
    return session.run(query, parameters).consume()


class _Writer:
    """Lines into the graph, in transactions of like ones."""

    def __init__(self, session: neo4j.Session, head: str, keys: Numbers, tell: Tell) -> None:
        self._session, self._head, self._keys, self._tell = session, head, keys, tell
        self._waiting: dict[tuple[str, ...], list[Json]] = {}
        self._sizes: dict[tuple[str, ...], int] = {}
        self._bytes, self._done = 0, 0
        self._prefix = ""

    def node(self, entry: Mapping[str, Any], size: int) -> None:
        self._add(("node", *entry["labels"]), entry, size)

    def relationship(self, entry: Mapping[str, Any], size: int) -> None:
        self._add(("relationship", entry["type"]), entry, size)

    def _add(self, kind: tuple[str, ...], entry: Mapping[str, Any], size: int) -> None:
        properties = {key: decode(value) for key, value in entry["properties"].items()}
        self._waiting.setdefault(kind, []).append({**entry, "properties": properties})
        self._sizes[kind] = self._sizes.get(kind, 0) + size
        self._bytes += size
        if len(self._waiting[kind]) >= ROWS or self._sizes[kind] >= BYTES:
            self._send(kind)
        elif self._bytes >= 8 * BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        for kind in list(self._waiting):
            self._send(kind)

    def _send(self, kind: tuple[str, ...]) -> None:
        rows = self._waiting.pop(kind)
        self._bytes -= self._sizes.pop(kind)
        with self._session.begin_transaction(metadata=_PUTTING_BACK, timeout=0) as transaction:
            if kind[0] == "node":
                self._nodes(transaction, kind[1:], rows)
            else:
                self._relationships(transaction, kind[1], rows)
            transaction.commit()
        before, self._done = self._done, self._done + len(rows)
        if self._done // 100_000 > before // 100_000:
            self._tell(f"{self._done:,} nodes and relationships")

    def _nodes(self, transaction: neo4j.Transaction, labels: Sequence[str], rows: Sequence[Any]) -> None:
        words = "".join(f":{cypher.quote(label)}" for label in labels)
        statement = f"UNWIND $rows AS row CREATE (n{words}) SET n = row.p RETURN row.k AS key, elementId(n) AS id"
        sent = [{"k": row["key"], "p": row["properties"]} for row in rows]
        for row in transaction.run(self._head + statement, rows=sent):
            self._keys[row["key"]] = number_of(row["id"])
            self._prefix = row["id"].rpartition(":")[0]

    def _relationships(self, transaction: neo4j.Transaction, kind: str, rows: Sequence[Any]) -> None:
        statement = (
            "UNWIND $rows AS row MATCH (a) WHERE elementId(a) = row.s MATCH (b) WHERE elementId(b) = row.e"
            f" CREATE (a)-[r:{cypher.quote(kind)}]->(b) SET r = row.p"
        )
        sent = [
            {"s": self._element(row["start"]), "e": self._element(row["end"]), "p": row["properties"]} for row in rows
        ]
        transaction.run(self._head + statement, rows=sent).consume()

    def _element(self, key: int) -> str:
        number = self._keys.get(key)
        if number is None:
            raise StoreError(f"a relationship names node {key}, which is not in {NODES}")
        return f"{self._prefix}:{number}"


def _packed(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "wb", compresslevel=_LEVEL))


def _write(handle: BinaryIO, lines: Iterator[bytes]) -> None:
    for text in lines:
        handle.write(text)


def _with_schema(contents: Contents, schema: Sequence[Mapping[str, Json]]) -> Contents:
    own = {f"{e['kind']} {e['name']}": e for e in schema}
    hashes = {
        what: f"{digest({k: v for k, v in e.items() if k not in ('statement', 'state')}):016x}"
        for what, e in own.items()
    }
    return Contents({**contents.counts, **dict.fromkeys(own, 1)}, {**contents.hashes, **hashes})


def inspect(folder: Path, made: Made) -> list[str]:
    """See `Inspects.inspect`: whether each file can be unpacked to its end, and has as many lines as was counted."""
    found = []
    for name, what in ((NODES, "nodes"), (RELATIONSHIPS, "relationships")):
        wanted = made.contents.counts.get(what, 0)
        try:
            with gzip.open(folder / name) as handle:
                lines = sum(piece.count(b"\n") for piece in iter(lambda: handle.read(1 << 20), b""))
        except (OSError, EOFError) as error:
            found.append(f"{name}: cannot be unpacked: {error}")
            continue
        if lines != wanted:
            found.append(f"{name}: {lines:,} lines instead of {wanted:,}")
    return found
