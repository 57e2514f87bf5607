"""Commands over one connection, answers as they come. Used by `session.py` and what it lends it to.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from reconcile.errors import StoreError
from reconcile.references import database_url, masked, secrets

if TYPE_CHECKING:
    import redis

    from reconcile.stores.base import StoreSpec

FORM = "redis://HOST:6379/0, or rediss://… where the server has TLS"
ANSWER_SECONDS = 60.0
_PASSING = frozenset({"LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN"})
_ADVICE = {
    "NOAUTH": "set `password:` of the store, and `user:` where it is not the default one",
    "WRONGPASS": "check `user:` and `password:` of the store",
    "NOPERM": "reconcile check --grants prints what the user needs",
    "READONLY": "this is a replica: name the primary in `url:`",
    "MISCONF": "the server cannot save its data and takes no writes: see its log, free space on its disk",
    "OOM": "maxmemory is reached and nothing may be evicted: raise it or free some",
    "LOADING": "the server is loading its data: try again when it has",
}

Answer = Any
"""bytes, int, None, or a list of these."""


class RedisError(StoreError):
    """A refusal, or no answer. `code` is its first word: NOPERM, READONLY, …; "" where there was no answer."""

    def __init__(self, what: str, *, where: str, hint: str | None = None, code: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code
        self.passing = code in _PASSING or not code
        """Whether the same command may succeed later."""


class Wire:
    """One connection, made with the first command; secrets are read then."""

    def __init__(self, spec: StoreSpec) -> None:
        self.spec = spec
        self.place = f"store {spec.name}"
        self._client: redis.Redis | None = None
        self._secrets: tuple[str, ...] = ()

    def ask(self, *words: str | bytes | int) -> Answer:
        """What the server answers to one command.

        Raises:
            RedisError: refused, or not answered.
        """
        return self.pipe([words])[0]

    def tried(self, *words: str | bytes | int) -> Answer | None:
        """The same; None where this user or this service may not ask, or the server does not know the command."""
        try:
            return self.ask(*words)
        except RedisError as error:
            if error.code in ("NOPERM", "ERR"):
                return None
            raise

    def pipe(self, commands: Iterable[Sequence[str | bytes | int]], passing: str | None = None) -> list[Answer]:
        """The answers to several commands, sent in one go; not a transaction.

        Args:
            passing: the answer to a command that is refused with this text is None.

        Raises:
            RedisError: one of them was refused, or none was answered.
        """
        client = self._connected()
        import redis

        try:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.response_callbacks.clear()  # what a driver makes of answers differs with its version
                for words in commands:
                    pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
                answers: list[Answer] = pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            raise self._error(error) from error
        for at, answer in enumerate(answers):
            if isinstance(answer, redis.RedisError):
                if passing is None or passing not in str(answer):
                    raise self._error(answer) from answer
                answers[at] = None
        return answers

    def close(self) -> None:
        """End the connection; safe to call twice."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def shown(self) -> str:
        """The address for messages: host and port, and the number of the database."""
        given = self._connected().connection_pool.connection_kwargs
        return f"{given.get('host')}:{given.get('port')}/{given.get('db', 0)}"

    @property
    def host(self) -> str:
        """Where the server is."""
        return str(self._connected().connection_pool.connection_kwargs.get("host"))

    @property
    def tls(self) -> bool:
        """Whether what is sent is encrypted."""
        import redis

        return self._connected().connection_pool.connection_class is redis.SSLConnection

    def _connected(self) -> redis.Redis:
        if self._client is None:
            try:
                import redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry
            except ImportError as error:
                raise StoreError(
                    "the driver of Redis is not installed",
                    where=self.place,
                    hint="install it: pip install 'reconcile-schema[redis]'",
                ) from error
            self._secrets = secrets(self.spec)
            settings = self._settings()
            kind = redis.SSLConnection if settings.pop("tls") else redis.Connection
            pool = redis.ConnectionPool(
                connection_class=kind,
                max_connections=1,
                protocol=2,
                socket_connect_timeout=10.0,
                socket_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),  # what may be sent twice is for us to say
                client_name="reconcile",
                **settings,
            )
            self._client = redis.Redis(connection_pool=pool)
        return self._client

    def _settings(self) -> dict[str, Any]:
        url = database_url(self.spec, ("redis", "rediss"), FORM, {r"([\w.-]+):(\d+)/?\Z": r"redis://\1:\2/0"})
        host = self.spec.resolve("host")
        if url is None and host is None:
            raise StoreError("no URL is set", where=self.place, hint=f"set `url:` of the store: {FORM}")
        parts = urlsplit(url or "")
        numbers = [self.spec.resolve("database"), parts.path.strip("/"), dict(parse_qsl(parts.query)).get("db")]
        number = next((n for n in numbers if n), "0")
        if not number.isdigit():
            raise StoreError(f'"{number}" is no number of a database', where=self.place, hint=FORM)
        return {
            "tls": parts.scheme.lower() == "rediss" or self.spec.resolve("tls") == "true",
            "host": host or parts.hostname or "localhost",
            "port": int(self.spec.resolve("port") or parts.port or 6379),
            "db": int(number),
            "username": self.spec.resolve("user") or unquote(parts.username or "") or None,
            "password": self.spec.resolve("password") or unquote(parts.password or "") or None,
        }

    def _error(self, error: redis.RedisError) -> RedisError:
        import redis

        said = masked(str(error), self._secrets)
        if isinstance(error, redis.TimeoutError):
            hint = "is the server busy? SLOWLOG GET tells what it does"
            return RedisError(f"{self.shown} did not answer in time: {said}", where=self.place, hint=hint)
        if isinstance(error, redis.ConnectionError) and not isinstance(error, redis.AuthenticationError):
            code = type(error).__name__.removeprefix("Busy").removesuffix("Error").upper()
            if code == "LOADING":
                return RedisError(said, where=self.place, hint=_ADVICE[code], code=code)
            hint = "does the server run, and is host and port right? rediss:// where it has TLS"
            return RedisError(f"cannot reach Redis at {self.shown}: {said}", where=self.place, hint=hint)
        return self._refused(error, said)

    def _refused(self, error: redis.RedisError, said: str) -> RedisError:
        import redis

        kinds = {"NOPERM": "NoPermissionError", "READONLY": "ReadOnlyError", "OOM": "OutOfMemoryError"}
        head = said.split(" ", 1)[0]
        code = head if head.isupper() and len(head) > 2 else "ERR"
        for word, kind in kinds.items():
            if isinstance(error, getattr(redis.exceptions, kind, ())):
                code = word
        if isinstance(error, redis.AuthenticationError) and code == "ERR":
            code = "NOAUTH" if "required" in said else "WRONGPASS"
        if "invalid username-password" in said.lower():
            code = "WRONGPASS"
        return RedisError(f"Redis at {self.shown}: {said}", where=self.place, hint=_ADVICE.get(code), code=code)


def text(value: Answer) -> str:
    """A bulk string as text; bytes that are no UTF-8 survive the way there and back."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def raw(value: str) -> bytes:
    """What `text` was made from."""
    return value.encode("utf-8", "surrogateescape")


def pairs(flat: Answer) -> dict[str, Answer]:
    """[name, value, name, value, …] as a mapping."""
    items = iter(flat or ())
    return {text(name): value for name, value in zip(items, items, strict=True)}


def sections(info: Answer) -> dict[str, str]:
    """What `INFO` tells, without its sections."""
    lines = (line.partition(":") for line in text(info).splitlines() if ":" in line and not line.startswith("#"))
    return {name: value for name, _, value in lines}
