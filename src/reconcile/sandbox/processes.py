"""Processes and ports: start a server that outlives us, know it again, stop it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconcile.errors import ReconcileError

HOST = "127.0.0.1"

# Settings of other servers of the same kind must not leak into ours.
_FOREIGN = ("PG", "NEO4J_", "QDRANT__")

# The outer shell ends at once, so the server belongs to nobody's process tree; the inner one writes its own
# process id before it becomes the server, so that even a start that is killed half-way can be cleaned up.
_LAUNCHER = """sh -c 'echo $$ > "$0"; exec "$@"' "$@" </dev/null >"$LOG" 2>&1 &"""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without the settings that a server or its tools would take for theirs."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)} | dict(extra or {})


def launch(command: Sequence[str], *, folder: Path, user: str | None = None) -> None:
    """Start a server detached, in `folder`, with its process id in `folder/pid` and its output in `folder/log`.

    Args:
        user: the OS user to run as; only root may name one.
    """
    (folder / "pid").unlink(missing_ok=True)
    subprocess.run(
        ["sh", "-c", _LAUNCHER, "sh", str(folder / "pid"), *command],
        cwd=folder,
        env=environment({"LOG": str(folder / "log")}),
        start_new_session=True,
        check=True,
        **run_as(user),
    )


def run_as(user: str | None) -> dict[str, Any]:
    """Keyword arguments of `subprocess.run` for another OS user."""
    import pwd

    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def read_pid(folder: Path) -> int | None:
    """The process id that was noted for the server of `folder`, whether or not it still runs."""
    try:
        return int((folder / "pid").read_text())
    except (FileNotFoundError, ValueError):  # ValueError: killed between creating and writing the file
        return None


def command_line(pid: int) -> str:
    """What a process was started with; empty if there is no such process, or only its remains."""
    proc = Path("/proc")
    if (proc / "self" / "cmdline").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    asked = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout


def running(folder: Path) -> int | None:
    """The process id of the server of `folder`, if it runs.

    A process id may have been given to another process since: it counts only if its command line names the
    folder.
    """
    pid = read_pid(folder)
    return pid if pid and f"{folder}/" in command_line(pid) else None


def working_in(folder: Path) -> bool:
    """Whether a process has `folder` as its working directory, as far as /proc shows."""
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder:
                return True
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return False


def stop(folder: Path, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Stop the server of `folder`; whether there was one.

    Args:
        signals: what to send, in order, and how many seconds to wait after each; SIGKILL follows.
    """
    pid = running(folder)
    if pid is None:
        (folder / "pid").unlink(missing_ok=True)
        return False
    for number, seconds in (*signals, (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        except PermissionError as error:
            raise ReconcileError(
                f"process {pid} belongs to another user", where=str(folder), hint="stop it as that user"
            ) from error
        if _gone(folder, seconds):
            break
    (folder / "pid").unlink(missing_ok=True)
    return True


def _gone(folder: Path, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while running(folder):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def tail(file: Path, lines: int = 12) -> str:
    """The last lines of a log, indented, for an error message."""
    try:
        found = file.read_text(errors="replace").rstrip().splitlines()[-lines:]
    except FileNotFoundError:
        found = []
    return "\n".join(f"    {line}" for line in found) or "    (its log is empty)"


def listening(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def free(port: int) -> bool:
    """Whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def tool(name: str, needed_for: str, package: str) -> str:
    """The path of a program that must be on PATH.

    Raises:
        ReconcileError: it is not; says which package has it.
    """
    found = shutil.which(name)
    if found:
        return found
    raise ReconcileError(
        f"{name} is not on PATH; it is needed {needed_for}",
        where="sandbox",
        hint=f"install it (on Debian and Ubuntu: apt-get install {package}), or name a running server by URL",
    )


def fetch_with(command: Sequence[str], *, cwd: Path, what: str) -> None:
    """Run a package client that downloads into `cwd`.

    Raises:
        ReconcileError: it failed; with its last lines.
    """
    ran = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if ran.returncode:
        said = (ran.stdout + ran.stderr).strip().splitlines()[-12:]
        raise ReconcileError(
            f"{what} could not be downloaded; {Path(command[0]).name} ended with {ran.returncode}:\n"
            + "\n".join(f"    {line}" for line in said),
            where="sandbox",
            hint="check the network and the package client's settings, then try again",
        )
