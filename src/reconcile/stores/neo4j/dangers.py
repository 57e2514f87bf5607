"""What is dangerous in Cypher of hand-written migrations, by its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from reconcile.stores.migrating import Danger
from reconcile.stores.neo4j.scripts import Piece, scan, statements

Spot = tuple[Danger, str, int]

_DYNAMIC = re.compile(r"apoc\.(?:cypher|periodic|do|when|case|trigger|custom|refactor\.rename\w*)(?:\.|\Z)", re.I)
"""Procedures that are given statements as text: https://neo4j.com/docs/apoc/current/overview/"""
_OUTSIDE = re.compile(
    r"apoc\.(?:export|load|import|config|systemdb|log|nodes\.delete|schema\.assert|util\.sleep|bolt|es|mongo\w*|uuid|ttl)"
    r"(?:\.|\Z)",
    re.I,
)
_WORDS = """
MATCH OPTIONAL WHERE WITH RETURN DETACH NODETACH DELETE SET REMOVE CREATE MERGE CALL UNWIND FOREACH
UNION LOAD USING LIMIT SKIP ORDER YIELD
"""
_CLAUSES = frozenset(_WORDS.split())


def look(tokens: Sequence[Piece]) -> Iterator[Spot]:
    """What a statement does that a migration has to be allowed."""
    words = [t.word for t in tokens]
    for n, token in enumerate(tokens):
        after = words[n + 1] if n + 1 < len(words) else ""
        if token.kind != "word" or (n and words[n - 1] in (".", ":")):
            continue
        if token.word == "DROP" and (after in ("DATABASE", "COMPOSITE")):
            yield Danger.DROP_DATABASE, _shown(tokens[n:]), token.at
        elif token.word == "REPLACE" and after in ("DATABASE", "COMPOSITE"):
            yield Danger.DROP_DATABASE, _shown(tokens), tokens[0].at
        elif token.word == "LOAD" and after == "CSV":
            yield from _loaded(tokens, words, n)
        elif token.word == "DELETE":
            yield from _deleted(tokens, words, n)
    yield from _procedures(tokens)


def _loaded(tokens: Sequence[Piece], words: Sequence[str], n: int) -> Iterator[Spot]:
    """LOAD CSV: of a file of the server; or of an address that shows at run time only."""
    source = words.index("FROM", n) + 1 if "FROM" in words[n:] else len(words)
    url = tokens[source] if source < len(tokens) else None
    written = url is not None and url.kind == "string" and words[source + 1 : source + 2] == ["AS"]
    if url is None or not written or not re.match(r"['\"](?:https?|ftp|s3|gs|azb)://", url.text, re.I):
        yield Danger.SERVER_FILE, _shown(tokens[n:]), tokens[n].at


def _procedures(tokens: Sequence[Piece]) -> Iterator[Spot]:
    """Procedures and functions by their whole names, back-quoted or not."""
    n = 0
    while n < len(tokens):
        name, end = tokens[n].name, n + 1
        if name is None or (n and tokens[n - 1].text in (".", ":", "$")):
            n += 1
            continue
        while end + 1 < len(tokens) and tokens[end].text == "." and (part := tokens[end + 1].name) is not None:
            name, end = f"{name}.{part}", end + 2
        if "." in name:
            called = tokens[end].text == "(" if end < len(tokens) else False
            called = called or (n > 0 and tokens[n - 1].word == "CALL")
            if called:
                yield from _procedure(name, tokens, n)
        n = end


def _procedure(name: str, tokens: Sequence[Piece], n: int) -> Iterator[Spot]:
    at = tokens[n].at
    if re.match(r"dbms\.", name, re.I) and not re.match(r"dbms\.(?:components|info)\Z", name, re.I):
        yield Danger.SERVER_CALL, f"{name} is about the server, not the graph", at
    elif _OUTSIDE.match(name):
        yield Danger.SERVER_CALL, f"{name} reads or writes outside the graph, or its settings", at
    elif _DYNAMIC.match(name):
        inside = [t for t in tokens[n:] if t.kind == "string" and len(t.text) > 8]
        put_together = any(t.text == "+" or t.text == "$" for t in tokens[n:])
        if put_together or not inside:
            yield Danger.DYNAMIC, f"{name} runs a statement that shows at run time only", at
        for string in inside:
            text = re.sub(r"\\(.)", r"\1", string.text[1:-1])
            for statement in statements(scan(text)):
                yield from ((danger, f"{name} runs: {what}", at) for danger, what, _ in look(statement))


def _deleted(tokens: Sequence[Piece], words: Sequence[str], n: int) -> Iterator[Spot]:
    """DELETE of what no pattern and no condition narrows: every node, or every relationship."""
    end = next((i for i in range(n + 1, len(words)) if words[i] in _CLAUSES or words[i] == "}"), len(words))
    names = [t.name for t in tokens[n + 1 : end] if t.name is not None]
    patterns = list(_matches(tokens, words, n))
    own = [p for p in patterns if any(name in p[0] for name in names)] or patterns
    narrowed = bool(own) and all(limited for _, limited in own)
    if not narrowed:
        begin = n - 1 if n and words[n - 1] == "DETACH" else n
        what = f"{_shown(tokens[begin:end])} of what no label, property or condition narrows"
        yield Danger.DELETE_ALL, what, tokens[begin].at


def _matches(tokens: Sequence[Piece], words: Sequence[str], before: int) -> Iterator[tuple[set[str], bool]]:
    """Of each MATCH before a place: the names it binds, and whether it says which of all it means."""
    for n, word in enumerate(words[:before]):
        if word != "MATCH" or tokens[n].kind != "word":
            continue
        end = next((i for i in range(n + 1, len(words)) if tokens[i].kind == "word" and words[i] in _CLAUSES), before)
        pattern = tokens[n + 1 : end]
        bound = {p.name for p, q in zip(pattern[1:], pattern, strict=False) if q.text in ("(", "[") and p.name}
        labelled = any(t.text in (":", "{") for t in pattern) or any(t.word in ("IS", "WHERE") for t in pattern)
        where = False
        if end < len(words) and words[end] == "WHERE":
            stop = next(
                (i for i in range(end + 1, len(words)) if tokens[i].kind == "word" and words[i] in _CLAUSES), before
            )
            where = _narrows(tokens[end + 1 : stop], bound)
        yield {b for b in bound if b is not None}, labelled or where


def _narrows(condition: Sequence[Piece], bound: set[str]) -> bool:
    """Whether a condition looks at something of what is bound: a property, a label, a pattern."""
    for left, right in pairwise(condition):
        if left.name in bound and right.text in (".", ":", "["):
            return True
        if left.text == "(" and right.name in bound:
            return True  # a pattern, or a function of it
    return False


def _shown(tokens: Sequence[Piece]) -> str:
    return " ".join(t.text if len(t.text) < 40 else t.text[:37] + "…" for t in tokens[:8])
