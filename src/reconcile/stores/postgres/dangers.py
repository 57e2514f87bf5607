"""What is dangerous in SQL of hand-written migrations, found in two ways that do not trust each other.

By tokens, which sees through comments, letter case, escapes, DO blocks, bodies of routines and EXECUTE of what is
written out; and by sqlglot, which knows what belongs to which statement. Either one's word counts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from reconcile.stores.migrating import Danger, Found
from reconcile.stores.postgres.literals import content, escaped
from reconcile.stores.postgres.scripts import Piece, scan, significant, statements
from reconcile.stores.postgres.serverwide import is_catalog, of_server

Place = Callable[[int], tuple[int, int]]

FILES = re.compile(
    r"(?:pg_read_(?:binary_)?file|pg_ls_\w*dir|pg_ls_dir|pg_stat_file|pg_file_\w+|lo_import|lo_export"
    r"|pg_read_server_files|pg_logdir_ls)\Z"
)
SERVER = re.compile(
    r"pg_(?:reload_conf|rotate_logfile|(?:terminate|cancel)_backend|promote|switch_wal|wal_replay_\w+|backup_st\w+"
    r"|(?:create|drop|copy)_\w*replication_slot|replication_(?:origin|slot)_\w+|create_restore_point)\Z"
)
"""Functions about the server rather than the database:
https://www.postgresql.org/docs/current/functions-admin.html"""
TEXTS = re.compile(
    r"(?:query_to_xml\w*|dblink\w*|ts_stat|crosstab\w*|cursor_to_xml\w*|exec_sql|run_command_on_\w+|xpath_table)\Z"
)
"""Functions that are given statements as text."""
_COMMANDS = """
ABORT ALTER ANALYSE ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE
DEALLOCATE DECLARE DELETE DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD
LOCK MERGE MOVE NOTIFY PREPARE REASSIGN REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT
SECURITY SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH
"""
KNOWN = frozenset(_COMMANDS.split())
"""All commands: https://www.postgresql.org/docs/current/sql-commands.html"""
_READ = frozenset(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "DROP", "VALUES", "TABLE"))
_WRITES = frozenset(("DELETE", "UPDATE", "MERGE", "TRUNCATE", "DROP"))
_STARTS = frozenset((";", "BEGIN", "THEN", "ELSE", "LOOP", "ATOMIC", ">>", "AS", "EXPLAIN", "ANALYZE"))
_CONSTANTS = """
TRUE FALSE AND OR NOT NULL IS IN BETWEEN LIKE ILIKE BOOLEAN INT TEXT SELECT EXISTS ANY ALL DISTINCT DATE TIME TIMESTAMP
TIMESTAMPTZ INTERVAL CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP CURRENT_USER SESSION_USER USER
"""
_CONSTANT = frozenset(_CONSTANTS.split())
"""Words of a condition that are no columns."""
_RIGHTS = frozenset(
    ("SUPERUSER", "PG_EXECUTE_SERVER_PROGRAM", "PG_READ_SERVER_FILES", "PG_WRITE_SERVER_FILES", "BYPASSRLS")
)
"""What a role is given that is stopped by nothing any more."""
_LANGUAGES = ("plpgsql", "sql")


@dataclass(frozen=True)
class _Spot:
    danger: Danger
    what: str
    at: int


