"""Answers to declared checks and probes: in a transaction that may only read, or in one that is taken back.

The server itself refuses to write in a transaction opened for reading, and runs one statement a message.
https://neo4j.com/docs/python-manual/current/transactions/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from reconcile.expectations import ROWS, Answer, Refused
from reconcile.model import Json
from reconcile.references import masked
from reconcile.stores.asking import Ask
from reconcile.stores.neo4j import faults

if TYPE_CHECKING:
    import neo4j

_COMMENTS = re.compile(r"\s+|//[^\n]*|/\*.*?\*/", re.S)
_OWN = re.compile(r"\bIN\s+(?:\d+\s+CONCURRENT\s+)?TRANSACTIONS\b", re.I)


def fault(ask: Ask, *, writes: bool) -> str | None:
    """See `stores.asking.Askable`."""
    rest, found = ask.text, _COMMENTS.match(ask.text)
    while found:
        rest, found = rest[found.end() :], _COMMENTS.match(rest[found.end() :])
    if not rest:
        return "is empty"
    if writes and _OWN.search(ask.text):
        return "commits by itself (IN TRANSACTIONS): a probe is taken back"
    return None


def answered(session: neo4j.Session, asks: Iterable[Ask], seconds: float) -> Answer:
    """Carry them out in one transaction and roll it back.

    Raises:
        Neo4jError, DriverError: the server does not answer.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    found, number = Answer(), 0
    transaction = session.begin_transaction(timeout=seconds)
    try:
        for number, ask in enumerate(asks, 1):  # noqa: B007  # of the one that is refused
            result = transaction.run(ask.text, dict(_parameters(ask)))
            rows = [tuple(map(plain, record.values())) for record in islice(result, ROWS + 1)]
            if len(rows) <= ROWS:
                result.consume()
            found = Answer(tuple(rows[:ROWS]), cut=len(rows) > ROWS)
    except Neo4jError as error:
        return Answer(refused=_refused(error, seconds), at=number)
    finally:
        with suppress(Neo4jError, DriverError, OSError):  # it is gone, and nothing of it is left
            transaction.close()
    return found


def _parameters(ask: Ask) -> Mapping[str, Json]:
    given = ask.options.get("parameters") or {}
    return given if isinstance(given, Mapping) else {str(n): value for n, value in enumerate(given, 1)}


def _refused(error: Any, seconds: float) -> Refused:
    code = faults.code_of(error)
    what = masked(str(getattr(error, "message", None) or error).split("\n")[0])
    names = tuple(dict.fromkeys((code.rpartition(".")[2], code)))
    if code in faults.TOO_MUCH:
        return Refused(names, f"no answer within {seconds:g} s, or too little memory: {what}", gone=True)
    return Refused(names, f"Neo4j says: {what}", gone=code.startswith("Neo.TransientError"))


def plain(value: Any) -> Json:
    """A value of a record as JSON has it: of nodes and relationships their properties, times as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "labels") or hasattr(value, "nodes"):
        return {str(key): plain(inner) for key, inner in dict(value).items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return value.iso_format() if hasattr(value, "iso_format") else str(value)


class Answering:
    """The part of a session that answers; see `stores.asking.Answers`."""

    if TYPE_CHECKING:
        _database: str | None

        @property
        def _driver(self) -> neo4j.Driver: ...

        def translated(self) -> AbstractContextManager[None]:
            """The session's."""

    def answer(self, ask: Ask, seconds: float) -> Answer:
        """See `stores.asking.Answers`."""
        return self._within([ask], seconds, writes=False)

    def tried(self, asks: Sequence[Ask], seconds: float) -> Answer:
        """See `stores.asking.Answers`: constraints are enforced by the statement itself."""
        return self._within(asks, seconds, writes=True)

    def _within(self, asks: Sequence[Ask], seconds: float, *, writes: bool) -> Answer:
        import neo4j

        mode = neo4j.WRITE_ACCESS if writes else neo4j.READ_ACCESS
        with self.translated():
            driver = self._driver
            with driver.session(database=self._database, default_access_mode=mode, fetch_size=ROWS + 1) as session:
                return answered(session, asks, seconds)
