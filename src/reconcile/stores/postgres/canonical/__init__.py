"""Desired -> the server's own spelling: equal texts first, then what is known, then a scratch build.

An empty difference costs nothing here; a small one a small scratch build, however large the schema.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol

from reconcile.model import Address, Json, Resource, State
from reconcile.stores.base import Canonical, Live, Receipt
from reconcile.stores.postgres.canonical.access import filled_grant, spelled
from reconcile.stores.postgres.canonical.closure import Closure
from reconcile.stores.postgres.canonical.counterparts import Counterparts
from reconcile.stores.postgres.canonical.fill import filled
from reconcile.stores.postgres.canonical.texts import (
    as_json,
    pending,
    same_parts,
    spelling,
    taken,
    texts,
    with_texts,
)
from reconcile.stores.postgres.resources import VIEWS, DefaultPrivileges, Grant
from reconcile.stores.postgres.resources.access import columns_renamed

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from reconcile.change import Server
    from reconcile.stores.postgres.canonical.scratch import Built


class Connected(Protocol):
    """What is asked of the session."""

    name: str
    schemas: tuple[str, ...]
    equality: str
    """Where something may be built: see `ways.build`."""

    def server(self) -> Server:
        """Version and extensions."""

    def scratch(self, *, lent: bool = False) -> AbstractContextManager[psycopg.Connection[TupleRow]]:
        """A transaction that is always rolled back, on request in a database of the sandbox's."""


def canonical(session: Connected, desired: State, live: Live, known: Mapping[str, Json]) -> Canonical:
    """`desired` in the server's own spelling; leaves no trace.

    Args:
        session: asked for a scratch transaction only where something differs that is not `known`.
        desired: one store's declared resources.
        live: what introspection saw of it.
        known: what earlier runs learned (`Canonical.learned`).

    Raises:
        psycopg.OperationalError: the connection was lost.
    """
    work = Work(session, desired, live, known)
    open_ = [x for x in desired.values() if work.settled(x) is None]
    if open_:
        work.look_up(open_)
    build = [x for x in open_ if x.address not in work.done]
    if build:
        work.build(build)
    state = State({**desired.resources, **work.done}) if work.done else desired
    unproved, notes = tuple(work.unproved), tuple(dict.fromkeys(work.notes))
    return Canonical(state, tuple(work.problems), tuple(work.receipts), work.learned, unproved, notes, work.same)


_json = cache(json.loads)
_ACCESS = (Grant, DefaultPrivileges)


def _differing(full: Resource, after: Resource, y: Resource) -> Iterator[tuple[str, str, str]]:
    """(path, declared, live) of texts that are the live ones in their own spelling `after`, and not as declared."""
    theirs, ours = dict(texts(y)), dict(texts(full))
    for path, text in texts(after):
        if theirs.get(path) == text != ours.get(path):
            yield path, ours.get(path) or "", text or ""


