"""Bring a copy up to date just before the alias is switched to it.

By what was promised about writes meanwhile:

- `frozen`: nothing may have changed; else the switch does not happen.
- `none_expected`: what changed all the same is copied.
- `dual`: the application writes to both; what differs for longer than a moment is taken from the old one.
- `timestamp`: what was written since, until little is left. Deletions by the ids. `carrying.py` does the rest after the
  switch.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant import pointing
from reconcile.stores.qdrant.comparing import Kind, Roll, aligned, differences
from reconcile.stores.qdrant.copying import Copy
from reconcile.stores.qdrant.equality import same_point
from reconcile.stores.qdrant.stamps import Stamps

_ROUNDS = 8
_SMALL = 1000
"""Points that may be left to copy when the switch comes."""
MOMENT_SECONDS = 1.0
"""An application that writes to both has written to both after it; a request on its way has arrived."""
_SAMPLE = 100
_SHOWN = 5
_TOLD_SECONDS = 1.0
_SEEN = 5000
"""Points whose digests are kept in the metadata for the case that this process ends between switch and end."""
_ITEM = TypeVar("_ITEM")


def settle(copy: Copy) -> None:
    """Before the switch: the new generation holds what the old one does.

    Raises:
        StoreError: it cannot be brought there, or a promise was not kept; nothing is switched.
    """
    there, behind = pointing.moved(copy.http, copy.args)
    if there:  # clients may have written to the new one already: nothing in it may be overwritten any more
        if behind and copy.stamps is None and copy.old.exists():
            _between(copy, there, behind)
        return
    if copy.mark.stage in ("settled", "dropping") and not copy.old.exists():
        return  # a plain collection is deleted before its alias can be made
    if copy.mark.stage == "dropping":
        _not_made_anew(copy)
        return
    if copy.stamps is not None:
        _catch_up(copy, copy.stamps)
        return
    if copy.mark.writes == "frozen":
        _frozen(copy)
    else:
        _alike(copy)
    copy.save(stage="settled")


def _not_made_anew(copy: Copy) -> None:
    """A plain collection that was about to go: a client may have made an empty one of its name in the meantime."""
    if copy.old.empty():
        return
    found = next(_all_differences(copy), None)
    if found is not None:
        raise StoreError(
            f"{copy.old.name} was saved and about to be deleted, and now differs from its copy {copy.new.name} (id"
            f" {found[1]}): somebody wrote to it, or made it anew while it was gone",
            where=f"store {copy.http.spec.name}",
            hint=f"nothing was changed. {copy.new.name} holds the points of before: write what is new in"
            f" {copy.old.name} to it as well, delete {copy.old.name}, then: reconcile apply --resume",
        )


def _between(copy: Copy, there: list[str], behind: list[str]) -> None:
    """An earlier try ended when some aliases pointed at the new generation and some did not: both may be written to."""
    found = [point_id for _, point_id in islice(_all_differences(copy), _SHOWN + 1)]
    if found and copy.mark.writes == "dual":
        time.sleep(MOMENT_SECONDS)
        found = [point_id for _, point_id in _apart(copy, found)]
    if not found:
        return
    shown = ", ".join(map(str, found[:_SHOWN])) + (", …" if len(found) > _SHOWN else "")
    what = (
        f"since an earlier try ended, alias {', '.join(there)} pointed at {copy.new.name} and {', '.join(behind)} at"
        f" {copy.old.name}, and they differ now (ids {shown})"
    )
    if copy.old.name in behind:  # the plain collection is deleted next
        raise StoreError(
            what,
            where=f"store {copy.http.spec.name}",
            hint=f"nothing was deleted. Write what is new in {copy.old.name} to {copy.new.name} and the other way,"
            " then: reconcile apply --resume",
        )
    copy.report(f"{what}; {copy.old.name} is kept as it is until a later plan drops it")


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
    for part in batches(_all_differences(copy), copy.limits.batch):
        for kind, point_id in _take_over(copy, [point_id for _, point_id in part]):
            found[kind.value] += 1
            if len(shown) < _SHOWN:
                shown.append(str(point_id))
    return found, f" (ids {', '.join(shown)}{', …' if sum(found.values()) > len(shown) else ''})" if shown else ""


def _all_differences(copy: Copy) -> Iterator[tuple[Kind, Json]]:
    """Every point compared, told as it goes."""
    total, began, told = copy.old.count(), time.monotonic(), 0.0

    def passed(number: int) -> None:
        nonlocal told
        seconds = time.monotonic() - began
        if seconds - told > _TOLD_SECONDS or number >= total:
            told = seconds
            copy.tell(f"{number:,} of {max(total, number):,} points compared, {number / max(seconds, 1e-3):,.0f}/s")

    yield from differences(copy.old, copy.new, copy.mark.vectors, copy.limits.batch, copy.kept, passed)


def _take_over(copy: Copy, ids: list[Json]) -> list[tuple[Kind, Json]]:
    """Make these points of the new generation what they are in the old one; what there was to do."""
    if copy.mark.writes == "dual":
        time.sleep(MOMENT_SECONDS)  # written to one, on its way to the other
    old = copy.old.retrieve(ids, copy.mark.vectors)
    found = _apart(copy, ids, old)
    copy.put([old[i] for kind, i in found if kind is not Kind.EXTRA])
    copy.new.delete(i for kind, i in found if kind is Kind.EXTRA)
    return found


def _apart(copy: Copy, ids: list[Json], old: dict[Json, Any] | None = None) -> list[tuple[Kind, Json]]:
    """Which of these points differ now."""
    old = copy.old.retrieve(ids, copy.mark.vectors) if old is None else old
    new = copy.new.retrieve(ids, copy.mark.vectors)
    found: list[tuple[Kind, Json]] = []
    for point_id in ids:
        if point_id not in old:
            found += [(Kind.EXTRA, point_id)] if point_id in new else []
        elif point_id not in new:
            found.append((Kind.MISSING, point_id))
        elif not same_point(old[point_id], new[point_id], copy.kept):
            found.append((Kind.DIFFERS, point_id))
    return found


def batches(items: Iterable[_ITEM], number: int) -> Iterator[list[_ITEM]]:
    """The items, by the number."""
    source = iter(items)
    while part := list(islice(source, number)):
        yield part


# --- with a timestamp --------------------------------------------------------------------------------------


def _catch_up(copy: Copy, stamps: Stamps) -> None:
    """Copy again what was written since, in rounds, until a round is small; then ids; then a last round.

    The last one comes last of all: what is written after it is found after the switch only.
    """
    before: int | None = None
    for _ in range(_ROUNDS):
        copy.seen.clear()  # of what was copied before, the next round takes up all that may still matter
        number = _round(copy, stamps)
        if number <= _SMALL or (before is not None and number > before // 2):
            break
        before = number
    _same_ids(copy)
    copy.all_have_times("nothing was switched")
    _sampled(copy, stamps)
    _round(copy, stamps)
    few = [list(item) for item in copy.seen.items()] if len(copy.seen) <= _SEEN else None
    copy.save(stage="settled", seen=few)


def _round(copy: Copy, stamps: Stamps) -> int:
    """Copy what was written since the last round began; remember when this one did."""
    since, begin = copy.mark.since, copy.since()
    assert since is not None and begin is not None, "a copy by timestamp knows when it began"
    number = 0
    for points in written(copy, stamps, since):
        copy.put(points)
        copy.seen.update({p["id"]: digest(p) for p in points})
        number += len(points)
        copy.tell(f"{number:,} points written meanwhile, copied again")
    copy.save(since=max(since, begin))
    return number


def written(copy: Copy, stamps: Stamps, since: float) -> Iterator[list[Any]]:
    """Points of the old generation that were written since, in batches."""
    offset: Json = None
    where = {"must": [stamps.since(since)]}
    while True:
        page = copy.old.scroll(min(copy.limits.batch, 250), offset, copy.mark.vectors, where=where)
        if points := page.points():
            yield points
        if page.next is None:
            return
        offset = page.next


def _same_ids(copy: Copy) -> None:
    """Deleted points go, and those that nothing else found are copied; the ids that both have then are put down."""
    copy.both = Roll()
    sides = aligned(copy.old.ids(copy.limits.page), copy.new.ids(copy.limits.page))
    for part in batches(sides, copy.limits.page):
        one = {point_id: in_old for point_id, (in_old, in_new) in part if in_old != in_new}
        still: set[Json] = set()
        for ids in batches(one, copy.limits.batch):
            found = copy.old.retrieve(ids, copy.mark.vectors)
            missing = [point for point_id, point in found.items() if one[point_id]]
            copy.put(missing)
            copy.seen.update({p["id"]: digest(p) for p in missing})
            copy.new.delete(point_id for point_id in ids if point_id not in found)
            still |= found.keys()
        for point_id, there in part:
            if all(there) or point_id in still:
                copy.both.add(point_id)


def _sampled(copy: Copy, stamps: Stamps) -> None:
    """A sample has to be the same in both, but for what was written just now."""
    since = copy.mark.since
    assert since is not None
    old = {p["id"]: p for p in copy.old.some(min(_SAMPLE, copy.limits.page), copy.mark.vectors)}
    new = copy.new.retrieve(list(old), copy.mark.vectors)
    wrong = []
    for point_id, point in old.items():
        moment = stamps.of(point)
        settled = moment is None or moment < since
        if settled and (point_id not in new or not same_point(point, new[point_id], copy.kept)):
            wrong.append(str(point_id))
    if wrong:
        raise StoreError(
            f"{len(wrong)} of {len(old)} points looked at differ between {copy.old.name} and {copy.new.name}, though"
            f" their {stamps.field} says that they were not written since (ids {', '.join(wrong[:_SHOWN])})",
            where=f"store {copy.http.spec.name}",
            hint=f"nothing was switched. Every write has to set {stamps.field}; where it does not, abandon the run and"
            " declare `writes: none_expected` or frozen, which compare every point",
        )


def digest(point: Any) -> str:
    """Of the payload, floats as short as the server keeps them through a copy."""
    payload = json.loads(json.dumps(point.get("payload") or {}), parse_float=lambda text: f"{float(text):.12g}")
    text = json.dumps(payload, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
