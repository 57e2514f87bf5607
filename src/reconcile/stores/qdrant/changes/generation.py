"""What PATCH cannot change: a new generation behind the alias, or the collection made anew under its name.

Stored points are never lost on the way: with points there, the plan is refused, or `on_change: empty` says
in the YAML that they may go, and the step is a `deletes-data`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from reconcile.change import Action, Call, Change, Irreversible, Op, Phase, Step, Timeouts, World
from reconcile.errors import PlanError
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.stores.qdrant import options
from reconcile.stores.qdrant.canonical import fixed_paths
from reconcile.stores.qdrant.changes.collection import CollectionChange, finish_calls
from reconcile.stores.qdrant.changes.common import (
    alias_call,
    aliases_of,
    create_calls,
    drop_call,
    indexes_of,
    moved_aliases,
)
from reconcile.stores.qdrant.resources import Collection

_LOSSLESS = {
    ("float32", "float16"),  # rounded, as the server would round what an application sends
    ("float16", "float32"),
    ("uint8", "float32"),
    ("uint8", "float16"),
}
"""Changes of datatype after which stored vectors are still the model's."""
_WORDS = {word: name for name, word in options.DISTANCES.items()}


class GenerationChange(CollectionChange):
    """What both ways of replacing share."""

    @property
    def reason(self) -> str | None:
        """The store cannot change it in place."""
        return "replace_because_cannot_update"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """The attributes that force it."""
        return tuple(fixed_paths(self.old, self.collection))

    def describe(self) -> str:
        """Old and new values of all that changes."""
        found = self.words()
        if self.old.generation is None and self.collection.generation is not None:
            found.insert(0, "versioned false → true")
        if self.old.generation is not None and self.collection.generation is None:
            found.insert(0, "versioned true → false")
        return ", ".join(found)

    def _hazards(self, world: World) -> set[Hazard]:
        """Raises where stored points stand in the way."""
        hazards = {Hazard.NOT_TRANSACTIONAL}
        if not world.empty(self.address):
            if self.collection.on_change != "empty":
                raise self._refused()
            hazards |= {Hazard.DELETES_DATA, Hazard.NEEDS_SPACE}  # a snapshot, and what is restored from it
            if self._other_vectors():
                hazards.add(Hazard.NEEDS_REEMBEDDING)
        return hazards

    def _other_vectors(self) -> bool:
        """Whether a vector that stays is declared as one that stored values do not fit."""
        before, after = self.old.all_vectors, self.collection.all_vectors
        return any(_other_model(old, after[name]) for name, old in before.items() if name in after)

    def _refused(self) -> PlanError:
        after, name = self.collection, self.address.parts[-1]
        paths = self.replace_paths
        words = ", ".join(".".join(path) for path in paths)
        what = f"{self.address} holds points, and Qdrant cannot change {words} in place: {self.describe()}"
        if self._other_vectors():
            return PlanError(
                what,
                where=after.source,
                hint="declare the next generation beside it, fill it, then move your application over"
                f" (`on_change: empty` would start without points):\n{self._next_generation(name)}",
            )
        if after.generation is None:
            return PlanError(
                what,
                where=after.source,
                hint="take the change back, or write `versioned: true`, `on_change: copy` and `writes:` to copy it"
                " behind an alias of its name (clients miss it for a moment, and only this once), or"
                " `on_change: empty` to start without points",
            )
        return PlanError(
            what,
            where=after.source,
            hint="take the change back, or write `on_change: copy` and `writes:` to copy the points into a new"
            " generation while clients go on, or `on_change: empty` to start without points",
        )

    def _next_generation(self, name: str) -> str:
        """YAML: the collection as it is, and one of the new form under its own name."""
        before, after = self.old, self.collection
        new = f"{name}_{(before.generation or 1) + 1}"
        lines = [f"    store: {self.address.store}", "    collections:"]
        for key, collection, contracts in ((name, before, {}), (new, after, after.contracts or {})):
            lines.append(f"      {key}:")
            if collection.vector is not None:
                lines.append(f"        vector: {_vector_yaml(collection, '', contracts)}")
            if collection.vectors is not None:
                lines.append("        vectors:")
                lines += [f"          {v}: {_vector_yaml(collection, v, contracts)}" for v in collection.vectors]
        return "\n".join(lines)

    def reverse(self) -> Change | Irreversible:
        """The same the other way: the schema comes back, points do not."""
        if self.collection.on_change == "empty":
            return Irreversible("the points of the old generation are gone")
        return type(self)(self.after, self.before)


def _other_model(old: Mapping[str, Json], new: Mapping[str, Json]) -> bool:
    """Whether stored vectors are no longer what is declared."""
    if any(old.get(key) != new.get(key) for key in ("size", "distance", "multivector")):
        return True
    was, now = old.get("datatype", "float32"), new.get("datatype", "float32")
    return was != now and (was, now) not in _LOSSLESS


def _vector_yaml(collection: Collection, name: str, contracts: object) -> str:
    if isinstance(contracts, dict) and name in contracts:
        return f"{{embedding: {contracts[name]}}}"
    vector = collection.all_vectors[name]
    parts = [f"dimensions: {vector.get('size')}", f"distance: {_WORDS.get(str(vector.get('distance')))}"]
    if vector.get("datatype", "float32") != "float32":
        parts.append(f"datatype: {vector['datatype']}")
    if "multivector" in vector:
        parts.append(f"multivector: {vector['multivector']}")
    return "{" + ", ".join(parts) + "}"


