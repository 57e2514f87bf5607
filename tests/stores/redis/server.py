"""Commands to a Redis server by hand, and its parameters put back."""

from __future__ import annotations

import shlex
from typing import Any

import redis

STARTED_WITH = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "timeout": "0",
    "notify-keyspace-events": "",
    "client-output-buffer-limit": "normal 0 0 0 replica 268435456 67108864 60 pubsub 33554432 8388608 60",
    "save": "3600 1 300 100 60 10000",
    "appendonly": "no",
    "maxclients": "10000",
    "slowlog-log-slower-than": "10000",
    "hz": "10",
}
"""What tests change, as the server of the sandbox has it."""


class Commands:
    """Sends what redis-cli would."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True, encoding_errors="surrogateescape")

    def __call__(self, *words: Any) -> Any:
        """The answer to one command."""
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    def run(self, script: str) -> None:
        """One command a line; `#` begins a comment."""
        for line in script.splitlines():
            if words := shlex.split(line, comments=True):
                self(*words)

    def reset(self) -> None:
        """The parameters as the server was started with."""
        now = self.client.config_get()
        for name, value in STARTED_WITH.items():
            if now[name] != value:
                self("CONFIG", "SET", name, value)

    def config(self, name: str) -> str:
        """The value of one parameter."""
        return str(self.client.config_get(name)[name])
