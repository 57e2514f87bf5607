"""One request with the proof that it was done, and the wait for what the server does after it."""

from __future__ import annotations

import time

from reconcile.change import Http
from reconcile.errors import StoreError
from reconcile.stores.qdrant import health, wire
from reconcile.stores.qdrant.readback import lost
from reconcile.stores.qdrant.transport import QdrantError, Transport

GREY_SECONDS = 3.0
"""A collection grey for so long is nudged: after a restart in the middle of a change it stays grey for ever."""


def carry_out(http: Transport, version: str, call: Http, limit: float | None) -> None:
    """Send a request and read back what it was to bring about.

    Args:
        version: the server's, for the message.
        limit: how many seconds the answer may take; None for the usual.

    Raises:
        QdrantError: refused, and what is there is not what was asked for.
        StoreError: accepted and not done: unknown and unchangeable options are dropped with 200.
    """
    try:
        http.send(call.method, call.path, call.body, limit)
    except QdrantError as error:
        # A try that lost its answer may have made it: it is done if it is what was asked.
        made = error.status == 409 and call.method == "PUT" and call.read is not None
        if not made or lost(call.expect, http.send("GET", call.read or "")):
            raise
    if call.read is None:
        return
    if dropped := lost(call.expect, http.send("GET", call.read)):
        raise StoreError(
            f"Qdrant {version} answered {call.method} {call.path} with success, but did not take"
            f" {', '.join(map(str, dropped))}",
            where=f"store {http.spec.name}",
            hint="this server version does not know the setting, or cannot change it: take it out of the YAML",
        )


def wait_green(http: Transport, name: str, limit: float) -> None:
    """Wait until it is green and `ok` twice in a row; a lasting grey is nudged once.

    Args:
        limit: in seconds.

    Raises:
        StoreError: it is red, or takes longer than `limit`.
    """
    began = time.monotonic()
    pause, greens, grey_since, nudged = 0.05, 0, None, False
    while True:
        info = http.send("GET", wire.collection_path(name))
        status, optimizer = info["status"], info.get("optimizer_status")
        greens = greens + 1 if status == "green" and optimizer == "ok" else 0
        if greens >= 2:
            return
        if (error := health.red(info)) is not None:
            raise StoreError(
                f"collection {name} is red: {error}",
                where=f"store {http.spec.name}",
                hint=f"{health.REMEDY}; then go on with: reconcile apply --resume",
            )
        now = time.monotonic()
        grey_since = (grey_since or now) if status == "grey" else None
        if grey_since is not None and not nudged and now - grey_since >= GREY_SECONDS:
            http.send("PATCH", wire.collection_path(name), {"optimizers_config": {}})
            nudged = True
        if now - began > limit:
            raise StoreError(
                f"collection {name} is still {status} after {limit:.0f} s",
                where=f"store {http.spec.name}",
                hint="the server goes on by itself; wait for it with: reconcile apply --resume",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)