class ReplaceCollection(GenerationChange):
    """NAME__vN+1 is made, the aliases are pointed at it, the old generation goes."""

    action: ClassVar[Action] = Action.CREATE_DELETE

    @property
    def strategy(self) -> str | None:
        """How."""
        return f"made as {self.collection.name}, aliases switched, {self.old.name} dropped"

    def steps(self, world: World) -> Sequence[Step]:
        """Create, switch and drop as one step: each request may be repeated, so a broken try is tried whole."""
        hazards = self._hazards(world)
        before, after, store = self.old, self.collection, self.address.store
        old = Address(store, "collection", (before.name,))
        new = Address(store, "collection", (after.name,))
        indexes = indexes_of(world.target, self.address)
        aliases = aliases_of(world.target, self.address)
        calls: list[Call] = list(finish_calls(before))
        if Hazard.DELETES_DATA not in hazards:
            calls.append(Op("expect_empty", {"collection": before.name}))
        if before.copying is not None:
            calls.append(Op("drop_generation", {"collection": before.copying}))
        calls += create_calls(after, indexes)
        if Hazard.DELETES_DATA in hazards:  # known as what it is to whoever comes after a kill, without the ledger too
            mark = {"collection": before.name, "name": self.address.parts[-1], "generation": before.generation}
            calls.append(Op("retire", mark))
        if aliases:
            calls.append(alias_call({a.address.parts[-1]: after.name for a in aliases}))
        calls += [Op("drop_if_empty", {"collection": name}) for name in before.leftovers]
        names = [a.address.parts[-1] for a in aliases]
        move = Op("move_aliases", {"from": before.name, "to": after.name, "aliases": names})
        calls += _drop(before, hazards, move)
        return [
            Step(
                id=f"{self.address}/1-replace",
                address=self.address,
                calls=tuple(calls),
                phase=Phase.CONTRACT,
                needs=frozenset(
                    {has(self.address), no(new), *(ok(a.address) for a in moved_aliases(world, self.address))}
                ),
                gives=frozenset({ok(self.address), no(old), *(ok(r.address) for r in (*indexes, *aliases))}),
                debris=(new,),
                transactional=False,
                journalled=True,  # the old generation, once empty, has no address that could show it is gone
                hazards=frozenset(hazards),
                timeouts=_drop_time(hazards),
            )
        ]


class RecreateCollection(GenerationChange):
    """A plain collection keeps its name, so it is dropped first: clients meet none for a moment."""

    action: ClassVar[Action] = Action.DELETE_CREATE

    @property
    def strategy(self) -> str | None:
        """How."""
        return f"{self.old.name} dropped, {self.collection.name} made; requests in between fail"

    def _hazards(self, world: World) -> set[Hazard]:
        if self.old.generation is not None:
            raise PlanError(
                f"{self.address} is versioned ({self.old.name} behind an alias) and cannot become plain",
                where=self.collection.source,
                hint="delete `versioned: false`",
            )
        return super()._hazards(world) | {Hazard.INDEX_GAP}

    def steps(self, world: World) -> Sequence[Step]:
        """Drop; then create, and point again the aliases that went with the old one."""
        hazards = self._hazards(world)
        before, after = self.old, self.collection
        indexes = indexes_of(world.target, self.address)
        aliases = aliases_of(world.target, self.address)
        calls: list[Call] = list(create_calls(after, indexes))
        if aliases:
            calls.append(alias_call({a.address.parts[-1]: after.name for a in aliases}))
        known = [a.address.parts[-1] for a in aliases_of(world.live, self.address)]
        drop = Step(
            id=f"{self.address}/1-drop",
            address=self.address,
            calls=tuple(_drop(before, hazards, Op("expect_aliases", {"collection": before.name, "aliases": known}))),
            phase=Phase.CONTRACT,
            needs=frozenset({has(self.address), *(ok(a.address) for a in moved_aliases(world, self.address))}),
            gives=frozenset({no(self.address)}),
            transactional=False,
            hazards=frozenset(hazards),
            timeouts=_drop_time(hazards),
        )
        create = Step(
            id=f"{self.address}/2-create",
            address=self.address,
            calls=tuple(calls),
            phase=Phase.CONTRACT,
            needs=frozenset({no(self.address)}),
            gives=frozenset({ok(self.address), *(ok(r.address) for r in (*indexes, *aliases))}),
            debris=(Address(self.address.store, "collection", (after.name,)),),
            transactional=False,
            hazards=frozenset({Hazard.NOT_TRANSACTIONAL}),
            timeouts=Timeouts(wall="5m"),
        )
        return [drop, create]


def _drop(collection: Collection, hazards: set[Hazard], aliases: Call) -> list[Call]:
    """A snapshot and DELETE where the plan says that points go; else counted again just before.

    Args:
        aliases: looks after those that were made for it meanwhile: the server would delete them with it.
    """
    if Hazard.DELETES_DATA in hazards:
        return [Op("snapshot", {"collection": collection.name}), aliases, drop_call(collection.name)]
    return [aliases, Op("drop_if_empty", {"collection": collection.name})]


def _drop_time(hazards: set[Hazard]) -> Timeouts:
    return Timeouts(wall="6h" if Hazard.DELETES_DATA in hazards else "5m")
