"""What a PostgreSQL database holds, kept and brought back: quicker than to make it again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from reconcile.sandbox.scratch import create_postgres_database


def keep(url: str, make: Callable[..., str]) -> Callable[[], None]:
    """Keep what a database holds now; what is given brings it back under the same name, whoever is connected.

    Args:
        url: of a superuser of the database; nobody may be connected to it.
        make: makes a database of the server, the copy of one of the name given.
    """
    name = urlsplit(url).path[1:]
    kept = make(name)

    def back() -> None:
        with psycopg.connect(kept, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            create_postgres_database(connection, name, urlsplit(kept).path[1:])

    return back
