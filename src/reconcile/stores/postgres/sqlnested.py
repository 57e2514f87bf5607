"""Conditions that the server prints in a form which it reads as another: an AND first in an AND, an OR first in an OR.

`x BETWEEN 1 AND 5 AND y` is printed as `((x >= 1) AND (x <= 5)) AND y`, which is read as one AND of three: the text of
what is made from it differs for ever. So it is written as what it was (gram.y, makeAndExpr; PostgreSQL 12 to 18).
"""

from __future__ import annotations

from collections.abc import Sequence

_BETWEEN = {("and", ">=", "<="): "BETWEEN", ("or", "<", ">"): "NOT BETWEEN"}
_LISTS = {("or", "="): "IN", ("and", "<>"): "NOT IN"}
_ROWS = {("and", "="): "=", ("or", "<>"): "<>"}


def unflattened(texts: Sequence[str]) -> list[str]:
    """The texts of tokens, with such conditions written so that they stay apart; the number of tokens stays the same.

    >>> from reconcile.stores.postgres.sqltokens import tokens
    >>> "".join(unflattened([t.text for t in tokens("(((x >= 1) AND (x <= 5)) AND y)")]))
    '((x BETWEEN 1 AND 5) AND y)'
    """
    found, ends = list(texts), _ends(texts)
    for start, end in ends.items():
        before, after = _near(texts, start, -1), _near(texts, end, 1)
        word = None if after is None else texts[after].lower()
        if word not in ("and", "or") or not (before is None or texts[before] == "("):
            continue
        parts = _parts(texts, start, end, word, ends)
        said = None if parts is None else _between(word, parts) or _listed(word, parts) or _rows(word, parts)
        if said is not None:
            found[start + 1 : end] = [said, *[""] * (end - start - 2)]
    return found


def _ends(texts: Sequence[str]) -> dict[int, int]:
    """Where each parenthesis is closed; those inside another before it."""
    open_, found = [], dict[int, int]()
    for place, text in enumerate(texts):
        if text == "(":
            open_.append(place)
        elif text == ")" and open_:
            found[open_.pop()] = place
    return dict(sorted(found.items(), reverse=True))


def _near(texts: Sequence[str], at: int, step: int) -> int | None:
    at += step
    while 0 <= at < len(texts) and texts[at].isspace():
        at += step
    return at if 0 <= at < len(texts) else None


Comparison = tuple[str, str, str]
"""Left side, operator, right side."""


def _parts(texts: Sequence[str], start: int, end: int, word: str, ends: dict[int, int]) -> list[Comparison] | None:
    """`(a = b) AND (c = d)` as comparisons; None where anything else stands between the parentheses."""
    found: list[Comparison] = []
    at = _near(texts, start, 1)
    while at is not None and at < end:
        close = ends.get(at)
        if texts[at] != "(" or close is None:
            return None
        compared = _comparison(texts[at + 1 : close])
        inside = None if compared or found else _parts(texts, at, close, word, ends)
        if inside is not None and _listed(word, inside) is None:
            inside = None  # only a list may be nested in a list
        if compared is None and inside is None:
            return None
        found += inside or ([compared] if compared else [])
        after = _near(texts, close, 1)
        if after is None or after >= end:
            break
        if texts[after].lower() != word:
            return None
        at = _near(texts, after, 1)
    return found if len(found) > 1 else None


def _comparison(words: Sequence[str]) -> Comparison | None:
    depth, signs = 0, []
    for place, word in enumerate(words):
        depth += (word in "([" and word != "") - (word in ")]" and word != "")
        if depth == 0 and word in ("=", "<>", "<", ">", "<=", ">="):
            signs.append(place)
        elif depth == 0 and word.lower() in ("and", "or", "not", "is", "between"):
            return None
    if len(signs) != 1:
        return None
    at = signs[0]
    return "".join(words[:at]).strip(), words[at], "".join(words[at + 1 :]).strip()


def _between(word: str, parts: Sequence[Comparison]) -> str | None:
    if len(parts) != 2 or parts[0][0] != parts[1][0]:
        return None
    sign = _BETWEEN.get((word, parts[0][1], parts[1][1]))
    return None if sign is None else f"{_alone(parts[0][0])} {sign} {_alone(parts[0][2])} AND {_alone(parts[1][2])}"


def _alone(text: str) -> str:
    return f"({text})" if " " in text and not text.startswith("(") else text


def _listed(word: str, parts: Sequence[Comparison]) -> str | None:
    """An IN of what is not constant."""
    left, sign = parts[0][0], _LISTS.get((word, parts[0][1]))
    if sign is None or any(p[:2] != parts[0][:2] for p in parts):
        return None
    return f"{_alone(left)} {sign} ({', '.join(p[2] for p in parts)})"


def _rows(word: str, parts: Sequence[Comparison]) -> str | None:
    sign = _ROWS.get((word, parts[0][1]))
    if sign is None or any(p[1] != sign for p in parts):
        return None
    left, right = ", ".join(p[0] for p in parts), ", ".join(p[2] for p in parts)
    return f"ROW({left}) {sign} ROW({right})"
