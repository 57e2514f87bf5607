"""`reconcile migrate`: hand-written migrations, each once, in order, tracked in its store."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile.apply import heartbeat
from reconcile.errors import PartialError, Problem, ReconcileError, RefusedError
from reconcile.ledger import Ledger
from reconcile.ledger_rows import World
from reconcile.ledger_runs import holder
from reconcile.migrations.history import forms
from reconcile.migrations.looked import Looked, chosen, looked, refresh
from reconcile.migrations.model import Migration
from reconcile.migrations.safety import dangers, faults, refusal
from reconcile.model import Json
from reconcile.stores.migrating import Entry, Group, Part, Row, Script, groups, head
from reconcile.survey import open_ledger, same_world
from reconcile.workflow.admission import no_unfinished
from reconcile.workflow.migrating_runs import run_of, step_of
from reconcile.workflow.verifying import Verdicts, judge

if TYPE_CHECKING:
    from reconcile.project import Project

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """What a command has done."""

    run: str | None
    migrations: tuple[str, ...]
    seconds: float


@dataclass
class Running:
    """Under the lock of the ledger."""

    project: Project
    found: Looked
    ledger: Ledger
    run: str
    held: Callable[[], bool]
    tell: Tell
    done: list[str] = field(default_factory=list)
    within: bool = False
    """Whether it is a step of an apply, which tells by itself what is done and how to go on."""

    def note(self, migration: Migration, **facts: Json) -> None:
        """Keep what happened to a migration in the ledger, beside what it keeps of it already."""
        key = known_key(migration)
        before = self.ledger.known().get(key) or {}
        about = {"run": self.run, "who": holder(), "environment": self.project.environment, "at": time.time()}
        events = [*before.get("events", ()), {**about, **facts}]
        self.ledger.record((), (), {key: {"id": migration.id, "name": migration.name, "events": events}})


def known_key(migration: Migration) -> str:
    """Under which the ledger keeps what happened to a migration."""
    return f"migration {migration.folder.store} {migration.folder.table} {migration.name}"


@contextmanager
def running(project: Project, found: Looked, lock_timeout: float, tell: Tell) -> Iterator[Running]:
    """Take the ledger's lock, waiting for it; ask the stores again under it.

    Raises:
        RefusedError: another run holds it, or one is unfinished.
        ReconcileError: the ledger is another world's.
    """
    ledger = open_ledger(project)
    try:
        identities = {name: session.server().identity for name, session in found.sessions.items()}
        same_world(project, ledger, identities)
        ledger.ensure()
        run = uuid.uuid4().hex[:12]
        _locked(ledger, run, lock_timeout, tell)
        try:
            same_world(project, ledger, identities)
            no_unfinished(ledger.unfinished())
            ledger.stamp(World(project.name, project.environment, identities))
            refresh(project, found)
            with heartbeat(ledger) as held:
                yield Running(project, found, ledger, run, held, tell)
        finally:
            ledger.release()
    finally:
        ledger.close()


def _locked(ledger: Ledger, run: str, seconds: float, tell: Tell) -> None:
    """Take the lock, waiting.

    Raises:
        RefusedError: it was held all the time.
    """
    end, told = time.monotonic() + seconds, False
    while True:
        try:
            ledger.lock(run)
            return
        except RefusedError as error:
            if time.monotonic() >= end:
                raise
            if not told:
                tell(f"waiting: {error.what}")
                told = True
        time.sleep(0.2)


def out_of_order(found: Looked, wanted: Sequence[Migration]) -> Iterator[str]:
    """What runs after one with a higher number, or before one with a lower, told."""
    for migration in wanted:
        if found.of(migration).late:
            yield f"{migration.file} runs out of order: one with a higher number has run"
    ids = {m.id for m in wanted}
    for migration in wanted:
        before = [m for m in found.pending() if m.folder == migration.folder and m.order < migration.order]
        skipped = [m for m in before if m.id not in ids]
        if skipped:
            yield (
                f"{migration.file} runs out of order: {', '.join(m.number for m in skipped)}"
                f" {'is' if len(skipped) == 1 else 'are'} still pending"
            )


def apply(project: Project, name: str | None, lock_timeout: float, tell: Tell) -> Done:
    """Run what is pending, or one; each exactly once, whoever else does so at the same time.

    Args:
        name: the one; None: all.

    Raises:
        ReconcileError: something is wrong, and nothing ran.
        PartialError: it stopped after something ran; says what.
        RefusedError: another run holds the lock.
    """
    began = time.monotonic()
    with looked(project) as found:
        if not chosen(found, name):
            return Done(None, (), time.monotonic() - began)
        with running(project, found, lock_timeout, tell) as now:
            wanted = chosen(found, name)
            for line in (*found.told, *out_of_order(found, wanted)):
                tell(line)
            if wanted:
                with run_of(now, f"migrate apply {name}" if name else "migrate apply-all", wanted):
                    for migration in wanted:
                        with step_of(now, migration):
                            carry_out(now, migration, wanted)
            return Done(now.run, tuple(now.done), time.monotonic() - began)


def carry_out(now: Running, migration: Migration, wanted: Sequence[Migration]) -> None:
    """Run a migration, and keep what is to be known of it.

    Raises:
        PartialError: it failed after something was committed, in it or before it.
    """
    began = time.monotonic()
    permitted = [
        {"danger": d.danger.value, "line": d.line, "what": d.what, "reason": p.reason}
        for d in migration.dangers
        if (p := migration.permit(d)) is not None
    ]
    for one in permitted:
        now.tell(f"  allowed: {one['danger']} at {migration.file}:{one['line']}: {one['reason']}")
    verdicts = Verdicts()
    progress = now.found.of(migration).progress
    if progress is not None:
        mended = " it was mended since:" if progress.checksum != migration.checksum else ""
        now.tell(f"  {migration.file}:{mended} goes on after {progress.done} of its transactions")
    work = Work(now, migration, verdicts)
    try:
        work.way(migration.up, migration.up_code, migration.name, progress.done if progress else 0,
                 bool(progress and progress.begun), migration.entry())  # fmt: skip
    except BaseException as error:
        with suppress(ReconcileError):  # the first error is the one to tell
            now.note(migration, outcome="failed", message=str(error) or "interrupted")
        raise stopped(error, work, wanted) from error
    seconds = time.monotonic() - began
    now.done.append(migration.id)
    now.note(migration, outcome="applied", seconds=round(seconds, 3), allowed=permitted, verified=verdicts.to_json())
    now.tell(f"applied {migration.file} in {seconds:.1f} s{verdicts.closing()}")


class Work:
    """One migration being carried out, up or down."""

    def __init__(self, now: Running, migration: Migration, verdicts: Verdicts) -> None:
        self.now, self.migration, self.verdicts = now, migration, verdicts
        self.session = now.found.sessions[migration.folder.store]
        self.through = 0
        """Groups that are committed."""
        self.total = 0
        self.file = migration.file
        self.alone = False
        """Whether what is under way cannot be rolled back."""

    def way(
        self,
        script: Script,
        code: Callable[[object], object] | None,
        name: str,
        done: int,
        begun: bool,
        entry: Entry | None,
        remove: Row | None = None,
    ) -> None:
        """Run the groups that are left, verify, record.

        Raises:
            ReconcileError: one failed; `through` says how many are committed.
        """
        migration = self.migration
        todo: list[Group | None] = list(groups(script)) if code is None else [Group(code=_told(code, migration))]
        todo = todo or [Group()]
        self.total, self.through = len(todo), done
        example = forms(self.now.found.beside(migration), migration)
        table = migration.folder.table
        if entry is not None:
            self.session.prepare(table, entry, example)
        judging = judge(migration, self.verdicts, self.now.tell) if entry is not None else lambda asker: None
        rest = list(enumerate(todo))[done:] or [(len(todo) - 1, None)]
        began = time.monotonic()
        for at, group in rest:
            if not self.now.held():
                raise RefusedError(f"the lock of run {self.now.run} was lost", where=self.now.ledger.placement)
            self.alone = group is not None and group.alone
            last = at == len(todo) - 1
            again = begun and at == done
            ran = head(groups(script), at + 1)
            earlier = tuple(groups(script)[:done]) if at == rest[0][0] else ()
            part = Part(name, migration.checksum, ran, at, group, last, again, entry, began, remove, earlier, example)
            self.session.carry(table, part, judging)
            self.through = at + 1


def _told(code: Callable[[object], object], migration: Migration) -> Callable[[object], object]:
    """Code of a migration whose errors are told as its own."""

    def call(connection: object) -> object:
        try:
            return code(connection)
        except ReconcileError:
            raise
        except Exception as error:  # the user's own code
            raise ReconcileError(f"{type(error).__name__}: {error}", where=migration.source) from error

    return call


def stopped(error: BaseException, work: Work, wanted: Sequence[Migration]) -> BaseException:
    """A failure as it is told: where, what is done, what is not, what to do."""
    if isinstance(error, RefusedError) and not work.now.done and not work.through:
        return error
    if not isinstance(error, ReconcileError | KeyboardInterrupt):
        return error
    interrupted = isinstance(error, KeyboardInterrupt)
    what = "interrupted" if interrupted else error.what  # type: ignore[union-attr]
    line = getattr(error, "line", None)
    place = f"{work.file}:{line}" if line is not None else getattr(error, "where", None) or work.file
    committed = bool(work.through) or work.alone
    hint = "" if interrupted or not error.hint else f"{error.hint}\n  "  # type: ignore[union-attr]
    rest = [m.number for m in wanted if m.id not in work.now.done]
    again = f"reconcile migrate apply {work.migration.number}" if len(rest) == 1 else "reconcile migrate apply-all"
    state = "its transaction was rolled back"
    if committed:
        state = f"{work.through} of its {work.total} transactions are committed, and it goes on after them"
    if work.now.within:
        mend = "if the file is at fault, mend it: `reconcile apply --resume` then runs it as it is"
        kind = PartialError if committed else ReconcileError
        left = "" if committed and work.through else f"\n  {mend}"
        return kind(f"{work.file} failed: {what}", where=str(place), hint=f"{hint}{state}{left}")
    if not committed and not work.now.done:
        return ReconcileError(
            f"{work.migration.file} failed: {what}", where=str(place), hint=f"{hint}{state}: nothing was changed"
        )
    return PartialError(
        f"{work.migration.file} failed: {what}",
        where=str(place),
        hint=f"{hint}{state}\n  done: {', '.join(work.now.done) or 'none'}\n  not done: {', '.join(rest)}"
        f"\n  go on with: {again}",
    )


def back_refusals(found: Looked, migration: Migration) -> list[Problem]:
    """What is dangerous on the way back and not allowed."""
    script = migration.down
    if script is None:
        return []
    file = migration.down_file or migration.file
    spots = dangers(script, migration, found.migrations)
    return [*faults(script, file), *(refusal(migration, d, file) for d in spots if migration.permit(d) is None)]


def known(project: Project) -> Mapping[str, Json]:
    """What the ledger keeps of migrations, by `known_key`."""
    ledger = open_ledger(project)
    try:
        return {k: v for k, v in ledger.known().items() if k.startswith("migration ")}
    finally:
        ledger.close()
