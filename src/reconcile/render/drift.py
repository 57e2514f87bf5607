"""A drift report as text."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile.model import Json
from reconcile.render import words
from reconcile.render.text import asides
from reconcile.render.view import Aside


def title(report: Json) -> str:
    """The first line of every format."""
    stores = words.counted(len(report["stores"]), "store")
    return f"reconcile drift · {report['project']} · {report['environment']} · {stores} read"


def found(report: Json) -> bool:
    """Whether anything moved: a recorded object changed or went, or something grew inside a managed one."""
    return bool(report["drift"] or report["extra"])


def entries(report: Json) -> list[tuple[str, str, Sequence[Aside]]]:
    """What to show: (heading, symbol, lines), empty parts left out."""
    changed = [
        Aside(words.printable(e["address"]), words.printable(_diff(e)))
        for e in report["drift"]
        if e["action"] != "missing"
    ]
    gone = [Aside(words.printable(e["address"]), "") for e in report["drift"] if e["action"] == "missing"]
    extra = [
        Aside(words.printable(e["address"]), "not declared; to adopt it:", _lines(e["yaml"])) for e in report["extra"]
    ]
    parts = (
        ("Changed in the stores since the last apply", "~", changed),
        ("Gone from the stores", "-", gone),
        ("Added inside managed objects", "+", extra),
    )
    return [part for part in parts if part[2]]


def _diff(entry: Json) -> str:
    return ", ".join(
        f"{words.dotted(p['path'])} {words.value(p['applied'])} → {words.value(p['live'])}" for p in entry["paths"]
    )


def _lines(yaml: str | None) -> tuple[str, ...]:
    return tuple((yaml or "").rstrip("\n").split("\n")) if yaml else ()


def closing(report: Json) -> str:
    """The last line: how much moved, and what was looked at."""
    if not report["applied"]:
        return "Nothing is recorded yet: drift is measured against the last apply."
    count = len(report["drift"]) + len(report["extra"])
    if not count:
        return f"No drift. All {report['applied']} recorded addresses are as last applied."
    return f"Drift: {count} address{'es' * (count != 1)} moved. `reconcile plan` shows what an apply would do about it."


def render(report: Json, *, colour: bool = False) -> str:
    """The report for the terminal."""
    lines = [title(report), ""]
    for heading, symbol, part in entries(report):
        lines += [f"{heading}:", *asides(part, colour=colour, symbol=symbol), ""]
    for store, reasons in report.get("partial", {}).items():
        lines += [f"Note: store {store} cannot be seen whole: {reason}" for reason in reasons]
    return "\n".join([*lines, closing(report)]) + "\n"
