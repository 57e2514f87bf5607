"""What the servers have in common: fetch, start, wait until it answers, stop."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import string
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from reconcile.errors import ReconcileError
from reconcile.sandbox import processes


@dataclass(frozen=True)
class Login:
    """How to reach one server of ours: a loopback port and the password made for it."""

    port: int
    password: str


@dataclass(frozen=True)
class Status:
    """One server, as `reconcile sandbox status` shows it."""

    name: str
    state: str
    """running, stopped, dead (it ended by itself), given (by URL; not ours)."""
    title: str
    """"PostgreSQL 18.4"; for a given server its name alone."""
    address: str | None
    """host:port, never with a password."""
    pid: int | None = None
    folder: Path | None = None


class Server(ABC):
    """One server of ours, with all it keeps in one folder: login, data, log, process id."""

    name: ClassVar[str]
    """As on the command line and in variables: RECONCILE_SANDBOX_NAME_URL."""
    title: ClassVar[str]
    seconds: ClassVar[float]
    """How long a start may take on a busy machine."""
    stopping: ClassVar[Sequence[tuple[signal.Signals, float]]]
    """Signals that end it tidily, each with seconds to wait."""
    killing: ClassVar[Sequence[tuple[signal.Signals, float]]] = ()
    """Signals that end it when its data is going to be deleted; SIGKILL follows."""
    passing: ClassVar[str | None] = None
    """What its log says where a start failed for a reason that passes by itself."""
    user: str | None = None
    """OS user to run as, where that is not us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @abstractmethod
    def fetch(self) -> None:
        """Have the server's files, from the cache or downloaded into it, checksum verified."""

    @abstractmethod
    def prepare(self, login: Login) -> None:
        """Write configuration and, the first time, the data folder."""

    @abstractmethod
    def command(self, login: Login) -> Sequence[str]:
        """The command line; it names the folder, which is how the process is known again."""

    @abstractmethod
    def answers(self, login: Login) -> bool:
        """Whether it does its work: login works, queries run."""

    @abstractmethod
    def urls(self, login: Login) -> Mapping[str, str]:
        """What `reconcile sandbox env` exports, without the prefix RECONCILE_SANDBOX_."""

    def place(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def login(self) -> Login | None:
        """The login noted by the first start; None before it."""
        try:
            return Login(**json.loads((self.folder / "login.json").read_text()))
        except FileNotFoundError:
            return None

    def start(self, port: int | None = None) -> Login:
        """Start it, unless it runs, and wait until it answers.

        Args:
            port: a loopback port; by default the one it had before, else a free one.

        Raises:
            ReconcileError: a port is taken, something to install is missing, a download is wrong, the server
                ended or did not answer in time (with the last lines of its log).
        """
        before = self.login()
        if before and self.pid() is not None:
            if port not in (None, before.port):
                raise ReconcileError(
                    f"{self.title} runs already, on port {before.port}",
                    where="sandbox",
                    hint="stop it first: reconcile sandbox down",
                )
            self._wait(before)
            return before
        if port is not None and not processes.free(port):
            raise ReconcileError(
                f"port {port} on {processes.HOST} is taken",
                where=f"sandbox {self.name}",
                hint=f"stop what listens there, choose another with --{self.name}-port, or leave the option out",
            )
        self.fetch()
        self.place()
        tries = 10
        for left in reversed(range(tries)):
            login = self._choose(port, before)
            self._note(login)
            self.prepare(login)
            processes.launch(self.command(login), folder=self.folder, user=self.user)
            try:
                self._wait(login)
            except ReconcileError:
                if not left or self.pid() is not None:
                    raise
                if self.passing and self.passing in (self.folder / "log").read_text(errors="replace"):
                    time.sleep(0.5)
                elif port is None and not processes.free(login.port):
                    before = None  # another program took it between our look and the server's start
                else:
                    raise
            else:
                return login
        raise AssertionError("the last try returns or raises")

    def stop(self, *, keep_data: bool = True) -> bool:
        """Stop it; whether it ran. Where the data is going to be deleted, it is killed: that is quicker."""
        stopped = processes.stop(self.folder, self.stopping if keep_data else self.killing)
        if not keep_data:
            shutil.rmtree(self.folder, ignore_errors=True)
        return stopped

    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return processes.running(self.folder)

    def status(self) -> Status:
        """What it is doing, without asking it."""
        login, pid = self.login(), self.pid()
        state = "running" if pid else "dead" if processes.read_pid(self.folder) else "stopped"
        address = f"{processes.HOST}:{login.port}" if login else None
        return Status(self.name, state, self.title, address, pid, self.folder)

    def _choose(self, port: int | None, before: Login | None) -> Login:
        if port is None:
            reusable = before is not None and processes.free(before.port)
            port = before.port if before and reusable else processes.free_port()
        old = self.login()
        return Login(port, old.password if old else make_password())

    def _note(self, login: Login) -> None:
        file = self.folder / "login.json"
        part = self.folder / "login.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            json.dump({"port": login.port, "password": login.password}, handle)
        part.replace(file)

    def _wait(self, login: Login) -> None:
        until = time.monotonic() + self.seconds
        seen = False
        while True:
            alive = self.pid() is not None
            if alive and self.answers(login):
                return
            # The launcher writes the process id a moment after it returned: absent is not yet dead.
            noted = processes.read_pid(self.folder) is not None
            if noted and not alive and seen:
                raise self._failure("ended while it was starting")
            seen = noted
            if time.monotonic() > until:
                raise self._failure(f"did not answer within {self.seconds:.0f} s")
            time.sleep(0.05)

    def _failure(self, what: str) -> ReconcileError:
        log = self.folder / "log"
        return ReconcileError(
            f"{self.title} {what}; the end of its log:\n{processes.tail(log)}",
            where="sandbox",
            hint=f"the whole log: {log}; to begin again with empty data: reconcile sandbox down --delete",
        )


def make_password(length: int = 24) -> str:
    """Letters and digits only, so that it needs no quoting in a URL, a shell or a configuration file."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
