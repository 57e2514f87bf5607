"""What removals kept, as text."""

from __future__ import annotations

from collections.abc import Sequence

from reconcile import units
from reconcile.model import Json
from reconcile.render import words


def render(rows: Sequence[Json]) -> str:
    """Two lines each: what it was; under which name, since when and how much."""
    if not rows:
        return "Nothing is kept.\n"
    lines = []
    for row in rows:
        own = row["backfill"] == row["address"]
        told = [
            row["describe"] if own else f"as {row['name']}",
            f"for {units.duration(row['age'])}",
            f"run {row['run']}",
        ]
        told += [words.counted(row["rows"], "row")] if row["rows"] is not None else []
        told += [units.size(row["bytes"])] if row["bytes"] is not None else []
        told += [f"emptied by {row['backfill']}"] if row["backfill"] and not own else []
        lines += [f"  {row['address']}", f"     {' · '.join(told)}"]
    more = "Bring back: reconcile kept restore ADDRESS. Delete for good: reconcile kept purge ADDRESS."
    return "\n".join([*lines, "", more]) + "\n"
