"""Which backfills and migrations a plan has: those that nobody knows as done. Pure.

What backfills are made of is imported where there are some: most projects, and most plans, have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconcile import migrations
from reconcile.backfills import KEY, KIND
from reconcile.change import Change
from reconcile.diff import Difference
from reconcile.model import Json, Resource, State
from reconcile.narrow import Options, select
from reconcile.stores.base import Package
from reconcile.stores.rows import Rows

if TYPE_CHECKING:
    from reconcile.migrations.change import RunMigration

_NOTE = "what migrations make is not declared by that: after the apply, `reconcile import` writes it as YAML"


def parted(desired: State) -> tuple[State, list[Resource], list[Rows]]:
    """What a store's schema is made of, the backfills, and the reference rows."""
    backfills = [resource for resource in desired.values() if resource.address.kind == KIND]
    rows = [resource for resource in desired.values() if isinstance(resource, Rows)]
    if backfills or rows:
        desired = desired.filter(lambda r: r.address.kind != KIND and not isinstance(r, Rows))
    return desired, backfills, rows


def schema_only(changes: Iterable[Change]) -> list[Change]:
    """Those that change what a store's schema is made of: no data."""
    return [c for c in changes if c.address.kind not in (KIND, migrations.KIND) and not isinstance(c.resource, Rows)]


def rows_planned(
    difference: Difference, declared: Sequence[Rows], live: Sequence[Rows], package: Package, options: Options
) -> Difference:
    """A store's difference with the reference rows that are not as declared."""
    if not declared:
        return difference
    there = {rows.address: rows for rows in live}
    found = [package.change(there.get(rows.address), rows) for rows in declared]
    changes = [change for change in found if change is not None]
    chosen = select(list(changes), options)
    return replace(
        difference,
        changes=(*difference.changes, *chosen),
        found=(*difference.found, *changes),
        live=difference.live.add(*live),
        seen=None if difference.seen is None else difference.seen.add(*live),
        complete=difference.complete and len(chosen) == len(changes),
    )


def live(known: Mapping[str, Json], store: str, state: State, rows: Sequence[Rows] = ()) -> State:
    """What is live in a store, with the backfills that are done and the reference rows."""
    found: list[Resource] = [*rows]
    if any(key.startswith(KEY) for key in known):
        from reconcile.backfills import progress

        found = [backfill for backfill in progress.done(known) if backfill.address.store == store] + found
    return state.add(*found) if found else state


def beside(difference: Difference, changes: Sequence[RunMigration], options: Options, told: bool) -> Difference:
    """A store's difference with the migrations that are to run.

    Args:
        told: whether another store's has said already what that means.
    """
    if not changes:
        return difference
    chosen = select(list(changes), options)
    return replace(
        difference,
        changes=(*difference.changes, *chosen),
        found=(*difference.found, *changes),
        notes=(*difference.notes, *([_NOTE] if chosen and not told else [])),
        complete=difference.complete and len(chosen) == len(changes),
    )


def planned(
    difference: Difference, declared: Sequence[Resource], known: Mapping[str, Json], options: Options
) -> Difference:
    """A store's difference with the backfills that are to run, and a word on those that are not what was done."""
    if not declared:
        return difference
    from reconcile.backfills import progress
    from reconcile.backfills.change import RunBackfill
    from reconcile.backfills.definition import Backfill

    backfills = [backfill for backfill in declared if isinstance(backfill, Backfill)]
    there = progress.read(known)
    finished = {a: p for a, p in there.items() if p.state == progress.DONE}
    changes = [RunBackfill(None, backfill) for backfill in backfills if backfill.address not in finished]
    chosen = select(list(changes), options)
    notes = [
        f"{b.address} ({b.source}) was done by run {p.run} as it was declared then, and has changed since: it does"
        f" not run again by itself; give it another name, or: reconcile backfill redo {b.address.parts[-1]}"
        for b in backfills
        if (p := finished.get(b.address)) is not None and p.digest != b.digest
    ]
    return replace(
        difference,
        changes=(*difference.changes, *chosen),
        found=(*difference.found, *changes),
        notes=(*difference.notes, *notes),
        complete=difference.complete and len(chosen) == len(changes),
    )
