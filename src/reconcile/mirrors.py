"""`mirrors:` of the project set against what is declared: which table, label and collection hold the same ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconcile.errors import Problem
from reconcile.model import Source, State
from reconcile.stores import package
from reconcile.stores.base import Context, Mirroring, Side
from reconcile.suggest import meant
from reconcile.yamlio import Map

if TYPE_CHECKING:
    from reconcile.project import Project


@dataclass(frozen=True)
class Mirror:
    """Sides that should hold the same ids. The first is the original that the others are compared with."""

    name: str
    sides: tuple[Side, ...]
    source: Source


def resolved(project: Project, desired: State, problems: list[Problem]) -> list[Mirror]:
    """The mirrors of a project; what is wrong with them is added to `problems`.

    Args:
        desired: what is declared, of all stores.
    """
    found = []
    for name, entries in project.mirrors.items():
        sides: list[Side] = []
        for entry in entries:
            side = _side(name, entry, project, desired, problems)
            if side is None:
                continue
            same = next((s for s in sides if (s.address, s.key) == (side.address, side.key)), None)
            if same is not None:
                what = f'mirror "{name}": {side.address} is a side of it already ({same.source})'
                problems.append(Problem(what, where=side.source, hint="compare it with another, or leave it out"))
            sides.append(side)
        found.append(Mirror(name, tuple(sides), project.mirrors.at(name)))
    return found


def _side(mirror: str, entry: Map, project: Project, desired: State, problems: list[Problem]) -> Side | None:
    """One side, or None where its store or the kind of its key is wrong."""
    what, store = f'mirror "{mirror}"', entry["store"]
    if store not in project.stores:
        where = entry.value_at("store")
        problems.append(Problem(f'{what}: there is no store "{store}"', where=where, hint=meant(store, project.stores)))
        return None
    spec = project.stores[store]
    kind = package(spec.kind)
    if not isinstance(kind, Mirroring):
        where = entry.value_at("store")
        problems.append(Problem(f"{what}: a store of kind {spec.kind} cannot be compared by ids", where=where))
        return None
    named = [key for key in entry if key not in ("store", "key")]
    wrong = next((key for key in named if key not in kind.sides), None)
    if len(named) != 1 or wrong is not None:
        ways = " or ".join(f"{key}: NAME" for key in kind.sides)
        said = f"both {named[0]} and {named[1]}" if len(named) > 1 else f"no {' or '.join(kind.sides)}"
        said = f"no {wrong}: it is a store of kind {spec.kind}" if wrong is not None else said
        where = entry.at(wrong or named[-1]) if named else entry.at()
        problems.append(Problem(f'{what}: store "{store}" has {said}', where=where, hint=f"write {ways}"))
        return None
    context = Context(spec, project.embeddings)
    own = desired.filter(lambda r: r.address.store == store)
    side = kind.side(named[0], entry, own, context)
    problems += [Problem(f"{what}: {p.what}", where=p.where, hint=p.hint) for p in context.problems]
    return side
