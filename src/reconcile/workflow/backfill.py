"""`reconcile backfill`: what backfills there are, what one would do, doing one again, taking one back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from reconcile import kept as archives
from reconcile.apply import heartbeat
from reconcile.backfills import KIND, checking, emptying, forms
from reconcile.backfills import progress as kept
from reconcile.backfills.definition import RESTORE, Backfill, Definition
from reconcile.backfills.progress import Progress
from reconcile.errors import ReconcileError, RefusedError
from reconcile.hidden import secrets_of
from reconcile.model import Address, Json
from reconcile.stores.filling import Batch, Filling, Fills, Value
from reconcile.suggest import meant
from reconcile.survey import Reading, open_ledger, reading
from reconcile.workflow.filling import emptying_store
from reconcile.workflow.filling import filling as begin

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.project import Project

PENDING = "pending"
DOWN = "down"
"""Why it is to run again: it was taken back, or is about to be."""


def backfills(project: Project) -> list[dict[str, Json]]:
    """Every declared backfill and every other one that the ledger knows, with how far it is."""
    declared = {a: r for a, r in project.desired().items() if isinstance(r, Backfill)}
    ledger = open_ledger(project)
    try:
        known = ledger.known()
        there = kept.read(known)
        far = {a: kept.told(known, a) for a, p in there.items() if p.state == kept.RUNNING}
        aside = {a: ledger.kept_rows(str(a), "set_aside", 3) for a, p in there.items() if p.set_aside}
    finally:
        ledger.close()
    found = []
    for address in sorted({*declared, *there}, key=str):
        progress, backfill = there.get(address), declared.get(address)
        own = {} if progress is None else progress.to_json()
        state = PENDING if progress is None or progress.state == kept.UNDONE else progress.state
        found.append(
            {
                "address": str(address),
                "state": state,
                "declared": backfill is not None,
                "changed_since": bool(progress and backfill and progress.digest != backfill.digest),
                "source": backfill and backfill.source and backfill.source.to_json(),
                **{
                    k: own.get(k)
                    for k in ("run", "read", "changed", "skipped", "otherwise", "set_aside", "began", "ended")
                },
                "values": own.get("values", {}),
                "metrics": {n: [b, own["later"].get(n)] for n, b in own.get("before", {}).items()},
                "progress": far.get(address),
                "sample_set_aside": [{"key": k, **content} for k, content in aside.get(address, ())],
            }
        )
    return found


def preview(project: Project, name: str, sample: int = 5) -> dict[str, Json]:
    """What a backfill would do: counts, shares, a sample, what it would take. Writes nothing.

    Rows are all classified where a table of rules does it; a function or command is given the rows of the sample only.

    Raises:
        ReconcileError: there is no such backfill, or its selection is refused.
    """
    with _one(project, name) as (found, backfill, definition, filling):
        total = filling.count()
        change = forms.maker(definition, project.directory, secrets_of(project))
        counts: dict[str, dict[str, int]] = {}
        read = changed = otherwise = 0
        shown: list[Json] = []
        began = time.monotonic()
        for batch in _batches(filling, definition, sample):
            values = change(batch)
            read += len(batch.keys)
            changed += len(batch.keys) if values is None else len(values)
            otherwise += sum(value.otherwise for value in values or ())
            forms.count(counts, values or ())
            if len(shown) < sample:
                shown += _sample(batch, values)[: sample - len(shown)]
            if definition.rules is None:
                break  # others may cost money, and a statement is not run
        seconds = time.monotonic() - began
        by_rate = total / definition.rate if definition.rate else 0.0
        return {
            "address": str(backfill.address),
            "rows": total,
            "batches": -(-total // definition.batch),
            "looked_at": read,
            "would_change": changed,
            "otherwise": otherwise,
            "values": counts,
            "sample": shown,
            "cost": definition.cost * total,
            "seconds_at_least": max(by_rate, seconds / read * total if read else 0.0),
            "metrics": checking.metrics(definition, filling),
            "empties": _emptied(definition, found),
        }


def _emptied(definition: Definition, found: Reading) -> Json:
    """The place that it would empty first, and how many rows are there."""
    store = emptying_store(definition, {name: s.session for name, s in found.stores.items()})
    if store is None:
        return None
    place = emptying.place(definition.truncate)
    return {"place": str(place), "rows": store.held(), "kept": definition.truncate.get("archive", True)}


def _batches(filling: Filling, definition: Definition, sample: int) -> Iterator[Batch]:
    """Batches; of what a function or program is given, for it may cost money, as many rows as are shown."""
    asked = definition.function is not None or definition.command is not None
    after, size = None, max(sample, 1) if asked else definition.batch
    while (batch := filling.read(after, size)).keys:
        yield batch
        after = batch.keys[-1]


def _sample(batch: Batch, values: Sequence[Value] | None) -> list[Json]:
    rows = batch.rows or tuple({} for _ in batch.keys)
    new = {v.key: dict(v.fields) for v in values or ()}
    return [{"key": k, **row, "→": new.get(k)} for k, row in zip(batch.keys, rows, strict=True)]


def redo(project: Project, name: str, reason: str) -> Address:
    """Let a backfill that is done run again with the next apply.

    Raises:
        ReconcileError: it is not done.
    """
    with _one(project, name) as (found, backfill, _, _), _locked(found.ledger) as run:
        progress = _done(found, backfill)
        _undo(found.ledger, backfill.address, progress, run, reason)
        if found.ledger.kept_rows(str(backfill.address), "set_aside", 1):
            found.ledger.drop_rows(str(backfill.address), state="set_aside")
    return backfill.address


def down(project: Project, name: str, tell: Callable[[str], None] = lambda text: None) -> int:
    """Take a backfill back, as its `down` says; the next apply runs it again, if it is still declared.

    Returns:
        How many rows were changed back.

    Raises:
        ReconcileError: it has no `down`, or is not done.
    """
    with _one(project, name) as (found, backfill, definition, _):
        if definition.down is None:
            raise ReconcileError(
                "it declares no `down`",
                where=str(backfill.source),
                hint="write `down: restore` before it runs: what rows hold is kept only then",
            )
        progress = _begun(found, backfill)
        if definition.truncate is not None:
            return _refilled(found, backfill, definition, progress)
        back = replace(definition.wanted, once=True, keeps=None)
        restores = definition.down == RESTORE
        gone = restores and bool(definition.deletes)
        back = replace(back, statement=None if restores else definition.down, gone=gone)
        session = found.stores[backfill.address.store].session
        assert isinstance(session, Fills)
        filling = session.filling(back)
        changed = 0
        with _locked(found.ledger) as run:
            state = "archived" if definition.deletes else "old"
            there = found.ledger.kept_rows(str(backfill.address), state, 1)
            if progress.changed and progress.reason != DOWN and not there:
                raise ReconcileError(
                    f"what {progress.changed} rows held is kept no more, or was put back already",
                    where=str(backfill.address),
                    hint="was it purged? Write those rows by hand, or from a backup",
                )
            progress = progress.with_(reason=DOWN)  # killed after the last of them, it finds none
            progress.save(backfill.address, found.ledger)
            while rows := found.ledger.kept_rows(str(backfill.address), state, definition.batch):
                changed += _put_back(found.ledger, backfill.address, filling, rows, restores, state)
                tell(f"{changed:,} rows changed back")
            _undo(found.ledger, backfill.address, progress, run, DOWN)
            filling.end()
        return changed


def _refilled(found: Reading, backfill: Backfill, definition: Definition, progress: Progress) -> int:
    """Have the place that was emptied hold what it held; how many rows."""
    store = emptying_store(definition, {name: s.session for name, s in found.stores.items()})
    assert store is not None
    with _locked(found.ledger) as run:
        if progress.emptied is not None:
            progress = progress.with_(emptied={**progress.emptied, emptying.PUTTING_BACK: True})
            progress.save(backfill.address, found.ledger)
        rows = emptying.put_back(store, progress.emptied, str(backfill.address))
        found.ledger.keep(archives.key(emptying.place(definition.truncate).store, progress.emptied["name"]), None)
        _undo(found.ledger, backfill.address, progress, run, DOWN)
    return rows


def _put_back(
    ledger: Ledger, address: Address, filling: Filling, rows: Sequence[tuple[Json, Json]], restore: bool, state: str
) -> int:
    keys = tuple(key for key, _ in rows)
    values = [Value(key, fields) for key, fields in rows] if restore else None
    inside: list[bool] = []

    def save(transaction: object, changed: int, olds: Sequence[Value]) -> None:
        del changed, olds
        if (own := ledger.inside(transaction)) is not None:
            own.drop_rows(str(address), keys, state)
            inside.append(True)

    changed = filling.change(Batch(keys), values, save)
    if not inside:
        ledger.drop_rows(str(address), keys, state)
    return changed


def _undo(ledger: Ledger, address: Address, progress: Progress, run: str, reason: str) -> None:
    undone = Progress(progress.digest, run, state=kept.UNDONE, days=progress.days, reason=reason)
    undone.save(address, ledger)


def _begun(found: Reading, backfill: Backfill) -> Progress:
    progress = kept.read(found.known).get(backfill.address)
    if progress is None or progress.state == kept.UNDONE:
        raise ReconcileError(f"{backfill.address} has not run", hint="see: reconcile backfill list")
    return progress


def _done(found: Reading, backfill: Backfill) -> Progress:
    progress = _begun(found, backfill)
    if progress.state != kept.DONE:
        raise ReconcileError(f"{backfill.address} is not done yet", hint="go on with it: reconcile apply --resume")
    return progress


@contextmanager
def _locked(ledger: Ledger) -> Iterator[str]:
    """The ledger's lock, for something that is no apply.

    Raises:
        RefusedError: a run holds it, or is unfinished.
    """
    ledger.ensure()
    ledger.prepare_rows()
    if (unfinished := ledger.unfinished()) is not None:
        raise RefusedError(
            f"run {unfinished.id} is unfinished", where=ledger.placement, hint="end it first: reconcile apply --resume"
        )
    run = uuid.uuid4().hex[:12]
    ledger.lock(run)
    try:
        with heartbeat(ledger):
            yield run
    finally:
        ledger.release()


@contextmanager
def _one(project: Project, name: str) -> Iterator[tuple[Reading, Backfill, Definition, Filling]]:
    """A backfill by its address or name, with its store at hand."""
    with reading(project) as found:
        backfill = chosen(found.desired, name)
        definition = Definition.of(backfill.address, backfill.definition)
        sessions = {name: store.session for name, store in found.stores.items()}
        yield found, backfill, definition, begin(definition, sessions, Progress(backfill.digest, ""))


def chosen(desired: Mapping[Address, object], name: str) -> Backfill:
    """The declared backfill of an address, or of a name that only one store has.

    Raises:
        ReconcileError: there is none, or several.
    """
    declared = [r for r in desired.values() if isinstance(r, Backfill)]
    found = [r for r in declared if name in (str(r.address), r.address.parts[-1])]
    if len(found) == 1:
        return found[0]
    if found:
        addresses = " and ".join(str(r.address) for r in found)
        raise ReconcileError(f'several backfills are called "{name}": {addresses}', hint="give the address")
    known = [n for r in declared for n in (r.address.parts[-1], str(r.address))]
    hint = meant(name, known) or f"declare it under `{KIND}s:` of a schema file"
    raise ReconcileError(f'there is no backfill "{name}"', hint=hint)
