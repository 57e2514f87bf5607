"""Whether a condition of Cypher is true of every node or relationship, whatever its guise.

Its tokens are put in the words of SQL, and `stores.conditions` tries it out. Properties, patterns, subqueries and
whatever else has no like there are values that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from reconcile.stores.neo4j.scripts import Piece

_KEYWORDS = frozenset(("AND", "NOT", "IS", "NULL", "TRUE", "FALSE", "IN", "CASE", "WHEN", "THEN", "ELSE", "END"))
_TESTS = {"STARTS": "{}%", "ENDS": "%{}", "CONTAINS": "%{}%"}
_QUANTIFIERS = ("ANY", "ALL", "NONE", "SINGLE", "REDUCE", "SHORTESTPATH", "ALLSHORTESTPATHS")
_FUNCTIONS = {"TYPE": "REL_TYPE", "KEYS": "ELEMENT_KEYS", "PROPERTIES": "ELEMENT_PROPERTIES"}
"""What is no function in SQL, or another."""
_CLOSES = {"(": ")", "[": "]", "{": "}"}


def always(condition: Sequence[Piece], bound: Set[str]) -> bool:
    """Whether a condition holds whatever is matched.

    Args:
        bound: what MATCH binds: never NULL.
    """
    return _fits_all(_Words(bound).expression(condition), frozenset(n.lower() for n in bound))


def labels(tokens: Sequence[Piece]) -> bool:
    """Whether a label expression, `A|B&!C`, fits all there is: so do `%` and `A|!A`."""
    return _fits_all(" ".join(_LABELS.get(t.text, _column(t.text)) for t in tokens), frozenset())


def _fits_all(text: str, never_null: frozenset[str]) -> bool:
    """Whether a condition, in the words of SQL, is always true; not where it cannot be read."""
    import sqlglot

    from reconcile.stores.conditions import Rows

    try:
        found = sqlglot.parse_one(f"SELECT 1 WHERE {text}", dialect="postgres")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return False
    where = found.args.get("where")
    return where is not None and Rows(where.this, never_null).all()


_LABELS = {"!": "NOT", "&": "AND", "|": "OR", ":": "AND", "(": "(", ")": ")", "%": "TRUE"}


def label_end(tokens: Sequence[Piece], begin: int) -> int:
    """Where the label expression ends that begins at a place."""
    depth, n, operand = 0, begin, True
    while n < len(tokens):
        text = tokens[n].text
        if operand:
            depth += text == "("
            operand = text in ("(", "!")
            if not operand and tokens[n].name is None and text != "%":
                return n
        elif text == ")" and depth:
            depth -= 1
        elif text in ("|", "&", ":"):
            operand = True
        else:
            return n
        n += 1
    return n


def _column(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _content(token: Piece) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1])


class _Words:
    """Puts tokens of Cypher in the words of SQL."""

    def __init__(self, bound: Set[str]) -> None:
        self._bound = bound

    def expression(self, tokens: Sequence[Piece]) -> str:
        """OR binds least, then XOR, which SQL does not have."""
        return " OR ".join(
            "(" + ") <> (".join(self._plain(part) for part in split(one, "XOR")) + ")" for one in split(tokens, "OR")
        )

    def _plain(self, tokens: Sequence[Piece]) -> str:
        found: list[str] = []
        n = 0
        while n < len(tokens):
            text, n = self._next(tokens, n)
            found.append(text)
        return " ".join(found)

    def _next(self, tokens: Sequence[Piece], n: int) -> tuple[str, int]:
        """The words for what begins at `n`, and where that ends."""
        token, after = tokens[n], tokens[n + 1].text if n + 1 < len(tokens) else ""
        word = token.word
        if token.kind == "string":
            return _string(_content(token)), n + 1
        if token.text == "$":
            return "$1", n + 2
        if token.text == "=" and after == "~":
            return "~", n + 2
        if token.text + after in (">=", "<=", "<>"):
            return token.text + after, n + 2
        if token.text in _CLOSES:
            return self._group(tokens, n)
        if token.kind == "word" and after == "{" and word in ("EXISTS", "COUNT", "COLLECT"):
            return self._subquery(tokens, n)
        if token.kind == "word" and after == "(" and word in _QUANTIFIERS:
            return self._unknown(tokens, n, closing(tokens, n + 1))
        if token.kind == "word" and word in _TESTS and n + 1 < len(tokens):
            value = n + 1 + (tokens[n + 1].word == "WITH")
            if tokens[value].kind == "string":
                return f"LIKE {_string(_TESTS[word].format(_content(tokens[value])))}", value + 1
            return "LIKE", value
        if word == "IN" and [t.text for t in tokens[n + 1 : n + 3]] == ["[", "]"]:
            return "= ANY ('{}')", n + 3
        if word == "IN" and after == "[":
            return self._listed(tokens, n)
        if token.name is None or (token.kind == "word" and word in _KEYWORDS):
            return token.text, n + 1
        return self._named(tokens, n)

    def _named(self, tokens: Sequence[Piece], n: int) -> tuple[str, int]:
        """A variable, a property, labels, or a function."""
        name, end = tokens[n].name or "", n + 1
        if [t.text for t in tokens[end : end + 1]] == [":"]:
            stop = label_end(tokens, end + 1)
            if labels(tokens[end + 1 : stop]):
                return "TRUE", stop
            signs = (_LABELS.get(t.text, _column(f"{name}:{t.text}")) for t in tokens[end + 1 : stop])
            return f"({' '.join(signs)})", stop
        while end + 1 < len(tokens) and tokens[end].text == "." and tokens[end + 1].name is not None:
            name, end = f"{name}.{tokens[end + 1].name}", end + 2
        if end < len(tokens) and tokens[end].text == "[":
            return self._unknown(tokens, n, closing(tokens, end))
        if end < len(tokens) and tokens[end].text == "(":
            stop = closing(tokens, end)
            arguments = ", ".join(self.expression(a) for a in split(tokens[end + 1 : stop - 1], ",") if a)
            return f"{_FUNCTIONS.get(name.upper()) or re.sub(r'[^A-Za-z0-9]', '_', name)}({arguments})", stop
        return _column(name), end

    def _group(self, tokens: Sequence[Piece], n: int) -> tuple[str, int]:
        """Parentheses, a pattern, a list, a map."""
        stop = closing(tokens, n)
        if tokens[n].text == "(":
            end = pattern_end(tokens, stop)
            if end == stop:
                return f"({self.expression(tokens[n + 1 : stop - 1])})", stop
            return self._unknown(tokens, n, end)
        return self._unknown(tokens, n, stop)

    def _listed(self, tokens: Sequence[Piece], n: int) -> tuple[str, int]:
        stop = closing(tokens, n + 1)
        inner = tokens[n + 2 : stop - 1]
        if any(t.word in ("IN", "|") for t in inner) or [t.text for t in tokens[stop : stop + 1]] in (["+"], ["["]):
            text, end = self._unknown(tokens, n + 1, stop)
            return f"= {text}", end
        return f"IN ({', '.join(self.expression(e) for e in split(inner, ','))})", stop

    def _subquery(self, tokens: Sequence[Piece], n: int) -> tuple[str, int]:
        stop = closing(tokens, n + 1)
        text, _ = self._unknown(tokens, n, stop)
        return (f"COUNT({text})" if tokens[n].word == "COUNT" else text), stop

    def _unknown(self, tokens: Sequence[Piece], begin: int, end: int) -> tuple[str, int]:
        """A value that nobody knows: of the row, where it names something bound; else the same for all."""
        own = any(t.name in self._bound for t in tokens[begin:end])
        return (_column(" ".join(t.text for t in tokens[begin:end])) if own else "$1"), end


def closing(tokens: Sequence[Piece], n: int) -> int:
    """Where what opens at `n` has ended."""
    depth = 0
    for i in range(n, len(tokens)):
        depth += (tokens[i].text in _CLOSES) - (tokens[i].text in _CLOSES.values())
        if depth == 0:
            return i + 1
    return len(tokens)


def pattern_end(tokens: Sequence[Piece], n: int) -> int:
    """Where the pattern ends of which a node ends at `n`: there, where no relationship follows."""
    while True:
        texts = [t.text for t in tokens[n : n + 3]]
        begin = n + (texts[:1] == ["<"])
        if [t.text for t in tokens[begin : begin + 2]] == ["-", "["]:
            end = closing(tokens, begin + 1) + 1
        elif [t.text for t in tokens[begin : begin + 2]] == ["-", "-"]:
            end = begin + 2
        else:
            return n
        end += [t.text for t in tokens[end : end + 1]] == [">"]
        if [t.text for t in tokens[end : end + 1]] != ["("]:
            return n
        n = closing(tokens, end)


def split(tokens: Sequence[Piece], by: str) -> list[list[Piece]]:
    """At a word or sign that stands in no parentheses."""
    parts: list[list[Piece]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in "([{") - (token.text in ")]}")
        if depth == 0 and token.word == by:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
