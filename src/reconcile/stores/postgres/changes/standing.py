"""Kinds that the server refuses to change anything under: dropped before what they are built from changes, made after.

A registry, so that each kind says in one place how it takes part. `again.AGAIN` has the change that does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconcile.change import World
from reconcile.model import Address, Resource
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.changes.routine_rules import can_replace as can_replace_routine
from reconcile.stores.postgres.sqlroutines import header


def _never(before: Any, after: Any) -> bool:
    del before, after
    return False


def built_from(world: World, x: Resource) -> Iterable[Address]:
    """What it refers to, and the view a trigger is on."""
    del world
    return x.refers if x.container is None else (*x.refers, x.container)


def whole_tables(world: World, x: Resource) -> list[Address]:
    """What it refers to, and all columns of a table of which it names none: it may take whole rows."""
    known = {a.parts[:2] for a in x.refers if a.kind == "column"}
    found = list(x.refers)
    for table in x.refers:
        if table.kind == "table" and table.parts not in known:
            found += [c.address for c in world.live.children(table) if isinstance(c, r.Column)]
    return found


def can_replace(before: r.View, after: r.View) -> bool:
    """Whether CREATE OR REPLACE VIEW does: columns only appended. Unknown columns count as changed."""
    if before.query == after.query:
        return True
    return bool(after.columns) and after.columns[: len(before.columns)] == before.columns


@dataclass(frozen=True)
class Standing:
    """How a kind takes part."""

    replaced: Callable[[Any, Any], bool] = _never
    """(before, after): whether the server has no way between the two but DROP and CREATE, so that what stands on it
    has to go too."""
    reads: Callable[[World, Any], Iterable[Address]] = built_from
    """What it stands on. A column that gets another type, or anything here that is dropped and made again, takes it
    along."""


def _other_routine(before: r.Routine, after: r.Routine) -> bool:
    return not can_replace_routine(header(before.definition_), header(after.definition_))


STANDING: Mapping[type[Resource], Standing] = {
    r.View: Standing(replaced=lambda before, after: not can_replace(before, after), reads=whole_tables),
    r.MaterializedView: Standing(replaced=lambda before, after: before.query != after.query, reads=whole_tables),
    r.Policy: Standing(),
    r.Trigger: Standing(),
    **dict.fromkeys((r.Function, r.Procedure, r.Aggregate), Standing(replaced=_other_routine)),
    r.EventTrigger: Standing(),
}
"""By class. Of functions only those with a body that the server has parsed refer to columns."""