class Work:
    """One comparison: what is settled, by which way, and what is still to be built."""

    def __init__(self, session: Connected, desired: State, live: Live, known: Mapping[str, Json]) -> None:
        from reconcile.errors import Problem

        self.session, self.desired, self.live, self.known = session, desired, live, known
        self.others = Counterparts(desired, live.state)
        self.done: dict[Address, Resource] = {}
        self.same: set[Address] = set()
        self.problems: list[Problem] = []
        self.receipts: list[Receipt] = []
        self.unproved: list[Receipt] = []
        self.notes: list[str] = []
        self.learned: dict[str, Json] = {}
        self._closure: Closure | None = None
        self._open: set[object] = set()
        """Texts, declared and live, of which nothing is alike and something is for the server to tell."""
        self._said: dict[Address, tuple[object, ...]] = {}
        """Both texts of each resource that the server has to tell of."""
        self._spellings: dict[str, Mapping[str, Any]] = {}
        """What `spelling` made of what is known, by key: many resources have one."""
        self._differing: dict[object, list[tuple[str, str, str]]] = {}
        """(path, declared, live) of texts that turned out to say the same, by key and both texts."""

    @property
    def closure(self) -> Closure:
        """What is needed to build something; made only where something is to be built or looked up."""
        if self._closure is None:
            self._closure = Closure(self.desired, self.others, self._world())
        return self._closure

    @cached_property
    def forms(self) -> Mapping[Address, str]:
        """What is declared, as JSON text."""
        return self.desired.forms()

    def _world(self) -> Sequence[Json]:
        """What spelling depends on besides definitions: server, extensions, search path."""
        extensions = [
            [x.name, getattr(x, "version", None), getattr(x, "in_schema", None)]
            for x in self.live.state.of_kind("extension")
        ]
        return [self.session.server().version, sorted(extensions), list(self.session.schemas[:1])]

    def settled(self, x: Resource) -> Resource | None:
        """`x` in canonical spelling where texts alone tell; None where they do not."""
        if isinstance(x, _ACCESS):
            self.done[x.address] = self._access(x)
            return x
        y = self.others.of(x)
        if y is not None and x == y:
            if isinstance(y, VIEWS):
                self.done[x.address] = x.replace(columns=y.columns)
            elif x.container == y.container:
                self.same.add(x.address)
            return x
        full = filled(x, y)
        if y is not None:
            said = self._said[x.address] = (type(x), *texts(full), None, *texts(y))
            if said in self._open:  # many tables have the same check
                return None
            alike = list(same_parts(full, y))
            self.receipts += [Receipt(x.address, path, declared, theirs, "text") for path, declared, theirs in alike]
            after = taken(full, y)
            if pending(after, y):
                if after is full and not alike:
                    self._open.add(said)
                return None
            full = after
        elif pending(full, y):
            return None
        self._finish(x, full)
        return full

    def _access(self, x: Grant | DefaultPrivileges) -> Resource:
        server = self.session.server()
        after = spelled(x, server.numbers)
        if isinstance(after, DefaultPrivileges):
            return after
        y = self.others.of(x)
        if isinstance(y, Grant):
            y = columns_renamed(y, self.others.renamed_columns(after.object))
        user = str(server.facts.get("user"))
        return filled_grant(after, y if isinstance(y, Grant) else None, server.numbers, user)

    def look_up(self, open_: Sequence[Resource]) -> None:
        """Settle what earlier runs learned the spelling of."""
        for x in open_:
            key = self.closure.key(x)
            entry = self.known.get(key)
            if isinstance(entry, Mapping):
                self.settle(x, key, entry, "known")

    def settle(self, x: Resource, key: str, spelled: Mapping[str, Json], how: str) -> None:
        """Give `x` the texts of `spelled`; receipts for those that differ from the declared and equal the live."""
        y = self.others.of(x)
        full = filled(x, y)
        if key not in self._spellings:
            self._spellings[key] = spelling(type(x), spelled)
        after = with_texts(full, spelled, self._spellings[key])
        if y is not None:
            both = (key, self._said.get(x.address))
            if both not in self._differing:
                self._differing[both] = list(_differing(full, after, y))
            self.receipts += [Receipt(x.address, path, ours, text, how) for path, ours, text in self._differing[both]]
        self._finish(x, after)

    def _built(self, wanted: Sequence[Resource], compared: Iterable[Address]) -> Built:
        from reconcile.stores.postgres.canonical.ways import build

        result = build(self.session, self.closure, self.live, wanted, compared)
        self.problems += result.problems
        self.notes += (f"store {self.session.name}: {note}" for note in result.notes)
        return result

    def _finish(self, x: Resource, after: Resource) -> None:
        changed = after is not x and after != x
        self.done[x.address] = after.replace(declared=_json(self.forms[x.address])) if changed else after

    def build(self, open_: Sequence[Resource]) -> None:
        """Settle by building; what cannot be built here is left as declared and listed as unproved."""
        alike: dict[str, list[Resource]] = defaultdict(list)
        for x in open_:
            alike[self.closure.key(x)].append(x)
        is_live = {x.address for x in open_ if self.others.of(x) is not None}
        compared = [those[0].address for those in alike.values() if any(x.address in is_live for x in those)]
        result = self._built([first for first, *_ in alike.values()], compared)
        wrong = [x for first, *rest in alike.values() if first.address not in result.found for x in rest]
        if wrong and result.impossible is None:  # for each its own problem, at its own line
            again = self._built(wrong, is_live)
            result.found.update(again.found)
            result.reasons.update(again.reasons)
            result.hows.update(again.hows)
        hows: dict[str, str] = {}
        for key, those in alike.items():
            found = next((x.address for x in those if x.address in result.found), None)
            if found is not None:
                self.learned[key], hows[key] = as_json(result.found[found]), result.hows[found]
        for x in open_:
            key = self.closure.key(x)
            entry = self.learned.get(key)
            if entry is not None:
                self.settle(x, key, entry, hows.get(key, "server"))
                continue
            y = self.others.of(x)
            full = filled(x, y)
            self._finish(x, full if y is None else taken(full, y))
            reason = result.reasons.get(x.address, result.impossible)
            if y is not None and reason is not None:
                for path, declared, theirs in pending(self.done[x.address], y):
                    self.unproved.append(Receipt(x.address, path, declared, theirs, reason, x.source))
