"""The order of migrations: by number, but for what they say they depend on."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from reconcile.errors import Problem
from reconcile.migrations.model import Migration
from reconcile.suggest import meant


def ordered(found: Sequence[Migration], folders: Sequence[str], problems: list[Problem]) -> list[Migration]:
    """All migrations in the order in which they run; what is missing, cyclic or double goes to `problems`.

    Args:
        folders: the names of the folders, in the order of reconcile.yaml.
    """
    _doubles(found, problems)
    needs = {m.id: _needs(m, found, problems) for m in found}
    place = {name: n for n, name in enumerate(folders)}
    keys = {m.id: (place[m.folder.name], m.order, m.name) for m in found}
    waiting = {m.id: {n.id for n in needs[m.id]} for m in found}
    by_id = {m.id: m for m in found}
    ready = [(keys[i], i) for i, left in waiting.items() if not left]
    heapq.heapify(ready)
    result: list[Migration] = []
    while ready:
        _, done = heapq.heappop(ready)
        result.append(by_id[done])
        for other, left in waiting.items():
            if done in left:
                left.discard(done)
                if not left:
                    heapq.heappush(ready, (keys[other], other))
    stuck = [m for m in found if waiting[m.id]]
    for migration in stuck:
        if (ring := _ring(migration.id, waiting)) and min(ring) == migration.id:
            chain = " → ".join(by_id[i].file for i in (*ring, ring[0]))
            where = next(
                (s for n, s in migration.depends_on if by_id[ring[1 % len(ring)]].id == ring[1 % len(ring)]), None
            )
            problems.append(Problem(f"depends on itself: {chain}", where=where or migration.source))
    return [*result, *stuck]


def _doubles(found: Sequence[Migration], problems: list[Problem]) -> None:
    seen: dict[tuple[str, tuple[int, ...]], Migration] = {}
    names: dict[tuple[str, str, str], Migration] = {}
    for migration in sorted(found, key=lambda m: m.file):
        key = (migration.folder.name, migration.order)
        if (other := seen.setdefault(key, migration)) is not migration:
            what = f"has the number {migration.number}, as {other.file} has"
            problems.append(Problem(what, where=migration.source, hint="give one of them another number"))
        table = (migration.folder.store, migration.folder.table, migration.name)
        if (other := names.setdefault(table, migration)) is not migration and other.folder != migration.folder:
            what = f"is called {migration.name}, as {other.file} is, and both are tracked in {migration.folder.table}"
            hint = "rename one of them, or give one folder another `table:`"
            problems.append(Problem(what, where=migration.source, hint=hint))


def _needs(migration: Migration, found: Sequence[Migration], problems: list[Problem]) -> list[Migration]:
    result = []
    for name, where in migration.depends_on:
        target = find(name, found, migration.folder.name)
        if len(target) == 1:
            result.append(target[0])
        elif not target:
            known = sorted(k for m in found if m.folder == migration.folder for k in (m.number, m.name))
            what = f"{migration.file} depends on {name}, which is not in {migration.folder.folder}"
            problems.append(Problem(what, where=where, hint=meant(name, known)))
    return result


def find(name: str, found: Sequence[Migration], folder: str | None = None) -> list[Migration]:
    """The migrations that somebody may mean: by number, name or file, with `FOLDER/` before it or not."""
    head, slash, rest = name.rpartition("/")
    among = [m for m in found if m.folder.name == (head if slash and head in _folders(found) else folder)]
    wanted = rest if slash else name
    for choice in (among, list(found)) if folder is None or not among else (among,):
        exact = [m for m in choice if wanted in m.keys]
        if exact:
            return exact
        if wanted.isdigit():
            numbers = [m for m in choice if m.order == (int(wanted),)]
            if numbers:
                return numbers
    return []


def _folders(found: Sequence[Migration]) -> set[str]:
    return {m.folder.name for m in found}


def _ring(start: str, waiting: dict[str, set[str]]) -> list[str]:
    """A way from a migration back to itself; nothing where it only waits for one that is in a ring."""
    stack = [(start, [start])]
    seen = set()
    while stack:
        at, way = stack.pop()
        for following in sorted(waiting[at]):
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                stack.append((following, [*way, following]))
    return []
