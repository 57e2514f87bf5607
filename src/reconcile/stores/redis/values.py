"""Values of the configuration: how they are written, when two are the same, what cannot be set at run time. Pure.

Measured on Redis 8.2.3 and 7.0.15; https://redis.io/docs/latest/commands/config-set/
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconcile.model import Json

SECRETS = frozenset({"requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass"})
"""Never read, never shown, never declared."""

FIXED = frozenset({
    "aclfile", "always-show-logo", "aof-use-rdb-preamble", "aof_rewrite_cpulist", "appenddirname", "appendfilename",
    "bgsave_cpulist", "bio_cpulist", "cluster-config-file", "cluster-enabled", "cluster-port", "daemonize",
    "databases", "disable-thp", "enable-debug-command", "enable-module-command", "enable-protected-configs",
    "io-threads", "io-threads-do-reads", "logfile", "pidfile", "rdbchecksum", "server_cpulist", "set-proc-title",
    "socket-mark-id", "supervised", "syslog-enabled", "syslog-facility", "syslog-ident", "tcp-backlog",
    "unixsocket", "unixsocketperm",
})  # fmt: skip
"""Read when the server starts. Asked of the server where it tells (from 7.0 on): this is for those that do not."""

EVICTING = re.compile(r"(allkeys|volatile)-")

_BYTES = {"b": 1, "k": 1000, "kb": 1 << 10, "m": 1000**2, "mb": 1 << 20, "g": 1000**3, "gb": 1 << 30}
_SIZE = re.compile(rf"(\d+)({'|'.join(_BYTES)})", re.I)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_EVENTS = "g$lshzxetd"
"""What A stands for in notify-keyspace-events."""


def written(value: Json) -> str:
    """A value of the YAML as text.

    >>> written(True), written(100), written("3600 1")
    ('yes', '100', '3600 1')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def same(name: str, declared: str, live: str) -> bool:
    """Whether the server spells `declared` as `live`.

    >>> same("maxmemory", "100mb", "104857600"), same("maxmemory", "100m", "104857600")
    (True, False)
    >>> same("notify-keyspace-events", "KEA", "AKE")
    True
    >>> same("client-output-buffer-limit", "pubsub 32mb 8mb 60", "normal 0 0 0 slave 1 1 60 pubsub 33554432 8388608 60")
    True
    """
    if name == "client-output-buffer-limit":
        known = _limits(live)
        return all(known.get(group) == limit for group, limit in _limits(declared).items())
    return _normal(name, declared) == _normal(name, live)


def _normal(name: str, text: str) -> object:
    if name == "notify-keyspace-events":
        return frozenset(text.replace("A", _EVENTS))
    return tuple(map(_word, text.split()))


def _word(word: str) -> object:
    if found := _SIZE.fullmatch(word):
        return int(found[1]) * _BYTES[found[2].lower()]
    if _NUMBER.fullmatch(word):
        return float(word) if "." in word else int(word)
    return word


def _limits(text: str) -> Mapping[str, tuple[object, ...]]:
    """By class of clients its limits; a replica is a slave in the server's words before 7."""
    words = text.split()
    return {
        words[at].replace("slave", "replica"): tuple(map(_word, words[at + 1 : at + 4]))
        for at in range(0, len(words), 4)
    }


def version(number: int) -> str:
    """A module's: 21005 is 2.10.5.

    >>> version(21005), version(1)
    ('2.10.5', '0.0.1')
    """
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def number(text: str | None) -> int:
    """A size as bytes; 0 where it is none."""
    found = _word(text) if text else 0
    return int(found) if isinstance(found, int | float) else 0
