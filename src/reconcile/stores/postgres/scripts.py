"""SQL files of hand-written migrations: split into statements as psql would, without psql.

The lexical rules are the server's (`sqltokens`), with what a whole file needs besides: comments that nest, operators
that end where a comment begins, positions. https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconcile.stores.migrating import Comment, Fault, Script, Statement
from reconcile.stores.postgres.sqltokens import TOKEN

_COMMENT_BEGINS = re.compile(r"--|/\*")
_ESCAPE = re.compile(r"\\(\\|[0-9a-fA-F]{4}|\+[0-9a-fA-F]{6})")


class Piece(NamedTuple):
    """A token and where it stands; kinds as in `sqltokens.Token`, and "broken" for a quote that is not closed."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """In upper case, if it is a word that may be a keyword; else as it stands."""
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def name(self) -> str | None:
        """The identifier it stands for, escapes decoded; None for what is none."""
        if self.kind == "word":
            return self.text.lower()
        if self.kind != "quoted":
            return None
        if self.text[0] == '"':
            return self.text[1:-1].replace('""', '"')
        return _ESCAPE.sub(_decoded, self.text[3:-1].replace('""', '"'))


def _decoded(match: re.Match[str]) -> str:
    found = match[1]
    return "\\" if found == "\\" else chr(min(int(found.lstrip("+"), 16), 0x10FFFF))


def scan(text: str) -> Iterator[Piece]:
    """All tokens of a text, white space and comments included."""
    at = 0
    while at < len(text):
        if text.startswith("/*", at):
            end = _comment_end(text, at)
            yield Piece("space" if end else "broken", text[at : end or len(text)], at)
            at = end or len(text)
            continue
        match = TOKEN.match(text, at)
        assert match is not None  # the last alternative takes any character
        kind, found = match.lastgroup or "other", match[0]
        kind = "string" if kind == "tag" else kind
        if kind == "other" and len(found) > 1 and (begins := _COMMENT_BEGINS.search(found)):
            found = found[: begins.start()] or found[:1]
        if kind == "other" and (found in ("'", '"') or (found == "$" and _opens_dollar(text, at))):
            kind, found = "broken", text[at:]
        yield Piece(kind, found, at)
        at += len(found)


def _comment_end(text: str, at: int) -> int | None:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return at + mark.end()
    return None


def _opens_dollar(text: str, at: int) -> bool:
    return re.match(r"\$(?:[^\W\d]\w*)?\$", text[at:]) is not None


class Places:
    """Offsets as line and column."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def __call__(self, at: int) -> tuple[int, int]:
        """Line and column, from 1."""
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1


def significant(pieces: Sequence[Piece]) -> list[Piece]:
    """Without white space and comments."""
    return [p for p in pieces if p.kind != "space"]


