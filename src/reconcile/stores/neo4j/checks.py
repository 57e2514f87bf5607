"""Before anything runs: what this server cannot do, and data that would break a constraint. Reads only.

Queries here are the only ones besides introspection; `session.py` sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reconcile.change import Cypher, Server, Step
from reconcile.errors import Problem, Unchecked
from reconcile.model import Resource, State
from reconcile.stores.neo4j import options
from reconcile.stores.neo4j.cypher import Required, quote, read_constraint
from reconcile.stores.neo4j.resources import EXISTS, KEY, TYPE, UNIQUE, VECTOR, Constraint, Index, SchemaObject

Query = Callable[[str], list[Mapping[str, Any]] | None]
"""Rows of a query, None where the server could not answer it within its limits."""

_ENTERPRISE = {KEY: "key", EXISTS: "existence", TYPE: "property type"}
_SAMPLES = 5


def unsupported(desired: State, server: Server) -> list[Problem]:
    """What the server's edition or version cannot do, each with its YAML line."""
    problems: list[Problem] = []
    for resource in desired.values():
        if isinstance(resource, Constraint):
            problems += _constraint(resource, server)
        elif isinstance(resource, Index):
            problems += _index(resource, server)
    return problems


def _constraint(constraint: Constraint, server: Server) -> Iterable[Problem]:
    name = constraint.address.name
    if constraint.kind != UNIQUE and (server.edition or "").lower() == "community":
        word = _ENTERPRISE[constraint.kind]
        hint = "use `unique:`, which every edition has" if constraint.kind == KEY else "remove it"
        yield Problem(
            f'constraint "{name}": {word} constraints need Neo4j Enterprise Edition; store {server.name} is Community',
            where=constraint.source,
            hint=f"{hint}, or connect to an Enterprise server",
        )
    if constraint.kind == UNIQUE and not constraint.on_nodes:
        yield from _since(constraint, "uniqueness of relationships", (5, 7), server)
    if constraint.kind == TYPE:
        yield from _since(constraint, "property type constraints", (5, 9), server)


def _index(index: Index, server: Server) -> Iterable[Problem]:
    if index.kind != VECTOR:
        return
    yield from _since(index, "vector indexes", (5, 15), server)
    if not index.on_nodes:
        yield from _since(index, "vector indexes on relationships", (5, 18), server)
    for option in options.of_kind(VECTOR):
        if options.value(index, option) is not None and option.since > (5,):
            yield from _since(index, f"the option {'.'.join(option.path)}", option.since, server)
    for path in (("dimensions",), ("similarity",)):
        if getattr(index, path[0]) is None and server.numbers < (5, 23):
            yield Problem(
                f'index "{index.address.name}": Neo4j before 5.23 needs {path[0]} for a vector index',
                where=index.source,
                hint=f"name an embedding, or set {path[0]}",
            )


def _since(resource: Resource, what: str, version: tuple[int, ...], server: Server) -> Iterable[Problem]:
    """Versions are those of the manual's change log; calendar versions come after all of 5."""
    if server.numbers < version:
        yield Problem(
            f'{resource.address.kind} "{resource.address.name}": {what} came with Neo4j'
            f" {'.'.join(map(str, version))}; store {server.name} is {server.version}",
            where=resource.source,
            hint="remove it, or upgrade the server",
        )


def conflicts(steps: Sequence[Step], live: Mapping[str, SchemaObject]) -> list[Problem]:
    """Names that steps create while the store has them for something else, which the project may ignore.

    Args:
        live: everything by name, ignored objects included.
    """
    dropped: set[str] = set()
    problems = []
    for step in steps:
        for call in step.calls:
            if not isinstance(call, Cypher):
                continue
            name = str(call.params.get("name"))
            if " DROP " in f" {call.cypher[:30]}":
                dropped.add(name)
            elif name in live and name not in dropped and live[name].address.kind != step.address.kind:
                problems.append(
                    Problem(
                        f"the name {name} is taken by {live[name].address}: the two kinds share one namespace",
                        where=str(step.address),
                        hint="choose another name, or drop that object",
                    )
                )
    return problems


