"""The key of a backfill's rows: one column or several, of any type that can be ordered.

Keys travel as the server's own text, so that a value no Python type holds (infinity, a year BC, an array) is a key like
any other; numbers and booleans alone stay what they are. Several columns are compared as a row.
https://www.postgresql.org/docs/current/functions-comparisons.html#ROW-WISE-COMPARISON
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from reconcile.model import Json
from reconcile.stores.filling import Value
from reconcile.stores.postgres.sqltext import ident

_KEYS = re.compile(r"\$keys\b")
_NATIVE = frozenset({"smallint", "integer", "bigint", "oid", "boolean"})
_PLACE = "rc__key"


@dataclass(frozen=True)
class Keyset:
    """The columns of a key, with their types as the server writes them."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    several: bool
    """Whether keys are lists, also where there is one column."""

    def columns(self, of: str = "") -> str:
        """`"a", "b"`, or `t."a", t."b"`."""
        return ", ".join(f"{of}{ident(name)}" for name in self.names)

    def row(self, of: str = "") -> str:
        """What is compared: `"a"`, or `("a", "b")`."""
        return f"({self.columns(of)})" if len(self.names) > 1 else self.columns(of)

    def shown(self, of: str = "") -> str:
        """The columns as they are read, under names of ours."""
        pairs = enumerate(zip(self.names, self.types, strict=True))
        return ", ".join(
            f"{of}{ident(name)}{'' if type_ in _NATIVE else '::text'} AS {_PLACE}{n}" for n, (name, type_) in pairs
        )

    def key(self, values: Sequence[Any]) -> Json:
        """A key, of the values of its columns."""
        return tuple(values) if self.several else values[0]

    def parts(self, key: Json) -> list[str]:
        """The values of its columns, as text; those of a key that the ledger had are a list."""
        values = key if self.several and isinstance(key, list | tuple) else [key]
        return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]

    def beyond(self, word: str, key: Json, prefix: str) -> tuple[str, Mapping[str, str]]:
        """A comparison with a key, and its parameters."""
        given = {f"{prefix}{n}": text for n, text in enumerate(self.parts(key))}
        casts = [f"CAST(%({name})s AS {type_})" for name, type_ in zip(given, self.types, strict=True)]
        right = f"({', '.join(casts)})" if len(casts) > 1 else casts[0]
        return f"{self.row()} {word} {right}", given

    def keys(self, rows: Iterable[Sequence[Any]]) -> tuple[Json, ...]:
        """The keys of rows that begin with the columns of `shown`."""
        width = len(self.names)
        return tuple(tuple(row[:width]) for row in rows) if self.several else tuple(row[0] for row in rows)

    def given(self, keys: Sequence[Json]) -> dict[str, list[str] | str]:
        """Parameters for `rows` and `statement`: a list for each column, or one as the server writes it."""
        if not self.several and self.types[0] in _NATIVE:  # no quotes in it: a tenth of the work of a list
            return {"keys0": "{" + ",".join(map(str, keys)) + "}"}
        by_column = zip(*(self.parts(key) for key in keys), strict=True) if keys else ([] for _ in self.names)
        return {f"keys{n}": list(values) for n, values in enumerate(by_column)}

    @property
    def rows(self) -> str:
        """A query of the keys that are given."""
        arrays = ", ".join(f"CAST(%(keys{n})s AS text[])" for n in range(len(self.names)))
        places = ", ".join(f"{_PLACE}{n}" for n in range(len(self.names)))
        casts = ", ".join(f"CAST({_PLACE}{n} AS {type_})" for n, type_ in enumerate(self.types))
        return f"SELECT {casts} FROM unnest({arrays}) AS rc__keys({places})"

    def among(self, of: str = "") -> str:
        """That a row has one of the keys that are given."""
        return f"{self.row(of)} IN ({self.rows})"

    def statement(self, statement: str) -> str:
        """A statement with what stands for `$keys`: an array of one column's values, a query of several columns."""
        keys = self.rows if self.several else f"CAST(%(keys0)s AS {self.types[0]}[])"
        return _KEYS.sub(lambda _: keys, statement.replace("%", "%%"))

    @property
    def arrays(self) -> bool:
        """Whether `$keys` would be an array of arrays, which the server flattens."""
        return not self.several and self.types[0].endswith("[]")

    # -- values that are sent as JSON --------------------------------------------------------------------------

    def sent(self, key: Json) -> dict[str, str]:
        """The key among the fields of a row of JSON."""
        return {f"{_PLACE}{n}": text for n, text in enumerate(self.parts(key))}

    @property
    def declared(self) -> list[str]:
        """The columns of `sent`, for jsonb_to_recordset."""
        return [f"{_PLACE}{n} text" for n in range(len(self.names))]

    @property
    def received(self) -> list[str]:
        """And the values of those columns."""
        return [f"CAST({_PLACE}{n} AS {type_})" for n, type_ in enumerate(self.types)]

    def same(self, of: str, other: str) -> str:
        """That two have the same key, the other one as it is sent."""
        pairs = enumerate(zip(self.names, self.types, strict=True))
        return " AND ".join(f"{of}{ident(n)} = CAST({other}{_PLACE}{i} AS {t})" for i, (n, t) in pairs)


def rows_of_json(rows: Sequence[Mapping[str, Json]]) -> str:
    """Rows as one parameter; what JSON lacks as text, which the server reads."""
    return json.dumps([{name: _json(value) for name, value in row.items()} for row in rows], default=_text)


def _json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _text(value: Any) -> str:
    return "\\x" + bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)


def escaped(sql: str, names: Iterable[str] = ()) -> str:
    """SQL of the user's with placeholders of ours, if any: its own percent signs are none."""
    names = list(names)
    if names:
        sql = sql.replace("%", "%%")
    for name in names:
        sql = sql.replace(f"%%({name})s", f"%({name})s")
    return sql


def by_fields(values: Sequence[Value]) -> Iterator[tuple[tuple[str, ...], list[Value]]]:
    """Values that set the same columns together."""
    found: dict[tuple[str, ...], list[Value]] = {}
    for value in values:
        found.setdefault(tuple(sorted(value.fields)), []).append(value)
    yield from found.items()
