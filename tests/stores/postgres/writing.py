"""Resources by short names, and the way from one state to another on a real server, by the planner's own order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconcile.change import Change, Server, Step, World
from reconcile.diff import Difference, Options, diff
from reconcile.model import Address, Resource, Source, State
from reconcile.plan import Steps, StoreView
from reconcile.plan import build as build_plan
from reconcile.policy import Policy
from reconcile.stores.base import Live, StoreSpec
from reconcile.stores.postgres import PACKAGE
from reconcile.stores.postgres import resources as r
from reconcile.stores.postgres.session import PostgresSession

STORE = "app"


def at(kind: str, *parts: str) -> Address:
    """`at("column", "t", "c")` is app.column.public.t.c; schemas and extensions have no schema before them."""
    return Address(STORE, kind, parts if kind in ("schema", "extension") else ("public", *parts))


def table(name: str, **more: Any) -> r.Table:
    return r.Table(address=at("table", name), **more)


def partition(name: str, parent: str, bound: str, **more: Any) -> r.Table:
    return table(
        name,
        container=at("table", parent),
        partition_of=("public", parent),
        bound=bound,
        refers=(at("table", parent),),
        **more,
    )


def column(table: str, name: str, type: str, **more: Any) -> r.Column:
    return r.Column(address=at("column", table, name), container=at("table", table), type=type, **more)


def primary_key(table: str, name: str, *columns: str, **more: Any) -> r.PrimaryKey:
    return r.PrimaryKey(address=at("primary_key", table, name), container=at("table", table), columns=columns, **more)


def unique(table: str, name: str, *columns: str, **more: Any) -> r.Unique:
    return r.Unique(address=at("unique", table, name), container=at("table", table), columns=columns, **more)


def check(table: str, name: str, expression: str, **more: Any) -> r.Check:
    return r.Check(address=at("check", table, name), container=at("table", table), expression=expression, **more)


def statistics(table: str, name: str, *columns: str, **more: Any) -> r.Statistics:
    items = tuple(r.IndexItem(column=c) for c in columns)
    return r.Statistics(address=at("statistics", name), container=at("table", table), columns=items, **more)


def exclusion(table: str, name: str, keys: Sequence[tuple[str, str]], **more: Any) -> r.Exclusion:
    return r.Exclusion(
        address=at("exclusion", table, name),
        container=at("table", table),
        columns=tuple(r.IndexItem(column=c) for c, _ in keys),
        operators=tuple(o for _, o in keys),
        **more,
    )


def foreign_key(
    table: str, name: str, columns: Sequence[str], to: str, key: Sequence[str], **more: Any
) -> r.ForeignKey:
    return r.ForeignKey(
        address=at("foreign_key", table, name),
        container=at("table", table),
        columns=tuple(columns),
        references=("public", to),
        references_columns=tuple(key),
        refers=(at("table", to),),
        **more,
    )


def index(table: str, name: str, *items: r.IndexItem | str, **more: Any) -> r.Index:
    keys = tuple(i if isinstance(i, r.IndexItem) else r.IndexItem(column=i) for i in items)
    return r.Index(address=at("index", name), container=at("table", table), columns=keys, **more)


def enum(name: str, *values: str, **more: Any) -> r.Enum:
    return r.Enum(address=at("enum", name), values=values, **more)


def domain(name: str, type: str, **more: Any) -> r.Domain:
    checks = tuple(r.DomainCheck(n, sql) for n, sql in sorted(more.pop("checks", {}).items()))
    return r.Domain(address=at("domain", name), type=type, checks=checks, **more)


def composite(name: str, **fields: str) -> r.Composite:
    return r.Composite(address=at("composite", name), fields=tuple(r.Attribute(n, t) for n, t in fields.items()))


def range_type(name: str, subtype: str, **more: Any) -> r.Range:
    return r.Range(address=at("range", name), subtype=subtype, **more)


def collation(name: str, locale: str, **more: Any) -> r.Collation:
    return r.Collation(address=at("collation", name), locale=locale, **more)


def sequence(name: str, **more: Any) -> r.Sequence:
    return r.Sequence(address=at("sequence", name), **more)


def view(name: str, query: str, columns: Sequence[tuple[str, str]], reads: Sequence[Address], **more: Any) -> r.View:
    return r.View(address=at("view", name), query=query, columns=tuple(columns), refers=tuple(reads), **more)


def materialized_view(
    name: str, query: str, columns: Sequence[tuple[str, str]], reads: Sequence[Address], **more: Any
) -> r.MaterializedView:
    return r.MaterializedView(
        address=at("materialized_view", name), query=query, columns=tuple(columns), refers=tuple(reads), **more
    )


def function(signature: str, rest: str, **more: Any) -> r.Function:
    """`function("f()", "RETURNS integer …")`; argument names may stand in `more["arguments"]`."""
    name, _, types = signature.partition("(")
    written = more.pop("arguments", types.removesuffix(")"))
    text = f"CREATE OR REPLACE FUNCTION public.{name}({written})\n {rest}"
    return r.Function(address=at("function", signature), definition_=text, **more)


def event_trigger(name: str, event: str, calls: str, **more: Any) -> r.EventTrigger:
    return r.EventTrigger(
        address=Address(STORE, "event_trigger", (name,)),
        event=event,
        function=("public", calls),
        refers=(at("function", calls),),
        **more,
    )


def grant(kind: str, *parts: str, **more: Any) -> r.Grant:
    """`grant("table", "t", owner="o", grants=[("reader", "select")])`."""
    privileges = more.pop("grants", None)
    what = at(kind, *parts)
    return r.Grant(
        address=r.grant_address(what),
        container=what,
        grants=None if privileges is None else tuple(sorted(r.Privilege(*p) for p in privileges)),
        **more,
    )


def default_privileges(role: str, schema: str, on: str, *grants: Sequence[Any]) -> r.DefaultPrivileges:
    return r.DefaultPrivileges(
        address=Address(STORE, "default_privileges", (role, schema, on)),
        grants=tuple(sorted(r.Privilege(*p) for p in grants)),
    )


def policy(table: str, name: str, **more: Any) -> r.Policy:
    return r.Policy(address=at("policy", table, name), container=at("table", table), **more)


def trigger(table: str, name: str, on: str = "table", **more: Any) -> r.Trigger:
    return r.Trigger(address=at("trigger", table, name), container=at(on, table), **more)


def schema(name: str, **more: Any) -> r.Schema:
    return r.Schema(address=at("schema", name), **more)


def extension(name: str, **more: Any) -> r.Extension:
    return r.Extension(address=at("extension", name), **more)


def offline(version: str = "18.4") -> Server:
    return Server(STORE, "postgres", version)


def changes(before: State, after: State) -> list[Change]:
    """The changes between two states, as the core finds them for objects that all were applied."""
    pairs = [(before.get(a), after.get(a)) for a in {**before.resources, **after.resources}]
    return [c for b, a in pairs if (c := PACKAGE.change(b, a)) is not None]


def world(before: State, after: State, *, empty: bool = False, version: str = "18.4") -> World:
    return World(STORE, offline(version), before, after, {}, lambda _: empty)


def planned(before: State, after: State, *, empty: bool = False, version: str = "18.4") -> Steps:
    """The ordered steps between two states, without a server."""
    difference = Difference(tuple(changes(before, after)), before, {})
    return build_plan([StoreView(STORE, offline(version), PACKAGE.ranks, difference, {}, lambda _: empty)])


def sql(steps: Iterable[Step]) -> list[str]:
    """All statements in order, quotes taken out for reading."""
    return [str(getattr(call, "sql", call)).replace('"', "") for step in steps for call in step.calls]


@dataclass
class Database:
    """A real database that is taken from state to state."""

    session: PostgresSession

    @classmethod
    def at(cls, url: str, **settings: Any) -> Database:
        spec = StoreSpec(
            STORE,
            "postgres",
            {"url": url, "schemas": ["public", "audit", "extensions"], **settings},
            Source("reconcile.yaml", 1),
            Path(),
        )
        return cls(PostgresSession(spec, "tests", "default"))

    def live(self) -> State:
        return self.session.introspect().state.filter(lambda r: not r.system and r.address.parts != ("plpgsql",))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.session.connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def plan(self, desired: State, prune: str = "all") -> Steps:
        """The plan to `desired`, everything else dropped."""
        live = Live(self.live())
        found = diff(desired, live, {}, PACKAGE, Policy(), lambda _a, _c: "managed", Options(prune=prune))
        return self.build(found)

    def build(self, found: Difference) -> Steps:
        """The ordered steps of what differs."""
        server = self.session.server()
        view = StoreView(STORE, server, PACKAGE.ranks, found, {"lock_timeout": "2s"}, self.session.is_empty)
        return build_plan([view])

    def run(self, steps: Sequence[Step]) -> None:
        """Execute steps group by group, as an apply does."""
        done: list[str | None] = []
        for step in steps:
            if step.group is None:
                for call in step.calls:
                    self.session.run(call, step.timeouts)
            elif step.group not in done:
                group = [s for s in steps if s.group == step.group]
                with self.session.transaction(group) as transaction:
                    for member in group:
                        for call in member.calls:
                            transaction.run(call, member.timeouts)
                done.append(step.group)

    def to(self, desired: State, prune: str = "all") -> Steps:
        """Plan and run, then plan again: nothing may be left."""
        steps = self.plan(desired, prune)
        self.run(steps.steps)
        again = self.plan(desired, prune)
        left = [f"{c.address}: {c.describe()}" for c in again.changes]
        assert not left, left
        return steps


def state(*resources: Resource) -> State:
    return State.of(resources)
