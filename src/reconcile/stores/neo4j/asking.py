"""Answers to declared checks and probes: in a transaction that may only read, or in one that is taken back.

The server itself refuses to write in a transaction opened for reading, and runs one statement a message.
https://neo4j.com/docs/python-manual/current/transactions/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from reconcile.expectations import ROWS, Answer, Refused
from reconcile.model import Json, State
from reconcile.references import masked
from reconcile.stores.asking import Ask, Foreseen, Timed
from reconcile.stores.neo4j import faults, queries

if TYPE_CHECKING:
    import neo4j

QUERY_SECONDS = 30
_COMMENTS = re.compile(r"\s+|//[^\n]*|/\*.*?\*/", re.S)
_PIECES = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`]|``)*`|;", re.S)
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


def statements(text: str) -> list[tuple[int, str]]:
    """See `stores.asking.Askable`.

    >>> statements("RETURN 1;\\n// two\\nRETURN ';' AS x;")
    [(1, 'RETURN 1'), (3, "RETURN ';' AS x")]
    """
    found, start = [], 0
    ends = [m.start() for m in _PIECES.finditer(text) if m[0] == ";"]
    for end in [*ends, len(text)]:
        begin = start
        while (blank := _COMMENTS.match(text, begin, end)) is not None:
            begin = blank.end()
        if begin < end:
            found.append((text.count("\n", 0, begin) + 1, text[begin:end].strip()))
        start = end + 1
    return found


def answered(session: neo4j.Session, asks: Iterable[Ask], seconds: float, took: list[float] | None = None) -> Answer:
    """Carry them out in one transaction and roll it back.

    Args:
        took: is given the seconds of each.

    Raises:
        Neo4jError, DriverError: the server does not answer.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    found, number = Answer(), 0
    transaction = session.begin_transaction(timeout=seconds)
    try:
        for number, ask in enumerate(asks, 1):  # noqa: B007  # of the one that is refused
            began = monotonic()
            result = transaction.run(ask.text, dict(_parameters(ask)))
            rows = [tuple(map(plain, record.values())) for record in islice(result, ROWS + 1)]
            if len(rows) <= ROWS:
                result.consume()
            if took is not None:
                took.append(monotonic() - began)
            found = Answer(tuple(rows[:ROWS]), cut=len(rows) > ROWS)
    except Neo4jError as error:
        return Answer(refused=_refused(error, seconds), at=number)
    finally:
        with suppress(Neo4jError, DriverError, OSError):  # it is gone, and nothing of it is left
            transaction.close()
    return found


def _scans(plan: Any) -> Iterator[str]:
    """What a plan, as EXPLAIN gives it, reads from end to end."""
    if not isinstance(plan, Mapping):
        return
    operator = str(plan.get("operatorType", "")).partition("@")[0]
    if operator in ("NodeByLabelScan", "AllNodesScan", "UnionNodeByLabelsScan", "DirectedAllRelationshipsScan"):
        details = str((plan.get("args") or {}).get("Details") or "")
        yield f"{operator} of {details}" if details else operator
    for inner in plan.get("children") or ():
        yield from _scans(inner)


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

        def open_session(self, **settings: Any) -> neo4j.Session:
            """The session's."""

        def translated(self) -> AbstractContextManager[None]:
            """The session's."""

    def answer(self, ask: Ask, seconds: float) -> Answer:
        """See `stores.asking.Answers`."""
        return self._within([ask], seconds, writes=False)

    def tried(self, asks: Sequence[Ask], seconds: float) -> Answer:
        """See `stores.asking.Answers`: constraints are enforced by the statement itself."""
        return self._within(asks, seconds, writes=True)

    def prepared(self, ask: Ask, seconds: float) -> Refused | None:
        """See `stores.asking.Prepares`: by EXPLAIN, which runs nothing and asks for no parameters."""
        explain = Ask(ask.way, f"EXPLAIN {ask.text}", ask.source)
        return self._within([explain], seconds, writes=True).refused

    def foreseen(self, asks: Sequence[Ask], now: State, target: State, declared: State) -> Sequence[Foreseen]:
        """See `stores.asking.Prepares`: by the names in them; what is no Cypher now will be none then."""
        found = []
        for ask in asks:
            seen = queries.foreseen(ask, now, target, declared)
            wrong = seen.refused or self.prepared(ask, QUERY_SECONDS)
            found.append(Foreseen(wrong, seen.gone, seen.notes))
        return found

    def timed(self, ask: Ask, runs: int, seconds: float) -> Timed:
        """See `stores.asking.Times`; what it scans is as EXPLAIN tells."""
        took: list[float] = []
        answer = self._within([ask] * runs, seconds, writes=False, took=took)
        if answer.refused is not None:
            return Timed(refused=answer.refused)
        with self.translated(), self.open_session() as session:
            plan = session.run(f"EXPLAIN {ask.text}", dict(_parameters(ask))).consume().plan
        return Timed(tuple(took), tuple(dict.fromkeys(_scans(plan))))

    def _within(self, asks: Sequence[Ask], seconds: float, *, writes: bool, took: list[float] | None = None) -> Answer:
        import neo4j

        mode = neo4j.WRITE_ACCESS if writes else neo4j.READ_ACCESS
        with self.translated(), self.open_session(default_access_mode=mode, fetch_size=ROWS + 1) as session:
            return answered(session, asks, seconds, took)
