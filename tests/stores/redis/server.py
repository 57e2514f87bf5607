"""Commands to a Redis server by hand, and its parameters put back."""

from __future__ import annotations

import shlex
from typing import Any

import redis

_BEFORE: dict[str, dict[Any, Any]] = {}
"""By URL the parameters of the server before the first test changed any."""


class Commands:
    """Sends what redis-cli would."""

    def __init__(self, url: str) -> None:
        self.url = url
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
        """The parameters as they were before the first test."""
        now = self.client.config_get()
        for name, value in _BEFORE.setdefault(self.url, now).items():
            if now[name] != value:
                self("CONFIG", "SET", name, value)

    def config(self, name: str) -> str:
        """The value of one parameter."""
        return str(self.client.config_get(name)[name])
