"""Backups in a folder: what a manifest says, which there are, in what state. Knows files, no store and no server.

A backup is a folder `TO/PROJECT/ENVIRONMENT/NAME`. While it is made it is called `NAME.partial`, and whoever makes it
holds a lock on a file in it; with its manifest written, all of it on disk, it gets its name: what has that name is
complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconcile.errors import ReconcileError
from reconcile.model import Json

if TYPE_CHECKING:
    from reconcile.project import BackupSpec

MANIFEST = "manifest.json"
PARTIAL = ".partial"
FORMAT = 1
_LOCK = ".making"
_VERIFIED = "verified.json"
_PIECE = 1 << 20


@dataclass(frozen=True)
class Contents:
    """What a store holds: how many of each, and a hash of each that no order of rows changes."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """`table public.notes` -> rows."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Nothing of what was written to while it was read."""

    def differs(self, found: Contents) -> list[str]:
        """What `found` has otherwise than this says."""
        lines = []
        for what in sorted({*self.counts, *found.counts}):
            wanted, there = self.counts.get(what, 0), found.counts.get(what, 0)
            if wanted != there:
                lines.append(f"{what}: {there:,} instead of {wanted:,}")
            elif self.hashes.get(what, found.hashes.get(what)) != found.hashes.get(what):
                lines.append(f"{what}: {there:,} as there should be, but other content")
        return lines


