"""What `reconcile check` found, as text: a table per store, worst first to the eye, fit for a ticket."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from reconcile.model import Json
from reconcile.render import verify, words
from reconcile.render.text import painter

SYMBOLS = {"good": "✓", "unknown": "?", "warning": "!", "stops": "✗"}
_COLOURS = {"good": "32", "unknown": "33", "warning": "33", "stops": "31"}
_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"
_TOPIC = 11
_INDENT = 2 + 1 + 2 + _TOPIC + 2
_LISTED = 6
"""Privileges that are held, by name; the JSON form has all."""
_LEAST = 40


def title(report: Json) -> str:
    """The first line."""
    steps = report["plan"]["steps"]
    about = "no plan" if steps is None else f"a plan of {words.counted(steps, 'step')}"
    stores = words.counted(len(report["stores"]), "store")
    return f"reconcile check · {report['project']} · {report['environment']} · {stores}, {about}"


def closing(report: Json) -> str:
    """The last line: whether an apply would begin."""
    count = report["stops"]
    if count:
        return f"{words.counted(count, 'thing')} would stop an apply. Nothing was changed."
    checks = [c for part in (*report["stores"], report["ledger"], report["plan"]) for c in part["checks"]]
    warnings, unknown = _count(checks, "warning"), _count(checks, "unknown")
    rest = [words.counted(warnings, "warning")] if warnings else []
    rest += [f"{unknown} not known"] if unknown else []
    return f"Nothing would stop an apply{' (' + ', '.join(rest) + ')' if rest else ''}."


def _count(checks: Sequence[Json], verdict: str) -> int:
    return sum(c["verdict"] == verdict for c in checks)


def parts(report: Json) -> Iterator[tuple[str, Sequence[Json]]]:
    """Headings, each with its checks; those without any are left out."""
    yield from ((store["name"], store["checks"]) for store in report["stores"])
    yield "ledger", report["ledger"]["checks"]
    yield "plan", report["plan"]["checks"]


def rows(checks: Sequence[Json]) -> Iterator[tuple[str, str, str, str | None]]:
    """(verdict, topic, what, hint): what is good is one line for each topic."""
    good: dict[str, list[str]] = {}
    for check in checks:
        if check["verdict"] == "good":
            good.setdefault(check["topic"], []).append(check["what"])
    for check in checks:
        topic = check["topic"]
        if check["verdict"] != "good":
            place = f"{check['where']}: " if check["where"] and topic == "steps" else ""
            yield check["verdict"], topic, _printable(place + check["what"]), check["hint"]
        elif topic in good:
            held = good.pop(topic)
            more = f" and {len(held) - _LISTED} more" if len(held) > _LISTED else ""
            yield "good", topic, _printable("; ".join(held[:_LISTED]) + more), check["hint"]


def _printable(text: str) -> str:
    """Several lines stay so: what the planner refuses is told line by line."""
    return "\n".join(map(words.printable, text.split("\n")))


def render(report: Json, *, width: int | None = None, colour: bool = False) -> str:
    """The report for the terminal.

    Args:
        width: columns of the terminal, to wrap what is long; None wraps nothing.
    """
    paint = painter(colour)
    lines = [paint(title(report), _BOLD), ""]
    for heading, checks in parts(report):
        if not checks:
            continue
        lines.append(paint(words.printable(heading), _BOLD))
        last = ""
        for verdict, topic, what, hint in rows(checks):
            first, *below = _wrapped(what, width)
            head = f"  {paint(SYMBOLS[verdict], _COLOURS[verdict])}  {topic if topic != last else '':<{_TOPIC}}  "
            lines.append(f"{head}{first}".rstrip())
            lines += [f"{'':{_INDENT}}{line}" for line in below]
            for line in _printable(hint or "").split("\n"):
                # What is to be pasted is not broken into lines.
                lines += [paint(f"{'':{_INDENT + 2}}{line.strip()}", _DIM)] if line.strip() else []
            last = topic
        lines.append("")
    if results := report.get("checks", []):
        lines += [paint("checks", _BOLD), *verify.checks(results, colour=colour), ""]
    return "\n".join([*lines, paint(closing(report), _RED if report["stops"] else _GREEN)]) + "\n"


def grants(found: Json) -> str:
    """What `check --grants` prints: of each store the texts of its commands, each once."""
    texts = [text for commands in found.values() for text in dict.fromkeys(commands.values())]
    return "\n".join(texts)


def _wrapped(text: str, width: int | None) -> list[str]:
    lines = text.split("\n")
    if width is None:
        return lines
    room = max(width - _INDENT, _LEAST)
    return [piece for line in lines for piece in textwrap.wrap(line, room, break_long_words=False) or [""]]
