"""A new generation filled from the old one while clients go on; the old one is retired, and dropped by a later plan.

https://qdrant.tech/documentation/concepts/collections/#collection-aliases
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from reconcile.change import Action, Call, Change, Irreversible, Op, Phase, Step, Timeouts, World
from reconcile.errors import PlanError
from reconcile.facts import Fact, done, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.stores.qdrant.changes.collection import DropCollection, finish_calls
from reconcile.stores.qdrant.changes.common import (
    alias_call,
    aliases_of,
    create_calls,
    indexes_of,
    moved_aliases,
)
from reconcile.stores.qdrant.changes.generation import ReplaceCollection
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex
from reconcile.stores.qdrant.stamps import KINDS

_LONG = Timeouts(wall="7d")
_CONDITIONS = 2
"""In one filter, that a copy by timestamp needs."""


class CopyCollection(ReplaceCollection):
    """NAME__vN+1 is made, filled from the old generation, compared; aliases are pointed at it; the old one stays."""

    action: ClassVar[Action] = Action.CREATE_DELETE

    @property
    def strategy(self) -> str | None:
        """How."""
        if self._other_vectors():
            return super().strategy
        back = f", {', '.join(self._brought())} brought back from {self.collection.brings}" if self._brought() else ""
        return f"copied to {self.collection.name} ({self._promise()}){back}, aliases switched, {self.old.name} retired"

    def _promise(self) -> str:
        writes = self.collection.writes
        return f"writes: timestamp {writes['timestamp']}" if isinstance(writes, Mapping) else f"writes: {writes}"

    def _kept_vectors(self) -> Json:
        """`with_vector` of a scroll: all, some by name, or none."""
        there = vectors_of(self.old)
        kept = [name for name in there if name in vectors_of(self.collection)]
        return True if kept == there and not self._brought() else kept or False

    def _lost(self) -> bool:
        """Whether there are vectors that are not taken along."""
        return bool(set(vectors_of(self.old)) - set(vectors_of(self.collection)))

    def _brought(self) -> list[str]:
        """Vectors that come back, of what an earlier copy left behind."""
        if self.collection.brings is None or self.collection.brings == self.old.name:
            return []
        return [name for name in vectors_of(self.collection) if name not in vectors_of(self.old)]

    def _bring(self) -> list[Call]:
        args = {"from": self.collection.brings, "to": self.collection.name, "vectors": self._brought()}
        return [Op("bring_vectors", args)] if args["vectors"] else []

    def steps(self, world: World) -> Sequence[Step]:
        """Create and copy beside, switch, retire. Where stored vectors would not fit: as without `copy`."""
        if self._other_vectors():
            return super().steps(world)
        self._check_timestamp(world)
        return [self._create(world), self._copy(world), self._switch(world)]

    def _check_timestamp(self, world: World) -> None:
        """Raises where the live collection cannot say what was written since."""
        writes = self.collection.writes
        if not isinstance(writes, Mapping):
            return
        field = writes["timestamp"]
        index = world.live.get(self.address.child("payload_index", field))
        if not isinstance(index, PayloadIndex) or index.type not in KINDS or index.range is False:
            raise PlanError(
                f"{self.address}: `writes: {{timestamp: {field}}}` needs a payload index on {field} of type"
                f" {', '.join(KINDS[:-1])} or {KINDS[-1]} in the collection as it is now",
                where=self.collection.source,
                hint="declare the index and apply that first, without the change that needs a copy",
            )
        for collection in (self.old, self.collection):
            strict = collection.strict_mode or {}
            if strict.get("enabled") and (strict.get("filter_max_conditions") or _CONDITIONS) < _CONDITIONS:
                raise PlanError(
                    f"{self.address}: strict mode of {collection.name} allows filters of"
                    f" {strict['filter_max_conditions']} condition, and a copy with `writes: {{timestamp: {field}}}`"
                    f" needs {_CONDITIONS}, to delete a point only if it is still as old as it was",
                    where=self.collection.source,
                    hint=f"set `strict_mode: {{filter_max_conditions: {_CONDITIONS}}}` and apply that first, without"
                    " the change that needs a copy; afterwards it can be lowered again",
                )

    @property
    def _new(self) -> Address:
        return Address(self.address.store, "collection", (self.collection.name,))

    def _args(self, world: World) -> dict[str, Json]:
        after = self.collection
        live = {a.address.parts[-1]: a.collection for a in world.live.values() if isinstance(a, Alias)}
        return {
            "from": self.old.name,
            "to": after.name,
            "name": self.address.parts[-1],
            "generation": after.generation,
            "writes": after.writes,
            "aliases": {alias: live.get(alias) for alias in self._aliases(world)},
        }

    def _aliases(self, world: World) -> list[str]:
        """All that are pointed at the new generation; that of its own name first: it says whether it is switched."""
        names = [a.address.parts[-1] for a in aliases_of(world.target, self.address)]
        return sorted(names, key=lambda name: (name != self.address.parts[-1], name))

    def _create(self, world: World) -> Step:
        after, before = self.collection, self.old
        goes_on = before.copying == after.name
        calls: list[Call] = list(finish_calls(before))
        calls += [Op("drop_if_empty", {"collection": name}) for name in before.leftovers]
        if before.copying is not None and not goes_on:
            calls.append(Op("drop_generation", {"collection": before.copying}))
        copy = {"from": before.name, "writes": after.writes, "vectors": self._kept_vectors()}
        calls += create_calls(after, indexes_of(world.target, self.address), copy)
        needs: set[Fact] = {has(self.address)} | (set() if goes_on else {no(self._new)})
        return Step(
            id=f"{self.address}/1-create",
            address=self.address,
            calls=tuple(calls),
            needs=frozenset(needs),
            gives=frozenset({has(self._new)}),
            debris=(self._new,),
            transactional=False,
            journalled=True,  # a generation that is there may lack payload indexes
            hazards=frozenset({Hazard.NOT_TRANSACTIONAL}),
            timeouts=Timeouts(wall="5m"),
        )

    def _copy(self, world: World) -> Step:
        return Step(
            id=f"{self.address}/2-copy",
            address=self.address,
            calls=(
                Op("copy_points", self._args(world)),
                *self._bring(),
                Op("wait_green", {"collection": self.collection.name}),
            ),
            phase=Phase.MIGRATE,
            needs=frozenset({has(self.address), has(self._new)}),
            gives=frozenset({done(f"{self.address}/2-copy")}),
            transactional=False,
            journalled=True,
            hazards=frozenset({Hazard.NOT_TRANSACTIONAL, Hazard.LONG_RUNNING, Hazard.NEEDS_SPACE}),
            timeouts=_LONG,
        )

    def _switch_calls(self, world: World) -> list[Call]:
        args, new = self._args(world), self.collection.name
        return [
            Op("settle_copy", args),
            alias_call(dict.fromkeys(self._aliases(world), new)),
            Op("finish_copy", args),
            *self._bring(),  # of what was written meanwhile
        ]

    def _switch_hazards(self) -> set[Hazard]:
        # Who searches by a vector that is gone is refused from then on.
        return {Hazard.NOT_TRANSACTIONAL} | ({Hazard.BREAKS_CLIENTS} if self._lost() else set())

    def _switch(self, world: World) -> Step:
        aliases = aliases_of(world.target, self.address)
        indexes = indexes_of(world.target, self.address)
        moved = moved_aliases(world, self.address)
        return Step(
            id=f"{self.address}/3-switch",
            address=self.address,
            calls=tuple(self._switch_calls(world)),
            phase=Phase.CONTRACT,
            needs=frozenset({has(self.address), done(f"{self.address}/2-copy"), *(ok(a.address) for a in moved)}),
            gives=frozenset({ok(self.address), *(ok(r.address) for r in (*indexes, *aliases))}),
            transactional=False,
            journalled=True,
            hazards=frozenset(self._switch_hazards()),
            timeouts=_LONG,
        )

    def reverse(self) -> Change | Irreversible:
        """Copied back; a vector that was not taken along comes back from the old generation, while that is there."""
        if self._other_vectors():
            return super().reverse()
        return type(self)(self.after, self.old.replace(brings=self.old.name) if self._lost() else self.before)


def vectors_of(collection: Collection) -> list[str]:
    """The names of all vectors, the unnamed one under ""."""
    return [*collection.all_vectors, *(collection.sparse_vectors or {})]


class AdoptCollection(CopyCollection):
    """A plain collection is copied behind an alias of its name: it has to go before the alias can come."""

    action: ClassVar[Action] = Action.CREATE_DELETE

    @property
    def strategy(self) -> str | None:
        """How, with the gap."""
        if self._other_vectors():
            return super().strategy
        new, old = self.collection.name, self.old.name
        return (
            f"copied to {new} ({self._promise()}), then {old} is saved in a snapshot and dropped, and alias {old} made:"
            " requests in that moment fail"
        )

    def steps(self, world: World) -> Sequence[Step]:
        """As `CopyCollection`, with the drop between.

        Raises:
            PlanError: writes could come up to the moment of the drop.
        """
        if isinstance(self.collection.writes, Mapping):
            raise PlanError(
                f"{self.address} is a plain collection, and has to be dropped before its alias can be made: what is"
                " written in its last moment could not be carried over by timestamp",
                where=self.collection.source,
                hint="pause the application's writes and declare `writes: frozen` for this change",
            )
        return super().steps(world)

    def _switch_calls(self, world: World) -> list[Call]:
        own, new, args = self.address.parts[-1], self.collection.name, self._args(world)
        others = [alias for alias in self._aliases(world) if alias != own]
        calls: list[Call] = [Op("snapshot", {"collection": own}), Op("settle_copy", args)]
        # They would be deleted with the plain collection.
        calls += [alias_call(dict.fromkeys(others, new))] if others else []
        return [*calls, Op("drop_plain", {"collection": own}), alias_call({own: new}), Op("finish_copy", args)]

    def _switch_hazards(self) -> set[Hazard]:
        return super()._switch_hazards() | {Hazard.INDEX_GAP, Hazard.DELETES_DATA, Hazard.NEEDS_SPACE}

    def reverse(self) -> Change | Irreversible:
        """Not the same way: a versioned collection does not become plain."""
        return Irreversible("a collection behind an alias does not become plain again")


class DropGeneration(DropCollection):
    """A generation that another one took over from, or one that was never filled to its end."""

    @property
    def reason(self) -> str | None:
        """It is no longer needed."""
        return "delete_because_retired" if self.collection.stage == "retired" else "delete_because_leftover"

    def describe(self) -> str:
        """Which one of which collection."""
        found = self.collection
        if found.stage == "retired":
            return f"retired generation of {found.of}" + (f", since {found.since}" if found.since else "")
        if found.stage == "restored":
            return f"snapshot of {found.of}, restored to be compared by a run that ended then"
        return f"unfinished copy of {found.of}"

    def steps(self, world: World) -> Sequence[Step]:
        """A snapshot of one that holds points, compared, then DELETE, if its metadata still says what it is."""
        retired = self.collection.stage == "retired"
        filled = retired and not world.empty(self.address)
        moved = moved_aliases(world, self.address)
        going = [alias for alias in aliases_of(world.live, self.address) if alias not in moved]
        hazards = {Hazard.NOT_TRANSACTIONAL} | ({Hazard.DELETES_DATA, Hazard.NEEDS_SPACE} if filled else set())
        name = {"collection": self.collection.name}
        calls: list[Call] = [Op("snapshot", name)] if filled else []
        calls.append(Op("drop_generation", name) if filled or not retired else Op("drop_if_empty", name))
        indexes = indexes_of(world.live, self.address)
        return [
            Step(
                id=f"{self.address}/1-drop",
                address=self.address,
                calls=tuple(calls),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address), *(ok(alias.address) for alias in moved)}),
                gives=frozenset({no(r.address) for r in (self.collection, *indexes, *going)}),
                transactional=False,
                hazards=frozenset(hazards),
                timeouts=Timeouts(wall="6h"),
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """Only by hand, from the snapshot."""
        return Irreversible("a generation that is gone comes back from its snapshot only")
