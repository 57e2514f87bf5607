"""`reconcile restore`: a backup into the stores of an environment, or into scratch places to see that it can be."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconcile.apply import heartbeat
from reconcile.backups import Found, Saved
from reconcile.errors import PartialError, ReconcileError, RefusedError
from reconcile.ledger import Ledger
from reconcile.ledger_file import copy
from reconcile.ledger_rows import World
from reconcile.restoring import RESTORING, refuse_half
from reconcile.stores import package
from reconcile.stores.backups import BacksUp
from reconcile.stores.base import Session
from reconcile.suggest import meant
from reconcile.survey import open_ledger
from reconcile.workflow.backup import LEDGER, OnTold, command, looked_into, made_of, run_command

if TYPE_CHECKING:
    from reconcile.project import Project


@dataclass(frozen=True)
class Restoring:
    """A backup that may be restored, and what is in its way."""

    project: Project
    found: Found
    stores: Mapping[str, Saved]
    sessions: Mapping[str, Session] = field(repr=False)
    held: Mapping[str, Sequence[str]]
    """By store what it holds now and would lose."""
    marks: Mapping[str, Mapping[str, str]]
    """By store what its mark says."""
    whole: frozenset[str] = frozenset()
    """Stores that an earlier try of this restore has come to the end with: nothing is done there again."""

    @property
    def again(self) -> frozenset[str]:
        """Stores that an earlier try of this restore had begun with: what they hold is its own."""
        return frozenset(name for name, mark in self.marks.items() if mark.get(RESTORING) == self.found.name)


@contextmanager
def restoring(project: Project, found: Found, only: Sequence[str] = (), adopt: bool = False) -> Iterator[Restoring]:
    """Look at a backup and at the stores it would be restored into. Changes nothing.

    Args:
        adopt: whether it may be a backup of another environment.

    Raises:
        ReconcileError: the backup is incomplete or damaged, of another project or environment, or has a store that
            the project has not.
    """
    manifest = found.manifest
    findings = looked_into(found)
    if manifest is None or findings:
        lines = "\n".join(f"  {line}" for line in findings)
        raise ReconcileError(
            f"the backup {found.name} cannot be relied on; nothing was changed:\n{lines}",
            hint="choose another: reconcile backup list",
        )
    theirs, ours = (manifest.project, manifest.environment), (project.name, project.environment)
    if theirs != ours and not adopt:
        raise ReconcileError(
            f"the backup is of project {theirs[0]}, environment {theirs[1]}; this is {ours[0]}, {ours[1]}",
            hint="to restore it here all the same, and make its ledger this environment's: --adopt",
        )
    chosen = _chosen(project, manifest.stores, only)
    with ExitStack() as stack:
        sessions = {}
        for name, saved in chosen.items():
            if saved.way == "own":
                spec = project.stores[name]
                sessions[name] = package(spec.kind).connect(spec, project.name, project.environment)
                stack.callback(sessions[name].close)
        marks = {name: session.mark(None) for name, session in sessions.items()}
        asked = Restoring(project, found, chosen, sessions, {}, marks)
        whole = frozenset(name for name in sessions if asked.again and _is_whole(asked, name))
        held = {n: s.in_the_way() for n, s in sessions.items() if isinstance(s, BacksUp) and n not in whole}
        yield replace(asked, held={name: lines for name, lines in held.items() if lines}, whole=whole)


def _is_whole(asked: Restoring, name: str) -> bool:
    """Whether a store holds exactly what the backup says. What is only half there may not even be readable."""
    session, made = asked.sessions[name], made_of(asked.stores[name])
    try:
        return isinstance(session, BacksUp) and not made.contents.differs(session.contents(made))
    except ReconcileError:
        return False


def _chosen(project: Project, stores: Mapping[str, Saved], only: Sequence[str]) -> dict[str, Saved]:
    for name in only:
        if name not in stores:
            raise ReconcileError(f'the backup has no store "{name}"', hint=meant(name, stores))
    chosen = {name: s for name, s in stores.items() if s.way != "none" and (not only or name in only)}
    for name, saved in chosen.items():
        spec = project.stores.get(name)
        if spec is None or spec.kind != saved.kind:
            what = "is not one of the project's" if spec is None else f"is of kind {spec.kind} here"
            raise ReconcileError(
                f"store {name} of the backup, of kind {saved.kind}, {what}", hint="leave it out: --only STORE"
            )
        if saved.way == "command" and not command(spec, "restore"):
            raise ReconcileError(
                f"store {name} was saved by a program, and none is named that restores it",
                where=spec.source,
                hint="name it: `backup: {restore: [PROGRAM, …]}` of the store; or leave the store out: --only STORE",
            )
    return chosen


def refuse_held(asked: Restoring) -> None:
    """
    Raises:
        ReconcileError: a store holds something.
    """
    if refused := {name: held for name, held in asked.held.items() if name not in asked.again}:
        lines = "\n".join(f"  {name}: {shown(held)}" for name, held in refused.items())
        raise ReconcileError(
            f"these stores are not empty; nothing was changed:\n{lines}",
            hint=f"to take all of that away and restore the backup in its place: reconcile restore {asked.found.name}"
            " --replace",
        )


def shown(held: Sequence[str], most: int = 8) -> str:
    """A list for people."""
    rest = f" and {len(held) - most} more" if len(held) > most else ""
    return ", ".join(held[:most]) + rest


def carry_out(asked: Restoring, replace: bool, on_told: OnTold = lambda store, detail: None) -> list[str]:
    """Restore, compare with the manifest, make the ledger this environment's; what a person should know of it.

    Killed anywhere, it can be begun again: until the last store is compared, the marks of all say that they are
    restored, every other command refuses them, and what an earlier try left is taken away first.

    Raises:
        RefusedError: another run holds the lock; nothing was changed.
        PartialError: stores were changed, and it did not come to its end.
        ReconcileError: nothing was changed.
    """
    if not replace:
        refuse_held(asked)
    project, ledger = asked.project, open_ledger(asked.project)
    run = f"restore-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        stack.callback(ledger.close)
        lock = _Lock(ledger, run, stack)
        lock.take()
        _mark(asked)
        notes = _each(asked, replace, on_told, lock)
        _refuse_different(asked, on_told)
        return notes + _ledger_file(asked) + _adopted(project, asked.sessions)


@dataclass
class _Lock:
    """The ledger's lock, if there is a ledger; to be taken again when that was restored, which nobody has locked."""

    ledger: Ledger
    run: str
    stack: ExitStack
    _held: bool = False

    def take(self) -> None:
        """
        Raises:
            RefusedError: another run holds it.
        """
        if self.ledger.exists() and not (self._held and self.ledger.renew()):
            self.ledger.ensure()
            self.ledger.lock(self.run)
            if not self._held:
                self.stack.callback(self._release)
                self.stack.enter_context(heartbeat(self.ledger))
                self._held = True

    def _release(self) -> None:
        with suppress(ReconcileError):
            self.ledger.release()


