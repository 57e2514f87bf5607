"""Plain GETs over a connection of their own: a thousand collections are a thousand of them.

A request of httpx takes four times the work of one of the standard library. Whatever is out of the ordinary (TLS, a
proxy, a refusal, a broken connection) is left to `transport.py`, which says what it means.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from reconcile.model import Json


class Lane:
    """One keep-alive connection; made on first use."""

    def __init__(self, url: str, headers: Mapping[str, str], seconds: float, direct: bool) -> None:
        """`direct`: no proxy of the environment is asked, whatever it says."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxied = not direct and bool({"http", "all"} & set(getproxies())) and not proxy_bypass(host)
        plain = parts.scheme == "http" and parts.username is None and not proxied
        self.base, self.headers = parts.path.rstrip("/"), dict(headers)
        self.connection = http.client.HTTPConnection(host, parts.port, timeout=seconds) if plain and host else None

    def get(self, path: str) -> Json:
        """The answer's JSON object; None where it is not to be had this way: ask again by the ordinary one."""
        if self.connection is None:
            return None
        try:
            self.connection.request("GET", self.base + path, headers=self.headers)
            answer = self.connection.getresponse()
            content = answer.read()
            found = json.loads(content) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()  # the next request opens it again
            return None
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        """End the connection; safe to call twice."""
        if self.connection is not None:
            self.connection.close()
