"""A drift report as text."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.model import Json
from reconcile.render import words
from reconcile.render.text import asides
from reconcile.render.view import Aside, moved


def title(report: Json, project: str, environment: str) -> str:
    """The first line of every format."""
    return f"reconcile drift · {project} · {environment} · {words.counted(len(report.get('stores', ())), 'store')}"


def entries(report: Json) -> list[tuple[str, str, Sequence[Aside]]]:
    """What to show: (heading, symbol, lines), empty parts left out."""
    drift = report.get("drift", ())
    gone = [moved(e) for e in drift if e["change"].get("after") is None]
    changed = [moved(e) for e in drift if e["change"].get("after") is not None]
    gone += [Aside(_address(e), "is gone") for e in report.get("missing", ())]
    extra = [
        Aside(
            e["address"],
            "is in a managed container; to adopt it, declare" if e.get("yaml") else "is not declared",
            tuple((e.get("yaml") or "").rstrip("\n").split("\n")) if e.get("yaml") else (),
        )
        for e in report.get("extra", ())
    ]
    parts = [
        ("Changed in the stores since the last apply", "~", changed),
        ("Gone from the stores", "-", gone),
        ("Added to managed objects", "+", extra),
    ]
    return [(heading, symbol, found) for heading, symbol, found in parts if found]


def _address(entry: Json) -> str:
    return entry if isinstance(entry, str) else entry["address"]


def render(report: Json, project: str, environment: str, *, colour: bool = False) -> str:
    """The report for the terminal."""
    lines = [title(report, project, environment), ""]
    found = entries(report)
    for heading, symbol, part in found:
        lines += [f"{heading}:", *asides(part, colour=colour, symbol=symbol), ""]
    count = sum(len(part) for _, _, part in found)
    if not count:
        lines.append("No drift. The stores are as last applied.")
    else:
        lines.append(
            f"Drift: {count} address{'es' * (count != 1)} moved. `reconcile plan` shows what an apply would do."
        )
    return "\n".join(lines) + "\n"