class Look:
    """Looks at one statement after the other of a script."""

    def __init__(self) -> None:
        self._found: list[_Spot] = []
        self._defined: dict[str, list[_Spot]] = {}
        self._called: list[tuple[str, int]] = []

    def placed(self, where: Place) -> Iterator[Found]:
        """What was found, each danger once a place, in order."""
        yield from _placed(self._found, where)

    def defined(self, where: Place) -> Mapping[str, tuple[Found, ...]]:
        """Routines with what is dangerous in them."""
        return {name: tuple(_placed(spots, where)) for name, spots in self._defined.items()}

    def called(self, where: Place) -> tuple[tuple[str, int, int], ...]:
        """What is called, and where."""
        return tuple((name, *where(at)) for name, at in self._called)

    def statement(self, tokens: Sequence[Piece], text: str) -> None:
        """Look at a statement: its tokens without white space, and its text."""
        tokens = escaped(tokens)
        words = [t.word for t in tokens]
        routine = _routine(tokens)
        if routine is not None:
            name, body = routine
            inside = list(self._bodies(tokens, body))
            if any(a.word == "LANGUAGE" and _language(b) in ("c", "internal") for a, b in pairwise(tokens)):
                self._found.append(
                    _Spot(Danger.SERVER_FILE, f"{_shown(tokens)} loads code of the server", tokens[0].at)
                )
            self._defined.setdefault(name, []).extend(inside)
            return
        spots = list(self._plain(tokens))
        if words[0] == "DO":
            spots += self._bodies(tokens, 1)
        if words[0] not in KNOWN and words[0] != "(":
            spots.append(
                _Spot(Danger.UNPARSED, f"{tokens[0].text[:40]} begins no statement of PostgreSQL", tokens[0].at)
            )
        elif words[0] in _READ or words[0] == "(" or words[:2] == ["CREATE", "TABLE"]:
            seen = {spot.danger for spot in spots}
            spots += [spot for spot in _parsed(tokens, text, bool(spots)) if spot.danger not in seen]
        self._found += spots
        if words[0] not in ("GRANT", "REVOKE", "ALTER", "DROP", "COMMENT"):
            self._called += _calls(tokens)

    def _bodies(self, tokens: Sequence[Piece], start: int) -> Iterator[_Spot]:
        """What is in the bodies of a routine or a DO block: strings after `start`, and BEGIN ATOMIC … END."""
        words = [t.word for t in tokens]
        language = "plpgsql" if words[0] == "DO" else "sql"
        for n, word in enumerate(words[:-1]):
            if word == "LANGUAGE":
                language = _language(tokens[n + 1])
        for token in tokens[start:]:
            if token.kind == "string" and not (language in _LANGUAGES and token.text.strip("'").lower() in _LANGUAGES):
                if language not in _LANGUAGES:
                    yield _Spot(Danger.UNPARSED, f"code in {language}", token.at)
                    return
                yield from self._body(token, language)
        if "ATOMIC" in words:
            yield from self._plain(tokens[words.index("ATOMIC") :])

    def _body(self, token: Piece, language: str) -> Iterator[_Spot]:
        inner, offset = content(token)
        pieces = [Piece(p.kind, p.text, token.at if offset is None else offset + p.at) for p in scan(inner)]
        if any(p.kind == "broken" for p in pieces):
            yield _Spot(Danger.UNPARSED, "a quote in the body is not closed", token.at)
            return
        tokens = escaped(significant(pieces))
        yield from self._plain(tokens)
        self._called += _calls(tokens)
        if language == "plpgsql":
            for n, piece in enumerate(tokens):
                if piece.word == "EXECUTE":
                    yield from self._execute(tokens, n)

    def _execute(self, tokens: Sequence[Piece], n: int) -> Iterator[_Spot]:
        """EXECUTE of PL/pgSQL: what is written out is looked into, what is put together is dangerous."""
        rest = tokens[n + 1 :]
        end = next((i for i, t in enumerate(rest) if t.word in (";", "USING", "INTO", "LOOP")), len(rest))
        what = list(rest[:end])
        if not what or what[0].word in ("FUNCTION", "PROCEDURE", "ON"):
            return
        text = _written_out(what)
        if text is None:
            shown = " ".join(t.text for t in what)[:60]
            yield _Spot(Danger.DYNAMIC, f"EXECUTE {shown} is put together at run time", tokens[n].at)
            return
        for statement in statements(list(scan(text))):
            inner = escaped(significant(statement))
            spots = list(self._plain(inner))
            if inner[0].word == "DO":
                spots += self._bodies(inner, 1)
            yield from (_Spot(s.danger, s.what, tokens[n].at) for s in spots)

    def _plain(self, tokens: Sequence[Piece]) -> Iterator[_Spot]:
        """What tokens show, wherever in a statement they stand."""
        words = [t.word for t in tokens]
        for n, token in enumerate(tokens):
            before, after = words[n - 1] if n else ";", words[n + 1] if n + 1 < len(words) else ""
            writes = token.word == "UPDATE" or (token.word in ("INTO", "FROM") and before in ("INSERT", *_WRITES))
            if writes and is_catalog(tokens, n + 1):
                what = f"{_shown(tokens[n:])} writes a catalog of the server by hand"
                yield _Spot(Danger.SERVER_CALL, what, token.at)
            if token.kind == "word":
                yield from _keyword(tokens, words, n, before, after)
            if after == "(" and (name := token.name) is not None:
                if FILES.match(name):
                    yield _Spot(Danger.SERVER_FILE, f"{name}() works on files of the server", token.at)
                elif SERVER.match(name):
                    yield _Spot(Danger.SERVER_CALL, f"{name}() is about the server, not the database", token.at)
                elif TEXTS.match(name) or (name.startswith("schedule") and words[max(n - 2, 0) : n] == ["CRON", "."]):
                    yield _Spot(Danger.DYNAMIC, f"{name}() runs a statement that it is given as text", token.at)


