"""Carry out the steps that are backfills: no single store's operation, for their progress is in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from reconcile.apply import Event, OnEvent
from reconcile.backfills import emptying
from reconcile.backfills import progress as kept
from reconcile.backfills.crossing import Crossing
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import Figures, Progress
from reconcile.backfills.running import Around, Running
from reconcile.change import Op, Step
from reconcile.errors import ReconcileError
from reconcile.hidden import secrets_of
from reconcile.pacing import Load, load, nearest
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
        if before is not None and before.state == kept.DONE and before.digest == begun.digest:
            return  # killed before the journal knew
        if before is not None and before.state == kept.RUNNING and before.digest == begun.digest:
            begun = before
        if definition.wanted.keeps is not None or definition.on_error == "set_aside":
            self.ledger.prepare_rows()

        def event(kind: str, text: str, figures: Figures | None = None) -> None:
            self.on_event(Event(kind, step, detail=text, figures=figures.to_json() if figures else {}))

        tell, report = partial(event, "progress"), partial(event, "reported")
        workers = share(self.project, definition, call.args, self.run, self.ledger, self.stop)
        truncates = emptying_store(definition, self.sessions)
        near = near_limits((self.sessions[name], self.project.stores[name]) for name in stores_of(definition))
        around = Around(
            self.ledger,
            self.project.directory,
            session.transient,
            tell,
            report,
            self.stop,
            workers,
            truncates,
            near,
            secrets=secrets_of(self.project),
        )
        Running(definition, filling(definition, self.sessions, begun), begun, around).run()


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


def near_limits(stores: Iterable[tuple[Session, StoreSpec]]) -> Callable[[], Load]:
    """What tells how near the stores of a backfill are to their declared `limits:` of load."""
    limited = [session for session, spec in stores if spec.settings.get("limits")]
    return (lambda: nearest([load(session.check(())) for session in limited])) if limited else Load


def stores_of(definition: Definition) -> tuple[str, ...]:
    """The store whose rows they are, and the one that they are put into."""
    target = definition.target
    return tuple(dict.fromkeys((definition.address.store, *([target.store] if target is not None else []))))


def filling(definition: Definition, sessions: Mapping[str, Session], progress: Progress) -> Filling:
    """The work in its store, or from its store into another.

    Raises:
        ReconcileError: a store can have none, or take no rows.
    """
    session, target = sessions[definition.address.store], definition.target
    if not isinstance(session, Fills):
        raise ReconcileError("this kind of store cannot have backfills", where=str(definition.address))
    own = session.filling(replace(definition.wanted, stamp=progress.stamp))
    if target is None:
        return own
    other = sessions.get(target.store)
    if not isinstance(other, Receives):
        raise ReconcileError(f"into: rows cannot be put into {target}", where=str(definition.address))
    return Crossing(own, other.receiving(target, definition.into_key), str(definition.address))
