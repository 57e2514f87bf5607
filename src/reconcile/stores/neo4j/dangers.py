"""What is dangerous in Cypher of hand-written migrations, by its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from reconcile.stores.migrating import Danger
from reconcile.stores.neo4j.narrowing import split
from reconcile.stores.neo4j.scripts import Piece, scan, statements

Spot = tuple[Danger, str, int]

_DYNAMIC = re.compile(r"apoc\.(?:cypher|periodic|do|when|case|trigger|custom|refactor\.rename\w*)(?:\.|\Z)", re.I)
"""Procedures that are given statements as text: https://neo4j.com/docs/apoc/current/overview/"""
_OUTSIDE = re.compile(
    r"(?:apoc\.(?:cypher\.run(?:schema)?files?|export|load|import|config|systemdb|log|nodes\.delete|schema\.assert|util\.sleep|bolt|es|mongo\w*|uuid|ttl)"
    r"|gds\.(?:graph\.)?export|n10s\.\w+\.(?:import|export))(?:\.|\Z)",
    re.I,
)
_STATEMENTS = """
ALTER DEALLOCATE DENY DRYRUN ENABLE GRANT REALLOCATE RENAME REVOKE START STOP TERMINATE
"""
_ADMINISTERS = frozenset(_STATEMENTS.split())
"""https://neo4j.com/docs/operations-manual/current/database-administration/"""
_WORDS = """
MATCH OPTIONAL WHERE WITH RETURN DETACH NODETACH DELETE SET REMOVE CREATE MERGE CALL UNWIND FOREACH
UNION LOAD USING LIMIT SKIP ORDER YIELD
"""
_CLAUSES = frozenset(_WORDS.split())
_OTHERS = """
ALTER CYPHER DEALLOCATE DENY DROP DRYRUN ENABLE EXPLAIN FILTER FINISH GRANT INSERT LET PROFILE REALLOCATE RENAME REVOKE
SHOW START STOP TERMINATE USE WHEN { (
"""
KNOWN = _CLAUSES | frozenset(_OTHERS.split())
"""What begins a statement: https://neo4j.com/docs/cypher-manual/current/clauses/"""


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
        elif token.word in ("SET", "REMOVE"):
            yield from _changed(tokens, words, n)
    if _administers(words[_prefix(words) :]) or (words[:1] == ["SHOW"] and "TERMINATE" in words):
        yield Danger.SERVER_CALL, f"{_shown(tokens, hides=True)} is about the server or rights over it", tokens[0].at
    yield from _procedures(tokens)


def _administers(words: Sequence[str]) -> bool:
    """Whether a statement is about databases, users or servers; what drops a database is told of by itself."""
    first = words[0] if words else ""
    if first not in ("CREATE", "DROP"):
        return first in _ADMINISTERS
    kind = [word for word in words[1:5] if word not in ("OR", "REPLACE", "IMMUTABLE")][:2]
    new = first == "CREATE" and words[1:2] != ["OR"]
    about = ("ALIAS", "SERVER", "DATABASE", "COMPOSITE") if new else ("ALIAS", "SERVER")
    return kind == ["AUTH", "RULE"] or kind[:1] in (["USER"], ["ROLE"]) or (bool(kind) and kind[0] in about)


def _prefix(words: Sequence[str]) -> int:
    """Where a statement begins after `CYPHER 25 planner=cost`, EXPLAIN, PROFILE and `USE graph`."""
    n = 0
    while n < len(words) and words[n] in ("CYPHER", "EXPLAIN", "PROFILE", "USE"):
        options = words[n] == "CYPHER"
        n += 1 if words[n] in ("CYPHER", "EXPLAIN", "PROFILE") else 2
        while options and n < len(words) and (words[n][:1].isdigit() or words[n + 1 : n + 2] == ["="]):
            n += 1 if words[n][:1].isdigit() else 3
        while not options and words[n : n + 1] == ["."]:
            n += 2
    return n


def unread(tokens: Sequence[Piece]) -> Iterator[Spot]:
    """A statement of which not even the first word is known."""
    if tokens[0].word not in KNOWN:
        yield Danger.UNPARSED, f"{tokens[0].text[:40]} begins no statement of Cypher", tokens[0].at


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
                yield from _procedure(name, tokens, n, end)
                yield from _files(name, tokens, end)
        n = end


