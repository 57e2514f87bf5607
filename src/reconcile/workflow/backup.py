"""`reconcile backup`: all stores into files at once, and what is done with what was made: list, verify, prune."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile import __version__, backups, commands, units
from reconcile.backups import Found, Manifest, Saved
from reconcile.errors import ReconcileError, StoreError
from reconcile.hidden import secrets_of
from reconcile.ledger_file import copy
from reconcile.ledger_runs import holder
from reconcile.machine import seconds_of
from reconcile.model import Json
from reconcile.project import BackupSpec
from reconcile.restoring import refuse_half
from reconcile.stores import package
from reconcile.stores.backups import BacksUp, Inspects, Made
from reconcile.stores.base import Session, StoreSpec
from reconcile.suggest import meant
from reconcile.survey import open_ledger, same_project

if TYPE_CHECKING:
    from reconcile.project import Project

OnTold = Callable[[str, str], None]
"""Takes a store and how far it has come."""
LEDGER = "ledger.db"
"""The copy of a ledger that is a file."""
FOLDER = "RECONCILE_BACKUP_FOLDER"
"""The variable that tells a program of the user's where its files go, or are."""
TIMEOUT = "6h"
"""How long such a program may take, unless `backup: {timeout: …}` of the store says otherwise."""


def back_up(
    project: Project,
    only: Sequence[str] = (),
    to: Path | None = None,
    reason: str = "asked for",
    on_told: OnTold = lambda store, detail: None,
) -> Found:
    """Save the stores into a new folder, look into what was written, and give it its name.

    Args:
        only: names of stores; all of them by default.
        to: another folder than `backup: {to: …}` says.
        reason: why, for the manifest.

    Raises:
        ReconcileError: a store cannot be saved, or a folder not be written: nothing is left that looks like a backup.
    """
    began, chosen = time.time(), _chosen(project, only)
    with backups.making(place(project, to), began) as part, _sessions(project, chosen) as sessions:
        run, ledger = _latest(project)
        for name in chosen:
            (part / name).mkdir(mode=0o700)

        def save(name: str) -> Saved:
            where = ledger if project.ledger.store == name else None
            return _saved(project, name, sessions.get(name), part, where, lambda detail: on_told(name, detail))

        with ThreadPoolExecutor(max_workers=max(len(chosen), 1)) as pool:
            futures = {name: pool.submit(save, name) for name in chosen}
            stores = {name: future.result() for name, future in futures.items()}
        manifest = Manifest(
            name=part.name.removesuffix(backups.PARTIAL),
            project=project.name,
            environment=project.environment,
            tool=__version__,
            who=holder(),
            reason=reason,
            started=began,
            finished=time.time(),
            run=run,
            stores=stores,
            whole=set(chosen) == set(project.stores) and all(saved.way != "none" for saved in stores.values()),
            paths=_paths(project, part),
        )
        if findings := [line for name, saved in stores.items() for line in _inspected(name, saved, part)]:
            raise ReconcileError("what was written is not as it should be:\n  " + "\n  ".join(findings))
        folder = backups.finish(part, manifest)
    backups.note_verified(folder, time.time(), ())
    return backups.look(folder)


def place(project: Project, to: Path | None = None) -> Path:
    """Where the backups of this environment are."""
    wanted = project.backup if to is None else BackupSpec(to.expanduser().absolute())
    return backups.place(wanted, project.name, project.environment)


def _chosen(project: Project, only: Sequence[str]) -> list[str]:
    for name in only:
        if name not in project.stores:
            raise ReconcileError(f'there is no store "{name}"', hint=meant(name, project.stores))
    return [name for name in project.stores if not only or name in only]


@contextmanager
def _sessions(project: Project, names: Sequence[str]) -> Iterator[dict[str, Session]]:
    """Sessions of the stores that are saved by the tool itself."""
    with ExitStack() as stack:
        found = {}
        for name in names:
            spec = project.stores[name]
            if not command(spec, "command"):
                found[name] = package(spec.kind).connect(spec, project.name, project.environment)
                stack.callback(found[name].close)
        yield found


