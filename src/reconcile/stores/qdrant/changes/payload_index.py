"""Payload indexes. PUT is create and change alike: the server drops the old one and builds, without asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from reconcile.change import Action, Change, Http, Op, Phase, Step, Timeouts, World
from reconcile.facts import Fact, has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.qdrant import wire
from reconcile.stores.qdrant.changes.common import (
    anew,
    collection_of,
    differences,
    index_call,
    physical,
    quoted_field,
    shown,
)
from reconcile.stores.qdrant.resources import PayloadIndex

_WALL = Timeouts(wall="6h")
_BUILD = frozenset({Hazard.NOT_TRANSACTIONAL, Hazard.BUILDS_INDEX})


class PayloadIndexChange(Change):
    """What the changes of a payload index share."""

    @property
    def index(self) -> PayloadIndex:
        """`after`, or `before` of a drop."""
        return cast(PayloadIndex, self.resource)

    @property
    def collection(self) -> Address:
        """The address of the collection."""
        return cast(Address, self.index.container)

    def _put(self, world: World, word: str, phase: Phase, need: Fact, hazards: frozenset[Hazard]) -> list[Step]:
        name = physical(world, self.collection)
        return [
            Step(
                id=f"{self.address}/1-{word}",
                address=self.address,
                calls=(index_call(name, self.index), Op("wait_green", {"collection": name})),
                phase=phase,
                needs=frozenset({need, has(self.collection)}),
                gives=frozenset({ok(self.address)}),
                transactional=False,
                hazards=hazards,
                timeouts=_WALL,
            )
        ]


class CreatePayloadIndex(PayloadIndexChange):
    """A new index on a field."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """Type and parameters: "keyword is_tenant true"."""
        parameters = {k: v for k, v in self.index.attributes().items() if k != "type"}
        return f"{self.index.type} {shown(parameters)}".strip()

    def steps(self, world: World) -> Sequence[Step]:
        """One PUT; none where the collection is made in this plan, with its indexes."""
        if anew(world, self.collection):
            return []
        return self._put(world, "create", Phase.EXPAND, no(self.address), _BUILD)

    def reverse(self) -> Change:
        """Drop it."""
        return DropPayloadIndex(self.after, None)


class RebuildPayloadIndex(PayloadIndexChange):
    """Another type or other parameters: filters are slow, in strict mode refused, until it is built."""

    action: ClassVar[Action] = Action.REBUILD

    @property
    def reason(self) -> str | None:
        """Options of an index take effect when it is built again."""
        return "rebuild_for_options"

    @property
    def strategy(self) -> str | None:
        """What its clients meet meanwhile."""
        return "dropped and built again: until then filters on it scan, or strict mode refuses them"

    @property
    def replace_paths(self) -> tuple[tuple[str, ...], ...]:
        """Every changed attribute."""
        return tuple(path for path, _, _ in self._differences())

    def _differences(self) -> list[tuple[tuple[str, ...], object, object]]:
        assert self.before is not None
        return list(differences(self.before.attributes(), self.index.attributes()))

    def describe(self) -> str:
        """Old and new values."""
        old_type = cast(PayloadIndex, self.before).type
        if old_type != self.index.type:
            return f"{old_type} → {self.index.type}"
        return ", ".join(f"{'.'.join(path)} {shown(old)} → {shown(new)}" for path, old, new in self._differences())

    def steps(self, world: World) -> Sequence[Step]:
        """One PUT, which replaces; none where the collection itself is made anew."""
        if anew(world, self.collection):
            return []
        return self._put(world, "rebuild", Phase.CONTRACT, has(self.address), _BUILD | {Hazard.INDEX_GAP})

    def reverse(self) -> Change:
        """Build it as it was."""
        return RebuildPayloadIndex(self.after, self.before)


class DropPayloadIndex(PayloadIndexChange):
    """Filters on the field scan from then on; strict mode may refuse them."""

    action: ClassVar[Action] = Action.DELETE

    def describe(self) -> str:
        """Its type."""
        return self.index.type

    def steps(self, world: World) -> Sequence[Step]:
        """One DELETE; none where the collection goes or is made anew without it."""
        if world.drops(self.collection) or anew(world, self.collection):
            return []
        hazards = {Hazard.NOT_TRANSACTIONAL}
        live = collection_of(world.live, self.collection)
        strict = (live.strict_mode or {}) if live is not None else {}
        if strict.get("enabled") and strict.get("unindexed_filtering_retrieve") is not True:
            hazards.add(Hazard.BREAKS_CLIENTS)
        name = physical(world, self.collection)
        path = wire.collection_path(name, f"/index/{quoted_field(self.index.path)}?wait=true")
        return [
            Step(
                id=f"{self.address}/1-drop",
                address=self.address,
                calls=(Http("DELETE", path),),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address)}),
                gives=frozenset({no(self.address)}),
                transactional=False,
                hazards=frozenset(hazards),
                timeouts=Timeouts(wall="2m"),
            )
        ]

    def reverse(self) -> Change:
        """Build it again."""
        return CreatePayloadIndex(None, self.before)
