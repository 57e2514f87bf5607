"""Where a database is, and the driver for it. The driver is imported with the first call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from reconcile.errors import StoreError

if TYPE_CHECKING:
    import neo4j

    from reconcile.stores.base import StoreSpec

SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
CONNECT_SECONDS = 10
_FORMS = {
    r"https?://([\w-]+\.databases\.neo4j\.io)(?=[/:?#]|\Z)": r"neo4j+s://\1",  # as Aura's console shows it
    r"https?://([^/:?#@]+)(?::\d+)?(?=[/?#]|\Z)": r"bolt://\1:7687",
}
"""By what is often given as the URL: how it is to be written."""


@dataclass(frozen=True)
class Target:
    """The settings of a store, read."""

    url: str
    """Without user and password."""
    user: str
    password: str | None = field(repr=False)
    database: str | None
    """None for the user's home database."""

    @classmethod
    def of(cls, spec: StoreSpec) -> Target:
        """Read the settings now.

        Raises:
            ReconcileError: a setting cannot be read, or the URL is of another kind.
        """
        from reconcile.references import database_url

        place = f"store {spec.name}"
        url = database_url(spec, SCHEMES, "bolt://HOST:7687", _FORMS)
        if url is None:
            raise StoreError("has no URL", where=place, hint="set `url: bolt://HOST:7687`")
        parts = urlsplit(url)
        user, password = spec.resolve("user"), spec.resolve("password")
        if "@" in parts.netloc:  # the driver takes no user and password from a URL
            login, _, host = parts.netloc.rpartition("@")
            name, _, secret = login.partition(":")
            user, password = user or unquote(name), password or unquote(secret)
            url = parts._replace(netloc=host).geturl()
        database = spec.resolve("database")
        if (database or "").lower() == "system":
            hint = "name another, or none for the user's home database; the Community Edition has one, neo4j"
            raise StoreError("the database system holds no graph", where=place, hint=hint)
        return cls(url, user or "neo4j", password, database)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return (self.password,) if self.password else ()

    @property
    def shown(self) -> str:
        """The URL as people may see it."""
        from reconcile.references import masked

        return masked(self.url, self.secrets)

    def driver(self) -> neo4j.Driver:
        """A driver; nothing is sent yet."""
        import logging

        import neo4j

        # Hints of the server on queries ("label does not exist") are nothing for users of this tool.
        logging.getLogger("neo4j.notifications").setLevel(logging.ERROR)
        if not (log := logging.getLogger("neo4j")).handlers:  # else Python prints warnings that nobody handles
            log.addHandler(logging.NullHandler())
        return neo4j.GraphDatabase.driver(
            self.url,
            auth=(self.user, self.password) if self.password else None,
            connection_timeout=CONNECT_SECONDS,
            connection_acquisition_timeout=2 * CONNECT_SECONDS,  # a server that accepts and says nothing
            max_transaction_retry_time=CONNECT_SECONDS,
            user_agent="reconcile",
        )