def _placed(spots: Sequence[_Spot], where: Place) -> Iterator[Found]:
    seen: set[tuple[Danger, int]] = set()
    for spot in sorted(spots, key=lambda s: s.at):
        line, column = where(spot.at)
        if (spot.danger, line) not in seen:
            seen.add((spot.danger, line))
            yield Found(spot.danger, spot.what, line, column)


def _written_out(what: Sequence[Piece]) -> str | None:
    """The text of an expression that is one: a string, or `format` of one that names and literals alone go into."""
    if len(what) == 1 and what[0].kind == "string":
        return content(what[0])[0]
    if len(what) > 3 and what[0].name == "format" and what[1].text == "(" and what[2].kind == "string":
        template = content(what[2])[0]
        if what[3].text in (",", ")") and not re.search(r"%(?!%|\d*\$?-?\d*[IL])", template.replace("%%", "")):
            return re.sub(r"%\d*\$?-?\d*L", "'x'", re.sub(r"%\d*\$?-?\d*I", '"x"', template)).replace("%%", "%")
    return None


def _keyword(tokens: Sequence[Piece], words: Sequence[str], n: int, before: str, after: str) -> Iterator[_Spot]:
    word, at = words[n], tokens[n].at
    if word == "DROP" and after in ("DATABASE", "SCHEMA", "OWNED"):
        danger = Danger.DROP_DATABASE if after == "DATABASE" else Danger.DROP_SCHEMA
        yield _Spot(danger, _shown(tokens[n:]), at)
    elif word == "TRUNCATE" and before in _STARTS and (after in ("TABLE", "ONLY") or _is_name(tokens, n + 1)):
        yield _Spot(Danger.TRUNCATE, _shown(tokens[n:]), at)
    elif word == "DELETE" and after == "FROM" and _everything(tokens, words, n):
        yield _Spot(Danger.DELETE_ALL, f"{_shown(tokens[n:])} has no WHERE that could be false", at)
    elif word == "UPDATE" and before not in ("FOR", "KEY", "ON", "DO", "OR", "OF", "BEFORE", "AFTER"):
        head = words[n + 1 : n + 10]
        if _is_name(tokens, n + 1) and "SET" in head and after != "SET" and _everything(tokens, words, n):
            yield _Spot(Danger.UPDATE_ALL, f"{_shown(tokens[n:])} has no WHERE that could be false", at)
    elif word == "MERGE" and after == "INTO":
        yield from _merged(tokens, words, n)
    elif word in ("CREATE", "ALTER", "DROP") and before in _STARTS and of_server(words, n):
        yield _Spot(Danger.SERVER_CALL, f"{_shown(tokens[n:])} is about the server, or connects it elsewhere", at)
    elif word == "ALTER" and after == "SYSTEM":
        yield _Spot(Danger.SERVER_CALL, f"{_shown(tokens[n:])} changes a setting of the whole server", at)
    elif word in _RIGHTS and {"ROLE", "USER", "GRANT"} & set(words[:3]):
        yield _Spot(Danger.SERVER_CALL, f"{_shown(tokens)} gives rights over the whole server", at)
    elif word in ("FILENAME", "PROGRAM") and "OPTIONS" in words[:n] and _is_string(tokens, n + 1):
        yield _Spot(Danger.SERVER_FILE, f"{_shown(tokens)} reads a file of the server, or starts a program", at)
    elif word == "COPY" and before in _STARTS:
        end = words.index(";", n) if ";" in words[n:] else len(words)
        depth = 0
        for i in range(n, end):
            depth += (words[i] == "(") - (words[i] == ")")
            following = tokens[i + 1] if i + 1 < end else None
            if depth != 0 or words[i] not in ("FROM", "TO") or following is None:
                continue
            if following.word == "PROGRAM" or following.kind == "string":
                yield _Spot(Danger.SERVER_FILE, _shown(tokens[n:]), at)
                break
    elif word == "LOAD" and before == ";" and n + 1 < len(tokens) and tokens[n + 1].kind == "string":
        yield _Spot(Danger.SERVER_FILE, _shown(tokens[n:]), at)


