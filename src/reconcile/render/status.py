"""The ledger's state and the list of runs, as text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from reconcile import units
from reconcile.model import Json
from reconcile.render import words

ROLLED = "Held since a rollback, until the YAML differs or reconcile release ADDRESS or RUN:"
"""Above what plans leave out since it was rolled back."""
MANY = 3
"""Steps of a group that are named."""
OUTCOMES = {
    "running": "running",
    "done": "done",
    "stopped": "stopped part-way",
    "paused": "paused",
    "undone": "failed, nothing changed",
    "abandoned": "abandoned",
    "migrating": "migrating",
    "partly": "failed, part of it done",
}
"""How a run's outcome is told."""


def render(status: Json) -> str:
    """What `reconcile status` prints: what is recorded, who holds the lock, what is unfinished, the last runs."""
    lines = [f"{status['project']} · {status['environment']} · ledger in {status['ledger']}", ""]
    if not status["stores"]:
        return "\n".join([*lines, "Nothing is recorded yet: the first `reconcile apply` makes the ledger."]) + "\n"
    counts = status["applied"]
    width = max(map(len, status["stores"]))
    for store, identity in sorted(status["stores"].items()):
        applied = counts.get(store, 0)
        lines.append(f"  {store:<{width}}  {applied} address{'es' * (applied != 1)} recorded  {identity}")
        if version := status.get("schema_versions", {}).get(store):
            since = f"since {_time(version['at'])}, run {version['run']}"
            lines.append(f"  {'':<{width}}  schema version {version['version']} {since}")
    lock = status["lock"]
    if lock is None:
        lines += ["", "Lock: free"]
    else:
        lines += ["", f"Lock: run {lock['run']} by {lock['holder']}" + (", expired" if lock["expired"] else "")]
        if lock["expired"]:
            lines.append(f"      its process seems to be gone: reconcile unlock {lock['run']}")
    unfinished = status["unfinished"]
    if unfinished:
        lines += ["", f"Unfinished: run {unfinished['run']} by {unfinished['who']}, {_time(unfinished['started'])}"]
        lines += [f"      {line}" for line in (unfinished["message"] or "").split("\n") if line]
        running = lock is not None and lock["run"] == unfinished["run"] and not lock["expired"]
        lines += _progress(unfinished["steps"], running)
        paused = unfinished.get("outcome") == "paused"
        lines += [
            f"      go on with it:  reconcile apply {'--phase contract' if paused else '--resume'}",
            f"      take it back:   reconcile rollback {unfinished['run']}",
            f"      leave it:       reconcile apply --abandon {unfinished['run']}",
        ]
    if waiting := status.get("held"):
        width = max(len(entry["address"]) for entry in waiting)
        lines += ["", "Held until released (reconcile release ADDRESS or RUN):"]
        for entry in waiting:
            what = " ".join(entry["describe"].split())
            lines.append(f"  {words.HELD}  {entry['address']:<{width}}  {words.shortened(what)}")
            told = [f"since {_time(entry['since'])}", f"run {entry['run']}", *entry["hazards"]]
            lines.append(f"     {' · '.join(told)}")
    if back := status.get("rolled"):
        width = max(len(entry["address"]) for entry in back)
        lines += ["", ROLLED]
        for entry in back:
            since = f"since {_time(entry['since'])} · rolled back run {entry['run']}"
            lines.append(f"  {words.HELD}  {entry['address']:<{width}}  {since}")
    return "\n".join([*lines, "", history(status["runs"])])


def _progress(steps: Json, running: bool) -> list[str]:
    """How far it has come, a line each for what is under way (no more than a few of one group)."""
    left = f", about {units.duration(steps['seconds_left'])} of work left" if steps["seconds_left"] else ""
    lines = [f"      {steps['done']} of {steps['total']} steps done{left}"]
    now = time.time()
    for entry in steps["under_way"][:MANY]:
        since = units.duration(max(now - entry["since"], 0))
        lines.append(f"      {f'under way for {since}' if running else 'begun, perhaps half done'}: {entry['step']}")
        lines += [f"        {entry['progress']}"] if entry["progress"] else []
    if len(steps["under_way"]) > MANY:
        lines.append(f"      … and {len(steps['under_way']) - MANY} more of its group")
    return lines


