"""A replacement that is killed at any moment, over a server that goes away, under clients that read and write."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.stores.qdrant.store import Store, lines
from tests.stores.qdrant.test_copy import PLAIN, contents, copied, filled, point

from reconcile import workflow

KILLER = """
import os, signal, sys
from pathlib import Path
from reconcile import workflow
from reconcile.project import Project
from reconcile.stores.qdrant import copying, points
points.BATCH = points.IDS = 40
copying._SAVE_SECONDS = 0
project = Project.load(Path(sys.argv[1]))
left = int(sys.argv[2])
def tell(event):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
workflow.apply(project, workflow.plan(project, workflow.Options(allow=("all",))), tell)
"""
"""As `reconcile apply` in small batches; ends itself at the n-th event, of which each batch is one."""


@pytest.mark.parametrize("lost", [False, True], ids=["resumed", "ledger lost"])
def test_killed_at_every_event_it_comes_to_the_same_end(store: Store, lost: bool) -> None:
    filled(store, 200)
    old = contents(store)
    killed, generation = 0, 1
    while True:
        store.collection(copied("frozen", f"shard_number: {generation % 2 + 1}"))
        done = subprocess.run([sys.executable, "-c", KILLER, str(store.folder), str(killed + 1)], check=False)
        name = store.aliases()["c"]
        assert len(contents(store)) == 200, f"killed at event {killed + 1}: the alias answers"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 2 if lost else 1
        _go_on(store, lost)
        generation += 1
        assert store.aliases() == {"c": f"c__v{generation}"}, f"killed at event {killed}, alias at {name}"
        assert contents(store) == old
        assert set(store.names()) <= {f"c__v{generation - 1}", f"c__v{generation}"}
        store.apply()
        assert store.names() == [f"c__v{generation}"]
    assert killed > 10


WITHIN = """
import os, signal, sys
from pathlib import Path
from reconcile import workflow
from reconcile.project import Project
from reconcile.stores.qdrant.replacing import Replacing
project, op, moment = Project.load(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
run = Replacing.run
def dying(self, name, args, seconds):
    if (name, moment) == (op, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    run(self, name, args, seconds)
    if (name, moment) == (op, "after"):
        os.kill(os.getpid(), signal.SIGKILL)
Replacing.run = dying
workflow.apply(project, workflow.plan(project, workflow.Options(allow=("all",))))
"""
"""Ends itself just before or just after a call of a step."""


@pytest.mark.parametrize(("moment", "lost"), [("before", False), ("after", False), ("after", True)])
@pytest.mark.parametrize("op", ["settle_copy", "finish_copy"])
def test_killed_around_the_switch(store: Store, op: str, moment: str, lost: bool) -> None:
    filled(store, 30)
    old = contents(store)
    store.collection(copied("{timestamp: at}"))
    done = subprocess.run([sys.executable, "-c", WITHIN, str(store.folder), op, moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert contents(store) == old
    _go_on(store, lost)
    store.apply()
    assert (store.names(), store.aliases()) == (["c__v2"], {"c": "c__v2"})
    assert contents(store) == old
    assert store.config("c__v2")["metadata"] == {"reconcile": {"name": "c", "generation": 2}}


@pytest.mark.parametrize(("moment", "lost"), [("before", False), ("before", True), ("after", False), ("after", True)])
@pytest.mark.parametrize("op", ["snapshot", "drop_plain", "finish_copy"])
def test_a_plain_collection_killed_on_its_way_under_an_alias(store: Store, op: str, moment: str, lost: bool) -> None:
    filled(store, 30, f"versioned: false, {PLAIN}")
    old = contents(store)
    store.collection(f"versioned: true, {PLAIN}, on_change: copy, writes: frozen")
    done = subprocess.run([sys.executable, "-c", WITHIN, str(store.folder), op, moment], check=False)
    assert done.returncode == -signal.SIGKILL
    _go_on(store, lost)
    assert (store.names(), store.aliases()) == (["c__v1"], {"c": "c__v1"})
    assert contents(store) == old
    assert store.config("c__v1")["metadata"] == {"reconcile": {"name": "c", "generation": 1}}
    assert lines(store.plan()) == []


def _go_on(store: Store, lost: bool) -> None:
    """Resume, or plan and apply again as if nothing had been before."""
    if lost:
        for path in store.folder.glob("ledger.db*"):
            path.unlink()
        # A plan that finds the alias switched has only the old generation left to deal with, if anything.
        workflow.apply(store.project, store.plan("all", prune="none"))
        return
    state = workflow.status(store.project)
    if state["lock"] is not None:
        workflow.unlock(store.project, state["lock"]["run"])
    if state["unfinished"] is not None:
        workflow.resume(store.project)
    else:
        workflow.apply(store.project, store.plan("all"))


# --- clients ---------------------------------------------------------------------------------------------------------


class Clients:
    """Threads that read through the alias, and write what they then know of."""

    def __init__(self, url: str, points: int, dual: Callable[[], str | None] = lambda: None) -> None:
        self.url, self.points, self.dual = url, points, dual
        self.known: list[dict[int, int | None]] = [dict.fromkeys(range(k, points, 2), 0) for k in (0, 1)]
        """By writer: id -> the last version written, None for a deleted one."""
        self.errors: list[str] = []
        self.reads = self.writes = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(k,)) for k in (0, 1)]
        self._threads += [threading.Thread(target=self._read) for _ in (0, 1)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["result"]

    def _read(self) -> None:
        while not self._stop.wait(0.005):
            try:
                found = self._send("POST", "/collections/c/points/query", {"query": [0.1, 0.2, 0.3, 0.4], "limit": 3})
                self.reads += len(found["points"]) == 3
            except (urllib.error.URLError, OSError) as error:
                self.errors.append(f"read: {error}")

    def _write(self, writer: int) -> None:
        chance, known, version = random.Random(writer), self.known[writer], 0
        while not self._stop.wait(0.01):
            version += 1
            kind = chance.random()
            number = chance.choice(list(known)) if kind < 0.8 else self.points + 2 * version + writer
            names = [name for name in ("c", self.dual()) if name]
            try:
                if kind < 0.1:
                    for name in names:
                        self._send("POST", f"/collections/{name}/points/delete?wait=true", {"points": [number]})
                    known[number] = None
                else:
                    written = point(number, time.time_ns(), version=version)
                    for name in names:
                        self._send("PUT", f"/collections/{name}/points?wait=true", {"points": [written]})
                    known[number] = version
                self.writes += 1
            except (urllib.error.URLError, OSError) as error:
                self.errors.append(f"write: {error}")


@pytest.mark.parametrize("writes", ["{timestamp: at}", "dual"])
def test_no_read_fails_and_no_write_is_lost(store: Store, writes: str) -> None:
    number = 4000
    filled(store, number)
    made: list[str] = []
    store.collection(copied(writes))
    with Clients(store.url, number, lambda: made[0] if made and writes == "dual" else None) as clients:
        time.sleep(0.5)

        def tell(event: Any) -> None:
            if event.kind == "step_done" and event.step.id.endswith("1-create"):
                made.append("c__v2")

        workflow.apply(store.project, store.plan("all"), tell)
        time.sleep(0.5)
    assert clients.errors == []
    assert clients.reads > 50
    assert clients.writes > 50
    assert store.aliases() == {"c": "c__v2"}
    found = contents(store)
    expected = {i: v for known in clients.known for i, v in known.items() if v is not None}
    assert found.keys() == expected.keys()
    assert {i: payload.get("version", 0) for i, (payload, _) in found.items()} == expected


# --- the server ------------------------------------------------------------------------------------------------------


@contextmanager
def own_server(folder: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """A server of this test's own: URL, kill, start."""
    import socket

    from reconcile.sandbox.qdrant import binary

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "service": {"host": "127.0.0.1", "http_port": port, "grpc_port": None},
        "storage": {"storage_path": str(folder / "storage"), "snapshots_path": str(folder / "snapshots")},
        "telemetry_disabled": True,
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(json.dumps(config))
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [str(binary()), "--config-path", str(folder / "config.yaml"), "--disable-telemetry"]
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


def test_a_server_that_is_killed_meanwhile_is_waited_for(tmp_path: Path) -> None:
    with own_server(tmp_path / "server") as (url, kill, start):
        (tmp_path / "project").mkdir()
        store = Store(tmp_path / "project", url)
        filled(store, 3000)
        old = contents(store)
        store.collection(copied("none_expected", "wal: {wal_capacity_mb: 16}"))
        waiting = [1]

        def tell(event: Any) -> None:
            if event.kind == "progress" and event.step.id.endswith("2-copy") and waiting:
                waiting.pop()
                kill()
                threading.Timer(1.0, start).start()

        workflow.apply(store.project, store.plan("all"), tell)
        assert not waiting
        assert contents(store) == old
        assert store.aliases() == {"c": "c__v2"}


def test_a_snapshot_outlives_its_collection(tmp_path: Path) -> None:
    """As the report names it: in the server's snapshot folder, also when the collection is gone."""
    with own_server(tmp_path / "server") as (url, _, _):
        (tmp_path / "project").mkdir()
        store = Store(tmp_path / "project", url)
        filled(store, 50)
        old = contents(store)
        told: list[str] = []
        store.declare("collections: {}")
        workflow.apply(
            store.project,
            store.plan("all"),
            lambda event: told.extend([event.detail] if event.kind == "reported" else []),
        )
        assert store.names() == []
        (line,) = told
        place = tmp_path / "server" / "snapshots" / line.split(": ")[1].split(" in ")[0]
        assert place.exists()
        checksum = line.rpartition("sha256 ")[2][:64]
        body = {"location": place.as_uri(), "checksum": checksum}
        store.send("PUT", "/collections/scratch/snapshots/recover?wait=true", body)
        assert contents(store, "scratch") == old
