"""Lends a fresh PostgreSQL database of some major version, or an empty Neo4j or Redis, to the process that started it.

Started as `python -m reconcile.sandbox.lend MAJOR ENCODING`, or `… neo4j`, `… redis`, with pipes as its standard input
and output. It prints one line of JSON, `{"url": …}` or `{"problem": …}`; what it made is gone when its input ends: when
the other process closes the pipe or ends, however it does. It runs beside that process and not in it, so that what
starts servers stays apart from what plans.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from reconcile.errors import ReconcileError
from reconcile.sandbox import PREFIX
from reconcile.sandbox.scratch import Scratch, postgres_database

_URL, _VERSION = f"{PREFIX}POSTGRES_URL", f"{PREFIX}POSTGRES_VERSION"


def _given(major: str) -> str | None:
    """The server that RECONCILE_SANDBOX_POSTGRES_URL names, if it is of that version and may be used."""
    url = os.environ.get(_URL)
    if not url:
        return None
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
            return url if row and row[0] and str(connection.info.server_version // 10000) == major else None
    except psycopg.Error:
        return None


@contextmanager
def database(major: str, encoding: str) -> Iterator[str]:
    """The URL of a fresh database of that version and encoding, on the user's sandbox server or on one started here.

    Raises:
        ReconcileError: there is no server of that version on this machine, or it did not start.
        psycopg.Error: it has no such encoding.
    """
    given = _given(major)
    if given is not None:
        with postgres_database(given, encoding) as url:
            yield url
        return
    servers = Scratch({_VERSION: major})
    try:
        with postgres_database(servers.postgres_url, encoding) as url:
            yield url
    finally:
        servers.close()


@contextmanager
def graph() -> Iterator[dict[str, str]]:
    """How to reach an empty Neo4j that is started here, never one that was given: that may hold something.

    Raises:
        ReconcileError: it cannot be started on this machine.
    """
    servers = Scratch({})
    try:
        yield {"url": servers.neo4j_url, "user": servers.neo4j_user, "password": servers.neo4j_password}
    finally:
        servers.close()


@contextmanager
def cache() -> Iterator[dict[str, str]]:
    """The same of Redis.

    Raises:
        ReconcileError: it cannot be started on this machine.
    """
    servers = Scratch({})
    try:
        yield {"url": servers.redis_url}
    finally:
        servers.close()


def main(what: str, encoding: str = "") -> None:
    """Print where it is, or why there is none, and wait for the end of the input.

    Args:
        what: a major version of PostgreSQL, `neo4j` or `redis`.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if what in (lenders := {"neo4j": graph, "redis": cache}):
            with lenders[what]() as given:
                print(json.dumps(given), flush=True)
                sys.stdin.buffer.read()
            return
        with database(what, encoding) as url:
            print(json.dumps({"url": url}), flush=True)
            sys.stdin.buffer.read()
    except (ReconcileError, psycopg.Error, OSError) as error:
        hint = getattr(error, "hint", None)
        what = getattr(error, "what", None) or str(error).split("\n")[0]
        print(json.dumps({"problem": f"{what}: {hint}" if hint else what}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
