"""A backfill that a program does by itself, whole: what it is told, and the lines by which it says how far it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path

from reconcile import commands
from reconcile.backfills.definition import Definition
from reconcile.backfills.progress import Progress
from reconcile.errors import ReconcileError
from reconcile.machine import seconds_of
from reconcile.model import Json
from reconcile.references import masked

LATER = 75
"""The exit code of a program that has come to a limit of its own: EX_TEMPFAIL of sysexits.h."""


@dataclass(frozen=True)
class Report:
    """A line of its output."""

    rows: int = 0
    """Done since the line before."""
    after: Json = None
    """Where it is to go on."""
    cost: float | None = None
    text: str = ""
    """A line that is no report: for people."""


def reports(
    definition: Definition, directory: Path, total: int, progress: Progress, secrets: Collection[str] = ()
) -> Generator[Report | None, None, None]:
    """Run it until it ends; None while it says nothing.

    Raises:
        ReconcileError: it failed, took too long, or stopped at a limit of its own.
    """
    entry, where = definition.program, str(definition.address)
    environment = {
        "RECONCILE_BACKFILL": definition.address.parts[-1],
        "RECONCILE_AFTER": "" if progress.after is None else str(progress.after),
        "RECONCILE_TOTAL": str(total),
    }
    last = ""
    try:
        with commands.streaming(entry["run"], directory, environment, secrets) as stream:
            for line in stream.lines():
                report = None if line is None else read(line, secrets)
                last = report.text if report is not None and report.text else last
                yield report
            ran = stream.ended()
    except OSError as error:
        raise ReconcileError(f"{entry['run'][0]} cannot be started: {error.strerror}", where=where) from error
    if ran.code == LATER:
        raise ReconcileError(
            f"the program stopped at a limit of its own{f': {last}' if last else ''}",
            where=where,
            hint="what is done stays; it goes on from there with: reconcile apply --resume",
        )
    if not ran.ok:
        said = ran.last or last
        raise ReconcileError(
            f"the program failed: {ran.why}{f': {said}' if said else ''}",
            where=where,
            hint="what it reported stays done; it is told where to go on: reconcile apply --resume",
        )


def read(line: str, secrets: Collection[str] = ()) -> Report:
    """A line as a report; of other text without the secrets.

    >>> read('{"rows": 20, "after": "k7"}')
    Report(rows=20, after='k7', cost=None, text='')
    >>> read("loading the model").text
    'loading the model'
    """
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("rows"), int) or entry["rows"] < 0:
        return Report(text=masked(line.strip(), secrets)[:300])
    cost = entry.get("cost")
    return Report(entry["rows"], entry.get("after"), cost if isinstance(cost, int | float) else None)


def too_long(definition: Definition, seconds: float) -> bool:
    """Whether it runs for longer than it may."""
    return seconds > seconds_of(definition.program.get("timeout", "24h"))
