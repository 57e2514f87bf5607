"""A fresh target of each kind for the acceptance cases, and how to do something in it by hand."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.databases import keep


@dataclass(frozen=True)
class Target:
    """A fresh store: its entry in reconcile.yaml, and how to run a script of statements in it."""

    settings: dict[str, Any]
    execute: Callable[[Path], None]
    keep: Callable[[], Callable[[], None]] | None = None
    """Keeps what it holds now, and gives what brings that back; None where it is quicker to make it again."""


Fresh = Callable[[], Target]


def postgres(request: pytest.FixtureRequest) -> Fresh:
    """A new database each time."""
    import psycopg

    make = request.getfixturevalue("make_postgres_database")

    def fresh() -> Target:
        url = make()

        def execute(script: Path) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(script.read_text())

        return Target({"url": url}, execute, lambda: keep(url, make))

    return fresh


def neo4j(request: pytest.FixtureRequest) -> Fresh:
    """The one database of Community, emptied each time."""
    from neo4j import GraphDatabase

    database = request.getfixturevalue("neo4j_database")

    def fresh() -> Target:
        database.wipe()

        def execute(script: Path) -> None:
            auth = (database.user, database.password) if database.password else None
            with GraphDatabase.driver(database.url, auth=auth) as driver:
                for statement in script.read_text().split(";"):
                    if statement.strip():
                        driver.execute_query(statement)
                driver.execute_query("CALL db.awaitIndexes(60)")

        return Target({"url": database.url, "user": database.user, "password": database.password or "none"}, execute)

    return fresh


def qdrant(request: pytest.FixtureRequest) -> Fresh:
    """The server without collections each time."""
    server = request.getfixturevalue("qdrant_server")
    wipe = request.getfixturevalue("wipe_qdrant")

    def fresh() -> Target:
        wipe()

        def execute(script: Path) -> None:
            for method, path, body in json.loads(script.read_text()):
                data = None if body is None else json.dumps(body).encode()
                request_ = urllib.request.Request(
                    server + path, data, {"Content-Type": "application/json"}, method=method
                )
                with urllib.request.urlopen(request_) as reply:
                    assert reply.status == 200

        return Target({"url": server}, execute)

    return fresh


def redis(request: pytest.FixtureRequest) -> Fresh:
    """The server without keys and indexes each time, its parameters as it was started with."""
    from tests.stores.redis.server import Commands

    server = request.getfixturevalue("redis_server")
    wipe = request.getfixturevalue("wipe_redis")
    commands = Commands(server)

    def fresh() -> Target:
        wipe()
        commands.reset()
        return Target({"url": server}, lambda script: commands.run(script.read_text()))

    request.addfinalizer(commands.reset)
    return fresh


KINDS: dict[str, Callable[[pytest.FixtureRequest], Fresh]] = {
    "postgres": postgres,
    "neo4j": neo4j,
    "qdrant": qdrant,
    "redis": redis,
}
