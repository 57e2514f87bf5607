"""Rule tables: ordered patterns on the fields of a row, the first that fits gives the value. Pure.

>>> table = Table.of({"set": "kind", "cases": [{"when": {"text": "(?i)works (for|at)"}, "value": "WORKS_FOR"}],
...                   "otherwise": "RELATED_TO"})
>>> table.value({"text": "Works at a bank"}), table.value({"text": "knows"})
('WORKS_FOR', 'RELATED_TO')
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconcile.errors import ReconcileError
from reconcile.model import Json
from reconcile.yamlio import parse

VALUE = "value"
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
        """What the row is given; `NOTHING` where it is left as it is. Raises as `ruled`."""
        return self.ruled(row)[0]

    def ruled(self, row: Mapping[str, Json]) -> tuple[object, bool]:
        """What the row is given, and whether that is because no case fits.

        Raises:
            ReconcileError: a pattern is about a field that the row does not have.
        """
        try:
            for case in self.cases:
                if case.fits(row):
                    return case.value, False
            return self.otherwise, True
        except KeyError as error:
            raise ReconcileError(
                f"a rule is about the field {error}, which the selection does not give",
                hint=f"it gives {', '.join(row)}",
            ) from None


def _found(pattern: re.Pattern[str], value: Json) -> bool:
    if isinstance(value, list | tuple):
        return any(_found(pattern, item) for item in value)
    return value is not None and pattern.search(value if isinstance(value, str) else str(value)) is not None


def of_file(name: str, content: bytes) -> list[dict[str, Json]]:
    """The cases of a CSV or YAML file.

    Raises:
        ValueError: it has another shape.

    >>> of_file("kinds.csv", b"text,from,value\\nworks at,^Person$,WORKS_FOR\\nnear,,NEAR\\n")[1]
    {'when': {'text': 'near'}, 'value': 'NEAR'}
    """
    text = content.decode("utf-8-sig")
    if name.endswith(".csv"):
        lines = csv.DictReader(io.StringIO(text), strict=True)
        cases: Json = [
            {"when": {k: v for k, v in row.items() if k != VALUE and v}, VALUE: row.get(VALUE)} for row in lines
        ]
    else:
        documents = parse(text, name)
        cases = documents[0].get("cases") if len(documents) == 1 else None
    if not isinstance(cases, list) or not cases:
        raise ValueError("it has no cases")
    for number, case in enumerate(cases, 1):
        right = (
            isinstance(case, dict)
            and case.keys() == {"when", VALUE}
            and isinstance(case["when"], dict)
            and case["when"]
        )
        if not right or case[VALUE] is None or not all(isinstance(p, str) for p in case["when"].values()):
            raise ValueError(f"case {number} needs a value and at least one pattern")
    return [{"when": dict(case["when"]), VALUE: case[VALUE]} for case in cases]


def wrong(pattern: str) -> str | None:
    """What is wrong with a regular expression; None where nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None
