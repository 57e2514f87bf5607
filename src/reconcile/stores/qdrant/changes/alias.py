"""Aliases: created, re-pointed by one atomic action, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from reconcile.change import Action, Change, Http, Phase, Step, Timeouts, World
from reconcile.errors import PlanError
from reconcile.facts import has, no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address
from reconcile.stores.qdrant.changes.common import alias_call, anew, collection_of, physical
from reconcile.stores.qdrant.resources import Alias

_WALL = Timeouts(wall="30s")
_ALONE = frozenset({Hazard.NOT_TRANSACTIONAL})


class AliasChange(Change):
    """What the changes of an alias share."""

    @property
    def alias(self) -> Alias:
        """`after`, or `before` of a drop."""
        return cast(Alias, self.resource)

    def _replaced_with_target(self, world: World) -> bool:
        """Whether the step that makes the target's next generation points this alias too."""
        return self.alias.target in world.live and anew(world, self.alias.target)

    def _point(
        self, world: World, word: str, phase: Phase, needs: frozenset[object], hazards: frozenset[Hazard] = _ALONE
    ) -> list[Step]:
        target = self.alias.target
        carrier = collection_of(world.target, Address(target.store, "collection", self.address.parts))
        if carrier is not None and carrier.generation is None:
            raise PlanError(
                f"alias {self.address.parts[-1]} cannot be made: a collection of that name exists",
                where=self.alias.source,
                hint="name the alias otherwise",
            )
        name = physical(world, target)
        return [
            Step(
                id=f"{self.address}/1-{word}",
                address=self.address,
                calls=(alias_call({self.address.parts[-1]: name}),),
                phase=phase,
                needs=frozenset({*needs, ok(target)}),  # type: ignore[arg-type]
                gives=frozenset({ok(self.address)}),
                transactional=False,
                hazards=hazards,
                timeouts=_WALL,
            )
        ]


class CreateAlias(AliasChange):
    """A new alias; the target exists by then (a failing list of actions would be half done)."""

    action: ClassVar[Action] = Action.CREATE

    def describe(self) -> str:
        """The target."""
        return f"for {self.alias.collection}"

    def steps(self, world: World) -> Sequence[Step]:
        """One action, or none where a new generation of the target brings it along."""
        if self._replaced_with_target(world):
            return []
        return self._point(world, "create", Phase.EXPAND, frozenset({no(self.address)}))

    def reverse(self) -> Change:
        """Drop it."""
        return DropAlias(self.after, None)


class RepointAlias(AliasChange):
    """Another target: `create_alias` alone, which re-points atomically; never delete and create."""

    action: ClassVar[Action] = Action.UPDATE

    @property
    def reason(self) -> str | None:
        """It follows its collection's new generation, or the YAML names another target."""
        same = cast(Alias, self.before).target == self.alias.target
        return "companion_of_replacement" if same else None

    def describe(self) -> str:
        """Old and new target."""
        return f"{cast(Alias, self.before).collection} → {self.alias.collection}"

    def steps(self, world: World) -> Sequence[Step]:
        """One action, or none where the new generation's own step does it."""
        if self._replaced_with_target(world):
            return []
        hazards = _ALONE | ({Hazard.BREAKS_CLIENTS} if self._empties(world) else set())
        return self._point(world, "repoint", Phase.CONTRACT, frozenset({has(self.address)}), hazards)

    def _empties(self, world: World) -> bool:
        """Whether clients that have found points under the alias find none any more."""
        before, after = cast(Alias, self.before).target, self.alias.target
        return before != after and not world.empty(before) and world.empty(after)

    def reverse(self) -> Change:
        """Point it back."""
        return RepointAlias(self.after, self.before)


class DropAlias(AliasChange):
    """Clients that use the name fail from then on."""

    action: ClassVar[Action] = Action.DELETE

    def describe(self) -> str:
        """What it pointed at."""
        return f"pointed at {self.alias.collection}"

    def steps(self, world: World) -> Sequence[Step]:
        """One action, or none where the collection goes too: the server deletes its aliases with it."""
        if world.drops(self.alias.target):
            return []
        name = self.address.parts[-1]
        body = {"actions": [{"delete_alias": {"alias_name": name}}]}
        return [
            Step(
                id=f"{self.address}/1-drop",
                address=self.address,
                calls=(Http("POST", "/collections/aliases", body),),
                phase=Phase.CONTRACT,
                needs=frozenset({has(self.address)}),
                gives=frozenset({no(self.address)}),
                transactional=False,
                hazards=frozenset({Hazard.BREAKS_CLIENTS, Hazard.NOT_TRANSACTIONAL}),
                timeouts=_WALL,
            )
        ]

    def reverse(self) -> Change:
        """Make it again."""
        return CreateAlias(None, self.before)
