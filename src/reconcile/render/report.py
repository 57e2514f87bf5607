"""The report of a run: as text, as Markdown, and as a page of HTML that needs nothing beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconcile import units
from reconcile.model import Json
from reconcile.render import words
from reconcile.render.status import OUTCOMES

FORMATS = {"text": ".txt", "markdown": ".md", "json": ".json", "html": ".html"}
"""Formats of a report, with the suffix of a file by which it is chosen."""
_MARKS = {"done": "✓", "begun": "!", "half done": "!", "failed": "✗"}
_ADDRESS = re.compile(r"[\w-]+\.[a-z_]+\.\S")
_GOOD = frozenset({"done"})
MANY = 12
"""Steps of a group that are listed."""


@dataclass(frozen=True)
class Table:
    """A part of the report: a heading over rows."""

    title: str
    columns: tuple[str, ...]
    """Heads; of numbers they end with `>`."""
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...] = ()
    """By row: which part of the longest bar its own has."""


@dataclass(frozen=True)
class Lines:
    """A part of the report: a heading over sentences."""

    title: str
    lines: tuple[str, ...]


def render(report: Json, format_: str) -> str:
    """The report in one of `FORMATS`."""
    if format_ == "json":
        from reconcile.render import json_

        return json_.render(report)
    return {"text": text, "markdown": markdown, "html": page}[format_](report)


def title(report: Json) -> str:
    """`Run 12 · rag-platform · production · done in 3.2 s`."""
    took = units.duration(report["seconds"])
    outcome = OUTCOMES.get(report["outcome"], report["outcome"])
    how = f"{outcome} in {took}" if report["outcome"] == "done" else f"{outcome} after {took}"
    return f"Run {report['number']} · {report['project']} · {report['environment']} · {how}"


def parts(report: Json) -> list[Table | Lines]:
    """Everything below the title, in reading order; nothing empty."""
    found: list[Table | Lines] = [
        Table("", ("", ""), tuple(_facts(report))),
        Lines("Problem", tuple(report.get("problem", ()))),
        Lines("What went wrong", tuple(line.strip() for line in report["message"].splitlines())),
        Table("Stores", ("store", "kind", "schema version", "before>", "after>"), tuple(map(_store, report["stores"]))),
        Table("Contents", ("", "unit", "before>", "after>", "preserved>"), tuple(map(_count, report["counts"]))),
        _steps(report),
        Table("Hooks", ("when", "command", "took>", ""), tuple(map(_hook, report["hooks"]))),
        Table("Checks and probes", ("", "when", "took>", ""), tuple(map(_check, report["checks"]))),
        Table(
            "Migrations", ("", "title", "", "took>", "checksum"), tuple(map(_migration, report.get("migrations", ())))
        ),
        Table("Changes", ("", "address", ""), tuple(map(_change, report["changes"]))),
        Lines("Breaking changes", tuple(report.get("breaking", ()))),
        Table("Allowed", ("hazard", "address", "by", "why"), tuple(map(_permitted, report["permitted"]))),
        Lines("Issues", tuple(dict.fromkeys(report["issues"]))),
        Lines("Held until released", tuple(report["held"])),
        Lines("Rollback plan", tuple(_rollback(report["rollback"]))),
        Lines("Next", tuple(report["next"])),
        Lines("Contacts", tuple(report["contacts"])),
    ]
    return [part for part in found if (part.rows if isinstance(part, Table) else part.lines)]


def _facts(report: Json) -> Iterator[tuple[str, str]]:
    yield "run", report["run"]
    yield "plan", report["digest"].removeprefix("sha256:")[:12]
    if report.get("command"):
        yield "command", report["command"]
    if report.get("reason"):
        yield "reason", report["reason"]
    yield "who", report["who"]
    if report["commit"]:
        yield "commit", report["commit"][:12]
    yield "began", _time(report["started"])
    yield "ended", _time(report["finished"])
    if report["backup"]:
        yield "backup", report["backup"]
    counts = {verb: n for verb, n in report["summary"].items() if isinstance(n, int) and n}
    if counts:
        yield "changes", ", ".join(f"{n} to {verb}" for verb, n in counts.items())


def _store(store: Json) -> tuple[str, ...]:
    version = f"{store['kind']} {store['version']}"
    return store["name"], version, store["schema_version"] or "", _sizes(store["before"]), _sizes(store["after"])


def _sizes(sizes: Mapping[str, int]) -> str:
    shown = [units.size(n) if name == "bytes" else f"{n:,} {name}" for name, n in sizes.items()]
    return ", ".join(shown)


def _count(entry: Json) -> tuple[str, ...]:
    about = "" if entry["exact"] else "~"
    before, after = ("–" if n is None else f"{about}{n:,}" for n in (entry["before"], entry["after"]))
    share = entry["preserved"]
    kept = "" if share is None else f"{100 * share:.1f} %".replace(".0 %", " %")
    return entry["address"], entry["unit"], before, after, kept


def _steps(report: Json) -> Table:
    rows, seconds = [], []
    for group in report["groups"]:
        steps = group["steps"]
        named = [*steps[:MANY], f"… and {len(steps) - MANY} more"] if len(steps) > MANY + 1 else steps
        took = "" if group["seconds"] is None else _took(group["seconds"])
        for position, step in enumerate(named):
            first = position == 0
            mark = f"{_MARKS.get(group['state'], '·')} {group['phase']}" if first else ""
            note = ", ".join((() if group["state"] in _GOOD else (group["state"],)) + tuple(group["hazards"]))
            rows.append((mark, step, took if first else "", note if first else ""))
            seconds.append((group["seconds"] or 0.0) if first else 0.0)
    longest = max(seconds, default=0.0) or 1.0
    shares = tuple(s / longest for s in seconds)
    return Table("Steps", ("phase", "step", "took>", ""), tuple(rows), shares)


def _hook(hook: Json) -> tuple[str, ...]:
    return hook["at"], " ".join(hook["command"]), _took(hook["seconds"]), hook["failure"] or "ended with 0"


def _check(check: Json) -> tuple[str, ...]:
    took = check.get("seconds")
    told = " · ".join(str(check[key]) for key in ("outcome", "what") if check.get(key))
    return check["name"], check.get("when") or "", "" if took is None else _took(took), told


def _change(change: Json) -> tuple[str, ...]:
    described = words.shortened(" ".join(change["describe"].split()), 100)
    return words.action(change["actions"]).value, change["address"], described


def _migration(one: Json) -> tuple[str, ...]:
    took = "" if one["seconds"] is None else _took(one["seconds"])
    told = "; ".join((one["outcome"], *(f"allowed {a}" for a in one["allowed"])))
    return f"{one['folder']}/{one['name']}", one["title"], told, took, one["checksum"][:12]


def _permitted(entry: Json) -> tuple[str, ...]:
    return entry["hazard"], entry["address"], entry["by"], entry.get("reason") or ""


def _rollback(rollback: Json) -> Iterator[str]:
    if rollback["command"]:
        yield f"To undo this run: {rollback['command']}"
    for address in rollback["irreversible"]:
        yield f"Cannot be undone: {address}"
    yield from rollback.get("by_hand", ())


def _took(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else units.duration(seconds)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _heads(table: Table) -> tuple[list[str], list[bool]]:
    return [head.removesuffix(">") for head in table.columns], [head.endswith(">") for head in table.columns]


def text(report: Json) -> str:
    """For the terminal."""
    lines = [words.printable(title(report)), ""]
    for part in parts(report):
        lines += [part.title] if part.title else []
        if isinstance(part, Lines):
            lines += [f"  {words.printable(line)}" for line in part.lines]
        else:
            lines += _aligned(part)
        lines.append("")
    return "\n".join(lines)


def _aligned(table: Table) -> Iterator[str]:
    heads, right = _heads(table)
    rows = [tuple(map(words.printable, row)) for row in table.rows]
    rows = [tuple(heads), *rows] if any(heads) else rows
    used = [column for column in range(len(heads)) if any(row[column] for row in rows[bool(any(heads)) :])]
    widths = {column: max(len(row[column]) for row in rows) for column in used}
    for row in rows:
        cells = [f"{row[c]:>{widths[c]}}" if right[c] else f"{row[c]:<{widths[c]}}" for c in used]
        yield f"  {'  '.join(cells)}".rstrip()


_SECTIONS = {
    "Solution": ("Changes", "Breaking changes", "Allowed", "Hooks"),
    "Results": (
        "What went wrong", "Migrations", "Steps", "Stores", "Contents", "Checks and probes", "Issues",
        "Held until released",
    ),
}  # fmt: skip
"""Headings of a page over those of its parts."""


def _sections(report: Json) -> Iterator[tuple[list[str], Table | Lines]]:
    """The parts of a page in its order, each with the headings before it."""
    found = {part.title: part for part in parts(report)}
    inside = [title for titles in _SECTIONS.values() for title in titles]
    first = [title for title in ("", "Problem") if title in found]
    last = [title for title in found if title not in (*inside, *first)]
    yield from (([f"### {title}", ""] if title else [], found[title]) for title in first)
    for section, titles in _SECTIONS.items():
        own = [title for title in titles if title in found]
        for number, title in enumerate(own):
            yield [*([f"### {section}", ""] if number == 0 else []), f"#### {title}", ""], found[title]
    yield from (([f"### {title}", ""], found[title]) for title in last)


def markdown(report: Json) -> str:
    """For a pull request, a ticket or a page of a wiki: problem, solution, results, rollback plan."""
    lines = [f"## {_escaped(title(report))}", ""]
    for heads_, part in _sections(report):
        lines += heads_
        if isinstance(part, Lines):
            lines += [f"- {_commands(line)}" for line in part.lines]
        else:
            heads, right = _heads(part)
            lines += [_row(heads), _row(["--:" if r else "---" for r in right])]
            lines += [_row([_quoted(cell) for cell in row]) for row in part.rows]
        lines.append("")
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|@#~])", r"\\\1", words.printable(cell))


def _quoted(cell: str) -> str:
    """An address as code, where Markdown lets it be; else escaped."""
    return f"`{cell}`" if _ADDRESS.match(cell) and not re.search(r"[`|]", cell) else _escaped(cell)


def _commands(line: str) -> str:
    """A sentence, the command in it as code."""
    head, found, command = words.printable(line).partition("reconcile ")
    return f"{_escaped(head)}`{found}{command}`" if found and "`" not in command else _escaped(line)


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #4a90d966; --dim: #888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: 500; }
td, th { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; }
th + th.n + th, td.n + td { padding-left: .8rem; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.bar { background: linear-gradient(to left, var(--bar) var(--share), transparent var(--share)); }
code { font: 13px ui-monospace, monospace; } .done { color: #2a8a4a; } .stopped, .undone { color: #c0392b; }
ul { padding-left: 1.2rem; } pre { white-space: pre-wrap; font: 13px ui-monospace, monospace; }
"""