def _mark(asked: Restoring) -> None:
    """Say in all stores, before anything is changed in one, that they are restored."""
    ours = {"project": asked.project.name, "environment": asked.project.environment}
    try:
        for session in asked.sessions.values():
            session.mark({**ours, RESTORING: asked.found.name})
    except BaseException:
        _as_before(asked)
        raise


def _as_before(asked: Restoring) -> None:
    """Nothing was changed: nor are the marks."""
    for name, session in asked.sessions.items():
        with suppress(ReconcileError):
            session.mark(asked.marks[name])


def _ledger_file(asked: Restoring) -> list[str]:
    """A ledger that is a file comes back where there is none; one that is there is nobody's to overwrite."""
    place, saved = asked.project.ledger.file, asked.found.folder / LEDGER
    if place is None or not saved.exists():
        return []
    if place.exists():
        return [f"the ledger {place} was left as it is; that of the backup is {saved}"]
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    part.unlink(missing_ok=True)
    copy(saved, part)
    part.rename(place)  # killed before, there is none, and not the half of one
    return []


def _each(asked: Restoring, replace: bool, on_told: OnTold, lock: _Lock) -> list[str]:
    notes, done = [], []
    for name, saved in asked.stores.items():
        folder, session = asked.found.folder / name, asked.sessions.get(name)
        try:
            if name in asked.whole:
                told: Sequence[str] = ["was whole already"]
            elif isinstance(session, BacksUp):
                anew = replace or name in asked.again
                told = session.put_back(folder, made_of(saved), anew, _to(on_told, name))
            else:
                told = run_command(asked.project, name, "restore", folder)
            notes += [f"{name}: {line}" for line in told]
            done.append(name)
            if name == asked.project.ledger.store:
                lock.take()
        except (ReconcileError, KeyboardInterrupt) as error:
            if not done and isinstance(error, ReconcileError) and _as_it_was(session, asked.held.get(name, ())):
                _as_before(asked)
                raise
            left = [n for n in asked.stores if n not in done]
            again = "--replace" if replace else ""
            raise PartialError(
                f"restored: {', '.join(done) or 'nothing'}; not, or not whole: {', '.join(left)}: "
                f"{str(error) or 'interrupted'}",
                hint="when that is mended, begin it again; what is whole stays:"
                f" reconcile restore {asked.found.name} {again}".rstrip(),
            ) from error
    return notes