def _merged(tokens: Sequence[Piece], words: Sequence[str], n: int) -> Iterator[_Spot]:
    """MERGE with an action that is for every row of its table."""
    found = _on_all(tokens, n)
    if found is None:  # not understood: then by its ON alone
        on = next((i for i in range(n, len(words)) if words[i] == "ON"), None)
        held = on is not None and holds(_until(tokens[on + 1 :], ("WHEN", ";")))
        found = {second for first, second in pairwise(words[on:]) if held and first == "THEN"}
    for action, danger in (("DELETE", Danger.DELETE_ALL), ("UPDATE", Danger.UPDATE_ALL)):
        if action in found:
            yield _Spot(danger, f"{_shown(tokens[n:])} … does it with every row", tokens[n].at)


def _on_all(tokens: Sequence[Piece], n: int) -> Set[str] | None:
    """What the DELETE, UPDATE or MERGE at `n` does with every row of its table; see `narrowing.on_all`."""
    from reconcile.stores.postgres.narrowing import on_all

    begin = max((i + 1 for i in range(n) if tokens[i].text == ";"), default=0)
    before = (
        tokens[begin:n] if tokens[begin].word == "WITH" and _until(tokens[begin:n], ()) == tokens[begin:n] else None
    )
    return on_all(_until(tokens[n:], (";",)), tokens[:n] if before is None else before)


def _language(token: Piece) -> str:
    return content(token)[0].lower() if token.kind == "string" else (token.name or "").lower()


def _is_string(tokens: Sequence[Piece], n: int) -> bool:
    return n < len(tokens) and tokens[n].kind == "string"


def _is_name(tokens: Sequence[Piece], n: int) -> bool:
    return n < len(tokens) and tokens[n].name is not None


def _everything(tokens: Sequence[Piece], words: Sequence[str], n: int) -> bool:
    """Whether the DELETE or UPDATE at `n` has no WHERE of its own, or one that holds for every row."""
    depth = 0
    for i in range(n, len(tokens)):
        depth += (words[i] == "(") - (words[i] == ")")
        if depth < 0 or (depth == 0 and words[i] == ";"):
            return True
        if depth == 0 and words[i] == "WHERE" and tokens[i].kind == "word":
            found = _on_all(tokens, n)
            return bool(found) if found is not None else holds(_until(tokens[i + 1 :], (";", "RETURNING")))
    return True


