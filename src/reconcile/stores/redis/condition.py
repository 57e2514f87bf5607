"""How the server is before a run: version, role, rights, persistence, memory. Pure: what it is made from was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconcile import machine, units
from reconcile.change import Step
from reconcile.checkup import Check, Topic, Verdict, limited, share
from reconcile.model import Json

MAXMEMORY_PERCENT = 90
"""Share of maxmemory in use from which on it is told: `limits:` of the store may say otherwise."""


@dataclass(frozen=True)
class Seen:
    """What was asked of the server."""

    shown: str
    """Host, port and database."""
    host: str
    tls: bool
    user: str | None
    """None where it is not told."""
    info: Mapping[str, str]
    config: Mapping[str, str] | None
    modules: Mapping[str, str]
    """By name the version."""
    refused: Mapping[str, str] | None
    """By command that the steps need what the server says against it; None where it does not tell."""


def checks(seen: Seen, settings: Mapping[str, Json], steps: Sequence[Step]) -> list[Check]:
    """All that the server tells of itself, held against `limits:` of its store."""
    limits: Mapping[str, Json] = settings.get("limits") or {}
    return [
        *_connection(seen, steps),
        *_privileges(seen, steps),
        *_health(seen, steps),
        *_memory(seen, limits),
        *machine.checks(limits, machine.look(seen.host in machine.HERE), None, ""),
        Check(Topic.SETTINGS, Verdict.GOOD, _settings(seen)),
    ]


def _connection(seen: Seen, steps: Sequence[Step]) -> Iterator[Check]:
    info = seen.info
    user = f"as {seen.user}" if seen.user else "as a user that is not told"
    what = f"Redis {info['redis_version']} at {seen.shown}, {user}, {'TLS' if seen.tls else 'no TLS'}"
    yield Check(Topic.CONNECTION, Verdict.GOOD, what)
    if info.get("role") == "slave":
        verdict = Verdict.STOPS if steps else Verdict.WARNING
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        yield Check(Topic.CONNECTION, verdict, f"a replica of {primary}, which takes no writes", "name that in `url:`")
    if info.get("redis_mode") == "cluster":
        what = "a node of a cluster: parameters are set on it alone, keys are sampled on it alone, and none is renamed"
        yield Check(Topic.SIGHT, Verdict.WARNING, what, "declare one store for each node")
    elif seen.config is None:
        hint = "reconcile check --grants prints what the user needs"
        yield Check(Topic.SIGHT, Verdict.WARNING, "CONFIG GET is not allowed: the configuration is not known", hint)
    extensions = ", ".join(f"{name} {version}" for name, version in sorted(seen.modules.items()))
    yield Check(Topic.EXTENSIONS, Verdict.GOOD, f"modules: {extensions}" if extensions else "no modules")


def _privileges(seen: Seen, steps: Sequence[Step]) -> Iterator[Check]:
    if not steps:
        return
    if seen.refused is None:
        what = "whether the user may do what the steps do is not told (ACL DRYRUN, from 7.0 on)"
        yield Check(Topic.PRIVILEGES, Verdict.UNKNOWN, what, "the steps decide")
        return
    for command, why in seen.refused.items():
        hint = "reconcile check --grants prints what the user needs"
        yield Check(Topic.PRIVILEGES, Verdict.STOPS, f"the user may not {command}: {why}", hint)
    if not seen.refused:
        yield Check(Topic.PRIVILEGES, Verdict.GOOD, "the user may do what the steps do")


def _health(seen: Seen, steps: Sequence[Step]) -> Iterator[Check]:
    info = seen.info
    wrong = [
        (key, what)
        for key, what in (
            ("rdb_last_bgsave_status", "the last snapshot"),
            ("aof_last_write_status", "the log of writes"),
        )
        if info.get(key, "ok") != "ok"
    ]
    for key, what in wrong:
        refuses = key.startswith("aof") or (seen.config or {}).get("stop-writes-on-bgsave-error") == "yes"
        verdict = Verdict.STOPS if steps and refuses else Verdict.WARNING
        yield Check(Topic.HEALTH, verdict, f"{what} could not be written", "see the server's log, and free disk there")
    if info.get("loading") == "1":
        yield Check(Topic.HEALTH, Verdict.STOPS if steps else Verdict.WARNING, "the server is loading its data")
    elif not wrong:
        aof = "append-only file on" if info.get("aof_enabled") == "1" else "append-only file off"
        changed = f"{info.get('rdb_changes_since_last_save', '0')} changes since the last snapshot"
        yield Check(Topic.HEALTH, Verdict.GOOD, f"{aof}, {changed}")


def _memory(seen: Seen, limits: Mapping[str, Json]) -> Iterator[Check]:
    used, most = int(seen.info.get("used_memory", 0)), int(seen.info.get("maxmemory", 0))
    if not most:
        yield Check(Topic.MEMORY, Verdict.GOOD, f"the server holds {units.size(used)}, without a maxmemory")
        return
    percent = 100 * used / most
    what = f"{percent:.0f} % of maxmemory ({units.size(most)}) used"
    limit = float(str(limits.get("maxmemory_percent", MAXMEMORY_PERCENT)))
    over, default = percent > limit, MAXMEMORY_PERCENT
    yield limited(Topic.MEMORY, what, over, "maxmemory_percent", limits, default=default, used=share(percent))


def _settings(seen: Seen) -> str:
    config = seen.config or {}
    told = ("maxmemory-policy", "save", "appendonly", "appendfsync", "notify-keyspace-events")
    found = [f"{name} {config[name] or chr(34) * 2}" for name in told if name in config]
    return ", ".join(found) or "not told"
