"""Migrations as text and Markdown, from their plain data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from reconcile.model import Json
from reconcile.render import words

_MARKS = {"applied": " ", "pending": "+", "changed": "!", "failed": "!", "unfinished": "~", "missing": "?"}


def finds(found: Json) -> bool:
    """Whether something is pending, changed or stopped part-way."""
    return any(m["state"] in ("pending", "changed", "failed", "unfinished") for m in found["migrations"])


def text(found: Json) -> str:
    """A line for each migration."""
    lines = [_line(m, found["migrations"]) for m in found["migrations"]]
    return "".join(f"{line}\n" for line in [*(lines or ["No migrations."]), *(f"Note: {t}" for t in found["told"])])


def _line(one: Mapping[str, Json], all_: Json) -> str:
    width = max(len(str(m["id"] or m["number"] or "")) for m in all_)
    titles = min(48, max(len(str(m["title"] or "")) for m in all_))
    when = f"  {one['executed_at'][:19].replace('T', ' ')}" if one["executed_at"] else ""
    took = f"  {_duration(one['execution_time_ms'])}" if one["execution_time_ms"] is not None else ""
    head = f"{_MARKS[one['state']]} {one['id'] or one['number'] or '':<{width}}  {one['title'] or '':<{titles}}"
    return f"{head}  {one['state']:<10}{when}{took}".rstrip()


def _duration(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def status(found: Json) -> str:
    """What is not as it should be, then counts."""
    return "".join(f"{line}\n" for line in _status(found))


def _status(found: Json) -> Iterator[str]:
    for one in found["migrations"]:
        if one["state"] == "applied":
            continue
        yield _line(one, found["migrations"])
        if one["late"]:
            yield "    runs out of order: one with a higher number has run"
        if one["state"] == "changed":
            yield f"    its checksum was {one['checksum']}, it is {one['now']} ({one['file']})"
        if one["state"] == "failed":
            yield f"    another tool ran it, and it failed ({one['file']})"
        if one["state"] == "unfinished":
            yield f"    {one['transactions_done']} of its transactions are committed; apply goes on after them"
        if one["state"] == "missing":
            yield "    it ran, and no file is called so"
        if one["state"] == "missing":
            continue
        for fault in one["faults"]:
            yield f"    cannot run: {one['file']}:{fault['line']}:{fault['column']}: {fault['what']}"
        for danger in one["refused"]:
            place = f"{one['file']}:{danger['line']}:{danger['column']}"
            yield f"    refused: {danger['danger']} at {place}: {danger['what']}"
        for danger in one["allowed"]:
            yield f"    allowed: {danger['danger']} at {one['file']}:{danger['line']}: {danger['reason']}"
    for line in found["told"]:
        yield f"Note: {line}"
    counts = {state: sum(m["state"] == state for m in found["migrations"]) for state in _MARKS}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count or state in ("applied", "pending"))
    yield f"Migrations: {told}."


def markdown(found: Json) -> str:
    """An index as a table."""
    lines = ["| id | title | status | date | impact | duration |", "|---|---|---|---|---|--:|"]
    for one in found["migrations"]:
        when = (one["executed_at"] or "")[:10]
        took = _duration(one["execution_time_ms"]) if one["execution_time_ms"] is not None else ""
        title = words.cell(one["description"] or one["title"] or "")
        name = words.cell(str(one["id"] or one["number"] or ""))
        linked = f"[{name}]({one['file'].replace(' ', '%20')})" if one["file"] else name
        impact = words.cell(words.impact(one.get("breaks", ()), [a["danger"] for a in one.get("allowed", ())]))
        lines.append(f"| {linked} | {title} | {one['state']} | {when} | {impact} | {took} |")
    for one in found["migrations"]:
        for what in one.get("breaks", ()):
            name = words.cell(str(one["id"]))
            lines += ["", f"**Breaking**, {name}: {words.cell(what)}: clients of the old schema fail from then on."]
    return "\n".join(lines) + "\n"


def as_json(found: Json) -> str:
    """As it is."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Json], str]] = {"text": text, "markdown": markdown, "json": as_json}


def info(one: Json) -> str:
    """One migration whole."""
    return "".join(f"{line}\n" for line in _info(one))


def _info(one: Json) -> Iterator[str]:
    yield f"{one['id']}  {one['description'] or one['title']}"
    yield f"  file         {one['file']}"
    yield f"  store        {one['store']}, tracked in {one['table']}"
    yield f"  state        {one['state']}"
    if one["executed_at"]:
        took = f", {_duration(one['execution_time_ms'])}" if one["execution_time_ms"] is not None else ""
        yield f"  ran          {one['executed_at']}{took}"
    yield f"  checksum     {one['now']}"
    if one["checksum"] and one["checksum"] != one["now"]:
        yield f"  recorded     {one['checksum']} ({one['checksum_of'] or 'fits the file in no way: it has changed'})"
    if one["depends_on"]:
        yield f"  depends on   {', '.join(one['depends_on'])}"
    yield f"  way back     {one['down'] or 'none'}"
    yield from (f"  breaking     {what}" for what in one["breaks"])
    yield from (f"  note         {note}" for note in one["notes"])
    for danger in one["refused"]:
        yield f"  refused      {danger['danger']} at line {danger['line']}: {danger['what']}"
    for danger in one["allowed"]:
        yield f"  allowed      {danger['danger']} at line {danger['line']}: {danger['reason']}"
    for check in one["verify"]:
        what = f"not run: {check['not_run']}" if check["not_run"] else check["query"] or check["label"]
        yield f"  verify       {check['at']}  {what}"
    for event in one["events"]:
        why = event.get("reason") or event.get("message")
        reason = f": {' '.join(why.split())[:200]}" if why else ""
        yield f"  ledger       {event['outcome']} by {event['who']}, run {event['run']}{reason}"
    for group in one["groups"]:
        kind = f"{group['kind']} statements, " if group["kind"] else ""
        yield f"  -- {kind}{'outside any transaction' if group['alone'] else 'one transaction'}"
        for statement in group["statements"]:
            yield from (f"  {line}" for line in (statement["text"] + ";").split("\n"))
