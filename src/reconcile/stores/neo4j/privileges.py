"""What a user may see of the data. Privileges hide data without a word: a label with nodes looks empty.

Only the Enterprise Edition and Aura have such privileges; this follows the manual and was not run. Pure.
Manual: https://neo4j.com/docs/operations-manual/5/authentication-authorization/privileges-reads/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
