"""States as they look after a rename: addresses, references and, token by token, the texts that name it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import cast

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres.names import KEYWORDS
from reconcile.stores.postgres.resources import (
    ROUTINES,
    Check,
    Column,
    Exclusion,
    ForeignKey,
    Grant,
    Index,
    IndexItem,
    Key,
    MaterializedView,
    Policy,
    PostgresResource,
    Routine,
    Sequence,
    Statistics,
    Table,
    Trigger,
    View,
    grant_address,
)
from reconcile.stores.postgres.resources.access import columns_renamed
from reconcile.stores.postgres.sqltokens import tokens

_OF_TABLE = frozenset({"column", "primary_key", "unique", "check", "foreign_key", "exclusion", "trigger", "policy"})


def readdressed(address: Address, old: Address, new: Address) -> Address:
    """`address` with the table `old` in it replaced by `new`; anything else stays."""
    if address == old:
        return new
    if address.kind == "grant" and address.parts == (old.kind, *old.parts):
        return grant_address(new)
    if address.kind in _OF_TABLE and address.parts[:2] == old.parts:
        return Address(address.store, address.kind, (*new.parts, *address.parts[2:]))
    return address


def rename_table(state: State, old: Address, new: Address) -> State:
    """`state` after ALTER TABLE old RENAME TO new; unchanged where `old` is not in it."""
    if old not in state:
        return state

    move = _with_routines(state, old, new, lambda address: readdressed(address, old, new))
    return State.of(_moved(r, move, old, new) for r in state.values())


def _with_routines(
    state: State, old: Address, new: Address, move: Callable[[Address], Address]
) -> Callable[[Address], Address]:
    """`move`, and the addresses of routines that take a type which gets another name."""
    signed = {r.address: _signed(r.address, old, new) for r in state.values() if _takes(r, old)}

    def moved(address: Address) -> Address:
        if address.kind == "grant" and address.parts[0] in ROUTINES:
            routine = Address(address.store, address.parts[0], address.parts[1:])
            return grant_address(signed[routine]) if routine in signed else address
        return signed.get(address) or move(address)

    return moved


def _takes(resource: Resource, table: Address) -> bool:
    return isinstance(resource, Routine) and table in resource.refers


def _signed(address: Address, old: Address, new: Address) -> Address:
    """A routine's address where the type of the table's rows, if it takes them, has another name."""
    name, bracket, types = address.parts[1].partition("(")
    return Address(
        address.store,
        address.kind,
        (address.parts[0], name + bracket + renamed_in(types, old.parts[-1], new.parts[-1])),
    )


def _moved(resource: Resource, move: Callable[[Address], Address], old: Address, new: Address) -> Resource:
    moved = _refer(resource, move)
    if isinstance(moved, Table) and moved.partition_of == old.parts:
        moved = replace(moved, partition_of=(new.parts[0], new.parts[1]))
    if isinstance(moved, ForeignKey) and moved.references == old.parts:
        moved = replace(moved, references=(new.parts[0], new.parts[1]))
    if isinstance(moved, Sequence) and moved.owned_by and moved.owned_by[:2] == old.parts:
        moved = replace(moved, owned_by=(new.parts[0], new.parts[1], moved.owned_by[2]))
    if isinstance(moved, View | MaterializedView) and old in resource.refers:
        moved = replace(moved, query=renamed_in(moved.query, old.parts[-1], new.parts[-1]))
    if isinstance(moved, Policy) and (resource.container == old or old in resource.refers):
        using, check = (t and renamed_in(t, old.parts[-1], new.parts[-1]) for t in (moved.using, moved.check))
        moved = replace(moved, using=using, check=check)
    if isinstance(moved, Routine) and old in resource.refers:
        moved = _stated_anew(moved, old, new)
    if isinstance(moved, Check) and resource.container == old:
        whole, renamed = (f"{spelled(a.parts[-1])}.*" for a in (old, new))
        moved = replace(moved, expression=moved.expression.replace(whole, renamed))
    if isinstance(moved, Trigger) and moved.from_ == old.parts:
        moved = replace(moved, from_=(new.parts[0], new.parts[1]))
    return moved


def _refer(resource: Resource, move: Callable[[Address], Address]) -> Resource:
    address, refers = move(resource.address), tuple(map(move, resource.refers))
    container = move(resource.container) if resource.container else None
    if (address, refers, container) == (resource.address, resource.refers, resource.container):
        return resource
    return resource.replace(address=address, refers=refers, container=container)


def rename_column(state: State, old: Address, new: Address) -> State:
    """`state` after RENAME COLUMN; unchanged where `old` is not in it."""
    if old not in state:
        return state
    table, was, now = state[old].container, old.parts[-1], new.parts[-1]

    def move(address: Address) -> Address:
        return new if address == old else address

    return State.of(_column_moved(_refer(r, move), table, old, was, now, old in r.refers) for r in state.values())


def _column_moved(
    resource: Resource, table: Address | None, old: Address, was: str, now: str, refers: bool
) -> Resource:
    def name(column: str) -> str:
        return now if column == was else column

    def text(sql: str | None) -> str | None:
        return None if sql is None else renamed_in(sql, was, now)

    def looked_up(sql: str | None) -> str | None:
        return None if sql is None else _output_kept(renamed_of(sql, old, now, bare=inside), was, now)

    inside = resource.container == table
    match resource:
        case Key() if inside:
            columns, include = tuple(map(name, resource.columns)), tuple(map(name, resource.include))
            return replace(resource, columns=columns, include=include)
        case ForeignKey():
            if inside:
                columns, deleted = tuple(map(name, resource.columns)), tuple(map(name, resource.on_delete_columns))
                resource = replace(resource, columns=columns, on_delete_columns=deleted)
            if table is not None and resource.references == table.parts:
                resource = replace(resource, references_columns=tuple(map(name, resource.references_columns)))
            return resource
        case Check() if inside:
            return replace(resource, expression=text(resource.expression) or "")
        case Column() if inside and resource.generated is not None:
            return replace(resource, generated=text(resource.generated))
        case Statistics() if inside:
            items = _items_moved(
                resource.columns, name, text
            )  # the columns among them stand in the order of their names
            items = tuple(sorted(items, key=lambda i: (i.column is None, i.column or "")))
            return replace(resource, columns=items)
        case Exclusion() if inside:
            items, where = _items_moved(resource.columns, name, text), text(resource.where)
            return replace(resource, columns=items, include=tuple(map(name, resource.include)), where=where)
        case Index() if inside:
            items = _items_moved(resource.columns, name, text)
            include = tuple(map(name, resource.include))
            return replace(resource, columns=items, include=include, where=text(resource.where))
        case Grant() if inside:
            return columns_renamed(resource, {was: now})
        case Sequence() if resource.owned_by == old.parts:
            return replace(resource, owned_by=(old.parts[0], old.parts[1], now))
        case Policy() if inside or refers:
            return replace(resource, using=looked_up(resource.using), check=looked_up(resource.check))
        case Trigger() if inside:
            return replace(resource, of=tuple(map(name, resource.of)), condition=text(resource.condition))
        case Routine() if refers:
            return replace(resource, definition_=text(resource.definition_) or "")
        case View() | MaterializedView() if refers:
            return replace(resource, query=_output_kept(renamed_of(resource.query, old, now, bare=True), was, now))
    return resource


def _items_moved(
    items: Iterable[IndexItem], name: Callable[[str], str], text: Callable[[str | None], str | None]
) -> tuple[IndexItem, ...]:
    """Keys under the column's new name."""
    return tuple(
        replace(i, column=name(i.column)) if i.column is not None else replace(i, expression=text(i.expression))
        for i in items
    )