def page(report: Json) -> str:
    """A page that stands by itself; the bars behind times show what took longest."""
    name = html.escape(title(report))
    outcome = html.escape(report["outcome"])
    body = [f'<h1 class="{outcome}">{name}</h1>']
    for part in parts(report):
        body += [f"<h2>{html.escape(part.title)}</h2>"] if part.title else []
        if isinstance(part, Table):
            body += _table(part)
        elif part.title == "What went wrong":
            body.append("<pre>" + html.escape("\n".join(part.lines)) + "</pre>")
        else:
            body += ["<ul>", *(f"<li>{_code(line)}</li>" for line in part.lines), "</ul>"]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>'
    return "\n".join(["<!doctype html>", f'<html lang="en"><head>{head}<style>{_STYLE}</style></head>', "<body>"]) + (
        "\n".join(["", *body, "</body></html>", ""])
    )


def _table(table: Table) -> Iterator[str]:
    heads, right = _heads(table)
    yield "<table>"
    if any(heads):
        cells = (f"<th{' class=n' * r}>{html.escape(head)}</th>" for head, r in zip(heads, right, strict=True))
        yield f"<tr>{''.join(cells)}</tr>"
    for number, row in enumerate(table.rows):
        share = table.shares[number] if table.shares else 0.0
        cells = (_cell(cell, r, share if r else 0.0) for cell, r in zip(row, right, strict=True))
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table>"


def _cell(cell: str, right: bool, share: float) -> str:
    shown = html.escape(words.printable(cell))
    shown = f"<code>{shown}</code>" if _ADDRESS.match(cell) else shown
    bar = f' bar" style="--share:{100 * share:.0f}%' if share else ""
    return f'<td class="n{bar}">{shown}</td>' if right else f"<td>{shown}</td>"


def _code(line: str) -> str:
    head, found, command = words.printable(line).partition("reconcile ")
    return f"{html.escape(head)}<code>{found}{html.escape(command)}</code>" if found else html.escape(head)