def _files(name: str, tokens: Sequence[Piece], begin: int) -> Iterator[Spot]:
    """Addresses of files among the arguments of whatever is called."""
    depth = 0
    for token in tokens[begin:]:
        depth += (token.text == "(") - (token.text == ")")
        if depth <= 0:
            return
        if token.kind == "string" and token.text[1:6].lower() == "file:":
            yield Danger.SERVER_FILE, f"{name} is given a file of the server", token.at


_GIVEN = (
    (re.compile(r"apoc\.(?:cypher\.|periodic\.commit)", re.I), (0,)),
    (re.compile(r"apoc\.periodic\.iterate", re.I), (0, 1)),
    (re.compile(r"apoc\.periodic\.(?:submit|repeat|schedule|countdown)", re.I), (1,)),
)
"""Which arguments are statements: what is not written out there shows at run time only."""


def _put_together(name: str, arguments: Sequence[Sequence[Piece]]) -> bool:
    if any(t.text in ("+", "$") for argument in arguments for t in argument):
        return True
    places = next((places for pattern, places in _GIVEN if pattern.match(name)), ())
    lone = [len(argument) == 1 and argument[0].kind == "string" for argument in arguments]
    return not all(lone[place : place + 1] == [True] for place in places)


def _arguments(tokens: Sequence[Piece], begin: int) -> Sequence[Sequence[Piece]]:
    """Those in the parenthesis at a place; one that is `$` where there is none: then parameters are taken by name."""
    if begin >= len(tokens) or tokens[begin].text != "(":
        return [[Piece("other", "$", tokens[begin - 1].at, tokens[begin - 1].end)]]
    depth = 0
    for n in range(begin, len(tokens)):
        depth += (tokens[n].text in "([{") - (tokens[n].text in ")]}")
        if depth == 0:
            return split(tokens[begin + 1 : n], ",")
    return split(tokens[begin + 1 :], ",")


def _procedure(name: str, tokens: Sequence[Piece], n: int, end: int) -> Iterator[Spot]:
    at = tokens[n].at
    if re.match(r"dbms\.", name, re.I) and not re.match(r"dbms\.(?:components|info)\Z", name, re.I):
        yield Danger.SERVER_CALL, f"{name} is about the server, not the graph", at
    elif _OUTSIDE.match(name):
        yield Danger.SERVER_CALL, f"{name} reads or writes outside the graph, or its settings", at
    elif _DYNAMIC.match(name):
        arguments = _arguments(tokens, end)
        inside = [t for argument in arguments for t in argument if t.kind == "string" and len(t.text) > 8]
        if _put_together(name, arguments) or not inside:
            yield Danger.DYNAMIC, f"{name} runs a statement that shows at run time only", at
        for string in inside:
            text = re.sub(r"\\(.)", r"\1", string.text[1:-1])
            for statement in statements(scan(text)):
                yield from ((danger, f"{name} runs: {what}", at) for danger, what, _ in look(statement))


def _deleted(tokens: Sequence[Piece], words: Sequence[str], n: int) -> Iterator[Spot]:
    """DELETE of what no pattern and no condition narrows: every node, or every relationship."""
    end = next((i for i in range(n + 1, len(words)) if words[i] in _CLAUSES or words[i] == "}"), len(words))
    names = {t.name for t in tokens[n + 1 : end] if t.name is not None}
    paths = _paths(tokens, words, n)
    own = [limited for bound, limited in paths if names & bound] or [limited for _, limited in paths]
    if not own or not all(own):
        begin = n - 1 if n and words[n - 1] == "DETACH" else n
        what = f"{_shown(tokens[begin:end])} of what no label, property or condition narrows"
        yield Danger.DELETE_ALL, what, tokens[begin].at


def _changed(tokens: Sequence[Piece], words: Sequence[str], n: int) -> Iterator[Spot]:
    """SET or REMOVE of what a MATCH binds that nothing narrows."""
    name = tokens[n + 1].name if n + 1 < len(tokens) else None
    own = [limited for bound, limited in _paths(tokens, words, n) if name in bound]
    if own and not all(own):
        what = f"{_shown(tokens[n : n + 5])} of what no label, property or condition narrows"
        yield Danger.UPDATE_ALL, what, tokens[n].at


