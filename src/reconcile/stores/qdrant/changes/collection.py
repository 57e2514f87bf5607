"""Collections: created, changed in place by PATCH, dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from reconcile.change import Action, Call, Change, Http, Irreversible, Op, Phase, Step, Timeouts, World
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.changes.common import (
    Path,
    alias_call,
    aliases_of,
    create_calls,
    differences,
    indexes_of,
    moved_aliases,
    patch,
    shown,
)
from reconcile.stores.qdrant.resources import Collection

_ALONE = frozenset({Hazard.NOT_TRANSACTIONAL})


@dataclass(frozen=True)
class CollectionChange(Change):
    """What the changes of a collection share."""

    @property
    def collection(self) -> Collection:
        """`after`, or `before` of a drop."""
        return cast(Collection, self.resource)

    @property
    def old(self) -> Collection:
        """`before`, of a change that has one."""
        return cast(Collection, self.before)

    def differences(self) -> list[tuple[Path, Json, Json]]:
        """Changed attributes: (path, old, new), a generation not counted."""
        return [d for d in differences(self.old.attributes(), self.collection.attributes()) if d[0] != ("generation",)]

    def words(self) -> list[str]:
        """Each difference for people: "hnsw.m 16 → 32", "vectors.image added"."""
        found = []
        for path, old, new in self.differences():
            name = ".".join(path)
            if path[0] in ("vector", "vectors", "sparse_vectors") and len(path) < 3 and None in (old, new):
                found.append(f"{name} {'added' if old is None else 'removed'}")
            else:
                found.append(f"{name} {shown(old)} → {shown(new)}")
        return found


class CreateCollection(CollectionChange):
    """A new collection with its payload indexes; its aliases are changes of their own."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """Vectors in short: "vector 384 Cosine", "vectors text 384 Cosine, image 512 Dot, sparse bm25"."""
        return outline(self.collection)

    def steps(self, world: World) -> Sequence[Step]:
        """PUT of the collection and of each index, read back."""
        after = self.collection
        indexes = indexes_of(world.target, self.address)
        return [
            Step(
                id=f"{self.address}/1-create",
                address=self.address,
                calls=tuple(create_calls(after, indexes)),
                needs=frozenset({no(self.address)}),
                gives=frozenset({ok(self.address), *(ok(i.address) for i in indexes)}),
                debris=(Address(self.address.store, "collection", (after.name,)),),
                transactional=False,
                hazards=_ALONE,
                timeouts=Timeouts(wall="2m"),
            )
        ]

    def reverse(self) -> Change:
        """Drop it."""
        return DropCollection(self.after, None)


class DropCollection(CollectionChange):
    """The collection with its points, payload indexes and aliases."""

    action: ClassVar[Action] = Action.DELETE

    def describe(self) -> str:
        """What goes."""
        return outline(self.collection)

    def steps(self, world: World) -> Sequence[Step]:
        """DELETE, after aliases that go elsewhere have gone. An empty one is counted again just before."""
        empty = world.empty(self.address)
        moved = moved_aliases(world, self.address)
        going = [a for a in aliases_of(world.live, self.address) if a not in moved]
        hazards = {Hazard.NOT_TRANSACTIONAL} | (set() if empty else {Hazard.DELETES_DATA})
        if any(not a.own for a in going):
            hazards.add(Hazard.BREAKS_CLIENTS)
        indexes = indexes_of(world.live, self.address)
        names = [self.collection.name]
        calls: list[Call] = [Op("drop_if_empty", {"collection": n}) for n in self.collection.leftovers]
        if empty:
            calls += [Op("drop_if_empty", {"collection": name}) for name in names]
        else:
            calls += [call for n in names for call in (Op("snapshot", {"collection": n}), drop_call(n))]
        return [
            Step(
                id=f"{self.address}/1-drop",
                address=self.address,
                calls=tuple(calls),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address), *(ok(a.address) for a in moved)}),
                gives=frozenset({no(r.address) for r in (self.collection, *indexes, *going)}),
                transactional=False,
                hazards=frozenset(hazards),
                timeouts=Timeouts(wall="2m" if empty else "6h"),  # a snapshot is made first
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """Make it again, empty."""
        return CreateCollection(None, self.before)


class AlterCollection(CollectionChange):
    """Settings that PATCH can change, one request a group (a PATCH is not atomic), each read back."""

    action: ClassVar[Action] = Action.UPDATE

    @property
    def strategy(self) -> str | None:
        """Says when the server works on in the background."""
        return "changed in place, then the server re-indexes in the background" if self._reindexes() else None

    def describe(self) -> str:
        """Old and new values: "hnsw.m 16 → 32"."""
        lines = self.words() + [f"drops the empty leftover {name}" for name in self.old.leftovers]
        lines += [f"finishes taking over from {self.old.unfinished}"] if self.old.unfinished else []
        return ", ".join(lines)

    def _reindexes(self) -> bool:
        """Whether segments are built again: index, quantization, placement of vectors, optimizer thresholds."""
        return any(
            path[0] in ("hnsw", "quantization", "optimizers", "vector", "vectors", "sparse_vectors", "on_disk_payload")
            for path, _, _ in self.differences()
        )

    def calls(self) -> list[Http]:
        """One PATCH for each group that differs."""
        before, after = self.old, self.collection
        name = after.name
        found: list[Http] = []
        for key, section in wire.SECTIONS.items():
            changed = changed_keys(getattr(before, key), getattr(after, key))
            if changed:
                found.append(patch(name, {section: changed}))
        if before.quantization != after.quantization:
            none = after.quantization == "none"
            body = {"quantization_config": "Disabled" if none else after.quantization}
            expect = {"config": {"quantization_config": None if none else after.quantization}}
            found.append(patch(name, body, expect))
        params = {
            key: getattr(after, key)
            for key in ("replication_factor", "write_consistency_factor", "read_fan_out_factor", "on_disk_payload")
            if getattr(before, key) != getattr(after, key)
        }
        if params:
            found.append(patch(name, {"params": params}))
        found += self._vector_calls(name)
        metadata = {k: v for k, v in (after.metadata or {}).items() if (before.metadata or {}).get(k) != v}
        if metadata:
            found.append(patch(name, {"metadata": metadata}))
        return found

    def _vector_calls(self, name: str) -> list[Http]:
        before, after = self.old, self.collection
        found = []
        for vector, new in after.all_vectors.items():
            old = before.all_vectors.get(vector, {})
            changed = {k: changed_keys(old.get(k), v) if k == "hnsw" else v for k, v in new.items() if old.get(k) != v}
            if changed:
                body = wire.vector_patch(changed)
                seen = {k: None if v == "Disabled" else v for k, v in body.items()}
                shown_as = seen if vector == "" else {vector: seen}
                expect = {"config": {"params": {"vectors": shown_as}}}
                found.append(patch(name, {"vectors": {vector: body}}, expect))
        for vector, new in (after.sparse_vectors or {}).items():
            if changed := changed_keys((before.sparse_vectors or {}).get(vector), new):
                found.append(patch(name, {"sparse_vectors": {vector: changed}}))
        return found

    def steps(self, world: World) -> Sequence[Step]:
        """The PATCHes, then a wait until the optimizers have done their work; then leftovers go."""
        del world
        calls: list[Call] = [*finish_calls(self.old), *self.calls()]
        hazards = {Hazard.NOT_TRANSACTIONAL}
        if self._reindexes():
            hazards.add(Hazard.LONG_RUNNING)
        if calls:
            calls.append(Op("wait_green", {"collection": self.collection.name}))
        calls += [Op("drop_if_empty", {"collection": name}) for name in self.old.leftovers]
        return [
            Step(
                id=f"{self.address}/1-alter",
                address=self.address,
                calls=tuple(calls),
                needs=frozenset({has(self.address)}),
                gives=frozenset({ok(self.address)}),
                transactional=False,
                hazards=frozenset(hazards),
                timeouts=Timeouts(wall="6h"),
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """The values before, unless one was unset: the server cannot unset a setting."""
        for path, old, _ in self.differences():
            if old is None:
                return Irreversible(f"{'.'.join(path)} was not set before, and Qdrant cannot unset it")
        return AlterCollection(self.after, self.old.replace(leftovers=(), unfinished=None))


def changed_keys(before: Mapping[str, Json] | None, after: Mapping[str, Json] | None) -> dict[str, Json]:
    """Keys of `after` whose value is another, nested ones alone: PATCH merges key by key."""
    found: dict[str, Json] = {}
    for key, value in (after or {}).items():
        old = (before or {}).get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            if inner := changed_keys(old, value):
                found[key] = inner
        elif old != value:
            found[key] = value
    return found


def finish_calls(live: Collection) -> list[Call]:
    """What is left of a replacement whose alias was switched by a run that ended then."""
    if live.unfinished is None:
        return []
    name = live.address.parts[-1]
    args = {"from": live.unfinished, "to": live.name, "name": name, "generation": live.generation}
    return [alias_call({name: live.name}), Op("finish_copy", args)]


def drop_call(name: str) -> Http:
    """DELETE by physical name; through an alias the server would answer false and do nothing."""
    return Http(
        "DELETE",
        wire.collection_path(name),
        read=wire.collection_path(name, "/exists"),
        expect={"exists": False},
    )


def outline(collection: Collection) -> str:
    """Vectors in short."""
    parts = [f"{name} {v.get('size')} {v.get('distance')}".strip() for name, v in collection.all_vectors.items()]
    head = f"vector {parts[0]}" if collection.vector is not None else f"vectors {', '.join(parts)}" if parts else ""
    sparse = f"sparse {', '.join(collection.sparse_vectors)}" if collection.sparse_vectors else ""
    return ", ".join(p for p in (head, sparse) if p) or "no vectors"
