"""The least privileges of the roles that plan, look for drift and apply, as SQL. One query; reads only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import psycopg
from psycopg.rows import TupleRow

from reconcile.change import Server, Sql, Step
from reconcile.stores.postgres import privileges
from reconcile.stores.postgres.names import identifier, split
from reconcile.stores.postgres.needs import Need
from reconcile.stores.postgres.privilege_rules import DROP, MEMBER, OWNER
from reconcile.stores.postgres.privileges import Answer
from reconcile.stores.postgres.written import ROWS

_SCHEMAS = """
SELECT n.nspname, EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'meta')
FROM pg_namespace n WHERE n.nspname = ANY (%s) ORDER BY n.nspname
"""
_EXTENSION = re.compile(r'CREATE EXTENSION ("(?:[^"]|"")+")(?: WITH SCHEMA ("(?:[^"]|"")+"))?')


def of_commands(
    connection: psycopg.Connection[TupleRow],
    server: Server,
    scope: Sequence[str],
    role: object,
    steps: Sequence[Step],
    prefix: str,
    ledger: str | None,
) -> dict[str, str]:
    """By command what makes its role; see `Session.grants`. They are to be pasted in that order: apply makes the
    schema of the ledger, which the others may then read."""
    there: dict[str, bool] = dict(connection.execute(_SCHEMAS, ([*scope, *([ledger] if ledger else [])],)).fetchall())
    sql = (call.sql for step in steps for call in step.calls if isinstance(call, Sql))
    new = {split(found[1]): found for text in sql if (found := _EXTENSION.match(text))}
    made = _Made(server, prefix, [s for s in there if s in scope], ledger, there.get(ledger or ""), new)
    answers = privileges.asked(connection, server, privileges.wanted(connection, scope, steps))
    parts = {"apply": made.apply(answers), "plan": made.plan(), "drift": made.drift()}
    return {
        command: "".join(f"{line}\n" for line in made.whole(command, lines, role)) for command, lines in parts.items()
    }


class _Made:
    """The statements for one database."""

    def __init__(
        self,
        server: Server,
        prefix: str,
        schemas: Sequence[str],
        ledger: str | None,
        filled: bool | None,
        new: Mapping[tuple[str, ...], re.Match[str]],
    ) -> None:
        """
        Args:
            filled: whether the ledger is in its schema; None where there is no such schema.
            new: the statements that make extensions, by name: the extension, and its schema.
        """
        self.new = new
        self.name, self.database = server.name, str(server.facts["database"])
        self.server, self.prefix, self.schemas, self.ledger, self.filled = server, prefix, schemas, ledger, filled

    def role(self, command: str) -> str:
        return identifier(f"{self.prefix}_{command}")

    def whole(self, command: str, lines: Iterator[str], role: object) -> Iterator[str]:
        """The role itself, what every command needs, and what this one needs."""
        who = self.role(command)
        yield f"-- {self.name}: the role of `{command}`, to be made by a superuser in database {self.database}."
        yield f"CREATE ROLE {who} LOGIN;  -- give it a password: \\password {self.prefix}_{command}"
        yield f"GRANT CONNECT ON DATABASE {identifier(self.database)} TO {who};"
        if role:  # what it does it does as that role, which has been asked about
            yield f"GRANT {identifier(str(role))} TO {who};  -- `role: {role}` of the store"
        yield from (f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {who};" for schema in self.schemas)
        yield from dict.fromkeys(lines)

    def drift(self) -> Iterator[str]:
        """To read the catalog and the ledger."""
        who, apply = self.role("drift"), self.role("apply")
        yield from self._reads_ledger(who)
        yield f"ALTER DEFAULT PRIVILEGES FOR ROLE {apply} GRANT USAGE ON SCHEMAS TO {who};"

    def plan(self) -> Iterator[str]:
        """To see besides whether tables are empty, on which the way of a step depends, and to spell expressions in
        temporary objects."""
        who, apply = self.role("plan"), self.role("apply")
        database = identifier(self.database)
        yield f"GRANT TEMPORARY ON DATABASE {database} TO {who};  -- to compare expressions"
        yield "-- In schemas, rolled back, where that is allowed; for digests like those of an apply that may:"
        yield f"-- GRANT CREATE ON DATABASE {database} TO {who};"
        yield "-- Whether a table is empty decides how a step is done:"
        for schema in map(identifier, self.schemas):
            yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {who};"
        yield f"ALTER DEFAULT PRIVILEGES FOR ROLE {apply} GRANT SELECT ON TABLES TO {who};"
        yield f"ALTER DEFAULT PRIVILEGES FOR ROLE {apply} GRANT USAGE ON SCHEMAS TO {who};"
        yield from self._reads_ledger(who)

    def _reads_ledger(self, who: str) -> Iterator[str]:
        if self.ledger:
            schema = identifier(self.ledger)
            yield f"GRANT USAGE ON SCHEMA {schema} TO {who};  -- the ledger"
            yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {who};"
            made = f"ALTER DEFAULT PRIVILEGES FOR ROLE {self.role('apply')} IN SCHEMA {schema}"
            yield f"{made} GRANT SELECT ON TABLES TO {who};"

    def apply(self, answers: Sequence[Answer]) -> Iterator[str]:
        """What the steps of the plan need, and to write the ledger."""
        who = self.role("apply")
        yield f"GRANT TEMPORARY ON DATABASE {identifier(self.database)} TO {who};  -- to compare expressions"
        if self.ledger:
            schema = identifier(self.ledger)
            if self.filled is None:
                yield f"CREATE SCHEMA {schema} AUTHORIZATION {who};  -- the ledger"
            else:
                yield f"GRANT USAGE{'' if self.filled else ', CREATE'} ON SCHEMA {schema} TO {who};  -- the ledger"
                yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {who};"
        yield "-- Whether a table is empty decides how a step is done, and rows that break a constraint are looked for:"
        for schema in map(identifier, self.schemas):
            yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {who};"
        yield f"-- What the steps of the plan need{':' if answers else ': nothing, for it has none'}"
        owned = {(a.need.kind, a.need.name) for a in answers if a.there and a.need.privilege in (OWNER, DROP)}
        for answer in answers:
            own = answer.need.privilege in (OWNER, DROP)  # and who owns it may the rest
            kind = "relation" if answer.need.kind == ROWS else answer.need.kind
            if answer.there and (own or (kind, answer.need.name) not in owned):
                yield self._given(answer, who)

    def _given(self, answer: Answer, who: str) -> str:
        need, database = answer.need, self.database
        if need.privilege == MEMBER:
            return f"GRANT {identifier(*need.name)} TO {who};"
        if need.kind == "extension" and need.privilege == "CREATE":
            if need.name[0] in self.server.facts["trusted_extensions"]:
                return f"{privileges.grant(Need('new schema', need.name, 'CREATE'), who, database)};"
            made = self.new[need.name]
            schema = f"CREATE SCHEMA IF NOT EXISTS {made[2]} AUTHORIZATION {who}; " if made[2] else ""
            return f"{schema}{made[0]};  -- only a superuser may"
        if need.kind == "server":
            return f"-- {need.name[0]}: only a superuser may make event triggers"
        if need.kind == "extension":
            return f"-- {need.name[0]}: only a superuser or {answer.owner} may change or drop that extension"
        if need.privilege in (OWNER, DROP):
            if answer.owner_is_superuser:
                return f"{privileges.owner_statement(answer.owned, who)};  -- owned by {answer.owner}, a superuser"
            return f"GRANT {answer.owner} TO {who};"
        return f"{privileges.grant(need, who, database)};"
