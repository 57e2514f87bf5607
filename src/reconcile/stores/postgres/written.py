"""Which privileges hand-written SQL needs: that of backfills and of migrations. Pure; what names mean is asked apart.

Rather too little than too much: what is asked too much refuses a run that would work. Bodies of routines and of DO are
not looked into, and nothing is asked about a file that changes its role, or what roles may do.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconcile.change import Op, Step
from reconcile.stores.filling import PUT
from reconcile.stores.postgres.names import split
from reconcile.stores.postgres.needs import Need
from reconcile.stores.postgres.privilege_rules import RELATION, asked
from reconcile.stores.postgres.resources import OWN_SCHEMA
from reconcile.stores.postgres.scripts import Piece, scan, significant, statements
from reconcile.stores.truncating import EMPTY

if TYPE_CHECKING:
    from sqlglot import exp

ROWS = "rows"
"""The kind of a relation whose rows are read or written: the privilege on some of its columns may be enough."""
TRACKING = "tracking"
"""The kind of the table that says which migrations ran: to be made, or written."""
_HAND = frozenset({"backfill_rows", "run_migration", PUT, EMPTY})
_I = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_N = rf"{_I}(?: \. {_I})*"
_MAKES = r"(?:RECURSIVE )?(?:VIEW|MATERIALIZED VIEW|SEQUENCE|TYPE|DOMAIN|FUNCTION|PROCEDURE|AGGREGATE|COLLATION)"
_LIST = rf"(?P<all>{_N}(?: \* )?(?: , {_N})*)"
_MADE = re.compile(
    rf"CREATE (?:OR REPLACE )?(?:(?:GLOBAL |LOCAL )?TEMP(?:ORARY)? |UNLOGGED )?"
    rf"(?:TABLE|{_MAKES}) (?:IF NOT EXISTS )?(?P<a>{_N})",
    re.I,
)
_GONE = re.compile(rf"DROP {RELATION} (?:IF EXISTS )?{_LIST}", re.I)
_SCHEMA = re.compile(rf"CREATE SCHEMA (?:IF NOT EXISTS )?(?!AUTHORIZATION)(?P<a>{_I})", re.I)
_TEMPORARY = re.compile(r"CREATE (?:OR REPLACE )?(?:GLOBAL |LOCAL )?TEMP", re.I)
_ROLES = re.compile(
    r"(?:SET (?:LOCAL |SESSION )?(?:ROLE|SESSION AUTHORIZATION)|RESET|REASSIGN|(?:GRANT|REVOKE) (?!.* ON )"
    r"|(?:CREATE|ALTER|DROP) (?:ROLE|USER|GROUP)|ALTER .* OWNER TO|SET (?:LOCAL |SESSION )?SEARCH_PATH)\b",
    re.I | re.S,
)
_DML = frozenset({"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "("})


def any_in(steps: Iterable[Step]) -> bool:
    """Whether any of them runs SQL that somebody wrote."""
    return any(isinstance(call, Op) and call.op in _HAND for step in steps for call in step.calls)


def of_steps(steps: Iterable[Step]) -> dict[Need, list[str]]:
    """What their hand-written SQL needs, and for each need the steps that do. Names are as written: one without a
    schema has one part."""
    found: dict[Need, list[str]] = {}
    for step in steps:
        own = dict.fromkeys(need for call in step.calls if isinstance(call, Op) for need in _of_call(call))
        for need in own:
            found.setdefault(need, []).append(step.id)
    return found


def made(steps: Sequence[Step]) -> set[tuple[str, ...]]:
    """The schemas that migrations make, and that what is kept goes into."""
    keeps = any(isinstance(call, Op) and call.op == EMPTY for step in steps for call in step.calls)
    return ({(OWN_SCHEMA,)} if keeps else set()) | {
        _name(match["a"])
        for step in steps
        for call in step.calls
        if isinstance(call, Op) and call.op == "run_migration"
        for text in _split(_texts(call))
        if (match := _SCHEMA.match(_joined(text)))
    }


def _of_call(call: Op) -> Iterator[Need]:
    match call.op:
        case "run_migration":
            yield from _script(_texts(call))
            yield Need(TRACKING, _placed(str(call.args["table"])), "INSERT")
            if any(statement["alone"] for statement in call.args["statements"]):  # how far it is, is kept beside
                yield from _need("in", _placed(str(call.args["table"])), "CREATE")
        case "backfill_rows":
            yield from _backfill(call.args)
        case op if op == PUT:  # an upsert
            name = tuple(call.args["into"])
            yield from (Need(ROWS, name, privilege) for privilege in ("INSERT", "UPDATE", "SELECT"))
        case op if op == EMPTY:  # a copy of all of it goes into a table of the tool's own schema
            yield from (Need("relation", tuple(call.args["into"]), privilege) for privilege in ("SELECT", "TRUNCATE"))
            if call.args["keeps"]:
                yield from (Need(kind, (OWN_SCHEMA,), "CREATE") for kind in ("schema", "new schema"))


def _placed(table: str) -> tuple[str, ...]:
    schema, _, name = table.rpartition(".")
    return (schema, name) if schema else (name,)


def _texts(call: Op) -> Sequence[str]:
    return [str(statement["text"]) for statement in call.args.get("statements") or ()]


def _backfill(args: Mapping[str, Any]) -> Iterator[Need]:
    queries = [entry["query"] for entry in args.get("verify") or ()]
    yield from _script([args["select"], *(args.get("metrics") or {}).values(), *queries])
    if args.get("statement"):
        yield from _script([args["statement"]])
    into = str(args.get("into") or "")
    if into and len(split(into)) < 3 and args.get("program") is None:  # else it is in another store
        yield from (Need(ROWS, split(into), privilege) for privilege in ("SELECT", "UPDATE"))


def _script(texts: Sequence[str]) -> Iterator[Need]:
    """What a script needs of what was there before it: not of what it has made or removed itself by then."""
    found = list(_split(texts))
    joined = [_joined(tokens) for tokens in found]
    if any(_ROLES.match(text) for text in joined):
        return
    own: set[tuple[str, ...]] = set()
    for tokens, text in zip(found, joined, strict=True):
        word = tokens[0].word
        if word in _DML:
            needs: Iterable[Need] = _rows(" ".join(_kept(tokens)))
        else:
            needs = () if _TEMPORARY.match(text) else _ruled(word, text)
        yield from (need for need in needs if need.name not in own)
        if match := _MADE.match(text):
            own.add(_name(match["a"]))
        elif match := _GONE.match(text):
            own |= set(map(_name, match["all"].split(" , ")))


def _split(texts: Iterable[str]) -> Iterator[list[Piece]]:
    for text in texts:
        for tokens in statements(list(scan(text))):
            if own := significant(tokens):
                yield own


def _joined(tokens: Sequence[Piece]) -> str:
    """With one space between tokens, and nothing of what stands in strings."""
    return " ".join("''" if t.kind == "string" else t.word if t.kind == "word" else t.text for t in tokens)


def _kept(tokens: Sequence[Piece]) -> Iterator[str]:
    """As sqlglot reads it: the parameter `$keys` of a backfill is a number for the server's grammar."""
    for before, token in zip(["", *(t.text for t in tokens)], tokens, strict=False):
        if before == "$" and token.kind == "word":
            yield "1"
        else:
            yield token.text if token.text != "$" else "+"


