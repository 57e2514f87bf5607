"""A plan as text for the terminal. The same bytes everywhere unless a width or colour is asked for."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from reconcile.change import Action
from reconcile.model import Json
from reconcile.render import words
from reconcile.render.view import HELD, Aside, Line, View, view

_COLOURS = {
    Action.CREATE: "32",
    Action.UPDATE: "33",
    Action.REBUILD: "33",
    Action.DELETE_CREATE: "31",
    Action.CREATE_DELETE: "36",
    Action.DELETE: "31",
    Action.RENAME: "36",
}
_BOLD, _DIM, _RED, _YELLOW = "1", "2", "31", "33"
_ADDRESS, _WHAT = 50, 44
"""Widest columns; what is longer pushes the rest of its line to the right."""
_UNMANAGED_SHOWN = 25


def render(plan: Json, *, width: int | None = None, colour: bool = False) -> str:
    """The plan as in the manual.

    Args:
        plan: the plan's JSON form.
        width: columns of the terminal, to wrap descriptions; None wraps nothing.
        colour: whether to colour with ANSI codes.
    """
    return "\n".join(_Text(view(plan), width, colour).everything()) + "\n"


def asides(entries: Sequence[Aside], *, colour: bool = False, symbol: str = words.UNMANAGED) -> list[str]:
    """Lines `  ?  ADDRESS   what`, aligned, with what is to paste below."""
    paint = painter(colour)
    column = max((min(len(e.address), _ADDRESS) for e in entries), default=0)
    lines = []
    for entry in entries:
        lines.append(f"  {paint(symbol, _YELLOW)}  {entry.address:<{column}}  {entry.what}".rstrip())
        lines += [paint(f"       {line}".rstrip(), _DIM) for line in entry.below]
    return lines


_VERBS = {
    Action.CREATE: "create",
    Action.UPDATE: "change",
    Action.REBUILD: "rebuild",
    Action.DELETE_CREATE: "replace",
    Action.CREATE_DELETE: "replace",
    Action.DELETE: "drop",
    Action.RENAME: "rename",
}


def question(plan: Json) -> str:
    """What a person is asked to agree to: `This will create 4 tables and 9 indexes and drop 1 column in 2 stores.`"""
    kinds: dict[str, Counter[str]] = {verb: Counter() for verb in _VERBS.values()}
    for change in plan["resource_changes"]:
        if not change.get("part_of"):
            kinds[_VERBS[words.action(change["change"]["actions"])]][change["type"]] += 1
    parts = [
        f"{verb} {words.listed([words.counted(n, kind) for kind, n in found.items()])}"
        for verb, found in kinds.items()
        if found
    ]
    stores = sorted({step["store"] for step in plan["steps"]})
    return f"This will {'; '.join(parts)} in {words.listed(stores)}."


class _Text:
    def __init__(self, shown: View, width: int | None, colour: bool) -> None:
        self.view, self.width, self.paint, self.colour = shown, width, painter(colour), colour
        every = [line for top in shown.lines for line in (top, *top.children)]
        self.digits = len(str(len(shown.lines)))
        self.address = max((min(len(self._label(line)), _ADDRESS) for line in every), default=0)
        self.what = max((min(len(line.what), self._room()) for line in every), default=0)

    def everything(self) -> Iterator[str]:
        v = self.view
        yield self.paint(v.title, _BOLD)
        if v.actions:
            yield "   ".join(
                f"{self.paint(a.value, _COLOURS[a])} {self.paint(words.LEGEND[a], _DIM)}" for a in v.actions
            )
        yield ""
        for line in v.lines:
            yield from self._line(line)
        others = [a for a in v.asides if a.what != "unmanaged"]
        unmanaged = [a for a in v.asides if a.what == "unmanaged"]
        yield from asides([*others, *unmanaged[:_UNMANAGED_SHOWN]], colour=self.colour)
        if len(unmanaged) > _UNMANAGED_SHOWN:
            yield f"     … and {len(unmanaged) - _UNMANAGED_SHOWN} more unmanaged (--format json has them)"
        if v.held:
            yield from ("", HELD) if v.lines or v.asides else (HELD,)
            yield from asides(v.held, colour=self.colour, symbol=words.HELD)
        if v.lines or v.asides or v.held:
            yield ""
        for note in v.notes:
            yield f"Note: {note}"
        yield self.paint(v.summary, _BOLD)
        if v.counts:
            yield self.paint(f"      {v.counts}", _DIM)
        if v.back:
            yield self.paint(v.back, _DIM)
        for blocked in v.blocked:
            yield self.paint(blocked, _RED)

    def _label(self, line: Line) -> str:
        return line.label if line.number else f"  {line.label}"

    def _room(self) -> int:
        """Columns for descriptions: what the terminal leaves beside addresses and sources."""
        if self.width is None:
            return _WHAT
        sources = max((len(line.source) for top in self.view.lines for line in (top, *top.children)), default=0)
        return max(24, self.width - self._indent() - self.address - sources - 4)

    def _indent(self) -> int:
        return 2 + self.digits + 2 + 5

    def _line(self, line: Line) -> Iterator[str]:
        label = self._label(line)
        first, *rest = self._wrapped(line.what)
        number = self.paint(f"{line.number or '':>{self.digits}}", _DIM)
        symbol = self.paint(f"{line.action.value:<3}", _COLOURS[line.action])
        text = f"  {number}  {symbol}  {label:<{self.address}}  "
        text += f"{first:<{self.what}}  {self.paint(line.source, _DIM)}" if line.source else first
        yield text.rstrip()
        for more in rest:
            yield " " * (self._indent() + self.address + 2) + more
        for note in line.notes:
            for part in self._wrapped(note, " " * self._indent() + ("  " if not line.number else "")):
                yield self._note(part, line)
        for child in line.children:
            yield from self._line(child)

    def _wrapped(self, text: str, indent: str = "") -> list[str]:
        if self.width is None:
            return [indent + text]
        room = self.width if indent else self._room()
        return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent) or [indent]

    def _note(self, text: str, line: Line) -> str:
        """Dim, with blocking hazards in red."""
        blocking = {str(h) for h in line.hazards if h.blocking}
        parts = text.split(" · ")
        return " · ".join(self.paint(p, _RED if p.strip() in blocking else _DIM) for p in parts)


def painter(colour: bool) -> Callable[[str, str], str]:
    """Wraps text in the ANSI code given, or leaves it as it is."""
    if not colour:
        return lambda text, _: text
    return lambda text, code: f"\x1b[{code}m{text}\x1b[0m" if text else text
