"""Before anything runs: what this server cannot do, and data that would break a constraint. Reads only.

Queries here are the only ones besides introspection; `session.py` sends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconcile.change import Cypher, Server, Step
from reconcile.errors import Problem, Unchecked
from reconcile.model import State
from reconcile.stores.neo4j import versions
from reconcile.stores.neo4j.cypher import Required, read_constraint
from reconcile.stores.neo4j.resources import SchemaObject
from reconcile.stores.neo4j.violations import Query, TooMuchError, Violation, broken


def unsupported(desired: State, server: Server) -> list[Problem]:
    """What the server's edition or version cannot do, each with its YAML line."""
    return [problem for resource in desired.values() for problem in versions.refusals(resource, server)]


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


def violations(steps: Sequence[Step], query: Query, server: Server) -> list[Problem]:
    """Data that breaks a constraint which the steps create: counted, with a sample and the query to see it."""
    problems: list[Problem] = []
    typed = versions.numbers(server) >= versions.TYPE_PREDICATE
    for step in steps:
        for call in step.calls:
            required = read_constraint(call) if isinstance(call, Cypher) else None
            if required is None or step.asked_after:
                continue
            where = str(step.address)
            try:
                problems += [_problem(v, required, where) for v in broken(required, query, typed=typed)]
            except TooMuchError:
                what = f"{required.says} was not looked through: the query needs more than the server gives it"
                problems.append(Unchecked(what, where=where, hint="creating the constraint decides"))
    return problems


def _problem(found: Violation, required: Required, where: str) -> Problem:
    if not found.values:
        hint = f"see them, and mend them first:  {found.query}"
        return Problem(f"{found.count} {found.what}", where=where, hint=hint)
    more = ", …" if found.values > len(found.sample) else ""
    occur = "value occurs" if found.values == 1 else "values occur"
    return Problem(
        f"{found.values} {occur} more than once in {required.says}, on {found.count} {required.rows}:"
        f" {', '.join(found.sample)}{more}",
        where=where,
        hint=f"see them, and merge or change them first:  {found.query}",
    )
