"""A run, or the server, that ends by SIGKILL at the n-th change: a request that changes it, or a row of the ledger."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.stores.qdrant.store import Store

from reconcile import workflow
from reconcile.ledger import Ledger
from reconcile.sandbox.qdrant import binary
from reconcile.stores.qdrant import copying, points
from reconcile.stores.qdrant.transport import Transport

_LOOKS = ("/points/scroll", "/points/count", "/points/query", "/points")
"""Requests by POST that change nothing."""


def killed_after(number: int, act: Callable[[], object]) -> bool:
    """Do `act` in a process of its own, which ends by SIGKILL after its n-th change; False where it came to its end.

    The change is carried out, and nobody hears of it. A fork costs milliseconds, a new interpreter half a second.
    """
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            _die_after(number)
            act()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the run failed by itself"
    return False


@contextmanager
def own_server(folder: Path, *, cluster: bool = False) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """A server of this test's own: URL, kill, start. `cluster`: as its only node."""
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, between = free.getsockname()[1], other.getsockname()[1]
    config = {
        "service": {"host": "127.0.0.1", "http_port": port, "grpc_port": None},
        "storage": {"storage_path": str(folder / "storage"), "snapshots_path": str(folder / "snapshots")},
        "telemetry_disabled": True,
        "cluster": {"enabled": cluster, "p2p": {"port": between}},
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(json.dumps(config))
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [str(binary()), "--config-path", str(folder / "config.yaml"), "--disable-telemetry"]
        command += ["--uri", f"http://127.0.0.1:{between}"] if cluster else []
        running.append(subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    def kill() -> None:
        running[-1].kill()
        running[-1].wait()

    start()
    try:
        yield f"http://127.0.0.1:{port}", kill, start
    finally:
        kill()


@contextmanager
def server_killed_at(number: int, kill: Callable[[], None], start: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """The server ends by SIGKILL with the n-th change, on its way to it or just carried out, and starts again.

    The yielded function says whether that has happened; the block ends when the server is there again.
    """
    left, ask = number, Transport._ask
    again: list[threading.Thread] = []

    def die() -> None:
        time.sleep(random.Random(number).uniform(0, 0.02))
        kill()
        time.sleep(0.3)
        start()

    def counted(self: Transport, method: str, path: str, *args: Any, **more: Any) -> Any:
        nonlocal left
        left -= _changes(method, path)
        if left == 0 and not again:
            again.append(threading.Thread(target=die))
            again[0].start()
        return ask(self, method, path, *args, **more)

    Transport._ask = counted  # type: ignore[method-assign]
    try:
        yield lambda: bool(again)
    finally:
        Transport._ask = ask  # type: ignore[method-assign]
        for thread in again:
            thread.join()


def small_batches() -> None:
    """Many changes for few points."""
    points.BATCH = points.IDS = 20
    copying._SAVE_SECONDS = 0.0


def _changes(method: str, path: str) -> bool:
    return method != "GET" and not (method == "POST" and path.endswith(_LOOKS))


def _die_after(number: int) -> None:
    left = number
    small_batches()

    def changed() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    ask = Transport._ask

    def counted(self: Transport, method: str, path: str, *args: Any, **more: Any) -> Any:
        answer = ask(self, method, path, *args, **more)
        if _changes(method, path):
            changed()
        return answer

    Transport._ask = counted  # type: ignore[method-assign]
    for name in ("begin", "write", "finish", "record", "lock"):
        _counted(name, changed)


def _counted(name: str, changed: Callable[[], None]) -> None:
    method = getattr(Ledger, name)

    def after(self: Ledger, *args: Any, **more: Any) -> Any:
        found = method(self, *args, **more)
        changed()
        return found

    setattr(Ledger, name, after)


def go_on(store: Store, lost: bool) -> None:
    """Resume, or plan and apply again as if nothing had been before."""
    if lost:
        for path in store.folder.glob("ledger.db*"):
            path.unlink()
        workflow.apply(store.project, store.plan("all"))
        return
    state = workflow.status(store.project)
    if state["lock"] is not None:
        workflow.unlock(store.project, state["lock"]["run"])
    if workflow.status(store.project)["unfinished"] is not None:
        workflow.resume(store.project)
    else:
        workflow.apply(store.project, store.plan("all"))
