"""Real PostgreSQL with pgvector, Neo4j, Qdrant and Redis on loopback: for the demo, tests and rehearsals.

    sandbox = Sandbox(Path(".reconcile/sandbox"))
    sandbox.up()
    sandbox.environment()["RECONCILE_SANDBOX_POSTGRES_URL"]

A server whose RECONCILE_SANDBOX_…_URL is set in the environment is used as it is; nothing is started for it.
RECONCILE_SANDBOX_POSTGRES_VERSION chooses another major version of PostgreSQL than the latest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from reconcile.sandbox.server import Server, Status

PREFIX = "RECONCILE_SANDBOX_"
NAMES = ("postgres", "neo4j", "qdrant", "redis")


def default_folder() -> Path:
    """$RECONCILE_SANDBOX_HOME, or `.reconcile/sandbox` here."""
    chosen = os.environ.get(PREFIX + "HOME")
    return Path(chosen).expanduser() if chosen else Path(".reconcile", "sandbox")


class Sandbox:
    """The servers of one folder, those given by URL excepted."""

    def __init__(self, folder: Path | None = None, given: Mapping[str, str] | None = None) -> None:
        """Nothing is started or read yet.

        Args:
            folder: where the servers keep their data, one folder each; by default `default_folder()`.
            given: variables that name servers of the user's; by default those of the environment.
        """
        self.folder = (folder or default_folder()).absolute()
        self._given = os.environ if given is None else given

    @cached_property
    def servers(self) -> Mapping[str, Server]:
        """Our own server of each name, running or not."""
        from reconcile.sandbox.neo4j import Neo4j
        from reconcile.sandbox.postgres import LATEST, Postgres
        from reconcile.sandbox.qdrant import Qdrant
        from reconcile.sandbox.redis import Redis

        version = self._given.get(f"{PREFIX}POSTGRES_VERSION") or LATEST
        servers = (
            Postgres(self.folder / "postgres", version),
            Neo4j(self.folder / "neo4j"),
            Qdrant(self.folder / "qdrant"),
            Redis(self.folder / "redis"),
        )
        return {server.name: server for server in servers}

    def given(self, name: str) -> Mapping[str, str] | None:
        """The variables of a server that the user named by URL; None where it is ours to start."""
        url = self._given.get(f"{PREFIX}{name.upper()}_URL")
        if not url or url == self._own(name).get(f"{PREFIX}{name.upper()}_URL"):
            return None  # the second: our own exports, read back
        start = f"{PREFIX}{name.upper()}_"
        return {key: value for key, value in self._given.items() if key.startswith(start)}

    def fetch(self, names: Iterable[str] = NAMES) -> None:
        """Download what is not in the cache yet; start nothing."""
        self._each(names, lambda server: server.fetch())

    def up(self, names: Iterable[str] = NAMES, ports: Mapping[str, int | None] | None = None) -> None:
        """Start what does not run; return when all of it answers.

        Args:
            ports: loopback ports by name; a free one for those left out.

        Raises:
            ReconcileError: one of them did not start; those that this call started are stopped again.
        """
        from reconcile.sandbox.files import locked

        chosen, names = ports or {}, tuple(names)
        with locked(self.folder / ".lock"):
            before = {name for name in names if self.servers[name].pid() is not None}
            try:
                self._each(names, lambda server: server.start(chosen.get(server.name)))
            except ReconcileError:
                for name in names:
                    if name not in before and self.given(name) is None:
                        self.servers[name].stop(keep_data=True)
                raise

    def down(self, *, delete: bool = False) -> list[str]:
        """Stop our servers, whoever started them; the names of those that ran.

        Args:
            delete: remove their data too.
        """
        from reconcile.sandbox.files import locked

        if not self.folder.is_dir():
            return []
        with locked(self.folder / ".lock"), ThreadPoolExecutor(len(NAMES)) as pool:
            servers = [self.servers[name] for name in NAMES]
            ran = list(pool.map(lambda server: server.stop(keep_data=not delete), servers))
        if delete:
            shutil.rmtree(self.folder, ignore_errors=True)
        return [server.name for server, stopped in zip(servers, ran, strict=True) if stopped]

    def status(self) -> list[Status]:
        """One line per server."""
        from reconcile.sandbox.server import Status

        found = []
        for name, server in self.servers.items():
            if given := self.given(name):
                parts = urlsplit(given[f"{PREFIX}{name.upper()}_URL"])
                found.append(Status(name, "given", name, parts.netloc.rpartition("@")[2] or None))
            else:
                found.append(server.status())
        return found

    def environment(self) -> dict[str, str]:
        """The variables that name the servers.

        Raises:
            ReconcileError: one of ours does not run.
        """
        return {key: value for name in NAMES for key, value in self.variables(name).items()}

    def variables(self, name: str) -> Mapping[str, str]:
        """As `environment`, of one server."""
        if given := self.given(name):
            return given
        server = self.servers[name]
        if server.pid() is None:
            raise ReconcileError(
                f"{server.title} does not run in {self.folder}",
                where="sandbox",
                hint="start it: reconcile sandbox up",
            )
        return self._own(name)

    def _own(self, name: str) -> dict[str, str]:
        login = self.servers[name].login()
        urls = self.servers[name].urls(login) if login else {}
        return {PREFIX + key: value for key, value in urls.items()}

    def _each(self, names: Iterable[str], what: Callable[[Server], object]) -> None:
        servers = [self.servers[name] for name in names if self.given(name) is None]
        failures: list[ReconcileError] = []

        def attempt(server: Server) -> None:
            try:
                what(server)
            except ReconcileError as error:
                failures.append(error)

        with ThreadPoolExecutor(max(1, len(servers))) as pool:
            list(pool.map(attempt, servers))
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ReconcileError("\n".join(str(failure) for failure in failures))
