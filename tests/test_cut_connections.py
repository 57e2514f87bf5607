"""A connection that is cut in the middle of a run: the run goes on, or stops and is resumed; the end is the same."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from reconcile import workflow
from reconcile.errors import ReconcileError
from tests.projects import Folder

POINTS = 10
"""Cuts in all, spread over all that a run sends."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST, as a firewall or a dying machine would."""


class Wire:
    """Proxies in front of servers that count what clients send, and cut every connection at one of these messages."""

    def __init__(self) -> None:
        self.sent = 0
        self.cut_at = 0
        """0: never."""
        self.delivered = False
        """Whether the message before the cut reaches the server, and only its answer is lost."""
        self.cut = False
        self._guard = threading.Lock()
        self._listeners: list[socket.socket] = []
        self._open: list[socket.socket] = []
        self._doomed: list[socket.socket] = []
        """What was open at the moment of the cut: a connection made after it is another one, and is left alone."""

    def through(self, url: str) -> str:
        """The URL by which the server of this one is reached through a proxy."""
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        listener = socket.create_server(("127.0.0.1", 0))
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, parts.hostname, parts.port), daemon=True).start()
        return url.replace(f":{parts.port}", f":{listener.getsockname()[1]}")

    def arm(self, at: int, delivered: bool) -> None:
        """Cut at the message of this number from now on."""
        with self._guard:
            self.sent, self.cut_at, self.delivered, self.cut = 0, at, delivered, False
            self._doomed.clear()

    def disarm(self) -> bool:
        """Cut nothing from now on; whether something was."""
        with self._guard:
            self.cut_at = 0
            return self.cut

    def close(self) -> None:
        for one in (*self._listeners, *self._open, *self._doomed):
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self, listener: socket.socket, host: str, port: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, port))
                with self._guard:
                    self._open += [client, server]
                for source, target, counted in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(source, target, counted), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if counted and self._over():
                    if self.delivered:
                        target.sendall(data)
                    self._cut()
                    return
                if source in self._doomed:
                    return
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _over(self) -> bool:
        with self._guard:
            self.sent += 1
            if self.cut or self.sent != self.cut_at:
                return False
            self.cut = True
            self._doomed, self._open = self._open, []
            return True

    def _cut(self) -> None:
        with self._guard:
            for one in self._doomed:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    one.shutdown(socket.SHUT_RDWR)


@contextmanager
def wires() -> Iterator[Wire]:
    wire = Wire()
    try:
        yield wire
    finally:
        wire.close()


def settled(folder: Folder) -> None:
    """What an operator does whose run has stopped."""
    state = workflow.status(folder.load())
    if state["lock"] is not None:
        workflow.unlock(folder.load(), state["lock"]["run"])
    if state["unfinished"] is not None:
        workflow.resume(folder.load())
    else:
        folder.apply("all")


def test_every_connection_is_cut_at_moments_all_over_a_run(
    everywhere: Callable[..., Folder], fault_points: Callable[[int], None]
) -> None:
    with wires() as wire:
        folder = everywhere(wire.through)
        plan = folder.plan(allow=("all",))
        wire.arm(0, False)
        workflow.apply(folder.load(), plan)
        total, end = wire.sent, folder.live()
        cuts = 0
        for number in range(POINTS):
            folder = everywhere(wire.through)
            at = 1 + number * total * 9 // (POINTS * 10)
            wire.arm(at, number % 2 == 1)
            try:
                workflow.apply(folder.load(), plan)
            except ReconcileError as error:
                assert "Traceback" not in str(error)
                assert wire.disarm(), f"stopped before the cut: {error}"
                settled(folder)
            # How much a run sends differs with how often it has to ask again: the last cut may come too late for it.
            cuts += wire.disarm()
            assert folder.live() == end, f"cut at message {at} of {total}"
            assert folder.plan().steps == (), f"cut at message {at} of {total}"
            assert workflow.history(folder.load())[0]["outcome"] == "done"
    assert cuts >= POINTS - 1
    fault_points(cuts)


@pytest.mark.parametrize("delivered", [False, True])
def test_the_proxy_itself(delivered: bool) -> None:
    """It passes on, and cuts where it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as server, wires() as wire:
        url = wire.through(f"http://127.0.0.1:{server.getsockname()[1]}")
        wire.arm(2, delivered)
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as client:
            there, _ = server.accept()
            with there:
                client.sendall(b"one")
                assert there.recv(10) == b"one"
                client.sendall(b"two")
                with contextlib.suppress(ConnectionResetError):
                    assert there.recv(10) == (b"two" if delivered else b"")
                with contextlib.suppress(ConnectionResetError):
                    assert client.recv(10) == b""
