"""Answers to declared checks and probes: read only, or in a transaction that is taken back.

Statements go by the extended protocol (psycopg's `stream`), which carries one and no more; a transaction is ended by a
statement of its own alone, and those are refused beforehand.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from reconcile.expectations import ROWS, Answer, Refused
from reconcile.model import Json, State
from reconcile.stores.asking import Ask, Foreseen, Timed
from reconcile.stores.postgres.sqltokens import tokens

if TYPE_CHECKING:
    import psycopg

    from reconcile.stores.postgres.canonical import Connected

READS = ("select", "with", "values", "table", "show", "explain")
WRITES = (*READS, "insert", "update", "delete", "merge", "set", "call", "do")
"""What a probe may begin with: nothing that ends its transaction, which has to be taken back."""
_LOCK = "2s"
_ALIVE = 30.0
"""Seconds in which a query is to be prepared against what there is, where nothing can be built."""


def fault(ask: Ask, *, writes: bool) -> str | None:
    """See `stores.asking.Askable`."""
    found = [t for t in tokens(ask.text) if t.kind != "space"]
    while found and found[-1].text == ";":
        found.pop()
    if any(t.text == ";" for t in found):
        return "has several statements in one text" + ("; write a list of them" if writes else "")
    begins = next((t.text.lower() for t in found if t.text != "("), "")
    allowed = WRITES if writes else READS
    if begins in allowed:
        return None
    listed = ", ".join(word.upper() for word in allowed)
    only = "what is taken back" if writes else "what only reads"
    return f'begins with "{begins}"; {only} begins with one of {listed}' if begins else "is empty"


def statements(text: str) -> list[tuple[int, str]]:
    """See `stores.asking.Askable`.

    >>> statements("select 1;\\n-- two\\nselect ';' as x;\\n")
    [(1, 'select 1'), (3, "select ';' as x")]
    """
    return [
        (line, "".join(parts).strip())
        for line, parts in _apart(text)
        if any(token.strip() for token in parts if not token.startswith(("--", "/*")))
    ]


def _apart(text: str) -> Iterator[tuple[int, list[str]]]:
    """The tokens of each statement from its first that is no space, and the line of that."""
    line, first, parts = 1, 0, list[str]()
    for token in tokens(text):
        if token.text == ";" and token.kind == "other":
            yield first, parts
            first, parts = 0, []
        elif first or token.kind != "space":
            first = first or line
            parts.append(token.text)
        line += token.text.count("\n")
    yield first, parts


class Answering:
    """The part of a session that answers; see `stores.asking.Answers`."""

    schemas: tuple[str, ...]

    if TYPE_CHECKING:

        @property
        def connection(self) -> psycopg.Connection[Any]:
            """The session's."""

        def _translated(self) -> AbstractContextManager[None]: ...

    def answer(self, ask: Ask, seconds: float) -> Answer:
        """See `stores.asking.Answers`."""
        return self._within([ask], seconds)

    def tried(self, asks: Sequence[Ask], seconds: float) -> Answer:
        """See `stores.asking.Answers`."""
        return self._within(asks, seconds, "READ WRITE")

    def prepared(self, ask: Ask, seconds: float) -> Refused | None:
        """See `stores.asking.Prepares`: by PREPARE, which looks at names and types."""
        from reconcile.stores.postgres.canonical.queries import prepare

        types = [str(type_) for type_ in ask.options.get("types") or ()]
        asks = [Ask(ask.way, text, ask.source) for text in prepare(ask.text, types)]
        return self._within(asks, seconds).refused

    def foreseen(self, asks: Sequence[Ask], now: State, target: State, declared: State) -> Sequence[Foreseen]:
        """See `stores.asking.Prepares`: against what is built in scratch schemas."""
        del declared
        from reconcile.stores.postgres.canonical.queries import foreseen

        return foreseen(cast("Connected", self), asks, now, target, lambda ask: self.prepared(ask, _ALIVE))

    def timed(self, ask: Ask, runs: int, seconds: float) -> Timed:
        """See `stores.asking.Times`; what it scans is as EXPLAIN tells."""
        explained = self._within([Ask(ask.way, f"EXPLAIN (FORMAT JSON) {ask.text}", ask.source, ask.options)], seconds)
        if explained.refused is not None:
            return Timed(refused=explained.refused)
        scans = dict.fromkeys(f"sequential scan of {name}" for name in _scanned(explained.rows[0][0]))
        took: list[float] = []
        answer = self._within([ask] * runs, seconds, took=took)
        return Timed(tuple(took), tuple(scans), answer.refused)

    def _within(
        self, asks: Sequence[Ask], seconds: float, mode: str = "READ ONLY", took: list[float] | None = None
    ) -> Answer:
        """Run them in one transaction and take it back.

        Args:
            took: is given the seconds of each.
        """
        import psycopg

        from reconcile.stores.postgres.introspect import settle

        number, found = 0, Answer()
        with self._translated():
            connection = self.connection
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(
                        f"SET TRANSACTION {mode}; SET LOCAL lock_timeout = '{_LOCK}';"
                        f" SET LOCAL statement_timeout = '{max(round(seconds * 1000), 1)}ms'".encode()
                    )
                    settle(connection, self.schemas)
                    for number, ask in enumerate(asks, 1):  # noqa: B007  # of the one that is refused
                        began = monotonic()
                        found = _rows(connection, ask)
                        if took is not None:
                            took.append(monotonic() - began)
                    if mode == "READ WRITE":
                        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except psycopg.Error as error:
                if error.sqlstate is None and not isinstance(error, psycopg.ProgrammingError | psycopg.DataError):
                    raise
                return Answer(refused=refused(error, seconds), at=number)
        return found


