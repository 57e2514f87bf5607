"""Which objects of a table name which of its columns: looked up by the words in them, not by trying all with all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from reconcile.change import World
from reconcile.model import Address, State
from reconcile.stores.postgres.changes.homes import parts
from reconcile.stores.postgres.resources import (
    Check,
    Column,
    Exclusion,
    ForeignKey,
    Index,
    Key,
    PostgresResource,
    Statistics,
)

_WORD = re.compile(r"[\w$]+")


def mentions(sql: str | None, name: str) -> bool:
    """Whether a text names `name` as a whole word; may say yes for a string or another object's name."""
    if sql is None or name not in sql:
        return False
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", sql) is not None


def uses(resource: PostgresResource, column: Column) -> bool:
    """Whether an object of the same table names the column."""
    name = column.address.parts[-1]
    if isinstance(resource, Check) and column.address in resource.refers:
        return True
    return name in _listed(resource) or any(mentions(text, name) for text in texts_of(resource))


def _listed(resource: PostgresResource) -> tuple[str | None, ...]:
    """Columns that it has in a list."""
    match resource:
        case Key():
            return (*resource.columns, *resource.include)
        case ForeignKey():
            return (*resource.columns, *resource.on_delete_columns)
        case Index() | Exclusion():
            return (*(i.column for i in resource.columns), *resource.include)
        case Statistics():
            return tuple(i.column for i in resource.columns)
    return ()


def texts_of(resource: PostgresResource) -> tuple[str | None, ...]:
    """Expressions in which it may name columns."""
    match resource:
        case Check():
            return (resource.expression,)
        case Index() | Exclusion():
            return (*(i.expression for i in resource.columns), resource.where)
        case Statistics():
            return tuple(i.expression for i in resource.columns)
        case Column():
            return (resource.generated,)
    return ()


def _words(resource: PostgresResource) -> set[str]:
    """At least the names of the columns it uses that are single words."""
    found = {w for text in texts_of(resource) if text is not None for w in _WORD.findall(text)}
    found |= {name for name in _listed(resource) if name is not None}
    if isinstance(resource, Check):
        found |= {a.parts[-1] for a in resource.refers if a.kind == "column"}
    return found


def columns_used(world: World, state: State, table: Address, *by: PostgresResource) -> list[Column]:
    """The columns of a table, in `state`, that any of these objects names."""

    def arranged() -> tuple[dict[str, tuple[int, Column]], list[tuple[int, Column]]]:
        columns = [(n, c) for n, c in enumerate(state.children(table)) if isinstance(c, Column)]
        names = {c.address.parts[-1]: (n, c) for n, c in columns}
        return names, [pair for name, pair in names.items() if not _WORD.fullmatch(name)]

    names, odd = world.once("columns by name", (state is world.live, table), arranged)
    words = set[str]().union(*map(_words, by))
    near = {pair[0]: pair[1] for pair in (*odd, *(names[w] for w in words if w in names))}
    return [near[n] for n in sorted(near) if any(uses(x, near[n]) for x in by)]


def users_of_column(world: World, column: Column) -> list[PostgresResource]:
    """Live objects of its table and of partitions that name the column; a generated one names itself at most."""

    def arranged() -> tuple[list[PostgresResource], dict[str, list[int]]]:
        found, places = parts(world.live, column.table), dict[str, list[int]]()
        for n, x in enumerate(found):
            for word in _words(x):
                places.setdefault(word, []).append(n)
        return found, places

    found, places = world.once("parts by word", column.table, arranged)
    name = column.address.parts[-1]
    near: Iterable[PostgresResource] = found
    if _WORD.fullmatch(name):
        near = (found[n] for n in places.get(name, ()))
    return [x for x in near if uses(x, column)]


def keys_to(world: World, table: Address) -> list[ForeignKey]:
    """Live foreign keys that refer to a table."""

    def arranged() -> dict[tuple[str, ...], list[ForeignKey]]:
        found: dict[tuple[str, ...], list[ForeignKey]] = {}
        for key in cast(list[ForeignKey], world.live.of_kind("foreign_key")):
            found.setdefault(key.references, []).append(key)
        return found

    return world.once("keys by table", None, arranged).get(table.parts, [])
