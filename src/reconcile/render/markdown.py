"""A plan as a comment on a pull request: the summary first, then the changes as a diff, then the statements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from shlex import quote

from reconcile.model import Json
from reconcile.render import script, words
from reconcile.render.view import HELD, Aside, Line, View, view

LIMIT = 65_000
"""Characters of one comment; GitHub refuses more than 65,536."""
_ADDRESS, _WHAT = 46, 40
_RESERVE = 600
"""Characters kept for the closing lines."""


def marker(plan: Json) -> str:
    """The hidden first line by which a later run finds its earlier comment."""
    scope = re.sub(r"[^\w./-]", "_", f"{plan['project']}/{plan['environment']}")
    return f"<!-- reconcile:{scope} -->"


def render(plan: Json, *, limit: int = LIMIT) -> str:
    """The comment, at most `limit` characters: cut between changes, never within one."""
    shown = view(plan)
    head = [
        marker(plan),
        f"### {_escaped(shown.title)}",
        "",
        f"**{_escaped(shown.summary)}**"
        + (f"  \n{shown.counts}" if shown.counts else "")
        + (f"  \n{_escaped(shown.back)}" if shown.back else ""),
        "",
    ]
    head += _warnings(shown)
    tail = _tail(plan)
    room = limit - sum(len(t) + 1 for t in (*head, *tail)) - _RESERVE
    body, left = _diff(shown, room)
    room -= sum(len(t) + 1 for t in body)
    details: list[str] = []
    if plan["steps"] and not left:
        details = _details(f"Statements of {words.counted(len(plan['steps']), 'step')}", "sh", script.render(plan))
        if sum(len(t) + 1 for t in details) > room:
            details = ["The statements are too long for a comment: `reconcile show --format script` prints them.", ""]
    return "\n".join([*head, *body, *details, *tail]) + "\n"


def drift(report: Json) -> str:
    """A drift report as a comment or job summary."""
    from reconcile.render.drift import closing, entries, title

    scope = re.sub(r"[^\w./-]", "_", f"{report['project']}/{report['environment']}")
    lines = [f"<!-- reconcile-drift:{scope} -->", f"### {_escaped(title(report))}", "", f"**{closing(report)}**", ""]
    for heading, symbol, part in entries(report):
        lines += [heading, "", *_fenced("diff", list(_asides(part, symbol))), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def verify(report: Json) -> str:
    """What `reconcile verify` found, as a comment or job summary."""
    from reconcile.render import verify as text

    scope = re.sub(r"[^\w./-]", "_", f"{report['project']}/{report['environment']}")
    lines = [f"<!-- reconcile-verify:{scope} -->", f"### {_escaped(text.title(report))}", ""]
    lines += [f"**{_escaped(text.closing(report))}**", ""]
    for finding in text.own(report):
        place = text.place(finding["source"])
        lines.append(f"- {_code(finding['address'])} {_escaped(text.said(finding))} {_escaped(place)}".rstrip())
        lines += [f"  - {_code(line)}" for line in text.more({**finding, "hint": None})]
        lines += [f"  - {_escaped(finding['hint'])}"] if finding["hint"] else []
    lines += [""] * bool(text.own(report))
    for mirror in report["mirrors"]:
        lines += [f"Mirror {_code(mirror['name'])}", "", "| | side | ids | |", "|---|---|--:|---|"]
        for symbol, name, ids, below in text.sides(mirror):
            told = "<br>".join(_escaped(line) for line in below)
            lines.append(f"| {symbol.strip()} | {_code(name).replace('|', chr(92) + '|')} | {ids} | {told} |")
        lines.append("")
    if results := report.get("checks", []):
        lines += ["| | | name | | seconds |", "|---|---|---|---|--:|"]
        for result in results:
            cells = (text.SYMBOLS[result["outcome"]], result["kind"], _code(result["name"]))
            told = _escaped(text.checked(result)).replace("|", "&#124;")
            lines.append(f"| {' | '.join(cells)} | {told} | {result['seconds']:.2f} |")
        lines.append("")
    for symbol, name, told, where in text.asides(report):
        lines.append(f"- {symbol} {_code(name)} {_escaped(told)} {_escaped(where)}".rstrip())
    return "\n".join(lines).rstrip("\n") + "\n"


def _warnings(shown: View) -> list[str]:
    lines = []
    if shown.notes:
        lines += ["> [!NOTE]", *(f"> {_escaped(note)}  " for note in shown.notes), ""]
    if shown.blocked:
        lines += ["> [!WARNING]", *(f"> {_warning(blocked)}  " for blocked in shown.blocked)]
        lines += [""]
    return lines


def _warning(blocked: str) -> str:
    """With the option as code, for it to be copied."""
    head, found, option = blocked.partition(" --allow ")
    return f"{_escaped(head)} {_code(f'--allow {option}')}" if found else _escaped(head)


def _code(text: str) -> str:
    """As inline code, whatever backquotes it has."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " * (longest > 0)
    return f"{fence}{space}{text}{space}{fence}"


