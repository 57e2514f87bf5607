"""PostgreSQL's lexical rules: enough to compare texts up to white space and to rewrite qualified names.

Nothing here parses. What these functions call equal is equal to the server; what they call different may still
be equal, which only the server can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from reconcile.stores.postgres.names import as_shown
from reconcile.stores.postgres.sqlnested import unflattened

TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'|\$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$)
  | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*")
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>(?:\d[\d_]*(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<other>::|:=|[+\-*/<>=~!@\#%^&|`?]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
"""Matches at any place: the kind is the name of the group, `tag` of a string in dollars."""


_NESTED = re.compile(r"\)\)\s+(?:AND|OR)\b", re.IGNORECASE)
_TEXTS = 4096
"""How many texts each function here remembers its answer for: the same defaults and conditions stand in many tables."""


class Token(NamedTuple):
    """A piece of SQL: kind is `space string quoted word number other`."""

    kind: str
    text: str

    @property
    def name(self) -> str | None:
        """The identifier it stands for, folded as the server folds; None for what is none."""
        if self.kind == "word":
            return self.text.lower()
        if self.kind == "quoted" and self.text[0] == '"':
            return self.text[1:-1].replace('""', '"')
        return None


@lru_cache(maxsize=64)
def tokens(sql: str) -> tuple[Token, ...]:
    """All tokens in order, white space and comments included: joined they give `sql` again."""
    found = ((match.lastgroup or "other", match[0]) for match in TOKEN.finditer(sql))
    return tuple([Token("string" if kind == "tag" else kind, text) for kind, text in found])


@lru_cache(maxsize=65536)
def folded(sql: str) -> tuple[str, ...]:
    """The tokens without white space, words in lower case, one pair of parentheses around all of it removed.

    >>> folded('( A  >= 0 );') == folded('a>=0')
    True
    """
    found = [_plainly(t) for t in tokens(sql) if t.kind != "space"]
    while found and found[-1] == ";":
        found.pop()
    while _wrapped(found):
        found = found[1:-1]
    return tuple(found)


def _plainly(token: Token) -> str:
    """Words in lower case, and without quotes that change nothing."""
    if token.kind == "word":
        return token.text.lower()
    if token.kind == "quoted" and token.name is not None:
        return as_shown(token.name)
    return token.text


def _wrapped(found: list[str]) -> bool:
    if len(found) < 3 or found[0] != "(" or found[-1] != ")":
        return False
    depth = 0
    for place, text in enumerate(found):
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return place == len(found) - 1
    return False


def same(left: str | None, right: str | None) -> bool:
    """Equal up to white space, letter case of what is not quoted, and parentheses around all of it."""
    if left is None or right is None:
        return left is right
    return left == right or folded(faithful(left)) == folded(faithful(right))


@lru_cache(maxsize=_TEXTS)
def named(sql: str) -> tuple[tuple[str | None, str], ...]:
    """Every identifier once, as (qualifier or None, name), also in strings that name a sequence, table or type.

    More than the objects named: columns, aliases, functions and keywords are among them.

    >>> named("nextval('audit.no')")
    (('audit', 'no'), (None, 'audit'), (None, 'nextval'))
    """
    result: set[tuple[str | None, str]] = set()
    for _, names in _runs(sql):
        if len(names) == 1:
            result.add((None, names[0]))
        else:
            result.update(((names[0], names[1]), (None, names[0])))
            result.update((names[i - 1], names[i]) for i in range(2, len(names)))
    return tuple(sorted(result, key=str))


def _runs(sql: str) -> Iterator[tuple[list[int], list[str]]]:
    """Dotted names: the indexes of their tokens and the names."""
    found = tokens(sql)
    at, end = 0, len(found)
    while at < end:
        name = found[at].name
        if name is None:
            if found[at].kind == "string" and found[at].text[0] == "'" and _is_reference(found, at):
                inner = [n for n in (t.name for t in tokens(found[at].text[1:-1].replace("''", "'"))) if n]
                if inner:
                    yield [], inner
            at += 1
            continue
        places, names = [at], [name]
        look = at + 1
        while look + 1 < end and found[look].text == "." and found[look + 1].name is not None:
            places.append(look + 1)
            names.append(str(found[look + 1].name))
            look += 2
        yield places, names
        at = look


@lru_cache(maxsize=_TEXTS)
def called(sql: str) -> tuple[tuple[str | None, str], ...]:
    """What stands before an opening parenthesis, once, as (qualifier or None, name); keywords may be among them.

    >>> called("audit.log(lower(a)) > (b)")
    (('audit', 'log'), (None, 'lower'))
    """
    found = [t for t in tokens(sql) if t.kind != "space"]
    result: set[tuple[str | None, str]] = set()
    for at, token in enumerate(found[:-1]):
        name = token.name
        if name is not None and found[at + 1].text == "(":
            qualified = at > 1 and found[at - 1].text == "."
            result.add((found[at - 2].name if qualified else None, name))
    return tuple(sorted(result, key=str))


_SEQUENCE_FUNCTIONS = ("nextval", "currval", "setval", "to_regclass", "pg_get_serial_sequence")


def _is_reference(found: Sequence[Token], at: int) -> bool:
    """Whether the string at `at` names an object: `nextval('s')`, `'t'::regclass`."""
    after = [t.text.lower() for t in found[at + 1 : at + 5] if t.kind != "space"]
    if after[:1] == ["::"] and after[1:2] and after[1].startswith("reg"):
        return True
    before = [t.text.lower() for t in found[max(0, at - 4) : at] if t.kind != "space"]
    return before[-1:] == ["("] and before[-2:-1] != [] and before[-2] in _SEQUENCE_FUNCTIONS


def rewrite(sql: str, move: Callable[[str, str], str | None]) -> str:
    """`sql` with the schema of qualified names replaced where `move(schema, name)` gives another one.

    >>> rewrite("a.f(b) operator(a.<->) c", lambda schema, name: "x" if schema == "a" else None)
    '"x".f(b) operator("x".<->) c'
    """
    found = tokens(sql)
    texts = [t.text for t in found]
    for places, names in _runs(sql):
        operator = _operator(found, places[0]) if len(names) == 1 and places else None
        if (len(names) > 1 and places) or operator:
            to = move(names[0], operator or names[1])
            if to is not None:
                texts[places[0]] = '"' + to.replace('"', '""') + '"'
    for at, token in enumerate(found):
        if token.kind == "string" and token.text[0] == "'" and _is_reference(found, at):
            inner = rewrite(token.text[1:-1].replace("''", "'"), move)
            texts[at] = "'" + inner.replace("'", "''") + "'"
    return "".join(texts)


def _operator(found: Sequence[Token], at: int) -> str | None:
    """The operator whose schema stands at `at`: `OPERATOR(schema.<->)`."""
    before = [t.text.lower() for t in found[max(0, at - 2) : at]]
    after = found[at + 1 : at + 3]
    if before == ["operator", "("] and len(after) == 2 and after[0].text == "." and after[1].kind == "other":
        return after[1].text
    return None


def renamed(sql: str, move: Callable[[Sequence[str], str], Sequence[str] | None]) -> str:
    """`sql` with names replaced where `move(names, what)` gives others, also in strings that name an object.

    `what` is "(" for what is called, "collate" for a collation, "=" for an option's value, else "".

    >>> renamed("a.f(b) > c", lambda names, what: ["x", *names[1:]] if what == "(" else None)
    '"x"."f"(b) > c'
    """
    found = tokens(sql)
    texts = [t.text for t in found]
    for places, names in _runs(sql):
        if places:
            after = next((t.text for t in found[places[-1] + 1 :] if t.kind != "space"), "")
            before = next((t.text.lower() for t in reversed(found[: places[0]]) if t.kind != "space"), "")
            to = move(names, "(" if after == "(" else before if before in ("collate", "=") else "")
            if to is not None:
                texts[places[0] : places[-1] + 1] = [""] * (places[-1] + 1 - places[0])
                texts[places[0]] = ".".join('"' + name.replace('"', '""') + '"' for name in to)
    for at, token in enumerate(found):
        if token.kind == "string" and token.text[0] == "'" and _is_reference(found, at):
            inner = renamed(token.text[1:-1].replace("''", "'"), move)
            texts[at] = "'" + inner.replace("'", "''") + "'"
    return "".join(texts)


def faithful(sql: str) -> str:
    """`sql` so that the server reads what it wrote: `(ARRAY['a'::varchar])::text[]` is an array that is cast.

    Read back as it stands, the cast would go into the elements and the text come out another (IN lists over
    varchar columns; PostgreSQL 12 to 18). A cast to the elements' own type between the two keeps them apart. So does
    BETWEEN conditions that stand first among others (`sqlnested`).

    >>> faithful("a = ANY ((ARRAY['x'::character varying])::text[])")
    "a = ANY ((ARRAY['x'::character varying]::character varying[])::text[])"
    """
    cast, nested = "])::" in sql, _NESTED.search(sql) is not None
    if not cast and not nested:
        return sql
    texts = [t.text for t in tokens(sql)]
    if nested:
        texts = unflattened(texts)
    for start in (i for i, t in enumerate(texts) if t == "ARRAY" and texts[i + 1 : i + 2] == ["["]):
        end = _closing(texts, start + 1)
        if end is None or texts[start - 1 : start] != ["("] or texts[end + 1 : end + 3] != [")", "::"]:
            continue
        types = {_cast_to(part) for part in _split(texts[start + 2 : end])}
        type_ = types.pop() if len(types) == 1 else None
        if type_:
            texts[end] += f"::{type_}[]"
    return "".join(texts)


def _closing(texts: list[str], start: int) -> int | None:
    depth = 0
    for place in range(start, len(texts)):
        depth += (texts[place] in "([") - (texts[place] in ")]")
        if depth == 0:
            return place
    return None


def _split(texts: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    depth = 0
    for text in texts:
        depth += (text in "([") - (text in ")]")
        if text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(text)
    return parts


def _cast_to(part: list[str]) -> str | None:
    """The type that an element ends with: `'x'::character varying`."""
    depth = 0
    for place in range(len(part) - 1, -1, -1):
        depth += (part[place] in ")]") - (part[place] in "([")
        if part[place] == "::" and depth == 0:
            return "".join(part[place + 1 :]).strip()
    return None


_PAIRS = {")": "(", "]": "["}
_LOOSE = frozenset(
    (
        "and",
        "or",
        "not",
        "in",
        "like",
        "ilike",
        "between",
        "is",
        "similar",
        "at",
        "collate",
        "isnull",
        "notnull",
        "overlaps",
    )
)


@lru_cache(maxsize=_TEXTS)
def fault(sql: str) -> str | None:
    """What keeps `sql` from standing inside a statement: it would end it, or swallow what follows. None if nothing.

    >>> fault("a > 0)"), fault("lower(a)")
    ("')' closes nothing", None)
    """
    open_: list[str] = []
    last = ""
    for token in tokens(sql):
        text = token.text
        if token.kind == "space":
            last = text
            continue
        last = ""
        if text in ("'", '"') or (text.startswith("$") and token.kind == "other"):
            return "a quote is not closed"
        if text == ";":
            return "';' would end the statement"
        if "/*" in text and token.kind == "other":
            return "a comment is not closed"
        if text in ("(", "["):
            open_.append(text)
        elif text in _PAIRS and (not open_ or open_.pop() != _PAIRS[text]):
            return f"{text!r} closes nothing"
    if open_:
        return f"{open_[-1]!r} is not closed"
    return "a comment at the end would swallow what follows" if "--" in last else None


@lru_cache(maxsize=_TEXTS)
def as_default(sql: str) -> str:
    """`sql` in parentheses where DEFAULT does not take it without: `now() at time zone 'utc'`."""
    depth = 0
    for token in tokens(sql):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.kind == "word" and token.text.lower() in _LOOSE:
            return f"({sql})"
    return sql


@lru_cache(maxsize=_TEXTS)
def unwrap(sql: str) -> str:
    """Without white space around and without parentheses around all of it.

    >>> unwrap('((a > 0))'), unwrap('(a) > (b)')
    ('a > 0', '(a) > (b)')
    """
    while True:
        sql = sql.strip()
        if not (sql.startswith("(") and sql.endswith(")")):
            return sql
        found = [t.text for t in tokens(sql) if t.kind != "space"]
        if not _wrapped(found):
            return sql
        sql = sql[1:-1]
