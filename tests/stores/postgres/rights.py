"""A role of PostgreSQL whose privileges are given and taken one by one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from tests.projects import Folder

from reconcile import workflow
from reconcile.plan import Plan


@dataclass
class Rights:
    """A database of a superuser, and a role that may do exactly what the plan needs."""

    admin: psycopg.Connection[Any]
    folder: Folder
    role: str
    owner: str
    database: str

    def run(self, text: str) -> None:
        names = {"role": self.role, "owner": self.owner, "database": self.database}
        self.admin.execute(text.format(**names).encode())

    @property
    def url(self) -> str:
        """Of the superuser."""
        info = self.admin.info
        return f"postgresql://{info.user}:{quote(info.password)}@{info.host}:{info.port}/{self.database}"

    def stops(self, made: Plan | None = None) -> list[str]:
        report = workflow.check(self.folder.load(), made=made)
        parts = [*report["stores"], report["ledger"], report["plan"]]
        found = [c for part in parts for c in part["checks"] if c["verdict"] == "stops"]
        assert report["stops"] == len(found)
        return [f"{c['what']} | {c['hint']}" for c in found]

    def ledger(self) -> list[Any]:
        return self.admin.execute(b"SELECT outcome FROM reconcile.runs ORDER BY number").fetchall()


@contextmanager
def a_role(make_postgres_database: Callable[[], str], tmp_path: Path) -> Iterator[Rights]:
    url = make_postgres_database()
    name, owner, password = (f"{word}_{secrets.token_hex(4)}" for word in ("guest", "owner", "pw"))
    parts = urlsplit(url)
    login = parts._replace(netloc=f"{name}:{quote(password)}@{parts.netloc.rpartition('@')[2]}").geturl()
    stores = {"app": {"kind": "postgres", "url": login, "schemas": ["public", "audit"], "external": ["ref.*"]}}
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'; CREATE ROLE {owner}".encode())
        made = Rights(admin, Folder(tmp_path, stores), name, owner, parts.path[1:])
        try:
            yield made
        finally:
            admin.execute(f"DROP OWNED BY {name}, {owner}; DROP ROLE {name}, {owner}".encode())