def history(runs: Sequence[Json]) -> str:
    """One line a run, newest first."""
    if not runs:
        return "No runs yet.\n"
    lines = []
    for run in runs:
        took = units.duration(run["finished"] - run["started"]) if run["finished"] else "–"
        digest = run["digest"].removeprefix("sha256:")[:12]
        outcome = OUTCOMES.get(run["outcome"], run["outcome"])
        lines.append(
            f"  {run['number']:>4}  {_time(run['started'])}  {outcome:<24}  {took:>8}  plan {digest}  run {run['id']}"
            f"  {run['who']}"
        )
        if run.get("command"):
            lines.append(f"{'':8}{run['command']}" + (f": {run['reason']}" if run.get("reason") else ""))
        lines += [f"{'':8}{_migration(one)}" for one in run.get("migrations") or ()]
    return "\n".join(lines) + "\n"


def _migration(one: Json) -> str:
    took = "" if one["seconds"] is None else f"  {units.duration(one['seconds'])}"
    return f"{one['folder']}/{one['number']}  {one['name']}  {one['outcome']}{took}  checksum {one['checksum'][:12]}"


def page(run: Json) -> str:
    """The file name of a run's page."""
    return f"run-{run['number']:04}.md"


def index(runs: Sequence[Json], *, linked: bool = False) -> str:
    """The runs as a table of Markdown, newest first; `linked` to a page of each."""
    heads = ("run", "title", "status", "date", "impact", "duration", "plan", "who", "commit")
    rows = [f"| {' | '.join(heads)} |", "|--:|---|---|---|---|--:|---|---|---|"]
    for run in runs:
        took = units.duration(run["finished"] - run["started"]) if run["finished"] else "–"
        number = f"[{run['number']}]({page(run)})" if linked else run["number"]
        counts = [f"{n} to {verb}" for verb, n in (run.get("summary") or {}).items() if n and isinstance(n, int)]
        counts = [run["command"]] if run.get("command") else counts
        digest = run["digest"].removeprefix("sha256:")[:12]
        outcome = OUTCOMES.get(run["outcome"], run["outcome"])
        rows.append(
            f"| {number} | {words.cell(', '.join(counts)) or '–'} | {outcome} | {_time(run['started'])} |"
            f" {words.impact(run.get('breaking') or (), run.get('impact') or ())} | {took} | `{digest}` |"
            f" {words.cell(run['who'])} | {(run.get('commit') or '')[:12]} |"
        )
    return "\n".join([*rows, *_migrations(runs, linked), *_broken(runs)]) + "\n"


def _broken(runs: Sequence[Json]) -> Iterator[str]:
    """A note for each change that clients notice."""
    for run in runs:
        for what in run.get("breaking") or ():
            yield from ("", f"**Breaking**, run {run['number']}: {words.cell(what)}")


def _migrations(runs: Sequence[Json], linked: bool) -> Iterator[str]:
    """What the runs did with hand-written migrations, as another table."""
    found = [(run, one) for run in runs for one in run.get("migrations") or ()]
    if not found:
        return
    yield from (
        "",
        "| migration | title | status | date | impact | duration | checksum | run |",
        "|---|---|---|---|---|--:|---|--:|",
    )
    for run, one in found:
        number = f"[{run['number']}]({page(run)})" if linked else run["number"]
        took = "–" if one["seconds"] is None else units.duration(one["seconds"])
        name, title = (words.cell(f"{one['folder']}/{one['name']}"), words.cell(one["title"]))
        yield (
            f"| {name} | {title} | {one['outcome']} | {_time(run['started'])} |"
            f" {words.impact(one.get('breaks') or (), [a.partition(' ')[0] for a in one['allowed']])} |"
            f" {took} | `{one['checksum'][:12]}` | {number} |"
        )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
