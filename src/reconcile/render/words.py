"""Small things all formats say the same way: counts, sizes, symbols, values."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reconcile.change import Action
from reconcile.model import Json
from reconcile.units import duration, size

LEGEND = {
    Action.CREATE: "create",
    Action.UPDATE: "change in place",
    Action.REBUILD: "rebuild",
    Action.DELETE_CREATE: "drop, then create",
    Action.CREATE_DELETE: "create, then drop",
    Action.DELETE: "drop",
    Action.RENAME: "rename",
}
"""What each symbol means, in the order of the legend."""

UNMANAGED = "?"
"""The symbol of what is there and not declared; its legend is `not declared`."""
HELD = "="
"""Marks a change that waits for its release."""

_PLURALS = {
    "vocabulary": "vocabularies",
    "alias": "aliases",
    "default_privileges": "default privileges",
    "family": "families",
    "index": "indexes",
    "payload_index": "payload indexes",
    "policy": "policies",
    "unique": "unique constraints",
    "statistics": "statistics",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DECIMAL = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def action(names: Sequence[str]) -> Action:
    """The action of a plan file's `actions` list.

    >>> action(["delete", "create"]).value
    '-/+'
    """
    return Action["_".join(names).upper()]


def kind(name: str, count: int = 2) -> str:
    """A resource kind as people write it.

    >>> kind("foreign_key"), kind("index", 1), kind("unique", 1)
    ('foreign keys', 'index', 'unique constraint')
    """
    plural = _PLURALS.get(name, name.replace("_", " ") + ("" if name.endswith("s") else "s"))
    if count != 1:
        return plural
    return "unique constraint" if name == "unique" else name.replace("_", " ")


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "index"), counted(3, "index"), counted(2, "store")
    ('1 index', '3 indexes', '2 stores')
    """
    return f"{count} {kind(noun, count)}"


def by_kind(kinds: Iterable[str]) -> str:
    """Counts by kind in the order of first mention.

    >>> by_kind(["table", "index", "index"])
    '1 table, 2 indexes'
    """
    return ", ".join(counted(n, name) for name, n in Counter(kinds).items())


def listed(items: Sequence[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def amount(count: int) -> str:
    """
    >>> amount(950), amount(4_100_000)
    ('950', '4.1 M')
    """
    for factor, letter in _DECIMAL:
        if count >= factor:
            return f"{count / factor:.1f}".removesuffix(".0") + f" {letter}"
    return str(count)


_LAST = {name: n for n, name in enumerate(("bytes", "gap_seconds", "blocked_seconds", "seconds"), 1)}


def _length(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else duration(seconds)


def cost(measured: Mapping[str, int]) -> str:
    """What is known of a step's size.

    >>> cost({"bytes": 6710886400, "rows": 4_100_000})
    '4.1 M rows, 6.2 GB'
    """
    parts = []
    for name, value in sorted(measured.items(), key=lambda pair: (_LAST.get(pair[0], 0), pair[0])):
        if name in ("graph_bytes", "maintenance_work_mem_bytes", "disk_bytes"):
            continue
        if name == "bytes":
            parts.append(size(value))
        elif name == "seconds":
            parts.append(f"about {duration(value)}")
        elif name == "gap_seconds":
            parts.append(f"a gap of about {_length(value)} (estimated)" if value else "no gap")
        elif name == "blocked_seconds":
            parts.append(f"clients wait about {_length(value)} (estimated)")
        else:
            parts.append(f"{amount(value)} {name if value != 1 else name.removesuffix('s')}")
    return ", ".join([*parts, *_build(measured)])


def _build(measured: Mapping[str, int]) -> list[str]:
    """What building an index takes: `graph 1.9 GB, more than maintenance_work_mem 64.0 MB; 2.1 GB of disk`."""
    graph, limit, disk = (measured.get(k) for k in ("graph_bytes", "maintenance_work_mem_bytes", "disk_bytes"))
    if graph is None or limit is None or disk is None:
        return []
    fits = "within" if graph <= limit else "more than"
    return [f"graph {size(graph)}, {fits} maintenance_work_mem {size(limit)}", f"{size(disk)} of disk"]


def value(of: Json) -> str:
    """A JSON value on one line, strings bare where that cannot be misread.

    >>> value("a b"), value(None), value([1]), value("")
    ('a b', 'none', '[1]', '""')
    """
    if of is None:
        return "none"
    if isinstance(of, str):
        text = " ".join(of.split())
        return text if text and text == of.strip() else json.dumps(of, ensure_ascii=False)
    return json.dumps(of, ensure_ascii=False)


def shortened(text: str, width: int = 200) -> str:
    """Text that would fill a screen, cut; of `old → new` each half, from a little before they differ.

    >>> shortened("default " + "x" * 300, 20)
    'default xxxxxxxxxxx…'
    >>> shortened("default " + "a" * 99 + "b → " + "a" * 99 + "c", 40)
    'default …aaaaaaaab → …aaaaaaaac'
    """
    if len(text) <= width:
        return text
    old, found, new = text.partition(" → ")
    if not found or " → " in new:
        return _cut(text, width)
    at = max(old[:50].find(new[:9]), 0)  # what changes stands before the old value
    name, old = old[:at], old[at:]
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = same - 8 if same > width // 4 else 0
    return name + " → ".join(("…" * (start > 0)) + _cut(half[start:], width // 2) for half in (old, new))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def printable(text: str) -> str:
    """Without control characters: a name in a store must not move the cursor or start a line.

    >>> printable("a\\nb\\x1b[2J")
    'a\\\\x0ab\\\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def at(attributes: Json, path: Sequence[str | int]) -> Json:
    """What stands at `path` in nested attributes; None where nothing does."""
    for key in path:
        if isinstance(attributes, Mapping):
            attributes = attributes.get(str(key))
        elif isinstance(attributes, list) and str(key).isdigit() and int(key) < len(attributes):
            attributes = attributes[int(key)]
        else:
            return None
    return attributes


def dotted(path: Sequence[str | int]) -> str:
    """
    >>> dotted(["with", "m"])
    'with.m'
    """
    return ".".join(map(str, path))


def digest(plan: Json) -> str:
    """The short form of a plan's digest, as `--expect` takes it."""
    return str(plan["digest"]).removeprefix("sha256:")[:12]


def cell(text: str) -> str:
    """Text for a cell of a table of Markdown, in one line."""
    return printable(" ".join(text.replace("|", "\\|").split()))


def impact(breaks: Sequence[str], others: Iterable[str]) -> str:
    """What of a run or migration people have to know before: that clients break, and its other dangers.

    >>> impact(["DROP TABLE a"], ["truncate"]), impact([], [])
    ('breaking, truncate', '–')
    """
    return ", ".join(dict.fromkeys([*(["breaking"] if breaks else []), *others])) or "–"
