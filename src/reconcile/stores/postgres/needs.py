"""Which privileges the steps of a plan need, read from their statements. Pure.

The statements are the tool's own, so names in them are quoted and in known places. What a statement needs is said in
the *Notes* of its page: https://www.postgresql.org/docs/current/sql-commands.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconcile.change import Op, Sql, Step
from reconcile.facts import Verb
from reconcile.model import Address
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.resources import ROUTINES

OWNER, DROP, MEMBER, SUPERUSER = "OWNER", "DROP", "MEMBER", "SUPERUSER"
"""Beside the server's own words for privileges: to own it; to own it or its schema; to be in the role; to be one."""


class Need(NamedTuple):
    """A privilege on an object."""

    kind: str
    """schema, new schema, relation, rows (of a relation: the privilege on some columns may be enough), type, routine,
    statistics, collation, role, language, extension, publication, server"""
    name: tuple[str, ...]
    """Of a routine the second part ends with its argument types."""
    privilege: str


class _Rule(NamedTuple):
    pattern: str
    """Compiled when first needed: all of them take 15 ms, and most plans need none."""
    needs: tuple[tuple[str, str, str], ...]
    """(group, kind, privilege); kind `in` is the schema that the name of the group is in."""


_Q = r'"(?:[^"]|"")+"'
_N = rf"{_Q}\.{_Q}"
_F = rf"{_N}\([^()]*(?:\([^()]*\)[^()]*)*\)"
_RELATION = "(?:TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|INDEX|FOREIGN TABLE)"
_TYPE = "(?:TYPE|DOMAIN)"
_ROUTINE = "(?:FUNCTION|PROCEDURE|AGGREGATE|ROUTINE)"


def _rule(pattern: str, *needs: tuple[str, str, str]) -> _Rule:
    text = pattern.replace("@N", _N).replace("@Q", _Q).replace("@F", _F)
    text = text.replace("@RELATION", _RELATION).replace("@TYPE", _TYPE).replace("@ROUTINE", _ROUTINE)
    return _Rule(text, needs)