def _latest(project: Project) -> tuple[Json, str]:
    """The ledger's latest run, and the schema it is in."""
    ledger = open_ledger(project)
    try:
        same_project(project, ledger)
        runs = ledger.runs(1)
        latest = {"id": runs[0].id, "number": runs[0].number, "outcome": runs[0].outcome} if runs else None
        return latest, project.ledger.schema
    finally:
        ledger.close()


def _saved(
    project: Project,
    name: str,
    session: Session | None,
    part: Path,
    ledger: str | None,
    tell: Callable[[str], None],
) -> Saved:
    spec, folder = project.stores[name], part / name
    try:
        if session is None:
            said = run_command(project, name, "command", folder)
            return Saved(spec.kind, "", None, "", "command", backups.files_in(part, folder), notes=tuple(said))
        server = session.server()
        refuse_half(spec.name, session.mark(None))
        if not isinstance(session, BacksUp):
            note = (
                f"not saved: this tool has no way to save {spec.kind}; name a program: `backup: {{command: [PROGRAM]}}`"
            )
            return Saved(spec.kind, server.version, server.edition, server.identity, "none", (), notes=(note,))
        made = session.back_up(folder, ledger, tell)
        files = backups.files_in(part, folder)
        tell("done")
        facts, notes = made.facts, made.notes
        return Saved(
            spec.kind, server.version, server.edition, server.identity, "own", files, made.contents, facts, notes
        )
    except ReconcileError as error:
        error.where = error.where or f"store {spec.name}"
        error.args = (str(error),)
        raise


def command(spec: StoreSpec, key: str) -> tuple[str, ...]:
    """A program of the user's for a store, `command` or `restore`; nothing where there is none."""
    return tuple(map(str, (spec.settings.get("backup") or {}).get(key) or ()))


def run_command(project: Project, name: str, key: str, folder: Path) -> list[str]:
    """Run it with the folder in a variable; the first line that it prints, without secrets of the project.

    Raises:
        StoreError: it cannot be run, or says that it failed.
    """
    spec = project.stores[name]
    line = command(spec, key)
    limit = str((spec.settings.get("backup") or {}).get("timeout", TIMEOUT))
    directory = Path(spec.directory) if spec.directory else Path()
    done = commands.apart(line, directory, limit, {FOLDER: str(folder.absolute())}, secrets=secrets_of(project))
    if not done.ok:
        longer = f'give it longer: `backup: {{timeout: "{limit}"}}` of the store' if done.code is None else None
        raise StoreError(f"{line[0]}: {done.failure}", where=f"store {name}", hint=longer)
    return [done.first] if done.first else []


def _paths(project: Project, part: Path) -> tuple[backups.File, ...]:
    """What `paths:` names, each packed; a ledger that is a file."""
    ledger: tuple[backups.File, ...] = ()
    if project.ledger.file is not None and project.ledger.file.exists():
        copy(project.ledger.file, part / LEDGER)
        ledger = (backups.file_at(part, part / LEDGER),)
    if not project.backup.paths:
        return ledger
    folder = part / "paths"
    folder.mkdir(mode=0o700)
    for number, text in enumerate(project.backup.paths, 1):
        source = project.directory / Path(text).expanduser()
        if not source.exists():
            raise ReconcileError(f"{text} is not there", where="backup: paths", hint="mend `backup: {paths: …}`")
        with tarfile.open(folder / f"{number}-{source.resolve().name}.tar.gz", "w:gz") as archive:
            archive.add(source, arcname=source.resolve().name)
    return ledger + backups.files_in(part, folder)


def made_of(saved: Saved) -> Made:
    """What a store's package is given of a manifest."""
    return Made(saved.contents, saved.facts, saved.notes)


