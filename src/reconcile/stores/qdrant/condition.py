"""How the server is before a run: the key, health, load, memory. Pure: what it is made from was read before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from reconcile import machine, units
from reconcile.change import Step
from reconcile.checkup import Check, Topic, Verdict, of_problem
from reconcile.errors import Problem
from reconcile.model import Json
from reconcile.stores.qdrant import health
from reconcile.stores.qdrant.checks import Key, collection_of

_SHOWN = 5


@dataclass(frozen=True)
class Seen:
    """What was asked of the server."""

    version: str
    url: str
    """Without secrets."""
    key: Key | None
    """None where no key is set."""
    manages: bool
    infos: Mapping[str, Json]
    """Physical name -> `result` of GET, of all collections that are seen."""
    telemetry: Any | None
    cluster: Any | None


def checks(seen: Seen, settings: Mapping[str, Json], steps: Sequence[Step], lacking: Sequence[Problem]) -> list[Check]:
    """All that the server tells of itself, held against `limits:` of its store.

    Args:
        lacking: what the key may not, of what the steps do.
    """
    limits: Mapping[str, Json] = settings.get("limits") or {}
    parts = urlsplit(seen.url)
    tls = "TLS" if parts.scheme == "https" else "no TLS"
    return [
        Check(Topic.CONNECTION, Verdict.GOOD, f"Qdrant {seen.version}, {_key(seen)}, {tls}"),
        *_sight(seen),
        *_privileges(seen, steps, lacking),
        *_health(seen),
        *_blockers(seen, steps),
        *_machine(seen, limits, parts.hostname in machine.HERE),
    ]


def _key(seen: Seen) -> str:
    if seen.key is None:
        return "no API key"
    if seen.key.collections is not None:
        return "a JWT for some collections"
    return "an API key that may manage" if seen.manages else "an API key that may only read"


def _sight(seen: Seen) -> Iterator[Check]:
    if seen.key is not None and seen.key.unseen:
        hint = "use a key that sees all: what is not seen is neither made nor dropped"
        yield Check(Topic.SIGHT, Verdict.WARNING, seen.key.unseen, hint)


def _privileges(seen: Seen, steps: Sequence[Step], lacking: Sequence[Problem]) -> Iterator[Check]:
    yield from (of_problem(problem, Topic.PRIVILEGES) for problem in lacking)
    if steps and not lacking:
        what = "no key is asked for" if seen.key is None else "the key may do what the steps do"
        yield Check(Topic.PRIVILEGES, Verdict.GOOD, what)


def _health(seen: Seen) -> Iterator[Check]:
    by_status: dict[str, list[str]] = {}
    for name, info in seen.infos.items():
        status = str(info.get("status")) if health.red(info) is None else "red"
        by_status.setdefault(status, []).append(name)
    if red := by_status.get("red"):
        what = f"red: {_few(red)}"
        yield Check(Topic.HEALTH, Verdict.WARNING, what, f"steps on it do not begin; {health.REMEDY}")
    if grey := by_status.get("grey"):
        hint = "optimizations wait since a restart; any PATCH of the collection starts them"
        yield Check(Topic.HEALTH, Verdict.WARNING, f"grey: {_few(grey)}", hint)
    if not red and not grey:
        yield Check(Topic.HEALTH, Verdict.GOOD, "no collection is red or grey" if seen.infos else "no collections yet")
    cluster = seen.cluster or {}
    if cluster.get("status") == "enabled":
        failures = cluster.get("message_send_failures") or {}
        what = f"cluster of {len(cluster.get('peers') or {})} peers"
        if failures:
            what = f"{what}, {len(failures)} not reached: {_few(sorted(failures))}"
            yield Check(Topic.HEALTH, Verdict.WARNING, what, "see GET /cluster")
        else:
            yield Check(Topic.HEALTH, Verdict.GOOD, what)


def _blockers(seen: Seen, steps: Sequence[Step]) -> Iterator[Check]:
    """Collections of the steps that are being optimized: what waits for green waits for that too."""
    touched = {name for step in steps for call in step.calls if (name := collection_of(call))}
    busy = [n for n, i in seen.infos.items() if i.get("status") == "yellow" and (n in touched or not steps)]
    if busy:
        what = f"being optimized: {_few(busy)}"
        yield Check(Topic.BLOCKERS, Verdict.WARNING, what, "steps that wait for green wait for that too")
    else:
        yield Check(Topic.BLOCKERS, Verdict.GOOD, "none")


def _machine(seen: Seen, limits: Mapping[str, Json], local: bool) -> Iterator[Check]:
    system = ((seen.telemetry or {}).get("app") or {}).get("system") or {}
    resident = ((seen.telemetry or {}).get("memory") or {}).get("resident_bytes")
    if resident is not None and system.get("ram_size"):
        told = f"the server holds {units.size(int(resident))} of {units.size(int(system['ram_size']) * 1024)}"
        yield Check(Topic.MEMORY, Verdict.GOOD, told)
    size = f"its disk has {units.size(int(system['disk_size']) * 1024)}" if system.get("disk_size") else ""
    yield from machine.checks(limits, machine.look(local), None, size)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
