"""Columns that a change under way has put beside others, and what it has built on them: helpers, never extras. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from reconcile.model import Address, Resource, State
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.introspect.catalog import Catalog, Row
from reconcile.stores.postgres.sqltokens import named

QUERY = """
select t.tgrelid, obj_description(p.oid, 'pg_proc')
from pg_proc p join pg_trigger t on t.tgfoid = p.oid
where p.pronamespace = (select oid from pg_namespace where nspname = 'reconcile') and not t.tgisinternal
"""
"""Triggers of the tool's own, each with the note it left; see `changes.sync`."""


def marked(catalog: Catalog, rows: Iterable[Row], state: State) -> State:
    """`state` with the helpers of changes under way said to be such.

    A column under a helper's name belongs to the one it is to replace; one that is to be its new name, to itself.
    """
    for oid, note in rows:
        table = catalog.tables.get(oid)
        found = _read(note)
        if table is None or found is None:
            continue
        old, new, digest = found
        column = state.get(table.child("column", new))
        if not isinstance(column, r.Column):
            continue
        name = old if "__rc_" in new else new
        helpers = [x.replace(helper_of=name, helper_in=table) for x in _on(state, column.address)]
        helpers += _without_grants(state, table, new)
        state = state.add(column.replace(helper_of=name, helper_in=table, beside=old, synced=digest), *helpers)
    return state


def _read(note: str | None) -> tuple[str, str, str] | None:
    try:
        found = json.loads(note or "")
        return str(found["old"]), str(found["new"]), str(found["digest"])
    except (ValueError, KeyError, TypeError):
        return None


def _on(state: State, column: Address) -> Iterable[Resource]:
    """Indexes and constraints with a helper's name on the column; foreign keys of other tables to it."""
    name, table = column.parts[-1], Address(column.store, "table", column.parts[:2])
    for x in state.children(table):
        if "__rc_" in x.address.parts[-1] and name in _names(x):
            yield x
    for key in state.of_kind("foreign_key"):
        if isinstance(key, r.ForeignKey) and key.references == table.parts and name in key.references_columns:
            yield key


def _without_grants(state: State, table: Address, column: str) -> Iterable[Resource]:
    """The grants on the table without those on the column, which has them from the other one."""
    grant = state.get(r.grant_address(table))
    if not isinstance(grant, r.Grant) or not any(column in p.columns for p in grant.grants or ()):
        return []
    kept = [replace(p, columns=tuple(c for c in p.columns if c != column)) for p in grant.grants or ()]
    both = zip(kept, grant.grants or (), strict=True)
    return [grant.replace(grants=tuple(sorted(p for p, was in both if p.columns or not was.columns)))]


def _names(x: Resource) -> set[str]:
    match x:
        case r.Key():
            return {*x.columns, *x.include}
        case r.ForeignKey():
            return set(x.columns)
        case r.Statistics():
            texts = [i.expression for i in x.columns if i.expression]
            return {i.column for i in x.columns if i.column} | {name for text in texts for _, name in named(text)}
        case r.Check():
            return {name for _, name in named(x.expression)}
        case r.Index():
            texts = [i.expression for i in x.columns if i.expression] + ([x.where] if x.where else [])
            columns = {i.column for i in x.columns if i.column}
            return {*columns, *x.include, *(name for text in texts for _, name in named(text))}
    return set()
