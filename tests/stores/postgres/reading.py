"""YAML against a real database: parse, spell, compare; and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from reconcile import wording
from reconcile.embeddings import Distance, Embedding
from reconcile.model import Address, Json, Source, State
from reconcile.stores.base import Canonical, Context, Live, StoreSpec
from reconcile.stores.postgres import PACKAGE
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.session import PostgresSession
from reconcile.stores.postgres.sqltext import (
    column_clause,
    constraint_clause,
    enum_statement,
    index_statement,
    relation,
)
from reconcile.stores.postgres.sqlviews import view_statement
from reconcile.yamlio import parse as read_yaml

EMBEDDINGS = {"passages": Embedding("passages", "m", 384, Distance.COSINE)}


class CountingSession(PostgresSession):
    """Knows how often it built something."""

    built = 0

    @contextmanager
    def scratch(self, *, lent: bool = False) -> Iterator[psycopg.Connection[TupleRow]]:
        self.built += 1
        with super().scratch(lent=lent) as connection:
            yield connection


@dataclass
class Store:
    """One database as the store `app`."""

    url: str
    schemas: Sequence[str] = ("public",)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> StoreSpec:
        values = {"url": self.url, "schemas": list(self.schemas), **self.settings}
        return StoreSpec("app", "postgres", values, Source("reconcile.yaml", 1), Path())

    @contextmanager
    def session(self) -> Iterator[CountingSession]:
        session = CountingSession(self.spec, "tests", "default")
        try:
            yield session
        finally:
            session.close()

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def live(self) -> Live:
        with self.session() as session:
            return session.introspect()

    def desired(self, *texts: str) -> State:
        """What documents declare; they have to be right."""
        documents = [d for n, text in enumerate(texts) for d in read_yaml(text, f"s{n or ''}.yaml")]
        assert [str(p) for d in documents for p in wording.problems(d, PACKAGE.schema)] == []
        context = Context(self.spec, EMBEDDINGS)
        found = PACKAGE.parse(documents, context)
        assert [str(p) for p in context.problems] == []
        return State.of(found)

    def canonical(self, text: str | State, known: Mapping[str, Json] | None = None) -> tuple[Canonical, State, int]:
        """(canonical, live, number of scratch builds)."""
        with self.session() as session:
            live = session.introspect()
            desired = self.desired(text) if isinstance(text, str) else text
            result = session.canonical(desired, live, known or {})
            return result, live.state, session.built

    def imported(self) -> dict[str, str]:
        """The YAML files that declare what is live."""
        with self.session() as session:
            return dict(PACKAGE.dump(session.introspect(), session.server(), self.spec, lambda _: True))

    def make(self, state: State) -> None:
        """Create everything of `state` in plain statements, foreign keys last."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("create extension if not exists vector")
            for x in state.of_kind("schema"):
                connection.execute(f'create schema if not exists "{x.name}"'.encode())
            statements = [enum_statement(x) for x in state.of_kind("enum") if isinstance(x, r.Enum)]
            statements += [f"create sequence {relation(x.address)}" for x in state.of_kind("sequence")]
            for table in state.of_kind("table"):
                inside = state.children(table.address)
                clauses = [column_clause(x) for x in inside if isinstance(x, r.Column)]
                clauses += [constraint_clause(x) for x in inside if isinstance(x, r.Key | r.Check)]
                statements.append(f"create table {relation(table.address)} ({', '.join(clauses)})")
            for x in state.of_kind("index"):
                assert isinstance(x, r.Index)
                statements.append(index_statement(x, concurrently=False))
            for x in state.of_kind("foreign_key"):
                assert isinstance(x, r.ForeignKey)
                statements.append(f"alter table {relation(x.address)} add {constraint_clause(x)}")
            statements += [view_statement(x) for x in state.of_kind("view") if isinstance(x, r.View)]
            for statement in statements:
                connection.execute(statement.encode())


def different(result: Canonical, live: State) -> dict[str, tuple[Any, Any]]:
    """What differs, declared and live, by address; declared in the server's spelling."""
    found = {}
    for address, x in result.state.items():
        y = live.get(address)
        if x != y:
            found[str(address)] = (x.attributes(), y.attributes() if y is not None else None)
    return found


def at(text: str) -> Address:
    """An address of the store, by its text without the store."""
    return Address.parse(f"app.{text}")
