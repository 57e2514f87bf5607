"""REST over one keep-alive connection. Used by `session.py` alone.

Plain httpx (which qdrant-client brings along) instead of the client's models: those drop keys they do not know,
refuse some answers of other server versions (1.20 against 1.16), and take a second to import.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.references import database_url, masked, secrets
from reconcile.stores.qdrant.lane import Lane

if TYPE_CHECKING:
    import httpx

    from reconcile.stores.base import StoreSpec

FORM = "http://HOST:6333, or https://… where the server has TLS"
REQUEST_SECONDS = 60.0
_PIECE = 1 << 20
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PASSING = frozenset({408, 429, 502, 503, 504})


class QdrantError(StoreError):
    """A refusal, or no answer. `status` is the HTTP status, None where there was none."""

    def __init__(self, what: str, *, where: str, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
        self.passing = status in _PASSING
        """Whether the same request may succeed later."""
        self.after: float | None = None
        """In how many seconds, where the server says."""


class Transport:
    """Requests to one server. Nothing is sent before the first call; secrets are read when connecting."""

    def __init__(self, spec: StoreSpec) -> None:
        self.spec = spec
        self._client: httpx.Client | None = None
        self._lane: Lane | None = None
        self._secrets: tuple[str, ...] = ()
        self.api_key: str | None = None

    def client(self) -> httpx.Client:
        """The connection, made on first use.

        Raises:
            ReconcileError: no URL, one of another kind of server, or a variable that is not set.
        """
        if self._client is None:
            import httpx

            url = database_url(
                self.spec,
                ("http", "https"),
                FORM,
                {r"grpcs?://([^/:@]+)(?::\d+)?/?\Z": r"http://\1:6333", r"([\w.-]+):(\d+)/?\Z": r"http://\1:\2"},
            )
            if url is None:
                raise StoreError(
                    "no URL is set", where=f"store {self.spec.name}", hint=f"set `url:` of the store: {FORM}"
                )
            if urlsplit(url).query or urlsplit(url).fragment:  # it would swallow the path of every request
                raise StoreError(
                    "the URL has a query or a fragment (`?…`, `#…`), and Qdrant knows neither",
                    where=f"store {self.spec.name}",
                    hint=f"write it as {FORM}; a key is `api_key:` of the store",
                )
            self.api_key = self.spec.resolve("api_key")
            self._secrets = secrets(self.spec)
            if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable()):
                raise StoreError(
                    "the API key has characters that no HTTP header can carry",
                    where=f"store {self.spec.name}",
                    hint="a key is ASCII without line breaks: see `api_key:` of the store",
                )
            # Qdrant's own default, as in its clients; with https it usually stands behind a proxy on 443.
            if urlsplit(url).port is None and urlsplit(url).scheme == "http":
                parts = urlsplit(url)
                url = parts._replace(netloc=f"{parts.netloc}:6333").geturl()
            try:
                self._client = httpx.Client(
                    base_url=url,
                    headers={"api-key": self.api_key} if self.api_key else {},
                    timeout=httpx.Timeout(REQUEST_SECONDS, connect=10.0),
                    # A proxy of the environment is no way to this very machine.
                    trust_env=urlsplit(url).hostname not in _LOOPBACK,
                )
            except (httpx.InvalidURL, ValueError, UnicodeError) as error:
                raise StoreError(
                    f"the URL or the API key cannot be used: {self.mask(str(error))}",
                    where=f"store {self.spec.name}",
                    hint=f"write the URL as {FORM}; a key has no blanks or line breaks",
                ) from error
        return self._client

    def mask(self, text: str) -> str:
        """`text` without any secret of the store."""
        return masked(text, self._secrets)

    @property
    def shown(self) -> str:
        """The URL for messages."""
        return self.mask(str(self.client().base_url)).rstrip("/")

    def send(self, method: str, path: str, body: Json = None, seconds: float | None = None) -> Any:
        """`result` of the answer (the whole answer where it has none).

        Args:
            seconds: how long the answer may take.

        Raises:
            QdrantError: refused or not answered; says what it means and what to do.
        """
        answer = self._ask(method, path, seconds, json=body)
        try:
            content = answer.json()
        except ValueError as error:
            raise self._stranger() from error
        if not isinstance(content, dict):
            raise self._stranger()
        return content.get("result", content)

    def get(self, path: str) -> Any:
        """`send("GET", path)` at less cost: for what is asked a thousand times.

        Raises:
            QdrantError: as `send`.
        """
        client = self.client()
        if self._lane is None:
            url = client.base_url
            headers = {"api-key": self.api_key} if self.api_key else {}
            self._lane = Lane(str(url), headers, REQUEST_SECONDS, direct=url.host in _LOOPBACK)
        content = self._lane.get(path)
        return self.send("GET", path) if content is None else content.get("result", content)

    def bulk(self, method: str, path: str, body: bytes) -> bytes:
        """The text of an answer to a request that is JSON text already: points by the thousand are not parsed.

        Raises:
            QdrantError: as `send`.
        """
        # Packed answers cost the server more than a network between two machines of one site.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        return self._ask(method, path, None, content=body, headers=headers).content

    def relay(self, source: str, target: str, name: str, size: int, seconds: float) -> None:
        """Send what GET `source` answers to `target` as the file of a form, piece by piece: it is never held whole.

        Args:
            size: its length in bytes.
            seconds: how long the answer may take.

        Raises:
            QdrantError: as `send`; also where it has another length.
        """
        import httpx

        timeout = httpx.Timeout(REQUEST_SECONDS, connect=10.0)
        try:
            with self.client().stream("GET", source, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise self._refused("GET", source, answer)

                self._form(answer.iter_bytes(), target, name, size, seconds)
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._unanswered(error) from error

    def download(self, source: str, file: Path) -> tuple[int, str]:
        """Write what GET `source` answers into a new file for its owner alone; its length and sha256.

        Raises:
            QdrantError: as `send`.
            OSError: it cannot be written.
        """
        import httpx

        digest, size = hashlib.sha256(), 0
        try:
            with (
                self.client().stream("GET", source, timeout=httpx.Timeout(REQUEST_SECONDS, connect=10.0)) as answer,
                os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle,
            ):
                if answer.status_code >= 400:
                    answer.read()
                    raise self._refused("GET", source, answer)
                for piece in answer.iter_bytes(_PIECE):
                    handle.write(piece)
                    digest.update(piece)
                    size += len(piece)
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._unanswered(error) from error
        return size, digest.hexdigest()

    def upload(self, file: Path, target: str, seconds: float) -> None:
        """Send a file to `target` as that of a form, piece by piece.

        Raises:
            QdrantError: as `send`.
            OSError: it cannot be read.
        """
        with file.open("rb") as handle:
            self._form(iter(lambda: handle.read(_PIECE), b""), target, file.name, file.stat().st_size, seconds)

    def _form(self, pieces: Iterator[bytes], target: str, name: str, size: int, seconds: float) -> None:
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="snapshot"; filename="{quote(name)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        headers["Content-Length"] = str(len(head) + size + len(tail))
        self._ask("POST", target, seconds, content=chain((head,), pieces, (tail,)), headers=headers)

    def _ask(self, method: str, path: str, seconds: float | None, **request: Any) -> httpx.Response:
        import httpx

        client = self.client()
        timeout = httpx.Timeout(seconds or REQUEST_SECONDS, connect=10.0)
        try:
            answer = client.request(method, path, timeout=timeout, **request)
        except httpx.TransportError as error:
            raise self._unanswered(error) from error
        if answer.status_code >= 400:
            raise self._refused(method, path, answer)
        return answer

    def close(self) -> None:
        """End the connection; safe to call twice."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def _stranger(self) -> QdrantError:
        return QdrantError(
            f"{self.shown} answers, but not as Qdrant does",
            where=f"store {self.spec.name}",
            hint="check host, port and path: Qdrant's REST port is 6333 by default (6334 is gRPC)",
        )

    def _unanswered(self, error: httpx.TransportError | httpx.StreamError) -> QdrantError:
        import httpx

        text = self.mask(str(error)) or type(error).__name__
        passing = True
        if isinstance(error, httpx.TimeoutException):
            what = f"{self.shown} does not answer in time"
            hint = "is the server busy or behind a firewall?"
        elif "WRONG_VERSION_NUMBER" in text or "wrong version number" in text or "record layer failure" in text:
            what, passing = f"{self.shown} speaks no TLS", False
            hint = "the server has plain HTTP: write the URL with http://"
        elif "CERTIFICATE" in text.upper():
            what, passing = f"the certificate of {self.shown} is not accepted: {text}", False
            hint = "set SSL_CERT_FILE to your authority's certificate"
        elif isinstance(error, httpx.ConnectError):
            what = f"cannot connect to {self.shown}: {text}"
            hint = "is the server running, and are host and port right?"
        elif isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
            what = f"{self.shown} does not speak HTTP as expected: {text}"
            hint = "Qdrant's REST port is 6333 by default (6334 is gRPC); a server with TLS needs https://"
        else:
            what, hint, passing = f"{self.shown}: {text}", f"write the URL as {FORM}", False
        found = QdrantError(what, where=f"store {self.spec.name}", hint=hint)
        found.passing = passing
        return found

    def _refused(self, method: str, path: str, answer: httpx.Response) -> QdrantError:
        status = answer.status_code
        try:
            content = answer.json()
            message = content["status"]["error"]
        except (ValueError, KeyError, TypeError):
            message = answer.text.strip()[:200] or answer.reason_phrase
        message = self.mask(str(message))
        name = f"store {self.spec.name}"
        if status in (401, 403):
            given = "the API key is not accepted" if self.api_key else "the server wants an API key"
            if "ExpiredSignature" in message:
                given = "the API key has expired"
            elif status == 403 and self.api_key and "nvalid" not in message:
                given = f"the API key does not allow {method} {path}: {message}"
            return QdrantError(
                f"{self.shown}: {given}", where=name, hint="set `api_key:` of the store to a valid key", status=status
            )
        if "plain HTTP request was sent to HTTPS" in message:
            return QdrantError(f"{self.shown} wants TLS", where=name, hint="write the URL with https://", status=status)
        if status == 404 and path == "/":
            return self._stranger()
        error = QdrantError(f"{method} {path}: {message} (HTTP {status})", where=name, status=status)
        after = answer.headers.get("retry-after", "")
        error.after = float(after) if after.isdigit() else None
        return error
