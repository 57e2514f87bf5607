"""PARTITION BY and partitions: `partition_by: {range: [at]}`, `partitions: {events_2026: {from: […], to: […]}}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconcile.model import Address, Resource, Source
from reconcile.stores.postgres.parse.indexes import index_key
from reconcile.stores.postgres.parse.scope import Scope, as_map
from reconcile.stores.postgres.resources import (
    Check,
    Exclusion,
    Index,
    IndexItem,
    InheritedIndex,
    Key,
    PartitionBy,
    PrimaryKey,
    Table,
    compared,
)
from reconcile.stores.postgres.sqltokens import tokens
from reconcile.suggest import meant
from reconcile.yamlio import Map

STRATEGIES = ("range", "list", "hash")
_WORDS = frozenset({"minvalue", "maxvalue", "null"})
_DATE = re.compile(r"\d{4}-\d\d(-\d\d.*)?")
_KEYS = {"range": ("from", "to"), "list": ("in",), "hash": ("modulus", "remainder")}


def partition_by(table: Map, scope: Scope) -> PartitionBy | None:
    """`{range: [keys]}`, `{list: [key]}`, `{hash: [keys]}`."""
    value = table.get("partition_by")
    if not isinstance(value, Map):
        return None
    strategy = next(s for s in STRATEGIES if s in value)
    source = value.at(strategy)
    found = tuple(index_key(key, source, scope) for key in value[strategy])
    if strategy == "list" and len(found) != 1:
        scope.problem(source, "a table is partitioned by a list of one key", "keep one, or nest another level")
    if any(k.order != "asc" or k.nulls for k in found):
        scope.problem(source, "a partition key has no order", "take `order` and `nulls` out")
    return PartitionBy(strategy, found)


def partitions(table: Map) -> Iterator[tuple[str, Any, Source]]:
    """Name, value and place of each partition."""
    section = as_map(table.get("partitions"))
    for key, value in section.items():
        yield key, value, section.at(key)


def bound(name: str, value: Any, source: Source, by: PartitionBy | None, scope: Scope) -> str | None:
    """A partition's bound as PostgreSQL writes it, but for the spelling of its values.

    >>> # {from: ["'2026-01-01'"], to: [maxvalue]}  ->  FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)
    """
    settings = value if isinstance(value, Map) else Map({"default": True}, source=source)
    if by is None:
        scope.problem(source, f"the table of partition {name!r} is not partitioned", "add partition_by")
        return None
    if settings.get("default"):
        if by.strategy == "hash":
            scope.problem(source, f"partition {name!r}: a table partitioned by hash has no default partition")
        return "DEFAULT"
    wanted = _KEYS[by.strategy]
    if any(key not in settings for key in wanted):
        shown = " and ".join(f"`{k}`" for k in wanted)
        scope.problem(source, f"partition {name!r} of a table partitioned by {by.strategy} needs {shown}")
        return None
    if by.strategy == "hash":
        modulus, remainder = settings["modulus"], settings["remainder"]
        if remainder >= modulus:
            scope.problem(source, f"partition {name!r}: the remainder has to be less than the modulus")
        return f"FOR VALUES WITH (modulus {modulus}, remainder {remainder})"
    if by.strategy == "list":
        return f"FOR VALUES IN ({_values(name, settings, 'in', scope)})"
    for key in wanted:
        if len(settings[key]) != len(by.keys):
            what = f"partition {name!r}: `{key}` has {len(settings[key])} values for {len(by.keys)} partition keys"
            scope.problem(settings.at(key), what)
    return f"FOR VALUES FROM ({_values(name, settings, 'from', scope)}) TO ({_values(name, settings, 'to', scope)})"


def _values(name: str, settings: Map, key: str, scope: Scope) -> str:
    return ", ".join(_value(name, value, settings.at(key), scope) for value in settings[key])


def _value(name: str, value: Any, source: Source, scope: Scope) -> str:
    text = "null" if value is None else scope.sql(value, source, f"a bound of partition {name!r}")
    if text.lower() in _WORDS:
        return text.upper()
    words = [t for t in tokens(text) if t.kind != "space"]
    bare = len(words) == 1 and words[0].kind == "word" and text.lower() not in ("true", "false")
    if bare or _DATE.fullmatch(text):
        hint = f"did you mean \"'{text}'\"?"
        scope.problem(source, f"{text} in the bound of partition {name!r} is no SQL constant", hint)
    return text


def index_names(table: Map, address: Address, scope: Scope) -> list[InheritedIndex]:
    """`index_names: {events_at: events_2026_at}`: what the indexes are called that it has from tables above."""
    section, found = as_map(table.get("index_names")), []
    for name, called in section.items():
        where = section.at(name)
        scope.short(called, where)
        own = address.child("inherited_index", name)
        found.append(InheritedIndex(address=own, source=where, container=address, called=called))
    return found


def check(found: Sequence[Resource], scope: Scope) -> None:
    """What PostgreSQL asks of keys, checks and settings of partitioned tables.

    See https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-LIMITATIONS
    """
    tables = {x.address: x for x in found if isinstance(x, Table)}
    if not any(table.partition_by or table.partition_of for table in tables.values()):
        return
    needed: dict[Address, list[tuple[Table, IndexItem]]] = {}
    for table in tables.values():
        for key in table.partition_by.keys if table.partition_by else ():
            above: Table | None = table
            while above is not None:  # a key of the whole has to tell rows of all its parts apart
                needed.setdefault(above.address, []).append((table, key))
                above = tables.get(above.parent) if above.parent else None
    defaults: dict[Address, Table] = {}
    rules: dict[Address, list[Index | PrimaryKey]] = {}
    names: dict[Address, set[str]] = {}
    for x in found:
        if isinstance(x, Index | PrimaryKey) and x.container in needed:
            rules.setdefault(x.container, []).append(x)
        if isinstance(x, Index | Key | Exclusion) and x.container in needed:
            names.setdefault(x.container, set()).add(x.address.parts[-1])
    for x in found:
        if isinstance(x, Table) and x.bound == "DEFAULT" and x.parent is not None:
            first = defaults.setdefault(x.parent, x)
            if first is not x:
                scope.problem(x.source, f"partition {x.name!r} is a second default partition", f"see {first.source}")
        _twice(x, tables, rules, scope)
        if isinstance(x, InheritedIndex):
            _known(x, tables, names, scope)
        if x.container not in needed:
            continue
        if isinstance(x, Key) or (isinstance(x, Index) and x.unique):
            _unique(x, needed[x.container], scope)
        elif isinstance(x, Check) and x.no_inherit:
            scope.problem(x.source, f"check {x.name!r} of a partitioned table cannot be NO INHERIT")


def _unique(x: Key | Index, needed: Sequence[tuple[Table, IndexItem]], scope: Scope) -> None:
    """Each partition keeps a unique rule by itself: it holds for the whole only with the partition key in it."""
    noun, name = x.address.kind.replace("_", " "), x.address.parts[-1]
    columns = set(x.columns) if isinstance(x, Key) else {i.column for i in x.columns}
    for table, key in needed:
        if key.column is None:
            what = f"{noun} {name!r}: table {table.name!r} is partitioned by an expression"
            scope.problem(x.source, what, "a unique rule is possible on each partition only")
            return
        if key.column not in columns:
            what = f"{noun} {name!r} lacks {key.column!r}, by which table {table.name!r} is partitioned"
            scope.problem(x.source, what, "a unique rule of a partitioned table has to include its partition key")
            return


def _twice(
    x: Resource, tables: Mapping[Address, Table], rules: Mapping[Address, Sequence[Index | PrimaryKey]], scope: Scope
) -> None:
    """What a partition has from its table already cannot be its own as well."""
    if not isinstance(x, Index | PrimaryKey) or x.container is None:
        return
    table = tables.get(x.container)
    while table is not None and table.parent is not None:
        for other in rules.get(table.parent, ()):
            same = isinstance(x, Index) and isinstance(other, Index) and compared(x) == compared(other)
            if same or (isinstance(x, PrimaryKey) and isinstance(other, PrimaryKey)):
                noun = x.address.kind.replace("_", " ")
                what = f"{noun} {x.name!r} of partition {x.table.parts[-1]!r} comes from its table: see {other.source}"
                scope.problem(x.source, what, "declare it of one of the two")
        table = tables.get(table.parent)


def _known(x: InheritedIndex, tables: Mapping[Address, Table], names: Mapping[Address, set[str]], scope: Scope) -> None:
    """It is the name of an index or key of a table above."""
    table, above = tables.get(x.table), set[str]()
    while table is not None and table.parent is not None:
        above |= names.get(table.parent, set())
        table = tables.get(table.parent)
    if x.name not in above:
        what = f"partition {x.table.parts[-1]!r} has no index {x.name!r} from its table"
        scope.problem(x.source, what, meant(x.name, above) or "name an index, key or exclusion constraint of that")
