"""Values as YAML text in the look of the format: outer levels in blocks, short leaves on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH = 110
_LEAF_DEPTH = 3
"""From here on (store's part, object, its part) whatever fits on a line is written on one."""

_WORD = re.compile(r"(?i:y|yes|n|no|true|false|on|off|null|~|=|<<|nan|inf)\Z")
_NUMBER_LIKE = re.compile(r"[-+.]?[0-9][-+.0-9_:,eExXobOBa-fA-F]*\Z|[-+]?\.(?i:inf|nan)\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?\Z", re.S)
_PLAIN = re.compile(r"[A-Za-z_/$(.<=+0-9^\\;\u00c0-\ud7ff][^\x00-\x1f\x7f-\x9f\ufeff\u2028\u2029\ud800-\udfff]*\Z")
_BREAKS_PLAIN = re.compile(r":(\s|\Z)|\s#|[\[\]{}]|\s\Z|[\"'`|%&*!@,?]")
_BLOCK = re.compile(r"(?!\s)[^\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff\u2028\u2029\ud800-\udfff\ufffe\uffff]*\Z")
_TRAILING = re.compile(r"[ ](\n|\Z)")


def dump(document: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    """A document as YAML text, ending in a line break; reading it gives the same values.

    Strings are quoted wherever a YAML 1.1 or 1.2 reader would take them for something else; `${` is written
    `$${`, since files of a schema replace `${var.…}`.

    Args:
        comments: lines put above, each after `# `.
    """
    head = [f"# {line}".rstrip() for text in comments for line in (text.splitlines() or [""])]
    return "\n".join([*head, *_block(document, 0)]) + "\n"


def _block(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, inner in value.items():
        yield from _entry(f"{indent}{quoted(str(key), key=True)}:", inner, depth)


def _entry(head: str, value: Any, depth: int) -> Iterator[str]:
    """The lines of one key or list item that begins with `head`."""
    indent = "  " * (depth + 1)
    if isinstance(value, str) and _as_block(value):
        sign = "|" if value.endswith("\n") else "|-"
        yield f"{head} {sign}"
        for line in value.removesuffix("\n").split("\n"):
            yield indent + _escape(line) if line else ""
        return
    if not isinstance(value, Mapping | list | tuple):
        yield f"{head} {_scalar(value)}"
        return
    if not value or _fits_look(value, depth):
        line = f"{head} {_flow(value)}"
        if not value or len(line) <= WIDTH:
            yield line
            return
    yield head
    if isinstance(value, Mapping):
        yield from _block(value, depth + 1)
        return
    for item in value:
        yield from _entry(f"{indent}-", item, depth + 1)


def _fits_look(value: Any, depth: int) -> bool:
    """Whether this may stand on one line, were it short enough."""
    if any(isinstance(text, str) and _as_block(text) for text in _leaves(value)):
        return False
    if depth >= _LEAF_DEPTH or not isinstance(value, Mapping):
        return True
    nested = [v for v in value.values() if isinstance(v, Mapping)]
    if any(isinstance(v, Mapping) for inner in nested for v in inner.values()):
        return False
    return not nested or (depth == 1 and len(nested) * 2 < len(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(str(k), key=True)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return quoted(_escape(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if value - value != 0:
            return quoted(str(value))
        written = repr(value) if type(value) is float else str(value)
        return written.replace("e", ".0e") if "." not in written else written  # YAML 1.1 takes 1e-05 for text
    raise TypeError(f"{type(value).__name__} is no YAML value")


def _escape(text: str) -> str:
    return text.replace("${", "$${")


def quoted(text: str, *, key: bool = False) -> str:
    """Plain where every reader takes it for this text, else in double quotes, or single where that is plainer."""
    if _PLAIN.match(text) and not (
        _BREAKS_PLAIN.search(text)
        or _WORD.match(text)
        or _NUMBER_LIKE.match(text)
        or _DATE.match(text)
        or (key and (": " in text or len(text) > 100))
        or text.count("(") != text.count(")")
        or text.startswith(("---", "...", "= "))
    ):
        return text
    if text and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    if text and text.isprintable() and "'" not in text:
        return f"'{text}'"
    return _double(text)


def _double(text: str) -> str:
    """Double quotes with JSON's escapes, which YAML shares, and `\\U` for what lies outside the first plane."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(
        c if c.isprintable() else (f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}") for c in written
    )


def _as_block(text: str) -> bool:
    """Whether a literal block can hold the text as it is, and shows it better."""
    return (
        "\n" in text.rstrip("\n")
        and bool(_BLOCK.match(text))
        and not _TRAILING.search(text)
        and not text.endswith("\n\n")
    )
