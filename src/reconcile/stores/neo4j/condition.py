"""How the server is before a run: privileges, health, who may hold locks, load, memory and disk. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from reconcile import machine, units
from reconcile.change import Cypher, Server, Step
from reconcile.checkup import Check, Topic, Verdict, limited, share
from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.references import without_secrets
from reconcile.stores.neo4j import faults, privileges

TRANSACTION = "5min"
"""Age from which a transaction is told: `limits:` of the store may say otherwise."""

_TRANSACTIONS = (
    "SHOW TRANSACTIONS YIELD transactionId, username, currentQuery, elapsedTime, database, clientAddress"
    " RETURN transactionId AS id, username AS user, currentQuery AS query, elapsedTime.milliseconds / 1000.0 AS age,"
    " database, clientAddress AS client"
)
_INDEXES = "SHOW INDEXES YIELD name, state, populationPercent AS percent WHERE state <> 'ONLINE'"
_BEANS = (
    "CALL dbms.queryJmx('java.lang:type=OperatingSystem') YIELD attributes AS os"
    " CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes AS memory RETURN os, memory"
)
_SETTINGS = (
    "SHOW SETTINGS 'server.directories.data', 'server.memory.heap.max_size', 'server.memory.pagecache.size',"
    " 'db.transaction.timeout', 'db.lock.acquisition.timeout', 'dbms.memory.transaction.total.max'"
    " YIELD name, value"
)
_DATA = "server.directories.data"
_SHOWN = 5

Read = Callable[[str], list[Mapping[str, Any]]]


def checks(
    read: Read, server: Server, url: str, user: str, settings: Mapping[str, Json], steps: Sequence[Step]
) -> list[Check]:
    """All that the server tells of itself, held against `limits:` of its store."""
    limits: Mapping[str, Json] = settings.get("limits") or {}
    database = str(server.facts["database"])
    told = {row["name"]: row["value"] for row in _tried(read, _SETTINGS) or ()}
    parts = urlsplit(url)
    tls = "TLS" if "+s" in parts.scheme else "no TLS"
    what = f"Neo4j {server.version} {(server.edition or '').capitalize()}, database {database}, as {user}, {tls}"
    return [
        Check(Topic.CONNECTION, Verdict.GOOD, what),
        *_privileges(read, server, database, user, steps),
        *_health(read),
        *_transactions(read, database, limits, bool(steps)),
        *_machine(read, limits, told.get(_DATA) if parts.hostname in machine.HERE else None),
        *_settings(told),
    ]


def _tried(read: Read, statement: str) -> list[Mapping[str, Any]] | None:
    """The rows; None where this user or this service does not show them."""
    try:
        return read(statement)
    except StoreError as error:
        if faults.code_of(error) in faults.NOT_SHOWN:
            return None
        raise


def _privileges(read: Read, server: Server, database: str, user: str, steps: Sequence[Step]) -> Iterator[Check]:
    if (server.edition or "").lower() == "community":
        what = "the Community Edition has no privileges: every user may do everything"
        yield Check(Topic.PRIVILEGES, Verdict.GOOD, what)
        return
    rows = _tried(read, privileges.SHOW)
    if rows is None:
        what = "the privileges of the user are not shown to it"
        yield Check(Topic.PRIVILEGES, Verdict.UNKNOWN, what, "the steps decide")
        return
    if privileges.hides(rows, database):
        hint = f"GRANT MATCH {{*}} ON GRAPH {database} TO a role of {user}"
        yield Check(Topic.SIGHT, Verdict.WARNING, privileges.PARTLY, hint)
    texts = [(step.id, call.cypher) for step in steps for call in step.calls if isinstance(call, Cypher)]
    for need, first in privileges.needed(texts).items():
        if privileges.held(rows, need, database):
            yield Check(Topic.PRIVILEGES, Verdict.GOOD, need.said, where=first)
        else:
            what = f"{user} lacks {need.said} on database {database}; step {first}"
            hint = f"GRANT {need.said} ON DATABASE {database} TO a role of {user}"
            yield Check(Topic.PRIVILEGES, Verdict.STOPS, what, hint, need.said)


def _health(read: Read) -> Iterator[Check]:
    rows = _tried(read, _INDEXES)
    if rows is None:
        yield Check(Topic.HEALTH, Verdict.UNKNOWN, "indexes are not shown to this user")
        return
    failed = sorted(row["name"] for row in rows if row["state"] == "FAILED")
    building = sorted(f"{row['name']} ({row['percent']:.0f} %)" for row in rows if row["state"] != "FAILED")
    if failed:
        what = f"{len(failed)} failed index{'es' * (len(failed) != 1)}: {_few(failed)}"
        yield Check(Topic.HEALTH, Verdict.WARNING, what, "SHOW INDEXES YIELD name, failureMessage says why; drop it")
    else:
        yield Check(Topic.HEALTH, Verdict.GOOD, "no index has failed")
    if building:
        what = f"still being built: {_few(building)}"
        yield Check(Topic.BLOCKERS, Verdict.WARNING, what, "steps that need them wait for them")


def _transactions(read: Read, database: str, limits: Mapping[str, Json], waits: bool) -> Iterator[Check]:
    """Schema statements wait for who has written to their label, or read it by an index; the server names no labels."""
    rows = _tried(read, _TRANSACTIONS)
    if rows is None:
        yield Check(Topic.BLOCKERS, Verdict.UNKNOWN, "transactions of others are not shown to this user")
        return
    others = [row for row in rows if row["database"] == database and not row["query"].startswith("SHOW TRANSACTIONS")]
    since = machine.seconds_of(str(limits.get("transaction_age", TRANSACTION)))
    old = [row for row in others if (row["age"] or 0) >= since]
    for row in old:
        query = " ".join(without_secrets(row["query"]).split()) or "between two queries"
        what = f"{row['id']}, {row['user']} at {row['client']}, {units.duration(row['age'])} old: {query[:80]}"
        hint = (
            f"if it writes, or reads by an index, schema steps wait for it; end it: TERMINATE TRANSACTION '{row['id']}'"
        )
        yield Check(Topic.BLOCKERS, Verdict.WARNING, what, hint if waits else None)
    if not old:
        yield Check(Topic.BLOCKERS, Verdict.GOOD, "none")
    count = len(others)
    over = "active_transactions" in limits and count > int(limits["active_transactions"])
    what = f"{count} other transaction{'s' * (count != 1)}"
    yield limited(Topic.LOAD, what, over, "active_transactions", limits, used=share(count))


def _machine(read: Read, limits: Mapping[str, Json], data: str | None) -> Iterator[Check]:
    rows = _tried(read, _BEANS)
    disk = machine.free_disk(data) if data else None
    here = machine.look(disk is not None)
    if rows:
        system = {name: entry["value"] for name, entry in rows[0]["os"].items()}
        heap = rows[0]["memory"]["HeapMemoryUsage"]["value"]["properties"]
        most = max(int(heap["max"]), 1)
        told = f"heap {units.size(int(heap['used']))} of {units.size(most)}"
        yield Check(Topic.MEMORY, Verdict.GOOD, told)
        load = float(system.get("SystemLoadAverage") or -1)
        if here.load is None and load >= 0:
            processors = max(int(system.get("AvailableProcessors") or 1), 1)
            here = machine.Machine(here.memory, here.free_memory, load, processors)
    yield from machine.checks(limits, here, disk)


def _settings(told: Mapping[str, Any]) -> Iterator[Check]:
    shown = [f"{name} = {value}" for name, value in sorted(told.items()) if value is not None and name != _DATA]
    if shown:
        yield Check(Topic.SETTINGS, Verdict.GOOD, ", ".join(shown))


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