def _ruled(word: str, text: str) -> Iterator[Need]:
    for kind, name, privilege in asked(word, text, own=False):
        yield from _need(kind, _name(name.partition("(")[0].removesuffix(" *")), privilege)


def _need(kind: str, name: tuple[str, ...], privilege: str) -> Iterator[Need]:
    if kind == "function()":
        yield Need("routine", name, privilege)
    elif kind != "in":
        yield Need(kind, name, privilege)
    elif len(name) == 2:
        yield Need("schema", name[:1], privilege)
    else:
        yield Need("schema", (), privilege)  # whichever is the first of the path


def _name(text: str) -> tuple[str, ...]:
    """`"Odd t"`, `public . notes`, as the server folds it; joined texts have words in upper case."""
    parts = re.findall(_I, text)
    return tuple(p[1:-1].replace('""', '"') if p.startswith('"') else p.lower() for p in parts)


def _rows(text: str) -> Iterator[Need]:
    """Of which tables a statement reads or writes rows."""
    import sqlglot
    from sqlglot import exp

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of what it does not know
    try:
        parsed = sqlglot.parse_one(text, dialect="postgres")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return
    named = {cte.alias for cte in parsed.find_all(exp.CTE)}
    for table in parsed.find_all(exp.Table):
        name = _of_table(table)
        if name and not (len(name) == 1 and table.name in named):
            yield from (Need(ROWS, name, privilege) for privilege in _privileges(table))


def _of_table(table: exp.Table) -> tuple[str, ...]:
    from sqlglot import exp

    if not isinstance(table.this, exp.Identifier):  # a function in FROM
        return ()
    parts = [p for p in (table.args.get("db"), table.this) if isinstance(p, exp.Identifier)]
    return tuple(p.this if p.args.get("quoted") else p.this.lower() for p in parts)


def _privileges(table: exp.Table) -> Iterator[str]:
    """By the statement that the table is the target of; what is only read takes SELECT."""
    from sqlglot import exp

    parent: Any = table.parent
    if isinstance(parent, exp.Schema):  # INSERT INTO t (a, b)
        parent, table = parent.parent, parent
    target = parent is not None and parent.this is table
    if isinstance(parent, exp.Update) and target:
        yield "UPDATE"
        reads = [*parent.expressions, parent.args.get("where"), parent.args.get("returning")]
        values = [e.expression if isinstance(e, exp.EQ) else e for e in reads if e is not None]
        if any(value.find(exp.Column) for value in values):
            yield "SELECT"
    elif isinstance(parent, exp.Delete) and target:
        yield "DELETE"
        if parent.args.get("where"):
            yield "SELECT"
    elif isinstance(parent, exp.Insert) and target:
        yield "INSERT"
        conflict = parent.args.get("conflict")
        if conflict is not None and conflict.expressions:
            yield "UPDATE"
        if (conflict is not None and conflict.args.get("conflict_keys")) or parent.args.get("returning"):
            yield "SELECT"
    elif isinstance(parent, exp.Merge) and target:
        actions = [when.args.get("then") for when in parent.find_all(exp.When)]
        yield "SELECT"
        if any(isinstance(a, exp.Insert) for a in actions):
            yield "INSERT"
        if any(isinstance(a, exp.Update) for a in actions):
            yield "UPDATE"
        if any(getattr(a, "name", "").upper() == "DELETE" for a in actions):
            yield "DELETE"
    else:
        yield "SELECT"
