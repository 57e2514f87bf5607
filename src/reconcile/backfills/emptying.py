"""A place that is emptied before the first batch of a backfill, and what was in it kept: once, killed anywhere.

Under which name the rows are kept is in the ledger first, so a run that goes on finds whether it was done. Where the
server gives that name (a snapshot of Qdrant), a kill before it is written leaves a snapshot that nobody lists.
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


PUTTING_BACK = "putting_back"
"""In the progress: the rows are about to be put back, after which the archive is gone."""


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
    if known is None or store.held():  # else an earlier try has taken all of it out
        name = store.archive(f"{definition.address} {running.progress.run}") if entry.get("archive", True) else None
        if known is None or known["name"] != name:  # of what came since, where the server keeps it at once
            known = {"name": name}
            _keep(running, there, name)
            _note(running, known)
    else:
        expected = _anything
    name = known["name"]
    try:
        rows, size = store.truncate(name, expected)
    except ReconcileError:
        if name is None or not store.there(name):  # else the next run goes on from it
            _note(running, None)
            if name is not None:
                around.ledger.keep(kept.key(there.store, name), None)
        raise
    _keep(running, there, name, rows, size)
    _note(running, {**known, "rows": rows})
    aside = f", kept as {name}: reconcile kept list" if name is not None else f", not kept: {entry['reason']}"
    return f"{rows} rows of {there} taken out{aside}"


def _keep(running: Running, there: Address, name: str | None, rows: int | None = None, size: int | None = None) -> None:
    """Have the ledger know what is kept, if anything is."""
    if name is not None:
        backfill, around = str(running.definition.address), running.around
        said = f"what {backfill} emptied"
        row = kept.Kept(str(there), name, running.progress.run, around.now(), said, rows, size, backfill)
        around.ledger.keep(kept.key(there.store, name), asdict(row))


def put_back(store: Truncating, emptied: Json, where: str) -> int:
    """Have the place hold again what it held.

    Raises:
        ReconcileError: nothing was kept, or it does not fit any more.
    """
    name = (emptied or {}).get("name")
    if name is None:
        raise ReconcileError(
            "what it emptied was not kept", where=where, hint="fill it from a backup: reconcile restore"
        )
    if emptied.get(PUTTING_BACK) and not store.there(name):
        return store.held()  # an earlier try came to its end, and was killed before the ledger knew
    return store.put_back(name)


def _note(running: Running, emptied: Json) -> None:
    running.progress = replace(running.progress, emptied=emptied)
    running.progress.save(running.definition.address, running.around.ledger)


def _anything(rows: int) -> None:
    del rows
