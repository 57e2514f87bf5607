"""What a backfill makes of a batch: nothing for a statement, values for rules, functions and commands."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from reconcile import commands
from reconcile.backfills import rules
from reconcile.backfills.definition import Definition
from reconcile.errors import ReconcileError
from reconcile.model import Json
from reconcile.references import masked
from reconcile.stores.filling import Batch, Row, Value

T = TypeVar("T")
Maker = Callable[[Batch], Sequence[Value] | None]
"""The values of a batch's rows; of rows that it leaves as they are none; None where a statement does it."""
KEY = "key"
"""Under which functions and commands find the key of a row, and give it back."""
COUNTED = 100
"""Different values of a field that are counted; of one with more, none is."""


def maker(definition: Definition, directory: Path, secrets: Collection[str] = ()) -> Maker:
    """What makes the values of a batch; without the secrets in what a command says.

    Raises:
        ReconcileError: the function cannot be found.
    """
    if definition.rules is not None:
        table = definition.rules
        return lambda batch: _by_rules(table, batch)
    if definition.copy is not None:
        fields, here = definition.copy, str(definition.address)
        return lambda batch: _copied(fields, batch, here)
    if definition.function is not None:
        function = load(definition.function, directory)
        where = f"{definition.address}: {definition.function}"
        return lambda batch: values(_called(function, batch, where), batch, where)
    if definition.command is not None:
        return lambda batch: _by_command(definition, directory, batch, secrets)
    return lambda batch: None


def _by_rules(table: rules.Table, batch: Batch) -> list[Value]:
    found = zip(batch.keys, map(table.ruled, batch.rows), strict=True)
    return [Value(key, {table.sets: value}, rest) for key, (value, rest) in found if value is not rules.NOTHING]


def _copied(fields: Mapping[str, str], batch: Batch, where: str) -> list[Value]:
    try:
        return [
            Value(key, {name: row[source] for name, source in fields.items()})
            for key, row in zip(batch.keys, batch.rows, strict=True)
        ]
    except KeyError as error:
        raise ReconcileError(f"copy: the selection gives no field {error}", where=where) from None


def load(name: str, directory: Path) -> Callable[[list[dict[str, Any]]], Any]:
    """The function `FILE.py:NAME` of the project, or `PACKAGE.MODULE:NAME` of what is installed.

    Raises:
        ReconcileError: there is none.
    """
    place, _, attribute = name.partition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location("reconcile_backfill", directory / place)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        found: Callable[[list[dict[str, Any]]], Any] = getattr(module, attribute)
    except Exception as error:  # whatever a file of the user's raises when it is read
        what = f"the function {name} cannot be had: {type(error).__name__}: {error}"
        raise ReconcileError(what, hint="write FILE.py:FUNCTION, or PACKAGE.MODULE:FUNCTION") from error
    return found


def given(batch: Batch) -> list[dict[str, Any]]:
    """The rows as functions and commands get them."""
    return [{**row, KEY: key} for key, row in zip(batch.keys, batch.rows, strict=True)]


def _called(function: Callable[[list[dict[str, Any]]], Any], batch: Batch, where: str) -> Any:
    try:
        return function(given(batch))
    except Exception as error:  # the user's own code
        raise ReconcileError(f"{type(error).__name__}: {error}", where=where) from error


def values(answer: Any, batch: Batch, where: str) -> list[Value]:
    """What came back, as values: a list of mappings, each with the key of a row and the fields to set.

    Raises:
        ReconcileError: it is something else, or about rows that were not asked about.
    """
    asked, found = set(batch.keys), []
    if not isinstance(answer, list | tuple):
        raise ReconcileError(f"a list was expected, {type(answer).__name__} came back", where=where)
    for entry in answer:
        if not isinstance(entry, Mapping) or KEY not in entry:
            raise ReconcileError(f'every row needs its "{KEY}"; this came back: {shown(entry)}', where=where)
        key = tuple(entry[KEY]) if isinstance(entry[KEY], list) else entry[KEY]
        if not isinstance(key, Hashable) or key not in asked:
            again = isinstance(key, Hashable) and key in batch.keys
            what = "a row came back twice" if again else "a row came back that was not asked about"
            raise ReconcileError(f"{what}: {shown(entry)}", where=where)
        asked.discard(key)
        fields = {str(k): v for k, v in entry.items() if k != KEY}
        found += [Value(key, fields)] if fields else []
    return found


def _by_command(definition: Definition, directory: Path, batch: Batch, secrets: Collection[str]) -> list[Value]:
    entry, where = definition.command, f"{definition.address}: command"
    by_text = {_text(key): key for key in batch.keys}
    lines = "".join(json.dumps(row, default=str, ensure_ascii=False) + "\n" for row in given(batch))
    ran = commands.apart(entry["run"], directory, entry.get("timeout", "10min"), given=lines, secrets=secrets)
    if not ran.ok:
        raise ReconcileError(ran.failure, where=where)
    answer = []
    for line in ran.lines:
        try:
            row = json.loads(line)
        except ValueError:
            raise ReconcileError(
                f"a line of its output is no JSON: {masked(line, secrets)[:200]}", where=where
            ) from None
        if isinstance(row, dict) and KEY in row:
            row[KEY] = by_text.get(_text(row[KEY]), row[KEY])
        answer.append(row)
    return values(answer, batch, where)


def _text(key: Json) -> str:
    """The same for a key and for what JSON makes of it."""
    return json.dumps(key, default=str) if isinstance(key, list | tuple) else str(key)


def halves(batch: Batch) -> Iterator[Batch]:
    """The two halves of a batch."""
    middle = len(batch.keys) // 2
    yield Batch(batch.keys[:middle], batch.rows[:middle])
    yield Batch(batch.keys[middle:], batch.rows[middle:])


def count(counts: dict[str, dict[str, int]], given_values: Sequence[Value]) -> None:
    """Add up which value how many rows are given, field by field, as long as those are few."""
    for value in given_values:
        for name, content in value.fields.items():
            if not isinstance(content, str | bool | int | None):
                continue
            own = counts.setdefault(name, {})
            text = content if isinstance(content, str) else json.dumps(content)
            if text in own or (own.get("…") is None and len(own) < COUNTED):
                own[text] = own.get(text, 0) + 1
            else:
                own.clear()
                own["…"] = 0


def shown(row: Row | Json) -> str:
    """A row for people, on one line."""
    text = json.dumps(row, default=str, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
