"""Collections: created, changed in place by PATCH, dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast
from urllib.parse import quote

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
    drop_call,
    indexes_of,
    moved_aliases,
    patch,
    shown,
)
from reconcile.stores.qdrant.changes.keeping import keep_calls, kept_name
from reconcile.stores.qdrant.resources import Collection
from reconcile.stores.qdrant.settings import COLLECTION, SPARSE, VECTOR

_ALONE = frozenset({Hazard.NOT_TRANSACTIONAL})
_REINDEXED = frozenset(
    {
        "hnsw",
        "quantization",
        "optimizers",
        "vector",
        "vectors",
        "sparse_vectors",
        "on_disk_payload",
        "payload",
        "id_tracker",
    }
)


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
            if _vector_itself(path) and None in (old, new):
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
        hazards = {Hazard.NOT_TRANSACTIONAL} | (set() if empty else {Hazard.DELETES_DATA, Hazard.NEEDS_SPACE})
        if any(not a.own for a in going):
            hazards.add(Hazard.BREAKS_CLIENTS)
        indexes = indexes_of(world.live, self.address)
        name, kept = self.collection.name, kept_name(world, self.collection)
        calls: list[Call] = [Op("drop_if_empty", {"collection": n}) for n in self.collection.leftovers]
        if kept is not None:
            calls += keep_calls(self.collection, going)
            hazards = {Hazard.NOT_TRANSACTIONAL, Hazard.BREAKS_CLIENTS}
        elif empty:
            calls.append(Op("drop_if_empty", {"collection": name}))
        else:
            known = [a.address.parts[-1] for a in going]
            calls.append(Op("snapshot", {"collection": name}))
            calls.append(Op("expect_aliases", {"collection": name, "aliases": known}))
            calls.append(drop_call(name))
        return [
            Step(
                id=f"{self.address}/1-{'drop' if kept is None else 'keep'}",
                address=self.address,
                calls=tuple(calls),
                keeps=kept,
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address), *(ok(a.address) for a in moved)}),
                gives=frozenset({no(r.address) for r in (self.collection, *indexes, *going)}),
                transactional=False,
                hazards=frozenset(hazards),
                timeouts=Timeouts(wall="2m" if empty or kept is not None else "6h"),  # a snapshot is made first
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """Make it again, empty."""
        return CreateCollection(None, self.before)


class AlterCollection(CollectionChange):
    """Settings that PATCH can change, one request a group (a PATCH is not atomic), each read back.

    Where the server can, named vectors are added and removed too. That is built from its documentation (1.18) and has
    not been run: https://api.qdrant.tech/api-reference/collections/create-vector-name
    """

    action: ClassVar[Action] = Action.UPDATE

    @property
    def strategy(self) -> str | None:
        """Says when the server works on in the background, and what a new vector means for what is stored."""
        found = ["changed in place"]
        if any(self._vectors(self.collection, self.old)):
            found.append("stored points have no such vector until they are written again")
        if self._reindexes():
            found.append("then the server re-indexes in the background")
        return ", ".join(found) if len(found) > 1 else None

    def describe(self) -> str:
        """Old and new values: "hnsw.m 16 → 32"."""
        lines = self.words() + [f"drops the empty leftover {name}" for name in self.old.leftovers]
        lines += [f"finishes taking over from {self.old.unfinished}"] if self.old.unfinished else []
        return ", ".join(lines)

    def _reindexes(self) -> bool:
        """Whether segments are built again: index, quantization, placement of vectors, optimizer thresholds."""
        return any(
            path[0] in _REINDEXED
            for path, old, new in self.differences()
            if not (_vector_itself(path) and None in (old, new))
        )

    def calls(self) -> list[Http]:
        """One PATCH for each group that differs."""
        before, after = self.old, self.collection
        name = after.name
        groups = wire.patches(COLLECTION, before.settings(), after.settings())
        groups.pop("metadata", None)
        found = [patch(name, body) for body in groups.values()]
        found += self._vector_calls(name)
        was, now = before.metadata or {}, after.metadata or {}
        metadata = {key: now.get(key) for key in [*now, *was] if was.get(key) != now.get(key)}  # null takes a key away
        return [*found, patch(name, {"metadata": metadata})] if metadata else found

    def _vector_calls(self, name: str) -> list[Http]:
        before, after = self.old, self.collection
        found = []
        for vector, new in after.all_vectors.items():
            old = before.all_vectors.get(vector)
            if old is None:
                old = {row.path[0]: row.of(new) for row in VECTOR if not row.in_place}
                found.append(_add_vector(name, vector, "dense", wire.put(VECTOR, old)))
            if body := _together(wire.patches(VECTOR, old, new)):
                shown = wire.expected(VECTOR, body, patched=True)
                entry = {"params": {"vectors": shown if after.vector is not None else {vector: shown}}}
                found.append(patch(name, {"vectors": {vector: body}}, entry))
        for vector, new in (after.sparse_vectors or {}).items():
            old = (before.sparse_vectors or {}).get(vector)
            if old is None:
                kept = {k: v for k in ("modifier",) if (v := new.get(k)) is not None}
                datatype = (new.get("index") or {}).get("datatype")
                body = {**kept, **({"datatype": datatype} if datatype is not None else {})}
                found.append(_add_vector(name, vector, "sparse", body))
                old = {**kept, "index": {"datatype": datatype}}
            if body := _together(wire.patches(SPARSE, old, new)):
                shown = wire.expected(SPARSE, body, patched=True)
                found.append(
                    patch(name, {"sparse_vectors": {vector: body}}, {"params": {"sparse_vectors": {vector: shown}}})
                )
        return found

    @staticmethod
    def _vectors(one: Collection, other: Collection) -> list[str]:
        """Named vectors of one that the other does not have."""
        named, sparse = other.all_vectors, other.sparse_vectors or {}
        return [n for n in (*one.all_vectors, *(one.sparse_vectors or {})) if n not in named and n not in sparse]

    def steps(self, world: World) -> Sequence[Step]:
        """The PATCHes, then a wait until the optimizers have done their work; then leftovers and old vectors go."""
        patches = self.calls()
        calls: list[Call] = [*finish_calls(self.old), *patches]
        hazards = {Hazard.NOT_TRANSACTIONAL}
        if self._reindexes():
            hazards.add(Hazard.LONG_RUNNING)
            calls.append(Op("wait_green", {"collection": self.collection.name}))
        calls += [Op("drop_if_empty", {"collection": name}) for name in self.old.leftovers]
        going = self._vectors(self.old, self.collection)
        alter = Step(
            id=f"{self.address}/1-alter",
            address=self.address,
            calls=tuple(calls),
            needs=frozenset({has(self.address)}),
            gives=frozenset() if going else frozenset({ok(self.address)}),
            transactional=False,
            hazards=frozenset(hazards),
            timeouts=Timeouts(wall="6h"),
        )
        return [*([alter] if calls or not going else []), *([self._drop_vectors(world, going)] if going else [])]

    def _drop_vectors(self, world: World, going: list[str]) -> Step:
        """Their values go with them: after a snapshot, where any are stored."""
        name, empty = self.collection.name, world.empty(self.address)
        calls: list[Call] = [] if empty else [Op("snapshot", {"collection": name})]
        calls += [Http("DELETE", vector_path(name, vector)) for vector in going]
        return Step(
            id=f"{self.address}/2-drop-vectors",
            address=self.address,
            calls=tuple(calls),
            phase=Phase.CONTRACT,
            needs=frozenset({has(self.address)}),
            gives=frozenset({ok(self.address)}),
            transactional=False,
            hazards=_ALONE if empty else _ALONE | {Hazard.DELETES_DATA, Hazard.BREAKS_CLIENTS},
            timeouts=Timeouts(wall="6h"),
        )

    def reverse(self) -> Change | Irreversible:
        """The values before, unless one was unset: the server cannot unset a setting."""
        if going := self._vectors(self.old, self.collection):
            return Irreversible(f"the values of {', '.join(going)} are gone")
        for path, old, _ in self.differences():
            if old is None and path[0] != "metadata" and not _vector_itself(path):
                return Irreversible(f"{'.'.join(path)} was not set before, and Qdrant cannot unset it")
        return AlterCollection(self.after, self.old.replace(leftovers=(), unfinished=None))


def _vector_itself(path: Path) -> bool:
    """Whether a difference is one of a vector as a whole."""
    return len(path) <= {"vector": 1, "vectors": 2, "sparse_vectors": 2}.get(path[0], 0)


def vector_path(name: str, vector: str) -> str:
    """The REST path of a named vector."""
    return wire.collection_path(name, f"/vectors/{quote(vector, safe='')}?wait=true")


def _add_vector(name: str, vector: str, kind: str, body: Mapping[str, Json]) -> Http:
    """PUT of a named vector: what cannot be changed later; the rest follows in a PATCH."""
    if kind == "dense":
        entry: Json = {"vectors": {vector: body}}
    else:
        index = {"index": {"datatype": body["datatype"]}} if "datatype" in body else {}
        entry = {"sparse_vectors": {vector: {**{k: v for k, v in body.items() if k != "datatype"}, **index}}}
    return Http(
        "PUT", vector_path(name, vector), {kind: dict(body)}, wire.collection_path(name), {"config": {"params": entry}}
    )


def _together(groups: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """All settings of one vector: one PATCH, since they stand under its name."""
    return {key: value for body in groups.values() for key, value in body.items()}


def finish_calls(live: Collection) -> list[Call]:
    """What is left of a replacement whose alias was switched by a run that ended then."""
    if live.unfinished is None:
        return []
    name = live.address.parts[-1]
    args = {"from": live.unfinished, "to": live.name, "name": name, "generation": live.generation}
    return [alias_call({name: live.name}), Op("finish_copy", args)]


def outline(collection: Collection) -> str:
    """Vectors in short."""
    parts = [f"{name} {v.get('size')} {v.get('distance')}".strip() for name, v in collection.all_vectors.items()]
    head = f"vector {parts[0]}" if collection.vector is not None else f"vectors {', '.join(parts)}" if parts else ""
    sparse = f"sparse {', '.join(collection.sparse_vectors)}" if collection.sparse_vectors else ""
    return ", ".join(p for p in (head, sparse) if p) or "no vectors"
