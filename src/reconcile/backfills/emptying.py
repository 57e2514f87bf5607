"""A place that is emptied before the first batch of a backfill, and what was in it kept: once, killed anywhere.

What is going to be done is in the ledger first, under which name the rows are kept too; so a run that goes on finds
whether it was done.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from reconcile import kept
from reconcile.backfills import checking
from reconcile.errors import ReconcileError
from reconcile.model import Address, Json

if TYPE_CHECKING:
    from reconcile.backfills.running import Running
    from reconcile.stores.truncating import Truncating


def place(entry: Json) -> Address:
    """What a `truncate:` empties."""
    return Address.parse(entry["place"])


def emptied(running: Running, store: Truncating) -> str:
    """Empty it, unless the progress says that it is; what is to be told of it.

    Raises:
        ReconcileError: another number of rows is there than is declared, or the server refused it; nothing has changed.
    """
    definition, around = running.definition, running.around
    entry = definition.truncate
    there, known = place(entry), running.progress.emptied
    expected = checking.held(definition, there)
    if known is None:
        expected(store.held())
        stamp = f"{definition.address} {running.progress.run}"
        name = store.archive(stamp) if entry.get("archive", True) else None
        known = {"name": name, "done": False}
        _note(running, known)
        if name is not None:
            said = f"what {definition.address} emptied"
            row = kept.Kept(
                str(there), name, running.progress.run, around.now(), said, backfill=str(definition.address)
            )
            around.ledger.keep(kept.key(row), asdict(row))
    else:
        expected = _anything
    name = known["name"]
    try:
        rows, size = store.truncate(name, expected)
    except ReconcileError:
        if name is None or not store.there(name):  # else the next run goes on from it
            _note(running, None)
            around.ledger.keep(f"{kept.KEY}{there.store} {name}", None)
        raise
    if name is not None:
        row = kept.read(around.ledger.known())[f"{kept.KEY}{there.store} {name}"]
        around.ledger.keep(kept.key(row), asdict(replace(row, rows=rows, bytes=size)))
    _note(running, {**known, "done": True, "rows": rows})
    aside = f", kept as {name}: reconcile kept list" if name is not None else f", not kept: {entry['reason']}"
    return f"{rows} rows of {there} taken out{aside}"


def put_back(store: Truncating, emptied: Json, where: str) -> int:
    """Have the place hold again what it held.

    Raises:
        ReconcileError: nothing was kept, or it does not fit any more.
    """
    name = (emptied or {}).get("name")
    if name is None:
        raise ReconcileError("what it emptied was not kept", where=where)
    return store.put_back(name)


def _note(running: Running, emptied: Json) -> None:
    running.progress = replace(running.progress, emptied=emptied)
    running.progress.save(running.definition.address, running.around.ledger)


def _anything(rows: int) -> None:
    del rows
