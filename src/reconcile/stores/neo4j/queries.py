"""Whether the application's queries work: EXPLAIN tells of now, the names of indexes and labels in them of a plan.

A graph takes any label and property, so that few queries break: one that names an index, or asks for one by USING,
does when that is gone, and one with a label that no vocabulary lists finds nothing.
https://neo4j.com/docs/cypher-manual/5/planning-and-tuning/query-tuning/#query-tuning-planner-hints
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconcile.expectations import Refused
from reconcile.model import Address, State
from reconcile.stores.asking import Ask, Foreseen, changed
from reconcile.stores.neo4j.resources import SchemaObject, Vocabulary

_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_NAME = r"(`(?:[^`]|``)+`|\w+)"
_HINT = re.compile(rf"\bUSING\s+(?:\w+\s+)?INDEX\s+(?:SEEK\s+)?\w+\s*:\s*{_NAME}\s*\(\s*{_NAME}", re.I)
_NODE = re.compile(r"\(\s*(?:`(?:[^`]|``)+`|\w*)\s*(:[^){]*)")
_LABEL = re.compile(rf"[:|&!(]\s*{_NAME}")


def foreseen(ask: Ask, now: State, target: State, declared: State) -> Foreseen:
    """What a plan does to one query, by the names in it."""
    text = _COMMENT.sub(" ", ask.text)
    gone = tuple(a for a in changed(now, target) if a not in target and _uses(text, now, target, a))
    notes = tuple(_unlisted(_TEXT.sub("''", text), declared))
    if not gone:
        return Foreseen(notes=notes)
    names = ", ".join(a.parts[0] for a in gone)
    return Foreseen(Refused(("IndexNotFound",), f"it asks for {names}, which will not be there"), gone, notes)


def _uses(text: str, now: State, target: State, address: Address) -> bool:
    """Whether a query names the index or constraint, or needs one of its label and property and there is no other."""
    found = now[address]
    if not isinstance(found, SchemaObject):
        return False
    others = [x for x in target.values() if isinstance(x, SchemaObject)]
    quoted = [t[1:-1] for t in _TEXT.findall(text)]
    if found.name in quoted and not any(x.name == found.name for x in others):
        return True
    for label, key in ((_plain(a), _plain(b)) for a, b in _HINT.findall(text)):
        own = label in found.tokens and key in found.properties
        if own and not any(label in x.tokens and key in x.properties for x in others):
            return True
    return False


def _unlisted(text: str, declared: State) -> Iterator[str]:
    """Labels in node patterns that the vocabulary does not list."""
    listed = {name for x in declared.values() if isinstance(x, Vocabulary) for name in x.labels}
    if not listed:
        return
    used = {_plain(name) for pattern in _NODE.findall(text) for name in _LABEL.findall(pattern)}
    yield from (f'the label "{name}" is in no vocabulary' for name in sorted(used - listed))


def _plain(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