def with_column(resource: PostgresResource, column: Address, name: str) -> PostgresResource:
    """A part of the table as it would be on another of its columns; a foreign key to it, to that one."""
    table = Address(column.store, "table", column.parts[:2])
    moved = _column_moved(resource, table, column, column.parts[-1], name, False)
    return cast(PostgresResource, moved)


def _output_kept(query: str, old: str, new: str) -> str:
    """The server goes on calling an output column by its old name: `    called AS name,`, each on its own line."""
    shown = re.escape(spelled(new))
    line = rf"(?m)((?:^\s*(?:SELECT )?|\( SELECT )(?:[^\s,()]+\.)?{shown})(,?)$"
    return re.sub(line, rf"\1 AS {_escaped(spelled(old))}\2", query)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\")


def spelled(name: str) -> str:
    """A name as the server prints it, but for key words, which are taken for plain."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_$]*", name) is not None
    return name if plain else '"' + name.replace('"', '""') + '"'


def renamed_in(sql: str, old: str, new: str) -> str:
    """The identifier `old` replaced wherever it stands in SQL; strings stay.

    What the server prints after a rename may still differ (an output column keeps its name by an alias): then the
    view is planned as replaced, which changes nothing in it.
    """
    return "".join(spelled(new) if t.name == old else t.text for t in tokens(sql))


def renamed_of(sql: str, old: Address, new: str, *, bare: bool) -> str:
    """The column `old` of one table replaced where its table, or what stands for it, qualifies it; on request bare too.

    >>> column = Address("app", "column", ("public", "a", "x"))
    >>> renamed_of("SELECT b.x FROM b JOIN a y ON y.x = b.x", column, "z", bare=True)
    'SELECT b.x FROM b JOIN a y ON y.z = b.x'
    """
    found = list(tokens(sql))
    solid = [i for i, t in enumerate(found) if t.kind != "space"]
    table, column = old.parts[-2:]
    stands = {table}
    for i, j in pairwise(solid):
        name = found[j].name
        if found[i].name == table and name is not None and not (found[j].kind == "word" and name in KEYWORDS):
            stands.add(name)
    texts = [t.text for t in found]
    for n, i in enumerate(solid):
        if found[i].name != column:
            continue
        dotted = n > 1 and found[solid[n - 1]].text == "."
        if (found[solid[n - 2]].name in stands) if dotted else bare:
            texts[i] = spelled(new)
    return "".join(texts)


def rename_simple(state: State, old: Address, new: Address) -> State:
    """`state` with one object that contains nothing under a new address, and references to it moved."""
    if old not in state:
        return state

    move = _with_routines(state, old, new, lambda address: new if address == old else address)
    moved = (_refer(r, move) for r in state.values())
    return State.of(_stated_anew(r, old, new) if isinstance(r, Routine) and new in r.refers else r for r in moved)


def _stated_anew(routine: Routine, old: Address, new: Address) -> Routine:
    """With another name of a type that it takes, gives or, in a body outside quotes, names."""
    head, bracket, rest = routine.definition_.partition("(")
    return replace(routine, definition_=head + bracket + renamed_in(rest, old.parts[-1], new.parts[-1]))
