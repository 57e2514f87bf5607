"""What needs which version and edition of Neo4j: one table, looked at before anything is planned.

Versions are those of the manual's list of additions; calendar versions (2025.01 on) come after all of 5. What needs
the Enterprise Edition, Aura, or a server newer than 5.26, follows the manual and was not run here.
Manual: https://neo4j.com/docs/cypher-manual/25/deprecations-additions-removals-compatibility/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reconcile.change import Server
from reconcile.errors import Problem
from reconcile.model import Resource
from reconcile.stores.neo4j import options
from reconcile.stores.neo4j.resources import EXISTS, KEY, TYPE, UNIQUE, VECTOR, Check, Constraint, Index

BOTH_CYPHERS = (2025, 6)
"""From here on a server knows Cypher 5 and Cypher 25; either may be a database's default."""


_AURA = "-aura"
"""Ends the version of Aura, which is always a recent one, and calls itself 5.27 all the same."""

TYPE_PREDICATE = (5, 9)
"""From here on Cypher has the predicate `IS ::`."""


def numbers(server: Server) -> tuple[int, ...]:
    """The version for comparisons.

    >>> numbers(Server("graph", "neo4j", "5.26.12")), numbers(Server("graph", "neo4j", "5.27-aura")) > (2026, 1)
    ((5, 26, 12), True)
    """
    return (9999,) if server.version.endswith(_AURA) else server.numbers


@dataclass(frozen=True)
class Feature:
    """Something that not every server can do."""

    what: str
    used: Callable[[Resource], bool]
    since: tuple[int, ...] = (5,)
    enterprise: bool = False
    cypher: int = 5
    """The Cypher whose syntax it needs."""
    instead: str = "remove it"


def _constraint(kind: str, *, relationships: bool = False) -> Callable[[Resource], bool]:
    return lambda r: isinstance(r, Constraint) and r.kind == kind and (not relationships or not r.on_nodes)


def _typed(sign: str) -> Callable[[Resource], bool]:
    return lambda r: isinstance(r, Constraint) and r.kind == TYPE and sign in (r.type or "")


def _vector(test: Callable[[Index], bool]) -> Callable[[Resource], bool]:
    return lambda r: isinstance(r, Index) and r.kind == VECTOR and test(r)


def _option(option: options.Option) -> Feature:
    return Feature(
        f"the option {'.'.join(option.path)}",
        lambda r: isinstance(r, Index) and r.kind == option.kind and options.value(r, option) is not None,
        since=option.since,
    )


CHECK = "declare `enforce: check`: `verify` then counts what breaks it"

FEATURES = (
    Feature("uniqueness of relationships", _constraint(UNIQUE, relationships=True), since=(5, 7)),
    Feature("key constraints", _constraint(KEY), enterprise=True, instead=f"use `unique:`, or {CHECK}"),
    Feature("keys of relationships", _constraint(KEY, relationships=True), since=(5, 7), enterprise=True),
    Feature("existence constraints", _constraint(EXISTS), enterprise=True, instead=CHECK),
    Feature("property type constraints", _constraint(TYPE), since=(5, 9), enterprise=True, instead=CHECK),
    Feature("lists in property type constraints", _typed("LIST<"), since=(5, 10), enterprise=True),
    Feature("unions in property type constraints", _typed("|"), since=(5, 11), enterprise=True),
    Feature(
        "vectors in property type constraints", _typed("VECTOR<"), since=(2025, 10), enterprise=True, cypher=25,
        instead="declare the list: LIST<FLOAT NOT NULL>",
    ),
    Feature("looking at property types", lambda r: isinstance(r, Check) and r.kind == TYPE, since=TYPE_PREDICATE),
    Feature("vector indexes", _vector(lambda i: True), since=(5, 15)),
    Feature("vector indexes on relationships", _vector(lambda i: not i.on_nodes), since=(5, 18)),
    Feature("more than 2048 dimensions", _vector(lambda i: (i.dimensions or 0) > 2048), since=(5, 18)),
    Feature(
        "vector indexes without dimensions", _vector(lambda i: i.dimensions is None), (5, 23), instead="set dimensions"
    ),
    Feature(
        "vector indexes without similarity", _vector(lambda i: i.similarity is None), (5, 23), instead="set similarity"
    ),
    Feature(
        "vector indexes over several labels or types", _vector(lambda i: len(i.tokens) > 1), (2026, 1), cypher=25,
        instead="declare one index for each",
    ),
    Feature(
        "filter properties of vector indexes", _vector(lambda i: len(i.properties) > 1), (2026, 1), cypher=25,
        instead="leave `filter` out",
    ),
    *(_option(option) for option in options.OPTIONS if option.since > (5,)),
)  # fmt: skip


def refusals(resource: Resource, server: Server) -> Iterator[Problem]:
    """What of the resource this server cannot do, with its YAML line; the edition is told before the version."""
    community = (server.edition or "").lower() == "community"
    for feature in FEATURES:
        missing_edition = feature.enterprise and community
        if not (missing_edition or numbers(server) < feature.since) or not feature.used(resource):
            continue
        if missing_edition:
            why = f"need Neo4j Enterprise Edition; store {server.name} is Community"
            way_out = "connect to an Enterprise server"
        else:
            why = f"came with Neo4j {_spelled(feature.since)}; store {server.name} is {server.version}"
            way_out = "upgrade the server"
        yield Problem(
            f'{resource.address.kind} "{resource.address.name}": {feature.what} {why}',
            where=resource.source,
            hint=f"{feature.instead}, or {way_out}",
        )
        if missing_edition:
            return


def cypher_of(resource: Resource) -> int:
    """The Cypher that making it needs: 5 or 25."""
    return max((f.cypher for f in FEATURES if f.cypher > 5 and f.used(resource)), default=5)


def _spelled(version: tuple[int, ...]) -> str:
    """Calendar versions have two digits for the month."""
    if version[0] < 2000:
        return ".".join(map(str, version))
    return ".".join([str(version[0]), *(f"{n:02}" for n in version[1:])])
