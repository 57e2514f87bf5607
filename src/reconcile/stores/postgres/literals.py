"""What strings of SQL texts hold: in quotes, with escapes, in dollars."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconcile.stores.postgres.scripts import Piece


def content(token: Piece) -> tuple[str, int | None]:
    """What a string holds, and at which offset that begins where it stands there letter by letter."""
    text = token.text
    if text[0] == "$":
        tag = text.index("$", 1) + 1
        return text[tag:-tag], token.at + tag
    quote = text.index("'") + 1
    inner = text[quote:-1]
    if text[0] in "eE":
        inner = re.sub(r"\\(?:[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", _c, inner)
        return inner.replace("''", "'"), None
    if text[0] in "uU":
        name = Piece("quoted", 'U&"' + inner.replace('"', '""') + '"', 0).name
        return (name or "").replace("''", "'"), None
    return inner.replace("''", "'"), token.at + quote if "''" not in inner else None


_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _c(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        return chr(min(int(code, 16), 0x10FFFF))
    return chr(int(match[4], 8)) if match[4] else _LETTERS.get(match[5], match[5])


def escaped(tokens: Sequence[Piece]) -> list[Piece]:
    """Tokens in which `U&"d!0061ta" UESCAPE '!'` is one, with the backslash that escapes by default."""
    found: list[Piece] = []
    n = 0
    while n < len(tokens):
        token, n = tokens[n], n + 1
        if (
            token.text[:2] in ("U&", "u&")
            and [t.word for t in tokens[n : n + 1]] == ["UESCAPE"]
            and [t.kind for t in tokens[n + 1 : n + 2]] == ["string"]
        ):
            sign = content(tokens[n + 1])[0]
            token, n = token._replace(text=token.text.replace("\\", "\\\\").replace(sign, "\\")), n + 2
        found.append(token)
    return found
