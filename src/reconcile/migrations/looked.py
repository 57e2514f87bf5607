"""The migrations of a project, and what their stores know of them. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile.errors import Problem, ProjectError, ReconcileError
from reconcile.migrations.discover import discover
from reconcile.migrations.history import Standing, State, standings
from reconcile.migrations.model import Migration
from reconcile.migrations.order import find, ordered
from reconcile.migrations.safety import judged, refusals
from reconcile.stores import package
from reconcile.stores.migrating import History, Migrates, Progress, Row, Scripted, groups, head

if TYPE_CHECKING:
    from reconcile.project import Project


@dataclass
class Looked:
    """The migrations of a project in their order, and what their stores know of them."""

    migrations: list[Migration]
    told: list[str]
    standings: list[Standing] = field(default_factory=list)
    strangers: list[tuple[str, str, Row]] = field(default_factory=list)
    """Rows of which there is no file: store, table, row."""
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
    found.strangers = []
    for store, table in tables:
        history: History = found.sessions[store].history(table)
        own = [m for m in found.migrations if (m.folder.store, m.folder.table) == (store, table)]
        for standing in standings(own, history):
            if standing.migration is None:
                strangers.append(standing)
                assert standing.row is not None
                found.strangers.append((store, table, standing.row))
            else:
                by_id[standing.migration.id] = standing
        found.told += [line for t in history.told if (line := f"store {store}, table {table}: {t}") not in found.told]
    found.standings = [*(by_id[m.id] for m in found.migrations), *strangers]


def alike(migration: Migration, row: Row | None) -> str:
    """The checksum of the file, of the length of the one that was recorded."""
    length = len((row and row.checksum) or migration.checksum)
    return next((v for v in migration.checksums.values() if len(v) == length), migration.checksum)


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
        if standing.state is State.FAILED and row is not None:
            number = migration.number
            hint = (
                f"undo by hand what of it is done, then: reconcile migrate forget {number} --reason …, and apply it;"
                f" or, if it is whole: reconcile migrate baseline {number} --only --reason …"
            )
            what = f"failed when another tool ran it: in its row, {row.failed}"
            problems.append(Problem(what, where=migration.source, hint=hint))
        elif standing.state is State.CHANGED and row is not None:
            now = alike(migration, row)
            hint = (
                f"put the file back as it was; or, if the change is to run: reconcile migrate redo {migration.number}"
                " --reason …; or, if it changes nothing: reconcile migrate baseline"
                f" {migration.number} --only --reason …"
            )
            what = f"has changed since it ran: its checksum was {row.checksum}, it is {now}"
            problems.append(Problem(what, where=migration.source, hint=hint))
        elif progress is not None and rewritten(migration, progress):
            hint = (
                "put what ran back as it was, the rest may change, and apply again; or undo by hand what ran, then:"
                f" reconcile migrate forget {migration.number} --reason …"
            )
            what = (
                f"has changed since a part of it ran, in that part ({progress.done} of its transactions): its checksum"
                f" was {progress.checksum}, it is {migration.checksum}"
            )
            problems.append(Problem(what, where=migration.source, hint=hint))
    if problems:
        raise ProjectError(problems)


def rewritten(migration: Migration, progress: Progress) -> bool:
    """Whether a migration that stopped part-way is another one in what of it has run, or was begun."""
    if progress.checksum == migration.checksum:
        return False
    if migration.up_code is not None:
        return True
    return head(groups(migration.up), progress.done + progress.begun) != progress.head


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
