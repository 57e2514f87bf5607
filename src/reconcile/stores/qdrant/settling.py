"""Bring a copy up to date just before the alias is switched to it, and once more just after.

By what was promised about writes meanwhile:

- `frozen`: nothing may have changed; else the switch does not happen.
- `none_expected`: what changed all the same is copied.
- `dual`: the application writes to both; what differs for longer than a moment is taken from the old one.
- `timestamp`: what was written since, until little is left; after the switch once more, without touching what clients
  have written to the new one meanwhile. Deletions by the ids.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant.comparing import Kind, differences, same_point
from reconcile.stores.qdrant.copying import NOBODY, Copy
from reconcile.stores.qdrant.stamps import Stamps

_ROUNDS = 8
_SMALL = 1000
"""Points that may be left to copy when the switch comes."""
_MOMENT_SECONDS = 1.0
"""An application that writes to both has written to both after it; a request on its way has arrived."""
_SAMPLE = 100
_SHOWN = 5


def settle(copy: Copy) -> None:
    """Before the switch: the new generation holds what the old one does.

    Raises:
        StoreError: it cannot be brought there, or a promise was not kept; nothing is switched.
    """
    if copy.switched:
        return
    if copy.mark.stage in ("settled", "dropping") and not copy.old.exists():
        return  # a plain collection is deleted before its alias can be made
    if copy.mark.stage == "dropping":
        _not_made_anew(copy)
        return
    if copy.stamps is not None:
        _catch_up(copy, copy.stamps)
        _sampled(copy, copy.stamps)
    elif copy.mark.writes == "frozen":
        _frozen(copy)
    else:
        _alike(copy)
    copy.save(stage="settled")


def finish(copy: Copy) -> None:
    """After the switch: what was written to the old one in its last moment is carried over."""
    if copy.stamps is None or copy.mark.since is None:
        return
    for turn in range(_ROUNDS):
        changed = _carry_over(copy, copy.stamps) + _carry_deletions(copy, copy.stamps)
        if turn and not changed:
            return
        time.sleep(_MOMENT_SECONDS)


def _not_made_anew(copy: Copy) -> None:
    """A plain collection that was about to go: a client may have made an empty one of its name in the meantime."""
    if copy.old.count() == 0:
        return
    found = next(differences(copy.old, copy.new, copy.mark.vectors, copy.limits[0], copy.within), None)
    if found is not None:
        raise StoreError(
            f"{copy.old.name} was saved and about to be deleted, and now differs from its copy {copy.new.name} (id"
            f" {found[1]}): somebody wrote to it, or made it anew while it was gone",
            where=f"store {copy.http.spec.name}",
            hint=f"nothing was changed. {copy.new.name} holds the points of before: write what is new in"
            f" {copy.old.name} to it as well, delete {copy.old.name}, then: reconcile apply --resume",
        )


# --- without a timestamp: everything is compared -----------------------------------------------------------


def _frozen(copy: Copy) -> None:
    before, now = copy.mark.baseline, copy.baseline()
    found, shown = _copy_differences(copy)
    if found or now != before:
        # What changed is copied all the same: once writes have really stopped, the next try finds nothing.
        copy.save(baseline=copy.baseline())
        what = ", ".join(f"{n} {kind}" for kind, n in sorted(found.items())) or "its ids are others than before"
        raise StoreError(
            f"{copy.old.name} is declared `writes: frozen`, but changed while it was copied: {what}{shown}",
            where=f"store {copy.http.spec.name}",
            hint="nothing was switched. Stop the application's writes, then: reconcile apply --resume\n"
            "  or abandon the run and declare how it writes: `writes: {timestamp: FIELD}`, dual or none_expected",
        )


def _alike(copy: Copy) -> None:
    for turn in range(_ROUNDS):
        found, shown = _copy_differences(copy)
        if not found:
            return
        copy.tell(f"{sum(found.values())} points changed meanwhile, copied again ({turn + 1})")
    raise StoreError(
        f"points of {copy.old.name} keep changing: {_ROUNDS} times over, some differed from the copy{shown}",
        where=f"store {copy.http.spec.name}",
        hint="nothing was switched. Pause the application's writes, then: reconcile apply --resume\n"
        "  or abandon the run and declare `writes: {timestamp: FIELD}`",
    )


def _copy_differences(copy: Copy) -> tuple[Counter[str], str]:
    """Compare everything, copy what differs; how many of each kind, and some ids for people."""
    found: Counter[str] = Counter()
    shown: list[str] = []
    most = copy.limits[0]
    for part in _batches(differences(copy.old, copy.new, copy.mark.vectors, most, copy.within), most):
        for kind, point_id in _take_over(copy, [point_id for _, point_id in part]):
            found[kind.value] += 1
            if len(shown) < _SHOWN:
                shown.append(str(point_id))
    return found, f" (ids {', '.join(shown)}{', …' if sum(found.values()) > len(shown) else ''})" if shown else ""


def _take_over(copy: Copy, ids: list[Json]) -> list[tuple[Kind, Json]]:
    """Make these points of the new generation what they are in the old one; what there was to do."""
    if copy.mark.writes == "dual":
        time.sleep(_MOMENT_SECONDS)  # written to one, on its way to the other
    old, new = copy.old.retrieve(ids, copy.mark.vectors), copy.new.retrieve(ids, copy.mark.vectors)
    found: list[tuple[Kind, Json]] = []
    for point_id in ids:
        if point_id not in old:
            found += [(Kind.EXTRA, point_id)] if point_id in new else []
        elif point_id not in new:
            found.append((Kind.MISSING, point_id))
        elif not same_point(old[point_id], new[point_id], copy.within):
            found.append((Kind.DIFFERS, point_id))
    copy.new.upsert(copy.text([old[i] for kind, i in found if kind is not Kind.EXTRA]))
    copy.new.delete(i for kind, i in found if kind is Kind.EXTRA)
    return found


def _batches(items: Iterable[tuple[Kind, Json]], number: int) -> Iterator[list[tuple[Kind, Json]]]:
    source = iter(items)
    while part := list(islice(source, number)):
        yield part


# --- with a timestamp --------------------------------------------------------------------------------------


def _catch_up(copy: Copy, stamps: Stamps) -> None:
    """Copy again what was written since, in rounds, until a round is small; then ids; then a last round."""
    before: int | None = None
    for _ in range(_ROUNDS):
        number = _round(copy, stamps)
        if number <= _SMALL or (before is not None and number > before // 2):
            break
        before = number
    _same_ids(copy)
    _round(copy, stamps)


def _round(copy: Copy, stamps: Stamps) -> int:
    """Copy what was written since the last round began; remember when this one did."""
    since = copy.mark.since
    begin = copy.since()
    assert since is not None and begin is not None, "a copy by timestamp knows when it began"
    copy.seen.clear()
    number = 0
    for points in _written(copy, stamps, since):
        copy.new.upsert(copy.text(points))
        copy.seen.update({p["id"]: (stamps.of(p), _digest(p)) for p in points})
        number += len(points)
        copy.tell(f"{number:,} points written meanwhile, copied again")
    copy.save(since=max(since, begin))
    return number


def _written(copy: Copy, stamps: Stamps, since: float) -> Iterator[list[Any]]:
    """Points of the old generation that were written since, in batches."""
    offset: Json = None
    while True:
        where = [stamps.condition("gte", since)]
        page = copy.old.scroll(min(copy.limits[0], 250), offset, copy.mark.vectors, where=where)
        if points := page.points():
            yield points
        if page.next is None:
            return
        offset = page.next


def _same_ids(copy: Copy) -> None:
    """Deleted points go, and those that nothing else found are copied."""
    found = differences(copy.old, copy.new, False, copy.limits[1], copy.within, ids_only=True)
    for part in _batches(found, copy.limits[0]):
        ids = [point_id for _, point_id in part]
        old = copy.old.retrieve(ids, copy.mark.vectors)
        missing = [point_id for kind, point_id in part if kind is Kind.MISSING and point_id in old]
        copy.new.upsert(copy.text([old[point_id] for point_id in missing]))
        copy.new.delete(point_id for kind, point_id in part if kind is Kind.EXTRA and point_id not in old)


def _sampled(copy: Copy, stamps: Stamps) -> None:
    """A sample has to be the same in both, but for what was written just now."""
    since = copy.mark.since
    assert since is not None
    old = {p["id"]: p for p in copy.old.some(min(_SAMPLE, copy.limits[1]), copy.mark.vectors)}
    new = copy.new.retrieve(list(old), copy.mark.vectors)
    wrong = []
    for point_id, point in old.items():
        moment = stamps.of(point)
        settled = moment is None or moment < since
        if settled and (point_id not in new or not same_point(point, new[point_id], copy.within)):
            wrong.append(str(point_id))
    if wrong:
        raise StoreError(
            f"{len(wrong)} of {len(old)} points looked at differ between {copy.old.name} and {copy.new.name}, though"
            f" their {stamps.field} says that they were not written since (ids {', '.join(wrong[:_SHOWN])})",
            where=f"store {copy.http.spec.name}",
            hint=f"nothing was switched. Every write has to set {stamps.field}; where it does not, abandon the run and"
            " declare `writes: none_expected` or frozen, which compare every point",
        )


def _carry_over(copy: Copy, stamps: Stamps) -> int:
    """Bring what was written to the old one last; a newer version in the new one stays. How many there were."""
    changed = 0
    assert copy.mark.since is not None
    for points in _written(copy, stamps, copy.mark.since):
        there = copy.new.retrieve([p["id"] for p in points], copy.mark.vectors)
        absent = []
        for point in points:
            point_id, moment, found = point["id"], stamps.of(point), there.get(point["id"])
            if found is None:
                absent += [] if point_id in copy.seen else [point]  # else: deleted after the switch
            elif moment is not None and not same_point(point, found, copy.within):
                before = stamps.of(found)
                if before is None:
                    only = {"is_empty": {"key": stamps.field}}
                elif before < moment:
                    only = stamps.condition("lt", moment)
                elif before == moment and copy.seen.get(point_id) == (before, _digest(found)):
                    only = stamps.condition("lte", moment)  # twice within one tick, the second after it was copied
                else:
                    continue
                copy.new.upsert(copy.text([point]), [only])
                changed += 1
        copy.new.upsert(copy.text(absent), NOBODY)
        changed += len(absent)
    return changed


def _carry_deletions(copy: Copy, stamps: Stamps) -> int:
    """Delete what went from the old one in the last moment; what clients have added since stays."""
    since, changed = copy.mark.since, 0
    assert since is not None
    found = differences(copy.old, copy.new, False, copy.limits[1], copy.within, ids_only=True)
    for part in _batches((d for d in found if d[0] is Kind.EXTRA), copy.limits[0]):
        for point in copy.new.retrieve([point_id for _, point_id in part], False).values():
            moment = stamps.of(point)
            if moment is None:
                continue
            if moment < since or copy.seen.get(point["id"]) == (moment, _digest(point)):
                copy.new.delete([point["id"]], [stamps.condition("lte", moment)])
                changed += 1
    return changed


def _digest(point: Any) -> str:
    """Of the payload, floats as short as the server keeps them through a copy."""
    payload = json.loads(json.dumps(point.get("payload") or {}), parse_float=lambda text: f"{float(text):.12g}")
    text = json.dumps(payload, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
