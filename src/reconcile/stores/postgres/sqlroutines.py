"""CREATE FUNCTION, PROCEDURE and AGGREGATE taken apart as far as names, arguments and result go. Pure text.

The server has the last word on everything else; a body in quotes is never looked into.
https://www.postgresql.org/docs/current/sql-createfunction.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reconcile.stores.postgres.names import identifier
from reconcile.stores.postgres.resources import Routine
from reconcile.stores.postgres.sqltokens import Token, tokens
from reconcile.stores.postgres.sqltypes import read

KINDS = frozenset({"function", "procedure", "aggregate"})
_MODES = frozenset({"in", "out", "inout", "variadic"})
_TWO_WORDS = frozenset(
    {
        *(("double", "precision"), ("character", "varying"), ("char", "varying"), ("bit", "varying")),
        *(("national", "character"), ("national", "char"), ("nchar", "varying"), ("setof", "")),
        *((time, word) for time in ("time", "timestamp") for word in ("with", "without")),
        *(("interval", unit) for unit in ("year", "month", "day", "hour", "minute", "second")),
    }
)
"""How the names of types of several words begin; anything else before a type is the argument's name."""
_CLAUSES = frozenset(
    {
        *(
            "language",
            "transform",
            "window",
            "immutable",
            "stable",
            "volatile",
            "not",
            "leakproof",
            "called",
            "returns",
        ),
        *("strict", "security", "external", "parallel", "cost", "rows", "support", "set", "as", "return", "begin"),
    }
)
"""What may follow the result type."""


class NotRoutine(ValueError):
    """The text is not one CREATE statement of a function, procedure or aggregate: says why."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as it is written."""

    mode: str
    """"in", "out", "inout" or "variadic"; "table" for a column of RETURNS TABLE."""
    name: str | None
    type: str
    default: str | None = None

    @property
    def input(self) -> bool:
        """Whether a call passes it: these make the signature."""
        return self.mode in ("in", "inout", "variadic")


@dataclass(frozen=True, slots=True)
class Header:
    """A CREATE statement taken apart."""

    kind: str
    """"function", "procedure" or "aggregate"."""
    schema: str | None
    name: str
    arguments: tuple[Argument, ...]
    """With the columns of RETURNS TABLE at the end."""
    returns: str | None
    """As written, SETOF included; "table" for RETURNS TABLE; None where there is none."""
    before: int
    """Where the name begins, in tokens."""
    after: int
    """Where what follows the name begins, in tokens."""
    body: str
    """What is parsed at creation: all behind the arguments and the result, strings and all."""

    @property
    def inputs(self) -> tuple[Argument, ...]:
        """Arguments of the signature."""
        return tuple(a for a in self.arguments if a.input)


@lru_cache(maxsize=4096)
def header(text: str) -> Header:
    """Take a statement apart.

    >>> found = header("create or replace function audit.match(v vector, variadic n int[] default '{}') returns int")
    >>> found.schema, found.name, [(a.mode, a.name, a.type, a.default) for a in found.arguments], found.returns
    ('audit', 'match', [('in', 'v', 'vector', None), ('variadic', 'n', 'int[]', "'{}'")], 'int')

    Raises:
        NotRoutine: it is something else, or more than one statement.
    """
    found = list(tokens(text))
    at = [i for i, t in enumerate(found) if t.kind != "space"]
    words = [found[i] for i in at]
    lower = [t.text.lower() if t.kind == "word" else "" for t in words]
    if lower[:1] != ["create"]:
        raise NotRoutine("it does not begin with CREATE")
    place = 3 if lower[1:3] == ["or", "replace"] else 1
    kind = lower[place] if place < len(lower) else ""
    if kind not in KINDS:
        raise NotRoutine("it is no CREATE FUNCTION, PROCEDURE or AGGREGATE")
    _one_statement(words)
    first = place + 1
    schema, name, place = _name(words, first)
    end = _closing(words, place)
    arguments = () if kind == "aggregate" and _is_star(words[place + 1 : end]) else _arguments(words[place + 1 : end])
    if kind == "aggregate" and not (words[end + 1 : end + 2] and words[end + 1].text == "("):
        raise NotRoutine("its arguments are missing: CREATE AGGREGATE name (types) (sfunc = …, stype = …)")
    returns, columns, rest = _result(words, end + 1)
    body = "".join(t.text for t in found[at[rest] :]) if rest < len(at) else ""
    return Header(kind, schema, name, (*arguments, *columns), returns, at[first], at[place], body)


def _is_star(inner: Sequence[Token]) -> bool:
    return [t.text for t in inner] == ["*"]