_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "CREATE": (
        _rule(
            "CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?@Q ON (?:ONLY )?(?P<a>@N)",
            ("a", "relation", OWNER),
            ("a", "in", "CREATE"),
        ),
        _rule("CREATE (?:UNLOGGED )?TABLE (?P<a>@N)", ("a", "in", "CREATE")),
        _rule("CREATE (?:UNLOGGED )?TABLE @N PARTITION OF (?P<a>@N)", ("a", "relation", OWNER)),
        _rule(r"CREATE (?:UNLOGGED )?TABLE @N \(\s*LIKE (?P<a>@N)", ("a", "relation", "SELECT")),
        _rule("CREATE TABLE .*? REFERENCES (?P<a>@N)", ("a", "relation", "REFERENCES")),
        _rule(
            "CREATE (?:OR REPLACE )?(?:RECURSIVE )?(?:VIEW|MATERIALIZED VIEW|SEQUENCE|TYPE|DOMAIN|COLLATION) (?P<a>@N)",
            ("a", "in", "CREATE"),
        ),
        _rule("CREATE OR REPLACE (?:RECURSIVE )?VIEW (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("CREATE (?:OR REPLACE )?@ROUTINE (?P<a>@N)", ("a", "in", "CREATE")),
        _rule("CREATE STATISTICS (?P<a>@N) .* FROM (?P<b>@N)$", ("a", "in", "CREATE"), ("b", "relation", OWNER)),
        _rule(
            "CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER @Q .*? ON (?P<a>@N).* EXECUTE (?:FUNCTION|PROCEDURE)"
            r" (?P<b>@N)\(",
            ("a", "relation", "TRIGGER"),
            ("b", "function()", "EXECUTE"),
        ),
        _rule("CREATE POLICY @Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("CREATE SCHEMA (?P<a>@Q)", ("a", "new schema", "CREATE")),
        _rule("CREATE SCHEMA @Q AUTHORIZATION (?P<a>@Q)", ("a", "role", MEMBER)),
        _rule("CREATE EXTENSION (?P<a>@Q)", ("a", "extension", "CREATE")),
        _rule("CREATE EVENT TRIGGER (?P<a>@Q)", ("a", "server", SUPERUSER)),
    ),
    "ALTER": (
        _rule("ALTER @RELATION (?:ONLY )?(?P<a>@N)", ("a", "relation", OWNER)),
        _rule("ALTER @RELATION (?P<a>@N) RENAME TO ", ("a", "in", "CREATE")),
        _rule("ALTER @RELATION @N SET SCHEMA (?P<a>@Q)", ("a", "schema", "CREATE")),
        _rule("ALTER @RELATION (?P<a>@N) (?:ATTACH|DETACH) PARTITION (?P<b>@N)", ("b", "relation", OWNER)),
        _rule("ALTER TABLE @N .*? REFERENCES (?P<a>@N)", ("a", "relation", "REFERENCES")),
        _rule(r"ALTER TABLE (?P<a>@N) ADD CONSTRAINT @Q (?:UNIQUE|PRIMARY KEY|EXCLUDE)[^()]*\(", ("a", "in", "CREATE")),
        _rule("ALTER @TYPE (?P<a>@N)", ("a", "type", OWNER)),
        _rule("ALTER @ROUTINE (?P<a>@F)", ("a", "routine", OWNER)),
        _rule("ALTER @ROUTINE (?P<a>@N)[^ ].*? RENAME TO ", ("a", "in", "CREATE")),
        _rule("ALTER STATISTICS (?P<a>@N)", ("a", "statistics", OWNER)),
        _rule("ALTER COLLATION (?P<a>@N)", ("a", "collation", OWNER)),
        _rule("ALTER SCHEMA (?P<a>@Q)", ("a", "schema", OWNER)),
        _rule("ALTER (?:POLICY|TRIGGER) @Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("ALTER EXTENSION (?P<a>@Q)", ("a", "extension", OWNER)),
        _rule("ALTER PUBLICATION (?P<a>@Q)", ("a", "publication", OWNER)),
        _rule("ALTER EVENT TRIGGER (?P<a>@Q)", ("a", "server", SUPERUSER)),
        _rule("ALTER DEFAULT PRIVILEGES FOR ROLE (?P<a>@Q)", ("a", "role", MEMBER)),
        _rule("ALTER .* OWNER TO (?P<a>@Q)$", ("a", "role", MEMBER)),
    ),
    "DROP": (
        _rule("DROP @RELATION (?:CONCURRENTLY )?(?:IF EXISTS )?(?P<a>@N)", ("a", "relation", DROP)),
        _rule("DROP @TYPE (?:IF EXISTS )?(?P<a>@N)", ("a", "type", DROP)),
        _rule("DROP @ROUTINE (?:IF EXISTS )?(?P<a>@F)", ("a", "routine", DROP)),
        _rule("DROP STATISTICS (?:IF EXISTS )?(?P<a>@N)", ("a", "statistics", DROP)),
        _rule("DROP COLLATION (?:IF EXISTS )?(?P<a>@N)", ("a", "collation", DROP)),
        _rule("DROP SCHEMA (?:IF EXISTS )?(?P<a>@Q)", ("a", "schema", OWNER)),
        _rule("DROP (?:POLICY|TRIGGER) (?:IF EXISTS )?@Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("DROP EXTENSION (?P<a>@Q)", ("a", "extension", OWNER)),
        _rule("DROP EVENT TRIGGER (?P<a>@Q)", ("a", "server", SUPERUSER)),
    ),
    "COMMENT": (
        _rule(r"COMMENT ON @RELATION (?P<a>@N) IS", ("a", "relation", OWNER)),
        _rule(r"COMMENT ON COLUMN (?P<a>@N)\.", ("a", "relation", OWNER)),
        _rule("COMMENT ON (?:CONSTRAINT|TRIGGER|POLICY) @Q ON (?P<a>@N)", ("a", "relation", OWNER)),
        _rule("COMMENT ON (?:@TYPE|CONSTRAINT @Q ON DOMAIN) (?P<a>@N)", ("a", "type", OWNER)),
        _rule("COMMENT ON @ROUTINE (?P<a>@F)", ("a", "routine", OWNER)),
        _rule("COMMENT ON STATISTICS (?P<a>@N)", ("a", "statistics", OWNER)),
        _rule("COMMENT ON COLLATION (?P<a>@N)", ("a", "collation", OWNER)),
        _rule("COMMENT ON SCHEMA (?P<a>@Q)", ("a", "schema", OWNER)),
        _rule("COMMENT ON EXTENSION (?P<a>@Q)", ("a", "extension", OWNER)),
    ),
    "REINDEX": (_rule("REINDEX INDEX (?:CONCURRENTLY )?(?P<a>@N)", ("a", "relation", OWNER)),),
    "SET": (_rule("SET LOCAL ROLE (?P<a>@Q)", ("a", "role", MEMBER)),),
    "DO": (
        _rule("DO .* CREATE SCHEMA (?P<a>@Q)", ("a", "new schema", "CREATE")),
        _rule("DO .* ALTER SEQUENCE (?P<a>@N)", ("a", "relation", OWNER)),
    ),
}
"""By the first word of a statement."""

_ACL = re.compile(
    rf"(?:GRANT|REVOKE) (?P<words>.*?) ON (?P<kind>TABLE|SEQUENCE|SCHEMA|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN)"
    rf" (?P<name>{_F}|{_N}|{_Q})(?= |$)",
    re.S,
)
_ACL_KINDS = {"SCHEMA": "schema", "TABLE": "relation", "SEQUENCE": "relation", "TYPE": "type", "DOMAIN": "type"}
_LANGUAGE = re.compile(r"\blanguage\s+([a-z_][a-z0-9_]*|\"[^\"]+\")", re.I)
_NEW_ROUTINE = re.compile(rf"CREATE (?:OR REPLACE )?{_ROUTINE} ")
_TYPED = ("CREATE TABLE", "CREATE UNLOGGED TABLE", "ALTER TABLE", "CREATE DOMAIN", "CREATE TYPE")
_PAIR = re.compile(rf"(?<![\w.\"'])(?:{_Q}|[a-z_][\w$]*)\.(?:{_Q}|[a-z_][\w$]*)(?![\w.\"])")
_TYPES = ("enum", "domain", "composite", "range")
_RELATIONS = ("table", "view", "materialized_view")
IN_SCHEMAS = ("relation", "rows", "type", "routine", "statistics", "collation")


def of_steps(steps: Iterable[Step]) -> dict[Need, list[str]]:
    """What they need, and for each need the steps that do. Of what the plan makes itself nothing is left out: what is
    not there when the server is asked is the plan's own."""
    found: dict[Need, list[str]] = {}
    for step in steps:
        for need in dict.fromkeys(_of_step(step)):
            found.setdefault(need, []).append(step.id)
    return found


def made(steps: Iterable[Step]) -> set[tuple[str, ...]]:
    """The schemas that they make."""
    created = re.compile(rf"CREATE SCHEMA (?P<a>{_Q})")
    sql = (call.sql for step in steps for call in step.calls if isinstance(call, Sql) and "CREATE SCHEMA" in call.sql)
    return {split(match["a"]) for text in sql for match in created.finditer(text)} | {
        (schema,) for step in steps for schema in _extension_schema(step)
    }


def _extension_schema(step: Step) -> Iterator[str]:
    """A schema that comes with an extension the step makes."""
    if step.address.kind == "extension":
        for fact in step.gives:
            if fact.verb is not Verb.DONE and (address := Address.parse(fact.subject)).kind == "schema":
                yield address.parts[0]


def _of_step(step: Step) -> Iterator[Need]:
    for call in step.calls:
        if isinstance(call, Sql):
            for need in (*statement(call.sql), *_referred(step, call.sql)):
                yield need
                if need.kind in IN_SCHEMAS:
                    yield Need("schema", need.name[:1], "USAGE")
        elif isinstance(call, Op) and call.op == "backfill":
            name = split(str(call.args["table"]))
            yield from (Need("relation", name, privilege) for privilege in ("SELECT", "UPDATE"))


def statement(sql: str) -> Iterator[Need]:
    """What one statement needs.

    >>> list(statement('CREATE TABLE "public"."t" ()'))
    [Need(kind='schema', name=('public',), privilege='CREATE')]
    >>> list(statement('DROP TABLE "public"."t"'))
    [Need(kind='relation', name=('public', 't'), privilege='DROP')]
    """
    sql = sql.lstrip()
    word = sql.partition(" ")[0]
    for rule in _RULES.get(word, ()):
        if match := re.match(rule.pattern, sql, re.S):
            for group, kind, privilege in rule.needs:
                yield _need(kind, match[group], privilege)
    if word in ("GRANT", "REVOKE") and (match := _ACL.match(sql)):
        yield from _granted(match)
    if word == "CREATE" and _NEW_ROUTINE.match(sql):
        language = _LANGUAGE.search(sql.partition("$")[0]) or _LANGUAGE.search(sql.rpartition("$")[2])
        if language:
            yield Need("language", (language[1].strip('"').lower(),), "USAGE")


def _need(kind: str, text: str, privilege: str) -> Need:
    if kind == "routine":
        head, _, types = text.partition("(")
        return Need(kind, (*split(head)[:1], split(head)[1] + "(" + types.replace("*)", ")")), privilege)
    name = split(text)
    if kind == "function()":
        return Need("routine", (name[0], f"{name[1]}()"), privilege)
    return Need("schema", name[:1], privilege) if kind == "in" else Need(kind, name, privilege)


def _granted(match: re.Match[str]) -> Iterator[Need]:
    """To own the object, or to hold the privileges with the right to grant them."""
    kind = _ACL_KINDS.get(match["kind"], "routine")
    words = re.sub(r"\([^()]*\)", "", match["words"].removeprefix("GRANT OPTION FOR "))
    names = [w.strip() for w in words.split(",")]
    for name in names:
        yield _need(kind, match["name"], OWNER if name.startswith("ALL") else f"{name} WITH GRANT OPTION")


def _referred(step: Step, sql: str) -> Iterator[Need]:
    """Types that columns are of, the routine that is replaced, and what a materialized view reads: by facts alone."""
    if sql.startswith("CREATE OR REPLACE") and step.address.kind in ROUTINES:
        yield Need("routine", (step.address.parts[0], step.address.parts[1].replace("*)", ")")), OWNER)
    reads = step.address.kind == "materialized_view" and "WITH NO DATA" not in sql
    if not reads and not sql.startswith(_TYPED):
        return
    kind, privilege, kinds = ("relation", "SELECT", _RELATIONS) if reads else ("type", "USAGE", _TYPES)
    for fact in step.needs:
        if fact.verb in (Verb.HAS, Verb.OK):
            address = Address.parse(fact.subject)
            if address.store == step.address.store and address.kind in kinds:
                yield Need(kind, address.parts[:2], privilege)
    for pair in _PAIR.finditer(sql):  # what is not managed stands in no fact; the server says which of these are any
        yield Need(kind, split(pair[0]), privilege)


def steps_said(steps: Sequence[str]) -> str:
    """`step X`, or how many there are and the first."""
    return f"step {steps[0]}" if len(steps) == 1 else f"{len(steps)} steps need it, the first {steps[0]}"