def _inspected(name: str, saved: Saved, folder: Path) -> list[str]:
    """What the store's package finds in the files."""
    if saved.way != "own":
        return []
    kind = package(saved.kind)
    found = kind.inspect(folder / name, made_of(saved)) if isinstance(kind, Inspects) else ()
    return [f"{name}/{line}" for line in found]


# --- what was made ---------------------------------------------------------------------------------------------------


def list_backups(project: Project, to: Path | None = None) -> list[Found]:
    """Those of this environment, newest first."""
    return backups.listed(place(project, to))


def chosen(project: Project, name: str, to: Path | None = None) -> Found:
    """The backup of a name, the newest complete one (`latest`), or the one in a folder that is named.

    Raises:
        ReconcileError: there is none; says which there are.
    """
    there = list_backups(project, to)
    if name == "latest":
        if (found := next((f for f in there if f.state == "complete"), None)) is not None:
            return found
    elif (same := next((f for f in there if f.name == name), None)) is not None:
        return same
    elif (Path(name) / backups.MANIFEST).exists():
        return backups.look(Path(name).absolute())
    known = [f.name for f in there]
    raise ReconcileError(
        f"there is no backup {name}",
        where=str(place(project, to)),
        hint=(meant(name, known) if known else None) or "see: reconcile backup list; make one: reconcile backup",
    )


def looked_into(found: Found) -> list[str]:
    """All that is wrong with a backup: hashes and sizes of its files, then what its kinds of store see in them."""
    if found.manifest is None:
        return [found.why or f"it is {found.state}: whoever made it ended before it was complete"]
    findings = backups.altered(found)
    if not findings:  # else the same would be told twice
        for name, saved in found.manifest.stores.items():
            try:
                findings += _inspected(name, saved, found.folder)
            except ReconcileError as error:
                findings.append(f"{name}: cannot be looked into here: {error.what}")
        backups.note_verified(found.folder, time.time(), findings)
    else:
        backups.note_verified(found.folder, time.time(), findings)
    return findings


def outdated(project: Project, to: Path | None = None) -> list[Found]:
    """What `prune` removes: older than `keep:` and incomplete ones nobody works on; never the newest complete one."""
    there, now = list_backups(project, to), time.time()
    newest = next((f for f in there if f.state == "complete"), None)
    limit = seconds_of(project.backup.keep)
    return [
        found
        for found in there
        if found.state == "incomplete"
        or (found is not newest and found.state in ("complete", "damaged") and found.age(now) > limit)
    ]


def evidence(project: Project, within: str, now: float) -> tuple[str | None, str | None]:
    """The newest backup that an apply may rely on, in a sentence; or why there is none."""
    why = None
    for found in list_backups(project):
        manifest = found.manifest
        if manifest is None or not manifest.whole:
            continue
        if found.verified is None or not backups.same_sizes(found):
            why = why or f"the files of backup {found.name} are not verified (reconcile backup verify {found.name})"
        elif (age := found.age(now)) > seconds_of(within):
            why = why or f"the newest backup, {found.name}, is {units.duration(age)} old (at most {within})"
            break
        else:
            return sentence(found), None
    return None, why or f"there is no complete backup of all stores in {place(project)}"


def sentence(found: Found) -> str:
    """What a backup is, in a sentence."""
    assert found.manifest is not None
    at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(found.manifest.finished))
    return f"backup {found.name} of {at} UTC ({', '.join(found.manifest.stores)}), files verified"


def to_json(found: Found, now: float) -> Mapping[str, Json]:
    """One line of the list."""
    manifest = found.manifest
    return {
        "name": found.name,
        "folder": str(found.folder),
        "state": found.state,
        "why": found.why,
        "age": round(found.age(now)),
        "bytes": found.bytes,
        "stores": list(manifest.stores) if manifest else [],
        "reason": manifest.reason if manifest else None,
        "verified": found.verified,
        "findings": list(found.findings),
    }