@dataclass(frozen=True)
class File:
    """One file of a backup."""

    name: str
    """Relative to the backup's folder."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Saved:
    """One store in a manifest."""

    kind: str
    version: str
    edition: str | None
    identity: str
    way: str
    """`own`, or `command`: what the files are is then that program's affair."""
    files: tuple[File, ...]
    contents: Contents = field(default_factory=Contents)
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What its kind needs to put it back."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a complete backup is of. Times are UTC seconds since 1970."""

    name: str
    project: str
    environment: str
    tool: str
    who: str
    reason: str
    started: float
    finished: float
    run: Mapping[str, Json] | None
    """The ledger's latest run: `id`, `number`, `outcome`."""
    stores: Mapping[str, Saved]
    whole: bool
    """Whether it has every store of the project, and each is saved."""
    paths: tuple[File, ...] = ()

    @property
    def files(self) -> tuple[File, ...]:
        """All there are."""
        return tuple(file for saved in self.stores.values() for file in saved.files) + self.paths

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> dict[str, Json]:
        """With a hash of all the rest."""
        found = {"format_version": FORMAT, **json.loads(json.dumps(asdict(self)))}
        return {**found, "sha256": _digest(found)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Manifest:
        """
        Raises:
            ValueError: it is none, was altered, or a later version of the tool wrote it.
        """
        rest = {key: value for key, value in found.items() if key != "sha256"}
        if rest.pop("format_version", None) != FORMAT:
            raise ValueError(f"its format_version is not {FORMAT}")
        if found["sha256"] != _digest({"format_version": FORMAT, **rest}):
            raise ValueError("it was altered: its own sha256 is another")
        files = tuple(File(**file) for file in rest["paths"])
        stores = {name: _saved(entry) for name, entry in rest["stores"].items()}
        return cls(**{**rest, "paths": files, "stores": stores})


def _saved(entry: Mapping[str, Any]) -> Saved:
    files = tuple(File(**file) for file in entry["files"])
    contents = Contents(**entry["contents"])
    return Saved(**{**entry, "files": files, "contents": contents, "notes": tuple(entry["notes"])})


def _digest(content: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """A folder that is, was to be, or looks like a backup."""

    name: str
    folder: Path
    state: str
    """`complete`; `incomplete` (whoever made it ended before); `under way`; `damaged` (no manifest to be read)."""
    manifest: Manifest | None = None
    why: str | None = None
    """What is wrong."""
    findings: tuple[str, ...] = ()
    """Of the latest `verify`."""
    verified: float | None = None
    """When its files were last looked into without a finding."""

    @property
    def bytes(self) -> int:
        """On disk."""
        if self.manifest is not None:
            return self.manifest.bytes
        return sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file() and not f.is_symlink())

    def age(self, now: float) -> float:
        """Seconds since it was finished, or last touched."""
        return now - (self.manifest.finished if self.manifest else self.folder.stat().st_mtime)


def place(wanted: BackupSpec, project: str, environment: str) -> Path:
    """The folder that the backups of one environment are in."""
    return wanted.to / project / environment


def listed(folder: Path) -> list[Found]:
    """What there is in the folder of one environment, newest first."""
    try:
        inside = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(folder, error) from error
    return [look(entry) for entry in sorted(inside, key=lambda entry: entry.name, reverse=True)]


def look(folder: Path) -> Found:
    """One backup."""
    name = folder.name.removesuffix(PARTIAL)
    if folder.name.endswith(PARTIAL):
        return Found(name, folder, "under way" if _held(folder / _LOCK) else "incomplete")
    try:
        manifest = Manifest.from_json(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Found(name, folder, "damaged", why=f"{MANIFEST} cannot be used: {_short(error)}")
    at, findings = _looked_into(folder)
    return Found(name, folder, "complete", manifest, None, findings, at)


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _looked_into(folder: Path) -> tuple[float | None, tuple[str, ...]]:
    try:
        seen = json.loads((folder / _VERIFIED).read_text(encoding="utf-8"))
        return (None if seen["findings"] else float(seen["at"])), tuple(seen["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ()


def note_verified(folder: Path, at: float, findings: Sequence[str]) -> None:
    """Keep what a `verify` came to beside the backup; a folder that may only be read is left as it is."""
    with suppress(OSError):
        write(folder / _VERIFIED, json.dumps({"at": at, "findings": list(findings)}).encode())


def altered(found: Found) -> list[str]:
    """Files that are missing, have another size or another sha256, or that nobody wrote down."""
    assert found.manifest is not None
    lines = []
    for file in found.manifest.files:
        path = found.folder / file.name
        try:
            size = path.stat().st_size
            if size != file.bytes:
                lines.append(f"{file.name}: {size:,} bytes instead of {file.bytes:,}")
            elif sha256(path) != file.sha256:
                lines.append(f"{file.name}: another sha256 than when it was made")
        except FileNotFoundError:
            lines.append(f"{file.name}: is missing")
        except OSError as error:
            lines.append(f"{file.name}: cannot be read: {error.strerror}")
    known = {file.name for file in found.manifest.files} | {MANIFEST, _VERIFIED}
    there = {str(f.relative_to(found.folder)) for f in found.folder.rglob("*") if not f.is_dir()}
    return lines + [f"{name}: is none of its files" for name in sorted(there - known)]


def same_sizes(found: Found) -> bool:
    """Whether all files are there in their sizes: what can be told at once."""
    assert found.manifest is not None
    try:
        return all((found.folder / f.name).stat().st_size == f.bytes for f in found.manifest.files)
    except OSError:
        return False


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# --- making one ------------------------------------------------------------------------------------------------------


@contextmanager
def making(folder: Path, now: float) -> Iterator[Path]:
    """A new folder to write a backup into, in the folder of its environment; `finish` makes it complete.

    On an exception what was written is removed; a process that is killed leaves it with its name of something partial.

    Raises:
        ReconcileError: the folder cannot be made or written.
    """
    try:
        _prepare(folder)
        name = _free_name(folder, now)
        part = folder / f"{name}{PARTIAL}"
        part.mkdir(mode=0o700)
        with (part / _LOCK).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                yield part
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
    except OSError as error:
        raise _unusable(folder, error) from error


def _prepare(folder: Path) -> None:
    """Make the folder; where the outermost of it is new, tell git to leave it alone: it will hold data."""
    new = next((p for p in (*reversed(folder.parents), folder) if not p.exists()), None)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if new is not None:
        for made in (folder, *folder.parents):
            made.chmod(0o700)
            if made == new:
                break
        write(new / ".gitignore", b"*\n")


def _free_name(folder: Path, now: float) -> str:
    base = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    taken = {entry.name.removesuffix(PARTIAL) for entry in folder.iterdir()}
    return next(n for n in (base, *(f"{base}-{i}" for i in range(2, 10_000))) if n not in taken)


def finish(part: Path, manifest: Manifest) -> Path:
    """Write the manifest and give the backup its name; all of it is on disk then."""
    for entry in (part, *part.rglob("*")):
        if entry.is_dir():
            entry.chmod(0o700)
            _sync(entry)
    write(part / MANIFEST, json.dumps(manifest.to_json(), indent=1, sort_keys=True).encode() + b"\n")
    (part / _LOCK).unlink()
    folder = part.with_name(manifest.name)
    part.rename(folder)
    _sync(folder.parent)
    return folder


def files_in(part: Path, inside: Path) -> tuple[File, ...]:
    """The files under `inside`, each on disk and for its owner alone from now on, as the manifest has them."""
    return tuple(file_at(part, p) for p in sorted(inside.rglob("*")) if p.is_file() and not p.is_symlink())


def file_at(part: Path, path: Path) -> File:
    """One of them."""
    path.chmod(0o600)
    _sync(path)
    return File(str(path.relative_to(part)), path.stat().st_size, sha256(path))


def write(path: Path, content: bytes) -> None:
    """A file, whole or not at all, for its owner alone."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    part.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _held(lock: Path) -> bool:
    """Whether a process that makes the backup lives."""
    try:
        with lock.open("r") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove(found: Found) -> None:
    """Delete one; it is incomplete from the first moment on.

    Raises:
        ReconcileError: it cannot be deleted.
    """
    try:
        folder = found.folder
        if not folder.name.endswith(PARTIAL):
            folder = found.folder.rename(found.folder.with_name(f"{found.name}{PARTIAL}"))
        shutil.rmtree(folder)
    except OSError as error:
        raise _unusable(found.folder, error) from error


def _unusable(folder: Path, error: OSError) -> ReconcileError:
    where = error.filename if isinstance(error.filename, str) else str(folder)
    return ReconcileError(
        f"the backup cannot be written: {error.strerror or error}",
        where=where,
        hint="free space, or name another folder: `backup: {to: FOLDER}` in reconcile.yaml, or --to FOLDER",
    )
