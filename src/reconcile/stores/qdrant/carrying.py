"""After the switch of a copy by timestamp: what was written to the old generation in its last moment is carried over.

Clients write to the new generation meanwhile, so nothing is overwritten or deleted there but what is known to be older.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.stores.qdrant.comparing import Along, aligned
from reconcile.stores.qdrant.copying import NOBODY, Copy, strangers
from reconcile.stores.qdrant.equality import same_point
from reconcile.stores.qdrant.settling import MOMENT_SECONDS, batches, digest, written
from reconcile.stores.qdrant.stamps import Stamps

_ROUNDS = 8
_SHOWN = 5


def finish(copy: Copy) -> None:
    """Until nothing is left to carry over.

    Raises:
        StoreError: somebody goes on writing to the old generation.
    """
    if copy.stamps is None or copy.mark.since is None:
        return
    for turn in range(_ROUNDS):
        if turn:
            time.sleep(MOMENT_SECONDS)
        changed = _writes(copy, copy.stamps)
        changed += _deletions(copy, copy.stamps)
        if turn and not changed:
            _leave_word(copy, copy.stamps)
            return
    raise StoreError(
        f"{copy.old.name} is still written to, though no alias points at it ({_ROUNDS} times over, something was to be"
        f" carried over to {copy.new.name})",
        where=f"store {copy.http.spec.name}",
        hint=f"nothing is lost so far. Some client uses the name {copy.old.name} itself: let it use {copy.mark.name},"
        " then: reconcile apply --resume",
    )


def _writes(copy: Copy, stamps: Stamps) -> int:
    """Bring what was written to the old one last; a newer version in the new one stays. How many there were."""
    changed = 0
    assert copy.mark.since is not None
    both = Along(iter(copy.both or ()))
    for points in written(copy, stamps, copy.mark.since):
        there = copy.new.retrieve([p["id"] for p in points], copy.mark.vectors)
        # One that was copied and is not there any more was deleted after the switch.
        gone = both.among(p["id"] for p in points) | copy.seen.keys()
        absent = [p for p in points if p["id"] not in there and p["id"] not in gone]
        copy.put(absent, NOBODY)
        copy.seen.update({p["id"]: digest(p) for p in absent})
        changed += len(absent)
        for point in points:
            found = there.get(point["id"])
            if found is None:
                continue
            copy.seen.setdefault(point["id"], "")  # of no version: it was there, and may be deleted from now on
            if not same_point(point, found, copy.kept) and _older(copy, stamps, point, found):
                unchanged = (stamps.still(stamps.raw(found), updating=updating) for updating in (True, False))
                if copy.renew(point, found, *unchanged):
                    copy.seen[point["id"]] = digest(point)
                    changed += 1
    return changed


def _older(copy: Copy, stamps: Stamps, point: Any, found: Any) -> bool:
    """Whether what is found in the new generation gives way to `point`."""
    moment, before = stamps.of(point), stamps.of(found)
    if before is None or (before < moment if moment is not None else before < (copy.mark.since or 0)):
        return True
    # Twice within one tick, the second after it was copied.
    return before == moment and copy.seen.get(point["id"]) == digest(found)


def _deletions(copy: Copy, stamps: Stamps) -> int:
    """Delete what went from the old one in its last moment; what clients have added or written since stays."""
    changed = 0
    for ids in batches(_gone(copy), copy.limits.batch):
        for point in copy.new.retrieve(ids, False).values():
            if (unchanged := _unchanged(copy, stamps, point)) is not None:
                copy.new.delete([point["id"]], [unchanged])
                changed += 1
    return changed


def _gone(copy: Copy) -> Iterator[Json]:
    """Ids that both had just before the switch, and the old one has no more."""
    old, new = (side.ids(copy.limits.page) for side in (copy.old, copy.new))
    if copy.both is None:  # an earlier process knew them
        yield from (i for i, (in_old, in_new) in aligned(old, new) if in_new and not in_old and i in copy.seen)
        return
    for point_id, (in_old, in_new, in_both) in aligned(old, new, iter(copy.both)):
        if in_new and not in_old and (in_both or point_id in copy.seen):
            yield point_id


def _unchanged(copy: Copy, stamps: Stamps, point: Any) -> Json:
    """The condition under which a point of the new generation is still as it was copied; None: it was written since."""
    moment, since = stamps.of(point), copy.mark.since
    assert since is not None
    if moment is None or moment < since or copy.seen.get(point["id"]) == digest(point):
        return stamps.still(stamps.raw(point), updating=False)
    return None


def _leave_word(copy: Copy, stamps: Stamps) -> None:
    """Report what could not be told apart, or not found."""
    if what := strangers(copy.old, stamps):
        copy.report(f"{what}. They were written in the last moment before the switch: look at them in {copy.old.name}")
    if copy.both is not None:
        return
    old, new = (side.ids(copy.limits.page) for side in (copy.old, copy.new))
    more = [i for i, (in_old, _) in aligned(old, new) if not in_old]
    left = []
    for ids in batches(more, copy.limits.batch):
        left += [i for i, p in copy.new.retrieve(ids, False).items() if (stamps.of(p) or 0) < (copy.mark.since or 0)]
    if left:
        shown = ", ".join(map(str, left[:_SHOWN])) + (", …" if len(left) > _SHOWN else "")
        copy.report(
            f"{len(left):,} points of {copy.new.name} are not in {copy.old.name}, and their {stamps.field} says that"
            f" they were there when it was copied (ids {shown}): deleted in the moment before an earlier try ended, or"
            " written since with a clock that is behind; they stay"
        )
