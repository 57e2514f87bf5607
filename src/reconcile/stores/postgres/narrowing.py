"""Whether a DELETE, UPDATE or MERGE means some rows of its table, or all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import sqlglot
from sqlglot import exp

from reconcile.stores.conditions import FOREIGN, Rows
from reconcile.stores.postgres.literals import content
from reconcile.stores.postgres.scripts import Piece

_ENDS = ("RETURNING",)
_DEEPEST = 12


@dataclass(frozen=True)
class _Scope:
    """What the names of a condition mean."""

    table: str
    """Whose rows are deleted or changed."""
    own: frozenset[str]
    """The names under which the condition knows these rows."""
    others: frozenset[str]
    """The names of what else is in FROM or USING."""
    ctes: Mapping[str, exp.Expr]
    renamed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What a column of one of `own` is called in the table, by table and name."""
    depth: int = 0
    schema: str = ""
    """Of the table, where it is written."""


def on_all(statement: Sequence[Piece], before: Sequence[Piece] = ()) -> Set[str] | None:
    """What a statement does with every row of its table: DELETE, UPDATE, nothing; None where it cannot be read.

    Args:
        statement: from its DELETE, UPDATE or MERGE to its end.
        before: what stands before it: WITH, perhaps.
    """
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of what it does not know
    try:
        found = sqlglot.parse_one(_text(_head(statement)), dialect="postgres")
        ctes = _ctes(before)
        if isinstance(found, exp.Merge):
            return set(_merges(found, ctes))
        if isinstance(found, exp.Delete | exp.Update) and isinstance(found.this, exp.Table):
            return {found.key.upper()} if _changes(found, ctes) else set()
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
        pass
    return None


def _head(statement: Sequence[Piece]) -> Sequence[Piece]:
    end = next((i for i, t in enumerate(statement) if t.word in _ENDS), len(statement))
    if end > 2 and [t.word for t in statement[end - 3 : end - 1]] == ["CURRENT", "OF"]:
        place, cursor = statement[end - 3].at, statement[end - 1]
        told = [("word", "ctid"), ("other", "="), cursor[:2], ("other", "."), ("word", "ctid")]
        return [*statement[: end - 3], *(Piece(kind, text, place) for kind, text in told)]
    return statement[:end]


def _text(tokens: Sequence[Piece]) -> str:
    """Tokens in a spelling that sqlglot knows: without escapes, nothing run together."""
    parts = []
    for token in tokens:
        if token.kind == "quoted":
            parts.append('"' + (token.name or "").replace('"', '""') + '"')
        elif token.kind == "string":
            parts.append("'" + content(token)[0].replace("'", "''") + "'")
        else:
            parts.append(token.text)
    return " ".join(parts)


def _ctes(before: Sequence[Piece]) -> Mapping[str, exp.Expr]:
    """The queries of a WITH by name; of PL/pgSQL those of loops and cursors too."""
    if not before or before[0].word != "WITH":
        return dict(_loops(before))
    try:
        found = sqlglot.parse_one(f"{_text(before)} SELECT 1", dialect="postgres")
    except sqlglot.errors.SqlglotError:
        return {}
    return {cte.alias.lower(): cte.this for cte in found.find_all(exp.CTE)}


def _loops(before: Sequence[Piece]) -> Iterator[tuple[str, exp.Expr]]:
    """`FOR r IN SELECT … LOOP`, `c CURSOR FOR SELECT …;`, `FOR r IN c LOOP`: what is in the variable."""
    words = [t.word for t in before]
    known: dict[str, exp.Expr] = {}
    for n, word in enumerate(words):
        name = before[n + 1].name if word == "FOR" and words[n + 2 : n + 3] == ["IN"] else None
        if name is not None and words[n + 4 : n + 5] == ["LOOP"] and (cursor := before[n + 3].name) in known:
            known[name] = known[cursor or ""]
        begin = n + 3 if name is not None else n + 2
        if word == "CURSOR" and words[n + 1 : n + 2] == ["FOR"]:
            name = before[n - 1].name
        if name is None or words[begin : begin + 1] != ["SELECT"]:
            continue
        end = next((i for i in range(begin, len(words)) if words[i] in ("LOOP", ";")), len(words))
        try:
            known[name] = sqlglot.parse_one(_text(before[begin:end]), dialect="postgres")
        except sqlglot.errors.SqlglotError:
            continue
    yield from known.items()


def _changes(found: exp.Delete | exp.Update, ctes: Mapping[str, exp.Expr]) -> bool:
    where = found.args.get("where")
    if where is None:
        return True
    scope = _rows_of(found.this, ctes)
    using = found.args.get("using") or []
    origin = found.args.get("from_")
    sources = [*using, *([origin.this] if origin is not None else [])]
    for source in [s for top in sources for s in (top, *(j.this for j in top.args.get("joins") or ()))]:
        scope = _with(source, scope)
    for name in ctes.keys() & {c.table.lower() for c in where.find_all(exp.Column)} - scope.own - scope.others:
        scope = _with(exp.to_table(name), scope)  # the rows of a loop
    joined = [j.args["on"] for top in sources for j in top.args.get("joins") or () if j.args.get("on") is not None]
    return _all(exp.and_(where.this, *joined), scope)


