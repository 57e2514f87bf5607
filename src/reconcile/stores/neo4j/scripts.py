"""Cypher files of hand-written migrations: split at semicolons outside strings, names and comments, and looked into.

Cypher 5 decodes `\\uXXXX` before anything else, so texts are decoded first here too; what is sent is the file's own
text. https://neo4j.com/docs/cypher-manual/5/syntax/parsing/
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from reconcile.stores.migrating import Comment, Danger, Fault, Found, Script, Statement

SCHEMA, DATA, ADMIN = "schema", "data", "administration"

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<word>[^\W\d]\w*)
  | (?P<number>\d[\w.]*)
  | (?P<broken>/\*.*|['"`].*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u+([0-9a-fA-F]{4})")
_INDEX_KINDS = frozenset(("RANGE", "TEXT", "POINT", "LOOKUP", "FULLTEXT", "VECTOR", "BTREE", "OR", "REPLACE"))
_ADMIN = frozenset(
    ("DATABASE", "ALIAS", "USER", "ROLE", "SERVER", "COMPOSITE", "GRANT", "DENY", "REVOKE", "PRIVILEGE", "DATABASES")
)
_SHELL = "leave it out; it is a command of cypher-shell, not of the server"


class Piece(NamedTuple):
    """A token: `at` is where it begins in the file, `end` where it ends."""

    kind: str
    text: str
    at: int
    end: int

    @property
    def word(self) -> str:
        """In upper case, if it is a word that may be a keyword; else as it stands."""
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def name(self) -> str | None:
        """The name it stands for; None for what is none."""
        if self.kind == "word":
            return self.text
        return self.text[1:-1].replace("``", "`") if self.kind == "quoted" else None


def scan(text: str) -> list[Piece]:
    """All tokens of a text, white space and comments included."""
    decoded, places = _decoded(text)
    return [Piece(m.lastgroup or "other", m[0], places[m.start()], places[m.end()]) for m in _TOKEN.finditer(decoded)]


def _decoded(text: str) -> tuple[str, Sequence[int]]:
    """The text with its escapes decoded, and where each of its characters was before."""
    if "\\u" not in text:
        return text, range(len(text) + 1)
    parts: list[str] = []
    places: list[int] = []
    last = 0
    for match in _ESCAPE.finditer(text):
        upto = match.end(1)
        parts.append(text[last:upto])
        places += range(last, upto)
        parts.append(chr(int(match[2], 16)))
        places.append(upto)
        last = match.end()
    parts.append(text[last:])
    places += range(last, len(text) + 1)
    return "".join(parts), places


class Places:
    """Offsets as line and column."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def __call__(self, at: int) -> tuple[int, int]:
        """Line and column, from 1."""
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1


def statements(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The tokens of each statement, without white space, comments and semicolon; a shell command ends with its line."""
    current: list[Piece] = []
    for piece in pieces:
        shell = bool(current) and current[0].text == ":" and not (len(current) > 1 and current[1].word == "AUTO")
        if (piece.text == ";" and piece.kind == "other") or (shell and piece.kind == "space" and "\n" in piece.text):
            if current:
                yield current
            current = []
        elif piece.kind != "space":
            current.append(piece)
    if current:
        yield current


def script(text: str, verifying: bool = False) -> Script:
    """See `stores.migrating.Scripted.script`."""
    from reconcile.stores.neo4j.dangers import look, unread

    text = text.removeprefix("\ufeff")
    where, pieces = Places(text), scan(text)
    comments = tuple(_comments(pieces, where))
    broken = [Fault("a string, name or comment is not closed", *where(p.at)) for p in pieces if p.kind == "broken"]
    if broken:
        return Script((), faults=tuple(broken), comments=comments)
    found: list[Statement] = []
    dangers: list[Found] = []
    faults: list[Fault] = []
    notes: list[str] = []
    deletes: list[int] = []
    for tokens in statements(pieces):
        line, column = where(tokens[0].at)
        auto = False
        if tokens[0].text == ":":
            command = tokens[1].text.lower() if len(tokens) > 1 else ""
            if command in ("begin", "commit"):
                notes.append(f"its own :{command} (line {line}) is ours")
                continue
            if command != "auto":
                faults.append(Fault(f":{command} is a command of cypher-shell", line, column, _SHELL))
                continue
            tokens, auto = tokens[2:], True
            if not tokens:
                continue
        words = [t.word for t in tokens]
        if words == ["BEGIN"] or words == ["COMMIT"]:
            notes.append(f"its own {words[0]} (line {line}) is ours")
            continue
        if words == ["ROLLBACK"]:
            faults.append(Fault("ROLLBACK would take back what the migration did", line, column, "leave it out"))
            continue
        kind = _kind(words)
        alone = auto or kind == ADMIN or _implicit(words)
        found.append(Statement(text[tokens[0].at : tokens[-1].end], line, column, alone, kind))
        spots = list(look(tokens))
        deletes += [
            t.at
            for before, t in pairwise([tokens[0], *tokens])
            if t.kind == "word" and t.word in ("DELETE", "DROP") and before.text not in (".", ":")
        ]
        deletes += [at for danger, _, at in spots if danger is Danger.DYNAMIC]
        if not verifying:
            dangers += [Found(d, what, *where(at)) for d, what, at in (*unread(tokens), *spots)]
    return Script(
        tuple(found),
        tuple(dangers),
        tuple(faults),
        tuple(notes),
        comments,
        deletes=tuple(where(at) for at in deletes),
    )


def _kind(words: Sequence[str]) -> str:
    rest = list(words)
    while rest[:1] in (["CYPHER"], ["EXPLAIN"], ["PROFILE"]):
        rest = rest[2:] if rest[0] == "CYPHER" else rest[1:]
    first, after = (rest[0] if rest else ""), rest[1:]
    if first in ("CREATE", "DROP"):
        while after[:1] and after[0] in _INDEX_KINDS:
            after = after[1:]
        if after[:1] in (["INDEX"], ["CONSTRAINT"]):
            return SCHEMA
    if first in ("GRANT", "DENY", "REVOKE", "ALTER", "RENAME", "START", "STOP", "ENABLE", "DEALLOCATE"):
        return ADMIN
    if first in ("CREATE", "DROP") and after[:1] and after[0] in _ADMIN:
        return ADMIN
    return DATA


def _implicit(words: Sequence[str]) -> bool:
    """Whether a statement makes transactions of its own: CALL { … } IN TRANSACTIONS, apoc.periodic."""
    for n, word in enumerate(words):
        if word == "TRANSACTIONS" and ("IN" in words[max(0, n - 3) : n]):
            return True
        if word == "APOC" and [w.upper() for w in words[n + 1 : n + 3]] == [".", "PERIODIC"]:
            return True
    return False


def _comments(pieces: Sequence[Piece], where: Places) -> Iterator[Comment]:
    for piece in pieces:
        if piece.kind != "space" or not piece.text.startswith("/"):
            continue
        line, _ = where(piece.at)
        block = piece.text.startswith("/*")
        body = piece.text[2:-2] if block else piece.text[2:]
        for n, text in enumerate(body.split("\n")):
            yield Comment(text.strip().removeprefix("*").strip() if block else text.strip(), line + n)


_READS = re.compile(r"(match|optional\s+match|return|with|unwind|call|show)\b", re.IGNORECASE)


def reads_only(query: str) -> bool:
    """Whether it begins as a query does."""
    return _READS.match(query.strip()) is not None