def _as_it_was(session: Session | None, before: Sequence[str]) -> bool:
    try:
        return isinstance(session, BacksUp) and list(session.in_the_way()) == list(before)
    except ReconcileError:
        return False


def _to(on_told: OnTold, name: str) -> Callable[[str], None]:
    return lambda detail: on_told(name, detail)


def _refuse_different(asked: Restoring, on_told: OnTold) -> None:
    different = []
    for name, session in asked.sessions.items():
        if isinstance(session, BacksUp):
            on_told(name, "comparing")
            made = made_of(asked.stores[name])
            different += [f"{name}: {line}" for line in made.contents.differs(session.contents(made))]
    if different:
        lines = "\n".join(f"  {line}" for line in different)
        raise PartialError(
            f"the stores were restored, and hold something else than the backup says:\n{lines}",
            hint="did somebody write to them meanwhile? Stop that, and restore again with --replace",
        )


def _adopted(project: Project, restored: Mapping[str, Session]) -> list[str]:
    """Make the ledger and the marks say that these are this environment's stores from now on."""
    ledger = open_ledger(project)
    try:
        ours = {"project": project.name, "environment": project.environment}
        notes = []
        if ledger.exists():
            ledger.ensure()
            stamp = ledger.world()
            for session in restored.values():
                session.mark({**session.mark(None), **ours})  # which an identity may be made from
            identities = {name: session.server().identity for name, session in restored.items()}
            ledger.stamp(World(project.name, project.environment, identities))
            if stamp is not None and (stamp.project, stamp.environment) != (project.name, project.environment):
                notes.append(f"the ledger was that of {stamp.project}, {stamp.environment}: its runs are history here")
            notes += _history(ledger)
        for session in restored.values():
            session.mark(ours)  # last of all: from here on the restore is over
        return notes
    finally:
        ledger.close()


def _history(ledger: Ledger) -> list[str]:
    run = ledger.unfinished()
    if run is None:
        return []
    return [
        f"run {run.id} was not finished when the backup was made: go on with it (reconcile apply --resume) or give it"
        f" up (reconcile apply --abandon {run.id})"
    ]


def adopt(project: Project) -> list[str]:
    """Take a ledger that came with restored or cloned stores for this environment's; the stores are not touched
    but for the tool's mark.

    Raises:
        RefusedError: a run holds the lock.
        ReconcileError: there is no ledger, or a store cannot be reached.
    """
    ledger = open_ledger(project)
    try:
        if not ledger.exists():
            raise ReconcileError("there is no ledger to adopt", where=ledger.placement, hint="plan and apply as usual")
        ledger.ensure()
        lock = ledger.lock_state()
        if lock.run is not None and not lock.expired:
            raise RefusedError(
                f"run {lock.run} by {lock.holder} holds the lock", hint=f"reconcile unlock {lock.run}, if it is gone"
            )
    finally:
        ledger.close()
    with ExitStack() as stack:
        sessions = {}
        for name, spec in project.stores.items():
            sessions[name] = package(spec.kind).connect(spec, project.name, project.environment)
            stack.callback(sessions[name].close)
            refuse_half(name, sessions[name].mark(None))
        return _adopted(project, sessions)


def tried(
    project: Project, found: Found, only: Sequence[str] = (), on_told: OnTold = lambda store, detail: None
) -> dict[str, list[str] | None]:
    """Restore into scratch places and compare: by store what differs; None of those saved by a program, not tried.

    Raises:
        ReconcileError: the backup is damaged, or there is no place to try it in.
    """
    with restoring(project, found, only, adopt=True) as asked:
        findings: dict[str, list[str] | None] = dict.fromkeys(asked.stores)
        for name, session in asked.sessions.items():
            made = made_of(asked.stores[name])
            assert isinstance(session, BacksUp)
            with session.trial(made) as other:
                other.put_back(found.folder / name, made, False, _to(on_told, name))
                on_told(name, "comparing")
                findings[name] = made.contents.differs(other.contents(made))
    return findings
