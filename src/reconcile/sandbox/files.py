"""Folders of the sandbox: the download cache, locks, and checksums."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from reconcile.errors import ReconcileError

ARTIFACTS = Path(__file__).with_name("artifacts")
"""What pins the servers: lock files and lists of checksums, packaged with the code."""


def cache_folder() -> Path:
    """Where downloads are kept: $RECONCILE_SANDBOX_CACHE, or `reconcile` in the user's cache folder."""
    if chosen := os.environ.get("RECONCILE_SANDBOX_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "reconcile"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(name: str, fill: Callable[[Path], None], cache: Path | None = None) -> Path:
    """The folder `name` of the cache, filled by `fill` if it is not there yet.

    Whole or absent: it is filled under another name and renamed. A second process waits for the first.
    """
    cache = cache or cache_folder()
    folder = cache / name
    if folder.is_dir():
        return folder
    with locked(cache / f"{name}.lock"):
        if folder.is_dir():
            return folder
        for stale in cache.glob(f"{name}.part-*"):  # of a process that was killed: we hold the lock
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=cache))
        try:
            fill(part)
            part.chmod(0o755)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def read_sums(file: Path) -> Mapping[str, str]:
    """A list of checksums as `sha256sum` writes it: file name -> sha256 in hex."""
    pairs = (line.split(maxsplit=1) for line in file.read_text().splitlines() if line.strip())
    return {name.lstrip("*"): digest for digest, name in pairs}


def verify(folder: Path, sums: Mapping[str, str], what: str) -> None:
    """Prove that `folder` holds exactly the files of `sums`.

    Raises:
        ReconcileError: a file is missing, was not expected, or has another checksum.
    """
    found = {file.name: file for file in folder.iterdir()}
    wrong = [f"{name} is missing" for name in sums if name not in found]
    wrong += [f"{name} was not expected" for name in found if name not in sums]
    for name in sorted(found.keys() & sums.keys()):
        with found[name].open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        if digest != sums[name]:
            wrong.append(f"{name} has sha256 {digest}, expected {sums[name]}")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ReconcileError(
            f"what was downloaded for {what} is not what this version was tested with: " + "; ".join(wrong[:3]) + more,
            where="sandbox",
            hint="nothing of it was kept or run; look at the mirror the download came from, then try again",
        )
