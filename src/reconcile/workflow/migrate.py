"""`reconcile migrate`: hand-written migrations, each once, in order, tracked in its store."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile.apply import heartbeat
from reconcile.errors import PartialError, Problem, ProjectError, ReconcileError, RefusedError
from reconcile.ledger import Ledger, holder
from reconcile.ledger_rows import World
from reconcile.migrations.discover import discover
from reconcile.migrations.history import Standing, State, forms, standings
from reconcile.migrations.model import Migration
from reconcile.migrations.order import find, ordered
from reconcile.migrations.safety import dangers, judged, refusal, refusals
from reconcile.model import Json
from reconcile.stores import package
from reconcile.stores.migrating import Entry, Group, History, Migrates, Part, Row, Script, Scripted, groups
from reconcile.survey import open_ledger, same_world
from reconcile.workflow.admission import no_unfinished
from reconcile.workflow.verifying import Verdicts, judge

if TYPE_CHECKING:
    from reconcile.project import Project

Tell = Callable[[str], None]


@dataclass
class Looked:
    """The migrations of a project in their order, and what their stores know of them."""

    migrations: list[Migration]
    told: list[str]
    standings: list[Standing] = field(default_factory=list)
    sessions: dict[str, Migrates] = field(default_factory=dict)

    def of(self, migration: Migration) -> Standing:
        """What a migration is at."""
        return next(s for s in self.standings if s.migration is not None and s.migration.id == migration.id)

    def beside(self, migration: Migration) -> list[Standing]:
        """What all those are at that are tracked in the same table."""
        key = (migration.folder.store, migration.folder.table)
        return [
            s for s in self.standings if s.migration and (s.migration.folder.store, s.migration.folder.table) == key
        ]

    def pending(self) -> list[Migration]:
        """Those still to run."""
        return [s.migration for s in self.standings if s.pending and s.migration is not None]

    def named(self, name: str) -> Migration:
        """The one that is meant.

        Raises:
            ReconcileError: none is, or several.
        """
        found = find(name, self.migrations)
        if len(found) == 1:
            return found[0]
        if found:
            ways = ", ".join(m.id for m in found)
            raise ReconcileError(f"several migrations are called {name}", hint=f"name one of {ways}")
        known = ", ".join(m.number for m in self.migrations[-8:]) or "none: the folders are empty"
        raise ReconcileError(f"there is no migration {name}", hint=f"the latest are: {known}")


def files(project: Project) -> Looked:
    """The migrations as the files have them; no store is asked.

    Raises:
        ProjectError: all that is wrong with them.
    """
    problems: list[Problem] = []
    told: list[str] = []
    found: list[Migration] = []
    if not project.migrations:
        where = project.source
        hint = "write `migrations: {NAME: {store: STORE, folder: FOLDER}}`"
        raise ReconcileError("reconcile.yaml names no folder of migrations", where=where, hint=hint)
    for folder in project.migrations:
        kind = package(project.stores[folder.store].kind)
        assert isinstance(kind, Scripted)  # the project's own check
        found += discover(project.directory, folder, kind, problems, told)
    result = judged(ordered(found, [f.name for f in project.migrations], problems))
    if problems:
        raise ProjectError(problems)
    return Looked(result, told)


@contextmanager
def looked(project: Project) -> Iterator[Looked]:
    """The migrations, and what their stores know; connections end on leaving.

    Raises:
        ProjectError: see `files`.
        StoreError: a store cannot be asked.
    """
    found = files(project)
    try:
        for folder in project.migrations:
            if folder.store not in found.sessions:
                spec = project.stores[folder.store]
                kind = package(spec.kind)
                assert isinstance(kind, Scripted)
                found.sessions[folder.store] = kind.migrations(spec, project.name, project.environment)
        refresh(project, found)
        yield found
    finally:
        for session in found.sessions.values():
            session.close()


def refresh(project: Project, found: Looked) -> None:
    """Ask the stores again."""
    tables = dict.fromkeys((f.store, f.table) for f in project.migrations)
    by_id: dict[str, Standing] = {}
    strangers: list[Standing] = []
    for store, table in tables:
        history: History = found.sessions[store].history(table)
        own = [m for m in found.migrations if (m.folder.store, m.folder.table) == (store, table)]
        for standing in standings(own, history):
            if standing.migration is None:
                strangers.append(standing)
            else:
                by_id[standing.migration.id] = standing
        found.told += [line for t in history.told if (line := f"store {store}, table {table}: {t}") not in found.told]
    found.standings = [*(by_id[m.id] for m in found.migrations), *strangers]


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

    def note(self, migration: Migration, **facts: Json) -> None:
        """Keep what happened to a migration in the ledger, beside what it keeps of it already."""
        key = known_key(migration)
        before = self.ledger.known().get(key) or {}
        events = [*before.get("events", ()), {"run": self.run, "who": holder(), "at": time.time(), **facts}]
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
        identities = {name: session.identity() for name, session in found.sessions.items()}
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


def refuse_changed(found: Looked) -> None:
    """
    Raises:
        ProjectError: a file has changed since it ran, or since a part of it did.
    """
    problems = []
    for standing in found.standings:
        migration, row, progress = standing.migration, standing.row, standing.progress
        if migration is None:
            continue
        if standing.state is State.CHANGED and row is not None:
            now = next(
                (v for v in migration.checksums.values() if len(v) == len(row.checksum or "")), migration.checksum
            )
            hint = (
                f"put the file back as it was; or, if the change is to run: reconcile migrate redo {migration.number}"
                " --reason …; or, if it changes nothing: reconcile migrate baseline"
                f" {migration.number} --only --reason …"
            )
            what = f"has changed since it ran: its checksum was {row.checksum}, it is {now}"
            problems.append(Problem(what, where=migration.source, hint=hint))
        elif progress is not None and progress.checksum != migration.checksum:
            hint = (
                "put the file back as it was and apply again; or undo by hand what ran, then: reconcile migrate forget"
                f" {migration.number} --reason …"
            )
            what = (
                f"has changed since a part of it ran ({progress.done} of its transactions): its checksum was"
                f" {progress.checksum}, it is {migration.checksum}"
            )
            problems.append(Problem(what, where=migration.source, hint=hint))
    if problems:
        raise ProjectError(problems)


def chosen(found: Looked, name: str | None) -> list[Migration]:
    """What is to run: all that is pending, or the one that is named.

    Raises:
        ProjectError: something of it is refused, or has changed.
        ReconcileError: what it depends on has not run.
    """
    refuse_changed(found)
    if name is None:
        result = found.pending()
    else:
        migration = found.named(name)
        if not found.of(migration).pending:
            return []
        lacking = [
            d
            for n, _ in migration.depends_on
            for d in find(n, found.migrations, migration.folder.name)
            if found.of(d).pending
        ]
        if lacking:
            first = lacking[0]
            raise ReconcileError(
                f"depends on {first.file}, which has not run",
                where=migration.source,
                hint=f"run that first: reconcile migrate apply {first.number}",
            )
        result = [migration]
    if problems := refusals(result):
        raise ProjectError(problems)
    return result


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
            yield f"{migration.file} runs out of order: {', '.join(m.number for m in skipped)} is still pending"


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
            for line in out_of_order(found, wanted):
                tell(line)
            for migration in wanted:
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
    work = Work(now, migration, verdicts)
    try:
        work.way(migration.up, migration.up_code, migration.name, progress.done if progress else 0,
                 bool(progress and progress.begun), migration.entry())  # fmt: skip
    except BaseException as error:
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
            took = round((time.monotonic() - began) * 1000)
            final = None if entry is None else migration.entry(took)
            last = at == len(todo) - 1
            part = Part(name, migration.checksum, at, group, last, begun and at == done, final, remove, example)
            self.session.carry(table, part, judging)
            self.through = at + 1


def _told(code: Callable[[object], object], migration: Migration) -> Callable[[object], object]:
    """Code of a migration whose errors are told as its own."""

    def call(connection: object) -> object:
        try:
            return code(connection)
        except ReconcileError:
            raise
        except Exception as error:
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
    spots = dangers(script, migration, found.migrations)
    return [refusal(migration, d, migration.down_file or migration.file) for d in spots if migration.permit(d) is None]


def known(project: Project) -> Mapping[str, Json]:
    """What the ledger keeps of migrations, by `known_key`."""
    ledger = open_ledger(project)
    try:
        return {k: v for k, v in ledger.known().items() if k.startswith("migration ")}
    finally:
        ledger.close()
