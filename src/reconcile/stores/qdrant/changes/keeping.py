"""Collections that hold points and go: they stay where they are, marked as kept, without their aliases.

Nothing is copied and no point is touched. A collection that has no alias keeps its name, since Qdrant cannot rename.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, cast

from reconcile.change import Action, Call, Change, Http, Irreversible, Op, Phase, Step, Timeouts, World
from reconcile.facts import no, ok
from reconcile.hazards import Hazard
from reconcile.model import Address, Json, Resource, State
from reconcile.stores.qdrant import options
from reconcile.stores.qdrant.changes.common import drop_call, patch
from reconcile.stores.qdrant.resources import Alias, Collection, PayloadIndex
from reconcile.stores.qdrant.wire import KEPT, snapshot_path


def kept_name(world: World, collection: Collection) -> str | None:
    """Under which name it is kept; None where its points may go, or where there are none."""
    address = collection.address
    keeps = not (world.keeping.deletes(address) or collection.stage or world.empty(address))
    return collection.name if keeps else None


def keep_calls(collection: Collection, aliases: Sequence[Alias]) -> list[Call]:
    """Mark it, then take its aliases away: a try that ended between the two is seen by what points at it."""
    names = [alias.address.parts[-1] for alias in aliases]
    actions = [{"delete_alias": {"alias_name": name}} for name in names]
    calls: list[Call] = [Op("expect_aliases", {"collection": collection.name, "aliases": names})]
    calls.append(_mark(collection, {KEPT: True}))
    return [*calls, Http("POST", "/collections/aliases", {"actions": actions})] if actions else calls


def _mark(collection: Collection, more: Json) -> Http:
    own = {} if collection.generation is None else {"name": collection.address.parts[-1],
                                                    "generation": collection.generation}  # fmt: skip
    entry: Json = {options.OURS: {**own, **more} or None}
    return patch(collection.name, {"metadata": entry}, {"metadata": entry} if entry[options.OURS] else {})


class RestoreCollection(Change):
    """A kept collection is managed again, with its points and payload indexes; aliases are changes of their own."""

    action: ClassVar[Action] = Action.RENAME

    indexes: tuple[PayloadIndex, ...] = ()

    @property
    def reason(self) -> str | None:
        """See `Change.reason`."""
        return "rename_declared"

    def describe(self) -> str:
        """What comes back."""
        return f"brought back with its points, from {self.resource.name}"

    def steps(self, world: World) -> Sequence[Step]:
        """One PATCH of its metadata."""
        del world
        collection = cast(Collection, self.after)
        return [
            Step(
                id=f"{self.address}/1-restore",
                address=self.address,
                calls=(_mark(collection, {}),),
                gives=frozenset({ok(self.address), *(ok(i.address) for i in self.indexes)}),
                transactional=False,
                hazards=frozenset({Hazard.NOT_TRANSACTIONAL}),
                timeouts=Timeouts(wall="2m"),
            )
        ]

    def reverse(self) -> Change | Irreversible:
        """See `Change.reverse`."""
        return Irreversible("it would be kept again", loses=False)

    def apply_to(self, state: State) -> State:
        """See `Change.apply_to`."""
        found: Iterable[Resource] = (cast(Collection, self.after), *self.indexes)
        return state.add(*(r for r in found if r.address not in state))


def restored(live: State, parts: Sequence[Resource], name: str) -> tuple[Change, State]:
    """What brings a kept collection back, and `live` as it is then; see `stores.base.Keeps`."""
    del name
    change = RestoreCollection(None, parts[0], tuple(p for p in parts[1:] if isinstance(p, PayloadIndex)))
    return change, change.apply_to(live)


def purged(address: Address, name: str) -> Step:
    """The step that deletes a kept collection, or the snapshot of one that a backfill emptied."""
    there, snapshot = Address(address.store, "kept", (address.kind, name)), snapshot_path(name)
    return Step(
        id=f"{there}/1-purge",
        address=address,
        calls=(drop_call(name) if snapshot is None else Http("DELETE", snapshot),),
        phase=Phase.CONTRACT,
        gives=frozenset({no(there)}),
        transactional=False,
        journalled=True,
        hazards=frozenset({Hazard.DELETES_DATA, Hazard.IRREVERSIBLE, Hazard.NOT_TRANSACTIONAL}),
        timeouts=Timeouts(wall="10m"),
    )