def _rows(connection: psycopg.Connection[Any], ask: Ask) -> Answer:
    """Run one statement, and read what it returns as far as the limit."""
    import psycopg

    cursor = psycopg.RawCursor(connection)
    found: list[tuple[Json, ...]] = []
    try:
        stream: Any = cursor.stream(ask.text.encode(), list(ask.options.get("parameters") or ()) or None)
        with closing(stream):  # which ends a statement that has more to say
            found += (tuple(map(plain, row)) for row in islice(stream, ROWS + 1))
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:  # else it is the driver's word that no rows came: an INSERT
            raise
    return Answer(tuple(found[:ROWS]), cut=len(found) > ROWS)


def _scanned(node: Any) -> Iterator[str]:
    """Tables that a plan, as EXPLAIN writes it in JSON, reads from end to end."""
    if isinstance(node, list):
        for inner in node:
            yield from _scanned(inner)
    elif isinstance(node, Mapping):
        if node.get("Node Type") == "Seq Scan":
            yield str(node.get("Relation Name"))
        for inner in node.values():
            yield from _scanned(inner)


def refused(error: psycopg.Error, seconds: float) -> Refused:
    """An error of the server's, after it was given so many seconds."""
    from psycopg import errors

    from reconcile.references import masked

    what = masked(error.diag.message_primary or str(error).split("\n")[0])
    if isinstance(error, errors.QueryCanceled):
        return Refused((_name(error), str(error.sqlstate)), f"no answer within {seconds:g} s: {what}", gone=True)
    if isinstance(error, errors.LockNotAvailable):
        return Refused((_name(error), str(error.sqlstate)), f"a lock was not free within {_LOCK}: {what}", gone=True)
    return Refused((_name(error), str(error.sqlstate)), f"PostgreSQL says: {what}")


def _name(error: psycopg.Error) -> str:
    """The condition's name as PostgreSQL's manual has it: UniqueViolation -> unique_violation."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).rstrip("_").lower()


def plain(value: Any) -> Json:
    """A value of a row as JSON has it, texts of others in PostgreSQL's form."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.is_finite() else str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, bytes | memoryview):
        return f"\\x{bytes(value).hex()}"
    return value.isoformat() if isinstance(value, date | time) else str(value)