def _paths(tokens: Sequence[Piece], words: Sequence[str], before: int) -> list[tuple[set[str], bool]]:
    """Of each path of each MATCH before a place: the names it binds, and whether it says which of all it means.

    It does by a label, a property or a condition of its own, or by a name that another one narrows.
    """
    found: list[tuple[set[str], bool]] = []
    sure: set[str] = set()
    hidden = _of_other_arms(words, before)
    for n, word in enumerate(words[:before]):
        if n in hidden or word != "MATCH" or tokens[n].kind != "word" or (n and words[n - 1] == "ON"):
            continue
        end = _clause(tokens, words, n + 1, before)
        parts = [(part, _bound(part)) for part in split(tokens[n + 1 : end], ",")]
        if end < len(words) and words[end] == "WHERE":
            condition = tokens[end + 1 : _clause(tokens, words, end + 1, before)]
            sure |= _narrowed(condition, {name for _, bound in parts for name in bound})
        for _ in parts:  # as often as a name may have to be handed on
            for part, bound in parts:
                if _labelled(part) or bound & sure:
                    sure |= bound
        found += [(bound, _labelled(part) or bool(bound & sure)) for part, bound in parts]
    return found


def _of_other_arms(words: Sequence[str], before: int) -> set[int]:
    """What stands before the UNION that a place is behind: its names are others."""
    hidden: set[int] = set()
    depth, other = 0, False
    for n in range(before - 1, -1, -1):
        depth += (words[n] == "}") - (words[n] == "{")
        if depth < 0:
            depth, other = 0, False
        elif depth == 0 and words[n] == "UNION":
            other = True
        if other:
            hidden.add(n)
    return hidden


def _clause(tokens: Sequence[Piece], words: Sequence[str], begin: int, end: int) -> int:
    """Where the next clause begins; the WITH of STARTS WITH is none."""
    for i in range(begin, len(words)):
        if tokens[i].kind == "word" and words[i] in _CLAUSES and words[i - 1] not in ("STARTS", "ENDS"):
            return i
    return end


def _bound(path: Sequence[Piece]) -> set[str]:
    names = {p.name for p, q in zip(path[1:], path, strict=False) if q.text in ("(", "[") and p.name}
    return names | ({path[0].name} if len(path) > 1 and path[1].text == "=" and path[0].name else set())  # p = (a)-->()


def _labelled(path: Sequence[Piece]) -> bool:
    """Whether a path says by itself which of all it means; one through a node twice does."""
    from reconcile.stores.neo4j.narrowing import label_end, labels

    for n, (p, q) in enumerate(pairwise(path), 1):
        properties = p.text == "{" and q.text not in ("}", ",") and q.kind != "number"  # else how often: `-->{0,}`
        if properties or q.word == "WHERE":
            return True
        if (p.text == ":" or p.word == "IS") and not labels(path[n : label_end(path, n)]):
            return True
    named = [p.name for p, q in zip(path[1:], path, strict=False) if q.text == "(" and p.name]
    return len(named) > len(set(named))


def _narrowed(condition: Sequence[Piece], bound: set[str]) -> set[str]:
    """The names of which a condition looks at something, whichever of its alternatives holds."""
    from reconcile.stores.neo4j.narrowing import always

    if len(split(condition, "OR")) > 1:
        if always(condition, bound):
            return set()
        return set.intersection(*(_looked_at(one, bound) for one in split(condition, "OR")))
    parts = (part for part in split(condition, "AND") if not always(part, bound))
    return {name for part in parts for name in _looked_at(part, bound)}


def _looked_at(condition: Sequence[Piece], bound: set[str]) -> set[str]:
    """Of what a condition looks at a property, a label, a pattern, or a function."""
    found: set[str] = set()
    condition = [t for n, t in enumerate(condition) if not _alone(condition, n)]
    for left, right in pairwise(condition):
        if left.name in bound and right.text in (".", ":", "["):
            found |= {left.name}
        if left.text == "(" and right.name in bound:
            found |= {right.name}
    return found


def _alone(condition: Sequence[Piece], n: int) -> bool:
    """Whether a name is all there is in `EXISTS { (n) }`, which says nothing of it."""
    return [t.text for t in (*condition[max(n - 2, 0) : n], *condition[n + 1 : n + 3])] == ["{", "(", ")", "}"]


def _shown(tokens: Sequence[Piece], *, hides: bool = False) -> str:
    """The begin of a statement; on request without its texts, one of which may be a password."""
    texts = ("'…'" if hides and t.kind == "string" else t.text for t in tokens[:8])
    return " ".join(text if len(text) < 40 else text[:37] + "…" for text in texts)