def _rows_of(table: exp.Expr, ctes: Mapping[str, exp.Expr]) -> _Scope:
    own = frozenset({table.alias_or_name.lower()})
    return _Scope(table.name.lower(), own, frozenset(), ctes, schema=table.text("db").lower())


def _with(source: exp.Expr, scope: _Scope) -> _Scope:
    """The scope with what else is in FROM or USING: all rows of the table itself, or something else."""
    name = source.alias_or_name.lower()
    if not _is(source, scope):
        return replace(scope, others=scope.others | {name})
    query = scope.ctes.get(source.name.lower()) if isinstance(source, exp.Table) else source.this
    chosen = query.expressions if isinstance(query, exp.Select) else ()
    names = {(name, e.alias.lower()): e.unalias().name.lower() for e in chosen if e.alias}
    return replace(scope, own=scope.own | {name}, renamed={**scope.renamed, **names})


def _merges(found: exp.Merge, ctes: Mapping[str, exp.Expr]) -> Iterator[str]:
    """Actions that delete or update every row."""
    scope = _with(found.args["using"], _rows_of(found.this, ctes))
    matched = found.args["on"]
    for when in found.args["whens"].expressions:
        then = when.args["then"]
        if not isinstance(then, exp.Update) and then.name.upper() != "DELETE":
            continue
        conditions = [c for c in (when.args.get("condition"),) if c is not None]
        if when.args.get("matched"):
            conditions.append(matched)
        elif not when.args.get("source"):
            continue
        if all(_all(c, scope) for c in conditions):
            yield "UPDATE" if isinstance(then, exp.Update) else "DELETE"


def _all(condition: exp.Expr, scope: _Scope) -> bool:
    """Whether a condition is true for every row."""
    return scope.depth < _DEEPEST and Rows(_read(condition.copy(), scope)).all()


def _read(condition: exp.Expr, scope: _Scope) -> exp.Expr:
    """The condition with what its subqueries and other tables are to a row put in their place."""
    root = exp.Paren(this=condition)
    for node in list(root.find_all(exp.Exists, exp.In, exp.Any, exp.Subquery, exp.Select)):
        if _within_query(node, root):
            continue
        told = _query(node, scope)
        if told is not None:
            target, value = told
            target.replace(value)
    for column in list(root.find_all(exp.Column)):
        table, name = column.table.lower(), column.name.lower()
        if isinstance(column.this, exp.Star) or (not table and name in scope.own):
            column.replace(exp.column("ctid"))  # the row as a whole
        elif (table or name) in scope.others or name == "tableoid":  # the same for all rows
            column.replace(exp.Placeholder(this=f"{FOREIGN} {name}"))
        elif not table or table in scope.own or table == scope.table:
            quoted = isinstance(column.this, exp.Identifier) and column.this.quoted
            column.replace(exp.column(scope.renamed.get((table, name), column.name if quoted else name)))
        else:
            column.replace(exp.column(f"{table}.{name}"))
    return root


def _within_query(node: exp.Expr, root: exp.Expr) -> bool:
    """Whether it is inside another query, or has been replaced with one."""
    parent = node.parent
    while parent is not None and parent is not root:
        if isinstance(parent, exp.Select):
            return True
        parent = parent.parent
    return parent is None


def _query(node: exp.Expr, scope: _Scope) -> tuple[exp.Expr, exp.Expr] | None:
    """What a subquery says of a row: the expression it is part of, and what that is."""
    query = _select(node)
    if query is None:
        return None
    if isinstance(node, exp.Any):
        compared = node.parent
        if not isinstance(compared, exp.EQ):
            return node, _opaque(node)
        return compared, _member(compared.this, query, scope) or _opaque(compared)
    if isinstance(node, exp.In):
        return node, _member(node.this, query, scope) or _opaque(node)
    if isinstance(node, exp.Exists):
        return node, _exists(query, scope) or _opaque(node)
    compared = node.parent
    if isinstance(compared, exp.EQ) and isinstance(query, exp.Select) and _itself(query, scope):
        return compared, exp.true()
    if isinstance(compared, exp.GTE | exp.LTE) and node is compared.expression and _extreme(compared, query, scope):
        return compared, exp.true()
    return node, (_opaque(node) if _correlated(query, scope) else exp.Placeholder(this=FOREIGN))


