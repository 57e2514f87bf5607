"""What `reconcile migrate` shows, and what it records without running: list, info, baseline, forget, redo, new."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from reconcile.errors import ProjectError, ReconcileError
from reconcile.ledger_runs import holder
from reconcile.migrations.discover import discover, layout, names
from reconcile.migrations.history import Standing, State, forms
from reconcile.migrations.looked import Looked, alike, looked, refresh
from reconcile.migrations.model import Folder, Layout, Migration
from reconcile.migrations.order import find
from reconcile.migrations.safety import refusals
from reconcile.model import Json
from reconcile.references import without_secrets
from reconcile.stores import package
from reconcile.stores.migrating import Row, Scripted, groups
from reconcile.workflow.migrate import (
    Running,
    Tell,
    Work,
    back_refusals,
    carry_out,
    known,
    known_key,
    running,
    stopped,
)
from reconcile.workflow.migrating_runs import run_of, step_of
from reconcile.workflow.verifying import Verdicts

if TYPE_CHECKING:
    from reconcile.project import Project


def listing(project: Project) -> Json:
    """All migrations and what they are at, as plain data.

    Raises:
        ProjectError: something is wrong with the files; all of it.
        StoreError: a store cannot be asked.
    """
    with looked(project) as found:
        kept = known(project)
        entries = [_entry(s, kept.get(known_key(s.migration)) if s.migration else None) for s in found.standings]
        return {"migrations": entries, "told": found.told}


def _entry(standing: Standing, kept: Json) -> dict[str, Json]:
    migration, row = standing.migration, standing.row
    events = (kept or {}).get("events", ())
    entry: dict[str, Json] = {
        "id": migration.id if migration else None,
        "number": migration.number if migration else (row.number if row else None),
        "title": migration.title if migration else (row.name if row else None),
        "file": migration.file if migration else None,
        "state": standing.state.value,
        "late": standing.late,
        "executed_at": row.executed_at.isoformat(timespec="seconds") if row and row.executed_at else None,
        "execution_time_ms": row.execution_time_ms if row else None,
        "checksum": row.checksum if row else None,
        "checksum_of": standing.algorithm,
        "description": (migration.description if migration else None) or (row.description if row else None) or "",
        "reasons": [
            {"what": e["outcome"], "reason": e["reason"], "who": e.get("who")} for e in events if e.get("reason")
        ],
    }
    if migration is not None:
        entry["allowed"] = [
            {"danger": d.danger.value, "line": d.line, "what": d.what, "reason": p.reason}
            for d in migration.dangers
            if (p := migration.permit(d)) is not None
        ]
        entry["refused"] = [
            {"danger": d.danger.value, "line": d.line, "column": d.column, "what": d.what} for d in migration.refused
        ]
        entry["faults"] = [{"line": f.line, "column": f.column, "what": f.what} for f in migration.up.faults]
        entry["now"] = alike(migration, row)
        entry["breaks"] = list(migration.up.breaks)
    if standing.progress is not None:
        entry["transactions_done"] = standing.progress.done
    return entry


def info(project: Project, name: str) -> Json:
    """One migration whole, as plain data.

    Raises:
        ReconcileError: there is none, or several are called so.
    """
    with looked(project) as found:
        migration = found.named(name)
        kept = known(project).get(known_key(migration)) or {}
        entry = _entry(found.of(migration), kept)
        parts = groups(migration.up) if migration.up_code is None else ()
        return {
            **entry,
            "store": migration.folder.store,
            "table": migration.folder.table,
            "down": migration.down_file if migration.down is not None or migration.down_code else None,
            "depends_on": [n for n, _ in migration.depends_on],
            "verify": [
                {"label": v.label, "at": f"{v.where.file}:{v.where.line}", "query": v.query, "not_run": v.unrunnable}
                for v in migration.verify
            ],
            "groups": [
                {
                    "alone": g.alone,
                    "kind": g.kind,
                    "statements": [{"line": s.line, "text": without_secrets(s.text)} for s in g.statements],
                }
                for g in parts
            ],
            "notes": list(migration.notes),
            "events": kept.get("events", []),
        }


def baseline(project: Project, name: str | None, only: bool, reason: str, lock_timeout: float, tell: Tell) -> list[str]:
    """Record as applied without running: all, those up to one, or one alone; what was recorded.

    Raises:
        ReconcileError: there is no such migration.
        RefusedError: another run holds the lock.
    """
    with looked(project) as found, running(project, found, lock_timeout, tell) as now:
        target = None if name is None else found.named(name)
        if only and target is not None:
            wanted = [target]
        elif target is not None:
            same = [m for m in found.migrations if m.folder == target.folder]
            wanted = [m for m in same if m.order <= target.order]
        else:
            wanted = list(found.migrations)
        todo = [
            m for m in wanted if found.of(m).pending or (only and found.of(m).state in (State.CHANGED, State.FAILED))
        ]
        if todo:
            with run_of(now, f"migrate baseline {name or ''}".strip(), todo, how="recorded, not run", reason=reason):
                _baselined(now, todo, reason)
        return [migration.id for migration in todo]


def _baselined(now: Running, wanted: Sequence[Migration], reason: str) -> None:
    found = now.found
    for migration in wanted:
        standing = found.of(migration)
        session, table = found.sessions[migration.folder.store], migration.folder.table
        example = forms(found.beside(migration), migration)
        entry = migration.entry()
        session.prepare(table, entry, example)
        if standing.row is not None or standing.progress is not None:
            session.forget(table, standing.row, migration.name)
        session.record(table, entry, example)
        now.note(migration, outcome="baseline", reason=reason)
        now.tell(f"recorded {migration.file} as applied")


def forget(project: Project, name: str, reason: str, lock_timeout: float, tell: Tell) -> str:
    """Take a migration out of the table.

    Raises:
        ReconcileError: there is none in it.
        RefusedError: another run holds the lock.
    """
    with looked(project) as found, running(project, found, lock_timeout, tell) as now:
        strangers = [s for s in found.strangers if name in (s[2].name, s[2].number)]
        if len(strangers) == 1 and not find(name, found.migrations):
            store, table, row = strangers[0]
            with run_of(now, f"migrate forget {name}", (), how="forgotten", reason=reason):
                found.sessions[store].forget(table, row, row.name or "")
            event = {"run": now.run, "who": holder(), "at": time.time(), "outcome": "forgotten", "reason": reason}
            now.ledger.record((), (), {f"migration {store} {table} {row.name or row.number}": {"events": [event]}})
            return str(row.name or row.number)
        migration = found.named(name)
        standing = found.of(migration)
        if standing.row is None and standing.progress is None:
            raise ReconcileError(f"{migration.file} has not run: there is nothing to forget")
        recorded = standing.row.checksum if standing.row else None
        with run_of(now, f"migrate forget {name}", [migration], how="forgotten", reason=reason):
            now.note(migration, outcome="forgotten", reason=reason, checksum=recorded)
            found.sessions[migration.folder.store].forget(migration.folder.table, standing.row, migration.name)
        return migration.file


def redo(project: Project, name: str, reason: str, lock_timeout: float, tell: Tell) -> str:
    """Run the way back, then the migration again.

    Raises:
        ReconcileError: it has not run, has no way back, or others that ran depend on it.
        PartialError: it stopped after something was committed.
        RefusedError: another run holds the lock.
    """
    with looked(project) as found, running(project, found, lock_timeout, tell) as now:
        migration = found.named(name)
        standing = found.of(migration)
        if standing.row is None:
            raise ReconcileError(
                f"{migration.file} has not run", hint=f"run it: reconcile migrate apply {migration.number}"
            )
        if migration.down is None and migration.down_code is None:
            raise ReconcileError(
                f"{migration.file} has no way back",
                hint="undo it by hand, then: reconcile migrate forget N --reason …, and apply it again",
            )
        users = [m for m in found.migrations if not found.of(m).pending and _depends(m, migration, found)]
        if users:
            raise ReconcileError(
                f"{', '.join(m.file for m in users)} depends on {migration.file} and has run",
                hint="redo or forget that first",
            )
        if problems := [*refusals([migration]), *back_refusals(found, migration)]:
            raise ProjectError(problems)
        with run_of(now, f"migrate redo {name}", [migration], reason=reason), step_of(now, migration):
            _redone(now, migration, standing.row, reason)
        return migration.file


def _redone(now: Running, migration: Migration, row: Row, reason: str) -> None:
    now.note(migration, outcome="redo", reason=reason)
    work = Work(now, migration, Verdicts())
    work.file = migration.down_file or migration.file
    down = migration.down or migration.up
    name_ = f"{migration.name} down"
    began = time.monotonic()
    try:
        work.way(down, migration.down_code, name_, 0, False, None, row)
    except BaseException as error:
        raise stopped(error, work, [migration]) from error
    now.done.append(f"{migration.id} back")
    now.tell(f"ran {work.file} in {time.monotonic() - began:.1f} s")
    refresh(now.project, now.found)
    carry_out(now, migration, [migration])


def _depends(user: Migration, on: Migration, found: Looked) -> bool:
    return any(t.id == on.id for n, _ in user.depends_on for t in find(n, found.migrations, user.folder.name))


def new(project: Project, title: str, folder: str | None, as_yaml: bool) -> list[str]:
    """Write an empty migration; the files.

    Raises:
        ReconcileError: it is not said in which folder, or the name cannot be one.
    """
    target = _folder(project, folder)
    words = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    if not words:
        raise ReconcileError(f'"{title}" gives no file name', hint="use letters and digits")
    kind = package(project.stores[target.store].kind)
    assert isinstance(kind, Scripted)
    place = project.directory / target.folder
    place.mkdir(parents=True, exist_ok=True)
    found = discover(project.directory, target, kind, [], [])
    chosen = target.layout or layout(names(project.directory, target), kind.script_suffixes) or Layout.NUMBERED
    files = _files(chosen, found, words, kind, as_yaml)
    for name, text in files:
        with (place / name).open("x", encoding="utf-8") as stream:
            stream.write(text)
    return [f"{target.folder}/{name}" for name, _ in files]


def _folder(project: Project, name: str | None) -> Folder:
    known_ = {f.name: f for f in project.migrations}
    if name is None and len(known_) == 1:
        return next(iter(known_.values()))
    if name is None or name not in known_:
        names_ = ", ".join(known_) or "none; see `migrations:` of reconcile.yaml"
        what = f"there is no folder {name}" if name else "there are several folders" if known_ else "there is no folder"
        raise ReconcileError(what, hint=f"name one with --folder: {names_}")
    return known_[name]


def _files(
    chosen: Layout, found: Sequence[Migration], words: str, kind: Scripted, as_yaml: bool
) -> list[tuple[str, str]]:
    suffix, mark = kind.script_suffixes[0], kind.comment
    head = f"{mark} Description: {words.replace('_', ' ')}\n\n"
    if chosen is Layout.DATED:
        today = date.today()
        taken = [m.order[-1] for m in found if m.order[:3] == (today.year, today.month, today.day)]
        return [(f"{today.isoformat()}-{max(taken, default=0) + 1:03}-{words.replace('_', '-')}{suffix}", head)]
    last = max(found, key=lambda m: m.order, default=None)
    digits = re.search(r"\d+", last.number) if last is not None else None
    width = len(digits[0]) if digits else (2 if chosen is Layout.UP_DOWN else 3)
    number = f"{(last.order[0] if last else 0) + 1:0{width}}"
    if chosen is Layout.UP_DOWN:
        name = last.path.name if last is not None else "V01-x-up" + suffix
        match = re.match(r"([Vv]?)\d+(?:\.\d+)*([-_]{1,2}).+([-_.])up", name)
        letter, gap, before = match.groups() if match else ("V", "-", "-")
        stem = f"{letter}{number}{gap}{words.replace('_', gap[0])}"
        return [(f"{stem}{before}up{suffix}", head), (f"{stem}{before}down{suffix}", head)]
    if as_yaml:
        text = (
            f"description: {words.replace('_', ' ')}\nup: |\n  {mark} statements\ndown: |\n  {mark} the way back\n"
            "verify: []\n"
        )
        return [(f"{number}_{words}.yaml", text)]
    gap = "-" if last is not None and re.match(r"[Vv]?\d+-", last.path.name) else "_"
    return [(f"{number}{gap}{words.replace('_', gap)}{suffix}", head)]
