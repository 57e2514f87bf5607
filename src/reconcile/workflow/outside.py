"""Checks of what is no store: does a web server answer, does a command end with 0? Secrets are never shown."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconcile import commands
from reconcile.expectations import Judged
from reconcile.references import masked, read_text, referred

if TYPE_CHECKING:
    from reconcile.assertions import Assertion, Request

BODY = 1 << 20
"""Bytes of an answer that are looked at."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def ran(assertion: Assertion, secrets: Collection[str]) -> Judged:
    """Run a command: it is to end with 0."""
    done = commands.run(assertion.command, assertion.directory, assertion.timeout, secrets=secrets)
    program = assertion.command[0]
    if done.ok:
        return Judged(True, f"{program} ended with 0" + (f": {done.last}" if done.last else ""))
    return Judged(False, f"{program}: {done.failure}", unknown=done.code is None)


def requested(assertion: Assertion, request: Request) -> Judged:
    """Ask a web server, without following it elsewhere.

    Raises:
        ReconcileError: a reference cannot be read; no value is in the message.
    """
    import httpx

    label = f'check "{assertion.name}"'
    texts = {"http": request.url, **{f"header {k}": v for k, v in request.headers.items()}}
    read = {k: read_text(v, f"{label}: {k}", assertion.source, assertion.directory) for k, v in texts.items()}
    values = [v for text in texts.values() for v in referred(text, assertion.source, assertion.directory)]
    url = read.pop("http")
    headers = {k.removeprefix("header "): v for k, v in read.items()}
    began = time.monotonic()
    try:
        direct = urlsplit(url).hostname in _LOOPBACK  # a proxy of the environment is no way to this very machine
        with (
            httpx.Client(timeout=assertion.seconds, trust_env=not direct) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            body = _body(answer.iter_bytes(), began + assertion.seconds)
            status = answer.status_code
    except (TimeoutError, httpx.TimeoutException):
        return Judged(False, f"no answer within {assertion.timeout}", unknown=True)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError, UnicodeError):
        return Judged(False, "the URL or a header cannot be used; write http://HOST:PORT/PATH", unknown=True)
    except (httpx.HTTPError, OSError) as error:
        return Judged(False, f"no answer: {masked(str(error), values) or type(error).__name__}", unknown=True)
    if status != request.status:
        return Judged(False, f"the answer is {status}, expected {request.status}")
    if request.contains is not None and request.contains.encode() not in body:
        return Judged(False, f'the answer is {status}, but does not contain "{request.contains}"')
    return Judged(True, f"the answer is {status}")


def _body(pieces: Iterable[bytes], until: float) -> bytes:
    """
    Raises:
        TimeoutError: it takes too long, piece by piece.
    """
    body = b""
    for piece in pieces:
        body += piece
        if time.monotonic() > until:
            raise TimeoutError
        if len(body) >= BODY:
            break
    return body