def _select(node: exp.Expr) -> exp.Query | None:
    """The query of an expression."""
    inner = (
        node.args.get("query") if isinstance(node, exp.In) else node.this if not isinstance(node, exp.Select) else node
    )
    while isinstance(inner, exp.Subquery | exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Array) and len(inner.expressions) == 1:
        inner = inner.expressions[0]
    return inner if isinstance(inner, exp.Query) else None


def _opaque(node: exp.Expr) -> exp.Expr:
    return exp.column(exp.to_identifier(node.sql()))


def _member(left: exp.Expr, query: exp.Query, scope: _Scope) -> exp.Expr | None:
    """Whether a row's own value is surely, or surely not, among those of a query."""
    if isinstance(query, exp.Union):
        arms = [_member(left, arm, scope) for arm in (query.left, query.right) if isinstance(arm, exp.Query)]
        return next((a for a in arms if isinstance(a, exp.Boolean) and a.this), None)
    if _empty(query, scope):
        return exp.false()
    names = [c.name.lower() for c in left.find_all(exp.Column)]
    chosen = [e.unalias().name.lower() for e in query.expressions]
    return exp.true() if names == chosen and _whole(query, scope) else None


def _exists(query: exp.Query, scope: _Scope) -> exp.Expr | None:
    if _empty(query, scope):
        return exp.false()
    if isinstance(query, exp.Select) and (_whole(query, scope) or _itself(query, scope)):
        return exp.true()
    return None if _correlated(query, scope) else exp.Placeholder(this=FOREIGN)


def _itself(query: exp.Select, scope: _Scope) -> bool:
    """Whether a row finds itself with `EXISTS (SELECT 1 FROM same_table b WHERE b.id = a.id)`."""
    source, where = _source(query), query.args.get("where")
    if source is None or where is None or query.args.get("limit") or not _is(source, scope):
        return False
    inner = replace(scope, own=scope.own | {source.alias_or_name.lower()}, depth=scope.depth + 1)
    return _all(where.this, inner)


def _empty(query: exp.Query, scope: _Scope) -> bool:
    """Whether a query has no rows for sure."""
    limit = query.args.get("limit")
    if limit is not None and limit.expression is not None and limit.expression.name == "0":
        return True
    where = query.args.get("where")
    if where is None or where.find(exp.Query) is not None:
        return False
    found = exp.Not(this=exp.Paren(this=where.this.copy()))
    return scope.depth < _DEEPEST and not any(found.find_all(exp.Column)) and Rows(found).all()


def _source(query: exp.Query) -> exp.Expr | None:
    origin = query.args.get("from_")
    if origin is None or query.args.get("joins") or query.args.get("having"):
        return None
    source: exp.Expr = origin.this
    return None if source.args.get("joins") or source.args.get("sample") else source


def _is(source: exp.Expr | None, scope: _Scope) -> bool:
    """Whether a source has all rows of the table. Of two names one of which has no schema, both may mean it."""
    ctes = scope.ctes
    if isinstance(source, exp.Table) and source.name.lower() in ctes and not source.db:
        rest = {k: v for k, v in ctes.items() if k != source.name.lower()}
        query = ctes[source.name.lower()]
    elif isinstance(source, exp.Table):
        apart = source.db and scope.schema and source.db.lower() != scope.schema
        return source.name.lower() == scope.table and not apart
    elif isinstance(source, exp.Subquery):
        query, rest = source.this, dict(ctes)
    else:
        return False
    inner = _Scope(scope.table, frozenset({scope.table}), frozenset(), rest, schema=scope.schema)
    return isinstance(query, exp.Select) and _whole(query, inner)


def _whole(query: exp.Query, scope: _Scope) -> bool:
    """Whether a query has every row of the table."""
    if scope.depth >= _DEEPEST or not isinstance(query, exp.Select):
        return False
    source = _source(query)
    limit = query.args.get("limit")
    if source is None or query.args.get("offset") or (limit is not None and limit.expression.name.upper() != "ALL"):
        return False
    if not _is(source, scope):
        return False
    where = query.args.get("where")
    own = frozenset({source.alias_or_name.lower(), scope.table})
    inner = _Scope(scope.table, own, frozenset(), scope.ctes, depth=scope.depth + 1, schema=scope.schema)
    return where is None or _all(where.this, inner)


def _extreme(compared: exp.Expr, query: exp.Query, scope: _Scope) -> bool:
    """Whether a row is asked to be no less than the least of all, or no more than the most."""
    chosen = query.expressions[0].unalias() if query.expressions else None
    kind = exp.Min if isinstance(compared, exp.GTE) else exp.Max
    return isinstance(chosen, kind) and chosen.this.name == compared.this.name and _whole(query, scope)


def _correlated(query: exp.Query, scope: _Scope) -> bool:
    """Whether a query may look at the row: names of its own tables do not, names without a table may."""
    inside = {t.alias_or_name.lower() for t in query.find_all(exp.Table, exp.Subquery)} - scope.own
    return any(c.table.lower() not in inside for c in query.find_all(exp.Column))
