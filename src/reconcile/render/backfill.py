"""What `reconcile backfill` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from reconcile.backfills.checking import by_rules, shares
from reconcile.backfills.forms import shown
from reconcile.model import Json


def listing(backfills: Sequence[Json]) -> str:
    """A line each, with what is known of it below."""
    if not backfills:
        return "No backfill is declared, and none was ever run.\n"
    width = max(len(b["address"]) for b in backfills)
    return "\n".join("\n".join(_lines(b, width)) for b in backfills) + "\n"


def _lines(backfill: Json, width: int) -> Iterator[str]:
    yield f"{backfill['address']:<{width}}  {backfill['state']}{_when(backfill)}"
    if backfill["changed_since"]:
        yield "  its definition has changed since: it does not run again by itself"
    if not backfill["declared"]:
        yield "  it is no longer declared"
    if backfill["progress"]:
        yield f"  {backfill['progress']}"
    if backfill["read"]:
        aside = f", {backfill['set_aside']} set aside" if backfill["set_aside"] else ""
        yield f"  {backfill['changed']} rows changed of {backfill['read']}{aside}"
    given = (backfill["read"] or 0) - (backfill["skipped"] or 0) - (backfill["set_aside"] or 0)
    yield from (f"  {line}" for line in by_rules(given, backfill["otherwise"] or 0))
    yield from (f"  {line}" for line in shares(backfill["values"]))
    yield from (f"  {name}: {before} before, {after} after" for name, (before, after) in backfill["metrics"].items())
    yield from (f"  set aside: {shown(row)}" for row in backfill["sample_set_aside"])


def _when(backfill: Json) -> str:
    at = backfill["ended"] or backfill["began"]
    if not at:
        return ""
    word = "" if backfill["ended"] else "since "
    return f" {word}{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} by run {backfill['run']}"


def preview(found: Json) -> str:
    """What one would do."""
    lines = [f"{found['address']} would change {found['would_change']} of {found['looked_at']} rows looked at."]
    lines.append(f"Selected: {found['rows']} rows, {found['batches']} batches.")
    if (empties := found["empties"]) is not None:
        aside = "which are kept" if empties["kept"] else "which are not kept"
        lines.append(f"First {empties['place']} is emptied: {empties['rows']} rows, {aside}.")
    if found["cost"]:
        lines.append(f"Cost: {found['cost']:g}.")
    if found["seconds_at_least"] >= 1:
        lines.append(f"Time: {found['seconds_at_least']:.0f} s at least.")
    lines += by_rules(found["would_change"], found["otherwise"])
    lines += shares(found["values"])
    lines += [f"{name}: {value} now" for name, value in found["metrics"].items()]
    lines += [f"For example {shown(row)}" for row in found["sample"]]
    return "\n".join([*lines, "Nothing was changed.", ""])