def statements(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The tokens of each statement, without its semicolon: one in parentheses or BEGIN ATOMIC … END ends nothing."""
    current: list[Piece] = []
    depth = blocks = 0
    last = ""
    for piece in pieces:
        word = piece.word
        if piece.kind == "other" and piece.text in "()":
            depth = max(0, depth + (1 if piece.text == "(" else -1))
        if word == "ATOMIC" and last == "BEGIN" and blocks == 0:
            blocks = 1
        elif blocks and word == "CASE":
            blocks += 1
        elif blocks and word == "END":
            blocks -= 1
        if piece.text == ";" and piece.kind == "other" and depth == 0 and blocks == 0:
            if significant(current):
                yield current
            current = []
        else:
            current.append(piece)
        if piece.kind != "space":
            last = word
    if significant(current):
        yield current


_OPENS = {("BEGIN",), ("START", "TRANSACTION")}
_CLOSES = ("COMMIT", "END")
_NO_PSQL = "run what it does by statements of SQL, or with psql and then `reconcile migrate baseline`"


def script(text: str, verifying: bool = False) -> Script:
    """See `stores.migrating.Scripted.script`.

    Args:
        verifying: whether it is a query of a verification; dangers are then not looked for: it runs read-only.
    """
    from reconcile.stores.postgres.dangers import Look

    text = text.removeprefix("\ufeff")
    text, rows = _without_rows(text)
    text, notes = _without_chatter(text)
    where, look = Places(text), Look()
    pieces = list(scan(text))
    faults = [
        _fault(where(p.at), "a quote, dollar quote or comment is not closed") for p in pieces if p.kind == "broken"
    ]
    found: list[Statement] = []
    own = False
    comments = tuple(_comments(pieces, where))
    if not faults:
        faults += _meta(pieces, where, rows)
    if faults:
        return Script((), (), tuple(faults), (), comments)
    whole = [significant(s) for s in statements(pieces)]
    for n, tokens in enumerate(whole):
        words = [t.word for t in tokens]
        line, column = where(tokens[0].at)
        control = _transaction_control(words)
        if control == "run":
            own = words[0] in ("BEGIN", "START")
            notes += (
                [f"its own {' '.join(words[:3])} (line {line}) is ours"]
                if len(words) < 4
                else [f"its own {' '.join(words)} (line {line}) is ours, which has the database's usual isolation"]
            )
            continue
        if control:
            faults.append(Fault(control, line, column, "leave it out: the migration is one transaction"))
            continue
        body = text[tokens[0].at : tokens[-1].at + len(tokens[-1].text)]
        committed = next((i for i, s in enumerate(whole) if i > n and s[0].word in _CLOSES), len(whole)) if own else n
        later = {t.text for rest in whole[committed + 1 :] for t in rest if t.kind == "string"}
        alone = _alone(words, tokens, later)
        found.append(Statement(body, line, column, alone=alone, rows=rows.get(tokens[0].at)))
        if not verifying:
            look.statement(tokens, body)
    return Script(
        tuple(found),
        tuple(look.placed(where)),
        tuple(faults),
        tuple(notes),
        comments,
        look.defined(where),
        look.called(where),
        breaks=tuple(f"{' '.join(t.text for t in s[:8])} (line {where(s[0].at)[0]})" for s in whole if _breaks(s)),
        deletes=tuple(where(at) for tokens in whole for at in _deletes(tokens)),
    )


_KEPT = frozenset(("CONSTRAINT", "DEFAULT", "NOT", "IDENTITY", "EXPRESSION"))
"""What of a column goes without its clients noticing."""
_QUIET = frozenset(
    ("INDEX", "TRIGGER", "POLICY", "RULE", "STATISTICS", "PUBLICATION", "SUBSCRIPTION", "EVENT", "CONSTRAINT")
)


def _breaks(tokens: Sequence[Piece]) -> bool:
    """Whether a statement takes away, renames or narrows what clients use by name."""
    words = [t.word for t in tokens]
    if words[0] not in ("DROP", "ALTER") or words[1:2] == [] or words[1] in _QUIET:
        return False
    if words[0] == "DROP":
        return True
    pairs = set(zip(words, [*words[1:], ""], strict=True))
    dropped = any(first == "DROP" and second not in _KEPT for first, second in pairs)
    renamed = any(first == "RENAME" and second != "CONSTRAINT" for first, second in pairs)
    typed = words[1] == "TABLE" and (_retyped(words) or ("SET", "NOT") in pairs)
    return dropped or renamed or typed or ("SET", "SCHEMA") in pairs


def _retyped(words: Sequence[str]) -> bool:
    """`ALTER [COLUMN] name [SET DATA] TYPE`: `type` may be a name as well."""
    for n, word in enumerate(words):
        rest = words[n + 1 :]
        rest = rest[1:] if rest[:1] == ["COLUMN"] else rest
        if word == "ALTER" and n and (rest[1:2] == ["TYPE"] or rest[1:4] == ["SET", "DATA", "TYPE"]):
            return True
    return False


def _deletes(tokens: Sequence[Piece]) -> Iterator[int]:
    """Where rows or objects are deleted; DO and EXECUTE may do anything."""
    for token, after in zip(tokens, [*(t.word for t in tokens[1:]), ""], strict=True):
        if token.word in ("DELETE", "TRUNCATE", "DROP", "EXECUTE") or (
            token.word == "DO" and after not in ("NOTHING", "UPDATE")
        ):
            yield token.at


_CHATTER = re.compile(
    r"^[ \t]*\\(?:q?echo|warn|timing|pset|x|encoding|set\s+(?:ON_ERROR_STOP|ON_ERROR_ROLLBACK|ECHO|QUIET|VERBOSITY))\b"
    r"[^\n]*",
    re.MULTILINE,
)
"""Commands of psql that are about what it shows, and that it stops at errors, as we do."""


def _without_chatter(text: str) -> tuple[str, list[str]]:
    """The text with such lines empty, and a note for each."""
    notes = []
    for match in list(_CHATTER.finditer(text)):
        if any(p.kind == "broken" for p in scan(text[: match.start()])):
            continue  # within a string or a comment
        notes.append(f"{match[0].strip()} (line {text.count(chr(10), 0, match.start()) + 1}) is for psql, and left out")
        text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return text, notes


_COPY = re.compile(
    r"\bCOPY\b[^;]*?\bFROM\s+STDIN\b(?:'[^']*'|[^;'])*;[ \t]*\r?\n(?P<rows>.*?)^\\\.[ \t]*\r?$",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


def _without_rows(text: str) -> tuple[str, Mapping[int, str]]:
    """The text with the rows below each COPY … FROM stdin left empty, and those rows by where its COPY begins."""
    found: dict[int, str] = {}
    at = 0
    while (match := _COPY.search(text, at)) is not None:
        at = match.start() + 1
        pieces = list(scan(_without_chatter(text[: match.start("rows")])[0]))
        if any(p.kind == "broken" for p in pieces) or not any(
            p.at == match.start() and p.kind == "word" for p in pieces
        ):
            continue  # within a string or a comment
        found[match.start()] = match["rows"]
        empty = re.sub(r"[^\n]", " ", text[match.start("rows") : match.end()])
        text, at = text[: match.start("rows")] + empty + text[match.end() :], match.end()
    return text, found


def _fault(place: tuple[int, int], what: str, hint: str | None = None) -> Fault:
    return Fault(what, *place, hint)


def _meta(pieces: Sequence[Piece], where: Places, rows: Mapping[int, str]) -> Iterator[Fault]:
    """What is for psql rather than the server."""
    for n, piece in enumerate(pieces):
        if piece.kind == "other" and piece.text.startswith("\\"):
            rest = pieces[n + 1].text if n + 1 < len(pieces) and pieces[n + 1].kind != "space" else ""
            yield _fault(where(piece.at), f"\\{rest} is a command of psql, not of the server", _NO_PSQL)
    for statement in statements(pieces):
        tokens = significant(statement)
        words = [t.word for t in tokens]
        for direction, stream in (("FROM", "STDIN"), ("TO", "STDOUT")):
            if (
                words[0] == "COPY"
                and tokens[0].at not in rows
                and any(words[i : i + 2] == [direction, stream] for i in range(len(words)))
            ):
                yield _fault(
                    where(tokens[0].at),
                    f"COPY … {direction} {stream.lower()} sends rows through psql",
                    "write the rows below it and end them with \\., or as INSERT statements",
                )
                return  # what follows are rows


def _transaction_control(words: Sequence[str]) -> str | None:
    """What a statement is to the file's own transaction: `run`, where it begins or ends it; a sentence, where that
    cannot be kept; None for others."""
    if tuple(words[:1]) in _OPENS or tuple(words[:2]) in _OPENS:
        return "run"
    if words[0] == "COMMIT" and words[1:2] == ["PREPARED"]:
        return "COMMIT PREPARED ends a transaction that is none of this migration's"
    if words[0] in _CLOSES:
        return "run"
    if words[:2] == ["PREPARE", "TRANSACTION"]:
        return "PREPARE TRANSACTION would leave the migration open"
    if words[0] in ("ROLLBACK", "ABORT") and "TO" not in words:
        return f"{words[0]} would take back what the migration did"
    return None


def _alone(words: Sequence[str], tokens: Sequence[Piece], later: set[str]) -> bool:
    """Whether a statement cannot be in a transaction.

    https://www.postgresql.org/docs/current/sql-createindex.html and its like: each says so under Notes.
    """
    first, second = words[0], (words[1] if len(words) > 1 else "")
    if "CONCURRENTLY" in words and (first == "REINDEX" or (first in ("CREATE", "DROP") and "INDEX" in words[:3])):
        return True
    if first == "REINDEX":
        rest = [w for w in words[1:] if w not in ("(", ")", "VERBOSE", "CONCURRENTLY")]
        return bool(rest) and rest[0] in ("DATABASE", "SYSTEM")
    if first == "ALTER" and second == "TYPE" and "ADD" in words and "VALUE" in words:
        # the new value cannot be used before the commit: as psql would run the file, there was one in between
        return next((t.text for t in tokens if t.kind == "string"), "") in later
    if first == "ALTER" and second == "TABLE":
        return "DETACH" in words and "CONCURRENTLY" in words
    if first in ("CREATE", "DROP") and second in ("DATABASE", "TABLESPACE", "SUBSCRIPTION"):
        return True
    if first == "ALTER" and second == "DATABASE":
        return "TABLESPACE" in words
    return (first, second) in (("ALTER", "SYSTEM"), ("DISCARD", "ALL")) or first == "VACUUM" or words == ["CLUSTER"]


def _comments(pieces: Sequence[Piece], where: Places) -> Iterator[Comment]:
    for piece in pieces:
        if piece.kind != "space":
            continue
        for match in re.finditer(r"--([^\n]*)|/\*(.*?)\*/", piece.text, re.DOTALL):
            body = match[1] if match[1] is not None else match[2]
            line, _ = where(piece.at + match.start())
            for n, text in enumerate(body.split("\n")):
                yield Comment(text.strip().removeprefix("*").strip() if match[1] is None else text.strip(), line + n)


_READS = re.compile(r"(select|with|table|values|show)\b|\(\s*select\b", re.IGNORECASE)


def reads_only(query: str) -> bool:
    """Whether it begins as a query does."""
    return _READS.match(query.strip()) is not None