def _name(words: Sequence[Token], place: int) -> tuple[str | None, str, int]:
    names: list[str] = []
    while place < len(words) and (name := words[place].name) is not None:
        names.append(name)
        place += 1
        if place < len(words) and words[place].text == "." and len(names) < 2:
            place += 1
            continue
        break
    if not names or place >= len(words) or words[place].text != "(":
        raise NotRoutine("its name is not followed by arguments in parentheses")
    return (names[0] if len(names) > 1 else None), names[-1], place


def _closing(words: Sequence[Token], start: int) -> int:
    depth = 0
    for place in range(start, len(words)):
        depth += (words[place].text in ("(", "[")) - (words[place].text in (")", "]"))
        if depth == 0:
            return place
    raise NotRoutine("'(' is not closed")


def _arguments(inner: Sequence[Token]) -> tuple[Argument, ...]:
    """Those between the parentheses; ORDER BY of an ordered-set aggregate stands between two as a comma does.

    Where both sides end in VARIADIC, they are one argument to the server.
    """
    parts: list[list[Token]] = [[]]
    depth, ordered = 0, False
    lower = [t.text.lower() if t.kind == "word" else t.text for t in inner]
    for place, token in enumerate(inner):
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth == 0 and (token.text == "," or lower[place : place + 2] == ["order", "by"]):
            parts.append([])
            ordered = ordered or token.text != ","
        elif depth or lower[max(0, place - 1) : place + 1] != ["order", "by"]:
            parts[-1].append(token)
    found = tuple(_argument(p) for p in parts if p)
    doubled = ordered and [a.mode for a in found[-2:]] == ["variadic", "variadic"]
    return found[:-1] if doubled else found


def _argument(part: list[Token]) -> Argument:
    default = None
    for place, token in enumerate(part):
        if token.text in ("=", ":=") or (token.kind == "word" and token.text.lower() == "default"):
            default, part = as_text(part[place + 1 :]), part[:place]
            break
    mode, name = "", None
    part, mode = _mode(part, mode)
    if len(part) > 1 and part[0].name is not None and part[1].kind in ("word", "quoted") and not _is_type(part):
        name, part = part[0].name, part[1:]
        part, mode = _mode(part, mode)
    return Argument(mode or "in", name, as_text(part), default)


def _mode(part: list[Token], mode: str) -> tuple[list[Token], str]:
    """A mode stands before the name or after it; `in out` is `inout`."""
    while len(part) > 1 and part[0].kind == "word" and part[0].text.lower() in _MODES:
        word = part[0].text.lower()
        mode = "inout" if (mode, word) == ("in", "out") else word
        part = part[1:]
    return part, mode


def _is_type(part: Sequence[Token]) -> bool:
    first, second = part[0].text.lower(), part[1].text.lower()
    return part[0].kind == "word" and ((first, second) in _TWO_WORDS or (first, "") in _TWO_WORDS or second == "array")


def as_text(part: Iterable[Token]) -> str:
    """Tokens as text again, a blank between two words."""
    found = ""
    for token in part:
        blank = found and (found[-1].isalnum() or found[-1] in "_\"'") and token.kind not in ("other", "space")
        found += f" {token.text}" if blank else token.text
    return found


def _result(words: Sequence[Token], place: int) -> tuple[str | None, tuple[Argument, ...], int]:
    """(result type, columns of RETURNS TABLE, where the clauses begin)."""
    lower = [t.text.lower() if t.kind == "word" else t.text for t in words[place : place + 2]]
    if lower[:1] != ["returns"] or lower[1:2] == ["null"]:
        return None, (), place
    place += 1
    if lower[1:2] == ["table"]:
        end = _closing(words, place + 1)
        columns = _arguments(words[place + 2 : end])
        return "table", tuple(Argument("table", a.name, a.type) for a in columns), end + 1
    begin, depth = place, 0
    while place < len(words):
        token = words[place]
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        inside = place == begin or words[place - 1].text.lower() in ("setof", ".")  # a type may be called `language`
        if depth == 0 and not inside and token.kind == "word" and token.text.lower() in _CLAUSES:
            break
        place += 1
    return as_text(words[begin:place]), (), place


def _one_statement(words: Sequence[Token]) -> None:
    """A semicolon ends it, but inside BEGIN ATOMIC … END."""
    depth, atomic = 0, False
    for place, token in enumerate(words):
        word = token.text.lower() if token.kind == "word" else ""
        if word == "atomic" and words[place - 1].text.lower() == "begin":
            atomic, depth = True, depth + 1
        elif atomic and word == "case":
            depth += 1
        elif atomic and word == "end":
            depth -= 1
        elif token.text == ";" and depth == 0 and any(t.text != ";" for t in words[place:]):
            raise NotRoutine("it is more than one statement")
        elif token.text in ("'", '"') or (
            token.text == "$" and not (words[place + 1 : place + 2] and words[place + 1].kind == "number")
        ):
            raise NotRoutine("a quote is not closed")
    if depth > 0:
        raise NotRoutine("BEGIN ATOMIC is not ended")


