"""Which privileges the steps of a plan need, read from their statements. Pure.

The statements are the tool's own, so names in them are quoted and in known places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reconcile.change import Op, Sql, Step
from reconcile.facts import Verb
from reconcile.model import Address
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.privilege_rules import OWNER, ROUTINE, asked
from reconcile.stores.postgres.resources import ROUTINES


class Need(NamedTuple):
    """A privilege on an object."""

    kind: str
    """schema, new schema, relation, rows (of a relation: the privilege on some columns may be enough), type, routine,
    statistics, collation, role, language, extension, publication, server"""
    name: tuple[str, ...]
    """Of a routine the second part ends with its argument types."""
    privilege: str


_Q = r'"(?:[^"]|"")+"'
_N = rf"{_Q}\.{_Q}"
_F = rf"{_N}\([^()]*(?:\([^()]*\)[^()]*)*\)"
_ACL = re.compile(
    rf"(?:GRANT|REVOKE) (?P<words>.*?) ON (?P<kind>TABLE|SEQUENCE|SCHEMA|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN)"
    rf" (?P<name>{_F}|{_N}|{_Q})(?= |$)",
    re.S,
)
_ACL_KINDS = {"SCHEMA": "schema", "TABLE": "relation", "SEQUENCE": "relation", "TYPE": "type", "DOMAIN": "type"}
_LANGUAGE = re.compile(r"\blanguage\s+([a-z_][a-z0-9_]*|\"[^\"]+\")", re.I)
_NEW_ROUTINE = re.compile(rf"CREATE (?:OR REPLACE )?{ROUTINE} ")
_TYPED = ("CREATE TABLE", "CREATE UNLOGGED TABLE", "ALTER TABLE", "CREATE DOMAIN", "CREATE TYPE")
_PAIR = re.compile(rf"(?<![\w.\"'])(?:{_Q}|[a-z_][\w$]*)\.(?:{_Q}|[a-z_][\w$]*)(?![\w.\"])")
_TYPES = ("enum", "domain", "composite", "range")
_RELATIONS = ("table", "view", "materialized_view")
PLACES = ("in", "beside", "beside routine")
"""What is asked of the schema that something is in, or is to be in."""
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
    for kind, name, privilege in asked(word, sql, own=True):
        yield _need(kind, name, privilege)
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
    name = split(text.partition("(")[0] if kind == "beside routine" else text)
    if kind == "function()":
        return Need("routine", (name[0], f"{name[1]}()"), privilege)
    return Need("schema", name[:1], privilege) if kind in PLACES else Need(kind, name, privilege)


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
