"""Backups as text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from reconcile import units
from reconcile.backups import Found, Manifest

MOST = 5


def made(found: Found) -> str:
    """What `reconcile backup` prints of the one it made."""
    manifest = found.manifest
    assert manifest is not None
    lines = [f"Backup {found.name}: {units.size(manifest.bytes)} in {found.folder}"]
    width = max(map(len, manifest.stores), default=0)
    for name, saved in manifest.stores.items():
        size = units.size(sum(file.bytes for file in saved.files))
        what = f"{saved.kind}, by its program" if saved.way == "command" else f"{saved.kind} {saved.version}"
        lines.append(f"  {name:<{width}}  {what} · {len(saved.files)} file{'s' * (len(saved.files) != 1)}, {size}")
        lines += [f"  {'':<{width}}  {note}" for note in saved.notes]
    if manifest.paths:
        lines.append(f"  {len(manifest.paths)} path{'s' * (len(manifest.paths) != 1)} beside the stores")
    if not manifest.whole:
        lines.append("  not all stores of the project: no policy counts it")
    lines.append(f"Files verified. To see that it can be restored: reconcile restore {found.name} --test")
    return "\n".join(lines) + "\n"


def table(there: Sequence[Found], folder: str) -> str:
    """What `reconcile backup list` prints."""
    if not there:
        return f"No backups in {folder}.\n"
    rows = [_row(found) for found in there]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = ["  ".join([*(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
    return f"{folder}\n" + "".join(f"  {line.rstrip()}\n" for line in lines)


def _row(found: Found) -> tuple[str, ...]:
    state = found.state
    if found.findings:
        state = "damaged"
    elif found.state == "complete" and found.verified is None:
        state = "complete, not verified"
    age = units.duration(max(found.age(time.time()), 0.0))
    return found.name, f"{age} old", units.size(found.bytes), state, _told(found.manifest) if found.manifest else ""


def _told(manifest: Manifest) -> str:
    run = f", after run {manifest.run['number']}" if manifest.run else ""
    return f"{', '.join(manifest.stores)} · {manifest.reason}{run}"


def at(seconds: float) -> str:
    """A time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