def violations(steps: Sequence[Step], query: Query) -> list[Problem]:
    """Data that breaks a constraint which the steps create: counted, with a sample and the query to see it.

    Not a proof: the server holds two NaN for equal, and 0.0 and -0.0 for different, Cypher's grouping the other way
    round (measured on 5.26). Creating the constraint decides.
    """
    problems: list[Problem] = []
    for step in steps:
        for call in step.calls:
            required = read_constraint(call) if isinstance(call, Cypher) else None
            if required is None:
                continue
            where = str(step.address)
            try:
                problems += [Problem(what, where=where, hint=hint) for what, hint in _broken(required, query)]
            except _TooMuchError:
                what = f"{required.says} was not looked through: the query needs more than the server gives it"
                problems.append(Unchecked(what, where=where, hint="creating the constraint decides"))
    return problems


class _TooMuchError(Exception):
    """The server could not answer a query within its limits."""


def _rows(query: Query, statement: str) -> list[Mapping[str, Any]]:
    rows = query(statement)
    if rows is None:
        raise _TooMuchError
    return rows


def _broken(required: Required, query: Query) -> Iterable[tuple[str, str]]:
    if required.kind in (UNIQUE, KEY):
        yield from _duplicates(required, query)
    if required.kind in (EXISTS, KEY):
        missing = " OR ".join(f"n.{quote(p)} IS NULL" for p in required.properties)
        yield from _counted(required, missing, f"have no {required.says}", query)
    if required.kind == TYPE:
        wrong = f"NOT n.{quote(required.properties[0])} IS :: {required.type}"
        yield from _counted(required, wrong, f"have a {required.says} that is no {required.type}", query)


def duplicates_query(required: Required) -> str:
    """Shows the values that occur more than once, most frequent first, with up to five ids each."""
    values = ", ".join(f"n.{quote(p)} AS v{i}" for i, p in enumerate(required.properties))
    names = ", ".join(f"v{i}" for i in range(len(required.properties)))
    return (
        f"MATCH {required.pattern} WHERE {_all_set(required)}"
        f" WITH {values}, collect(elementId(n)) AS ids, count(*) AS times"
        f" WHERE times > 1 RETURN {names}, times, ids[..5] AS ids ORDER BY times DESC LIMIT 20"
    )


def _all_set(required: Required) -> str:
    """A node without one of the properties is exempt from uniqueness."""
    return " AND ".join(f"n.{quote(p)} IS NOT NULL" for p in required.properties)


def _duplicates(required: Required, query: Query) -> Iterable[tuple[str, str]]:
    values = ", ".join(f"n.{quote(p)} AS v{i}" for i, p in enumerate(required.properties))
    sample = ", ".join(f"v{i}" for i in range(len(required.properties)))
    rows = _rows(
        query,
        f"MATCH {required.pattern} WHERE {_all_set(required)} WITH {values}, count(*) AS times WHERE times > 1"
        f" WITH [{sample}] AS value, times ORDER BY times DESC"
        f" RETURN count(*) AS groups, sum(times) AS rows,"
        f" collect({{value: value, times: times}})[..{_SAMPLES}] AS sample",
    )
    found = rows[0] if rows else {}
    if not found.get("groups"):
        return
    shown = ", ".join(f"{_value(s['value'])} ({s['times']}×)" for s in found["sample"])
    more = ", …" if found["groups"] > len(found["sample"]) else ""
    values_are = "value occurs" if found["groups"] == 1 else "values occur"
    yield (
        f"{found['groups']} {values_are} more than once in {required.says}, on {found['rows']} {required.rows}:"
        f" {shown}{more}",
        f"see them, and merge or change them first:  {duplicates_query(required)}",
    )


def _counted(required: Required, condition: str, says: str, query: Query) -> Iterable[tuple[str, str]]:
    """Of constraints for the Enterprise Edition; the predicates work in every edition."""
    rows = _rows(query, f"MATCH {required.pattern} WHERE {condition} RETURN count(n) AS rows")
    count = rows[0]["rows"] if rows else 0
    if count:
        see = f"MATCH {required.pattern} WHERE {condition} RETURN n LIMIT 20"
        yield f"{count} {required.rows} {says}", f"see them, and mend them first:  {see}"


def _value(values: Sequence[object]) -> str:
    """One value or several, shortened: it stands in an error message."""
    text = ", ".join(repr(v) if isinstance(v, str) else str(v) for v in values)
    text = text if len(text) <= 60 else text[:59] + "…"
    return text if len(values) == 1 else f"({text})"
