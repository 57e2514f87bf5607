"""What CREATE OR REPLACE can change of a function, procedure or aggregate, and what differs between two. Pure text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from reconcile.stores.postgres.sqlroutines import Argument, Header, as_text, bare_type, clauses
from reconcile.stores.postgres.sqltokens import Token, tokens


def can_replace(before: Header, after: Header) -> bool:
    """Whether CREATE OR REPLACE leads from one to the other, both of one name and signature.

    The result stays; names of arguments that have one stay; defaults of arguments are not taken away.
    https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-NOTES
    """
    if before.kind != after.kind or _is_window(before) != _is_window(after):
        return False
    if before.kind == "aggregate":
        return _plain(before) == _plain(after) and _result_options(before) == _result_options(after)
    pairs = list(zip(before.inputs, after.inputs, strict=False))
    if any(a.name is not None and a.name != b.name for a, b in pairs):
        return False
    if any(a.default != b.default and a.type.lower().startswith("any") for a, b in pairs if a.default is not None):
        return False  # the default of a polymorphic argument has a type of its own
    if sum(a.default is not None for a in before.inputs) > sum(a.default is not None for a in after.inputs):
        return False
    return _result_type(before) == _result_type(after) and _row(before) == _row(after)


def _is_window(found: Header) -> bool:
    return any(c.lower() == "window" for c in clauses(found)) if found.kind == "function" else False


def _plain(found: Header) -> list[tuple[str, str | None, str]]:
    return [(a.mode, a.name, bare_type(a.type)) for a in found.arguments]


def _result_options(found: Header) -> dict[str, str]:
    """Of an aggregate, what its kind and the type of its result follow from."""
    words = [t for t in tokens(found.body) if t.kind != "space"]
    parts, depth = list[list[Token]](), 0
    for token in words:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 1 and token.text in ("(", ","):
            parts.append([])
        elif depth and parts:
            parts[-1].append(token)
    named = {p[0].text.lower(): as_text(p[2:]) for p in parts if p}
    wanted = ("stype", "finalfunc", "finalfunc_extra", "hypothetical")
    return {k: bare_type(v) if k == "stype" else v for k, v in named.items() if k in wanted}


def _outputs(found: Header) -> list[tuple[str | None, str]]:
    return [(a.name, bare_type(a.type)) for a in found.arguments if a.mode in ("out", "inout", "table")]


def _row(found: Header) -> list[tuple[str | None, str]]:
    """The columns of a result that is a row: they cannot change either."""
    outputs = _outputs(found)
    return outputs if len(outputs) > 1 or found.kind == "procedure" else []


def _result_type(found: Header) -> str | None:
    if found.kind == "procedure":
        return None
    if found.returns is None:
        outputs = _outputs(found)
        return outputs[0][1] if len(outputs) == 1 else "record"
    if found.returns == "table":
        outputs = _outputs(found)
        return f"setof {outputs[0][1] if len(outputs) == 1 else 'record'}"
    word, _, rest = found.returns.partition(" ")
    return f"setof {bare_type(rest)}" if word.lower() == "setof" else bare_type(found.returns)


def difference(before: Header, after: Header) -> list[str]:
    """What differs, for people: `returns integer → bigint`, `STABLE → IMMUTABLE`, `body`."""
    parts = list(_arguments_difference(before.arguments, after.arguments))
    if before.returns != after.returns:
        parts.append(f"returns {before.returns} → {after.returns}")
    if before.kind == "aggregate":
        return parts or ["options"]
    old, new = (list(clauses(h)) for h in (before, after))
    gone, come = ", ".join(c for c in old if c not in new), ", ".join(c for c in new if c not in old)
    if gone or come:
        parts.append(f"{gone} → {come}" if gone and come else f"+ {come}" if come else f"- {gone}")
    if _tail(before) != _tail(after):
        parts.append("body")
    return parts


def _arguments_difference(before: Sequence[Argument], after: Sequence[Argument]) -> Iterator[str]:
    for old, new in zip_longest(before, after):
        if old is None or new is None:
            yield f"+ argument {_shown(new)}" if new is not None else f"- argument {_shown(old)}"
        elif _shown(old) != _shown(new):
            yield f"argument {_shown(old)} → {_shown(new)}"


def _shown(x: Argument) -> str:
    parts = (x.mode if x.mode != "in" else "", x.name, x.type, x.default and f"default {x.default}")
    return " ".join(p for p in parts if p)


def _tail(found: Header) -> str:
    """The body: what follows the clauses."""
    words = [t for t in tokens(found.body) if t.kind != "space"]
    head = len([t for c in clauses(found) for t in tokens(c) if t.kind != "space"])
    return " ".join(t.text for t in words[head:])
