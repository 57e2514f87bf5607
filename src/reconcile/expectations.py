"""What a declared check, query or probe expects of an answer, and whether the answer is so. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from reconcile.model import Json

ROWS = 1000
"""How many rows of an answer are read at most."""


@dataclass(frozen=True)
class Refused:
    """A statement that the server did not carry out."""

    names: tuple[str, ...]
    """What the error is called, the form to write first: ("unique_violation", "23505")."""
    what: str
    """In the server's own words."""
    gone: bool = False
    """Whether it could not be asked at all, for want of time or of a lock: this says nothing of the statement."""


@dataclass(frozen=True)
class Answer:
    """What a store says to a statement."""

    rows: tuple[tuple[Json, ...], ...] = ()
    cut: bool = False
    """Whether there are more rows than were read."""
    refused: Refused | None = None
    at: int = 0
    """Of several statements: the number of the one that was refused, from 1."""


@dataclass(frozen=True)
class Expectation:
    """`expect:` of a check or probe; one without anything in it is content with any answer."""

    equals: tuple[Json, ...] = ()
    """The value, or the list of rows, in a tuple of one; empty where nothing of the kind is expected."""
    at_least: float | None = None
    at_most: float | None = None
    least_rows: int | None = None
    most_rows: int | None = None
    error: str | None = None

    @classmethod
    def of(cls, declared: Json) -> Expectation:
        """As it is written: a value, a list of rows, or a mapping."""
        if not isinstance(declared, Mapping):
            return cls(equals=(declared,))
        rows = declared.get("rows")
        bounds = rows if isinstance(rows, Mapping) else {"at_least": rows, "at_most": rows}
        return cls(
            equals=(declared["equals"],) if "equals" in declared else (),
            at_least=declared.get("at_least"),
            at_most=declared.get("at_most"),
            least_rows=bounds.get("at_least"),
            most_rows=bounds.get("at_most"),
            error=declared.get("error"),
        )

    def __str__(self) -> str:
        """
        >>> str(Expectation.of({"at_least": 1})), str(Expectation.of(0)), str(Expectation.of({"rows": 2}))
        ('at least 1', '0', '2 rows')
        """
        said = [_shown(value) for value in self.equals]
        said += [f"at least {_shown(self.at_least)}"] if self.at_least is not None else []
        said += [f"at most {_shown(self.at_most)}"] if self.at_most is not None else []
        if self.least_rows is not None and self.least_rows == self.most_rows:
            said.append(_rows(self.least_rows))
        else:
            said += [f"at least {_rows(self.least_rows)}"] if self.least_rows is not None else []
            said += [f"at most {_rows(self.most_rows)}"] if self.most_rows is not None else []
        said += [f"the error {self.error}"] if self.error is not None else []
        return " and ".join(said) or "an answer"

    def judge(self, answer: Answer) -> Judged:
        """Whether `answer` is so.

        >>> Expectation.of(0).judge(Answer(rows=((3,),)))
        Judged(met=False, what='3, expected 0', unknown=False)
        >>> Expectation.of({"rows": {"at_least": 1}}).judge(Answer()).what
        '0 rows, expected at least 1 row'
        """
        if answer.refused is not None:
            return self._of_error(answer.refused)
        if self.error is not None:
            return Judged(False, f"nothing was refused, expected {self}")
        found = _found(answer, self)
        met = self._counts(answer) and self._equals(answer) and self._within(answer)
        if met:
            return Judged(True, f"{found} as expected" if self.equals else found)
        return Judged(False, f"{found}, expected {self}")

    def _of_error(self, refused: Refused) -> Judged:
        if refused.gone or self.error is None:
            return Judged(False, refused.what, unknown=True)
        if self.error.lower() in [name.lower() for name in refused.names]:
            return Judged(True, f"refused with {refused.names[0]} as expected")
        return Judged(False, f"refused with {refused.names[0]} ({refused.what}), expected {self}")

    def _counts(self, answer: Answer) -> bool:
        count = len(answer.rows)
        least, most = self.least_rows, self.most_rows
        return (least is None or count >= least) and (most is None or (count <= most and not answer.cut))

    def _equals(self, answer: Answer) -> bool:
        if not self.equals:
            return True
        wanted = self.equals[0]
        if not isinstance(wanted, Sequence) or isinstance(wanted, str):
            value = _single(answer)
            return len(value) == 1 and same(value[0], wanted)
        rows = [row if isinstance(row, Sequence) and not isinstance(row, str) else [row] for row in wanted]
        return not answer.cut and same([list(row) for row in answer.rows], rows)

    def _within(self, answer: Answer) -> bool:
        if self.at_least is None and self.at_most is None:
            return True
        value = _single(answer)
        number = _number(value[0]) if value else None
        if number is None:
            return False
        least, most = _number(self.at_least), _number(self.at_most)
        return (least is None or number >= least) and (most is None or number <= most)


@dataclass(frozen=True)
class Judged:
    """An answer held against an expectation."""

    met: bool
    what: str
    """What was found, and what was expected."""
    unknown: bool = False
    """The question itself could not be asked: neither met nor not met."""


def same(found: Json, wanted: Json) -> bool:
    """Whether a server's value is the one that YAML writes: numbers by value, lists item by item, else as text.

    >>> same(Decimal("0.50"), 0.5), same([[1, "a"]], [[1, "a"]]), same(True, 1), same(None, None)
    (True, True, False, True)
    """
    if isinstance(found, bool) or isinstance(wanted, bool) or found is None or wanted is None:
        return found is wanted
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in found)
    left, right = _number(found), _number(wanted)
    if left is not None and right is not None and not (isinstance(found, str) and isinstance(wanted, str)):
        return left == right
    return str(found) == str(wanted)


def _number(value: Json) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _single(answer: Answer) -> tuple[Json, ...]:
    """The one value of one row; nothing where there is not exactly one."""
    return answer.rows[0][:1] if len(answer.rows) == 1 and len(answer.rows[0]) == 1 and not answer.cut else ()


def _found(answer: Answer, wanted: Expectation) -> str:
    """The value, where one is expected and there is one; else how many rows."""
    value = _single(answer)
    if value and wanted.least_rows is None and wanted.most_rows is None:
        return _shown(value[0])
    count = _rows(len(answer.rows))
    return f"more than {count}" if answer.cut else count


def _rows(count: int | None) -> str:
    return f"{count:,} row{'s' * (count != 1)}" if count is not None else ""


def _shown(value: Json, width: int = 80) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )
    return text if len(text) <= width else text[: width - 1] + "…"