def parsed_body(found: Header) -> str:
    """What of the clauses the server resolves at creation: RETURN and BEGIN ATOMIC; of an aggregate everything."""
    if found.kind == "aggregate":
        return found.body
    words = [t for t in tokens(found.body) if t.kind != "space"]
    lower = [t.text.lower() if t.kind == "word" else "" for t in words]
    for place, word in enumerate(lower):
        if word == "return" or (word == "begin" and lower[place + 1 : place + 2] == ["atomic"]):
            return " ".join(t.text for t in words[place:])
    return ""


def parsed(found: Header) -> Iterable[str]:
    """All that the server resolves at creation, but the routine's own name."""
    for argument in found.arguments:
        yield argument.type
        if argument.default is not None:
            yield argument.default
    yield found.returns or ""
    yield parsed_body(found)


def clauses(found: Header) -> tuple[str, ...]:
    """What is said between the result and the body, a clause as the server prints it a line: `STABLE`, `COST 5`."""
    lines, line = list[str](), list[Token]()
    words = [t for t in tokens(found.body) if t.kind != "space"]
    for place, token in enumerate(words):
        word = token.text.lower() if token.kind == "word" else ""
        if word in _BODIES and not (word == "begin" and words[place + 1 : place + 2][0].text.lower() != "atomic"):
            break
        before = words[place - 1].text.lower() if place else ""
        if word in _CLAUSES and line and (before, word) not in _INSIDE and not (word == "set" and before == "for"):
            lines.append(as_text(line))
            line = []
        line.append(token)
    return (*lines, *([as_text(line)] if line else []))


_BODIES = frozenset({"as", "return", "begin"})
_INSIDE = frozenset({("not", "leakproof"), ("external", "security")})


def signature(types: Iterable[str], kind: str) -> str:
    """`(vector, integer)`: argument types as the address has them; `(*)` for an aggregate without any."""
    inner = ", ".join(types)
    return f"({inner or '*'})" if kind == "aggregate" else f"({inner})"


def bare_type(text: str) -> str:
    """A type as an argument has it: the server's spelling without length or precision.

    >>> [bare_type(t) for t in ("varchar(10)", "timestamptz(3)", "int[]", '"Order"', "char", "audit.t")]
    ['character varying', 'timestamp with time zone', 'integer[]', '"Order"', 'character', 'audit.t']
    """
    depth, kept = 0, []
    for token in tokens(read(text).text):
        depth += token.text == "("
        if depth == 0:
            kept.append(token.text)
        depth -= token.text == ")"
    return "".join(kept)


def split_key(key: str) -> tuple[str, tuple[str, ...]]:
    """`audit.match(vector, int)` as the name and the texts of its argument types.

    Raises:
        ValueError: there are no parentheses at its end.
    """
    found = list(tokens(key.strip()))
    places = [i for i, t in enumerate(found) if t.text == "("]
    if not places or found[-1].text != ")":
        raise ValueError(f"{key!r} has no argument types: write name(type, …), or name() where there are none")
    inner = [t for t in found[places[0] + 1 : -1] if t.kind != "space"]
    parts = () if _is_star(inner) else _arguments(inner)
    types = tuple(f"{a.name} {a.type}" if a.name is not None else a.type for a in parts)
    return "".join(t.text for t in found[: places[0]]).strip(), types


def statement(text: str, schema: str, name: str, *, replace: bool = False) -> str:
    """`text` with its name qualified and quoted, and OR REPLACE only where `replace` says so.

    >>> statement("create function f() returns int return 1;", "audit", "f", replace=True)
    'CREATE OR REPLACE FUNCTION "audit"."f"() returns int return 1'
    """
    found = header(text)
    rest = list(tokens(text))[found.after :]
    while rest and (rest[-1].kind == "space" or rest[-1].text == ";"):
        rest.pop()
    inner = "".join(t.text for t in rest)
    return f"CREATE {'OR REPLACE ' if replace else ''}{found.kind.upper()} {identifier(schema, name)}{inner}"


def routine_statement(routine: Routine, *, replace: bool) -> str:
    """CREATE [OR REPLACE] of `routine`, in the words of the YAML where those are kept."""
    declared = routine.declared if isinstance(routine.declared, Mapping) else {}
    text = str(declared.get("definition", routine.definition_))
    return statement(text, routine.schema, routine.routine, replace=replace)
