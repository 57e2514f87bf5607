"""Give the keys of a family their new names, a batch at a time. Lent the session's connection.

RENAMENX is atomic, keeps the time to live, and takes no name that is in use; so a run that is killed anywhere has
left every key under one of its two names, and the next goes on with those under the old one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from reconcile.errors import StoreError
from reconcile.model import Json
from reconcile.pacing import Load
from reconcile.stores.redis.patterns import Pattern, Renaming
from reconcile.stores.redis.sampling import batches
from reconcile.stores.redis.wire import Wire, raw

AT_ONCE = 500
PASSES = 5
"""How often the keys are gone through, where clients go on writing old names."""
SHOWN = 5
LOOK = 1.0
"""Seconds between two looks at the server's load."""
OVER = 1.0
"""Seconds of rest after each batch while a limit is passed: slowly, but it comes to its end."""


def any_left(wire: Wire, pattern: Pattern, seconds: float) -> bool | None:
    """Whether there is a key of a pattern; None where not all could be looked at in that time."""
    until = time.monotonic() + seconds
    for names in batches(wire, pattern.glob, 10 * AT_ONCE):
        if any(map(pattern.matches, names)):
            return True
        if time.monotonic() > until:
            return None
    return False


def rename(wire: Wire, args: Mapping[str, Json], tell: Callable[[str], None], load: Callable[[], Load] = Load) -> int:
    """Rename until a whole SCAN finds no key of the old pattern; how many were.

    Args:
        load: how near the server is to its declared limits: the nearer, the longer it rests after a batch.

    Raises:
        StoreError: a new name is in use, or clients keep writing old ones.
    """
    renaming = Renaming(Pattern(args["from"]), Pattern(args["to"]))
    total, now, looked = 0, Load(), 0.0
    for _ in range(PASSES):
        before = total
        for pairs in _pairs(wire, renaming):
            began = time.monotonic()
            if began - looked >= LOOK:
                now, looked = load(), began
            words = [("RENAMENX", raw(old), raw(new)) for old, new in pairs]
            answers = wire.pipe(words, passing="no such key")  # it expired, or SCAN gave it twice
            if taken := [pair for pair, answer in zip(pairs, answers, strict=True) if answer == 0]:
                raise _taken(wire, taken)
            total += sum(answer == 1 for answer in answers)
            tell(f"{total} keys renamed" + (f"; {now}" if str(now) else ""))
            time.sleep(max(now.rest(time.monotonic() - began), OVER if now.over else 0.0))
        if total == before:
            return total
    raise StoreError(
        f"after {PASSES} passes, in which {total} keys were renamed, clients still write keys of {renaming.old.text}",
        where=wire.place,
        hint="let them write the new names first, then: reconcile apply --resume",
    )


def collisions(wire: Wire, args: Mapping[str, Json]) -> tuple[int, list[tuple[str, str]]]:
    """How many keys have a new name that is in use, and the first of them with that."""
    renaming, count = Renaming(Pattern(args["from"]), Pattern(args["to"])), 0
    sample: list[tuple[str, str]] = []
    for pairs in _pairs(wire, renaming):
        answers = wire.pipe([("EXISTS", raw(new)) for _, new in pairs])
        taken = [pair for pair, answer in zip(pairs, answers, strict=True) if answer]
        count += len(taken)
        sample += taken[: SHOWN - len(sample)]
    return count, sample


def _pairs(wire: Wire, renaming: Renaming) -> Iterator[list[tuple[str, str]]]:
    for names in batches(wire, renaming.old.glob, AT_ONCE):
        found = [(old, new) for old in dict.fromkeys(names) if (new := renaming.new_name(old)) is not None]
        if found:
            yield found


def _taken(wire: Wire, taken: list[tuple[str, str]]) -> StoreError:
    named = ", ".join(f"{old} → {new}" for old, new in taken[:SHOWN])
    return StoreError(
        f"{len(taken)} new names came into use meanwhile: {named}",
        where=wire.place,
        hint="delete one of the two keys each, or give it another name; then: reconcile apply --resume",
    )
