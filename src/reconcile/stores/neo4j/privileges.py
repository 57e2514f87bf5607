"""What a user may see of the data, and whether it may do what steps do. Privileges hide data without a word: a label
with nodes looks empty.

Only the Enterprise Edition and Aura have such privileges; this follows the manual and was not run. Pure.
Manual: https://neo4j.com/docs/operations-manual/5/authentication-authorization/privileges-reads/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

SHOW = "SHOW USER PRIVILEGES YIELD access, action, resource, graph, segment"
PARTLY = "privileges of the user hide part of the data"

_READING = ("match", "traverse", "read")
_EVERYTHING = ("graph_actions", "admin")
_WHOLE = ("all_properties", "graph")
_SEGMENTS = ("NODE(*)", "RELATIONSHIP(*)")


def hides(rows: Iterable[Mapping[str, Any]], database: str) -> bool:
    """Whether any node, relationship or property may be hidden: reading is denied somewhere, or not granted for all."""
    own = [row for row in rows if row["graph"] in ("*", "HOME", "DEFAULT", database)]
    reading = [row for row in own if row["action"] in _READING]
    if any(row["access"] == "DENIED" for row in reading):
        return True
    if any(row["action"] in _EVERYTHING and row["access"] == "GRANTED" for row in own):
        return False
    granted = {(row["action"], row["segment"]) for row in reading if row["resource"] in _WHOLE}
    return not all(("match", s) in granted or {("traverse", s), ("read", s)} <= granted for s in _SEGMENTS)


class Need(NamedTuple):
    """A privilege on the database that a statement needs."""

    said: str
    """As GRANT writes it: CREATE INDEX."""
    actions: tuple[str, ...]
    """What SHOW PRIVILEGES calls it, and the wider ones that include it."""


_WIDER = "database_actions"
_NEEDS = {
    f"{verb} {what}": Need(f"{verb} {what}", (f"{verb}_{what}".lower(), what.lower(), _WIDER))
    for verb in ("CREATE", "DROP")
    for what in ("INDEX", "CONSTRAINT")
}
_STATEMENT = re.compile(r"(?:CYPHER \d+ )?(CREATE|DROP) (?:\w+ )?(INDEX|CONSTRAINT) \$name")


def needed(statements: Iterable[tuple[str, str]]) -> dict[Need, str]:
    """What schema statements need, each with the first that does.

    Args:
        statements: (step, Cypher).

    >>> [(need.said, step) for need, step in needed([("s", "CREATE VECTOR INDEX $name FOR …")]).items()]
    [('CREATE INDEX', 's')]
    """
    found: dict[Need, str] = {}
    for step, statement in statements:
        if match := _STATEMENT.match(statement):
            found.setdefault(_NEEDS[f"{match[1]} {match[2]}"], step)
    return found


def held(rows: Iterable[Mapping[str, Any]], need: Need, database: str) -> bool:
    """Whether it is granted on the database, or a wider one, and neither is denied."""
    own = [row for row in rows if row["graph"] in ("*", "HOME", "DEFAULT", database) and row["action"] in need.actions]
    return any(row["access"] == "GRANTED" for row in own) and not any(row["access"] == "DENIED" for row in own)