def _diff(shown: View, room: int) -> tuple[list[str], int]:
    """The fenced changes that fit into `room` characters, and how many did not."""
    every = [line for top in shown.lines for line in (top, *top.children)]
    column = max((min(len(line.label) + 2, _ADDRESS) for line in every), default=0)
    what = max((min(len(line.what), _WHAT) for line in every), default=0)
    digits = len(str(len(shown.lines)))
    blocks = [list(_block(line, column, what, digits)) for line in shown.lines]
    if shown.asides:
        blocks.append(list(_asides(shown.asides, words.UNMANAGED)))
    kept: list[str] = []
    left = 0
    for block in blocks:
        size = sum(len(t) + 1 for t in block)
        if left or size > room:
            left += 1
            continue
        room -= size
        kept += block
    waiting = [HELD, "", *_fenced("diff", list(_asides(shown.held, words.HELD))), ""] if shown.held else []
    if not blocks:
        return waiting, 0
    lines = [*_fenced("diff", kept), ""]
    if left:
        lines += [f"… and {left} more, left out for length: `reconcile show` on the saved plan has all of it.", ""]
    return lines + waiting, left


def _block(line: Line, column: int, what: int, digits: int) -> Iterator[str]:
    """Symbols in the first column, so that a diff block is coloured."""
    number = f"{line.number or '':>{digits}}"
    label = line.label if line.number else f"  {line.label}"
    text = f"{line.action.value:<3} {number}  {label:<{column}}  {line.what:<{what}}  {line.source}"
    yield text.rstrip()
    for note in line.notes:
        yield " " * (4 + digits + 2) + ("  " if not line.number else "") + note
    for child in line.children:
        yield from _block(child, column, what, digits)


def _asides(asides: Sequence[Aside], symbol: str) -> Iterator[str]:
    column = max((min(len(a.address), _ADDRESS) for a in asides), default=0)
    for aside in asides:
        yield f"{symbol}  {aside.address:<{column}}  {aside.what}".rstrip()
        yield from (f"     {below}" for below in aside.below)


def _tail(plan: Json) -> list[str]:
    if not plan["resource_changes"]:
        return []
    if plan["observed"].get("blocked") or plan["observed"].get("unproved"):
        return ["As it is, apply refuses it."]
    chosen = plan["selection"]
    options = [f"--{name}={quote(glob)}" for name in ("only", "exclude", "allow") for glob in chosen[name]]
    options += [f"--prune={chosen['prune']}"] if chosen["prune"] != "none" else []
    where = ["-e", plan["environment"]] if plan["environment"] != "default" else []
    command = ["reconcile", *where, "apply", "--auto-approve", "--expect", words.digest(plan), *options]
    return [f"Approve exactly this: {_code(words.printable(' '.join(command)))}"]


def _details(title: str, language: str, text: str) -> list[str]:
    body = _fenced(language, text.rstrip("\n").split("\n"))
    return ["<details>", f"<summary>{title}</summary>", "", *body, "", "</details>", ""]


def _fenced(language: str, lines: Sequence[str]) -> list[str]:
    """In a fence longer than any run of backquotes inside."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]


def _escaped(text: str) -> str:
    """Names cannot become markup or mentions."""
    return re.sub(r"([\\`*_<>\[\]|@#])", r"\\\1", text)
