"""Rule tables: ordered patterns on the fields of a row, the first that fits gives the value. Pure.

>>> table = Table.of({"set": "kind", "cases": [{"when": {"text": "(?i)works (for|at)"}, "value": "WORKS_FOR"}],
...                   "otherwise": "RELATED_TO"})
>>> table.value({"text": "Works at a bank"}), table.value({"text": "knows"})
('WORKS_FOR', 'RELATED_TO')
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconcile.errors import ReconcileError
from reconcile.model import Json

NOTHING = object()
"""The value of a row that no case fits, where there is no `otherwise`."""


@dataclass(frozen=True)
class Case:
    """One line of a table."""

    when: tuple[tuple[str, re.Pattern[str]], ...]
    value: Json

    def fits(self, row: Mapping[str, Json]) -> bool:
        """Whether every pattern is found in its field; of a list, in one of its items; never in null."""
        for name, pattern in self.when:  # loops, for this is most of what a rule table costs
            value = row[name]
            if not (pattern.search(value) if isinstance(value, str) else _found(pattern, value)):
                return False
        return True


@dataclass(frozen=True)
class Table:
    """Cases in order, and what becomes of the rest."""

    sets: str
    cases: Sequence[Case]
    otherwise: object = NOTHING

    @classmethod
    def of(cls, entry: Mapping[str, Json]) -> Table:
        """From its JSON."""
        cases = tuple(
            Case(tuple((name, re.compile(pattern)) for name, pattern in case["when"].items()), case["value"])
            for case in entry["cases"]
        )
        return cls(entry["set"], cases, entry.get("otherwise", NOTHING))

    def value(self, row: Mapping[str, Json]) -> object:
        """What the row is given; `NOTHING` where it is left as it is.

        Raises:
            ReconcileError: a pattern is about a field that the row does not have.
        """
        try:
            for case in self.cases:
                if case.fits(row):
                    return case.value
            return self.otherwise
        except KeyError as error:
            raise ReconcileError(
                f"a rule is about the field {error}, which the selection does not give",
                hint=f"it gives {', '.join(row)}",
            ) from None


def _found(pattern: re.Pattern[str], value: Json) -> bool:
    if isinstance(value, list | tuple):
        return any(_found(pattern, item) for item in value)
    return value is not None and pattern.search(value if isinstance(value, str) else str(value)) is not None


def wrong(pattern: str) -> str | None:
    """What is wrong with a regular expression; None where nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None