def _until(tokens: Sequence[Piece], ends: tuple[str, ...]) -> Sequence[Piece]:
    """Tokens up to one of these words, or the parenthesis that closes around them."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0 or (depth == 0 and token.word in ends):
            return tokens[:i]
    return tokens


def holds(condition: Sequence[Piece]) -> bool:
    """Whether a condition, or an alternative of it, names nothing of the row, or compares a thing to itself."""
    while len(condition) > 1 and condition[0].text == "(" and len(_until(condition[1:], ())) == len(condition) - 2:
        condition = condition[1:-1]
    alternatives: list[list[Piece]] = [[]]
    depth = 0
    for token in condition:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.word == "OR":
            alternatives.append([])
        else:
            alternatives[-1].append(token)
    if len(alternatives) > 1:
        return any(holds(one) for one in alternatives)
    texts = [t.name or t.text for t in condition]
    middle = len(texts) // 2
    if len(texts) % 2 and texts[middle] in ("=", ">=", "<=") and texts[:middle] == texts[middle + 1 :]:
        return True
    names = (t for t, after in zip(condition, [*texts[1:], ""], strict=True) if after != "(")
    return not any(t.kind == "quoted" or (t.kind == "word" and t.word not in _CONSTANT) for t in names)


def _shown(tokens: Sequence[Piece]) -> str:
    end = next((i for i, t in enumerate(tokens) if t.text == ";"), len(tokens))
    text = " ".join(t.text if len(t.text) < 40 else t.text[:37] + "…" for t in tokens[: min(end, 6)])
    return re.sub(r" ([.,;()]) ?", r"\1", text)


def _routine(tokens: Sequence[Piece]) -> tuple[str, int] | None:
    """The name of the routine that a statement makes, and where what comes after the name begins."""
    words = [t.word for t in tokens]
    if words[0] != "CREATE":
        return None
    kind = next((i for i, w in enumerate(words[:5]) if w in ("FUNCTION", "PROCEDURE")), None)
    if kind is None or any(w in ("TRIGGER", "EVENT") for w in words[:kind]):
        return None
    paren = words.index("(", kind) if "(" in words[kind:] else len(words)
    return tokens[paren - 1].name or "", paren


def _calls(tokens: Sequence[Piece]) -> Iterator[tuple[str, int]]:
    for token, following in pairwise(tokens):
        if following.text == "(" and (name := token.name) is not None:
            yield name, token.at


def _parsed(tokens: Sequence[Piece], text: str, known: bool) -> Iterator[_Spot]:
    """What sqlglot says of a statement that reads or writes rows.

    It does not know all of PostgreSQL. One that it cannot parse and that may delete or change rows is dangerous;
    of one that only reads or inserts the tokens have said all there is.
    """
    import sqlglot
    from sqlglot import exp

    at = tokens[0].at
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of what it does not know
    try:
        found = sqlglot.parse_one(text, dialect="postgres")
    except (sqlglot.errors.SqlglotError, RecursionError):
        found = None
    if found is None or isinstance(found, exp.Command):
        of_cursor = [t.word for t in tokens[-3:-1]] == ["CURRENT", "OF"]  # which sqlglot does not know
        if not known and not of_cursor and any(t.word in _WRITES for t in tokens):
            yield _Spot(Danger.UNPARSED, f"{_shown(tokens)} … cannot be parsed, and may delete or change rows", at)
        return
    for node in found.walk():
        if isinstance(node, exp.Delete) and not node.args.get("where"):
            yield _Spot(Danger.DELETE_ALL, f"{_shown(tokens)} … deletes without WHERE", at)
        elif isinstance(node, exp.Update) and not node.args.get("where") and not _of_merge(node):
            yield _Spot(Danger.UPDATE_ALL, f"{_shown(tokens)} … updates without WHERE", at)
        elif isinstance(node, exp.TruncateTable):
            yield _Spot(Danger.TRUNCATE, _shown(tokens), at)
        elif isinstance(node, exp.Drop) and str(node.args.get("kind")).upper() in ("SCHEMA", "DATABASE"):
            kind = str(node.args["kind"]).upper()
            yield _Spot(Danger.DROP_SCHEMA if kind == "SCHEMA" else Danger.DROP_DATABASE, _shown(tokens), at)


def _of_merge(node: object) -> bool:
    """Whether it is an action of MERGE or of ON CONFLICT, which have conditions of another form."""
    from sqlglot import exp

    return isinstance(node, exp.Update) and (node.find_ancestor(exp.When, exp.OnConflict) is not None or not node.this)
