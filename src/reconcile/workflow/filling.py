"""Carry out the steps that are backfills: no single store's operation, for their progress is in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconcile.apply import Event, OnEvent
from reconcile.backfills import emptying
from reconcile.backfills import progress as kept
from reconcile.backfills.crossing import Crossing
from reconcile.backfills.definition import Definition
from reconcile.backfills.pacing import Load, load
from reconcile.backfills.progress import Figures, Progress
from reconcile.backfills.running import Around, Running
from reconcile.change import Op, Step
from reconcile.errors import ReconcileError
from reconcile.stores.base import Session, StoreSpec
from reconcile.stores.filling import Filling, Fills, Receives
from reconcile.stores.truncating import Truncates, Truncating
from reconcile.workflow.sharing import share

if TYPE_CHECKING:
    from reconcile.ledger import Ledger
    from reconcile.project import Project


@dataclass(frozen=True)
class Filler:
    """Runs backfills within one run of an apply."""

    project: Project
    run: str
    sessions: Mapping[str, Session]
    ledger: Ledger
    on_event: OnEvent
    stop: Callable[[], str | None]

    def __call__(self, step: Step, call: Op) -> None:
        """Run the backfill of a step, or what is left of it.

        Raises:
            ReconcileError: see `Running.run`; or its store can have none.
        """
        definition = Definition.of(step.address, call.args)
        session = self.sessions[step.address.store]
        before = kept.read(self.ledger.known()).get(step.address)
        begun = Progress(call.args["digest"], self.run)
        if before is not None and before.state == kept.RUNNING and before.digest == begun.digest:
            begun = before
        if definition.wanted.keeps is not None or definition.on_error == "set_aside":
            self.ledger.prepare_rows()

        def event(kind: str, text: str, figures: Figures | None = None) -> None:
            self.on_event(Event(kind, step, detail=text, figures=figures.to_json() if figures else {}))

        tell, report = partial(event, "progress"), partial(event, "reported")
        workers = share(self.project, definition, call.args, self.run, self.ledger, self.stop)
        truncates = emptying_store(definition, self.sessions)
        near = near_limits(session, self.project.stores[step.address.store])
        around = Around(
            self.ledger, self.project.directory, session.transient, tell, report, self.stop, workers, truncates, near
        )
        Running(definition, filling(definition, self.sessions), begun, around).run()


def emptying_store(definition: Definition, sessions: Mapping[str, Session]) -> Truncating | None:
    """The store whose place a backfill empties first.

    Raises:
        ReconcileError: it cannot.
    """
    if definition.truncate is None:
        return None
    there = emptying.place(definition.truncate)
    store = sessions.get(there.store)
    if not isinstance(store, Truncates):
        hint = "nodes are deleted by a backfill that `deletes`"
        raise ReconcileError(f"truncate: {there} cannot be emptied", where=str(definition.address), hint=hint)
    return store.truncating(there)


def near_limits(session: Session, spec: StoreSpec) -> Callable[[], Load]:
    """What tells how near a store is to its declared `limits:` of load."""
    return (lambda: load(session.check(()))) if spec.settings.get("limits") else Load


def filling(definition: Definition, sessions: Mapping[str, Session]) -> Filling:
    """The work in its store, or from its store into another.

    Raises:
        ReconcileError: a store can have none, or take no rows.
    """
    session, target = sessions[definition.address.store], definition.target
    if not isinstance(session, Fills):
        raise ReconcileError("this kind of store cannot have backfills", where=str(definition.address))
    own = session.filling(definition.wanted)
    if target is None:
        return own
    other = sessions.get(target.store)
    if not isinstance(other, Receives):
        raise ReconcileError(f"into: rows cannot be put into {target}", where=str(definition.address))
    return Crossing(own, other.receiving(target, definition.into_key), str(definition.address))
